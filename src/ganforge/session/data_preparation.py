"""Copies or downloads data sets, compares them with their checksums, and puts them in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ganforge import __version__
from ganforge.builtin.datasets.remote_datasets import (
    DERIVED_DATASETS,
    REMOTE_DATASETS,
    RemoteDataset,
    RemoteFile,
    find_file,
    find_files,
    find_folder,
    read_file,
    search_folders,
)
from ganforge.core.errors import DataError, StorageError, UsageError
from ganforge.registry.component import Kind
from ganforge.registry.registry import FIRST_PARTY, Registry
from ganforge.storage.atomic_files import storage_errors, write_bytes

Report = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes so far, and the bytes in all if known."""

_TIMEOUT = 30  # seconds without a byte until a server counts as dead
_CHUNK = 1 << 18


class PreparedDataset(NamedTuple):
    """The folder of a data set, and whether it was put there now."""

    folder: Path
    changed: bool


def find_dataset(name: str, registry: Registry) -> RemoteDataset:
    """The data set of that name, or the one that it is derived from.

    Raises:
        UsageError: there is no such data set, or it needs no preparation.
    """
    found = registry.find(Kind.DATASET, name, usable=False)
    dataset = REMOTE_DATASETS.get(DERIVED_DATASETS.get(found.name, found.name))
    if dataset is None or found.plugin.distribution not in FIRST_PARTY:
        remedy = f"only {', '.join([*REMOTE_DATASETS, *DERIVED_DATASETS])} do; `ganforge describe dataset {name}` shows this one"
        raise UsageError(f"the data set '{name}' needs no preparation", remedy=remedy)
    return dataset


def prepare_data(dataset: RemoteDataset, source: str | None, folders: Iterable[Path], report: Report) -> PreparedDataset:
    """Make sure that the files that a run would read are here, with the right checksums.

    The source is a folder, archive or URL; by default an intact copy in one of the folders, else the data set's URLs. Files are
    written to the first of these folders, once all are verified.
    """
    if source is not None and not source.strip():
        raise UsageError("--from is empty", remedy="name a folder, an archive or a URL")
    own, *others = folders
    target = own / dataset.name
    candidates = [target] if source is not None else search_folders(dataset, (own, *others))
    current = find_folder(dataset, candidates)
    if current is not None and _is_intact(dataset, current):
        return PreparedDataset(current, changed=False)

    try:
        _put_in_place(dataset, target, _read_source(dataset, source, candidates, report))
    except StorageError as error:
        error.remedy = "free some space, or set GANFORGE_DATA to a folder that you may write in"
        raise
    return PreparedDataset(target, changed=True)


