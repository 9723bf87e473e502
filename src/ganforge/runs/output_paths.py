"""Where what is made of a run is written: refused before anything is made, if it cannot be a file of that kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ganforge.core.errors import StorageError, UsageError
from ganforge.storage import atomic_files


def default_target(folder: Path, name: str) -> Path:
    """Where ``name`` goes unless somebody says otherwise: into a run's folder, but beside any other, such as an exported one.

    An exported folder holds a generator and nothing else, so that another export may replace it.
    """
    if (folder / "run.json").is_file():
        return folder / name
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name}-{name}")


def check_targets(paths: Sequence[Path], endings: Sequence[str]) -> None:
    """Refuse what is no name for a file of these formats.

    Raises:
        UsageError: another ending, or a folder is there.
    """
    told = f"{', '.join(endings[:-1])} or {endings[-1]}" if len(endings) > 1 else endings[0]
    for path in paths:
        if path.suffix.lower() not in endings:
            raise UsageError(f"cannot tell the format of {path.name or path}", remedy=f"let the name end in {told}")
        if path.is_dir():
            raise UsageError(f"{path} is a folder", remedy=f"name a file that ends in {told}")


@contextmanager
def chosen_by_out() -> Iterator[None]:
    """Name the option that says where to write, where the disk or folder refuses.

    Raises:
        StorageError: as it was, with that remedy.
    """
    try:
        yield
    except StorageError as error:
        if error.remedy:
            error.remedy = error.remedy.replace(atomic_files.RUNS_DIR_HINT, " with --out")
        raise
