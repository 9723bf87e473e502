"""``ganforge ui``: start the MLflow UI on the store of the runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options

if TYPE_CHECKING:
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

    from ganforge.core.errors import UsageError
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
        console.say(f"  {name}: {store.link(number)}")
    sys.stdout.flush()
    if browser:
        import webbrowser

        webbrowser.open((store.link(found[0][0]) if found else None) or start)
