"""What becomes of a sight: it must last before it is told, and is told with the iteration since when it has been there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from ganforge.core.findings import Finding, Level
from ganforge.health.checks import Observation
from ganforge.health.remedies import remedy_for


class CheckHistory:
    """One check through the whole run.

    Args:
        check: its name.
        needed: looks in a row that must see something before it is told.
        losses: names of the losses that the recipe uses already.
    """

    def __init__(self, check: str, needed: int, losses: Collection[str] = ()) -> None:
        self._check, self._needed, self._losses = check, max(1, needed), losses
        self._looks = {"warn": 0, "fail": 0}  # in a row, of that level or worse
        self._began: dict[Level, int] = {}  # since when the trouble seen now has been there, at that level or worse
        self._last = 0
        self._sight: Observation | None = None

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
        remedy, key = remedy_for(sight.trouble, self._losses)
        return Finding(self._check, sight.trouble, level, sight.seen, self._began[level], self._last, remedy, sight.key or key)

    def look(self, iteration: int, sight: Observation | None) -> None:
        """Take in what the check sees now.

        A check that sees another trouble than before still sees one without a break, but this one since now only; and a failure
        is dated to when it began to be one, not to the warning before it.
        """
        if sight is None or self._sight is None or sight.trouble != self._sight.trouble:
            self._began = {}
        seen: tuple[Level, ...] = () if sight is None else ("warn", "fail") if sight.level == "fail" else ("warn",)
        for level in ("warn", "fail"):
            self._looks[level] = self._looks[level] + 1 if level in seen else 0
        self._began = {level: self._began.get(level, iteration) for level in seen}
        self._sight, self._last = sight, iteration

    def to_plain(self) -> dict[str, Any]:
        """What a resumed run needs so that nothing is forgotten, and ``since`` has no break."""
        sight = None if self._sight is None else asdict(self._sight)
        return {"looks": dict(self._looks), "began": dict(self._began), "sight": sight, "last": self._last}

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Go on from what :meth:`to_plain` gave; what was told is told on until the next look."""
        self._looks, self._began, self._last = dict(plain["looks"]), dict(plain["began"]), plain["last"]
        self._sight = None if plain["sight"] is None else Observation(**plain["sight"])
