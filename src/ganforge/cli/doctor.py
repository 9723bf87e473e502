"""``ganforge doctor`` and ``ganforge plugins doctor``: check the installation, and name a remedy for each problem."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from ganforge import __version__
from ganforge.cli import console, options
from ganforge.core import formatting
from ganforge.core.errors import GanforgeError
from ganforge.terminal import palette

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from ganforge.registry.component import Component
    from ganforge.registry.discovery import InstalledCopy, PluginRecord
    from ganforge.registry.registry import Registry

_MARKS = {"ok": ("✓", ""), "note": ("•", ""), "fault": ("✗", f"bold {palette.BAD}")}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check: ``note`` is information, ``fault`` is something that stops or spoils a run."""

    part: str
    state: Literal["ok", "note", "fault"]
    text: str
    remedy: str | None = None
    where: str | Path | None = None


def print_diagnoses(diagnoses: Iterable[Diagnosis], *, as_json: bool) -> None:
    """Print results as they arrive and a last line that counts the faults; exit with 1 if there are faults."""
    results: list[Diagnosis] = []
    for diagnosis in diagnoses:
        results.append(diagnosis)
        if not as_json:
            _print(diagnosis)

    faults = sum(diagnosis.state == "fault" for diagnosis in results)
    if as_json:
        console.print_json({"faults": faults, "diagnoses": results})
    else:
        console.print_line()
        console.print_line(formatting.plural(faults, "fault") if faults else "no problems found")
    if faults:
        raise typer.Exit(1)


def doctor(*, as_json: options.Json = False) -> None:
    """Check Python, torch, MLflow, plugins, data and disk.

    Names a remedy for each problem, and exits with 1 if there is one.
    """
    print_diagnoses(diagnose(), as_json=as_json)


def diagnose(folder: Path | None = None) -> Iterator[Diagnosis]:
    """Check every part of the installation; runs would be written to ``folder``, by default the current one."""
    folder = Path.cwd() if folder is None else folder
    parts: dict[str, Callable[[], Iterable[Diagnosis]]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "mlflow": lambda: _mlflow(folder),
        "plugins": lambda: _plugins(folder),
        "data": _data,
        "disk": lambda: _disk(folder),
        "terminal": _terminal,
    }
    for name, check in parts.items():
        try:
            yield from check()
        except GanforgeError as error:
            yield Diagnosis(name, "fault", error.message, error.remedy)
        except Exception as error:  # noqa: BLE001 - one failing check must not hide the others
            yield Diagnosis(name, "fault", f"{type(error).__name__}: {error}")


def _print(diagnosis: Diagnosis) -> None:
    mark, style = _MARKS[diagnosis.state]
    console.print_line(f"{mark} {diagnosis.part:<9} {diagnosis.text}", style=style, indent=12)
    if diagnosis.where:
        console.print_line(f"  {'':<9} in {diagnosis.where}", style="dim", indent=12)
    if diagnosis.remedy:
        console.print_line(f"  {'':<9} → {diagnosis.remedy}", style=palette.ACCENT, indent=14)


# The parts of ``ganforge doctor``


def _python() -> Iterator[Diagnosis]:
    yield Diagnosis("ganforge", "ok", __version__, where=Path(__file__).parents[1])
    yield Diagnosis("python", "ok", ".".join(map(str, sys.version_info[:3])), where=sys.executable)


def _packages() -> Iterator[Diagnosis]:
    """Installed versions compared with the requirements in ganforge's metadata."""
    wrong = tuple(_unmet_requirements(metadata.requires("ganforge") or ()))
    for requirement, version in wrong:
        found = f"{version} is installed" if version else "is not installed"
        text = f"{requirement.name} {found}, needed: {requirement.specifier or 'any version'}"
        yield Diagnosis("packages", "fault", text, f"pip install '{requirement}'")
    if not wrong:
        yield Diagnosis("packages", "ok", "all requirements are met")


def _torch() -> Iterator[Diagnosis]:
    started = time.perf_counter()
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of torch that does not load
        yield Diagnosis("torch", "fault", f"cannot be imported: {error}", "pip install --force-reinstall torch")
        return
    seconds = time.perf_counter() - started
    yield Diagnosis("torch", "ok", f"{torch.__version__}, imported in {seconds:.1f} s, {torch.get_num_threads()} threads")

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Diagnosis("device", "ok", f"cuda: {names}")
    elif torch.backends.mps.is_available():
        yield Diagnosis("device", "ok", "mps: Apple GPU")
    elif shutil.which("nvidia-smi"):
        remedy = "install the CUDA build of torch: https://pytorch.org/get-started/locally"
        yield Diagnosis("device", "note", "cpu; an NVIDIA driver is installed, but this torch build does not use it", remedy)
    else:
        yield Diagnosis("device", "ok", f"cpu with {os.cpu_count()} cores")
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        yield Diagnosis("compiler", "note", "no C++ compiler", "needed only for torch.compile on a CPU")


