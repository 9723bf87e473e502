"""The hook specifications: one registration hook per kind of component, and the registrar that each hook receives.

The signature of a hook never changes. New abilities become keyword options of the registrar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy
from pydantic import ValidationError

from ganforge.core.errors import PluginError
from ganforge.core.params import NoParams, Params
from ganforge.registry.component import Component, Factory, Kind, PluginRef

PROJECT = "ganforge"
ENTRY_POINT_GROUP = "ganforge"
PREFIX = "ganforge_"
"""Functions of a plugin with this prefix must be hooks."""
HOOKS: Mapping[str, Kind] = {f"{PREFIX}register_{kind.plural}": kind for kind in Kind}
"""The kind of components that each hook registers."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True)
class Registrar:
    """The argument of every hook: call it to register a component. It is bound to one plugin and one kind."""

    kind: Kind
    plugin: PluginRef
    _staged: list[Component]

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
        try:
            component = Component(
                kind=self.kind,
                name=name,
                plugin=self.plugin,
                factory=factory,
                params=params,
                summary=summary,
                revision=revision,
                requires=requires,
                provides=provides,
                spec=spec,
                checksums=checksums,
                needs=needs,
                check_params={} if check_params is None else check_params,
                expected_failures={} if expected_failures is None else expected_failures,
                tags=tags,
                references=references,
                deprecated=deprecated,
                cost=cost,
            )
        except ValidationError as error:
            raise PluginError(f"{self.kind} {name!r}: {_describe(error)}") from error
        if not isinstance(params, str):
            component.load_params()
        if any(other.kind is self.kind and other.name == name for other in self._staged):
            raise PluginError(f"{self.kind} '{name}' is registered twice by {self.plugin.distribution}")
        self._staged.append(component)


def _describe(error: ValidationError) -> str:
    """The first invalid option with its value and what it must be."""
    first, *others = error.errors(include_url=False)
    option = first["loc"][0]
    reasons = dict.fromkeys(one["msg"] for one in (first, *others) if one["loc"][0] == option)
    return f"{option} {first['input']!r} is invalid: {' or '.join(reasons)}"


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
def ganforge_register_encoders(register: Registrar) -> None:
    """Register networks that map samples to tensors of the shape that a game wants, such as the posterior of a VAE."""


@hookspec
def ganforge_register_losses(register: Registrar) -> None:
    """Register losses; one component has the terms of all players. Declare what it reads: ``requires=("head:code",)``."""


@hookspec
def ganforge_register_samplers(register: Registrar) -> None:
    """Register samplers of latents; give ``spec=`` so that recipes can be checked without torch."""


@hookspec
def ganforge_register_datasets(register: Registrar) -> None:
    """Register data sets; give ``spec=`` if the sizes follow from the params. Do not download anything here."""


@hookspec
def ganforge_register_metrics(register: Registrar) -> None:
    """Register metrics."""


@hookspec
def ganforge_register_games(register: Registrar) -> None:
    """Register games: which networks there are, and who trains them; ``spec=`` is required."""
