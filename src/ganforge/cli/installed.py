"""What is installed, for the commands that look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganforge.cli import console

if TYPE_CHECKING:
    from ganforge.hooks.component import Kind
    from ganforge.hooks.registry import Registry


def registry(*, warn: bool = True) -> Registry:
    """Load the installed plugins; those that fail cost one line on stderr."""
    from ganforge.hooks.loading import load_plugins

    loaded = load_plugins()
    if warn and loaded.warning:
        console.warning(loaded.warning)
    return loaded


def kind_named(text: str) -> Kind:
    """The kind that ``loss`` or ``losses`` means.

    Raises:
        UsageError: no such kind.
    """
    from ganforge.core.errors import UsageError, did_you_mean
    from ganforge.hooks.component import Kind

    names = {name: kind for kind in Kind for name in (kind.value, kind.plural)}
    kind = names.get(text.lower())
    if kind is None:
        kinds = f"kinds: {', '.join(kind.plural for kind in Kind)}"
        hint = did_you_mean(text, names)
        raise UsageError(f"no kind of component is named '{text}'", remedy=f"{hint} {kinds}" if hint else kinds)
    return kind