def _mlflow(folder: Path) -> Iterator[Diagnosis]:
    from ganforge.tracking import tracking_store
    from ganforge.tracking.mlflow_database import find_fault

    yield Diagnosis("mlflow", "ok", metadata.version("mlflow"))
    store = tracking_store.resolve_store(folder=folder)
    source = f"{store.shown} (from {store.origin})"
    if store.is_http:
        yield _server(store.uri, source)
    elif store.database is not None and (fault := find_fault(store.database)):
        yield Diagnosis("store", "fault", f"{source}: {fault.reason}", fault.remedy)
    else:
        yield Diagnosis("store", "ok", source)


def _server(uri: str, source: str) -> Diagnosis:
    """Query the health endpoint of an MLflow server; one that works answers within two seconds."""
    import urllib.error
    import urllib.request
    from urllib.parse import urlsplit

    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health").geturl()
    try:
        with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - is_http: http or https only
            return Diagnosis("store", "ok", f"{source} answers")
    except urllib.error.HTTPError as error:
        return Diagnosis("store", "note", f"{source} answers its health check with status {error.code}", "see the server's log")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = "start the server, or unset MLFLOW_TRACKING_URI; runs work without it, and `ganforge sync` sends them later"
        return Diagnosis("store", "fault", f"{source} does not answer: {reason}", remedy)


def _plugins(folder: Path) -> Iterator[Diagnosis]:
    """The plugins that do not work, and a one-line summary of ``ganforge plugins doctor``."""
    from ganforge.registry.plugin_loader import load_plugins
    from ganforge.registry.selection import next_command

    registry = load_plugins(strict=False)
    problems = [one for one in diagnose_registry(registry, folder) if one.state != "ok"]
    others = [one for one in problems if one.part != "plugins"]
    yield from (one for one in problems if one.part == "plugins")

    active = [record.title for record in registry.plugins if record.works]
    text = f"{len(active)} active: {', '.join(active)}"
    if others:
        state = min(one.state for one in others)  # "fault" before "note"
        yield Diagnosis("plugins", state, f"{text}; {len(others)} more to check", next_command("plugins", "doctor"))
    else:
        yield Diagnosis("plugins", "ok", text)


def _data() -> Iterator[Diagnosis]:
    from ganforge.storage.run_folder import data_folders

    folder = data_folders()[0]
    source = "GANFORGE_DATA" if os.environ.get("GANFORGE_DATA") else "the default"
    if folder.is_file() or not _writable(folder):
        reason = "is a file" if folder.is_file() else "cannot be written"
        yield Diagnosis("data", "fault", f"{folder} (from {source}) {reason}", "set GANFORGE_DATA to a writable folder")
    else:
        yield Diagnosis("data", "ok", f"{folder} (from {source}{'' if folder.exists() else '; created when needed'})")


def _disk(folder: Path) -> Iterator[Diagnosis]:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free in {folder}"
    full = free < 2**30  # a run with pictures and checkpoints may fail
    yield Diagnosis("disk", "fault" if full else "ok", text, "free some space, or use another --runs-dir" if full else None)
    if not _writable(folder / "runs"):
        yield Diagnosis("runs", "fault", f"{folder / 'runs'} cannot be written", "work in another folder, or use --runs-dir")


def _terminal() -> Iterator[Diagnosis]:
    encoding = (sys.stdout.encoding or "").lower()
    size = shutil.get_terminal_size()
    kind = f"{size.columns}×{size.lines}" if sys.stdout.isatty() else "no terminal: runs print plain lines"
    colour = ", NO_COLOR is set" if os.environ.get("NO_COLOR") else ""
    if encoding in ("utf-8", "utf8"):
        yield Diagnosis("terminal", "ok", f"{kind}{colour}")
    else:
        remedy = "set PYTHONUTF8=1 to see Greek letters and the sample preview"
        yield Diagnosis("terminal", "note", f"{kind}{colour}, encoding {encoding or 'unknown'}", remedy)


