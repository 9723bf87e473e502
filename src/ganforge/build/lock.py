"""``lock.json``: the versions, components, files and data that a run was created with. Imports no torch."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from ganforge import __version__
from ganforge.build.blueprint import Blueprint
from ganforge.build.parts import Part
from ganforge.builtin.datasets.image_files import files_below
from ganforge.core.errors import DataError, UsageError
from ganforge.core.params import Params
from ganforge.core.redaction import public_url
from ganforge.recipe.toml_writer import fingerprint
from ganforge.registry.component import PluginRef
from ganforge.registry.discovery import builtin_plugin, installed_plugins
from ganforge.registry.selection import normalize_name

_LARGE_FOLDER = 2**30
"""Bytes of a folder above which contents are not hashed: that would delay every run by seconds."""
_SMALL_FILE = 2**20
_NAME_END = re.compile(r"[^A-Za-z0-9._-]")
"""The character after the name in a requirement."""

Word = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f]+$", max_length=4096)]
"""One word. A lock may come from anyone, and parts of it are printed as a command."""
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LockedComponent(Params):
    """One component of the run."""

    key: Word
    """Table of the recipe."""
    kind: Word
    """Kind of component."""
    id: Word
    """Full id."""
    revision: int
    """Revision."""
    distribution: Word
    """Distribution that provides it."""
    version: Word
    """Version of the distribution."""


class LockedDistribution(Params):
    """ganforge itself, or a distribution that provides components."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=200)
    """Normalised name; the pattern excludes options of pip."""
    version: Word
    """Version."""
    source: Literal["index", "editable", "local", "vcs", "url"]
    """How it was installed."""
    url: Annotated[Word, AfterValidator(public_url)] | None = None
    """Where it was installed from, as pip accepts it, unless it was an index."""

    @property
    def ref(self) -> PluginRef:
        """The same as the loader's record."""
        return PluginRef(self.name, self.name, self.version, self.source, self.url)


class LockedFile(Params):
    """A file or folder that the results depend on: a local plugin, or data."""

    key: str = Field(max_length=500)
    """Name of the plugin, or key of the recipe."""
    file: str = Field(max_length=4096)
    """Its path."""
    sha256: Hash
    """Hash of its content."""
    covers: Literal["contents", "listing", "sums"] | None = None
    """What is hashed if it is not a file: names, sizes and contents of a folder's files; names, sizes and modification times, for
    folders of more than 1 GiB; or the published checksums of a data set."""


class Lock(Params):
    """The content of a run folder's ``lock.json``."""

    schema_version: Literal[1] = Field(1, alias="schema")
    """Version of this format."""
    ganforge: Word
    """Version of ganforge."""
    fingerprint: Hash
    """Fingerprint of the resolved recipe."""
    components: tuple[LockedComponent, ...]
    """Components, in the order of the recipe."""
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


def make_lock(blueprint: Blueprint, folder: Path | None = None) -> Lock:
    """The lock of a run.

    Args:
        blueprint: the resolved recipe.
        folder: the recipe's folder, from which data files are read and hashed; ``None`` to leave data out.
    """
    plugins = {part.component.plugin for part in blueprint.parts}
    files = sorted((one for one in plugins if one.sha256), key=lambda one: one.name)
    others = {one.distribution: one for one in plugins if not one.sha256}
    others = {**required_plugins(others), **others, "ganforge": builtin_plugin().ref}
    return Lock(
        schema=1,
        ganforge=__version__,
        fingerprint=fingerprint(blueprint.resolved),
        components=tuple(map(_component, blueprint.parts)),
        distributions=tuple(_distribution(others[name]) for name in sorted(others)),
        plugin_files=tuple(LockedFile(key=one.name, file=str(one.url), sha256=str(one.sha256)) for one in files),
        data_files=tuple(hash_data(blueprint.dataset, folder)) if folder else (),
    )


def read_lock(path: Path) -> Lock:
    """A lock from a file, or from a run folder.

    Raises:
        UsageError: it cannot be read, or is not a lock.
    """
    file = path / "lock.json" if path.is_dir() else path
    remedy = "name a run folder or its lock.json"
    try:
        return Lock.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the lock {file}: {error.strerror or error}", remedy=remedy) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise UsageError(f"{file} is not the lock of a run: {reason}", remedy=remedy) from error


def required_plugins(distributions: Iterable[str]) -> dict[str, PluginRef]:
    """The installed plugins that these distributions require, directly or not: their code is part of a run too."""
    here = {one.distribution: one for one in installed_plugins()}
    found: dict[str, PluginRef] = {}
    left = [here[name] for name in distributions if name in here]
    while left:
        required = {normalize_name(_NAME_END.split(line.strip(), maxsplit=1)[0]) for line in left.pop().requires}
        for name in sorted(required & here.keys() - found.keys()):
            found[name] = here[name].ref
            left.append(here[name])
    return found


def hash_data(dataset: Part, folder: Path) -> Iterator[LockedFile]:
    """The files and folders that parameters of type ``Path`` name, and the published checksums of a prepared data set.

    Missing ones are skipped: the data set reports them.

    Args:
        dataset: the data set.
        folder: the recipe's folder.

    Raises:
        DataError: a file cannot be read.
    """
    if checksums := dataset.component.load_checksums():  # the data set compares its files with them
        content = "".join(f"{name} {checksum}\n" for name, checksum in checksums.items())
        digest = hashlib.sha256(content.encode()).hexdigest()
        yield LockedFile(key=f"{dataset.key}.use", file=dataset.component.name, sha256=digest, covers="sums")

    for name in type(dataset.params).model_fields:
        value = getattr(dataset.params, name)
        if not isinstance(value, Path):
            continue
        place = folder / os.path.expanduser(value)  # noqa: PTH111 - Path's raises for ~nobody
        try:
            hashed = _hash_path(place)
        except OSError as error:
            file = error.filename or place
            raise DataError(
                f"cannot read {file}: {error.strerror or error}", remedy="check the file and its permissions"
            ) from error
        if hashed is not None:
            covers, sha256 = hashed
            yield LockedFile(key=f"{dataset.key}.params.{name}", file=str(value), sha256=sha256, covers=covers)


def _hash_path(place: Path) -> tuple[Literal["contents", "listing"] | None, str] | None:
    """What is hashed of a file or folder, and the hash; ``None`` if there is neither."""
    if place.is_file():
        return None, _hash_file(place, place.stat().st_size)
    return _hash_folder(place) if place.is_dir() else None


def _hash_file(file: Path, size: int) -> str:
    with file.open("rb", buffering=0) as stream:
        if size <= _SMALL_FILE:  # file_digest allocates a large buffer, which costs more than reading such a file
            return hashlib.sha256(stream.read()).hexdigest()
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_folder(folder: Path) -> tuple[Literal["contents", "listing"], str]:
    """Hash names, sizes and contents, or modification times for large folders.

    Files that cannot be read, and folders that cannot be listed, are recorded as such: the data set decides whether they matter.
    """
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


def _component(part: Part) -> LockedComponent:
    one = part.component
    return LockedComponent(
        key=part.key,
        kind=one.kind.value,
        id=one.id,
        revision=one.revision,
        distribution=one.plugin.distribution,
        version=one.plugin.version,
    )


def _distribution(ref: PluginRef) -> LockedDistribution:
    return LockedDistribution.model_validate(
        {"name": ref.distribution, "version": ref.version, "source": ref.source, "url": ref.url}
    )
