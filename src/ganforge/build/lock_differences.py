"""Compare a lock with what is installed here, and with the components and data of a recipe. Nothing is built or installed."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ganforge.build.lock import Lock, LockedDistribution, LockedFile, hash_data, required_plugins
from ganforge.build.parts import Part
from ganforge.core.errors import UsageError
from ganforge.registry.component import PluginRef
from ganforge.registry.discovery import builtin_plugin, installed_plugins, read_local_plugin
from ganforge.registry.selection import current_selection, local_plugin_name

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LockDifference:
    """One difference from a lock.

    Attributes:
        message: what differs.
        remedy: how to restore it, unless pip can.
        requirement: the requirement with which pip restores it.
        minor: whether it is only the version of a distribution that does not influence the weights.
    """

    message: str
    remedy: str | None = None
    requirement: str | None = None
    minor: bool = False


def installed_differences(locked: Lock, origin: Path | None = None) -> tuple[LockDifference, ...]:
    """Differences in installed distributions and local plugins. They are compared by metadata; no code of a plugin runs.

    Args:
        locked: the lock.
        origin: the lock's file or run folder, where copies of local plugins are kept.
    """
    return (*_distribution_differences(locked), *_plugin_file_differences(locked, origin))


def part_differences(locked: Lock, now: Lock) -> tuple[LockDifference, ...]:
    """Differences in components and data."""
    return (*_component_differences(locked, now), *_data_differences(locked, now))


def data_differences(locked: Lock, dataset: Part, folder: Path) -> tuple[LockDifference, ...]:
    """Differences in the data that a data set reads.

    Args:
        locked: the lock.
        dataset: the recipe's data set.
        folder: the recipe's folder.
    """
    now = locked.model_copy(update={"data_files": tuple(hash_data(dataset, folder))})
    return tuple(_data_differences(locked, now))


def check_installed(locked: Lock, origin: Path | None = None) -> None:
    """Raise if installed distributions or local plugins differ from the lock; warn of editable ones, whose code it does not know.

    Raises:
        UsageError: a distribution or local plugin is missing or differs; the remedy is the command that restores it.
    """
    _raise_if_any(installed_differences(locked, origin))
    here = {one.distribution: one for one in (*installed_plugins(), builtin_plugin())}
    editable = [one.name for one in locked.distributions if "editable" in (one.source, here[one.name].source)]
    if editable:
        _log.warning("the lock knows the version but not the code of editable installations: %s", ", ".join(editable))


def check_parts(locked: Lock, now: Lock) -> None:
    """Raise if components or data differ from the lock.

    Raises:
        UsageError: a component or the data differ.
    """
    _raise_if_any(part_differences(locked, now))


def join_remedies(differences: Sequence[LockDifference]) -> str:
    """How to restore everything: one command for pip, then manual steps."""
    requirements = [one.requirement for one in differences if one.requirement]
    manual = [one.remedy for one in differences if one.remedy]
    return "; ".join(dict.fromkeys([*([f"pip install {' '.join(requirements)}"] if requirements else []), *manual]))


def _kept_file(file: LockedFile, origin: Path | None) -> Path | None:
    """A local plugin with the locked content, at its old path or as a copy beside the lock; ``None`` if neither has it."""
    places = [Path(file.file)]
    if origin is not None and local_plugin_name(Path(file.key)) == file.key:  # the key may come from anyone; accept no path
        path = origin / "lock.json" if origin.is_dir() else origin
        places.append(path.with_name(path.stem.replace("lock", "plugins", 1)) / f"{file.key.replace('-', '_')}.py")
    return next((one for one in places if one.is_file() and read_local_plugin(one).sha256 == file.sha256), None)


def _raise_if_any(differences: Sequence[LockDifference]) -> None:
    if differences:
        lines = "\n  ".join(one.message for one in differences)
        raise UsageError(f"this differs from the lock; nothing was created:\n  {lines}", remedy=join_remedies(differences))


def _distribution_differences(locked: Lock) -> Iterator[LockDifference]:
    here = {one.distribution: one.ref for one in (*installed_plugins(), builtin_plugin())}
    used = {one.distribution for one in locked.components if one.kind != "metric"}
    used |= set(required_plugins(used))
    for one in locked.distributions:
        current = here.get(one.name)
        message = _distribution_difference(one, current)
        if message is None:
            continue
        minor = current is not None and one.name not in used
        folder = _source_folder(one) if current is not None else None
        if folder:  # pip would install the folder's current version again
            remedy = f"check out {one.version} in {folder}, then pip install {_pip_argument(one.ref)}"
            yield LockDifference(message, remedy, minor=minor)
        else:
            yield LockDifference(message, requirement=_pip_argument(one.ref), minor=minor)


def _distribution_difference(locked: LockedDistribution, here: PluginRef | None) -> str | None:
    if here is None:
        return f"{locked.name} {locked.version} is not installed"
    if here.version != locked.version:
        return f"{locked.name} {locked.version} is locked, {here.version} is installed"
    if locked.source in ("vcs", "url") and here.url != locked.url:
        return f"{locked.name} is locked as {locked.url}, installed is {here.url or f'{here.version} from an index'}"
    return None


def _source_folder(locked: LockedDistribution) -> str | None:
    """The folder that it was installed from, if it is on this computer; its version depends on what is checked out there."""
    if locked.source not in ("editable", "local") or not locked.url:
        return None
    path = unquote(urlsplit(locked.url).path)
    return shlex.quote(path) if locked.source == "editable" or Path(path).is_dir() else None


def _pip_argument(ref: PluginRef) -> str:
    text = str(ref.requirement)
    option, _, path = text.partition(" ")
    return f"{option} {shlex.quote(path)}" if option == "-e" else shlex.quote(text)


def _plugin_file_differences(locked: Lock, origin: Path | None) -> Iterator[LockDifference]:
    named = {one.name: one for one in map(read_local_plugin, current_selection().local)}
    for file in locked.plugin_files:
        mine = named.get(file.key)
        if mine is not None and mine.sha256 == file.sha256:
            continue
        kept = _kept_file(file, origin)
        option = f"--plugin {shlex.quote(str(kept or file.file))}"
        if mine is None:
            yield LockDifference(f"the local plugin '{file.key}' is not loaded", option)
        else:
            hashes = f"sha256 {file.sha256[:12]}…, here {str(mine.sha256)[:12]}…"
            remedy = f"use the original file: {option}" if kept else f"restore {mine.origin}"
            yield LockDifference(f"{mine.origin} is not the file that is locked ({hashes})", remedy)


def _component_differences(locked: Lock, now: Lock) -> Iterator[LockDifference]:
    before, after = ({one.key: f"{one.id}@{one.revision}" for one in each.components} for each in (locked, now))
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            message = f"{key}: locked is {before.get(key, 'nothing')}, the recipe has {after.get(key, 'nothing')}"
            yield LockDifference(message, "use the recipe of the lock")


def _data_differences(locked: Lock, now: Lock) -> Iterator[LockDifference]:
    current = {one.key: one for one in now.data_files}
    for one in locked.data_files:
        found = current.get(one.key)
        if found is None or found.sha256 != one.sha256:
            message = f"{found.file} is not the data that is locked" if found else f"{one.file} is locked but missing"
            times = ", with the modification times of its files, as rsync -a and tar do" if one.covers == "listing" else ""
            yield LockDifference(f"{one.key}: {message}", f"restore the data{times}")
