"""``ganforge list`` and ``ganforge describe``: what is installed, and what it takes."""

from __future__ import annotations

from typing import Annotated

import typer


def list_components(
    kind: Annotated[str | None, typer.Argument(help="Only this kind, such as losses.")] = None,
) -> None:
    """List the installed components."""
    raise NotImplementedError


def describe(
    kind: Annotated[str, typer.Argument(help="generator, discriminator, loss, sampler, dataset or metric.")],
    name: Annotated[str, typer.Argument(help="Name of the component.")],
) -> None:
    """Show a component's parameters, provenance and papers."""
    raise NotImplementedError
