"""The lock: what a run is made of, and whether the same is here again. Torch-free; nothing is built or installed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from ganforge import __version__
from ganforge.build.lock_data import locked_data
from ganforge.build.lock_models import Lock, LockedComponent, LockedDistribution, LockedFile
from ganforge.core.errors import UsageError
from ganforge.recipe.toml_writer import fingerprint
from ganforge.registry.component import PluginRef
from ganforge.registry.discovery import builtin_plugin, installed_plugins, read_local_plugin
from ganforge.registry.selection import current_selection, local_plugin_name, normalize_name

if TYPE_CHECKING:
    from ganforge.build.blueprint import Blueprint, Part

_PIP = "pip install"
_NAME = re.compile(r"[^A-Za-z0-9._-]")
"""What ends the name in a requirement."""


def lock(blueprint: Blueprint, folder: Path | None = None) -> Lock:
    """What a run of the blueprint is made of.

    Args:
        blueprint: the recipe, resolved.
        folder: the recipe's folder, from which the data's files are read and hashed; unless given they are left out.
    """
    plugins = {part.component.plugin for part in blueprint.parts}
    files = sorted((one for one in plugins if one.sha256), key=lambda one: one.name)
    others = {one.distribution: one for one in plugins if not one.sha256}
    others = {**_beneath(others), **others, "ganforge": builtin_plugin().ref}
    return Lock(
        schema=1,
        ganforge=__version__,
        fingerprint=fingerprint(blueprint.resolved),
        components=tuple(map(_component, blueprint.parts)),
        distributions=tuple(_distribution(others[name]) for name in sorted(others)),
        plugin_files=tuple(LockedFile(key=one.name, file=str(one.url), sha256=str(one.sha256)) for one in files),
        data_files=tuple(locked_data(blueprint.dataset, folder)) if folder else (),
    )


def read_lock(path: Path) -> Lock:
    """A lock from a file, or from the run folder that holds it.

    Raises:
        UsageError: it cannot be read, or is no lock.
    """
    file = path / "lock.json" if path.is_dir() else path
    remedy = "name a run folder or its lock.json"
    try:
        return Lock.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the lock {file}: {error.strerror or error}", remedy=remedy) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"{part}." for part in first["loc"])[:-1]
        told = f"{place}: {first['msg']}" if place else first["msg"]
        raise UsageError(f"{file} is no lock of a run: {told}", remedy=remedy) from error


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the lock has it.

    Attributes:
        told: what differs.
        remedy: what mends it, unless that is pip.
        requirement: what pip must be told to mend it.
        slight: whether it is only the version of a distribution from which nothing comes that moves a weight.
    """

    told: str
    remedy: str | None = None
    requirement: str | None = None
    slight: bool = False


def installed_differences(locked: Lock, origin: Path | None = None) -> tuple[Difference, ...]:
    """What the lock has and what is installed and named here, compared by metadata alone: nothing of a plugin is run.

    Args:
        locked: the lock.
        origin: where it was read, beside which a run keeps its local files.
    """
    return (*_distribution_differences(locked), *_file_differences(locked, origin))


def part_differences(locked: Lock, now: Lock) -> tuple[Difference, ...]:
    """The lock compared with the components that the recipe means here, and with its data."""
    return (*_component_differences(locked, now), *_data_differences(locked, now))


def check_installed(locked: Lock, origin: Path | None = None) -> tuple[str, ...]:
    """Refuse what is installed and named here where it differs from the lock; gives what the lock cannot vouch for.

    Raises:
        UsageError: a distribution or local plugin is missing or another one; the remedy is the command that mends it.
    """
    _refuse(installed_differences(locked, origin))
    here = {one.distribution: one for one in (*installed_plugins(), builtin_plugin())}
    loose = [one.name for one in locked.distributions if "editable" in (one.source, here[one.name].source)]
    return (f"editable, so that the lock knows their version but not their code: {', '.join(loose)}",) if loose else ()


def check_parts(locked: Lock, now: Lock) -> None:
    """Refuse components and data that differ from the lock.

    Raises:
        UsageError: another component or other data.
    """
    _refuse(part_differences(locked, now))


def data_changes(locked: Lock, dataset: Part, folder: Path) -> tuple[Difference, ...]:
    """The lock's data compared with what the data set's parameters name now.

    Args:
        locked: the lock.
        dataset: the data set of the recipe.
        folder: the recipe's folder.
    """
    now = locked.model_copy(update={"data_files": tuple(locked_data(dataset, folder))})
    return tuple(_data_differences(locked, now))


def remedies(differences: Sequence[Difference]) -> str:
    """What mends all of them: one line for pip, then what is to be done by hand."""
    wanted = [one.requirement for one in differences if one.requirement]
    by_hand = [one.remedy for one in differences if one.remedy]
    return "; ".join(dict.fromkeys([*([f"{_PIP} {' '.join(wanted)}"] if wanted else []), *by_hand]))


