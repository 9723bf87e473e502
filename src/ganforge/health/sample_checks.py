"""Checks of generated samples: are they varied, new, like the data, and what was asked for?"""

from __future__ import annotations

from ganforge.health.checks import Check, CheckInputs, Observation, known

_SAME = 0.05
"""Spread beside that of real samples, below which all samples are as good as one."""
_REPEATED = 1e-4
"""Share of exact repeats among all pairs of samples that a continuous latent does not come to."""
_OFTENER = 3.0
"""How many times as often as real samples, where those repeat too: counts, of words, or of few kinds, do so by chance."""
_NEAR = 0.5
"""Distance of an average's samples to the data, over the data's own width, up to which it is near them."""
_RISING = 1.15
"""Coverage over that of the look before, from which on training is getting there."""


def unreal(now: CheckInputs) -> Observation | None:
    """Generated samples that are no numbers: nothing else can be measured of them."""
    share = now.values.get("finite/samples", 1.0)
    if share >= 1:
        return None
    return Observation("fail", "non-finite values", f"{1 - share:.3g} of the generated samples are NaN or infinite")


def collapsed(now: CheckInputs) -> Observation | None:
    """Large parts of the data are never made, though what is made is like the data; or all samples are as good as one.

    Samples that miss the data altogether cover none of it either, but that is another trouble, and no more than a warning: every
    training begins so.
    """
    if not known(now.values, "collapse", "collapse/precision", "collapse/spread"):
        return None
    coverage, precision, spread = (now.values[name] for name in ("collapse", "collapse/precision", "collapse/spread"))
    level = now.level("collapse", coverage)
    if level is None:
        return None
    if spread < _SAME:
        return Observation(
            level, "mode collapse", f"all samples are nearly the same: they spread {spread:.1%} as widely as the data"
        )
    if coverage > _RISING * now.before.get("collapse", 0.0) > 0:  # on its way: one level less
        if level == "warn":
            return None
        level = "warn"
    if precision < 0.5:
        return Observation(
            "warn",
            "samples unlike the data",
            f"{precision:.0%} of the samples are near real ones, and near {coverage:.0%} of these",
        )
    return Observation(
        level, "mode collapse", f"samples come near to {coverage:.0%} of the data only; {precision:.0%} of them are like it"
    )


def repeating(now: CheckInputs) -> Observation | None:
    """More pairs of samples are alike than chance allows: the birthday test (Arora & Zhang 2017)."""
    if not known(now.values, "duplicates", "duplicates/same", "duplicates/usual"):
        return None
    times, same, usual = (now.values[name] for name in ("duplicates", "duplicates/same", "duplicates/usual"))
    if same > max(_REPEATED, _OFTENER * usual):
        beside = f", and {round(1 / usual)} among real ones" if usual else ""
        return Observation(
            "fail", "mode collapse", f"samples repeat exactly: there are about {round(1 / same)} different ones{beside}"
        )
    level = now.level("duplicates", times)
    return level and Observation(level, "duplicates", f"{times:.3g} times as many pairs of samples are alike as among real ones")


def apart(now: CheckInputs) -> Observation | None:
    """The nearest neighbour tells generated from real samples (Xu et al. 2018).

    For images that is the rule as long as the generator is not perfect, so it is a warning and no more.
    """
    if not known(now.values, "separation"):
        return None
    accuracy = now.values["separation"]
    level = now.level("separation", accuracy)
    return level and Observation(
        level, "samples unlike the data", f"the nearest neighbour tells {accuracy:.0%} of samples, real or generated"
    )


def memorised(now: CheckInputs) -> Observation | None:
    """Samples that are copies of training samples, much nearer to them than other real samples ever are."""
    if not known(now.values, "memorisation"):
        return None
    share = now.values["memorisation"]
    level = now.level("memorisation", share)
    return level and Observation(level, "memorisation", f"{share:.0%} of the samples are copies of training samples, or nearly so")


def overfitted(now: CheckInputs) -> Observation | None:
    """The discriminator knows the training samples by heart and takes other real ones for fakes (Karras et al. 2020)."""
    if not known(now.values, "overfitting", "dominance/sign"):  # the sign, of log odds alone, is smoothed over iterations
        return None
    share = now.values["overfitting"]
    if now.values["dominance/sign"] <= now.table.overfitting.signs:
        return None
    level = now.level("overfitting", share)
    return level and Observation(
        level,
        "discriminator over-fitting",
        f"D judges real samples that it has not seen {share:.0%} of the way from those it has to fakes",
    )


def circling(now: CheckInputs) -> Observation | None:
    """The players circle: the average is near the goal, and the generator itself is not.

    An average that is far from the data itself only lags behind a generator that is on its way, whatever that way is.
    """
    if not known(now.values, "oscillation", "oscillation/away") or now.values["oscillation/away"] > _NEAR:
        return None
    times = now.values["oscillation"]
    level = now.level("oscillation", times)
    return level and Observation(
        level, "oscillation", f"the generator is {times:.3g} times as far from the data as its moving average"
    )


def unlabelled(now: CheckInputs) -> Observation | None:
    """A conditional generator that does not make what it is asked for."""
    return _meaning(now, "labels", "labels without meaning", "samples agree with their label {:.0%} as well as real ones do")


def uncoded(now: CheckInputs) -> Observation | None:
    """Codes that cannot be read off the samples: the generator ignores them (Chen et al. 2016)."""
    return _meaning(now, "codes", "codes without meaning", "{:.0%} of the codes' information can be read off the samples")


def _meaning(now: CheckInputs, check: str, trouble: str, text: str) -> Observation | None:
    if not known(now.values, check):
        return None
    share = now.values[check]
    level = now.level(check, share)
    return level and Observation(level, trouble, text.format(max(0.0, share)))


CHECKS = (
    Check("finite", "samples", unreal, settles=False, at_once=True),
    Check("memorisation", "samples", memorised),
    Check("overfitting", "samples", overfitted),
    Check("collapse", "samples", collapsed),
    Check("duplicates", "samples", repeating),
    Check("codes", "samples", uncoded),
    Check("labels", "samples", unlabelled),
    Check("separation", "samples", apart),
    Check("oscillation", "samples", circling),
)
