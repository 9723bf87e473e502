"""What a plugin calls to announce a component; bound to that plugin, so provenance is never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ganforge.core.errors import PluginError
from ganforge.core.params import NoParams, Params
from ganforge.registry.component import Component, Factory, Kind, PluginRef
from ganforge.registry.plain_types import unplain

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Registrar:
    """Collects the components of one kind from one plugin.

    Attributes:
        kind: the kind that is being asked for.
        plugin: the plugin that is being asked.
    """

    api_version = 1
    """Grows by one when the registrar learns something."""

    def __init__(self, kind: Kind, plugin: PluginRef, staged: list[Component]) -> None:
        self.kind = kind
        self.plugin = plugin
        self._staged = staged

    def __call__(
        self,
        name: str,
        factory: str | Factory,
        *,
        params: str | type[Params] = NoParams,
        summary: str,
        revision: int = 1,
        requires: tuple[str, ...] = (),
        provides: tuple[str, ...] = (),
        spec: str | Callable[..., object] | None = None,
        needs: tuple[str, ...] = (),
        check_params: Mapping[str, Any] | None = None,
        expected_failures: Mapping[str, str] | None = None,
        tags: frozenset[str] = frozenset(),
        references: tuple[str, ...] = (),
        deprecated: str | None = None,
        cost: str | None = None,
    ) -> None:
        """Announce one component; :class:`~ganforge.registry.component.Component` explains the options.

        Raises:
            PluginError: a name that is not lower-case-with-hyphens or is taken by this plugin, a reference that is not
                ``"module:attribute"``, an empty summary, params that are not plain data, or an option of another type.
        """
        self._check_plain(name, summary, revision, check_params)
        self._check_texts(name, deprecated=deprecated, cost=cost)
        self._check_references(name, factory, params, spec)
        self._check_reasons(name, expected_failures)
        self._check_words(name, requires=requires, provides=provides, needs=needs, tags=tags, references=references)
        if any(other.kind is self.kind and other.name == name for other in self._staged):
            raise PluginError(f"{self.kind} '{name}' is registered twice by {self.plugin.distribution}")

        self._staged.append(
            Component(
                kind=self.kind,
                name=name,
                plugin=self.plugin,
                factory=factory,
                params=params,
                summary=summary.strip(),
                revision=revision,
                requires=tuple(requires),
                provides=tuple(provides),
                spec=spec,
                needs=tuple(needs),
                check_params=dict(check_params or {}),
                expected_failures=dict(expected_failures or {}),
                tags=frozenset(tags),
                references=tuple(references),
                deprecated=deprecated,
                cost=cost,
            )
        )

    def _check_plain(self, name: object, summary: object, revision: object, check_params: object) -> None:
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise PluginError(f"{self.kind} name {name!r} must be lower-case letters, digits and single hyphens")
        if not (isinstance(summary, str) and summary.strip()):
            raise PluginError(f"{self.kind} '{name}' has no summary")
        if isinstance(revision, bool) or not isinstance(revision, int) or revision < 1:
            raise PluginError(f"{self.kind} '{name}': revision must be a whole number from 1, not {revision!r}")
        if not isinstance(check_params, Mapping | None):
            raise PluginError(f"{self.kind} '{name}': check_params must be a table, not {check_params!r}")

    def _check_texts(self, name: str, **options: object) -> None:
        for option, text in options.items():
            if not (text is None or (isinstance(text, str) and text.strip())):
                raise PluginError(f"{self.kind} '{name}': {option} must be a text that says something, not {text!r}")

    def _check_references(self, name: str, factory: object, params: object, spec: object) -> None:
        for reference in (factory, params, spec):
            if isinstance(reference, str) and not _REFERENCE.fullmatch(reference):
                raise PluginError(f"{self.kind} '{name}': {reference!r} is not of the form 'module:attribute'")
        if not (isinstance(factory, str) or callable(factory)):
            raise PluginError(f"{self.kind} '{name}': its factory {factory!r} cannot be called")
        if not (isinstance(params, str) or (isinstance(params, type) and issubclass(params, Params))):
            raise PluginError(f"{self.kind} '{name}': its params model {params!r} is no subclass of ganforge.plugin.Params")
        if not isinstance(params, str) and (faults := unplain(params)):
            raise PluginError(f"{self.kind} '{name}': its params are not plain data: {'; '.join(faults)}")
        if not (spec is None or isinstance(spec, str) or callable(spec)):
            raise PluginError(f"{self.kind} '{name}': its spec {spec!r} cannot be called")

    def _check_reasons(self, name: str, reasons: object) -> None:
        if reasons is None:
            return
        told = isinstance(reasons, Mapping) and all(
            isinstance(text, str) and text.strip() for pair in reasons.items() for text in pair
        )
        if not told:
            raise PluginError(f"{self.kind} '{name}': expected_failures must give a reason for each check, not {reasons!r}")

    def _check_words(self, name: str, **options: object) -> None:
        """A forgotten comma makes ``("labels")`` a string, whose letters would pass for words."""
        for option, words in options.items():
            if not (isinstance(words, tuple | list | set | frozenset) and all(isinstance(word, str) for word in words)):
                raise PluginError(f"{self.kind} '{name}': {option} must be a tuple of strings, not {words!r}")
