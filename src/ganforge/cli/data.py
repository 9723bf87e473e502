"""``ganforge data``: list and download data sets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.cli.components import load_registry
from ganforge.cli.suggestions import CommandGroup

if TYPE_CHECKING:
    from ganforge.builtin.datasets.remote_datasets import RemoteDataset

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """List and prepare data sets that are not included in ganforge."""


@app.command("list")
def list_data(*, as_json: options.Json = False) -> None:
    """List the data sets that can be prepared, with their state."""
    from ganforge.builtin.datasets.remote_datasets import REMOTE_DATASETS, find_folder, search_folders
    from ganforge.storage.run_folder import data_folders

    folders = data_folders()
    found = [(dataset, find_folder(dataset, search_folders(dataset, folders))) for dataset in REMOTE_DATASETS.values()]
    if as_json:
        console.print_json({"folder": folders[0], "datasets": [_facts(dataset, folder) for dataset, folder in found]})
        return
    console.table(
        ("Name", "State", "Where", "What it is", "Licence"),
        [(dataset.name, _state(dataset, folder), folder, dataset.summary, dataset.licence) for dataset, folder in found],
        optional=(4,),
    )
    console.note(
        f"`ganforge data prepare NAME` downloads or repairs one in {folders[0]} and verifies its checksums; "
        "this list only compares sizes"
    )


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set, as in a recipe.")],
    *,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FOLDER|URL", help="Use this folder, archive or URL as the source.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Copy or download a data set, and verify its checksums."""
    from ganforge.session.data_preparation import find_dataset, prepare_data
    from ganforge.storage.run_folder import data_folders

    dataset = find_dataset(name, load_registry(warn=False))
    with _progress() as report:
        done = prepare_data(dataset, source, data_folders(), report)

    if as_json:
        console.print_json({**_facts(dataset, done.folder), "changed": done.changed})
        return
    made = "" if name == dataset.name else f", which {name} uses,"
    how = "is ready" if done.changed else "was already there"
    size = sum(path.stat().st_size for path in done.folder.iterdir() if path.is_file()) / 2**20
    console.success(f"{dataset.name}{made} {how} in {done.folder} ({size:.1f} MiB, checksums verified; licence: {dataset.licence})")


def _state(dataset: RemoteDataset, folder: Path | None) -> str:
    """The state by file names and sizes, without checksums."""
    from ganforge.builtin.datasets.remote_datasets import have_right_sizes

    if folder is None:
        return "missing"
    return "ready" if have_right_sizes(dataset, folder) else "damaged"


def _facts(dataset: RemoteDataset, folder: Path | None) -> dict[str, object]:
    from ganforge.builtin.datasets.remote_datasets import find_files

    files = dict(find_files(dataset, folder) if folder else ()) or dict.fromkeys(dataset.layouts[0])
    return {
        "state": _state(dataset, folder),
        "folder": folder,
        **console.attributes(dataset, "name", "summary", "licence", "urls"),
        "files": [{"name": file.name, "sum": file.checksum, "file": path, "bytes": file.size} for file, path in files.items()],
    }


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """On stderr: a progress bar per file on a terminal, else a line per finished file."""
    if not sys.stderr.isatty():
        yield lambda name, done, total: console.note(f"{name}: {done:,} bytes") if done == total else None
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
