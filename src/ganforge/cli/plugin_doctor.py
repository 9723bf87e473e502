"""Checks of ``ganforge plugins doctor``: installed plugins, plugin selection, local files and schema files."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge import __version__
from ganforge.cli.diagnosis import Diagnosis
from ganforge.core.errors import GanforgeError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from ganforge.registry.component import Component
    from ganforge.registry.discovery import InstalledCopy, PluginRecord
    from ganforge.registry.registry import Registry

_UPPER_BOUND = frozenset({"<", "<=", "==", "===", "~="})
"""Version operators that set an upper bound."""


def diagnose_plugins(folder: Path) -> Iterator[Diagnosis]:
    """Check everything about plugins; a check that cannot run is a fault too.

    Args:
        folder: where to look for recipes and the project's settings.
    """
    from ganforge.registry.plugin_loader import load_plugins

    yield Diagnosis("python", "ok", ".".join(map(str, sys.version_info[:3])), where=sys.executable)
    yield Diagnosis("ganforge", "ok", __version__, where=str(Path(__file__).parents[1]))
    try:
        yield from _selection(folder)
        yield from diagnose_registry(load_plugins(strict=False), folder)
    except GanforgeError as error:
        yield Diagnosis("selection", "fault", error.message, error.remedy)


def diagnose_registry(registry: Registry, folder: Path) -> Iterator[Diagnosis]:
    """Check each plugin of a registry, its metadata and names, and the schema files that the folder uses."""
    from ganforge.registry.discovery import find_copies, installed_plugins

    for record in registry.plugins:
        yield _plugin(record)
    for plugin in installed_plugins():
        yield from _bounds(plugin)
    copies, unreadable = find_copies()
    for several in copies.values():
        yield from _copies(several)
    for place, reason in unreadable.items():
        remedy = "pip install --force-reinstall the package it belongs to, or remove the folder"
        yield Diagnosis("metadata", "fault", f"cannot be read: {reason}", remedy, where=str(place))
    yield from _names(registry)
    for component in registry.components():
        yield from _references(component)
    yield from _schemas(folder, registry)


def _plugin(record: PluginRecord) -> Diagnosis:
    """One plugin: its status and what fixes it."""
    from ganforge.registry.discovery import PluginStatus

    where = str(record.file or record.origin or "") or None
    text = f"{record.title} {record.version} is {record.status}"
    if record.failed:
        return Diagnosis("plugins", "fault", f"{text}: {record.reason}", _remedy(record), where)
    if record.status is PluginStatus.UNAVAILABLE:
        modules = (record.reason or "").removeprefix("needs ")
        return Diagnosis("plugins", "note", f"{text}: {record.reason}", f"pip install {modules.replace(',', '')}", where)
    if record.status is PluginStatus.DISABLED:
        gone = "" if record.file else f"; its entry point {record.module} does not exist"
        return Diagnosis("plugins", "note" if gone else "ok", f"{text}: {record.reason}{gone}", where=where)
    offers = ", ".join(f"{len(names)} {kind.plural if len(names) > 1 else kind.value}" for kind, names in record.components.items())
    took = f", loaded in {record.load_ms:.0f} ms" if record.load_ms is not None else ""
    digest = f", sha256 {record.sha256[:12]}" if record.sha256 else ""
    heavy = [remark for remark in record.remarks if remark.startswith("imports ")]
    return Diagnosis(
        "plugins",
        "note" if heavy or not offers else "ok",
        "; ".join([f"{text}: {offers or 'registers nothing'}{took}{digest}", *heavy]),
        _lighter(record) if heavy else None,
        where,
    )


def unmet_requirements(lines: Iterable[str]) -> Iterator[tuple[Requirement, str | None]]:
    """The requirements that installed packages do not meet, each with the installed version or ``None``."""
    from importlib import metadata

    from packaging.requirements import InvalidRequirement, Requirement

    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            version = None
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            yield wanted, version


def _remedy(record: PluginRecord) -> str:
    """The command that fixes a plugin that failed."""
    from ganforge.registry.discovery import PluginStatus
    from ganforge.registry.selection import command_line_options

    info = f"ganforge plugins info {record.id}{command_line_options()}"
    if record.source == "file":
        return f"fix {record.origin}; for the traceback run: {info}"
    without = f"or pip uninstall {record.distribution}"
    details = f"details: {info}"
    if record.status is PluginStatus.INCOMPATIBLE:
        return f"pip install --upgrade {record.distribution}, {without} if no release supports ganforge {__version__}; {details}"
    if missing := [f"'{one}'" for one, _ in unmet_requirements(record.requires) if one.name != "ganforge"]:
        return f"pip install {' '.join(missing)}; {details}"
    if record.source == "editable":
        return f"fix it in {record.origin}, {without}; {details}"
    lost = "its entry point does not exist: " if record.file is None else ""
    return f"{lost}pip install --force-reinstall --no-deps {record.distribution}, {without}; {details}"


def _lighter(record: PluginRecord) -> str:
    if record.sha256:
        return "a package can delay the import by naming factories as 'module:attribute'; see ganforge plugins new"
    return "the plugin should name its factories as 'module:attribute', so that listing them imports nothing heavy"


def _bounds(plugin: PluginRecord) -> Iterator[Diagnosis]:
    """Whether a plugin's metadata states which ganforge versions it supports."""
    from packaging.requirements import InvalidRequirement, Requirement

    major, minor = __version__.split(".")[:2]
    fitting = f"ganforge>={major}.{minor},<{f'0.{int(minor) + 1}' if major == '0' else int(major) + 1}"
    remedy = f"the plugin should require {fitting}; until then, update ganforge with care"
    try:
        wanted = [one for one in map(Requirement, plugin.requires) if one.name == "ganforge"]
    except InvalidRequirement as error:
        yield Diagnosis("bounds", "note", f"{plugin.distribution}: a requirement cannot be read: {error}", remedy, str(plugin.file))
        return
    where = str(plugin.file or "") or None
    if not wanted:
        yield Diagnosis("bounds", "note", f"{plugin.distribution} {plugin.version} does not require ganforge", remedy, where)
    elif not any(mark.operator in _UPPER_BOUND for one in wanted for mark in one.specifier):
        text = f"{plugin.distribution} {plugin.version} sets no upper bound ({', '.join(map(str, wanted))})"
        yield Diagnosis("bounds", "note", text, remedy, where)


