"""Checkpoints: ``checkpoints/<iteration>/`` with ``<group>.safetensors``, ``state.json`` and ``MANIFEST.json``.

Nothing is pickled. A checkpoint is written into a temporary folder, synced, and renamed, so that under its final name it is whole;
the manifest's hashes show what happened to it later. Saving is for the process that holds the folder's lock, loading for anybody.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ganforge.core.errors import RunFolderError
from ganforge.core.events import State
from ganforge.storage import atomic_files, strict_json
from ganforge.storage.fault_points import fault_point
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Grows when an older ganforge could no longer read what is written."""
MANIFEST = "MANIFEST.json"

_VALUES = "state.json"
_FILE_NAME = re.compile(r"[a-z0-9_-]+\.(safetensors|json)")
_NUMBER = re.compile(r"[0-9]{8,}")
_GROUP = re.compile(r"[a-z0-9_-]+")
_TEMPORARY = ".tmp-"
_REPLACED = ".replaced-"
_GIVEN_UP = "given-up-"


class Loaded(NamedTuple):
    """A checkpoint that could be loaded.

    Attributes:
        iteration: iterations done.
        state: what was saved; tuples among its values are lists now.
        skipped: for each newer checkpoint that is damaged, a sentence.
    """

    iteration: int
    state: State
    skipped: list[str]


class Damaged(Exception):  # noqa: N818 - a finding, which becomes part of a RunFolderError
    """A checkpoint that is not what was written."""


def save(folder: RunFolder, iteration: int, state: State, keep: int) -> Path:
    """Commit ``state`` and remove all but the ``keep`` newest checkpoints; gives the checkpoint's folder.

    A tensor's name is ``<group>/<name>``; each group becomes a file. Tensors are copied to the CPU; the manifest has the sha256 and
    size of each file.

    Raises:
        StorageError: the disk or folder refused; earlier checkpoints are untouched.
        ValueError: a tensor's name without a group.
    """
    final = folder.checkpoints / f"{iteration:08d}"
    temporary = folder.checkpoints / f"{_TEMPORARY}{final.name}-{os.getpid()}"
    with atomic_files.storing(final):
        try:
            folder.checkpoints.mkdir(exist_ok=True)
            _tidy(folder.checkpoints)
            temporary.mkdir()
            fault_point("checkpoint made")
            _write(temporary, iteration, state)
            _commit(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # there is none after a commit
    _prune(folder, final, keep)
    return final


def load_newest(folder: RunFolder) -> Loaded:
    """The newest checkpoint that is what was written, all its files verified before anything of them is used.

    Raises:
        RunFolderError: there is none; the damaged ones are named.
    """
    seen: list[Path] | None = None
    skipped: list[str] = []
    while (found := committed(folder)) != seen:  # again, if the run that writes them has meanwhile removed those that were found
        seen, skipped = found, []
        for path in found:
            try:
                return Loaded(int(path.name), load(path), skipped)
            except Damaged as damage:
                skipped.append(f"checkpoint {path.name} is damaged ({damage})")
    if not seen:
        raise RunFolderError(
            f"{folder.path} has no checkpoint: the run has not come to its first one",
            remedy="wait for it while it goes on; if it has ended, start a new run, with lower learning rates if it diverged",
        )
    raise RunFolderError(f"{folder.path} has no usable checkpoint:\n" + "\n".join(skipped), remedy="start the run again")


def set_aside_after(folder: RunFolder, iteration: int) -> None:
    """Move the checkpoints of later iterations into ``given-up-<n>/``: training went back to before them, but they may be good.

    Nothing resumes or samples from there. What cannot be moved stays.
    """
    later = [path for path in committed(folder) if int(path.name) > iteration]
    if not later:
        return
    aside = folder.checkpoints / f"{_GIVEN_UP}{1 + len(list(folder.checkpoints.glob(f'{_GIVEN_UP}*')))}"
    with suppress(OSError):
        aside.mkdir()
        for path in later:
            path.rename(aside / path.name)
        atomic_files.sync_folder(folder.checkpoints)


def committed(folder: RunFolder) -> list[Path]:
    """The folders of all checkpoints, damaged ones among them, newest first."""
    if not folder.checkpoints.is_dir():
        return []
    found = (path for path in folder.checkpoints.iterdir() if _NUMBER.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name), reverse=True)


def load(path: Path) -> State:
    """The state in one checkpoint's folder.

    Raises:
        Damaged: a file is missing or not what the manifest says.
    """
    from safetensors.torch import load as from_bytes

    files = verified(path)
    values = strict_json.loads(files.pop(_VALUES))
    tensors: dict[str, Tensor] = {}
    for name, data in files.items():
        group = name.removesuffix(".safetensors")
        tensors |= {f"{group}/{key}": tensor for key, tensor in from_bytes(data).items()}
    return State(tensors, values)


