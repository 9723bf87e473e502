"""The hook specs: one registration hook per kind of component, each with one argument for ever.

A registrar is bound to the plugin that is asked and grows new abilities as keyword options; a hook's signature never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ganforge.registry.registrar import Registrar

PROJECT = "ganforge"
ENTRY_POINT_GROUP = "ganforge"
PREFIX = "ganforge_"
"""A plugin's public function with this prefix must be a known hook."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ganforge_register_generators(register: Registrar) -> None:
    """Announce networks that turn latents into samples.

    Call ``register`` once per generator. Nothing is built here and torch should not be imported: give factory and params as
    ``"module:attribute"`` strings. If this function raises, none of the plugin's components become available.

    A whole plugin module::

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
    """Announce networks that judge samples. A network with further outputs says so: ``provides=("head:code",)``."""


@hookspec
def ganforge_register_losses(register: Registrar) -> None:
    """Announce losses; one component holds both turns. A loss that reads a head says so: ``requires=("head:code",)``."""


@hookspec
def ganforge_register_samplers(register: Registrar) -> None:
    """Announce samplers of latents; give ``spec=`` so that recipes can be checked without torch."""


@hookspec
def ganforge_register_datasets(register: Registrar) -> None:
    """Announce data sets; give ``spec=`` where the sizes follow from the params. Nothing is downloaded here."""


@hookspec
def ganforge_register_metrics(register: Registrar) -> None:
    """Announce metrics."""
