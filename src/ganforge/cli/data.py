"""``ganforge data``: list and download data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options

if TYPE_CHECKING:
    from ganforge.builtin.datasets.remote_datasets import RemoteDataset

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """List and prepare data sets that are not included in ganforge."""


@app.command("list")
def list_data(*, as_json: options.Json = False) -> None:
    """List the data sets that can be prepared, their state and location."""
    from ganforge.builtin.datasets.remote_datasets import REMOTE_DATASETS
    from ganforge.storage.data_folders import data_folders

    folders = data_folders()
    if as_json:
        console.json_out(
            {
                "schema": 1,
                "folder": folders[0],
                "datasets": [_facts(known, _found(known, folders)) for known in REMOTE_DATASETS.values()],
            }
        )
        return
    console.table(
        ("Name", "State", "Where", "What it is", "Licence"),
        [
            (known.name, _state(known, found), found, known.summary, known.licence)
            for known in REMOTE_DATASETS.values()
            for found in [_found(known, folders)]
        ],
    )
    console.note(
        f"`ganforge data prepare NAME` downloads or repairs one in {folders[0]} and verifies its checksums; "
        "this list only compares sizes"
    )


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(help="Name of the data set, as in a recipe.")],
    *,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FOLDER|URL", help="Use this folder, archive or URL as the source.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Copy or download a data set into the data folder, and verify its checksums."""
    from ganforge.session.data_preparation import find_dataset, prepare_data
    from ganforge.storage.data_folders import data_folders

    known = find_dataset(name)
    with _progress() as report:
        done = prepare_data(known, source, data_folders(), report)

    if as_json:
        console.json_out({"schema": 1, **_facts(known, done.folder), "changed": done.changed})
        return
    made = "" if name == known.name else f", which {name} uses,"
    how = "is ready" if done.changed else "was already there"
    size = sum(path.stat().st_size for path in done.folder.iterdir() if path.is_file()) / 2**20
    console.success(f"{known.name}{made} {how} in {done.folder} ({size:.1f} MiB, checksums verified; licence: {known.licence})")


def _found(known: RemoteDataset, folders: tuple[Path, ...]) -> Path | None:
    from ganforge.builtin.datasets.remote_files import find_folder, search_folders

    return find_folder(known, search_folders(known, folders))


def _state(known: RemoteDataset, folder: Path | None) -> str:
    """The state by file names and sizes, without checksums."""
    from ganforge.builtin.datasets.remote_files import have_right_sizes

    if folder is None:
        return "missing"
    return "ready" if have_right_sizes(known, folder) else "damaged"


def _facts(known: RemoteDataset, folder: Path | None) -> dict[str, object]:
    """A data set as plain data."""
    from ganforge.builtin.datasets.remote_files import find_file, find_layout

    form = (find_layout(known, folder) if folder else None) or known.layouts[0]
    return {
        "name": known.name,
        "state": _state(known, folder),
        "folder": folder,
        "summary": known.summary,
        "licence": known.licence,
        "urls": known.urls,
        "files": [
            {"name": file.name, "sum": file.checksum, "file": find_file(file, folder) if folder else None, "bytes": file.size}
            for file in form
        ],
    }


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """On stderr: a progress bar per file on a terminal, else a line per finished file."""
    import sys

    if not sys.stderr.isatty():

        def tell(name: str, done: int, total: int | None) -> None:
            if done == total:
                console.note(f"{name}: {done:,} bytes")

        yield tell
        return

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        yield show
