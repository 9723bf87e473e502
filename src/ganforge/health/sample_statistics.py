"""Statistics of generated samples, from which the sample checks decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganforge.core.errors import IncompatiblePartsError, describe_error
from ganforge.core.events import HealthSamples
from ganforge.core.records import Samples
from ganforge.core.specs import LatentSpec
from ganforge.health.checks import MIN_SPREAD
from ganforge.metrics import (
    expected_coverage,
    near_duplicates,
    nearest_labels,
    nearest_neighbours,
    one_nearest_neighbour,
    precision_recall,
)

_K = 5
"""Neighbours that define the neighbourhood of a sample."""
_MIN_DISTINCT = 0.8
"""Share of distinct training samples below which neighbours mean nothing."""
_MIN_SAMPLES = 50
"""Fewest real samples for nearest-neighbour classification."""
_DIRECTIONS = 64
_MAX_NUMBERS = 40_000_000
"""Size of the training data searched for copies: all of MNIST's 50,000 images."""
_COPY_QUERIES = 64
"""Samples that are looked up in the training data; each costs a pass over it."""


def measure_samples(
    samples: HealthSamples, latent: LatentSpec, *, skip: Container[str] = ()
) -> tuple[dict[str, float], dict[str, str]]:
    """All finite statistics that apply to this data and latent, except those of the checks to ``skip``; and each check's error."""
    real, ema, raw = (_flatten(part) for part in (samples.evaluation.real, samples.evaluation.fake, samples.raw))
    values = {"finite/samples": min(float(fake.isfinite().all(1).double().mean()) for fake in (ema, raw))}
    if values["finite/samples"] < 1 or not bool(real.isfinite().all()) or not float(real.var(0).sum()):
        return values, {}
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "collapse": partial(_coverage, samples, ema, raw),
        "duplicates": partial(_duplicates, samples, latent, ema, raw),
        "oscillation": partial(_oscillation, real, ema, raw),
        "memorisation": partial(_memorisation, samples),
        "overfitting": partial(_overfitting, samples),
        "labels": partial(_labels, samples),
        "codes": partial(_codes, samples, latent),
    }
    errors = {}
    for check, measure in measurements.items():
        if check in skip:
            continue
        try:
            values |= measure()
        except Exception as error:  # noqa: BLE001 - a check that fails must not end training
            errors[check] = describe_error(error)
    values |= _convergence(values)
    return {name: value for name, value in values.items() if math.isfinite(value)}, errors


def _coverage(samples: HealthSamples, ema: Tensor, raw: Tensor) -> dict[str, float]:
    """:func:`_variety` of the generator or of its EMA, both ``(n, d)``, whichever covers more.

    A problem must appear in both, because the EMA lags behind early on, and the generator oscillates later.
    """
    real, usual = _flatten(_distinct(samples.evaluation.real)), _reference_samples(samples)
    if min(len(real), len(usual)) <= _K:
        return {}
    kinds = len(torch.unique(usual, dim=0))
    if samples.evaluation.training is not None and kinds < _MIN_DISTINCT * len(usual):
        raise IncompatiblePartsError(
            f"only {kinds} of {len(usual)} real samples are distinct, and nearest neighbours mean nothing for such data"
        )
    both = [_variety(real, fake) for fake in (ema, raw)]
    values = dict(max(both, key=lambda found: found["collapse"]))
    if "separation" in values:
        values["separation"] = min(found["separation"] for found in both)
    return values


def _duplicates(samples: HealthSamples, latent: LatentSpec, ema: Tensor, raw: Tensor) -> dict[str, float]:
    """Pairs of samples that are alike, in the generator or in its EMA, whichever has fewer.

    - ``duplicates``: near pairs over their number among real samples;
    - ``duplicates/same``: share of pairs that are equal;
    - ``duplicates/usual``: share of pairs that are equal among real samples.

    A latent that takes few values makes few different samples, which is no problem.
    """
    if not (latent.noise or latent.continuous):
        return {"duplicates": 0.0, "duplicates/same": 0.0, "duplicates/usual": 0.0}
    usual = _reference_samples(samples)
    if len(usual) <= _K:
        return {}
    pairs = math.comb(len(ema), 2)
    found = [near_duplicates(usual, fake) for fake in (ema, raw)]
    return {
        "duplicates": min(one.pairs / max(one.expected_pairs, 1.0) for one in found),
        "duplicates/same": min(one.exact for one in found) / pairs,
        "duplicates/usual": found[0].expected_exact / pairs,
    }


