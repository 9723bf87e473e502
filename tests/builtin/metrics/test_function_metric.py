"""Simulated floors are what draws of the data get, and there are none where the density is not known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.plugin import DataSpec, Evaluation, Latent, LatentSpec, Samples

PLAIN, LABELLED, CODED = LatentSpec(2), LatentSpec(2, classes=8), LatentSpec(2, categorical=(8,))
CASES = [
    ("wasserstein", "", PLAIN, 0.05),
    ("sliced-wasserstein", "", PLAIN, 0.1),
    ("frechet", "", PLAIN, 0.3),
    ("precision-recall", "precision", PLAIN, 0.01),
    ("precision-recall", "recall", PLAIN, 0.01),
    ("optimal-discriminator", "js", PLAIN, 0.1),
    ("optimal-discriminator", "kl", PLAIN, 0.1),
    ("optimal-discriminator", "reverse-kl", PLAIN, 0.1),
    ("optimal-discriminator", "total-variation", PLAIN, 0.05),
    ("label-match", "", LABELLED, 0.01),
]


@pytest.mark.parametrize(("name", "key", "latent", "near"), CASES)
def test_the_floor_is_what_a_perfect_generator_gets_in_the_mean(name, key, latent, near, dataset, metric):
    data = dataset("ring", labelled=True, std=0.1)
    built = metric(name, data.spec, latent)

    def value(seed: int) -> float:
        stream = torch.Generator().manual_seed(seed)
        real, made = data.held_out(200, stream), data.held_out(200, stream)
        asked = Latent(torch.zeros(200, 2), made.labels)
        return built.measure(Evaluation(real, Samples(made.values, made.labels, asked), stream))[key]

    floor = built.value_info[key].floor
    assert floor is not None
    assert floor(200) == pytest.approx(np.mean([value(seed) for seed in range(100, 130)]), rel=near)
    assert floor(200) == metric(name, data.spec, latent).value_info[key].floor(
        200
    )  # and the global random stream has no part in it


def test_a_code_that_is_the_class_has_the_floor_of_labels(dataset, metric):
    spec = dataset("ring", labelled=True, std=0.3).spec
    floors = [
        metric(name, spec, latent).value_info[""].floor(200)
        for name, latent in (("code-recovery", CODED), ("label-match", LABELLED))
    ]
    assert floors[0] == floors[1] < 0.99
    assert metric("code-recovery", spec, LatentSpec(2, categorical=(3,))).value_info[""].floor is None


@pytest.mark.parametrize("name", ["wasserstein", "sliced-wasserstein", "frechet", "precision-recall"])
def test_without_a_density_there_is_none(name, metric):
    value_info = metric(name, DataSpec((2,))).value_info
    assert not [key for key, measure in value_info.items() if measure.floor and key != "coverage"]


@pytest.mark.parametrize("count", [2, 5, 20, 400])
def test_the_reverse_kl_of_modes_has_its_mean_at_every_count(count, dataset, metric):
    """(m - 1) / 2n, which is right for many samples, would be 1.77 for two."""
    data = dataset("ring")
    built = metric("modes", data.spec)
    draws = (Samples(data.held_out(count, torch.Generator().manual_seed(seed)).values) for seed in range(400))
    mean = np.mean([built.measure(Evaluation(fake, fake, torch.Generator()))["reverse-kl"] for fake in draws])
    assert built.value_info["reverse-kl"].floor(count) == pytest.approx(mean, rel=0.1)
