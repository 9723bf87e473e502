"""What becomes of a sight: it must last before it is told, and is told with the iteration since when it has been there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganforge.core.health import Finding, Level
from ganforge.health.sights import Sight
from ganforge.health.words import CURES


class Standing:
    """One check through the whole run.

    Args:
        check: its name.
        needed: looks in a row that must see something before it is told.
    """

    def __init__(self, check: str, needed: int) -> None:
        self._check, self._needed = check, max(1, needed)
        self._looks = {"warn": 0, "fail": 0}  # in a row, of that level or worse
        self._since = self._last = 0
        self._sight: Sight | None = None

    @property
    def level(self) -> Level | None:
        """What is told now."""
        if self._looks["fail"] >= self._needed:
            return "fail"
        return "warn" if self._looks["warn"] >= self._needed else None

    @property
    def finding(self) -> Finding | None:
        """What is told now, in full."""
        sight, level = self._sight, self.level
        if sight is None or level is None:
            return None
        cure = CURES[sight.trouble]
        return Finding(self._check, sight.trouble, level, sight.seen, self._since, self._last, cure.remedy, sight.key or cure.key)

    def look(self, iteration: int, sight: Sight | None) -> None:
        """Take in what the check sees now."""
        if sight is None:
            self._looks = {"warn": 0, "fail": 0}
        else:
            if not self._looks["warn"]:
                self._since = iteration
            self._looks["warn"] += 1
            self._looks["fail"] = self._looks["fail"] + 1 if sight.level == "fail" else 0
        self._sight, self._last = sight, iteration

    def to_plain(self) -> dict[str, Any]:
        """What a resumed run needs so that ``since`` has no break."""
        return {"looks": dict(self._looks), "since": self._since}

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Go on from what :meth:`to_plain` gave; nothing is told before the next look."""
        self._looks, self._since = dict(plain["looks"]), plain["since"]
