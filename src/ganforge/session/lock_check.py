"""What a run must be made of: the lock that the user names, and that of the run that goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganforge.build.lock import (
    Difference,
    check_installed,
    check_parts,
    installed_differences,
    part_differences,
    read_lock,
    remedies,
)
from ganforge.build.lock_models import Lock
from ganforge.core.errors import UsageError
from ganforge.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Locks:
    """The locks that what is here is compared with, twice: before any plugin is run, and once the recipe is resolved.

    Attributes:
        warn: told what differs and is let be.
        named: from which nothing may differ, or ``None``.
        began: what the resumed run began with, or ``None``.
        named_in: where ``named`` was read.
        run: the resumed run's folder.
        unlocked: whether a resumed run may go on with something else.
    """

    warn: Callable[[str], None]
    named: Lock | None = None
    began: Lock | None = None
    named_in: Path | None = None
    run: Path = Path()
    unlocked: bool = False

    def __bool__(self) -> bool:
        return self.named is not None or self.began is not None

    def compare_installed(self) -> None:
        """Compare distributions and local files.

        Raises:
            UsageError: something differs; the remedy is the command that mends it.
        """
        for text in check_installed(self.named, self.named_in) if self.named else ():
            self.warn(text)
        if self.began:
            self._settle(installed_differences(self.began, self.run))

    def compare_parts(self, now: Lock) -> None:
        """Compare components and data.

        Raises:
            UsageError: something differs.
        """
        if self.named:
            check_parts(self.named, now)
        if self.began:
            self._settle(part_differences(self.began, now))

    def _settle(self, differences: Sequence[Difference]) -> None:
        """A run goes on with what it began with, unless the user wants it otherwise or what differs moves no weight."""
        grave = [one for one in differences if not one.slight]
        if grave and not self.unlocked:
            told = "\n  ".join(one.told for one in grave)
            raise UsageError(
                f"{self.run.name} began with another set, which its lock.json holds; nothing was changed:\n  {told}",
                remedy=f"{remedies(grave)}; or give --unlocked to go on all the same",
            )
        for one in differences:
            self.warn(f"warning: {self.run.name} did not begin with this: {one.told}; as it was: {remedies([one])}")


def read_locks(named: Path | None, resumed: RunFolder | None, *, unlocked: bool, warn: Callable[[str], None]) -> Locks:
    """The locks of a run; a resumed run's that is lost or damaged costs a warning where that is wanted.

    Raises:
        UsageError: a lock cannot be read.
    """
    began = None
    if resumed is not None and not resumed.lock.exists():
        warn(f"warning: {resumed.path.name} holds no lock.json, so nobody knows whether it began with what is installed here")
    elif resumed is not None:
        try:
            began = read_lock(resumed.path)
        except UsageError as error:
            if not unlocked:
                raise UsageError(error.message, remedy="restore it, or give --unlocked to go on without it") from error
            warn(f"warning: {error.message}")
    run = resumed.path if resumed else Path()
    return Locks(warn, read_lock(named) if named else None, began, named, run, unlocked)
