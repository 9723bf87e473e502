"""Installed plugins and components, as commands need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganforge.cli import console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ganforge.registry.component import Kind
    from ganforge.registry.discovery import PluginRecord
    from ganforge.registry.registry import Registry


def registry(*, warn: bool = True) -> Registry:
    """Load the installed plugins; print one warning line about those that fail."""
    from ganforge.registry.plugin_loader import load_plugins

    loaded = load_plugins()
    if warn and loaded.warning:
        console.warning(loaded.warning)
    return loaded


def registry_with_failures() -> Registry:
    """Load for commands that report plugin status: they print it first and call :func:`require_loaded` last."""
    from ganforge.registry.plugin_loader import load_plugins

    return load_plugins(strict=False)


def require_loaded(loaded: Registry) -> None:
    """Raise if a plugin failed and ``--strict-plugins`` is set.

    Raises:
        PluginError: with each plugin that is broken or incompatible.
    """
    from ganforge.registry.plugin_loader import raise_on_failures
    from ganforge.registry.selection import current_selection

    if current_selection().strict:
        raise_on_failures(loaded)


def plugins_named(records: Iterable[PluginRecord], name: str) -> tuple[PluginRecord, ...]:
    """Find plugins by name: all of a distribution, or the one with that entry point.

    Raises:
        UsageError: no plugin has the name, or several distributions do.
    """
    from ganforge.core.errors import UsageError, did_you_mean
    from ganforge.registry.selection import normalize_name

    records = tuple(records)
    distribution, _, entry = map(normalize_name, name.rpartition("/"))
    if distribution:
        found = tuple(one for one in records if (one.distribution, normalize_name(one.name)) == (distribution, entry))
    else:
        found = tuple(one for one in records if entry == one.distribution) or tuple(
            one for one in records if entry == normalize_name(one.name)
        )
    if not found:
        known = sorted({one.handle for one in records} | {normalize_name(one.name) for one in records})
        hint = did_you_mean(normalize_name(name), known)
        listed = f"installed: {', '.join(sorted({one.handle for one in records}))}"
        raise UsageError(f"no plugin named '{name}' is installed", remedy=f"{hint} {listed}" if hint else listed)
    if len({one.distribution for one in found}) > 1 or (found[0].distribution == "local" and len(found) > 1):
        ids = ", ".join(f"{one.distribution}/{one.name}" for one in found)
        raise UsageError(f"plugin '{name}' is ambiguous", remedy=f"use one of: {ids}")
    return found


def kind_named(text: str) -> Kind:
    """Find a kind by its singular or plural name, such as ``loss`` or ``losses``.

    Raises:
        UsageError: no such kind.
    """
    from ganforge.core.errors import UsageError, did_you_mean
    from ganforge.registry.component import Kind

    names = {name: kind for kind in Kind for name in (kind.value, kind.plural)}
    kind = names.get(text.lower())
    if kind is None:
        kinds = f"kinds: {', '.join(kind.plural for kind in Kind)}"
        hint = did_you_mean(text, names)
        raise UsageError(f"no component kind is named '{text}'", remedy=f"{hint} {kinds}" if hint else kinds)
    return kind
