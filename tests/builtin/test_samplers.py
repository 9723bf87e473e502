from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from ganforge.plugin import DataSpec, IncompatiblePartsError, LatentSpec

LABELLED = DataSpec((2,), classes=3, class_shares=(0.2, 0.5, 0.3))
SAMPLERS = [
    ("normal", {"size": 4}, LatentSpec(4)),
    ("uniform", {"size": 4, "low": 0.0, "high": 1.0}, LatentSpec(4)),
    ("labelled", {"size": 4}, LatentSpec(4, classes=3)),
    ("structured", {"size": 4, "categorical": (2, 5), "continuous": 2}, LatentSpec(4, categorical=(2, 5), continuous=2)),
]
N = 20_000


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "params", "spec"), SAMPLERS)
def test_latents_have_the_promised_form(name: str, params: dict, spec: LatentSpec, sampler, components) -> None:
    built = sampler(name, LABELLED, **params)
    latent = built.draw(5, stream())

    component = components["sampler", name]
    assert built.spec == spec == component.load_spec()(component.load_params()(**params), LABELLED)
    assert latent.noise.shape == (5, 4)
    assert latent.noise.dtype == torch.float32
    assert (latent.labels is not None) == (spec.classes is not None)
    assert (latent.codes is not None) == spec.has_codes
    assert spec.flatten(latent).shape == (5, spec.width)


@pytest.mark.parametrize(("name", "params", "spec"), SAMPLERS)
def test_all_randomness_comes_from_the_given_stream(name: str, params: dict, spec: LatentSpec, sampler) -> None:
    built = sampler(name, LABELLED, **params)
    before = torch.get_rng_state()

    first, again, other = (built.draw(50, stream(seed)) for seed in (1, 1, 2))

    assert torch.equal(torch.get_rng_state(), before)
    for same in (
        lambda latent: latent.noise,
        lambda latent: latent.labels,
        lambda latent: latent.codes and latent.codes.categorical,
    ):
        if same(first) is not None:
            assert torch.equal(same(first), same(again))
            assert not torch.equal(same(first), same(other))


def test_normal_noise_is_standard(sampler) -> None:
    noise = sampler("normal", size=2).draw(N, stream()).noise
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(1, abs=0.02)


def test_uniform_noise_fills_its_range_and_no_more(sampler) -> None:
    edge = 3**0.5
    noise = sampler("uniform", size=2, low=-edge, high=edge).draw(N, stream()).noise
    assert -edge <= noise.min() < -edge + 0.01
    assert edge - 0.01 < noise.max() <= edge
    assert noise.var().item() == pytest.approx(1, abs=0.02), "the 2014 paper's range has variance 1"


def test_labels_come_as_often_as_in_the_data(sampler) -> None:
    labels = sampler("labelled", LABELLED, size=1).draw(N, stream()).labels
    assert labels.dtype == torch.int64
    assert (labels.bincount() / N).tolist() == pytest.approx([0.2, 0.5, 0.3], abs=0.02)


def test_labels_come_equally_often_where_no_shares_are_known(sampler) -> None:
    labels = sampler("labelled", DataSpec((2,), classes=4), size=1, distribution="uniform", low=0.0).draw(N, stream()).labels
    assert (labels.bincount() / N).tolist() == pytest.approx([0.25] * 4, abs=0.02)


def test_labelled_noise_can_be_that_of_the_cgan_paper(sampler) -> None:
    noise = sampler("labelled", LABELLED, size=2, distribution="uniform", low=0.0, high=1.0).draw(N, stream()).noise
    assert 0 <= noise.min() < 0.01
    assert 0.99 < noise.max() <= 1


def test_unlabelled_data_cannot_be_sampled_with_labels(sampler) -> None:
    with pytest.raises(IncompatiblePartsError, match=r"has none .*sampler\.use to 'normal'"):
        sampler("labelled", DataSpec((2,)), size=1)


def test_codes_are_uniform_and_independent(sampler) -> None:
    codes = sampler("structured", size=1, categorical=(2, 5), continuous=2).draw(N, stream()).codes
    assert codes.categorical.dtype == torch.int64
    together = (codes.categorical[:, 0] * 5 + codes.categorical[:, 1]).bincount(minlength=10) / N
    assert together.tolist() == pytest.approx([0.1] * 10, abs=0.01)
    assert codes.continuous.shape == (N, 2)
    assert codes.continuous.abs().max() <= 1
    assert codes.continuous.var().item() == pytest.approx(1 / 3, abs=0.01)


def test_absent_codes_are_empty_columns(sampler) -> None:
    categorical = sampler("structured", size=1, categorical=(3,)).draw(4, stream()).codes
    continuous = sampler("structured", size=1, continuous=2, distribution="uniform").draw(4, stream())
    assert categorical.continuous.shape == (4, 0)
    assert continuous.codes.categorical.shape == (4, 0)
    assert continuous.codes.categorical.dtype == torch.int64
    assert continuous.noise.abs().max() <= 1


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("normal", {"size": 0}, "greater than or equal to 1"),
        ("normal", {"size": "4"}, "valid integer"),
        ("uniform", {"size": 1, "low": 1.0, "high": 1.0}, r"low \(1\) must be below high \(1\)"),
        ("labelled", {"size": 1, "low": 2.0}, r"low \(2\) must be below high \(1\)"),
        ("structured", {"size": 1}, "at least one code"),
        ("structured", {"size": 1, "categorical": (1,)}, "greater than or equal to 2"),
    ],
)
def test_wrong_params_are_refused(name: str, params: dict, message: str, components) -> None:
    with pytest.raises(ValidationError, match=message):
        components["sampler", name].load_params()(**params)


def test_checking_needs_no_torch() -> None:
    """Announcing everything, validating params and computing every spec leaves torch, NumPy and scikit-learn unimported."""
    script = """
import sys
from ganforge.builtin import builtin_plugin
from ganforge.registry.component import Kind, PluginRef
from ganforge.plugin import DataSpec, Registrar

for kind in Kind:
    hook = getattr(builtin_plugin, f"ganforge_register_{kind.plural}", None)
    staged = []
    if hook:
        hook(Registrar(kind, PluginRef("builtin", "ganforge", "0"), staged))
    for component in staged:
        model = component.load_params()
        spec = component.load_spec()
        if spec:
            params = model(**component.check_params)
            print(spec(params, DataSpec((2,), classes=2)) if kind is Kind.SAMPLER else spec(params))
print(*sorted({"torch", "numpy", "sklearn", "scipy"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert done.stdout.count("Spec(") >= 10


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.3, 0.5), (1.0, 2.0, 4.0, 1.0)])
@pytest.mark.parametrize("count", [1, 7, 64, 2000])
def test_stratified_classes_come_in_their_shares_to_within_one(shares, count):
    from ganforge.builtin.samplers import draw_stratified

    generator = torch.Generator().manual_seed(3)
    expected = torch.tensor(shares) / sum(shares) * count
    for _ in range(20):
        classes = draw_stratified(shares, count, generator)
        counts = torch.bincount(classes, minlength=len(shares))
        assert len(counts) == len(shares)
        assert (counts - expected).abs().max() < 1 + 1e-6


def test_stratified_classes_are_right_on_average_and_in_random_order():
    from ganforge.builtin.samplers import draw_stratified

    generator = torch.Generator().manual_seed(4)
    draws = torch.stack([draw_stratified((0.3, 0.7), 5, generator) for _ in range(4000)])
    assert draws.float().mean() == pytest.approx(0.7, abs=0.01)
    assert (draws.float().mean(0) - 0.7).abs().max() < 0.03  # no position prefers a class
