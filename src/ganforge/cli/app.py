"""The ``ganforge`` command: its subcommands, and the boundary that turns errors into messages and exit codes.

Each command is a plain function, registered below. The modules of commands import only light modules at
the top and everything else inside their functions, so that ``ganforge --help`` is fast and imports neither torch, MLflow, pydantic
nor a plugin.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from traceback import format_exception, walk_tb
from types import TracebackType
from typing import Annotated, Any

import typer

from ganforge import __version__
from ganforge.cli import check, compare, components, console, data, doctor, evaluate, generator, plugins, run, runs, tracking
from ganforge.cli.suggestions import Command, CommandGroup
from ganforge.core.errors import GanforgeError, StorageError, UsageError
from ganforge.core.redaction import mask_text

_VALUE_OPTIONS = ("--no-plugin", "--only-plugins", "--plugin")
"""Options of ``ganforge`` itself with a value; like ``--strict-plugins``, they are also accepted after a command."""

_WRITERS = ("ganforge.cli.", "typer.", "click.", "rich.")
"""Modules that write to the standard streams."""

_python_format = warnings.formatwarning

app = typer.Typer(
    name="ganforge",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    # Plain help and tracebacks: rich adds 50 ms to each start, and its frames get in the way of copying.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with 'ganforge list', which shows the components, and 'ganforge run RECIPE', which trains a recipe.",
)


def _print_version(requested: bool) -> None:  # noqa: FBT001 - Typer hands an option's value to its callback by position
    if requested:
        typer.echo(f"ganforge {__version__}")
        raise typer.Exit


@app.callback()
def ganforge(
    context: typer.Context,
    *,
    no_plugin: Annotated[
        list[str] | None, typer.Option("--no-plugin", metavar="NAME", help="Do not load this plugin. Repeatable.")
    ] = None,
    only_plugins: Annotated[
        list[str] | None,
        typer.Option("--only-plugins", metavar="A,B", help="Load only these plugins and the built-in components."),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", metavar="FILE.py", help="Run this file as a plugin. Repeatable.", exists=True, dir_okay=False),
    ] = None,
    strict_plugins: Annotated[
        bool, typer.Option("--strict-plugins", help="Treat a broken or incompatible plugin as an error.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Experiments with generative adversarial networks: TOML recipes in, reproducible runs out."""
    from ganforge.terminal.log_handler import show_messages

    context.with_resource(show_messages(console.note, console.warning))
    if no_plugin or only_plugins or plugin or strict_plugins:
        from ganforge.registry.selection import command_line_selection

        selection = command_line_selection(
            disabled=no_plugin or [], only=only_plugins or None, local=plugin or [], strict=strict_plugins
        )
        context.with_resource(selection)


# In the order of the help text.
for command in (
    run.run,
    check.check,
    check.explain,
    generator.sample,
    generator.export,
    generator.interpolate,
    generator.traverse,
    evaluate.evaluate,
    compare.compare,
    run.verify,
    runs.runs,
    runs.report,
    tracking.ui,
    tracking.sync,
):
    app.command(cls=Command)(command)
app.command("list", cls=Command)(components.list_components)
app.command(cls=Command)(components.describe)
app.command(cls=Command)(components.schema)
app.add_typer(plugins.app, name="plugins")
app.add_typer(data.app, name="data")
app.command(cls=Command)(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; :mod:`ganforge.core.errors` lists the codes.

    Errors that a user can fix are printed to stderr without a traceback. Any other exception is a bug and keeps its traceback
    (exit code 1). Typer exits with 2 on wrong usage and with 130 on Ctrl-C.
    """
    if arguments is None:  # our own process
        warnings.formatwarning = _format_warning
        _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an encoding without Greek letters shows "?" instead of raising
            stream.reconfigure(errors="replace")
    try:
        code = _exit_code(arguments)
        sys.stdout.flush()  # here, so that a full disk can still be reported
        if arguments is None:  # nothing follows the result, whatever plugins have registered with atexit
            with suppress(OSError):
                os.dup2(2, sys.stdout.fileno())
    except OSError as error:
        if not _is_stdout_error(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit would fail again
        if isinstance(error, BrokenPipeError):  # the reader closed the pipe, as `head` does
            return 1
        reason = f"cannot write to the standard output: {error.strerror or error}"
        unwritable = StorageError(reason, remedy="free some space, or send the output elsewhere")
        console.failure(unwritable)
        return unwritable.exit_code
    return code


class _Lenient(io.FileIO):
    """A file whose errors are ignored: a run goes on if its messages cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def _open_standard_streams() -> None:
    """Open closed standard streams, as by ``>&-``, on the null device, so that no other file gets their numbers."""
    inheritable = True
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
            os.set_inheritable(number, inheritable)
    sys.stdin = sys.stdin or io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = sys.stdout or io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8")
    encoding = sys.stderr.encoding if sys.stderr else "utf-8"
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(_Lenient(2, "w", closefd=False)), encoding=encoding, line_buffering=True)


def _format_warning(*words: Any, **options: Any) -> str:
    return mask_text(_python_format(*words, **options))


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception that nothing caught, as Python does, but without secrets."""
    sys.stderr.write(mask_text("".join(format_exception(kind, error, trace))))


def _exit_code(arguments: Sequence[str] | None) -> int:
    try:
        app(args=_global_options_first(sys.argv[1:] if arguments is None else arguments), prog_name="ganforge")
    except GanforgeError as error:
        console.failure(error)
        return error.exit_code
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        raise
    except Exception:
        if arguments is None:  # our own process, in which Typer has set another hook
            sys.excepthook = _print_traceback
        raise
    return 0


def _is_stdout_error(error: OSError) -> bool:
    """Whether stdout failed: these modules write devnull else, and the error names no file."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return error.filename is None and frames[-1].f_globals.get("__name__", "").startswith(_WRITERS)


def _global_options_first(arguments: Sequence[str]) -> list[str]:
    """``ganforge list --no-plugin acme`` as ``ganforge --no-plugin acme list``: these options apply to every command."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    global_options: list[str] = []
    others: list[str] = []
    words = iter(arguments[:end])
    for word in words:
        if word.partition("=")[0] not in (*_VALUE_OPTIONS, "--strict-plugins"):
            others.append(word)
            continue
        global_options.append(word)
        if word in _VALUE_OPTIONS:
            value = next(words, None)
            if value is None:
                raise UsageError(f"{word} needs a value", remedy=f"add a name or file after {word}")
            global_options.append(value)
    return [*global_options, *others, *arguments[end:]]
