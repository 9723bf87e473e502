"""``ganforge ui`` and ``ganforge sync``: the MLflow UI on the store of the runs, and sending what MLflow did not receive."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganforge.cli import console, options
from ganforge.core import formatting
from ganforge.core.errors import GanforgeError, StorageError, UsageError, describe_error

if TYPE_CHECKING:
    from ganforge.storage.run_folder import RunFolder
    from ganforge.tracking.supervisor import UploadSummary
    from ganforge.tracking.tracking_store import Store


def ui(
    *,
    tracking_uri: options.TrackingUri = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port. Default: the first free one from 5000.", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anyone who can reach it can read and change every run.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Start the MLflow UI and print links to your experiments. Ctrl-C stops it."""
    from rich.console import Console

    from ganforge.tracking.mlflow_sink import UnreachableError, prepared, set_environment
    from ganforge.tracking.server import LOOPBACK, checked_port, experiments, free_port, run_server
    from ganforge.tracking.tracking_store import Store, resolve_store

    store = resolve_store(tracking_uri)
    if store.is_http:
        _show(store, [], browser=browser)
        return
    if store.database is not None and not store.database.exists():
        raise UsageError(
            f"{store.database} does not exist yet",
            remedy="train a recipe first, or name the store with --tracking-uri sqlite:////path/to/mlflow.db",
        )
    set_environment(own_process=True)
    try:
        with prepared(store):
            pass
    except UnreachableError as error:
        raise UsageError(str(error), remedy="see 'ganforge doctor'") from error
    if host not in {LOOPBACK, "localhost"}:
        console.warning(
            f"listening on {host}: MLflow has no login, so anyone who can reach this machine can read and change every run"
        )

    chosen = checked_port(host, port) if port else free_port(host)
    console.note(f"starting MLflow on {store.shown} …")
    try:
        with _stopped_by_signals(), ExitStack() as stack:
            with Console(stderr=True).status("waiting for the server (about 9 s on two cores)"):
                address, server = stack.enter_context(run_server(store, host=host, port=chosen))
            _show(Store(address), experiments(address), browser=browser)
            console.note("Ctrl-C stops it.")
            code = server.wait()
            raise UsageError(f"the MLflow server ended (exit code {code})", remedy="start it again with 'ganforge ui'")
    except KeyboardInterrupt:
        console.note("stopped.")


def sync(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN", help="Run names, id prefixes or folders. Default: all runs with unsent data.", show_default=False
        ),
    ] = None,
    *,
    runs_dir: options.RunsDir = Path("runs"),
    tracking_uri: options.RunTrackingUri = None,
    as_json: options.Json = False,
) -> None:
    """Send to MLflow what its server missed.

    Nothing is sent twice. A run whose process has died is marked as killed; a running one has its own uploader. A run goes to the
    store that it was sent to before, if that is one of yours.
    """
    from ganforge.runs.run_index import find, run_folders

    found = [find(name, runs_dir) for name in runs] if runs else [run.folder for run in run_folders(runs_dir)]
    delivered, failed, notes = _deliver(found, tracking_uri, quiet=as_json, every=not runs)
    if as_json:
        errors = [{"run": folder.path.name, "folder": folder.path, "error": str(error)} for folder, error in failed.items()]
        console.print_json({"runs": [*(_to_plain(folder, summary) for folder, summary in delivered.items()), *errors]})
    elif not found:
        console.note(f"no runs in {runs_dir.absolute()}; name another folder with --runs-dir")
    elif not delivered and not failed and not notes:
        console.success("MLflow has everything.")
    if any(summary.pending for summary in delivered.values()):
        raise typer.Exit(5)  # MLflow could not be written
    if failed:
        raise typer.Exit(next(iter(failed.values())).exit_code)


def _deliver(
    folders: Sequence[RunFolder], uri: str | None, *, quiet: bool, every: bool
) -> tuple[dict[RunFolder, UploadSummary], dict[RunFolder, GanforgeError], list[str]]:
    """Send the runs, or those that wait if these are ``every`` run; a damaged folder does not keep others from being sent.

    Returns what was sent, what failed, and what was printed about runs that were left out.
    """
    from ganforge.tracking.supervisor import sync as deliver

    delivered: dict[RunFolder, UploadSummary] = {}
    failed: dict[RunFolder, GanforgeError] = {}
    notes: list[str] = []
    for folder in folders:
        try:
            if every and not _waits(folder, uri, notes):
                continue
            console.note(f"{folder.path.name}: sending")
            delivered[folder] = deliver(folder, uri)
        except Exception as error:  # whatever one folder holds, the others are sent
            if len(folders) == 1 and not every:
                raise
            failed[folder] = error if isinstance(error, GanforgeError) else StorageError(describe_error(error))
            console.warning(f"{folder.path.name} was not sent: {failed[folder]}")
        else:
            if not quiet:
                _print(folder, delivered[folder])
    return delivered, failed, notes


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the server's processes end with this one."""
    import signal

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(store: Store, found: Sequence[tuple[str, str]], *, browser: bool) -> None:
    start = f"{store.shown.rstrip('/')}/#/experiments?workflowType=machine_learning"
    console.success(f"MLflow: {start}")
    for number, name in found:
        console.print_line(f"  {name}: {store.link(number)}")
    sys.stdout.flush()
    if browser:
        import webbrowser

        webbrowser.open((store.link(found[0][0]) if found else None) or start)


def _waits(folder: RunFolder, uri: str | None, notes: list[str]) -> bool:
    """Whether a run has unsent data. One that MLflow has lost does not wait: the user may have removed it there."""
    from ganforge.tracking.delivery import count_pending
    from ganforge.tracking.supervisor import is_missing
    from ganforge.tracking.tracking_store import resolve_store

    folder.check()
    if folder.holder() is not None:
        notes.append(f"{folder.path.name} is running and sends its own data")
    elif count_pending(folder, resolve_store(uri) if uri else None):
        return True
    elif not uri and is_missing(folder):
        command = f"ganforge sync {shlex.quote(str(folder.path))}"
        notes.append(f"{folder.path.name} is no longer in MLflow; this sends it again: {command}")
    else:
        return False
    console.note(notes[-1])
    return False


def _print(folder: RunFolder, summary: UploadSummary) -> None:
    name, accepted, pending = folder.path.name, summary.accepted, summary.pending
    if accepted.rejected:
        console.warning(
            f"{name}: MLflow refused {formatting.plural(accepted.rejected, 'record')}; see {folder.path / 'rejected.jsonl'}"
        )
    if pending:
        reason = summary.message or f"{summary.store.shown} does not answer"
        console.warning(f"{name}: {_amounts(pending.points, pending.images)} not sent: {reason}")
        return
    console.success(f"{name}: MLflow has all {_amounts(accepted.points, accepted.pictures)} ({summary.store.shown})")
    if summary.link:
        console.print_line(f"  {summary.link}")


def _amounts(points: int, images: int) -> str:
    return f"{formatting.plural(points, 'point')} and {formatting.plural(images, 'image')}"


def _to_plain(folder: RunFolder, summary: UploadSummary) -> dict[str, Any]:
    from ganforge.session.result import mlflow_facts

    pending = {"rejected": summary.accepted.rejected, "pending": summary.pending}
    return {"run": folder.path.name, "folder": folder.path, **mlflow_facts(summary), **pending}