def _put_in_place(dataset: RemoteDataset, target: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files, and remove those of a damaged copy, which a run might read instead; others stay. A link is replaced."""
    with storage_errors(target):
        if target.is_symlink():
            target.unlink()
    for name, raw in contents.items():
        write_bytes(target / name, raw)
    own = {name for layout in dataset.layouts for file in layout for name in file.names}
    with storage_errors(target):
        for name in own - contents.keys():
            (target / name).unlink(missing_ok=True)


def _verify(dataset: RemoteDataset, file: RemoteFile, raw: bytes, origin: Path | str) -> None:
    """Compare a file, compressed or not, with its checksum; an error names ``origin``."""
    content = file.decompress(raw, origin)
    if not file.matches(content):
        raise DataError(
            f"{origin}: is not {file.name} of {dataset.name}: its checksum is {file.checksum_of(content)}, not {file.checksum}",
            remedy=f"get it from {' or '.join(dataset.urls)}",
        )


def _is_intact(dataset: RemoteDataset, folder: Path) -> bool:
    """Whether the files that a run would read in a folder have the right checksums."""
    try:
        return all(file.matches(file.read(path)) for file, path in find_files(dataset, folder))
    except DataError:
        return False


def _archives(dataset: RemoteDataset) -> list[RemoteFile]:
    """The files that hold a whole data set each."""
    return [layout[0] for layout in dataset.layouts if len(layout) == 1]


def _identify_archive(dataset: RemoteDataset, raw: bytes, name: str, origin: Path | str) -> RemoteFile:
    """The archive of a data set that this is, whatever its name; an error compares it with the one of that name."""
    archives = _archives(dataset)
    matching = next((file for file in archives if file.matches(raw)), None)
    if matching is None:
        matching = next((file for file in archives if file.name == name), archives[0])
        _verify(dataset, matching, raw, origin)
    return matching


def _enumerate(files: Iterable[RemoteFile]) -> str:
    *first, last = [file.name for file in files]
    return f"{', '.join(first)} and {last}" if first else last


def _read_source(dataset: RemoteDataset, source: str | None, folders: Sequence[Path], report: Report) -> dict[str, bytes]:
    """Verified content of each file, by name, from the source."""
    if source is None:
        found = (find_folder(dataset, [folder]) for folder in folders)
        intact = next((folder for folder in found if folder is not None and _is_intact(dataset, folder)), None)
        return _download(dataset, dataset.urls, report) if intact is None else _copy(dataset, intact, report)
    if source.lower().startswith(("http://", "https://")):
        return _download(dataset, [source], report)
    return _copy(dataset, Path(source).expanduser(), report)


def _copy(dataset: RemoteDataset, source: Path, report: Report) -> dict[str, bytes]:
    contents = {}
    for file, path in _local_files(dataset, source):
        raw = read_file(path)
        _verify(dataset, file, raw, path)
        name = path.name if file.gzipped else file.name
        report(name, len(raw), len(raw))
        contents[name] = raw
    return contents


def _local_files(dataset: RemoteDataset, source: Path) -> list[tuple[RemoteFile, Path]]:
    """The files of one layout in a folder, or an archive."""
    if source.is_file():
        if _archives(dataset):
            return [(_identify_archive(dataset, read_file(source), source.name, source), source)]
        raise DataError(f"{source} is a file", remedy=f"name the folder that holds {_enumerate(dataset.layouts[0])}")
    if not source.is_dir():
        raise DataError(f"there is no folder {source}", remedy="name an existing folder, or a URL that begins with https://")

    folder = find_folder(dataset, [source])
    if folder is None:
        missing = [file for file in dataset.layouts[0] if not find_file(file, source)]
        lack = _enumerate(missing) if len(missing) < len(dataset.layouts[0]) else f"the files of {dataset.name}"
        others = "".join(f"; or {_enumerate(other)}" for other in dataset.layouts[1:])
        raise DataError(f"{source} lacks {lack}", remedy=f"it must hold {_enumerate(dataset.layouts[0])}{others}")
    return find_files(dataset, folder)


def _download(dataset: RemoteDataset, urls: Iterable[str], report: Report) -> dict[str, bytes]:
    """Download from web folders or archives, one after the other: what one server lacks or has wrong, the next one may deliver."""
    failures: list[str] = []
    done: dict[str, bytes] = {}
    for url in urls:
        try:
            return _download_layout(dataset, url, done, report)
        except DataError as error:
            failures.append(error.message)
        except (OSError, ValueError) as error:  # ValueError: an invalid URL
            failures.append(f"{url}: {_reason(error)}")

    compressed = ", each with or without .gz," if dataset.layouts[0][0].gzipped else ""
    steps = (
        f"without a network: get {_enumerate(dataset.layouts[0])}{compressed} on a computer that has one, from "
        f"{' or '.join(dataset.urls)}; copy them here, and run `ganforge data prepare {dataset.name} --from FOLDER`"
    )
    remedy = f"{steps}; or {dataset.alternative}" if dataset.alternative else steps
    raise DataError(f"{dataset.name} could not be downloaded: {'; '.join(failures)}", remedy=remedy)


def _download_layout(dataset: RemoteDataset, url: str, done: dict[str, bytes], report: Report) -> dict[str, bytes]:
    """The first layout that a server has, together with the files that are ``done``."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    archives = _archives(dataset)
    if archives and name.lower().endswith((".tar.gz", ".tgz")):
        raw = _fetch(url, name, max(file.size for file in archives), report)
        if raw is None:
            raise DataError(f"{url}: not found")
        return {_identify_archive(dataset, raw, name, url).name: raw}
    if any(name in file.names for layout in dataset.layouts for file in layout):
        raise UsageError(f"{url} is one of several files", remedy="name the web folder that holds them all")

    for layout in dataset.layouts:
        if all(_download_file(dataset, file, url, done, report) for file in layout):
            return {name: done[name] for file in layout for name in file.names if name in done}
    missing = [file for file in dataset.layouts[0] if not done.keys() & file.names]
    raise DataError(f"{url} lacks {missing[0].name}")


def _download_file(dataset: RemoteDataset, file: RemoteFile, url: str, done: dict[str, bytes], report: Report) -> bool:
    """Add a file from a web folder, compressed if the server has it so, unless it is done; returns whether it is."""
    if done.keys() & file.names:
        return True
    parts = urlsplit(url)  # a query, such as a token, stays at the end
    for name in reversed(file.names):
        address = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}", fragment=""))
        raw = _fetch(address, name, file.size, report)
        if raw is not None:
            _verify(dataset, file, raw, f"{url}: {name}")
            done[name] = raw
            return True
    return False


def _fetch(url: str, name: str, size: int, report: Report) -> bytes | None:
    """Download a file, or ``None`` if there is none; stops a server that sends far more than ``size`` bytes, if they are known."""
    import requests

    headers = {"User-Agent": f"ganforge/{__version__}", "Accept-Encoding": "identity"}
    pieces: list[bytes] = []
    done = 0
    with requests.get(url, headers=headers, timeout=_TIMEOUT, stream=True) as response:
        if response.status_code in (403, 404):
            return None
        response.raise_for_status()
        total = int(response.headers.get("Content-Length") or 0) or None
        for piece in response.iter_content(_CHUNK):
            pieces.append(piece)
            done += len(piece)
            report(name, done, total)
            if size and done > 2 * size + _CHUNK:
                raise OSError(f"{name} is larger than expected")
    return b"".join(pieces)


def _reason(error: Exception) -> str:
    """The innermost reason of an error of requests, which wraps those of urllib3."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or error)
