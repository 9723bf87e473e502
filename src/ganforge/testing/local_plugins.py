"""Load a plugin that is not installed, from a Python file or project folder, next to the installed ones."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganforge.core.errors import UsageError
from ganforge.registry.discovery import PluginRecord, builtin_plugin, installed_plugins, read_local_plugin
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.plugin_loader import load
from ganforge.registry.registry import Registry, shadowed_package
from ganforge.registry.selection import current_selection, local_plugin_name, normalize_name

_GUIDE = "docs/how-to/write-a-plugin.md shows a whole one"
_TABLE = f"[project.entry-points.{ENTRY_POINT_GROUP}]"


def is_path(text: str) -> bool:
    """Whether a text is a path: it looks like one, or it names an existing file or folder and no installed plugin."""
    if "/" in text or "\\" in text or text.endswith(".py") or text in (".", ".."):
        return True
    known = {normalize_name(name) for one in (builtin_plugin(), *installed_plugins()) for name in (one.name, one.distribution)}
    known |= {local_plugin_name(file) for file in current_selection().local}
    try:
        return normalize_name(text) not in known and Path(text).exists()
    except (OSError, ValueError):  # not a valid file name
        return False


@contextlib.contextmanager
def open_plugin(path: Path) -> Iterator[tuple[Registry, tuple[PluginRecord, ...]]]:
    """Load the plugin at a path next to the installed ones; a project replaces its installed distribution.

    Within the block, the project's modules are importable as if it were installed.

    Yields:
        The registry, and the records of the plugins at the path.

    Raises:
        UsageError: the path does not exist or is not a plugin.
    """
    path = _found(path)
    if path.is_file():
        if path.suffix != ".py":
            raise UsageError(f"{path} is not a plugin", remedy="name a Python file (.py), or a folder with a pyproject.toml")
        yield _loaded([read_local_plugin(path)])
        return
    found, places = _project(path)
    with _importable(places):
        yield _loaded(found)


def _found(path: Path) -> Path:
    try:
        found = path.expanduser().resolve()
        there = found.exists()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: unknown user, as in ~nobody
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"{path} cannot be read: {reason}", remedy="give the full path of a readable file") from error
    if not there:
        raise UsageError(f"{found} does not exist", remedy="ganforge plugins list shows what is installed")
    return found


def _loaded(own: list[PluginRecord]) -> tuple[Registry, tuple[PluginRecord, ...]]:
    switches = current_selection()
    names = {name for one in own for name in (normalize_name(one.name), one.distribution)}
    allowed = None if switches.allowed is None else switches.allowed | names  # an explicitly named plugin always loads
    switches = replace(switches, disabled=switches.disabled - names, allowed=allowed, strict=False)

    files = {one.url for one in own}
    others = [one for one in installed_plugins() if one.distribution not in {own_one.distribution for own_one in own}]
    locals_ = [one for one in map(read_local_plugin, switches.local) if one.url not in files]
    registry = load([builtin_plugin(), *others, *locals_, *own], switches)
    return registry, registry.plugins[-len(own) :]


def _project(folder: Path) -> tuple[list[PluginRecord], tuple[Path, ...]]:
    """The plugins in a project's metadata, and the folders of their modules."""
    file = folder / "pyproject.toml"
    project = _project_table(file)
    entries = project.get("entry-points", {})
    plugins = entries.get(ENTRY_POINT_GROUP) if isinstance(entries, dict) else None
    if not isinstance(plugins, dict) or not plugins or not all(isinstance(value, str) for value in plugins.values()):
        raise UsageError(f"{file} declares no plugin", remedy=f'add {_TABLE} with a line such as acme = "acme_gan.plugin"')
    name, version = project.get("name"), project.get("version", "0")
    if not isinstance(name, str) or not name:
        raise UsageError(f"{file} has no project name", remedy="add [project] name")

    wanted = project.get("dependencies", [])
    requires = tuple(line for line in wanted if isinstance(line, str)) if isinstance(wanted, list) else ()
    found = [
        PluginRecord(
            name=entry,
            distribution=normalize_name(name),
            version=str(version),
            module=value,
            requires=requires,
            source="local",
            origin=str(folder),
            url=folder.as_uri(),
        )
        for entry, value in sorted(plugins.items())
    ]
    places = dict.fromkeys(_place(folder, file, one.module) for one in found)
    return found, tuple(places)


def _project_table(file: Path) -> dict[str, Any]:
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except FileNotFoundError as error:
        raise UsageError(f"{file.parent} is not a plugin: it has no pyproject.toml", remedy=_GUIDE) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}", remedy="fix the file") from error
    if not isinstance(project, dict):
        raise UsageError(f"{file}: 'project' must be a table", remedy=_GUIDE)
    return project


def _place(folder: Path, file: Path, value: str) -> Path:
    """The folder that must be on sys.path to import an entry point's module."""
    top = re.split(r"[.:]", value.strip(), maxsplit=1)[0]
    if fault := shadowed_package(top):
        raise UsageError(f"{file}: {_TABLE} names '{value}', but {fault}", remedy="rename the package")
    for place in (folder / "src", folder):
        if (place / top).is_dir() or (place / f"{top}.py").is_file():
            return place
    raise UsageError(f"{file}: {_TABLE} names '{value}', but there is no '{top}' in {folder / 'src'} or {folder}", remedy=_GUIDE)


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
