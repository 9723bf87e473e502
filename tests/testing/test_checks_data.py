"""Each check of a sampler or data set passes on a sound one and fails on the fault that is planted for it."""

import contextlib
import socket
from dataclasses import replace

import pytest
import torch

from ganforge.core.params import Params
from ganforge.core.records import Codes, Latent, Samples
from ganforge.core.specs import DataSpec, GaussianMixture, LatentSpec
from ganforge.registry.component import Kind
from ganforge.testing import CheckState
from ganforge.testing.component_case import require_random_state_unchanged
from ganforge.testing.conformance import all_checks

LATENT = LatentSpec(noise=3, classes=2, categorical=(2, 4), continuous=1)


class Sampler:
    """Draws what it says, and the base of all faulty ones."""

    spec = LATENT

    def draw(self, count, generator):
        categorical = torch.stack([torch.randint(values, (count,), generator=generator) for values in (2, 4)], dim=1)
        codes = Codes(categorical, torch.rand(count, 1, generator=generator) * 2 - 1)
        return Latent(torch.randn(count, 3, generator=generator), torch.randint(2, (count,), generator=generator), codes)


def drawing(change):
    return type(
        "Faulty", (Sampler,), {"draw": lambda self, count, generator: change(Sampler.draw(self, count, generator), generator)}
    )


def recoded(**parts):
    return drawing(
        lambda latent, _: replace(latent, codes=replace(latent.codes, **{name: part(latent.codes) for name, part in parts.items()}))
    )


def tell(params, data):
    return LATENT


SAMPLERS = {
    "S01 width": (
        "S01",
        drawing(lambda latent, _: replace(latent, noise=latent.noise[:, :2])),
        "noise is (1, 2), but the spec says (1, 3)",
    ),
    "S01 not finite": (
        "S01",
        drawing(lambda latent, _: replace(latent, noise=latent.noise / 0)),
        "the noise contains values that are not finite",
    ),
    "S01 no labels": (
        "S01",
        drawing(lambda latent, _: replace(latent, labels=None)),
        "labels: the spec says 2 classes, but there are none",
    ),
    "S01 label type": (
        "S01",
        drawing(lambda latent, _: replace(latent, labels=latent.labels.int())),
        "labels are torch.int32, not int64",
    ),
    "S01 label range": ("S01", drawing(lambda latent, _: replace(latent, labels=latent.labels + 5)), "the spec says 2 classes"),
    "S01 no codes": ("S01", drawing(lambda latent, _: replace(latent, codes=None)), "codes are not drawn, the spec says otherwise"),
    "S01 code width": (
        "S01",
        recoded(categorical=lambda codes: codes.categorical[:, :1]),
        "codes are ((1, 1), (1, 1)), the spec says",
    ),
    "S01 code range": ("S01", recoded(categorical=lambda codes: codes.categorical + 1), "categorical code 0 run from"),
    "S01 continuous": ("S01", recoded(continuous=lambda codes: codes.continuous * 9), "continuous codes are outside [-1, 1]"),
    "S01 type": ("S01", drawing(lambda latent, _: latent.noise), "draw returns a Tensor, not a Latent"),
    "P11 no sampler": ("P11", dict, "the factory returns a dict without spec, draw"),
    "P11 no spec": ("P11", type("Faulty", (Sampler,), {"spec": {}}), "its spec is a dict, not a LatentSpec"),
    "S02 stream": (
        "S02",
        drawing(lambda latent, _: replace(latent, noise=torch.randn(len(latent), 3))),
        "drawing changed the global random state of torch",
    ),
    "S02 fresh stream": (
        "S02",
        drawing(lambda latent, _: replace(latent, noise=torch.randn(len(latent), 3, generator=fresh()))),
        "two draws from equal generators differ",
    ),
    "S02 fixed": (
        "S02",
        drawing(lambda latent, _: Sampler().draw(len(latent), torch.Generator().manual_seed(0))),
        "different generators are equal",
    ),
    "S04 moments": (
        "S04",
        type("Faulty", (Sampler,), {"noise_moments": (1.0, 1.0)}),
        "but noise_moments is 1 and 1",
    ),
    "S04 bounds": (
        "S04",
        type("Faulty", (Sampler,), {"noise_bounds": (-1.0, 1.0)}),
        "noise_bounds is -1 to 1",
    ),
    "S04 batch": (
        "S04",
        drawing(lambda latent, _: replace(latent, noise=latent.noise * len(latent))),
        "large draws have the noise mean",
    ),
    "S04 still": (
        "S04",
        drawing(lambda latent, _: replace(latent, noise=latent.noise * torch.tensor([1, 1, 0]))),
        "a noise dimension is constant",
    ),
    "S04 label": ("S04", drawing(lambda latent, _: replace(latent, labels=latent.labels * 0)), "class 1 is never drawn"),
    "S04 code": (
        "S04",
        recoded(categorical=lambda codes: codes.categorical.clamp_max(2)),
        "value of categorical code 1 3 is never drawn",
    ),
    "S04 continuous": ("S04", recoded(continuous=lambda codes: codes.continuous * 0), "constant continuous codes: 0"),
    "S03": ("S03", type("Faulty", (Sampler,), {"spec": replace(LATENT, noise=9)}), "the function returns LatentSpec(noise=3"),
}


