"""``lock.json``: the versions, components, files and data that a run was created with, and how they differ from those here.

Imports no torch. Nothing is built or installed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, ValidationError

from ganforge import __version__
from ganforge.build.blueprint import Blueprint
from ganforge.build.parts import Part
from ganforge.builtin.datasets.image_files import files_below
from ganforge.core.errors import DataError, PluginError, RunFolderError, UsageError
from ganforge.core.params import Params
from ganforge.core.redaction import public_url
from ganforge.recipe.toml_writer import fingerprint
from ganforge.registry.component import InstallSource, PluginRef
from ganforge.registry.discovery import builtin_plugin, installed_plugins, read_local_plugin
from ganforge.registry.selection import current_selection, local_plugin_name, normalize_name

_log = logging.getLogger(__name__)
_LARGE_FOLDER = 2**30
"""Bytes of a folder above which contents are not hashed: that would delay every run by seconds."""
_SMALL_FILE = 2**20

Word = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f]+$", max_length=4096)]
"""One word. A lock may come from anyone, and parts of it are printed as a command."""
Covers = Literal["contents", "listing", "sums"] | None
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LockedComponent(Params):
    """One component of the run: its table in the recipe, its full id, and the distribution that provides it."""

    key: Word
    kind: Word
    id: Word
    revision: int
    distribution: Word
    version: Word


class LockedDistribution(Params):
    """ganforge itself, or a distribution that provides components; ``url`` is as pip accepts it, unless it came from an index."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=200)  # excludes options of pip
    version: Word
    source: InstallSource
    url: Annotated[Word, AfterValidator(public_url)] | None = None

    @property
    def ref(self) -> PluginRef:
        """The same as the loader's record."""
        return PluginRef(self.name, self.name, self.version, self.source, self.url)


class LockedFile(Params):
    """A file or folder that the results depend on: a local plugin by its name, or data by its key in the recipe."""

    key: str = Field(max_length=500)
    file: str = Field(max_length=4096)
    sha256: Hash
    covers: Covers = None
    """What is hashed if it is not a file: names, sizes and contents of a folder's files; names, sizes and modification times, for
    folders of more than 1 GiB; or the published checksums of a data set."""


class Lock(Params):
    """The content of a run folder's ``lock.json``; components are in the order of the recipe."""

    schema_version: Literal[1] = Field(1, alias="schema")
    ganforge: Word
    fingerprint: Hash
    """Fingerprint of the resolved recipe."""
    components: tuple[LockedComponent, ...]
    distributions: tuple[LockedDistribution, ...]
    """ganforge, the distributions of the components, and the plugins that these require."""
    plugin_files: tuple[LockedFile, ...] = ()
    """Local plugins that provide components."""
    data_files: tuple[LockedFile, ...] = ()
    """Files and folders named by the data set's parameters, and prepared data sets."""

    def requirements(self) -> list[str]:
        """The distributions as requirements from an index or repository; local files and folders exist on one computer only."""
        return [
            str(one.ref.requirement) if one.source in ("vcs", "url") else f"{one.name}=={one.version}" for one in self.distributions
        ]

    def to_plain(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True, slots=True)
class LockDifference:
    """One difference from a lock, and the requirement with which pip restores it, or another remedy.

    It is minor if it is only the version of a distribution that does not influence the weights.
    """

    message: str
    remedy: str | None = None
    requirement: str | None = None
    minor: bool = False


def make_lock(blueprint: Blueprint, folder: Path | None = None) -> Lock:
    """The lock of a run, without data if the recipe's folder, from which they are read and hashed, is not given."""
    plugins = {part.component.plugin for part in blueprint.parts}
    files = sorted((one for one in plugins if one.sha256), key=lambda one: one.name)
    others = {one.distribution: one for one in plugins if not one.sha256}
    others = {**required_plugins(others), **others, "ganforge": builtin_plugin().ref}
    return Lock(
        schema=1,
        ganforge=__version__,
        fingerprint=fingerprint(blueprint.resolved),
        components=tuple(
            LockedComponent(
                key=part.key,
                kind=part.component.kind.value,
                id=part.component.id,
                revision=part.component.revision,
                distribution=part.component.plugin.distribution,
                version=part.component.plugin.version,
            )
            for part in blueprint.parts
        ),
        distributions=tuple(
            LockedDistribution.model_validate(
                {"name": ref.distribution, "version": ref.version, "source": ref.source, "url": ref.url}
            )
            for _, ref in sorted(others.items())
        ),
        plugin_files=tuple(LockedFile(key=one.name, file=str(one.url), sha256=str(one.sha256)) for one in files),
        data_files=tuple(hash_data(blueprint.dataset, folder)) if folder else (),
    )


