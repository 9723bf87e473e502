"""Checkpoints: ``checkpoints/<iteration>/`` with ``<group>.safetensors``, ``state.json`` and ``MANIFEST.json``.

Nothing is pickled. A checkpoint is written to a temporary folder, synced and renamed, so it is whole under its final name; the
manifest's hashes reveal later damage. Only the process that holds the folder's lock may save; any process may load.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ganforge.core.errors import RunFolderError
from ganforge.core.events import State
from ganforge.storage import atomic_files, strict_json
from ganforge.storage.atomic_files import fault_point
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT = 1  # increases when older versions of ganforge can no longer read the format
_MANIFEST = "MANIFEST.json"
_VALUES = "state.json"
_FILE_NAME = re.compile(r"[a-z0-9_-]+\.(safetensors|json)")
_NUMBER = re.compile(r"[0-9]{8,}")
_GROUP = re.compile(r"[a-z0-9_-]+")
_TEMPORARY = ".tmp-"
_REPLACED = ".replaced-"


class LoadedCheckpoint(NamedTuple):
    """A checkpoint that was loaded."""

    iteration: int
    state: State  # tuples among its values became lists
    skipped: list[str]  # one sentence for each newer checkpoint that is damaged


class DamagedCheckpointError(Exception):
    """A checkpoint differs from what was written."""


def save(folder: RunFolder, iteration: int, state: State, keep: int) -> Path:
    """Commit ``state``, remove all but the ``keep`` newest checkpoints, and return the checkpoint's folder.

    A tensor's name is ``<group>/<name>``; each group becomes a file. A :class:`StorageError` leaves earlier checkpoints untouched.
    """
    final = folder.checkpoints / f"{iteration:08d}"
    temporary = folder.checkpoints / f"{_TEMPORARY}{final.name}-{os.getpid()}"
    with atomic_files.storage_errors(final):
        try:
            folder.checkpoints.mkdir(exist_ok=True)
            _tidy(folder.checkpoints)
            temporary.mkdir()
            fault_point("checkpoint made")
            _write(temporary, iteration, state)
            _commit(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # no longer there after a commit
    _prune(folder, final, keep)
    return final


def load_newest(folder: RunFolder) -> LoadedCheckpoint:
    """Load the newest undamaged checkpoint, all files verified; a RunFolderError names the damaged ones if there is none."""
    seen: list[Path] | None = None
    skipped: list[str] = []
    while (found := list_checkpoints(folder)) != seen:  # again if the run has meanwhile removed the ones found
        seen, skipped = found, []
        for path in found:
            try:
                return LoadedCheckpoint(int(path.name), load(path), skipped)
            except DamagedCheckpointError as damage:
                skipped.append(f"checkpoint {path.name} is damaged ({damage})")
    if not seen:
        raise RunFolderError(
            f"{folder.path} has no checkpoint: the run has not reached its first one",
            remedy="wait for it if the run continues; if it has ended, start a new run, with lower learning rates if it diverged",
        )
    raise RunFolderError(f"{folder.path} has no usable checkpoint:\n" + "\n".join(skipped), remedy="start the run again")


def move_aside_after(folder: RunFolder, iteration: int) -> None:
    """Move the checkpoints of later iterations to ``discarded-<n>/``, because training rolled back; you may still want them.

    Nothing resumes or samples from there. Checkpoints that cannot be moved stay.
    """
    if not (later := [path for path in list_checkpoints(folder) if int(path.name) > iteration]):
        return
    aside = folder.checkpoints / f"discarded-{1 + len(list(folder.checkpoints.glob('discarded-*')))}"
    with suppress(OSError):
        aside.mkdir()
        for path in later:
            path.rename(aside / path.name)
        atomic_files.sync_folder(folder.checkpoints)


def list_checkpoints(folder: RunFolder) -> list[Path]:
    """The folders of all checkpoints, newest first, damaged ones included."""
    if not folder.checkpoints.is_dir():
        return []
    found = (path for path in folder.checkpoints.iterdir() if _NUMBER.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name), reverse=True)


def load(path: Path) -> State:
    """Load the state from one checkpoint's folder; raises a :class:`DamagedCheckpointError` as :func:`read_verified` does."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    files = read_verified(path)
    tensors: dict[str, Tensor] = {}
    try:
        values = strict_json.loads(files.pop(_VALUES))
        for name, data in files.items():
            group = name.removesuffix(".safetensors")
            tensors |= {f"{group}/{key}": tensor for key, tensor in from_bytes(data).items()}
    except (ValueError, SafetensorError) as error:  # anyone can write a manifest that fits
        raise DamagedCheckpointError(f"its content cannot be read: {error}") from error
    return State(tensors, values)


