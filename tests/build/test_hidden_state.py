"""State that checkpoints and moving averages do not contain is found before training, whatever it is kept in."""

import itertools
import random
import re

import numpy as np
import pytest
import torch
from torch import nn

from ganforge.build import hidden_state
from ganforge.core.contracts import TermInfo
from ganforge.core.errors import DataError, PartError
from ganforge.core.records import Codes, Latent, LossTerms, Samples
from ganforge.core.specs import DataSpec, LatentSpec

INPUTS = torch.linspace(-1, 1, 12).reshape(6, 2)


class Plain(nn.Module):
    """A network like any other, with old and new spectral normalisation, batch normalisation and dropout."""

    def __init__(self):
        super().__init__()
        first = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 4))
        self.net = nn.Sequential(first, nn.BatchNorm1d(4), nn.Dropout(0.5), nn.utils.spectral_norm(nn.Linear(4, 2)))
        self.last = None
        self.prepare()

    def prepare(self):
        pass

    def forward(self, values):
        self.last = self.net(values)  # kept until the next use, which replaces it
        return self.change(self.last)

    def change(self, values):
        return values


class Counter(Plain):
    def prepare(self):
        self.steps = 0

    def change(self, values):
        self.steps += 1
        return values * min(1, self.steps / 100)


class Silent(Counter):
    """Counts, and does nothing with it yet."""

    def change(self, values):
        super().change(values)
        return values


class NotPersistent(Plain):
    def prepare(self):
        self.register_buffer("mean", torch.zeros(()), persistent=False)

    def change(self, values):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * values.detach().mean()
        return values - self.mean


class InADict(Plain):
    """Statistics that only matter in eval mode."""

    def prepare(self):
        self.kept = {"mean": torch.zeros(())}

    def change(self, values):
        if self.training:
            self.kept["mean"] = 0.9 * self.kept["mean"] + 0.1 * values.detach().mean()
            return values
        return values - self.kept["mean"]


class OwnRandom(Plain):
    def prepare(self):
        self.random = torch.Generator().manual_seed(0)

    def change(self, values):
        return values + torch.rand((), generator=self.random)


class Unseeded(Plain):
    def change(self, values):
        return values + float(np.random.default_rng().random())


class InAClosure(Plain):
    def prepare(self):
        count = itertools.count()
        self.count = lambda: next(count)

    def change(self, values):
        return values + self.count()


class Replacing(Plain):
    def prepare(self):
        self.scale = nn.Parameter(torch.ones(()))

    def change(self, values):
        if self.training:
            self.scale = nn.Parameter(self.scale.detach() * 0.9)
        return values * self.scale


class Listed(Plain):
    def prepare(self):
        self.layers = [nn.Linear(2, 2)]


class Looked(Plain):
    def prepare(self):
        self.register_buffer("looks", torch.zeros(()))

    def change(self, values):
        self.looks += 1
        return values


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Counter, r"keeps state from one iteration to the next \(steps\)"),
        (NotPersistent, r"keeps state from one iteration to the next \(mean\)"),
        (OwnRandom, r"keeps state from one iteration to the next \(random\)"),
        (Unseeded, "or draws numbers that no seed reaches"),
        (InAClosure, "gives other values for the same inputs, weights and random numbers"),
        (Replacing, "replaces its parameter 'scale' when it is used"),
        (Listed, r"has the weights 'layers\[0\].(weight|bias)' outside of its registered modules"),
        (Looked, "changes its state 'looks' in eval mode"),
    ],
)
def test_a_network_whose_values_depend_on_what_is_not_saved_is_refused(kind, message):
    with pytest.raises(PartError, match=message) as caught:
        hidden_state.check_network("generator", kind(), lambda network: network(INPUTS))
    assert caught.value.remedy


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_a_usual_network_is_no_mistake_and_stays_as_it_was():
    network = Plain()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    hidden_state.check_network("generator", network, lambda network: network(INPUTS))

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_a_counter_that_makes_no_difference_yet_is_a_warning(caplog):
    hidden_state.check_network("generator", Silent(), lambda network: network(INPUTS))
    (message,) = caplog.messages
    assert message.startswith(
        "generator: its network keeps state (steps), which checkpoints and the moving average do not contain;"
    )


class Forgetful(Plain):
    def load_state_dict(self, state, strict=True):
        pass


class Remembering(Plain):
    """Keeps the number of samples that it saw first."""

    def change(self, values):
        self.first = getattr(self, "first", len(values))
        return values[:, :2] * self.first


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Forgetful, "loads 'net.*' from a checkpoint, but holds another"),
        (Remembering, "after it was saved"),
        (InADict, "after it was saved"),
    ],
)
def test_a_network_that_loads_less_than_it_saves_is_refused(kind, message):
    torch.manual_seed(0)
    used, new = kind(), kind()
    new.net.load_state_dict(used.net.state_dict())
    used(INPUTS)
    with pytest.raises(PartError, match=message):
        hidden_state.check_loading("generator", used, new, lambda network: network(INPUTS[:3]))


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_weights_that_are_used_twice_can_be_loaded():
    class Shared(Plain):
        def prepare(self):
            self.again = self.net
            self.layer = nn.Linear(2, 2)
            self.layer_again = self.layer

    used, new = Shared(), Shared()
    hidden_state.check_loading("generator", used, new, lambda network: network(INPUTS))