def fresh():
    generator = torch.Generator()
    generator.seed()
    return generator


@pytest.mark.parametrize("fault", SAMPLERS)
def test_a_planted_fault_of_a_sampler_is_found(judged, fault):
    check, sampler, message = SAMPLERS[fault]

    outcome = judged(check, Kind.SAMPLER, lambda params, context: sampler(), spec=tell)

    assert outcome.state is CheckState.FAILED
    assert message in outcome.message


@pytest.mark.parametrize("check", ["S01", "S02", "S03", "S04"])
def test_a_sound_sampler_passes(judged, check):
    assert judged(check, Kind.SAMPLER, lambda params, context: Sampler(), spec=tell).state is CheckState.PASSED


def test_a_sampler_without_a_spec_function_is_found(judged):
    outcome = judged("S03", Kind.SAMPLER, lambda params, context: Sampler())

    assert "it has no spec function" in outcome.message


DATA = DataSpec(shape=(2,), classes=2, class_shares=(0.25, 0.75), value_range=(-1.0, 1.0))


class Dataset:
    """Holds what it says, and the base of all faulty ones."""

    spec = DATA

    def __init__(self, context):
        self.context = context
        stream = torch.Generator().manual_seed(context.seed)
        self.samples = Samples(torch.rand(80, 2, generator=stream) * 2 - 1, (torch.arange(80) % 4 > 0).long())

    def training(self):
        return self.samples

    def held_out(self, count, generator):
        chosen = torch.randint(len(self.samples), (count,), generator=generator)
        return Samples(self.samples.values[chosen], self.samples.labels[chosen])


def holding(**methods):
    return type("Faulty", (Dataset,), methods)


def changed(**parts):
    return holding(training=lambda self: replace(self.samples, **{name: part(self.samples) for name, part in parts.items()}))


def shuffled(self):
    order = torch.randperm(80, generator=fresh())
    return Samples(self.samples.values[order], self.samples.labels[order])


def downloading(self):
    socket.create_connection(("127.0.0.1", 9), timeout=1)
    return self.samples


class Unseeded(Dataset):
    def __init__(self, context):
        super().__init__(context)
        self.samples = Samples(torch.rand(80, 2, generator=fresh()) * 2 - 1, self.samples.labels)


class Phoning(Dataset):
    """Tries the network, and goes on without it."""

    def training(self):
        with contextlib.suppress(Exception):
            socket.getaddrinfo("data.example.org", 443)
        return self.samples


DENSE = DataSpec(shape=(2,), density=GaussianMixture(means=((-1.0, 0.0), (1.0, 0.0)), std=0.5))