def _flatten(samples: Samples) -> Tensor:
    """The values as ``(n, prod(shape))`` doubles."""
    return samples.values.detach().cpu().flatten(1).double()


def _distinct(samples: Samples) -> Samples:
    """Each real sample once. A small held-out part is drawn from with replacement, and repeats would shrink neighbourhoods."""
    _, kinds = torch.unique(samples.values.flatten(1), dim=0, return_inverse=True)
    first = torch.full((int(kinds.max()) + 1,), len(kinds)).scatter_reduce(0, kinds, torch.arange(len(kinds)), "amin")
    return samples[first.sort().values]


def _reference_samples(samples: HealthSamples) -> Tensor:
    """``(m, d)`` real samples that repeat only as often as the data does: training samples, if available."""
    evaluation = samples.evaluation
    return _flatten(evaluation.real if evaluation.training is None else evaluation.training(len(evaluation.real)))


def _variety(real: Tensor, fake: Tensor) -> dict[str, float]:
    """How varied ``fake`` is compared with distinct ``real`` samples; both ``(n, d)``.

    - ``collapse``: coverage over that of a perfect generator;
    - ``collapse/precision``: share of generated samples that are near real ones;
    - ``collapse/spread``: root mean square distance of two generated samples over that of two real ones;
    - ``separation``: leave-one-out accuracy of the nearest neighbour with equally many samples of either kind, from 50 on.
    """
    near = precision_recall(real, fake, _K)
    count = min(len(real), len(fake))  # with unequal counts a perfect generator would not be at one half
    values = {
        "collapse": near.coverage / expected_coverage(len(real), len(fake), _K),
        "collapse/precision": near.precision,
        "collapse/spread": math.sqrt(float(fake.var(0).sum() / real.var(0).sum())),
    }
    if count >= _MIN_SAMPLES:
        values["separation"] = one_nearest_neighbour(real[:count], fake[:count]).accuracy
    return values


def _oscillation(real: Tensor, ema: Tensor, raw: Tensor) -> dict[str, float]:
    """Sliced distances to the real samples of the EMA (``oscillation/average``) and of the generator (``oscillation/raw``).

    Neither is less than the distance between two halves of the real samples. ``oscillation/away`` is the EMA's distance over the
    data's own width.
    """
    half = len(real) // 2
    floor = sliced_distance(real[:half], real[half : 2 * half])
    width = sliced_distance(real, real.mean(0).expand_as(real))
    average = max(sliced_distance(real, ema), floor)
    return {
        "oscillation/average": average,
        "oscillation/raw": max(sliced_distance(real, raw), floor),
        "oscillation/away": average / width,
    }


def _convergence(values: Mapping[str, float]) -> dict[str, float]:
    """How near the samples of the generator or of its EMA, whichever are nearer, come to the data.

    - ``convergence``: precision or coverage, whichever is larger; only coverage if all samples are the same, because one point
      may lie among the data by chance; for data that repeat, whose neighbours mean nothing, 1 less the distance;
    - ``convergence/distance``: sliced distance to the data, over the data's own width.
    """
    if "oscillation/away" not in values:
        return {}
    nearest = min(1.0, values["oscillation/raw"] / values["oscillation/average"]) if values["oscillation/average"] else 1.0
    distance = nearest * values["oscillation/away"]
    near = values.get("collapse", max(0.0, 1 - distance))
    if values.get("collapse/spread", 0.0) >= MIN_SPREAD:
        near = max(near, values["collapse/precision"])
    return {"convergence": near, "convergence/distance": distance}