class Loss:
    """A loss that multiplies its term by what it keeps."""

    term_info = {"discriminator/a": TermInfo("a")}

    def __init__(self, step):
        self.step = step

    def __call__(self):
        return LossTerms({"a": torch.ones(()) * self.step()})


class Kept(Loss):
    def __init__(self, kept, step):
        super().__init__(None)
        self.kept, self.step = kept, lambda: step(self.kept)


def _added(kept):
    kept += 1
    return float(kept[0])


def _grown(kept):
    kept.add(len(kept))
    return len(kept)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Loss(itertools.count().__next__), "gives other values for the same inputs"),
        (Kept(np.zeros(2), _added), r"\(kept\)"),
        (Kept(set(), _grown), r"\(kept\)"),
        (Kept(torch.Generator().manual_seed(0), lambda kept: float(torch.rand((), generator=kept))), r"\(kept\)"),
        (Kept(np.random.default_rng(0), lambda kept: float(kept.random())), r"\(kept\)"),
        (Kept(random.Random(0), lambda kept: kept.random()), r"\(kept\)"),
    ],
    ids=["iterator", "array", "set", "torch", "numpy", "python"],
)
def test_a_loss_that_keeps_state_in_anything_is_refused(loss, message):
    with pytest.raises(PartError, match=message):
        hidden_state.check_loss("loss[0]", loss, loss)


def test_a_loss_with_random_numbers_of_the_run_is_no_mistake():
    loss = Loss(lambda: float(torch.rand(())) + random.random() + float(np.random.random()))
    hidden_state.check_loss("loss[0]", loss, loss)


def test_weights_of_a_loss_that_is_no_module_are_found():
    loss = Loss(None)
    loss.temperature = nn.Parameter(torch.ones(()))
    assert hidden_state.unregistered(loss, []) == "temperature"
    assert hidden_state.unregistered(loss, [loss.temperature]) is None


class Sampler:
    spec = LatentSpec(noise=3)

    def __init__(self, draw):
        self.draw = lambda count, generator: Latent(draw(count, generator))


def _counting(counter):
    return lambda count, generator: torch.randn(count, 3, generator=generator) + next(counter)


def _overwriting(kept):
    return lambda count, generator: kept[:count].normal_(generator=generator)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (_counting(itertools.count()), "draws other latents from a generator of the same state"),
        (lambda count, _: torch.randn(count, 3), "draws other latents"),
        (lambda count, _: torch.from_numpy(np.random.default_rng().random((count, 3), "f4")), "draws other latents"),
        (
            _overwriting(torch.empty(8, 3)),
            "draws into the same tensors",
        ),
    ],
    ids=["counter", "global", "numpy", "one tensor"],
)
def test_a_sampler_that_uses_more_than_its_generator_is_refused(draw, message):
    with pytest.raises(PartError, match=message):
        hidden_state.check_sampler(Sampler(draw), 4, torch.device("cpu"))


def test_a_data_set_that_ignores_the_generator_is_refused():
    class Data:
        spec = DataSpec((2,))

        def held_out(self, count, generator):
            return Samples(torch.from_numpy(np.random.default_rng().random((count, 2), "f4")))

    with pytest.raises(DataError, match=re.escape("Data.held_out(16) gives other samples for a generator of the same state")):
        hidden_state.check_held_out(Data(), 16)


class Streamed:
    spec = DataSpec((2,))
    held_out_size = 4

    def __init__(self, change):
        self.change = change

    def __len__(self):
        return 8

    def streamed(self):
        return self

    def training(self):
        return self.read(range(8))

    def held_out(self, count, generator):
        return self.read(range(count))

    def read(self, rows):
        return Samples(INPUTS[[row % 6 for row in rows]] + self.change())


def test_a_streamed_data_set_that_reads_other_samples_each_time_is_refused():
    class Sorted(Streamed):
        def read(self, rows):
            return super().read(sorted(rows))

    for data in (Streamed(itertools.count().__next__), Sorted(lambda: 0)):
        with pytest.raises(DataError, match=re.escape(".read(rows) gives other samples for the same rows")):
            hidden_state.check_source(data, data.spec, 4)
    hidden_state.check_source(Streamed(lambda: 0), Streamed.spec, 4)


def test_codes_beyond_their_range_are_refused():
    class Wide:
        spec = LatentSpec(noise=1, continuous=1)

        def draw(self, count, generator):
            codes = Codes(torch.zeros(count, 0, dtype=torch.int64), 3 * torch.rand(count, 1, generator=generator))
            return Latent(torch.randn(count, 1, generator=generator), None, codes)

    with pytest.raises(PartError, match=r"draws continuous codes from .* to 2\.\d+, expected them in \[-1, 1\]"):
        hidden_state.check_sampler(Wide(), 64, torch.device("cpu"))