class Dense(Dataset):
    spec = DENSE

    def __init__(self, context):
        super().__init__(context)
        stream = torch.Generator().manual_seed(context.seed)
        means = torch.tensor(DENSE.density.means)[torch.arange(80) % 2]
        self.samples = Samples(means + 0.5 * torch.randn(80, 2, generator=stream))

    def held_out(self, count, generator):
        chosen = torch.randint(len(self.samples), (count,), generator=generator)
        return Samples(self.samples.values[chosen])


class GloballySeeded(Dataset):
    def __init__(self, context):
        super().__init__(context)
        torch.manual_seed(context.seed)


def streaming(read=list, count=80, scale=1):
    """One that streams; ``read`` says which rows it reads instead of those asked for."""

    class Source:
        def __init__(self, samples):
            self.samples = samples

        def __len__(self):
            return count

        def read(self, rows):
            rows = read(rows)
            return Samples(scale * self.samples.values[rows], self.samples.labels[rows])

    return holding(streamed=lambda self: Source(self.samples))


DATASETS = {
    "T01 shape": (
        "T01",
        changed(values=lambda samples: samples.values[:, :1]),
        "have shape (80, 1), expected ('n', 2)",
    ),
    "T01 range": ("T01", changed(values=lambda samples: samples.values * 2), "the data set declares [-1, 1]"),
    "T01 not finite": (
        "T01",
        changed(values=lambda samples: samples.values / 0),
        "row 0 and 79 more of Faulty.training() has a value that is not finite",
    ),
    "T01 no labels": ("T01", changed(labels=lambda samples: None), "has no labels, but the data set declares 2 classes"),
    "T01 class": (
        "T01",
        changed(labels=lambda samples: samples.labels + 1),
        "go from 1 to 2, but the data set declares classes 0 to 1",
    ),
    "T01 shares": (
        "T01",
        changed(labels=lambda samples: 1 - samples.labels),
        "class shares are [0.75, 0.25], the spec says [0.25, 0.75]",
    ),
    "T01 empty": ("T01", changed(values=lambda samples: samples.values[:0]), "have shape (0, 2)"),
    "T01 held out": (
        "T01",
        holding(held_out=lambda self, count, generator: self.samples),
        "held_out(1) have shape (80, 2), expected (1, 2)",
    ),
    "T01 type": ("T01", holding(training=lambda self: self.samples.values), "returned a Tensor, expected Samples"),
    "P11 no data set": ("P11", lambda context: [], "the factory returns a list without spec, training, held_out"),
    "P11 no spec": ("P11", holding(spec=(2,)), "its spec is a tuple, not a DataSpec"),
    "T02 order": ("T02", holding(training=shuffled), "training() returns another order when called again"),
    "T02 seed": ("T02", Unseeded, "two data sets built with the same seed differ"),
    "T02 held out": (
        "T02",
        holding(held_out=lambda self, count, generator: Dataset.held_out(self, count, fresh())),
        "held_out() returns other samples for an equal generator",
    ),
    "T02 stream": ("T02", GloballySeeded, "building and reading the data changed the global random state of torch"),
    "T03": ("T03", holding(spec=replace(DATA, classes=3)), "the function returns DataSpec(shape=(2,), classes=2"),
    "T04 swallowed": ("T04", Phoning, "it accesses the network (data.example.org)"),
    "T05 mean": (
        "T05",
        type("Faulty", (Dense,), {"training": lambda self: Samples(self.samples.values + 0.5)}),
        "the training samples have mean",
    ),
    "T05 variance": (
        "T05",
        type("Faulty", (Dense,), {"training": lambda self: Samples(self.samples.values * 2)}),
        "the density has [0.0, 0.0] and [1.25, 0.25]",
    ),
    "T04": ("T04", holding(training=downloading), "it accesses the network (127.0.0.1)"),
    "T06 order": ("T06", streaming(read=lambda rows: sorted(rows)), "returns rows in another order than requested"),
    "T06 again": (
        "T06",
        streaming(read=lambda rows: torch.randint(80, (len(rows),), generator=fresh()).tolist()),
        "returns other samples for the same rows",
    ),
    "T06 count": ("T06", streaming(read=lambda rows: list(rows)[:2]), "have shape (2, 2), expected (4, 2)"),
    "T06 others": (
        "T06",
        streaming(read=lambda rows: [79 - row for row in rows]),
        "streamed() and training() have different samples",
    ),
    "T06 fewer": ("T06", streaming(count=70), "streamed() has 70 samples, training() returns 80"),
    "T06 no source": ("T06", holding(streamed=lambda self: [1]), "streamed() returns a list without __len__ and read"),
    "T06 range": ("T06", streaming(scale=3), "the values of Source.read(rows) go from"),
}