def read_verified(path: Path) -> dict[str, bytes]:
    """Read the files of one checkpoint's folder by name; a :class:`DamagedCheckpointError` if one differs from the manifest."""
    files = {}
    for name, (size, digest) in _manifest(path).items():
        data = _read(path / name)
        if len(data) != size:
            raise DamagedCheckpointError(f"{name}: {len(data)} bytes instead of {size}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise DamagedCheckpointError(f"{name}: sha256 differs")
        files[name] = data
    return files


def _manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Size and sha256 of each file by name."""
    text = _read(path / _MANIFEST)
    try:
        manifest = strict_json.loads(text)
        version, iteration = manifest["format"], manifest["iteration"]
        files = {name: (int(entry["size"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedCheckpointError(f"{_MANIFEST}: not a manifest") from error
    if version != _FORMAT:
        raise DamagedCheckpointError(f"{_MANIFEST}: format {version} instead of {_FORMAT}; written by another version of ganforge")
    if iteration != int(path.name) or _VALUES not in files or not all(map(_FILE_NAME.fullmatch, files)):
        raise DamagedCheckpointError(f"{_MANIFEST}: not this checkpoint's manifest")
    return files


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedCheckpointError(f"{path.name}: missing") from error
    except OSError as error:
        raise DamagedCheckpointError(f"{path.name}: {error.strerror or error}") from error


def _write(temporary: Path, iteration: int, state: State) -> None:
    entries = {}
    for name, data in _encode(state):
        atomic_files.write_synced(temporary / name, data)
        fault_point(f"wrote {name}")
        entries[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}

    manifest = {"format": _FORMAT, "iteration": iteration, "files": entries}
    atomic_files.write_synced(temporary / _MANIFEST, strict_json.dumps(manifest).encode())  # compact, so that every byte matters
    fault_point(f"wrote {_MANIFEST}")
    atomic_files.sync_folder(temporary)
    fault_point("synced the checkpoint")


def _encode(state: State) -> Iterator[tuple[str, bytes]]:
    import torch
    from safetensors.torch import save as to_bytes

    groups: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in state.tensors.items():
        group, _, name = full_name.partition("/")
        if not (_GROUP.fullmatch(group) and name):
            raise ValueError(f"the tensor '{full_name}' of a state is not named group/name")
        # on the CPU, contiguous and without shared memory: safetensors refuses anything else
        groups.setdefault(group, {})[name] = tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)

    yield _VALUES, strict_json.dumps(state.values).encode()
    for group, tensors in groups.items():
        yield f"{group}.safetensors", to_bytes(tensors)


def _commit(temporary: Path, final: Path) -> None:
    """Rename; an existing checkpoint of that iteration moves away first, and :func:`_tidy` restores it after a crash in between."""
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
    fault_point("renamed the checkpoint")
    atomic_files.sync_folder(final.parent)
    fault_point("synced the checkpoints")
    shutil.rmtree(replaced, ignore_errors=True)


def _tidy(checkpoints: Path) -> None:
    """Remove the leftovers of a process that died."""
    for path in checkpoints.glob(f"{_REPLACED}*"):
        final = path.with_name(path.name.removeprefix(_REPLACED))
        if not final.exists():
            path.rename(final)
    for pattern in (_REPLACED, _TEMPORARY):
        for path in checkpoints.glob(f"{pattern}*"):
            shutil.rmtree(path, ignore_errors=True)


def _prune(folder: RunFolder, newest: Path, keep: int) -> None:
    """Keep ``newest``, the ``keep`` - 1 before it, and undamaged later ones, which are from before a resume."""
    at = (others := list_checkpoints(folder)).index(newest)
    for path in others[at + max(keep, 1) :] + [path for path in others[:at] if _is_damaged(path)]:
        pruned = path.with_name(f"{_TEMPORARY}pruned-{path.name}")
        with suppress(OSError):  # a checkpoint that cannot be removed does no harm
            path.rename(pruned)
            fault_point("pruning")
            shutil.rmtree(pruned)


def _is_damaged(path: Path) -> bool:
    try:
        read_verified(path)
    except DamagedCheckpointError:
        return True
    return False
