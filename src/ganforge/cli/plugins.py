"""``ganforge plugins``: list, show, check, diagnose and create plugins."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.cli.components import component_facts, kind_named, load_parameters, load_registry, show_component
from ganforge.cli.suggestions import CommandGroup
from ganforge.core.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from ganforge.registry.component import Component
    from ganforge.registry.discovery import PluginRecord
    from ganforge.registry.registry import Registry
    from ganforge.testing import Report

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def plugins() -> None:
    """List and check installed plugins."""


@app.command("list")
def list_plugins(
    *,
    status: Annotated[
        str | None,
        typer.Option(help="Only plugins with this status: active, local, disabled, broken, incompatible or unavailable."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the installed plugins with their components and status."""
    from ganforge.registry.discovery import PluginStatus
    from ganforge.registry.plugin_loader import load_plugins

    if status and status not in list(PluginStatus):
        raise unknown_name(f"no status is named '{status}'", status, PluginStatus, f"one of: {', '.join(PluginStatus)}")
    registry = load_plugins(strict=False)
    shown = [record for record in registry.plugins if status in (None, record.status)]

    if as_json:
        console.print_json({"plugins": [_plugin_facts(record) for record in shown]})
    else:
        if shown:
            headings = ("Plugin", "Distribution", "Version", "Source", "Status", "Components", "Load")
            console.table(headings, map(_row, shown), right=(6,), optional=(6, 1))
        console.print_line(_summary(registry.plugins))
    _require_loaded(registry)


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the plugin or of its distribution.")],
    *,
    as_json: options.Json = False,
) -> None:
    """Show one plugin: its source, components and parameters.

    If it is broken, also the traceback.
    """
    from ganforge.registry.plugin_loader import load_plugins

    registry = load_plugins(strict=False)
    records = registry.find_plugins(name)
    if as_json:
        first, *others = [{**_plugin_facts(one), "components": _component_facts(one, registry)} for one in records]
        console.print_json({**first, **({"also": others} if others else {})})
    else:
        for record in records:
            _show(record, registry)
    _require_loaded(registry)


@app.command("doctor")
def doctor(*, as_json: options.Json = False) -> None:
    """Check everything about plugins.

    Prints a remedy for each fault and exits with 1 if there is one.
    """
    from ganforge.cli.doctor import diagnose_plugins, print_diagnoses

    print_diagnoses(diagnose_plugins(Path.cwd()), as_json=as_json)


@app.command("freeze")
def freeze(*, as_json: options.Json = False) -> None:
    """Print pip requirements that reinstall the active plugins."""
    records = [record for record in load_registry(warn=not as_json).plugins if record.works]
    refs = {(one.distribution, one.name if one.sha256 else ""): one.ref for one in records}
    if as_json:
        files = [{"file": one.url, "sha256": one.sha256} for one in refs.values() if one.sha256]
        console.print_json({"requirements": [line for one in refs.values() if (line := one.requirement)], "local": files})
        return
    for ref in refs.values():
        console.print_whole(ref.requirement_line)


