"""Event streams as of a trainer, made by hand: moons with codes, a bell curve, small images."""

import math

import pytest
import torch

from ganforge.core.contracts import Divergence, MetricInfo, TermInfo
from ganforge.core.events import Evaluated, Finished, HealthChecked, SamplesDrawn, Started, Stepped
from ganforge.core.findings import Finding
from ganforge.core.records import Codes, Latent, LogitGrid, Samples
from ganforge.core.specs import DataSpec, GaussianMixture, LatentSpec

JENSEN_SHANNON = Divergence("Jensen-Shannon divergence", math.log(2))
READINGS = {
    "discriminator/real": TermInfo("cost of taking real samples for fakes", math.log(2), 0.0, JENSEN_SHANNON),
    "discriminator/fake": TermInfo("cost of taking fakes for real samples", math.log(2), 0.0, JENSEN_SHANNON),
    "discriminator/total": TermInfo("what the discriminator descends", math.log(4)),
    "generator/adversarial": TermInfo("cost of being found out", math.log(2), 0.0),
    "generator/total": TermInfo("what the generator descends", math.log(2)),
}
MEASURES = {
    "wasserstein": MetricInfo("distance to fresh real points", "lower", 0.0),
    "modes/captured": MetricInfo("modes found", "higher", 8.0),
}


def _terms(iteration, iterations):
    early = math.exp(-5 * iteration / iterations)
    real, fake, generator = math.log(2) - 0.3 * early, math.log(2) - 0.4 * early, math.log(2) + early
    values = (real, fake, real + fake, generator, generator)
    return {key: torch.tensor(value) for key, value in zip(READINGS, values, strict=True)}


def _moons(count, draw):
    turn = torch.rand(count, generator=draw) * math.pi
    which = torch.randint(0, 2, (count,), generator=draw)
    upper, lower = torch.stack([turn.cos(), turn.sin()], 1), torch.stack([1 - turn.cos(), 0.5 - turn.sin()], 1)
    return torch.where(which[:, None] == 0, upper, lower), which


def _plane(share):
    points = torch.cartesian_prod(torch.linspace(-2, 3, 16), torch.linspace(-1.5, 2, 16))
    return LogitGrid(points, (points[:, 0] - 0.5) * (1.5 - share), (16, 16))


def _moon_pictures(share, draw):
    values, which = _moons(200, draw)
    scattered = torch.randn(200, 2, generator=draw)
    latent = Latent(torch.zeros(200, 4), codes=Codes(which[:, None], torch.zeros(200, 0)))
    return Samples(share * values + (1 - share) * scattered, latent=latent), _plane(share)


def _bell_pictures(share, draw):
    noise = torch.randn(400, 1, generator=draw)
    line = torch.linspace(-4.5, 4.5, 100)
    return Samples(2 * (1 - share) + noise, latent=Latent(noise)), LogitGrid(line[:, None], (1 - share) * -line, (100,))


def _image_pictures(share, draw):
    noise = torch.rand(70, 1, 8, 8, generator=draw) * 2 - 1
    return Samples((1 - share) * noise, latent=Latent(torch.zeros(70, 4))), None


_KINDS = {
    "moons": (DataSpec((2,), classes=2), LatentSpec(4, categorical=(2,)), _moon_pictures),
    "bell": (DataSpec((1,), density=GaussianMixture(((0.0,),), 1.0)), LatentSpec(1), _bell_pictures),
    "images": (DataSpec((1, 8, 8), value_range=(-1.0, 1.0)), LatentSpec(4), _image_pictures),
}


def _events(kind="moons", *, begin=0, end=100, iterations=100, every=25, outcome="finished"):
    data, latent, pictured = _KINDS[kind]
    draw = torch.Generator().manual_seed(7)
    real = {"moons": _moons(300, draw)[0], "bell": torch.randn(400, 1, generator=draw), "images": torch.zeros(70, 1, 8, 8)}[kind]
    parameters = {"generator": 17_282, "discriminator": 17_279}
    yield Started(begin, iterations, "cpu", data, latent, parameters, *parameters, READINGS, MEASURES, Samples(real))

    def picture(iteration):
        return SamplesDrawn(iteration, *pictured(iteration / iterations, torch.Generator().manual_seed(3)))

    if begin == 0:
        yield picture(0)
    for iteration in range(begin + 1, end + 1):
        yield Stepped(iteration, _terms(iteration, iterations), {"lr/generator": 1e-3})
        if iteration % every == 0:
            yield Evaluated(iteration, {"wasserstein": 0.5 / iteration, "modes/captured": float(8 * iteration // iterations)}, 0.25)
            yield picture(iteration)
    yield Finished(end, outcome, 12.5, None if outcome == "finished" else "asked to stop")


@pytest.fixture
def events():
    """``events("moons" | "bell" | "images", begin=…, end=…, every=…)`` → the events of a training."""
    return _events


def _finding(check="diversity", trouble="mode collapse", level="fail", *, since=40, iteration=60, key="dataset.params"):
    remedy = "several samples judged at once"
    return Finding(check, trouble, level, "samples near 12% of the data only", since, iteration, remedy, key)


@pytest.fixture
def finding():
    """``finding(check, trouble, level, since=…, iteration=…)``: a trouble as a watch would report it."""
    return _finding


def _watched(stream, looks):
    for event in stream:
        yield event
        if isinstance(event, Stepped) and event.iteration in looks:
            yield HealthChecked(event.iteration, {"dominance/jsd": event.iteration / 1000}, tuple(looks[event.iteration]))


@pytest.fixture
def watched():
    """``watched(events, {50: [findings], …})`` → the events with a look of the health watch after these iterations."""
    return _watched


class _Clock:
    """A clock that advances only by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """A clock that is advanced by ``clock.now += 2``."""
    return _Clock()
