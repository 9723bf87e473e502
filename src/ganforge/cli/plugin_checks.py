"""What ``ganforge plugins doctor`` looks at: everything about installed plugins, switches, local files and schemas."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge import __version__
from ganforge.cli.doctor_findings import Finding
from ganforge.core.errors import GanforgeError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from ganforge.registry.component import Component
    from ganforge.registry.discovery import Found
    from ganforge.registry.duplicate_distributions import Copy
    from ganforge.registry.registry import PluginRecord, Registry

_BOUNDING = frozenset({"<", "<=", "==", "===", "~="})
"""Comparisons that keep a plugin from being used with every later ganforge."""


def examine_plugins(folder: Path) -> Iterator[Finding]:
    """Look at everything that concerns plugins; what keeps them from being looked at is a fault of its own.

    Args:
        folder: where recipes and the project's settings are looked for.
    """
    from ganforge.registry.plugin_loader import load_plugins

    yield Finding("python", "ok", ".".join(map(str, sys.version_info[:3])), where=sys.executable)
    yield Finding("ganforge", "ok", __version__, where=str(Path(__file__).parents[1]))
    try:
        yield from _switches(folder)
        yield from examine_registry(load_plugins(strict=False), folder)
    except GanforgeError as error:
        yield Finding("switches", "fault", error.message, error.remedy)


def examine_registry(registry: Registry, folder: Path) -> Iterator[Finding]:
    """Look at each plugin of a registry, at its metadata and names, and at the schemas that count in the folder."""
    from ganforge.registry.discovery import installed
    from ganforge.registry.duplicate_distributions import find_copies

    found = {(one.distribution, one.name): one for one in installed()}
    for record in registry.plugins:
        yield of_plugin(record, found.get((record.distribution, record.name)))
    for plugin in found.values():
        yield from _bounds(plugin)
    copies, unreadable = find_copies()
    for several in copies.values():
        yield from _copies(several)
    for one in unreadable:
        remedy = "pip install --force-reinstall the package that it belongs to, or remove the folder"
        yield Finding("metadata", "fault", f"cannot be read: {one.reason}", remedy, where=str(one.place))
    yield from _names(registry)
    for component in registry.components():
        yield from _references(component)
    yield from _schemas(folder, registry)


def of_plugin(record: PluginRecord, found: Found | None = None) -> Finding:
    """One plugin: how it fared, and what mends it."""
    from ganforge.registry.registry import Status

    where = str(record.file or record.origin or "") or None
    told = f"{record.title} {record.version} is {record.status}"
    if record.failed:
        return Finding("plugins", "fault", f"{told}: {record.reason}", _remedy(record, found), where)
    if record.status is Status.UNAVAILABLE:
        modules = (record.reason or "").removeprefix("needs ")
        return Finding("plugins", "note", f"{told}: {record.reason}", f"pip install {modules.replace(',', '')}", where)
    if record.status is Status.DISABLED:
        gone = "" if record.file else f"; its entry point {record.module} leads nowhere"
        return Finding("plugins", "note" if gone else "ok", f"{told}: {record.reason}{gone}", where=where)
    offers = ", ".join(f"{len(names)} {kind.plural if len(names) > 1 else kind.value}" for kind, names in record.offers.items())
    took = f", loaded in {record.load_ms:.0f} ms" if record.load_ms is not None else ""
    digest = f", sha256 {record.sha256[:12]}" if record.sha256 else ""
    heavy = [remark for remark in record.remarks if remark.startswith("imports ")]
    return Finding(
        "plugins",
        "note" if heavy or not offers else "ok",
        "; ".join([f"{told}: {offers or 'offers nothing'}{took}{digest}", *heavy]),
        _lighter(record) if heavy else None,
        where,
    )


def unmet(lines: Iterable[str]) -> Iterator[tuple[Requirement, str | None]]:
    """The requirements that the installed packages do not meet, each with the version that is there."""
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


def _remedy(record: PluginRecord, found: Found | None) -> str:
    """The line that mends a plugin that failed."""
    from ganforge.registry.registry import Status

    if record.sha256 or record.source == "file":
        return f"mend {record.origin}; its traceback: ganforge plugins info {record.id}"
    without = f"or pip uninstall {record.distribution}"
    details = f"details: ganforge plugins info {record.id}"
    if record.status is Status.INCOMPATIBLE:
        return f"pip install --upgrade {record.distribution}, {without} where none takes ganforge {__version__}; {details}"
    if missing := [f"'{one}'" for one, _ in unmet(found.requires if found else ()) if one.name != "ganforge"]:
        return f"pip install {' '.join(missing)}; {details}"
    if record.source == "editable":
        return f"mend it in {record.origin}, {without}; {details}"
    lost = "its entry point leads nowhere: " if record.file is None else ""
    return f"{lost}pip install --force-reinstall --no-deps {record.distribution}, {without}; {details}"


def _lighter(record: PluginRecord) -> str:
    if record.sha256:
        return "one file cannot put that off; a package can, whose factories are named 'module:attribute': ganforge plugins new"
    return "its authors should name factories as 'module:attribute', so that listing them imports nothing heavy"


def _bounds(plugin: Found) -> Iterator[Finding]:
    """What a plugin says of the ganforge it works with, which alone keeps it from being loaded by another."""
    from packaging.requirements import InvalidRequirement, Requirement

    major, minor = __version__.split(".")[:2]
    fitting = f"ganforge>={major}.{minor},<{f'0.{int(minor) + 1}' if major == '0' else int(major) + 1}"
    remedy = f"its authors should require {fitting}; until then update ganforge with care"
    try:
        wanted = [one for one in map(Requirement, plugin.requires) if one.name == "ganforge"]
    except InvalidRequirement as error:
        yield Finding("bounds", "note", f"{plugin.distribution}: a requirement cannot be read: {error}", remedy, str(plugin.file))
        return
    where = str(plugin.file or "") or None
    if not wanted:
        yield Finding("bounds", "note", f"{plugin.distribution} {plugin.version} does not require ganforge", remedy, where)
    elif not any(mark.operator in _BOUNDING for one in wanted for mark in one.specifier):
        told = f"{plugin.distribution} {plugin.version} sets no upper bound ({', '.join(map(str, wanted))})"
        yield Finding("bounds", "note", told, remedy, where)


def _copies(copies: tuple[Copy, ...]) -> Iterator[Finding]:
    first, *others = copies
    for other in others:
        same = (first.version, first.entries) == (other.version, other.entries)
        yield Finding(
            "copies",
            "note" if same else "fault",
            f"{first.distribution} is installed twice: {first.version} in {first.folder} counts, not {other.version}",
            f"pip uninstall {first.distribution} until it is gone, then install it once; or take the folder off the import path",
            str(other.folder),
        )


def _names(registry: Registry) -> Iterator[Finding]:
    """Names that mean something else than one may think."""
    from ganforge.registry.first_party import FIRST_PARTY
    from ganforge.registry.selection import normalise

    by_name = sorted(registry.plugins, key=lambda one: normalise(one.name))
    for name, same in groupby(by_name, key=lambda one: normalise(one.name)):
        ids = sorted(f"{one.distribution}/{one.name}" for one in same)
        if len(ids) > 1:
            remedy = "name them by their distributions in switches and commands"
            yield Finding("names", "note", f"several plugins are called '{name}': {', '.join(ids)}", remedy)

    strangers = [one for one in registry.components() if one.plugin.distribution not in FIRST_PARTY]
    for (kind, name), alike in groupby(strangers, key=lambda one: (one.kind, one.name)):
        ids = [one.id for one in alike]
        if len(ids) > 1:
            yield Finding("names", "note", f"{kind} '{name}' is ambiguous: {', '.join(ids)}", "recipes must write the full id")
    for record in registry.plugins:
        for remark in record.remarks:
            if "reserved" in remark:
                yield Finding("names", "note", f"{record.title}: {remark}", where=str(record.file or "") or None)


def _references(component: Component) -> Iterator[Finding]:
    for reference in (component.factory, component.params, component.spec):
        if not isinstance(reference, str):
            continue
        module = reference.partition(":")[0]
        try:
            reason = None if importlib.util.find_spec(module) else f"there is no module {module}"
        except Exception as error:  # noqa: BLE001 - the package above it is the plugin's, and may raise anything
            reason = f"{type(error).__name__}: {error}"
        if reason:
            told = f"{component.kind} '{component.id}' leads nowhere: {reference}: {reason}"
            distribution = component.plugin.distribution
            yield Finding("names", "fault", told, f"pip install --force-reinstall --no-deps {distribution}; else tell its authors")


def _switches(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """What is switched off, allowed or added, and by which place."""
    from ganforge.registry import current_selection

    environ = os.environ if environ is None else environ
    said = current_selection.from_command_line(environ)
    listed = (("--no-plugin", said.disabled or None), ("--only-plugins", said.allowed), ("--plugin", said.local or None))
    told = [(name, _listed(names), "the command line") for name, names in listed if names is not None]
    told += [("--strict-plugins", "", "the command line")] if said.strict else []
    told += [
        (name, f"= {environ[name]}".rstrip(), "the environment")
        for name in ("GANFORGE_PLUGINS", "GANFORGE_DISABLE_PLUGINS", "GANFORGE_STRICT_PLUGINS")
        if name in environ
    ]
    project, file = current_selection.from_project(folder), current_selection.project_file(folder)
    for key, names in (("only", project.allowed), ("disable", project.disabled or None), ("local", project.local or None)):
        if names is not None and file is not None:
            line = current_selection.line_of(file, key)
            told.append((key, f"= {_listed(names)}", f"{file}:{line}" if line else str(file)))
    for name, value, where in told:
        yield Finding("switches", "ok", f"{name} {value}".rstrip(), where=where)
    if not told:
        yield Finding("switches", "ok", "none: all that is installed may load")


def _listed(names: Iterable[object] | None) -> str:
    return ", ".join(sorted(map(str, names or ()))) or "nothing but the built-in components"


def _schemas(folder: Path, registry: Registry) -> Iterator[Finding]:
    from ganforge.build.editor_schema import outdated_reason
    from ganforge.recipe.editor_config import find_schemas

    for schema, named_by in find_schemas(folder).items():
        behind = outdated_reason(schema, registry)
        where = f"{schema}, which {named_by} names" if named_by else str(schema)
        yield Finding(
            "schema", "note" if behind else "ok", behind or "knows all that is installed", _renewal(behind, schema), where
        )


def _renewal(behind: str | None, schema: Path) -> str | None:
    from ganforge.build.editor_schema import update_command

    return update_command(schema) if behind else None