def read_lock(path: Path) -> Lock:
    """A lock from a file, or from a run folder; a RunFolderError if that of a run folder is damaged, else a UsageError."""
    file = path / "lock.json" if path.is_dir() else path
    remedy = "name a run folder or its lock.json"
    try:
        return Lock.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the lock {file}: {error.strerror or error}", remedy=remedy) from error
    except ValidationError as error:
        reason = describe_invalid(error)
        if path.is_dir():
            raise RunFolderError(f"{file} is damaged: {reason}", remedy="restore it from a copy, or use another run") from error
        raise UsageError(f"{file} is not the lock of a run: {reason}", remedy=remedy) from error


def describe_invalid(error: ValidationError) -> str:
    """The first invalid key and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    return ": ".join(part for part in (".".join(map(str, first["loc"])), first["msg"]) if part)


def required_plugins(distributions: Iterable[str]) -> dict[str, PluginRef]:
    """The installed plugins that these distributions require, directly or not: their code is part of a run too."""
    here = {one.distribution: one for one in installed_plugins()}
    found: dict[str, PluginRef] = {}
    left = [here[name] for name in distributions if name in here]
    while left:
        required = {normalize_name(re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0]) for line in left.pop().requires}
        for name in sorted(required & here.keys() - found.keys()):
            found[name] = here[name].ref
            left.append(here[name])
    return found


def hash_data(dataset: Part, folder: Path) -> Iterator[LockedFile]:
    """The existing files and folders that parameters of type ``Path`` name, and the published checksums of a prepared data set."""
    if checksums := dataset.component.load_checksums():  # the data set compares its files with them
        content = "".join(f"{name} {checksum}\n" for name, checksum in checksums.items())
        digest = hashlib.sha256(content.encode()).hexdigest()
        yield LockedFile(key=f"{dataset.key}.use", file=dataset.component.name, sha256=digest, covers="sums")

    for name, value in ((name, value) for name, value in dataset.params if isinstance(value, Path)):
        place = folder / os.path.expanduser(value)  # noqa: PTH111 - Path's raises for ~nobody
        try:
            if place.is_dir():
                covers, digest = _hash_folder(place)
            elif place.is_file():
                covers, digest = None, _hash_file(place, place.stat().st_size)
            else:
                continue
        except OSError as error:
            message = f"cannot read {error.filename or place}: {error.strerror or error}"
            raise DataError(message, remedy="check the file and its permissions") from error
        yield LockedFile(key=f"{dataset.key}.params.{name}", file=str(value), sha256=digest, covers=covers)


def _hash_file(file: Path, size: int) -> str:
    with file.open("rb", buffering=0) as stream:
        if size <= _SMALL_FILE:  # file_digest allocates a large buffer, which costs more than reading such a file
            return hashlib.sha256(stream.read()).hexdigest()
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_folder(folder: Path) -> tuple[Covers, str]:
    """Hash names, sizes and contents, or modification times for large folders; what cannot be read is recorded as such."""
    unlisted: list[OSError] = []
    found = [(file, _regular_file_stat(file)) for file in files_below(folder, unlisted.append)]
    is_large = sum(facts.st_size for _, facts in found if facts) > _LARGE_FOLDER
    hashed = hashlib.sha256()
    for file, facts in found:
        state = "unreadable"
        if facts is not None:
            with suppress(OSError):
                state = f"{facts.st_size} {facts.st_mtime_ns if is_large else _hash_file(file, facts.st_size)}"
        hashed.update(os.fsencode(f"{file.relative_to(folder).as_posix()}\0{state}\0"))
    for error in unlisted:
        hashed.update(os.fsencode(f"{Path(error.filename).relative_to(folder).as_posix()}\0unlisted\0"))
    return "listing" if is_large else "contents", hashed.hexdigest()


def _regular_file_stat(file: Path) -> os.stat_result | None:
    """``None`` for anything but a regular file: opening a FIFO would block forever."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def installed_differences(locked: Lock, origin: Path | None = None) -> tuple[LockDifference, ...]:
    """Differences in installed distributions and local plugins, by metadata; copies of the latter are beside ``origin``."""
    return (*_distribution_differences(locked), *_plugin_file_differences(locked, origin))


def part_differences(locked: Lock, now: Lock) -> tuple[LockDifference, ...]:
    """Differences in components and data."""
    return (*_component_differences(locked, now), *data_differences(locked, now.data_files))