def sliced_distance(one: Tensor, other: Tensor) -> float:
    """W₁ between equally many points ``(n, d)``, averaged over 64 fixed directions (Rabin et al. 2011)."""
    directions = torch.randn(one.shape[1], _DIRECTIONS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions /= directions.norm(dim=0)
    return float(((one @ directions).sort(0).values - (other @ directions).sort(0).values).abs().mean())


def _memorisation(samples: HealthSamples) -> dict[str, float]:
    """``memorisation``: share of generated samples ten times nearer to a training sample than the median held-out one is."""
    evaluation = samples.evaluation
    if evaluation.training is None:
        return {}
    training = evaluation.training(max(1, _MAX_NUMBERS // max(1, evaluation.real.values[0].numel()))).values
    usual = nearest_neighbours(evaluation.real.values[:_COPY_QUERIES], training).distances.median()
    if not float(usual):  # the held-out samples are among the training samples
        return {}
    queries = torch.cat([evaluation.fake.values[:_COPY_QUERIES], samples.raw.values[:_COPY_QUERIES]])
    copies = nearest_neighbours(queries, training).distances < usual / 10
    return {"memorisation": min(float(part.double().mean()) for part in copies.chunk(2))}


def _overfitting(samples: HealthSamples) -> dict[str, float]:
    """``overfitting``: where D places held-out samples between training samples (0) and fakes (1), on logits.

    ``overfitting/sign`` is the mean sign of its logits on training samples. They are r_v and r_t of Karras et al. (2020).
    """
    evaluation = samples.evaluation
    if evaluation.training is None or evaluation.critic is None:
        return {}
    training = evaluation.training(len(evaluation.real))
    seen, held_out, fake = (evaluation.critic(part).logits.double() for part in (training, evaluation.real, samples.raw))
    gap = float(seen.mean() - fake.mean())
    if gap <= 0:
        return {}
    return {"overfitting": float(seen.mean() - held_out.mean()) / gap, "overfitting/sign": float(seen.sign().mean())}


def _labels(samples: HealthSamples) -> dict[str, float]:
    """``labels``: how often the nearest real sample has the requested label; 0 at chance, 1 for real samples' own labels."""
    real, fake = _distinct(samples.evaluation.real), samples.evaluation.fake
    if real.labels is None or fake.latent is None or fake.latent.labels is None:
        return {}
    requested, known = fake.latent.labels, real.labels
    half = len(known) // 2
    own = float((nearest_labels(real.values[:half], real.values[half:], known[half:]) == known[:half]).double().mean())
    shares = known.bincount().double() / len(known)
    chance = float((shares * requested.bincount(minlength=len(shares))[: len(shares)] / len(requested)).sum())
    if own - chance < 0.2:  # neighbours do not tell the classes apart
        return {}
    right = max(float((nearest_labels(one.values, real.values, known) == requested).double().mean()) for one in (fake, samples.raw))
    return {"labels": (right - chance) / (own - chance)}


def _codes(samples: HealthSamples, latent: LatentSpec) -> dict[str, float]:
    """``codes``: information on the categorical codes in the head ``code``, over their entropy (Chen et al. 2016)."""
    evaluation, fake = samples.evaluation, samples.raw
    if evaluation.critic is None or fake.latent is None or fake.latent.codes is None or not latent.categorical:
        return {}
    head = evaluation.critic(fake).heads.get("code")
    if head is None or head.shape[1] < sum(latent.categorical):
        return {}
    codes = fake.latent.codes.categorical  # (n, k)
    logits = head[:, : sum(latent.categorical)].double()  # the codes' logits side by side
    parts = torch.split(logits, list(latent.categorical), dim=1)
    missing = sum(float(cross_entropy(part, code)) for part, code in zip(parts, codes.T, strict=True))
    entropy = sum(math.log(values) for values in latent.categorical)
    return {"codes": (entropy - missing) / entropy} if entropy else {}
