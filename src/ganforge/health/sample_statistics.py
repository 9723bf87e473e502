"""What is measured of generated samples at a probe: the values that the checks of samples judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, MutableMapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.events import HealthSamples
from ganforge.core.isolation import describe_error
from ganforge.core.records import Samples
from ganforge.core.specs import LatentSpec
from ganforge.metrics import (
    expected_coverage,
    near_duplicates,
    nearest_labels,
    nearest_neighbours,
    one_nearest_neighbour,
    precision_recall,
)

_K = 5
_VARIED = 0.8
"""Share of training samples that differ from each other, below which the data are of few kinds."""
_FEWEST = 50
"""Samples of a kind, below which the nearest neighbour says nothing."""
_DIRECTIONS = 64
_MOST = 40_000_000
"""Numbers of the training data that are searched for copies: all of MNIST's 50,000 images."""
_ASKED = 64
"""Samples of each kind that are searched for among the training data, in which each costs a pass."""


def measured(
    probe: HealthSamples, latent: LatentSpec, but: Container[str] = (), unable: MutableMapping[str, str] | None = None
) -> dict[str, float]:
    """All values of one probe; left out are those that this data or latent has no use for, and those that are not finite.

    Args:
        probe: what was drawn.
        latent: where from.
        but: checks that go without.
        unable: where a check is written down whose values cannot be measured, and why; without it, the error is raised.
    """
    real, average, raw = (flat(samples) for samples in (probe.evaluation.real, probe.evaluation.fake, probe.raw))
    values = {"finite/samples": min(float(fake.isfinite().all(1).double().mean()) for fake in (average, raw))}
    if values["finite/samples"] < 1 or not bool(real.isfinite().all()) or not float(real.var(0).sum()):
        return values
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "collapse": lambda: covering(probe, average, raw),
        "duplicates": lambda: repeating(probe, latent, average, raw),
        "oscillation": lambda: wandering(real, average, raw),
        "memorisation": lambda: copying(probe),
        "overfitting": lambda: judging(probe),
        "labels": lambda: labelling(probe),
        "codes": lambda: reading(probe, latent),
    }
    for check, part in parts.items():
        if check in but:
            continue
        try:
            values |= part()
        except Exception as error:
            if unable is None:
                raise
            unable[check] = describe_error(error)
    return {name: value for name, value in values.items() if math.isfinite(value)}


def covering(probe: HealthSamples, average: Tensor, raw: Tensor) -> dict[str, float]:
    """:func:`variety` of the generator and of its average, both ``(n, d)``.

    Of what tells how varied the samples are, the better counts of the generator and its average: a trouble must be seen in both,
    since the average lags behind early on, and the generator circles later.

    Raises:
        IncompatiblePartsError: the data are of few kinds, so that a sample's nearest others are the same as it is.
    """
    real, usual = flat(distinct(probe.evaluation.real)), reference(probe)
    if min(len(real), len(usual)) <= _K:
        return {}
    kinds = len(torch.unique(usual, dim=0))
    if probe.evaluation.training is not None and kinds < _VARIED * len(usual):
        raise IncompatiblePartsError(
            f"real samples repeat, {len(usual)} are of {kinds} kinds, and neighbours tell nothing of such data"
        )
    both = [variety(real, fake) for fake in (average, raw)]
    values = dict(max(both, key=lambda found: found["collapse"]))
    if "separation" in values:
        values["separation"] = min(found["separation"] for found in both)
    return values


def repeating(probe: HealthSamples, latent: LatentSpec, average: Tensor, raw: Tensor) -> dict[str, float]:
    """``duplicates``: near pairs over those among real samples; ``duplicates/same``: share of the pairs that are the same.

    ``duplicates/usual`` is that share among real samples. Of a latent with few values few samples are to be expected.
    """
    if not (latent.noise or latent.continuous):
        return {"duplicates": 0.0, "duplicates/same": 0.0, "duplicates/usual": 0.0}
    usual = reference(probe)
    if len(usual) <= _K:
        return {}
    pairs = math.comb(len(average), 2)
    found = [near_duplicates(usual, fake) for fake in (average, raw)]
    return {
        "duplicates": min(one.pairs / max(one.expected_pairs, 1.0) for one in found),
        "duplicates/same": min(one.exact for one in found) / pairs,
        "duplicates/usual": found[0].expected_exact / pairs,
    }


def flat(samples: Samples) -> Tensor:
    """``(n, prod(shape))`` doubles."""
    return samples.values.detach().cpu().flatten(1).double()


def distinct(samples: Samples) -> Samples:
    """Each real sample once: a small held-out part is drawn from with replacement, and repeats would shrink the neighbourhoods."""
    _, kinds = torch.unique(samples.values.flatten(1), dim=0, return_inverse=True)
    first = torch.full((int(kinds.max()) + 1,), len(kinds)).scatter_reduce(0, kinds, torch.arange(len(kinds)), "amin")
    rows = first.sort().values
    return samples[rows]


def reference(probe: HealthSamples) -> Tensor:
    """``(m, d)`` real samples that repeat only as often as the data does: training samples, where there are any."""
    evaluation = probe.evaluation
    return flat(evaluation.real if evaluation.training is None else evaluation.training(len(evaluation.real)))


