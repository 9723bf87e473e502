"""The command ``ganforge``: what it offers, and the boundary where errors become sentences and exit codes.

A command is a plain function in a module of its own, registered below by one line. Those modules import only typer and the standard
library at module level and everything else inside their functions, so that ``ganforge --help`` is quick and imports neither torch,
MLflow, pydantic nor a plugin.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Annotated

import typer

from ganforge import __version__
from ganforge.cli import (
    check,
    compare,
    components,
    console,
    data,
    doctor,
    evaluate,
    explain,
    export,
    interpolate,
    plugins,
    report,
    run,
    runs,
    sample,
    schema,
    sync,
    traverse,
    ui,
    verify,
)
from ganforge.core.errors import GanforgeError, StorageError, UsageError

_SWITCHES = ("--no-plugin", "--only-plugins", "--plugin")
_FLAGS = ("--strict-plugins",)
"""Options of ``ganforge`` itself that may stand behind a command too: with a value, and without."""

_WRITERS = ("ganforge.cli.", "typer.", "click.", "rich.")
"""Modules that write to the standard streams."""

_DOCS_HINT = "Start with 'ganforge list' and 'ganforge run recipes/vanilla_moons.toml'."

app = typer.Typer(
    name="ganforge",
    no_args_is_help=True,
    add_completion=False,
    # Plain help and plain tracebacks: rich costs 50 ms at each start, and its frames hide what is to be copied.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_DOCS_HINT,
)


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - Typer hands an option's value to its callback by position
    if asked:
        typer.echo(f"ganforge {__version__}")
        raise typer.Exit


@app.callback()
def ganforge(
    context: typer.Context,
    *,
    no_plugin: Annotated[
        list[str] | None, typer.Option("--no-plugin", metavar="NAME", help="Load everything but this plugin. Repeatable.")
    ] = None,
    only_plugins: Annotated[
        list[str] | None,
        typer.Option("--only-plugins", metavar="A,B", help="Load these plugins and the built-in components alone."),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", metavar="FILE.py", help="Run this file as a plugin. Repeatable.", exists=True, dir_okay=False),
    ] = None,
    strict_plugins: Annotated[
        bool, typer.Option("--strict-plugins", help="Take a plugin that is broken or incompatible for an error.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback acts on it
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Experiments with generative adversarial networks: recipes in, honest runs out."""
    from ganforge.terminal.log_handler import show_messages

    context.with_resource(show_messages(console.note, console.warning))
    if no_plugin or only_plugins or plugin or strict_plugins:
        from ganforge.registry.current_selection import command_line

        said = command_line(disabled=no_plugin or [], only=only_plugins or None, local=plugin or [], strict=strict_plugins)
        context.with_resource(said)


# One line for each command, in the order in which help shows them.
app.command("run")(run.run)
app.command("check")(check.check)
app.command("explain")(explain.explain)
app.command("sample")(sample.sample)
app.command("export")(export.export)
app.command("interpolate")(interpolate.interpolate)
app.command("traverse")(traverse.traverse)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("verify")(verify.verify)
app.command("runs")(runs.runs)
app.command("report")(report.report)
app.command("ui")(ui.ui)
app.command("sync")(sync.sync)
app.command("list")(components.list_components)
app.command("describe")(components.describe)
app.command("schema")(schema.schema)
app.add_typer(plugins.app, name="plugins")
app.add_typer(data.app, name="data")
app.command("doctor")(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code; :mod:`ganforge.core.errors` lists the codes.

    Errors that a user can mend are told in sentences on stderr. Whatever else escapes is a bug and keeps its traceback (Python's
    exit code 1). Typer itself turns wrong usage into 2 and Ctrl-C into 130.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without Greek letters shows "?", rather than ending in a traceback
            stream.reconfigure(errors="replace")
    try:
        code = _exit_code(arguments)
        if sys.stdout:  # a command without one, as by >&-, may have nothing to say
            sys.stdout.flush()  # here, where a full disk can still be told
    except OSError as error:
        if not _of_a_stream(error):
            raise
        _let_go_of_stdout()
        if isinstance(error, BrokenPipeError):  # whoever read has had enough, as `head` does
            return 1
        reason = f"cannot write to the standard output: {error.strerror or error}"
        refused = StorageError(reason, remedy="free some space, or send the output elsewhere")
        console.failure(refused)
        return refused.exit_code
    return code


def _exit_code(arguments: Sequence[str] | None) -> int:
    try:
        app(args=_switches_first(sys.argv[1:] if arguments is None else arguments), prog_name="ganforge")
    except GanforgeError as error:
        console.failure(error)
        return error.exit_code
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        raise
    return 0


def _of_a_stream(error: OSError) -> bool:
    """Whether it is the standard output that refused: what raises here, without a file's name, writes nowhere else."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return error.filename is None and frames[-1].f_globals.get("__name__", "").startswith(_WRITERS)


def _let_go_of_stdout() -> None:
    """Keep Python from trying again as it ends, if something is left to be written."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _switches_first(arguments: Sequence[str]) -> list[str]:
    """``ganforge list --no-plugin acme`` as ``ganforge --no-plugin acme list``: the switches hold for every command."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    switches: list[str] = []
    others: list[str] = []
    words = iter(arguments[:end])
    for word in words:
        if word in _FLAGS:
            switches.append(word)
            continue
        if word.partition("=")[0] not in _SWITCHES:
            others.append(word)
            continue
        switches.append(word)
        if "=" not in word:
            value = next(words, None)
            if value is None:
                raise UsageError(f"{word} needs a value", remedy=f"write {word} and a name or file behind it")
            switches.append(value)
    return [*switches, *others, *arguments[end:]]
