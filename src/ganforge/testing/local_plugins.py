"""Load a plugin that is not installed, from a Python file or project folder, next to the installed ones."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ganforge.core.errors import UsageError
from ganforge.registry.discovery import PluginRecord, builtin_plugin, installed_plugins
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import Registry, shadowed_package
from ganforge.registry.selection import LOCAL, PluginSelection, current_selection, local_plugin_name, normalize_name
from ganforge.testing.fixtures import write_metadata

_GUIDE = "docs/how-to/write-a-plugin.md shows a whole one"
_TABLE = f"[project.entry-points.{ENTRY_POINT_GROUP}]"


class _EntryPoints(BaseModel):
    ganforge: dict[str, str] = Field(min_length=1)


class _Project(BaseModel):
    """The table ``[project]`` of a ``pyproject.toml``."""

    name: str = Field(min_length=1)
    version: str = "0"
    dependencies: tuple[str, ...] = ()
    entry_points: _EntryPoints = Field(alias="entry-points")


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
    with contextlib.ExitStack() as stack:
        if path.is_dir():
            distribution, *names = stack.enter_context(_installed(path))
            selection = current_selection()
        elif path.suffix == ".py":
            distribution, names = LOCAL, [local_plugin_name(path)]
            selection = PluginSelection(local=(path,)).over(current_selection())
        else:
            raise UsageError(f"{path} is not a plugin", remedy="name a Python file (.py), or a folder with a pyproject.toml")
        own = {distribution, *names}  # an explicitly named plugin always loads
        allowed = None if selection.allowed is None else selection.allowed | own
        registry = load_plugins(replace(selection, disabled=selection.disabled - own, allowed=allowed), strict=False)
        records = [one for one in registry.plugins if one.distribution == distribution and normalize_name(one.name) in names]
        yield registry, tuple(records)


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


@contextlib.contextmanager
def _installed(folder: Path) -> Iterator[list[str]]:
    """Make a project's plugins importable and discoverable; yield the names of its distribution and plugins."""
    file = folder / "pyproject.toml"
    project = _read_project(file)
    entry_points = project.entry_points.ganforge
    places = list(dict.fromkeys(_place(folder, file, module) for module in entry_points.values()))
    before = list(sys.path)
    with tempfile.TemporaryDirectory() as metadata:
        source = {"url": folder.as_uri(), "dir_info": {}}
        write_metadata(Path(metadata), project.name, project.version, project.dependencies, entry_points, source)
        sys.path[:0] = [metadata, *map(str, places)]
        importlib.invalidate_caches()
        try:
            yield [normalize_name(name) for name in (project.name, *entry_points)]
        finally:
            sys.path[:] = before
            for name, module in list(sys.modules.items()):
                imported = getattr(module, "__file__", None)
                if imported and any(Path(imported).is_relative_to(place) for place in places):
                    del sys.modules[name]
            importlib.invalidate_caches()


def _read_project(file: Path) -> _Project:
    try:
        return _Project.model_validate(tomllib.loads(file.read_text(encoding="utf-8")).get("project", {}))
    except FileNotFoundError as error:
        raise UsageError(f"{file.parent} is not a plugin: it has no pyproject.toml", remedy=_GUIDE) from error
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, ('project', *first['loc'])))}: {first['msg']}"
        remedy = f'add {_TABLE} with a line such as acme = "acme_gan.plugin"; {_GUIDE}'
        raise UsageError(f"{file} declares no plugin: {reason}", remedy=remedy) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}", remedy="fix the file") from error


def _place(folder: Path, file: Path, value: str) -> Path:
    """The folder that must be on sys.path to import an entry point's module."""
    top = re.split(r"[.:]", value.strip(), maxsplit=1)[0]
    if fault := shadowed_package(top):
        raise UsageError(f"{file}: {_TABLE} names '{value}', but {fault}", remedy="rename the package")
    for place in (folder / "src", folder):
        if (place / top).is_dir() or (place / f"{top}.py").is_file():
            return place
    raise UsageError(f"{file}: {_TABLE} names '{value}', but there is no '{top}' in {folder / 'src'} or {folder}", remedy=_GUIDE)