def variety(real: Tensor, fake: Tensor) -> dict[str, float]:
    """How varied ``fake`` is beside distinct ``real`` samples; both ``(n, d)``.

    - ``collapse``: coverage over that of a perfect generator;
    - ``collapse/precision``: share of generated samples that are near real ones;
    - ``collapse/spread``: root mean square distance of two generated samples over that of two real ones;
    - ``separation``: leave-one-out accuracy of the nearest neighbour, of as many samples of either kind; with fewer than 50 of
      them chance alone would move it too far.
    """
    near = precision_recall(real, fake, _K)
    alike = min(len(real), len(fake))  # with unequal counts it would not be a half for a perfect generator
    apart = {"separation": one_nearest_neighbour(real[:alike], fake[:alike]).accuracy} if alike >= _FEWEST else {}
    return {
        "collapse": near.coverage / expected_coverage(len(real), len(fake), _K),
        "collapse/precision": near.precision,
        "collapse/spread": math.sqrt(float(fake.var(0).sum() / real.var(0).sum())),
        **apart,
    }


def wandering(real: Tensor, average: Tensor, raw: Tensor) -> dict[str, float]:
    """``oscillation/…``: sliced distances of both to the real samples, and the average's over the data's own width (``away``).

    Neither counts as less than that of one half of the real samples to the other.
    """
    half = len(real) // 2
    floor = sliced(real[:half], real[half : 2 * half])
    width = sliced(real, real.mean(0).expand_as(real))
    found = max(sliced(real, average), floor)
    return {"oscillation/average": found, "oscillation/raw": max(sliced(real, raw), floor), "oscillation/away": found / width}


def sliced(one: Tensor, other: Tensor) -> float:
    """W₁ between equally many points ``(n, d)``, averaged over 64 directions that are always the same (Rabin et al. 2011)."""
    directions = torch.randn(one.shape[1], _DIRECTIONS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions /= directions.norm(dim=0)
    return float(((one @ directions).sort(0).values - (other @ directions).sort(0).values).abs().mean())


def copying(probe: HealthSamples) -> dict[str, float]:
    """``memorisation``: share of generated samples ten times nearer to a training sample than the median held-out one is."""
    evaluation = probe.evaluation
    if evaluation.training is None:
        return {}
    training = evaluation.training(max(1, _MOST // max(1, evaluation.real.values[0].numel()))).values
    usual = nearest_neighbours(evaluation.real.values[:_ASKED], training).distances.median()
    if not float(usual):  # the held-out samples are among the training samples: nothing can be told
        return {}
    asked = torch.cat([evaluation.fake.values[:_ASKED], probe.raw.values[:_ASKED]])
    near = nearest_neighbours(asked, training).distances < usual / 10
    return {"memorisation": min(float(part.double().mean()) for part in near.chunk(2))}


def judging(probe: HealthSamples) -> dict[str, float]:
    """``overfitting``: how far D takes held-out samples for fakes; ``overfitting/sign``: its mean sign on training samples.

    r_v and r_t of Karras et al. (2020); 0 is none, 1 is complete.
    """
    evaluation = probe.evaluation
    if evaluation.training is None or evaluation.critic is None:
        return {}
    training = evaluation.training(len(evaluation.real))
    seen, held_out, fake = (evaluation.critic(samples).logits.double() for samples in (training, evaluation.real, probe.raw))
    apart = float(seen.mean() - fake.mean())
    if apart <= 0:
        return {}
    return {"overfitting": float(seen.mean() - held_out.mean()) / apart, "overfitting/sign": float(seen.sign().mean())}


def labelling(probe: HealthSamples) -> dict[str, float]:
    """``labels``: agreement of the nearest real sample's label with the one asked for, 0 for chance and 1 for real samples' own."""
    real, fake = distinct(probe.evaluation.real), probe.evaluation.fake
    if real.labels is None or fake.latent is None or fake.latent.labels is None:
        return {}
    asked, known = fake.latent.labels, real.labels
    half = len(known) // 2
    own = float((nearest_labels(real.values[:half], real.values[half:], known[half:]) == known[:half]).double().mean())
    shares = known.bincount().double() / len(known)
    chance = float((shares * asked.bincount(minlength=len(shares))[: len(shares)] / len(asked)).sum())
    if own - chance < 0.2:  # neighbours tell nothing of the class
        return {}
    right = max(
        float((nearest_labels(samples.values, real.values, known) == asked).double().mean()) for samples in (fake, probe.raw)
    )
    return {"labels": (right - chance) / (own - chance)}


def reading(probe: HealthSamples, latent: LatentSpec) -> dict[str, float]:
    """``codes``: the information that the head ``code`` finds on categorical codes, over their entropy (Chen et al. 2016)."""
    evaluation, fake = probe.evaluation, probe.raw
    if evaluation.critic is None or fake.latent is None or fake.latent.codes is None or not latent.categorical:
        return {}
    head = evaluation.critic(fake).heads.get("code")
    if head is None or head.shape[1] < sum(latent.categorical):
        return {}
    codes = fake.latent.codes.categorical  # (n, k)
    logits = head[:, : sum(latent.categorical)].double()  # the codes' side by side
    parts = torch.split(logits, list(latent.categorical), dim=1)
    unread = sum(float(cross_entropy(part, code)) for part, code in zip(parts, codes.T, strict=True))
    entropy = sum(math.log(values) for values in latent.categorical)
    return {"codes": (entropy - unread) / entropy} if entropy else {}
