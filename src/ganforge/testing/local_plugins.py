"""Plugins that are not installed: a Python file, or a project's folder; loaded beside the installed ones."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from ganforge.core.errors import UsageError
from ganforge.registry.discovery import InstalledPlugin, builtin_plugin, distribution_error, installed_plugins, read_local_plugin
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.plugin_loader import load
from ganforge.registry.registry import PluginRecord, Registry
from ganforge.registry.reserved_names import shadowed_package
from ganforge.registry.selection import current_selection, local_plugin_name, normalize_name

_GUIDE = "docs/how-to/write-a-plugin.md shows a whole one"
_TABLE = f"[project.entry-points.{ENTRY_POINT_GROUP}]"


def is_path(text: str) -> bool:
    """Whether a text means a file or folder: it is written like one, or names one that is there and no installed plugin."""
    if "/" in text or "\\" in text or text.endswith(".py") or text in (".", ".."):
        return True
    known = {normalize_name(name) for one in (builtin_plugin(), *installed_plugins()) for name in (one.name, one.distribution)}
    known |= {local_plugin_name(file) for file in current_selection().local}
    try:
        return normalize_name(text) not in known and Path(text).exists()
    except (OSError, ValueError):  # no file can have such a name
        return False


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Registry, tuple[PluginRecord, ...]]]:
    """Load the plugin that a path is, beside the installed ones; a project takes the place of its installed distribution.

    While the block runs, a project's modules are found as if it were installed; afterwards nothing of them is left.

    Yields:
        What is installed with it, and the records of the path's own plugins.

    Raises:
        UsageError: the path is not there or is no plugin.
    """
    path = _found(path)
    if path.is_file():
        if path.suffix != ".py":
            raise UsageError(f"{path} is no plugin", remedy="name a Python file (.py), or a folder with a pyproject.toml")
        yield _loaded([read_local_plugin(path)])
        return
    found, places = _project(path)
    with _importable(places):
        yield _loaded(found)


def _found(path: Path) -> Path:
    try:
        found = path.expanduser().resolve()
        there = found.exists()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: nobody is called as in ~nobody
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(
            f"{path} cannot be looked at: {reason}", remedy="write the whole path, of a file that you may read"
        ) from error
    if not there:
        raise UsageError(f"there is no file or folder {found}", remedy="ganforge plugins list shows what is installed")
    return found


def _loaded(own: list[InstalledPlugin]) -> tuple[Registry, tuple[PluginRecord, ...]]:
    switches = current_selection()
    names = {name for one in own for name in (normalize_name(one.name), one.distribution)}
    allowed = None if switches.allowed is None else switches.allowed | names  # what is named here is meant to load
    switches = replace(switches, disabled=switches.disabled - names, allowed=allowed, strict=False)

    files = {one.url for one in own}
    others = [one for one in installed_plugins() if one.distribution not in {own_one.distribution for own_one in own}]
    locals_ = [one for one in map(read_local_plugin, switches.local) if one.url not in files]
    registry = load([builtin_plugin(), *others, *locals_, *own], switches)
    return registry, registry.plugins[-len(own) :]


def _project(folder: Path) -> tuple[list[InstalledPlugin], tuple[Path, ...]]:
    """The plugins that a project's metadata announce, and the folders where their modules lie."""
    file = folder / "pyproject.toml"
    project = _project_table(file)
    entries = project.get("entry-points", {})
    plugins = entries.get(ENTRY_POINT_GROUP) if isinstance(entries, dict) else None
    if not isinstance(plugins, dict) or not plugins or not all(isinstance(value, str) for value in plugins.values()):
        raise UsageError(f"{file} announces no plugin", remedy=f'add {_TABLE} with a line such as acme = "acme_gan.plugin"')
    name, version = project.get("name"), project.get("version", "0")
    if not isinstance(name, str) or not name:
        raise UsageError(f"{file} gives the project no name", remedy="add [project] name")

    wanted = project.get("dependencies", [])
    requires = tuple(line for line in wanted if isinstance(line, str)) if isinstance(wanted, list) else ()
    found = [
        InstalledPlugin(
            name=entry,
            distribution=normalize_name(name),
            version=str(version),
            entry_point=metadata.EntryPoint(entry, value, ENTRY_POINT_GROUP),
            requires=requires,
            source="local",
            origin=str(folder),
            url=folder.as_uri(),
            fault=distribution_error(normalize_name(name), str(version)),
        )
        for entry, value in sorted(plugins.items())
    ]
    places = dict.fromkeys(_place(folder, file, one.entry_point.value) for one in found)
    return found, tuple(places)


def _project_table(file: Path) -> dict[str, Any]:
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except FileNotFoundError as error:
        raise UsageError(f"{file.parent} is no plugin: it has no pyproject.toml", remedy=_GUIDE) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}", remedy="mend it") from error
    if not isinstance(project, dict):
        raise UsageError(f"{file}: 'project' must be a table", remedy=_GUIDE)
    return project


def _place(folder: Path, file: Path, value: str) -> Path:
    """What must be on the import path for an entry point's module to be found."""
    top = re.split(r"[.:]", value.strip(), maxsplit=1)[0]
    if fault := shadowed_package(top):
        raise UsageError(f"{file}: {_TABLE} names '{value}', and {fault}", remedy="rename the package")
    for place in (folder / "src", folder):
        if (place / top).is_dir() or (place / f"{top}.py").is_file():
            return place
    raise UsageError(f"{file}: {_TABLE} names '{value}', and there is no '{top}' in {folder / 'src'} or {folder}", remedy=_GUIDE)


@contextlib.contextmanager
def _importable(places: tuple[Path, ...]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(place) for place in places]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and any(Path(file).is_relative_to(place) for place in places):
                del sys.modules[name]
        importlib.invalidate_caches()