def tell_data(params):
    return DATA


@pytest.mark.parametrize("fault", DATASETS)
def test_a_planted_fault_of_a_data_set_is_found(judged, fault):
    check, dataset, message = DATASETS[fault]

    outcome = judged(check, Kind.DATASET, lambda params, context: dataset(context), spec=tell_data)

    assert outcome.state is CheckState.FAILED, outcome
    assert message in outcome.message


def test_a_global_seed_is_seen_also_where_the_stream_already_stood_at_it(judged):
    torch.manual_seed(0)  # where the kit's build would leave it

    outcome = judged("T02", Kind.DATASET, lambda params, context: GloballySeeded(context), spec=tell_data)

    assert outcome.state is CheckState.FAILED, outcome


def test_checking_gives_the_global_streams_back():
    torch.manual_seed(7)
    before = torch.get_rng_state()

    with require_random_state_unchanged("nothing"):
        pass

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("check", ["T01", "T02", "T03", "T04"])
def test_a_sound_data_set_passes(judged, check):
    outcome = judged(check, Kind.DATASET, lambda params, context: Dataset(context), spec=tell_data)

    assert outcome.state is CheckState.PASSED, outcome


def test_a_known_density_that_is_true_passes(judged):
    outcome = judged("T05", Kind.DATASET, lambda params, context: Dense(context))

    assert outcome.state is CheckState.PASSED, outcome


def test_a_sound_data_set_that_streams_passes(judged):
    for check in ("T01", "T02", "T04", "T06"):
        outcome = judged(check, Kind.DATASET, lambda params, context: streaming()(context))
        assert outcome.state is CheckState.PASSED, outcome


def test_one_that_holds_everything_has_nothing_to_stream(judged):
    assert judged("T06", Kind.DATASET, lambda params, context: Dataset(context)).state is CheckState.SKIPPED


class Download(Params):
    download: bool = False


def test_a_download_that_is_asked_for_is_no_fault(judged):
    asked = judged("T04", Kind.DATASET, lambda params, context: Phoning(context), params=Download, check_params={"download": True})
    unasked = judged("T04", Kind.DATASET, lambda params, context: Phoning(context), params=Download)

    assert (asked.state, asked.message) == (CheckState.SKIPPED, "its check_params request a download")
    assert unasked.state is CheckState.FAILED


def test_a_local_socket_is_no_network(judged, tmp_path):
    def build(params, context):
        with socket.socket(socket.AF_UNIX) as local, contextlib.suppress(OSError):
            local.connect(str(tmp_path / "missing"))
        return Dataset(context)

    assert judged("T04", Kind.DATASET, build).state is CheckState.PASSED


def test_a_data_set_whose_sizes_only_its_files_know_needs_no_spec_function(judged):
    assert judged("T03", Kind.DATASET, lambda params, context: Dataset(context)).state is CheckState.SKIPPED


def test_every_check_has_a_planted_fault():
    planted = {check for check, *_ in (*SAMPLERS.values(), *DATASETS.values())}

    assert planted >= {one.id for one in all_checks() if one.id[0] in "ST"}
