"""The bound on the information as a run sees it: which logits belong to which code, and what is missing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from ganforge.metrics import mutual_information_bound
from ganforge.plugin import Codes, DataSpec, DiscriminatorOutput, Evaluation, IncompatiblePartsError, Latent, LatentSpec, Samples

PLANE = DataSpec((2,))
CODED = LatentSpec(2, categorical=(3, 5), continuous=2)


def evaluation(head: torch.Tensor | None) -> Evaluation:
    stream = torch.Generator().manual_seed(0)
    codes = Codes(torch.stack([torch.arange(60) % 3, torch.arange(60) % 5], dim=1), torch.zeros(60, 2))
    fake = Samples(torch.randn(60, 2, generator=stream), latent=Latent(torch.zeros(60, 2), codes=codes))
    verdict = DiscriminatorOutput(torch.zeros(60), {} if head is None else {"code": head})
    return Evaluation(Samples(fake.values), fake, stream, critic=lambda samples: verdict)


def test_each_code_is_read_by_its_own_logits(metric):
    head = torch.randn(60, 10, generator=torch.Generator().manual_seed(1))
    given = evaluation(head)
    first, second = (
        mutual_information_bound(head[:, columns], given.fake.latent.codes.categorical[:, code])
        for code, columns in enumerate((slice(0, 3), slice(3, 8)))
    )

    assert metric("information", PLANE, CODED, column=0).measure(given) == {"": pytest.approx(first)}
    assert metric("information", PLANE, CODED, column=1).measure(given) == {"": pytest.approx(second)}
    assert metric("information", PLANE, CODED).measure(given) == {"": pytest.approx(first + second)}
    assert first != second


def test_a_certain_reader_is_at_the_ideal(metric):
    built, numbers = metric("information", PLANE, CODED), torch.arange(60)
    head = 1000.0 * torch.cat([F.one_hot(numbers % 3, 3), F.one_hot(numbers % 5, 5), torch.zeros(60, 2)], dim=1)

    assert built.value_info[""].ideal == pytest.approx(math.log(15))
    assert built.measure(evaluation(head))[""] == pytest.approx(math.log(15))
    assert "H(c) = 2.708" in built.value_info[""].label


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (evaluation(None), "needs a discriminator with a head 'code' .*'infogan-mlp'"),
        (evaluation(torch.zeros(60, 8)), r"head 'code' has the shape \(60, 8\), but the codes need \(60, 10\)"),
        (replace(evaluation(None), critic=None), "needs the discriminator"),
        (replace(evaluation(None), fake=Samples(torch.zeros(60, 2))), "generated from codes, got none"),
    ],
)
def test_what_is_missing_is_said(given, message, metric):
    with pytest.raises(IncompatiblePartsError, match=message):
        metric("information", PLANE, CODED).measure(given)


@pytest.mark.parametrize(
    ("latent", "column", "message"),
    [
        (CODED, 2, "code 2, but the sampler draws 2"),
        (LatentSpec(2), None, "draws 0"),
    ],
)
def test_a_code_that_is_not_drawn_is_refused_when_built(latent, column, message, metric):
    with pytest.raises(IncompatiblePartsError, match=message):
        metric("information", PLANE, latent, column=column)