@app.command("check")
def check(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|PATH",
            help="Name of a plugin or distribution; or a FILE.py or project folder, installed or not.",
            show_default=False,
        ),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Check every installed plugin, including the built-in one. This is the default.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Run the conformance checks on a plugin and its components.

    Exits with 1 if one fails or none ran.
    """
    if target is not None and every:
        raise UsageError("a name and --all cannot be combined", remedy="use one of them; `ganforge plugins list` shows the names")
    reports: list[Report] = []
    for report in _checked(target):
        reports.append(report)
        if not as_json:
            console.print_line(str(report))
    ok = all(report.ok for report in reports)
    if as_json:
        console.print_json({"ok": ok, "reports": [_report_facts(one) for one in reports]})
    if not ok:
        raise typer.Exit(1)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the distribution, such as acme-gan.")],
    *,
    kinds: Annotated[
        str, typer.Option(help="Kinds of component to include, separated by commas.")
    ] = "generator,discriminator,loss",
    into: Annotated[Path, typer.Option(help="Parent folder of the new package.", file_okay=False)] = Path(),
) -> None:
    """Write a new plugin package.

    It installs, passes its tests and trains as it is.
    """
    from ganforge.scaffold import write_plugin

    folder = write_plugin(name, [kind_named(word) for word in re.split(r"[,\s]+", kinds) if word], into)
    console.success(f"wrote {folder}")
    recipe = next(folder.glob("recipes/*.toml"))
    commands = (["pip", "install", "-e", folder], ["ganforge", "plugins", "check", folder.name], ["ganforge", "run", recipe])
    for line in (shlex.join(map(str, words)) for words in commands):
        console.print_whole(f"  {line}")


def _require_loaded(registry: Registry) -> None:
    """Raise if a plugin failed and ``--strict-plugins`` is set; the commands that show plugins do so at their end."""
    from ganforge.registry.plugin_loader import raise_on_failures
    from ganforge.registry.selection import current_selection

    if current_selection().strict:
        raise_on_failures(registry)


def _checked(target: str | None) -> Iterator[Report]:
    """Check one plugin, or every installed plugin that is not disabled."""
    from ganforge.registry.discovery import PluginStatus
    from ganforge.testing import check_path, check_plugin
    from ganforge.testing.conformance import check_records
    from ganforge.testing.local_plugins import is_path

    if target is not None and is_path(target):
        yield check_path(Path(target))
        return
    registry = load_registry(warn=False)
    if target is not None:
        report = check_plugin(target, registry=registry)
        if Path(target).is_dir() and not Path(report.file).is_relative_to(Path(target).resolve()):
            console.note(f"the installed plugin is checked; for the folder of this name: `ganforge plugins check ./{target}`")
        yield report
        return
    groups: dict[str, list[PluginRecord]] = {}
    for record in registry.plugins:
        if record.status is PluginStatus.DISABLED:
            console.note(f"{record.title} is not checked: {record.reason}")
        else:
            groups.setdefault(record.id, []).append(record)
    for records in groups.values():
        yield check_records(records, registry)


def _row(record: PluginRecord) -> tuple[object, ...]:
    components = "; ".join([record.component_counts or "none", *(f"! {remark}" for remark in record.remarks)])
    state = (record.source, record.status, record.reason or components, _milliseconds(record))
    return (record.name, record.distribution, record.version, *state)


def _summary(records: tuple[PluginRecord, ...]) -> str:
    from ganforge.registry.discovery import PluginStatus
    from ganforge.registry.selection import command_line_options

    counts = [(sum(record.status is status for record in records), status) for status in PluginStatus]
    listed = ", ".join(f"{count} {status}" for count, status in counts if count)
    failed = next((record.id for record in records if record.failed), None)
    details = f" Details: `ganforge plugins info {failed}{command_line_options()}`" if failed else ""
    return f"{len(records)} installed: {listed}.{details}"


def _show(record: PluginRecord, registry: Registry) -> None:
    """Print everything known about a plugin."""
    console.print_line(f"{record.distribution} {record.version}", style="bold")
    facts = {
        "status": f"{record.status}: {record.reason}" if record.reason else record.status,
        "entry": f"{record.name} = {record.module}",
        "source": f"{record.source} {record.origin or ''}".strip(),
        "file": record.file or "not found",
        "sha256": record.sha256,
        "load": _milliseconds(record) or ("failed" if record.traceback else "not imported"),
        "remarks": ", ".join(record.remarks),
        **{kind.plural: ", ".join(names) for kind, names in record.components.items()},
    }
    console.print_facts(facts, 14)
    for component in _components_of(record, registry):
        console.print_line()
        show_component(component, registry)
    if record.traceback:
        console.print_line(f"\n{record.traceback.rstrip()}")


def _milliseconds(record: PluginRecord) -> str | None:
    return None if record.load_ms is None else f"{record.load_ms:.0f} ms"


def _components_of(record: PluginRecord, registry: Registry) -> list[Component]:
    return [one for one in registry.components() if one.plugin == record.ref]


def _plugin_facts(record: PluginRecord) -> dict[str, object]:
    """The plugin as JSON-able data, without its components."""
    names = ("name", "distribution", "version", "status", "reason", "source", "origin", "module", "file")
    return {
        **console.attributes(record, *names, "remarks", "sha256", "traceback"),
        "load_ms": None if record.load_ms is None else round(record.load_ms, 1),
        "offers": {kind.value: names for kind, names in record.components.items()},
    }


def _component_facts(record: PluginRecord, registry: Registry) -> list[dict[str, object]]:
    components = _components_of(record, registry)
    return [{**component_facts(one, registry), "parameters": load_parameters(one)[0]} for one in components]


def _report_facts(report: Report) -> dict[str, object]:
    from ganforge.testing import CheckState

    counts = {state.value: report.count(state) for state in CheckState}
    return {**asdict(report), "ok": report.ok, "seconds": round(report.seconds, 2), "counts": counts}