def _copies(copies: tuple[InstalledCopy, ...]) -> Iterator[Diagnosis]:
    first, *others = copies
    for other in others:
        same = (first.version, first.entries) == (other.version, other.entries)
        yield Diagnosis(
            "copies",
            "note" if same else "fault",
            f"{first.distribution} is installed twice: Python imports {first.version} in {first.folder}, not {other.version}",
            f"run pip uninstall {first.distribution} until it is gone, then install it once; or remove the folder from sys.path",
            str(other.folder),
        )


def _names(registry: Registry) -> Iterator[Diagnosis]:
    """Names shared by several plugins or components."""
    from ganforge.registry.registry import FIRST_PARTY
    from ganforge.registry.selection import normalize_name

    by_name = sorted(registry.plugins, key=lambda one: normalize_name(one.name))
    for name, same in groupby(by_name, key=lambda one: normalize_name(one.name)):
        ids = sorted(f"{one.distribution}/{one.name}" for one in same)
        if len(ids) > 1:
            remedy = "use their distribution names in options and commands"
            yield Diagnosis("names", "note", f"several plugins are called '{name}': {', '.join(ids)}", remedy)

    third_party = [one for one in registry.components() if one.plugin.distribution not in FIRST_PARTY]
    for (kind, name), alike in groupby(third_party, key=lambda one: (one.kind, one.name)):
        ids = [one.id for one in alike]
        if len(ids) > 1:
            yield Diagnosis("names", "note", f"{kind} '{name}' is ambiguous: {', '.join(ids)}", "use the full id in recipes")
    for record in registry.plugins:
        for remark in record.remarks:
            if "reserved" in remark:
                yield Diagnosis("names", "note", f"{record.title}: {remark}", where=str(record.file or "") or None)


def _references(component: Component) -> Iterator[Diagnosis]:
    for reference in (component.factory, component.params, component.spec):
        if not isinstance(reference, str):
            continue
        module = reference.partition(":")[0]
        try:
            reason = None if importlib.util.find_spec(module) else f"there is no module {module}"
        except Exception as error:  # noqa: BLE001 - finding the module imports the plugin's package, which may raise anything
            reason = f"{type(error).__name__}: {error}"
        if reason:
            text = f"{component.kind} '{component.id}' does not exist: {reference}: {reason}"
            remedy = f"pip install --force-reinstall --no-deps {component.plugin.distribution}, or report it to its authors"
            yield Diagnosis(
                "names",
                "fault",
                text,
                remedy,
            )


def _selection(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Diagnosis]:
    """Which plugins are disabled, allowed or added, and where that is set."""
    from ganforge.registry import selection

    environ = os.environ if environ is None else environ
    cli = selection.from_command_line(environ)
    listed = (("--no-plugin", cli.disabled or None), ("--only-plugins", cli.allowed), ("--plugin", cli.local or None))
    settings = [(name, _listed(names), "the command line") for name, names in listed if names is not None]
    settings += [("--strict-plugins", "", "the command line")] if cli.strict else []
    settings += [
        (name, f"= {environ[name]}".rstrip(), "the environment")
        for name in ("GANFORGE_PLUGINS", "GANFORGE_DISABLE_PLUGINS", "GANFORGE_STRICT_PLUGINS")
        if name in environ
    ]
    project, file = selection.from_project(folder), selection.project_file(folder)
    for key, names in (("only", project.allowed), ("disable", project.disabled or None), ("local", project.local or None)):
        if names is not None and file is not None:
            line = selection.key_line(file, key)
            settings.append((key, f"= {_listed(names)}", f"{file}:{line}" if line else str(file)))
    for name, value, where in settings:
        yield Diagnosis("selection", "ok", f"{name} {value}".rstrip(), where=where)
    if not settings:
        yield Diagnosis("selection", "ok", "none: every installed plugin may load")


def _listed(names: Iterable[object] | None) -> str:
    return ", ".join(sorted(map(str, names or ()))) or "only the built-in components"


def _schemas(folder: Path, registry: Registry) -> Iterator[Diagnosis]:
    from ganforge.recipe.editor_config import find_schemas
    from ganforge.recipe.json_schema import outdated_reason

    for schema, named_by in find_schemas(folder).items():
        behind = outdated_reason(schema, registry)
        where = f"{schema}, which {named_by} names" if named_by else str(schema)
        yield Diagnosis(
            "schema",
            "note" if behind else "ok",
            behind or "up to date",
            _renewal(behind, schema),
            where,
        )


def _renewal(behind: str | None, schema: Path) -> str | None:
    from ganforge.recipe.json_schema import update_command

    return update_command(schema) if behind else None
