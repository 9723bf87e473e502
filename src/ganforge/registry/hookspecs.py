"""The hook specifications: one registration hook per kind of component, and the registrar that each hook receives.

The signature of a hook never changes. New abilities become keyword options of the registrar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from ganforge.core.errors import PluginError
from ganforge.core.params import NoParams, Params
from ganforge.registry.component import Component, Factory, Kind, PluginRef
from ganforge.registry.params_description import non_plain_fields

PROJECT = "ganforge"
ENTRY_POINT_GROUP = "ganforge"
PREFIX = "ganforge_"
"""Functions of a plugin with this prefix must be hooks."""
HOOKS: Mapping[str, Kind] = {f"{PREFIX}register_{kind.plural}": kind for kind in Kind}
"""The kind of components that each hook registers."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Registrar:
    """The argument of every hook: call it to register a component. It is bound to one plugin and one kind.

    Attributes:
        kind: the kind of the components.
        plugin: the plugin that registers them.
    """

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
        checksums: str | Mapping[str, str] | None = None,
        needs: tuple[str, ...] = (),
        check_params: Mapping[str, Any] | None = None,
        expected_failures: Mapping[str, str] | None = None,
        tags: frozenset[str] = frozenset(),
        references: tuple[str, ...] = (),
        deprecated: str | None = None,
        cost: str | None = None,
    ) -> None:
        """Register one component; :class:`~ganforge.registry.component.Component` explains the options.

        Raises:
            PluginError: the name is not lower-case-with-hyphens or is already registered, a reference is not
                ``"module:attribute"``, the summary is empty, params are not plain data, or an option has a wrong type.
        """
        self._check_plain(name, summary, revision, check_params)
        self._check_texts(name, deprecated=deprecated, cost=cost)
        self._check_references(name, factory, params, spec, checksums)
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
                checksums=checksums,
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
            raise PluginError(f"{self.kind} '{name}': revision must be an integer from 1, not {revision!r}")
        if not isinstance(check_params, Mapping | None):
            raise PluginError(f"{self.kind} '{name}': check_params must be a table, not {check_params!r}")

    def _check_texts(self, name: str, **options: object) -> None:
        for option, text in options.items():
            if not (text is None or (isinstance(text, str) and text.strip())):
                raise PluginError(f"{self.kind} '{name}': {option} must be a non-empty text, not {text!r}")

    def _check_references(self, name: str, factory: object, params: object, spec: object, checksums: object) -> None:
        for reference in (factory, params, spec, checksums):
            if isinstance(reference, str) and not _REFERENCE.fullmatch(reference):
                raise PluginError(f"{self.kind} '{name}': {reference!r} is not of the form 'module:attribute'")
        if not (isinstance(factory, str) or callable(factory)):
            raise PluginError(f"{self.kind} '{name}': its factory {factory!r} is not callable")
        if not (isinstance(params, str) or (isinstance(params, type) and issubclass(params, Params))):
            raise PluginError(f"{self.kind} '{name}': its params model {params!r} is not a subclass of ganforge.plugin.Params")
        if not isinstance(params, str) and (faults := non_plain_fields(params)):
            raise PluginError(f"{self.kind} '{name}': its params are not plain data: {'; '.join(faults)}")
        if not (spec is None or isinstance(spec, str) or callable(spec)):
            raise PluginError(f"{self.kind} '{name}': its spec {spec!r} is not callable")
        if not isinstance(checksums, str | Mapping | None):
            raise PluginError(f"{self.kind} '{name}': checksums must be a table, not {checksums!r}")

    def _check_reasons(self, name: str, reasons: object) -> None:
        if reasons is None:
            return
        texts = [text for pair in reasons.items() for text in pair] if isinstance(reasons, Mapping) else [None]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise PluginError(f"{self.kind} '{name}': expected_failures must give a reason for each check, not {reasons!r}")

    def _check_words(self, name: str, **options: object) -> None:
        """Reject strings: with its comma forgotten, ``("labels")`` would be taken for a sequence of letters."""
        for option, words in options.items():
            if not (isinstance(words, tuple | list | set | frozenset) and all(isinstance(word, str) for word in words)):
                raise PluginError(f"{self.kind} '{name}': {option} must be a tuple of strings, not {words!r}")


@hookspec
def ganforge_register_generators(register: Registrar) -> None:
    """Register networks that map latents to samples.

    Call ``register`` once per generator. Nothing is built here. Do not import torch in this module: give factory and params as
    ``"module:attribute"`` strings. If a hook raises, none of the plugin's components are available.

    A complete plugin module::

        from ganforge.plugin import Registrar, hookimpl


        @hookimpl
        def ganforge_register_generators(register: Registrar) -> None:
            register(
                "mlp",
                "acme_gan.networks:build_generator",
                params="acme_gan.params:GeneratorParams",
                summary="Fully connected generator for points.",
            )
    """


@hookspec
def ganforge_register_discriminators(register: Registrar) -> None:
    """Register networks that score samples. Declare further outputs: ``provides=("head:code",)``."""


@hookspec
def ganforge_register_losses(register: Registrar) -> None:
    """Register losses; one component has the terms of both players. Declare heads that it reads: ``requires=("head:code",)``."""


@hookspec
def ganforge_register_samplers(register: Registrar) -> None:
    """Register samplers of latents; give ``spec=`` so that recipes can be checked without torch."""


@hookspec
def ganforge_register_datasets(register: Registrar) -> None:
    """Register data sets; give ``spec=`` if the sizes follow from the params. Do not download anything here."""


@hookspec
def ganforge_register_metrics(register: Registrar) -> None:
    """Register metrics."""