def _refuse(differences: Sequence[Difference]) -> None:
    if differences:
        told = "\n  ".join(one.told for one in differences)
        raise UsageError(f"this is not what is locked; nothing was created:\n  {told}", remedy=remedies(differences))


def _distribution_differences(locked: Lock) -> Iterator[Difference]:
    here = {one.distribution: one.ref for one in (*installed_plugins(), builtin_plugin())}
    moving = {one.distribution for one in locked.components if one.kind != "metric"}
    moving |= set(_beneath(moving))
    for one in locked.distributions:
        there = here.get(one.name)
        if told := _difference(one, there):
            slight = there is not None and one.name not in moving
            if there is not None and (folder := _folder(one)):  # pip would install once more what lies there now
                yield Difference(told, f"check out {one.version} in {folder}, then {_PIP} {_argument(one.ref)}", slight=slight)
            else:
                yield Difference(told, requirement=_argument(one.ref), slight=slight)


def _file_differences(locked: Lock, origin: Path | None) -> Iterator[Difference]:
    named = {one.name: one for one in map(read_local_plugin, current_selection().local)}
    for file in locked.plugin_files:
        mine = named.get(file.key)
        if mine is not None and mine.sha256 == file.sha256:
            continue
        there = kept_file(file, origin)
        naming = f"--plugin {shlex.quote(str(there or file.file))}"
        if mine is None:
            yield Difference(f"the local plugin '{file.key}' is not named here", naming)
        else:
            sums = f"sha256 {file.sha256[:12]}…, here {str(mine.sha256)[:12]}…"
            remedy = f"name the file as it was instead: {naming}" if there else f"restore {mine.origin}"
            yield Difference(f"{mine.origin} is not the file that is locked ({sums})", remedy)


def kept_file(file: LockedFile, origin: Path | None) -> Path | None:
    """A local plugin as the lock has it: where it lay, or the copy beside the lock; ``None`` where neither has that content."""
    places = [Path(file.file)]
    if origin is not None and local_plugin_name(Path(file.key)) == file.key:  # of anybody's making: no path
        path = origin / "lock.json" if origin.is_dir() else origin
        places.append(path.with_name(path.stem.replace("lock", "plugins", 1)) / f"{file.key.replace('-', '_')}.py")
    return next((one for one in places if one.is_file() and read_local_plugin(one).sha256 == file.sha256), None)


def _component_differences(locked: Lock, now: Lock) -> Iterator[Difference]:
    before, after = ({one.key: f"{one.id}@{one.revision}" for one in each.components} for each in (locked, now))
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            told = f"{key}: locked is {before.get(key, 'nothing')}, the recipe means {after.get(key, 'nothing')}"
            yield Difference(told, "take the recipe that the lock belongs to")


def _data_differences(locked: Lock, now: Lock) -> Iterator[Difference]:
    sums = {one.key: one for one in now.data_files}
    for one in locked.data_files:
        there = sums.get(one.key)
        if there is None or there.sha256 != one.sha256:
            found = f"{there.file} is not the data that is" if there else f"there is no {one.file}, which is"
            times = ", with the times of change of its files, as rsync -a and tar do" if one.covers == "listing" else ""
            yield Difference(f"{one.key}: {found} locked", f"restore the data{times}")


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


def _beneath(distributions: Iterable[str]) -> dict[str, PluginRef]:
    """The installed plugins that these require, and those that they require in turn: their code takes part in a run too."""
    here = {one.distribution: one for one in installed_plugins()}
    found: dict[str, PluginRef] = {}
    left = [here[name] for name in distributions if name in here]
    while left:
        required = {normalize_name(_NAME.split(line.strip(), maxsplit=1)[0]) for line in left.pop().requires}
        for name in sorted(required & here.keys() - found.keys()):
            found[name] = here[name].ref
            left.append(here[name])
    return found


def _distribution(ref: PluginRef) -> LockedDistribution:
    return LockedDistribution.model_validate(
        {"name": ref.distribution, "version": ref.version, "source": ref.source, "url": ref.url}
    )


def _difference(locked: LockedDistribution, here: PluginRef | None) -> str | None:
    if here is None:
        return f"{locked.name} {locked.version} is not installed"
    if here.version != locked.version:
        return f"{locked.name} {locked.version} is locked, {here.version} is installed"
    if locked.source in ("vcs", "url") and here.url != locked.url:
        return f"{locked.name} is locked as {locked.url}, installed is {here.url or f'{here.version} from an index'}"
    return None


def _folder(locked: LockedDistribution) -> str | None:
    """The source folder that it was installed from, if it is here; its version is what is checked out there."""
    if locked.source not in ("editable", "local") or not locked.url:
        return None
    path = unquote(urlsplit(locked.url).path)
    return shlex.quote(path) if locked.source == "editable" or Path(path).is_dir() else None


def _argument(ref: PluginRef) -> str:
    text = str(ref.requirement)
    option, _, path = text.partition(" ")
    return f"{option} {shlex.quote(path)}" if option == "-e" else shlex.quote(text)
