"""What the present losses mean, in plain words: as far as the terms' readings tell, and no further.

A loss tells how the two players stand to each other. How good the samples are it does not tell, and no sentence here says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ganforge.core import formatting
from ganforge.core.contracts import Divergence, TermInfo

_UNDECIDED = 0.02
"""Share of the way to winning that is taken for none."""
_NEARLY = 0.9
_CERTAIN = 0.995
_EVEN = 0.05
"""Share of a generator's scale that is taken for none; its single term is noisier."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """How far a player has come from the settled game towards winning for certain.

    Attributes:
        way: what its terms lie below their values at equilibrium; negative where it loses.
        whole: what they would lie below where it has won for certain; ``inf`` where winning has no end.
        scale: the whole, or where that has no end the size of their values at equilibrium.
        divergence: what the way estimates, where all its terms agree on that.
    """

    way: float
    whole: float
    scale: float
    divergence: Divergence | None

    @property
    def share(self) -> float:
        """The way as a share of the whole; 0 where that has no end."""
        return self.way / self.whole


def gauge(player: str, terms: Mapping[str, float], term_info: Mapping[str, TermInfo]) -> Gauge | None:
    """How far ``player`` has come, by those of its terms whose reading declares equilibrium and best value.

    Weights do not enter, nor do penalties and terms of codes or classes, which have no best value.

    Returns:
        ``None`` where no term tells, where one is missing or not finite, or where winning is worth nothing.
    """
    telling = {
        key: (reading.equilibrium, reading.best)
        for key, reading in term_info.items()
        if key.startswith(f"{player}/") and reading.equilibrium is not None and reading.best is not None
    }
    if not telling or not all(math.isfinite(terms.get(key, math.nan)) for key in telling):
        return None
    whole = sum(equilibrium - best for equilibrium, best in telling.values())
    if whole <= 0:
        return None
    way = sum(equilibrium - terms[key] for key, (equilibrium, _) in telling.items())
    scale = whole if math.isfinite(whole) else sum(abs(equilibrium) for equilibrium, _ in telling.values())
    named = {term_info[key].divergence for key in telling}
    return Gauge(way, whole, scale, named.pop() if len(named) == 1 else None)


def sentence(player: str, terms: Mapping[str, float], term_info: Mapping[str, TermInfo]) -> str:
    """What the losses of ``player`` mean now; empty where they do not tell."""
    found = gauge(player, terms, term_info)
    if found is None:
        return ""
    return _of_generator(found) if player == "generator" else _of_discriminator(found)


def losses(term_info: Mapping[str, TermInfo], terms: Mapping[str, float], *, brief: bool = False) -> list[str]:
    """For each total its value, its value at equilibrium, and what that means; none for a total that tells nothing.

    Args:
        term_info: what the terms mean.
        terms: their values.
        brief: without the value at equilibrium where the meaning says enough.
    """
    lines = []
    for key, reading in term_info.items():
        player, _, name = key.partition("/")
        if name != "total" or not math.isfinite(terms.get(key, math.nan)):
            continue
        settled = "" if reading.equilibrium is None else f" ({formatting.level(reading.equilibrium)} at equilibrium)"
        meaning = sentence(player, terms, term_info)
        value = f"{formatting.term(key)} {formatting.fixed(terms[key])}"
        if meaning:
            lines.append(f"{value}{'' if brief else settled}: {meaning}")
        elif settled:
            lines.append(f"{value}{settled}")
    return lines


def _of_discriminator(found: Gauge) -> str:
    if math.isinf(found.whole):
        if found.divergence is None:
            return ""
        return (
            f"{found.divergence.name} {formatting.fixed(found.way)}"
            if found.way >= 0
            else "scores generated samples above real ones"
        )
    if found.share < -_UNDECIDED:
        return "judges worse than by guessing"
    if found.share <= _UNDECIDED:
        return "cannot tell real from generated (they are alike, or it is weak)"
    return _success(found.share) + _estimate(found)


def _success(share: float) -> str:
    """How often a discriminator is right whose certainty is what it should be.

    The least cost at a point where it is right with probability p ≥ ½ is a concave function of p: 1 (what guessing costs) at ½, and
    0 at 1. So it is at least 2(1 - p), and on average p is at least (1 + share)/2. For the hinge loss it is just that; for the
    logistic loss that is the bound of Hellman & Raviv (1970), for squares that of Cover & Hart (1967).
    """
    if share >= _CERTAIN:
        return "tells real from generated without error"
    if share >= _NEARLY:
        return "tells real from generated almost without error"
    return f"tells real from generated in at least {50 + 50 * share:.0f} % of cases"


def _estimate(found: Gauge) -> str:
    if found.divergence is None:
        return ""
    greatest = found.divergence.greatest
    return f"; {found.divergence.name} {formatting.fixed(min(found.share, 1.0) * greatest)} of {formatting.named(greatest)}"


def _of_generator(found: Gauge) -> str:
    if abs(found.way) <= _EVEN * found.scale:
        return "the discriminator is undecided about its samples"
    return "its samples pass for real" if found.way > 0 else "its samples are recognised as generated"
