"""A component as a plugin announces it: names and references; nothing is imported or built until a recipe uses it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ganforge.core.errors import PluginError
from ganforge.core.isolation import describe_error, isolated
from ganforge.core.params import Params
from ganforge.registry.plain_types import unplain

Factory = Callable[[Any, Any], object]
"""``(params, context) -> component``; the context's type depends on the kind."""


class Kind(StrEnum):
    """The kinds of component that a recipe names."""

    GENERATOR = "generator"
    DISCRIMINATOR = "discriminator"
    LOSS = "loss"
    SAMPLER = "sampler"
    DATASET = "dataset"
    METRIC = "metric"

    @property
    def plural(self) -> str:
        """As in ``ganforge list losses``."""
        return "losses" if self is Kind.LOSS else f"{self.value}s"


@dataclass(frozen=True, slots=True)
class PluginRef:
    """Whose component it is.

    Attributes:
        name: entry-point name, such as ``dcgan``.
        distribution: distribution name, normalised (PEP 503), such as ``ganforge-dcgan``.
        version: the distribution's version; for a local file the beginning of its SHA-256.
        source: how it came here: ``index``, ``editable``, ``local`` (a folder), ``vcs``, ``url``, or ``file`` for a local file.
        url: where from, as pip takes it, unless it came from an index; for a local file its path.
        sha256: of a local file's content.
    """

    name: str
    distribution: str
    version: str
    source: str = "index"
    url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """One registered component.

    Attributes:
        kind: what it is.
        name: short name, such as ``mlp``.
        plugin: who provides it.
        factory: ``"module:attribute"`` or the function itself.
        params: ``"module:attribute"`` or the params model itself.
        summary: one line that says what it is.
        revision: grows when the same params give another result.
        requires: capability words that other parts must provide: ``labels``, ``categorical-codes``, ``continuous-codes``,
            ``codes``, ``points``, ``images``, ``density``, or a head of the discriminator as ``head:NAME``.
        provides: capability words this part adds, such as ``head:code``.
        spec: datasets and samplers: ``"module:attribute"`` of a torch-free function giving the spec from the params
            (``params -> DataSpec``; ``(params, DataSpec) -> LatentSpec``), so that a recipe can be checked without torch.
        needs: modules that must be importable, such as ``torchvision``; looked for without importing them.
        check_params: small, quick parameters for the conformance kit.
        expected_failures: checks of the conformance kit that may fail, and why: ``{"G06": "batch statistics are the point"}``.
        tags: words to filter listings by.
        references: papers, as text or URL.
        deprecated: what to use instead, or ``None``.
        cost: how time and memory grow, such as ``time n²·d``; metrics say it, of n samples of d numbers.
    """

    kind: Kind
    name: str
    plugin: PluginRef
    factory: str | Factory
    params: str | type[Params]
    summary: str
    revision: int = 1
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    spec: str | Callable[..., object] | None = None
    needs: tuple[str, ...] = ()
    check_params: Mapping[str, Any] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    references: tuple[str, ...] = ()
    deprecated: str | None = None
    cost: str | None = None

    @property
    def id(self) -> str:
        """The full id, unique by construction: ``distribution/name``."""
        return f"{self.plugin.distribution}/{self.name}"

    @property
    def missing(self) -> tuple[str, ...]:
        """The needed modules that are not installed."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name.partition(".")[0]) is None)

    def load_params(self) -> type[Params]:
        """The params model, imported now if it was given by name.

        Raises:
            PluginError: it cannot be imported, is no model of params, or would make more than plain data of a recipe's text.
        """
        model = self.load_model()
        if faults := unplain(model):
            raise PluginError(
                f"{self.kind} '{self.id}': its params are not plain data: {'; '.join(faults)}",
                remedy=f"report it to the authors of {self.plugin.distribution}",
            )
        return model

    def load_model(self) -> type[Params]:
        """The params model as the plugin gives it, whatever its fields are; for looking at it, never for judging a recipe."""
        model = self._load(self.params)
        if not (isinstance(model, type) and issubclass(model, Params)):
            raise PluginError(
                f"{self.kind} '{self.id}': its params model {self.params!r} is no subclass of ganforge.plugin.Params",
                remedy=f"report it to the authors of {self.plugin.distribution}",
            )
        return model

    def load_factory(self) -> Factory:
        """The factory, imported now if it was given by name."""
        factory: Factory = self._load(self.factory)
        if not callable(factory):
            raise PluginError(f"{self.kind} '{self.id}': its factory {self.factory!r} cannot be called")
        return factory

    def load_spec(self) -> Callable[..., Any] | None:
        """The torch-free spec function, or ``None`` when the component has none."""
        return None if self.spec is None else self._load(self.spec)

    def source(self) -> Path | None:
        """The file that the factory stands in; one given by name is found without importing it."""
        if not isinstance(self.factory, str):
            module = sys.modules.get(getattr(self.factory, "__module__", ""))
            file = getattr(module, "__file__", None)
            return Path(file) if file else None
        found = importlib.util.find_spec(self.factory.partition(":")[0])
        return Path(found.origin) if found and found.origin else None

    def _load(self, reference: Any) -> Any:
        if not isinstance(reference, str):
            return reference
        module, _, attribute = reference.partition(":")
        try:
            with isolated():
                return getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                f"{self.kind} '{self.id}': cannot load {reference}: {describe_error(error)}",
                remedy=_mending(self.plugin),
            ) from error


def _mending(plugin: PluginRef) -> str:
    """What to do about a reference that leads nowhere; pip mends nothing in a file or folder of the user's own."""
    if plugin.source == "file":
        return f"mend {plugin.url}"
    path = unquote(urlsplit(plugin.url or "").path)
    if plugin.source == "editable" or (plugin.source == "local" and Path(path).is_dir() and path):
        return f"mend it in {path}" + ("" if plugin.source == "editable" else ", and install it again if it is installed")
    return f"reinstall or update {plugin.distribution} {plugin.version}"
