"""``ganforge report``: one page about a run, complete in itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console, options


def report(
    run: Annotated[str, typer.Argument(help="Folder, name or beginning of the id of a run, or of a sweep over seeds.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Where to write; report.html in the run folder unless given.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    runs_dir: options.RunsDir = Path("runs"),
    json: options.Json = False,
) -> None:
    """Write an HTML page about a run: verdict, samples, curves, metrics with their protocols, recipe and lock.

    The page loads nothing and runs no script: it can be sent, kept and printed as it is. Any run will do, also one that failed or
    is still running; of a sweep the page compares the seeds.
    """
    from ganforge.report.report_file import report as write
    from ganforge.runs.run_lookup import find
    from ganforge.runs.sample_files import check_paths, out_option_hint

    check_paths([out] if out else [], (".html", ".htm"))
    folder = find(run, runs_dir)
    with out_option_hint():
        page = write(folder, out)
    if json:
        console.json_out({"schema": 1, "run": folder.path.resolve().name, "file": page, "bytes": page.stat().st_size})
    else:
        console.success(f"page of {folder.path.resolve().name} written to {page} ({page.stat().st_size / 2**20:.1f} MiB)")
    if browser:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