def _writable(path: Path) -> bool:
    """Whether the file or folder is writable, or can be created."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK)


# The parts of ``ganforge plugins doctor``


def diagnose_plugins(folder: Path) -> Iterator[Diagnosis]:
    """Check everything about plugins, and the schema and project settings in ``folder``."""
    from ganforge.registry.plugin_loader import load_plugins

    yield from _python()
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
        yield Diagnosis("metadata", "fault", f"cannot be read: {reason}", remedy, where=place)
    yield from _names(registry)
    for component in registry.components():
        yield from _references(component)
    yield from _schemas(folder, registry)


def _plugin(record: PluginRecord) -> Diagnosis:
    """One plugin: its status and what fixes it."""
    from ganforge.registry.discovery import PluginStatus

    where = record.file or record.origin
    text = f"{record.title} {record.version} is {record.status}"
    if record.failed:
        return Diagnosis("plugins", "fault", f"{text}: {record.reason}", _remedy(record), where)
    if record.status is PluginStatus.UNAVAILABLE:
        modules = (record.reason or "").removeprefix("needs ")
        return Diagnosis("plugins", "note", f"{text}: {record.reason}", f"pip install {modules.replace(',', '')}", where)
    if record.status is PluginStatus.DISABLED:
        gone = "" if record.file else f"; its entry point {record.module} does not exist"
        return Diagnosis("plugins", "note" if gone else "ok", f"{text}: {record.reason}{gone}", where=where)
    offers = record.component_counts
    took = f", loaded in {record.load_ms:.0f} ms" if record.load_ms is not None else ""
    digest = f", sha256 {record.sha256[:12]}" if record.sha256 else ""
    heavy = [remark for remark in record.remarks if remark.startswith("imports ")]
    shown = "; ".join([f"{text}: {offers or 'registers nothing'}{took}{digest}", *heavy])
    lighter = "a package can delay the import by naming factories as 'module:attribute'; see ganforge plugins new"
    return Diagnosis("plugins", "note" if heavy or not offers else "ok", shown, lighter if heavy else None, where)


def _unmet_requirements(lines: Iterable[str]) -> Iterator[tuple[Requirement, str | None]]:
    """The requirements that installed packages do not meet, each with the installed version or ``None``."""
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
    if missing := [f"'{one}'" for one, _ in _unmet_requirements(record.requires) if one.name != "ganforge"]:
        return f"pip install {' '.join(missing)}; {details}"
    if record.source == "editable":
        return f"fix it in {record.origin}, {without}; {details}"
    lost = "its entry point does not exist: " if record.file is None else ""
    return f"{lost}pip install --force-reinstall --no-deps {record.distribution}, {without}; {details}"


def _bounds(plugin: PluginRecord) -> Iterator[Diagnosis]:
    """Whether a plugin's metadata states which ganforge versions it supports."""
    from packaging.requirements import InvalidRequirement, Requirement

    major, minor = __version__.split(".")[:2]
    fitting = f"ganforge>={major}.{minor},<{f'0.{int(minor) + 1}' if major == '0' else int(major) + 1}"
    remedy = f"the plugin should require {fitting}; until then, update ganforge with care"
    try:
        wanted = [one for one in map(Requirement, plugin.requires) if one.name == "ganforge"]
    except InvalidRequirement as error:
        yield Diagnosis("bounds", "note", f"{plugin.distribution}: a requirement cannot be read: {error}", remedy, plugin.file)
        return
    if not wanted:
        yield Diagnosis("bounds", "note", f"{plugin.distribution} {plugin.version} does not require ganforge", remedy, plugin.file)
    elif not any(mark.operator in ("<", "<=", "==", "===", "~=") for one in wanted for mark in one.specifier):
        text = f"{plugin.distribution} {plugin.version} sets no upper bound ({', '.join(map(str, wanted))})"
        yield Diagnosis("bounds", "note", text, remedy, plugin.file)


def _copies(copies: tuple[InstalledCopy, ...]) -> Iterator[Diagnosis]:
    first, *others = copies
    for other in others:
        same = (first.version, first.entries) == (other.version, other.entries)
        yield Diagnosis(
            "copies",
            "note" if same else "fault",
            f"{first.distribution} is installed twice: Python imports {first.version} in {first.folder}, not {other.version}",
            f"run pip uninstall {first.distribution} until it is gone, then install it once; or remove the folder from sys.path",
            other.folder,
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
                yield Diagnosis("names", "note", f"{record.title}: {remark}", where=record.file)


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
            yield Diagnosis("names", "fault", text, remedy)


def _selection(folder: Path) -> Iterator[Diagnosis]:
    """Which plugins are disabled, allowed or added, and where that is set."""
    from ganforge.recipe.toml_file import find_lines
    from ganforge.registry import selection

    strict = " --strict-plugins" if selection.from_command_line(os.environ).strict else ""
    options = f"{selection.command_line_options()}{strict}".strip()
    settings = [(options, "the command line")] if options else []
    variables = ("GANFORGE_PLUGINS", "GANFORGE_DISABLE_PLUGINS", "GANFORGE_STRICT_PLUGINS")
    settings += [(f"{name} = {os.environ[name]}".rstrip(), "the environment") for name in variables if name in os.environ]
    project, file = selection.from_project(folder), selection.project_file(folder)
    for key, names in (("only", project.allowed), ("disable", project.disabled or None), ("local", project.local or None)):
        if names is not None and file is not None:
            line = find_lines(file.read_text(encoding="utf-8")).get(("tool", "ganforge", "plugins", key))
            listed = ", ".join(sorted(map(str, names))) or "only the built-in components"
            settings.append((f"{key} = {listed}", f"{file}:{line}" if line else str(file)))
    for text, where in settings:
        yield Diagnosis("selection", "ok", text, where=where)
    if not settings:
        yield Diagnosis("selection", "ok", "none: every installed plugin may load")


def _schemas(folder: Path, registry: Registry) -> Iterator[Diagnosis]:
    from ganforge.recipe.json_schema import DEFAULT_SCHEMA, outdated_reason, update_command

    schema = (folder / DEFAULT_SCHEMA).resolve()
    if schema.is_file():
        behind = outdated_reason(schema, registry)
        remedy = update_command(schema) if behind else None
        yield Diagnosis("schema", "note" if behind else "ok", behind or "up to date", remedy, schema)
