"""What the current losses mean, in plain words.

Losses compare the two networks with each other. They do not measure the quality of the samples, and no text here claims so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ganforge.core import formatting
from ganforge.core.contracts import Divergence, TermInfo

_UNDECIDED = 0.02
"""A discriminator with less progress than this counts as undecided."""
_EVEN = 0.05
"""The same for the generator, whose single term is noisier."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a network has come from equilibrium towards winning with certainty.

    Attributes:
        gain: how far its terms are below their values at equilibrium; negative if it is losing.
        maximum: the gain of a network that wins with certainty; ``inf`` if it is unbounded.
        scale: the maximum, or if that is unbounded the size of the values at equilibrium.
    """

    gain: float
    maximum: float
    scale: float
    divergence: Divergence | None

    @property
    def share(self) -> float:
        """The gain as a share of the maximum; 0 if that is unbounded."""
        return self.gain / self.maximum


def measure_progress(player: str, terms: Mapping[str, float], term_info: Mapping[str, TermInfo]) -> Progress | None:
    """How far ``player`` has come, by its terms that declare an equilibrium and a best value; weights are ignored.

    ``None`` if there is no such term, if one is missing or not finite, or if the maximum gain is zero.
    """
    targets = {
        key: (info.equilibrium, info.best)
        for key, info in term_info.items()
        if key.startswith(f"{player}/") and info.equilibrium is not None and info.best is not None
    }
    if not targets or not all(math.isfinite(terms.get(key, math.nan)) for key in targets):
        return None
    maximum = sum(equilibrium - best for equilibrium, best in targets.values())
    if maximum <= 0:
        return None
    gain = sum(equilibrium - terms[key] for key, (equilibrium, _) in targets.items())
    scale = maximum if math.isfinite(maximum) else sum(abs(equilibrium) for equilibrium, _ in targets.values())
    named = {term_info[key].divergence for key in targets}
    return Progress(gain, maximum, scale, named.pop() if len(named) == 1 else None)


def interpret(player: str, terms: Mapping[str, float], term_info: Mapping[str, TermInfo]) -> str:
    """What the losses of ``player`` mean; "" if they do not tell."""
    progress = measure_progress(player, terms, term_info)
    if progress is None:
        return ""
    if player != "generator":
        return _describe_discriminator(progress)
    if abs(progress.gain) <= _EVEN * progress.scale:
        return "the discriminator is undecided about its samples"
    return "its samples pass for real" if progress.gain > 0 else "its samples are recognised as generated"


def describe_non_finite(terms: Mapping[str, float]) -> list[str]:
    """A line for each term that is not finite."""
    return [f"{formatting.term(key)} is no longer finite" for key, value in terms.items() if not math.isfinite(value)]


def describe_losses(term_info: Mapping[str, TermInfo], terms: Mapping[str, float], *, brief: bool = False) -> list[str]:
    """For each total its value, its value at equilibrium, and what that means; totals without either are omitted.

    ``brief`` omits the value at equilibrium if there is a meaning.
    """
    lines = []
    for key, info in term_info.items():
        player, _, name = key.partition("/")
        if name != "total" or not math.isfinite(terms.get(key, math.nan)):
            continue
        reference = "" if info.equilibrium is None else f" ({formatting.level(info.equilibrium)} at equilibrium)"
        meaning = interpret(player, terms, term_info)
        value = f"{formatting.term(key)} {formatting.fixed(terms[key])}"
        if meaning:
            lines.append(f"{value}{'' if brief else reference}: {meaning}")
        elif reference:
            lines.append(f"{value}{reference}")
    return lines


def _describe_discriminator(progress: Progress) -> str:
    divergence = progress.divergence
    if math.isinf(progress.maximum):
        if divergence is None:
            return ""
        ahead = progress.gain >= 0
        return f"{divergence.name} {formatting.fixed(progress.gain)}" if ahead else "scores generated samples above real ones"
    if progress.share < -_UNDECIDED:
        return "does worse than guessing"
    if progress.share <= _UNDECIDED:
        return "cannot tell real from generated (they are alike, or it is weak)"
    if divergence is None:
        return _success(progress.share)
    estimate = formatting.fixed(min(progress.share, 1.0) * divergence.greatest)
    return f"{_success(progress.share)}; {divergence.name} {estimate} of {formatting.symbolic_name(divergence.greatest)}"


def _success(share: float) -> str:
    """How often a calibrated discriminator is right.

    The least cost at a point where it is right with probability p ≥ ½ is a concave function of p: 1 (the cost of guessing) at ½,
    and 0 at 1. So it is at least 2(1 - p), and on average p is at least (1 + share)/2. This is exact for the hinge loss; for the
    logistic loss it is the bound of Hellman & Raviv (1970), for squares that of Cover & Hart (1967).
    """
    if share >= 0.995:
        return "tells real from generated without error"
    if share >= 0.9:
        return "tells real from generated almost without error"
    return f"tells real from generated in at least {50 + 50 * share:.0f} % of cases"