def check_installed(locked: Lock, origin: Path | None = None) -> None:
    """Raise a UsageError if installed distributions or local plugins differ from the lock; warn of editable ones."""
    _refuse(installed_differences(locked, origin))
    here = {one.distribution: one for one in (*installed_plugins(), builtin_plugin())}
    editable = [one.name for one in locked.distributions if "editable" in (one.source, here[one.name].source)]
    if editable:
        _log.warning("the lock knows the version but not the code of editable installations: %s", ", ".join(editable))


def check_parts(locked: Lock, now: Lock) -> None:
    """Raise a UsageError if components or data differ from the lock."""
    _refuse(part_differences(locked, now))


def _refuse(differences: Sequence[LockDifference]) -> None:
    if differences:
        lines = "\n  ".join(one.message for one in differences)
        raise UsageError(f"this differs from the lock; nothing was created:\n  {lines}", remedy=join_remedies(differences))


def join_remedies(differences: Sequence[LockDifference]) -> str:
    """How to restore everything: one command for pip, then manual steps."""
    requirements = [one.requirement for one in differences if one.requirement]
    manual = [one.remedy for one in differences if one.remedy]
    return "; ".join(dict.fromkeys([*([f"pip install {' '.join(requirements)}"] if requirements else []), *manual]))


@contextmanager
def explain_missing_plugins(run: Path) -> Iterator[None]:
    """Errors of a run's components say how to install or name the plugins of its lock, if any of them is missing here."""
    try:
        yield
    except (UsageError, PluginError) as error:
        if not (run / "lock.json").exists():
            raise
        locked, here = read_lock(run), {one.distribution for one in (*installed_plugins(), builtin_plugin())}
        gone = locked.model_copy(update={"distributions": [one for one in locked.distributions if one.name not in here]})
        missing = [*_distribution_differences(gone), *_plugin_file_differences(locked, run)]
        if not missing:
            raise
        lines = ", ".join(one.message for one in missing)
        raise UsageError(f"{run.resolve().name} needs its plugins: {lines}", remedy=join_remedies(missing)) from error


def _kept_file(file: LockedFile, origin: Path | None) -> Path | None:
    """The copy of a local plugin beside the lock; ``None`` if it is not there, or has other content."""
    if origin is None or local_plugin_name(Path(file.key)) != file.key:  # the key may come from anyone; accept no path
        return None
    path = origin / "lock.json" if origin.is_dir() else origin
    kept = path.with_name(path.stem.replace("lock", "plugins", 1)) / f"{file.key.replace('-', '_')}.py"
    return kept if kept.is_file() and read_local_plugin(kept).sha256 == file.sha256 else None


def _distribution_differences(locked: Lock) -> Iterator[LockDifference]:
    here = {one.distribution: one.ref for one in (*installed_plugins(), builtin_plugin())}
    used = {one.distribution for one in locked.components if one.kind != "metric"}
    used |= set(required_plugins(used))
    for one in locked.distributions:
        current = here.get(one.name)
        if message := _distribution_difference(one, current):
            requirement = str(one.ref.requirement)
            option = "-e " if requirement.startswith("-e ") else ""
            argument = option + shlex.quote(requirement.removeprefix(option))
            folder = unquote(urlsplit(one.url or "").path) if one.source in ("editable", "folder") else ""
            if current is None or not folder or (one.source == "folder" and not Path(folder).is_dir()):
                yield LockDifference(message, requirement=argument, minor=current is not None and one.name not in used)
            else:  # pip would install the folder's current version again
                remedy = f"check out {one.version} in {shlex.quote(folder)}, then pip install {argument}"
                yield LockDifference(message, remedy, minor=one.name not in used)


def _distribution_difference(locked: LockedDistribution, here: PluginRef | None) -> str | None:
    if here is None:
        return f"{locked.name} {locked.version} is not installed"
    if here.version != locked.version:
        return f"{locked.name} {locked.version} is locked, {here.version} is installed"
    if locked.source in ("vcs", "url") and here.url != locked.url:
        return f"{locked.name} is locked as {locked.url}, installed is {here.url or f'{here.version} from an index'}"
    return None


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


def data_differences(locked: Lock, now: Iterable[LockedFile]) -> Iterator[LockDifference]:
    """Differences in the data, from what :func:`hash_data` finds."""
    current = {one.key: one for one in now}
    for one in locked.data_files:
        found = current.get(one.key)
        if found is None or found.sha256 != one.sha256:
            message = f"{found.file} is not the data that is locked" if found else f"{one.file} is locked but missing"
            times = ", with the modification times of its files, as rsync -a and tar do" if one.covers == "listing" else ""
            yield LockDifference(f"{one.key}: {message}", f"restore the data{times}")
