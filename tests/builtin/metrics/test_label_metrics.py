"""Metrics of labels and codes, as a run sees them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from ganforge.metrics import (
    hungarian_accuracy,
    mutual_information_bound,
    perfect_modes,
    wasserstein1,
    wasserstein2,
)
from ganforge.metrics.known_density import perfect_high_quality
from ganforge.plugin import (
    Codes,
    DataSpec,
    DiscriminatorOutput,
    Evaluation,
    GaussianMixture,
    IncompatiblePartsError,
    Latent,
    LatentSpec,
    Samples,
)

MOONS = DataSpec((2,), classes=2)


CODED = LatentSpec(2, categorical=(3, 2))


LABELLED = LatentSpec(2, classes=2)


def evaluation(real: Samples, fake: Samples) -> Evaluation:
    return Evaluation(real, fake, torch.Generator())


@pytest.fixture
def moons(dataset) -> Samples:
    return dataset("moons", noise=0.05).held_out(400, torch.Generator().manual_seed(0))


def test_wasserstein_is_the_function_of_the_asked_order(metric) -> None:
    stream = torch.Generator().manual_seed(0)
    real, fake = (Samples(torch.randn(50, 2, generator=stream)) for _ in range(2))
    assert metric("wasserstein", MOONS).measure(evaluation(real, fake)) == {"": wasserstein2(real.values, fake.values)}
    assert metric("wasserstein", MOONS, order=1).measure(evaluation(real, fake)) == {"": wasserstein1(real.values, fake.values)}
    assert "W₁" in metric("wasserstein", MOONS, order=1).value_info[""].label


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_real_samples_are_a_perfect_sampler_to_modes(name: str, modes: int, dataset, metric) -> None:
    data = dataset(name)
    built = metric("modes", data.spec)
    real = data.held_out(2500, torch.Generator().manual_seed(0))

    found = built.measure(evaluation(real, real))

    assert found["captured"] == modes == built.value_info["captured"].ideal
    assert found["high-quality"] == pytest.approx(0.98889, abs=0.0084)  # 4 standard deviations of 0.0021
    assert built.value_info["high-quality"].ideal == pytest.approx(1 - math.exp(-4.5))
    assert 0 < found["reverse-kl"] < 4 * (modes - 1) / 5000


@pytest.mark.parametrize(("name", "floor"), [("ring", 0.0014), ("grid", 0.0048)])
def test_a_perfect_sampler_is_at_its_floors_in_the_mean(name: str, floor: float, dataset, metric) -> None:
    """98.89 % high quality and a reverse KL of 0.0014 and 0.0048 at 2,500 samples (reference results, 1.6)."""
    data = dataset(name)
    built = metric("modes", data.spec)
    draws = (Samples(data.held_out(2500, torch.Generator().manual_seed(seed)).values) for seed in range(60))
    runs = [built.measure(evaluation(fake, fake)) for fake in draws]

    messages = built.value_info["reverse-kl"].floor
    assert messages is not None
    assert messages(2500) == pytest.approx(floor, abs=1e-4)
    assert sum(run["reverse-kl"] for run in runs) / 60 == pytest.approx(messages(2500), rel=0.2)
    assert sum(run["high-quality"] for run in runs) / 60 == pytest.approx(0.98889, abs=4 * 0.0021 / math.sqrt(60))


@pytest.mark.parametrize(
    ("name", "params", "known"),  # the shares of 20,000 draws
    [
        ("ring", {"std": 0.2}, 0.9955),
        ("ring", {"std": 0.3}, 0.9970),
        ("ring", {"std": 0.5}, 0.9975),
        ("grid", {"std": 0.3, "spacing": 1.0}, 0.9982),
    ],
)
def test_where_modes_overlap_a_perfect_sampler_is_at_its_floors_too(name: str, params, known: float, dataset, metric) -> None:
    """What lies far from its own mode is near another; inner modes of the grid have more near them than their share."""
    data = dataset(name, **params)
    built = metric("modes", data.spec)
    draws = (Samples(data.held_out(2500, torch.Generator().manual_seed(seed)).values) for seed in range(40))
    runs = [built.measure(evaluation(fake, fake)) for fake in draws]

    ideal, floor = built.value_info["high-quality"].ideal, built.value_info["reverse-kl"].floor
    assert ideal == pytest.approx(known, abs=0.001)
    assert sum(run["high-quality"] for run in runs) / 40 == pytest.approx(ideal, abs=0.001)
    assert sum(run["reverse-kl"] for run in runs) / 40 == pytest.approx(floor(2500), rel=0.2)


@pytest.mark.parametrize("gap", [7.9, 8.1])
def test_modes_that_just_lie_apart_have_the_exact_share(gap: float) -> None:
    mixture = GaussianMixture(((0.0, 0.0), (0.1 * gap, 0.0)), 0.1, (0.3, 0.7))
    found = perfect_modes(mixture)
    assert found.high_quality == pytest.approx(perfect_high_quality(2), abs=0.001)
    assert found.shares == pytest.approx(mixture.shares, abs=0.005)
    assert (found.high_quality == perfect_high_quality(2)) == (gap > 8)


def test_modes_of_a_line_have_the_lines_ideal(dataset, metric) -> None:
    assert metric("modes", dataset("gaussian-1d").spec).value_info["high-quality"].ideal == pytest.approx(0.9973, abs=1e-4)


def test_codes_that_name_the_moons_are_recovered(metric, moons: Samples) -> None:
    """The second code names the moon, the other way round; the first says nothing about it."""
    noise = torch.zeros(400, 2)
    categorical = torch.stack([torch.arange(400) % 3, 1 - moons.labels], dim=1)
    fake = Samples(moons.values + 0.01, latent=Latent(noise, codes=Codes(categorical, torch.zeros(400, 0))))

    assert metric("code-recovery", MOONS, CODED, column=1).measure(evaluation(moons, fake)) == {"": 1.0}
    assert metric("code-recovery", MOONS, CODED).measure(evaluation(moons, fake))[""] == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize(
    ("values", "shares", "best"),
    [
        (2, (), 1.0),
        (3, (), 2 / 3),  # one value stands for no class, and so does a third of the samples
        (2, (0.5, 0.3, 0.2), 0.8),
        (2, (0.9, 0.1), 0.6),  # the common class has two codes, one of which counts
        (3, (0.1, 0.2, 0.7), 0.1 + 0.2 + 1 / 3),
    ],
)
def test_the_best_that_codes_can_do_is_what_the_best_coupling_of_them_and_classes_gets(values, shares, best, metric) -> None:
    data = DataSpec((2,), classes=len(shares) or 2, class_shares=shares)
    built = metric("code-recovery", data, LatentSpec(2, categorical=(values,)))
    assert built.value_info[""].ideal == pytest.approx(best)
    assert metric("label-match", data, LatentSpec(2, classes=data.classes)).value_info[""].ideal == 1.0

    # one of the best generators: sorted alike, the common part of both is on the diagonal as far as it goes
    table = _coupling([1 / values] * values, shares or (0.5, 0.5))
    counts = (3600 * table).round().long()
    codes, labels = counts.nonzero().T
    times = counts[codes, labels]
    made = hungarian_accuracy(codes.repeat_interleave(times), labels.repeat_interleave(times))
    assert made == pytest.approx(best, abs=1e-3)


def _coupling(codes, classes) -> torch.Tensor:
    """Codes and classes in falling order, matched as far as both go, and the rest at random."""
    rows = torch.tensor(sorted(codes, reverse=True)).double()
    columns = torch.tensor(sorted(classes, reverse=True)).double()
    table = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    for place in range(min(table.shape)):
        table[place, place] = torch.minimum(rows[place], columns[place])
    left, over = rows - table.sum(1), columns - table.sum(0)
    return table + (torch.outer(left, over) / left.sum() if left.sum() > 1e-9 else 0)


def test_label_match_counts_points_on_the_moon_asked_for(metric, moons: Samples) -> None:
    asked = moons.labels.clone()
    asked[:100] = 1 - asked[:100]
    fake = Samples(moons.values + 0.01, labels=asked, latent=Latent(torch.zeros(400, 2), labels=asked))
    assert metric("label-match", MOONS, LABELLED).measure(evaluation(moons, fake)) == {"": 0.75}


@pytest.mark.parametrize(
    ("name", "data", "latent", "params", "message"),
    [
        ("modes", MOONS, LABELLED, {}, r"needs data whose modes are known .*'ring', 'grid'"),
        ("code-recovery", DataSpec((2,)), CODED, {}, "needs labelled data"),
        ("code-recovery", MOONS, LABELLED, {}, r"reads categorical code 0, but the sampler draws 0 .*'structured'"),
        ("code-recovery", MOONS, CODED, {"column": 2}, "reads categorical code 2, but the sampler draws 2"),
        ("label-match", DataSpec((2,)), LABELLED, {}, "needs labelled data"),
        ("label-match", MOONS, CODED, {}, r"needs a sampler that draws labels .*'labelled'"),
    ],
)
def test_a_metric_without_what_it_needs_is_refused_when_built(
    name: str, data: DataSpec, latent: LatentSpec, params: dict, message: str, metric
) -> None:
    with pytest.raises(IncompatiblePartsError, match=message):
        metric(name, data, latent, **params)


def test_samples_without_what_the_metric_reads_are_refused(metric, moons: Samples) -> None:
    fake = Samples(moons.values, latent=Latent(torch.zeros(400, 2)))
    for name, latent in (("code-recovery", CODED), ("label-match", LABELLED)):
        with pytest.raises(IncompatiblePartsError, match=r"needs the (codes|labels) that samples were generated from"):
            metric(name, MOONS, latent).measure(evaluation(moons, fake))

    coded = Samples(moons.values, latent=Latent(torch.zeros(400, 2), labels=moons.labels))
    with pytest.raises(IncompatiblePartsError, match="real samples have no labels"):
        metric("label-match", MOONS, LABELLED).measure(evaluation(Samples(moons.values), coded))


def test_values_and_measures_have_the_same_keys_and_plain_labels(metric, dataset, moons: Samples) -> None:
    latent = Latent(torch.zeros(400, 2), moons.labels, Codes(moons.labels.unsqueeze(1).repeat(1, 2), torch.zeros(400, 0)))
    fake = Samples(moons.values, moons.labels, latent)
    for name, data, sizes in (
        ("wasserstein", MOONS, CODED),
        ("modes", dataset("ring").spec, CODED),
        ("code-recovery", MOONS, CODED),
        ("label-match", MOONS, LABELLED),
    ):
        built = metric(name, data, sizes)
        found = built.measure(evaluation(moons, fake))
        assert found.keys() == built.value_info.keys()
        assert all(type(value) is float for value in found.values())
        assert all(len(measure.label) > 20 for measure in built.value_info.values())


PLANE = DataSpec((2,))


CODES = LatentSpec(2, categorical=(3, 5), continuous=2)


def code_evaluation(head: torch.Tensor | None) -> Evaluation:
    stream = torch.Generator().manual_seed(0)
    codes = Codes(torch.stack([torch.arange(60) % 3, torch.arange(60) % 5], dim=1), torch.zeros(60, 2))
    fake = Samples(torch.randn(60, 2, generator=stream), latent=Latent(torch.zeros(60, 2), codes=codes))
    verdict = DiscriminatorOutput(torch.zeros(60), {} if head is None else {"code": head})
    return Evaluation(Samples(fake.values), fake, stream, critic=lambda samples: verdict)


def test_each_code_is_read_by_its_own_logits(metric):
    head = torch.randn(60, 10, generator=torch.Generator().manual_seed(1))
    given = code_evaluation(head)
    first, second = (
        mutual_information_bound(head[:, columns], given.fake.latent.codes.categorical[:, code])
        for code, columns in enumerate((slice(0, 3), slice(3, 8)))
    )

    assert metric("information", PLANE, CODES, column=0).measure(given) == {"": pytest.approx(first)}
    assert metric("information", PLANE, CODES, column=1).measure(given) == {"": pytest.approx(second)}
    assert metric("information", PLANE, CODES).measure(given) == {"": pytest.approx(first + second)}
    assert first != second


def test_a_certain_reader_is_at_the_ideal(metric):
    built, numbers = metric("information", PLANE, CODES), torch.arange(60)
    head = 1000.0 * torch.cat([F.one_hot(numbers % 3, 3), F.one_hot(numbers % 5, 5), torch.zeros(60, 2)], dim=1)

    assert built.value_info[""].ideal == pytest.approx(math.log(15))
    assert built.measure(code_evaluation(head))[""] == pytest.approx(math.log(15))
    assert "H(c) = 2.708" in built.value_info[""].label


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (code_evaluation(None), "needs a discriminator with a head 'code' .*'infogan-mlp'"),
        (code_evaluation(torch.zeros(60, 8)), r"head 'code' has the shape \(60, 8\), but the codes need \(60, 10\)"),
        (replace(code_evaluation(None), critic=None), "needs the discriminator"),
        (replace(code_evaluation(None), fake=Samples(torch.zeros(60, 2))), "needs the codes that samples were generated from"),
    ],
)
def test_what_is_missing_is_reported(given, message, metric):
    with pytest.raises(IncompatiblePartsError, match=message):
        metric("information", PLANE, CODES).measure(given)


@pytest.mark.parametrize(
    ("latent", "column", "message"),
    [
        (CODES, 2, "code 2, but the sampler draws 2"),
        (LatentSpec(2), None, "draws 0"),
    ],
)
def test_a_code_that_is_not_drawn_is_refused_when_built(latent, column, message, metric):
    with pytest.raises(IncompatiblePartsError, match=message):
        metric("information", PLANE, latent, column=column)
