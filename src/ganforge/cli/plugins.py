"""``ganforge plugins``: what is installed, from where, and whether it works."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See and check the installed plugins.")


@app.callback()
def plugins() -> None:
    """See and check the installed plugins."""


@app.command("list")
def list_plugins() -> None:
    """List the installed plugins."""
    raise NotImplementedError
