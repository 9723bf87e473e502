"""``ganforge plugins``: list, check, diagnose and create plugins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, installed, options
from ganforge.cli.diagnosis import print_diagnoses
from ganforge.cli.plugin_pages import component_facts, milliseconds, plugin_facts, show_plugin

if TYPE_CHECKING:
    from ganforge.registry.component import Kind
    from ganforge.registry.discovery import PluginRecord
    from ganforge.testing import Report

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


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
    wanted = _status_named(status) if status else None
    registry = installed.registry_with_failures()
    records = registry.plugins
    shown = [record for record in records if wanted is None or record.status == wanted]

    if as_json:
        console.json_out({"schema": 1, "plugins": [plugin_facts(record) for record in shown]})
    else:
        if shown:
            console.table(
                ("Plugin", "Distribution", "Version", "Source", "Status", "Components", "Load"),
                [
                    (one.name, one.distribution, one.version, one.source, one.status, _components(one), milliseconds(one.load_ms))
                    for one in shown
                ],
                right=(6,),
            )
        console.say(_summary(records))
    installed.require_loaded(registry)


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Name of the plugin or of its distribution.")],
    *,
    as_json: options.Json = False,
) -> None:
    """Show one plugin: its source, components and parameters, and the traceback if it is broken."""
    registry = installed.registry_with_failures()
    records = installed.plugins_named(registry.plugins, name)
    if as_json:
        first, *others = [{**plugin_facts(one), "components": component_facts(one, registry)} for one in records]
        console.json_out({**first, "schema": 1, **({"also": others} if others else {})})
    else:
        for record in records:
            show_plugin(record, registry)
    installed.require_loaded(registry)


@app.command("doctor")
def doctor(*, as_json: options.Json = False) -> None:
    """Check everything about plugins; print a remedy for each fault and exit with 1 if there is one."""
    from ganforge.cli.plugin_doctor import diagnose_plugins

    raise typer.Exit(print_diagnoses(diagnose_plugins(Path.cwd()), as_json=as_json))


@app.command("freeze")
def freeze(*, as_json: options.Json = False) -> None:
    """Print pip requirements that reinstall the active plugins."""
    records = [record for record in installed.registry(warn=not as_json).plugins if record.works]
    refs = {(one.distribution, one.name if one.sha256 else ""): one.ref for one in records}
    if as_json:
        files = [{"file": one.url, "sha256": one.sha256} for one in refs.values() if one.sha256]
        lines = [line for one in refs.values() if (line := one.requirement)]
        console.json_out({"schema": 1, "requirements": lines, "local": files})
        return
    for ref in refs.values():
        console.say(ref.requirement_line)


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
    """Run the conformance checks on a plugin and its components; exit with 1 if one fails or none ran."""
    from ganforge.core.errors import UsageError

    if target is not None and every:
        raise UsageError("a name and --all cannot be combined", remedy="use one of them; ganforge plugins list shows the names")
    reports: list[Report] = []
    for report in _checked(target):
        reports.append(report)
        if not as_json:
            console.say(str(report))
    if as_json:
        console.json_out({"schema": 1, "ok": all(one.ok for one in reports), "reports": [_report_facts(one) for one in reports]})
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


def _checked(target: str | None) -> Iterator[Report]:
    """Check one plugin, or every installed plugin that is not disabled."""
    from ganforge.registry.discovery import PluginStatus
    from ganforge.testing import check_path, check_plugin
    from ganforge.testing.conformance import check_records
    from ganforge.testing.local_plugins import is_path

    if target is not None and is_path(target):
        yield check_path(Path(target))
        return
    registry = installed.registry(warn=False)
    if target is not None:
        yield check_plugin(target, registry=registry)
        return
    groups: dict[str, list[PluginRecord]] = {}
    for record in registry.plugins:
        if record.status is PluginStatus.DISABLED:
            console.note(f"{record.title} is not checked: {record.reason}")
        else:
            groups.setdefault(record.ref.url if record.sha256 and record.ref.url else record.distribution, []).append(record)
    for records in groups.values():
        yield check_records(records, registry)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the distribution, such as acme-gan.")],
    *,
    kinds: Annotated[
        str, typer.Option(help="Kinds of component to include, separated by commas.")
    ] = "generator,discriminator,loss",
    into: Annotated[Path, typer.Option(help="Parent folder of the new package.", file_okay=False)] = Path(),
) -> None:
    """Write a new plugin package that installs, passes its tests and trains as it is."""
    from ganforge.scaffold import write_plugin

    folder = write_plugin(name, _kinds_named(kinds), into)
    console.success(f"wrote {folder}")
    recipe = next(folder.glob("recipes/*.toml"))
    for line in (f"pip install -e {folder}", f"ganforge plugins check {folder.name}", f"ganforge run {recipe}"):
        console.say(f"  {line}")


def _kinds_named(text: str) -> list[Kind]:
    from ganforge.core.errors import UsageError, did_you_mean
    from ganforge.registry.component import Kind

    named: list[Kind] = []
    for word in filter(None, re.split(r"[,\s]+", text)):
        found = next((kind for kind in Kind if word.lower() in (kind.value, kind.plural)), None)
        if found is None:
            listed = f"kinds: {', '.join(Kind)}"
            hint = did_you_mean(word, Kind)
            raise UsageError(f"no component kind is named '{word}'", remedy=f"{hint} {listed}" if hint else listed)
        named.append(found)
    return named


def _report_facts(report: Report) -> dict[str, object]:
    from ganforge.testing import CheckState

    return {
        "distribution": report.distribution,
        "version": report.version,
        "ok": report.ok,
        "seconds": round(report.seconds, 2),
        "counts": {state.value: report.count(state) for state in CheckState},
        "outcomes": [
            {
                "check": one.check,
                "title": one.title,
                "subject": one.subject,
                "state": one.state,
                "message": one.message,
                "traceback": one.traceback,
            }
            for one in report.outcomes
        ],
    }


def _status_named(text: str) -> str:
    from ganforge.core.errors import UsageError, did_you_mean
    from ganforge.registry.discovery import PluginStatus

    if text not in list(PluginStatus):
        listed = f"one of: {', '.join(PluginStatus)}"
        hint = did_you_mean(text, PluginStatus)
        raise UsageError(f"no status is named '{text}'", remedy=f"{hint} {listed}" if hint else listed)
    return text


def _components(record: PluginRecord) -> str:
    if record.reason:
        return record.reason
    counts = [f"{len(names)} {kind.plural if len(names) > 1 else kind.value}" for kind, names in record.components.items()]
    return "; ".join([", ".join(counts) or "none", *(f"! {remark}" for remark in record.remarks)])


def _summary(records: tuple[PluginRecord, ...]) -> str:
    from ganforge.registry.discovery import PluginStatus
    from ganforge.registry.selection import command_line_options

    counts = [(sum(record.status is status for record in records), status) for status in PluginStatus]
    listed = ", ".join(f"{count} {status}" for count, status in counts if count)
    failed = next((record.id for record in records if record.failed), None)
    return f"{len(records)} installed: {listed}." + (
        f" Details: ganforge plugins info {failed}{command_line_options()}" if failed else ""
    )
