"""``ganforge report``: a self-contained HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console, options


def report(
    run: Annotated[str, typer.Argument(help="Run name, id prefix or folder; or that of a sweep.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Output file. Default: report.html in the run folder.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    runs_dir: options.RunsDir = Path("runs"),
    json: options.Json = False,
) -> None:
    """Write an HTML page about a run: health, samples, curves, metrics with their protocols, recipe and lock.

    The page is self-contained and runs no scripts. It works for any run, including one that failed or is still running; for a
    sweep it compares the seeds.
    """
    from ganforge.report.page import write_report
    from ganforge.runs.run_index import find
    from ganforge.runs.sample_files import check_paths, out_option_hint

    check_paths([out] if out else [], (".html", ".htm"))
    folder = find(run, runs_dir)
    with out_option_hint():
        page = write_report(folder, out)
    if json:
        console.json_out({"schema": 1, "run": folder.path.resolve().name, "file": page, "bytes": page.stat().st_size})
    else:
        console.success(f"wrote the report on {folder.path.resolve().name} to {page} ({page.stat().st_size / 2**20:.1f} MiB)")
    if browser:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