def verified(path: Path) -> dict[str, bytes]:
    """The files of one checkpoint's folder by name, each as its manifest says.

    Raises:
        Damaged: they are not.
    """
    files = {}
    for name, (size, digest) in _manifest(path).items():
        data = _content(path / name)
        if len(data) != size:
            raise Damaged(f"{name}: {len(data)} bytes instead of {size}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise Damaged(f"{name}: sha256 differs")
        files[name] = data
    return files


def _manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Size and sha256 of each file by name."""
    text = _content(path / MANIFEST)
    try:
        manifest = strict_json.loads(text)
        version, iteration = manifest["format"], manifest["iteration"]
        files = {name: (int(entry["size"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{MANIFEST}: not a manifest") from error
    if version != FORMAT:
        raise Damaged(f"{MANIFEST}: format {version} instead of {FORMAT}; made by another version of ganforge")
    if iteration != int(path.name) or _VALUES not in files or not all(map(_FILE_NAME.fullmatch, files)):
        raise Damaged(f"{MANIFEST}: not this checkpoint's manifest")
    return files


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path.name}: missing") from error
    except OSError as error:
        raise Damaged(f"{path.name}: {error.strerror or error}") from error


def _write(temporary: Path, iteration: int, state: State) -> None:
    entries = {}
    for name, data in _files(state):
        atomic_files.write_through(temporary / name, data)
        fault_point(f"wrote {name}")
        entries[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}

    # Compact, so that there is no byte in it which may change unnoticed.
    atomic_files.write_through(
        temporary / MANIFEST, strict_json.dumps({"format": FORMAT, "iteration": iteration, "files": entries}).encode()
    )
    fault_point(f"wrote {MANIFEST}")
    atomic_files.sync_folder(temporary)
    fault_point("synced the checkpoint")


def _files(state: State) -> Iterator[tuple[str, bytes]]:
    from safetensors.torch import save as to_bytes

    yield _VALUES, strict_json.dumps(state.values).encode()
    for group, tensors in _grouped(state.tensors).items():
        yield f"{group}.safetensors", to_bytes({name: _copied(tensor) for name, tensor in tensors.items()})


def _grouped(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        group, _, name = full_name.partition("/")
        if not (_GROUP.fullmatch(group) and name):
            raise ValueError(f"the tensor '{full_name}' of a state is not named group/name")
        groups.setdefault(group, {})[name] = tensor
    return groups


def _copied(tensor: Tensor) -> Tensor:
    """On the CPU, contiguous, and sharing memory with no other tensor: safetensors refuses anything else."""
    import torch

    return tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)


def _commit(temporary: Path, final: Path) -> None:
    """Rename; a checkpoint of that iteration steps aside first, and back if the process dies in between."""
    replaced = final.with_name(f"{_REPLACED}{final.name}")
    if final.exists():
        final.rename(replaced)
        fault_point("set the old one aside")
    try:
        temporary.rename(final)
    except OSError:
        with suppress(OSError):
            replaced.rename(final)
        raise
    fault_point("committed")
    atomic_files.sync_folder(final.parent)
    fault_point("synced the checkpoints")
    shutil.rmtree(replaced, ignore_errors=True)


def _tidy(checkpoints: Path) -> None:
    """Clear away what a process that died has left."""
    for path in checkpoints.glob(f"{_REPLACED}*"):
        final = path.with_name(path.name.removeprefix(_REPLACED))
        if not final.exists():
            path.rename(final)
    for pattern in (_REPLACED, _TEMPORARY):
        for path in checkpoints.glob(f"{pattern}*"):
            shutil.rmtree(path, ignore_errors=True)


def _prune(folder: RunFolder, newest: Path, keep: int) -> None:
    """Keep ``newest``, known to be good, and the ``keep`` - 1 before it; of later ones, from before a resume, the good ones."""
    others = committed(folder)
    older = [path for path in others if int(path.name) < int(newest.name)]
    later = [path for path in others if int(path.name) > int(newest.name)]
    for path in older[max(keep, 1) - 1 :] + [path for path in later if _is_damaged(path)]:
        _remove(path)


def _remove(path: Path) -> None:
    doomed = path.with_name(f"{_TEMPORARY}pruned-{path.name}")
    with suppress(OSError):  # what cannot be removed stays; the others are none the worse
        path.rename(doomed)
        fault_point("pruning")
        shutil.rmtree(doomed)


def _is_damaged(path: Path) -> bool:
    try:
        verified(path)
    except Damaged:
        return True
    return False
