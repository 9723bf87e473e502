"""The bound on the information against scikit-learn, and against channels whose information is known."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional as F

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import mutual_information_bound


def test_it_is_the_entropy_less_scikit_learns_log_loss():
    stream = torch.Generator().manual_seed(0)
    logits, codes = torch.randn(500, 10, generator=stream), torch.randint(10, (500,), generator=stream)
    expected = math.log(10) - log_loss(codes.numpy(), logits.double().softmax(1).numpy(), labels=range(10))
    assert mutual_information_bound(logits, codes) == pytest.approx(expected, abs=1e-9)


def test_a_certain_reader_has_all_and_a_silent_one_nothing():
    codes = torch.arange(40) % 4
    assert mutual_information_bound(1000.0 * F.one_hot(codes, 4), codes) == pytest.approx(math.log(4))
    assert mutual_information_bound(torch.zeros(40, 4), codes) == pytest.approx(0)
    assert mutual_information_bound(100.0 * F.one_hot((codes + 1) % 4, 4), codes) < -90


def test_the_best_reader_of_a_noisy_channel_reaches_its_information():
    """A code of two values that comes through turned over in one case of ten: log 2 - H(0.1) nats."""
    codes = torch.arange(1000) % 2
    seen = torch.where(torch.arange(1000) % 20 < 2, 1 - codes, codes)
    best = torch.where(F.one_hot(seen, 2).bool(), math.log(0.9), math.log(0.1))
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert mutual_information_bound(best, codes) == pytest.approx(math.log(2) - entropy)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [0, 1, slice(None)])
def test_what_is_not_finite_gives_nan(bad, where):
    """Minus infinity beside the right code's logit would be a certain reader, and the best value that there is."""
    logits = torch.zeros(3, 2)
    logits[:, where] = bad
    assert math.isnan(mutual_information_bound(logits, torch.zeros(3)))


@pytest.mark.parametrize(("logits", "codes"), [((0, 3), (0,)), ((5, 3), (4,)), ((5,), (5,))])
def test_what_does_not_fit_is_refused(logits, codes):
    with pytest.raises(IncompatiblePartsError, match="do not read codes"):
        mutual_information_bound(torch.zeros(logits), torch.zeros(codes))
