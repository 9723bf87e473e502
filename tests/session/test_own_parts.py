"""Parts as users write them, each with one habit that is common: a run converts, refuses or survives what they do, by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from ganforge.cli.app import main
from ganforge.storage import checkpoints, journal, value_info
from ganforge.storage.run_folder import RunFolder

PLUGIN = '''
import numpy as np
import torch
from torch import nn
from ganforge.plugin import DataSpec, Latent, LatentSpec, LossTerms, MetricInfo, NoParams, Samples, TermInfo, hookimpl


class Assigned(nn.Module):
    """Keeps a running statistic by assignment."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(context.latent.noise, context.data.size)
        self.register_buffer("shift", torch.zeros(()))

    def forward(self, latent):
        if self.training:
            self.shift = self.shift * 0.9 + 0.5
        return self.layer(latent.noise) + self.shift


class OldWeightNorm(nn.Module):
    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.utils.weight_norm(nn.Linear(context.latent.noise, context.data.size))

    def forward(self, latent):
        return self.layer(latent.noise)


class Lazy(nn.Module):
    def __init__(self, params, context):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(context.data.size))

    def forward(self, latent):
        return self.layers(latent.noise)


class Tied(nn.Module):
    def __init__(self, params, context):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.last = nn.Linear(4, context.data.size)

    def forward(self, latent):
        return self.last(torch.relu(self.second(torch.relu(self.first(latent.noise)))))


class Plain(nn.Module):
    def __init__(self, params, context):
        super().__init__()
        self.layer, self.calls = nn.Linear(context.latent.noise, context.data.size), 0
        self.prepare()

    def prepare(self):
        pass

    def forward(self, latent):
        self.calls += 1
        return self.answer(self.layer(latent.noise))

    def answer(self, values):
        return values


class LateError(Plain):
    def answer(self, values):
        return values if self.calls < 20 else 1 / 0


class LateExit(Plain):
    def answer(self, values):
        return values if self.calls < 20 else exit(3)


class LateTuple(Plain):
    def answer(self, values):
        return values if self.calls < 20 else (values,)


class EvalError(Plain):
    def answer(self, values):
        return values if self.training else 1 / 0


class EvalNan(Plain):
    def answer(self, values):
        return values if self.training else values * float("nan")


class Growing(Plain):
    def prepare(self):
        self.register_buffer("log", torch.zeros(0))

    def answer(self, values):
        if self.training:
            self.log = torch.cat([self.log, torch.ones(1)])
        return values


class LateParameter(Plain):
    def answer(self, values):
        if not hasattr(self, "late"):
            self.late = nn.Parameter(torch.zeros(()))
        return values + self.late


class Masked(Plain):
    def prepare(self):
        self.register_buffer("mask", torch.full((2,), -torch.inf))


class Sparse(Plain):
    def prepare(self):
        self.register_buffer("graph", torch.eye(2).to_sparse())


class Itself(Plain):
    def __deepcopy__(self, memo):
        return self


class Keeping(nn.Module):
    """A loss with a running mean of the logits, and a margin that the discriminator learns."""

    second_order = False
    term_info = {"discriminator/margin": TermInfo("distance of the margin from the mean logit")}

    def __init__(self, params, context):
        super().__init__()
        self.margin = nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.zeros(()))

    def discriminator(self, turn):
        logits = turn.critic(turn.real).logits
        with torch.no_grad():
            self.mean.lerp_(logits.mean(), 0.5)
        return LossTerms({"margin": (self.margin - self.mean - 1 - turn.step.progress).square() + 0 * logits.sum()})


class LateLoss:
    second_order = False
    term_info = {"discriminator/a": TermInfo("a"), "generator/a": TermInfo("a")}
    calls = 0

    def __init__(self, params, context):
        pass

    def discriminator(self, turn):
        type(self).calls += 1
        return LossTerms({"a": (turn.critic(turn.fake).logits - turn.critic(turn.real).logits).mean()}) if self.calls < 7 else None

    def generator(self, turn):
        return LossTerms({"a": -turn.critic(turn.fake).logits.mean()})


class Labels:
    """A sampler whose labels are -1."""

    spec = LatentSpec(4, classes=2)

    def __init__(self, params, context):
        pass

    def draw(self, count, generator):
        return Latent(torch.randn(count, 4, generator=generator), torch.full((count,), -1))


class LateSampler:
    spec = LatentSpec(4)

    def __init__(self, params, context):
        self.calls = 0

    def draw(self, count, generator):
        self.calls += 1
        return Latent(torch.randn(count, 4, generator=generator)) if self.calls < 20 else 1 / 0


class Data:
    spec = DataSpec((2,), classes=2)

    def __init__(self, params, context):
        draws = torch.Generator().manual_seed(0)
        self.values, self.labels = torch.randn(300, 2, generator=draws), torch.randint(0, 2, (300,), generator=draws)

    def training(self):
        return Samples(self.values, self.labels)

    def held_out(self, count, generator):
        return self.training()[torch.randint(300, (count,), generator=generator)]


class Float64(Data):
    def training(self):
        return Samples(self.values.double(), self.labels.int())


class Restless(Data):
    """Other samples at each start."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.values = torch.from_numpy(np.random.default_rng().normal(size=(300, 2)).astype("float32"))


class WithNan(Data):
    def training(self):
        values = self.values.clone()
        values[7, 0] = float("nan")
        return Samples(values, self.labels)


class Short(Data):
    def training(self):
        return Samples(self.values, self.labels[:-1])


class Spoiling:
    value_info = {"": MetricInfo("a number", "lower")}

    def __init__(self, params, context):
        pass

    def measure(self, evaluation):
        evaluation.real.values.zero_()
        return {"": 1.0}


class Undeclared(Spoiling):
    def measure(self, evaluation):
        return {"other": 1.0}


class Worded(Spoiling):
    value_info = {"": "a number"}


class Late:
    """A metric that fails at its second measurement."""

    value_info = {"": MetricInfo("a number", "lower")}

    def __init__(self, params, context):
        self.measured = 0

    def measure(self, evaluation):
        self.measured += 1
        if self.measured > 1:
            raise ValueError("matrix is singular")
        return {"": 1.0}


def _all(register, *kinds):
    for kind in kinds:
        register(kind.__name__.lower(), kind, params=NoParams, summary="Own.")


@hookimpl
def ganforge_register_generators(register):
    _all(register, Assigned, OldWeightNorm, Lazy, Tied, LateError, LateExit, LateTuple, EvalError, EvalNan)
    _all(register, Growing, LateParameter, Masked, Itself, Sparse)


@hookimpl
def ganforge_register_losses(register):
    _all(register, LateLoss, Keeping)


@hookimpl
def ganforge_register_samplers(register):
    _all(register, Labels, LateSampler)


@hookimpl
def ganforge_register_datasets(register):
    _all(register, Float64, WithNan, Short, Restless)


@hookimpl
def ganforge_register_metrics(register):
    _all(register, Late, Spoiling, Undeclared, Worded)
'''


@pytest.fixture
def train(recipe, tmp_path, monkeypatch, capsys):
    """``train('generator={use="local/lazy"}')`` → exit code, messages and the newest run folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(PLUGIN)
    path = recipe("[checkpoints]\nevery = 10\n", iterations=20)

    def train(*settings, resume=None):
        words = [word for setting in settings for word in ("--set", setting)]
        begun = ["--resume", resume.path.name] if resume else [str(path)]
        code = main(["--plugin", "own.py", "run", *begun, "--plain", "--set", "health.enabled=false", *words])
        folders = sorted((tmp_path / "runs").glob("*/*"), key=lambda one: one.stat().st_mtime)
        return code, capsys.readouterr().err, RunFolder(folders[-1]) if folders else None

    return train


def tensors(folder):
    return checkpoints.load_newest(folder).state.tensors


def test_a_statistic_kept_by_assignment_is_averaged_saved_and_resumed(train):
    _, _, folder = train('generator={use="assigned"}')
    state = tensors(folder)
    assert state["generator/shift"] > 1
    assert torch.equal(state["ema/generator/shift"], state["generator/shift"])

    shutil.rmtree(folder.checkpoints / "00000020")
    code, messages, _ = train(resume=folder)
    assert code == 0, messages
    resumed = tensors(folder)
    assert resumed.keys() == state.keys()
    assert [name for name, value in state.items() if not torch.equal(resumed[name], value)] == []


def test_what_a_loss_keeps_is_trained_saved_and_resumed(train):
    code, messages, folder = train('loss=[{use="non-saturating"}, {use="keeping"}]')
    assert code == 0, messages
    state = tensors(folder)
    assert state["game/losses.1.margin"] > 0
    assert state["game/losses.1.mean"] != 0

    shutil.rmtree(folder.checkpoints / "00000020")
    code, messages, _ = train(resume=folder)
    assert code == 0, messages
    resumed = tensors(folder)
    assert [name for name, value in state.items() if not torch.equal(resumed[name], value)] == []


def test_data_that_are_not_the_same_when_a_run_goes_on_are_reported(train):
    _, _, folder = train('dataset={use="restless"}')
    shutil.rmtree(folder.checkpoints / "00000020")
    code, messages, _ = train(resume=folder)
    assert code == 0, messages
    assert "resumed at iteration 10; results will not be bit-identical: training data" in messages


@pytest.mark.parametrize(
    "setting",
    [
        'generator={use="lazy"}',
        pytest.param('generator={use="tied"}', marks=pytest.mark.slow),  # quick: the kit passes it
        'generator={use="masked"}',
        pytest.param('dataset={use="float64"}', marks=pytest.mark.slow),  # quick: train/test_real_samples.py
    ],
)
def test_what_torch_can_do_trains_saves_resumes_and_samples(train, setting, tmp_path):
    code, messages, folder = train(setting)
    assert code == 0, messages
    code, messages, _ = train(resume=folder)
    assert code == 0, messages
    assert main(["--plugin", "own.py", "sample", folder.path.name, "-n", "3", "--out", "a.csv"]) == 0
    assert main(["--plugin", "own.py", "export", folder.path.name, "--format", "safetensors", "--out", "bundle"]) == 0
    assert main(["--plugin", "own.py", "sample", "bundle", "-n", "3", "--out", "b.csv"]) == 0
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    ("setting", "expected", "line"),
    [
        (
            'generator={use="oldweightnorm"}',
            3,
            "generator: generator 'local/oldweightnorm' cannot be copied, which its moving average",
        ),
        ('dataset={use="withnan"}', 2, "row 7 of WithNan.training() has a value that is not finite"),
        ('dataset={use="short"}', 2, "the labels of Short.training() are torch.int64 (299,), expected integers (300,)"),
    ],
    ids=["weight norm", "nan", "short"],
)
def test_what_cannot_train_is_one_line_and_no_run(train, setting, expected, line):
    code, messages, folder = train(setting)

    assert code == expected
    assert line in messages
    assert "Traceback" not in messages
    assert folder is None


@pytest.mark.parametrize(
    "rows", [[[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, 3.0], [1.0, 4.0]]], ids=["equal rows", "one feature"]
)
def test_data_without_spread_is_named_before_it_trains_badly(train, tmp_path, rows):
    np.savez(tmp_path / "two.npz", values=np.array(rows))

    code, messages, folder = train('dataset={use="arrays", params={file="two.npz"}, standardise=true}')

    assert code == 2
    assert "feature 0 is the same in all" in messages
    assert "dataset.standardise = false" in messages
    assert folder is None


def test_a_metric_that_fails_costs_no_training_and_is_measured_when_the_run_goes_on(train):
    code, messages, folder = train('metric=[{use="late", every=10}]')

    assert code == 3
    assert "metric 'late' failed: ValueError: matrix is singular" in messages
    assert "optional = true" in messages
    assert folder.read_status().status == "failed"
    assert checkpoints.load_newest(folder).iteration == 20  # saved before it was measured

    code, messages, _ = train("metric[0].optional=true", resume=folder)
    assert code == 0, messages
    assert folder.read_status().status == "finished"
    measured = [record["iteration"] for record in journal.read_kinds(folder.journal, "eval")]
    assert measured == [10, 20]  # the new process measures what the old one could not

    code, messages, _ = train("metric[0].optional=true", resume=folder)
    assert code == 0, messages
    assert [record["iteration"] for record in journal.read_kinds(folder.journal, "eval")] == [10, 20]  # a finished run is done


def test_few_samples_behind_a_number_are_named_in_the_run_its_report_and_what_is_measured_later(train, tmp_path, capsys):
    np.savez(tmp_path / "few.npz", values=np.random.default_rng(0).normal(size=(40, 2)))
    data = 'dataset={use="arrays", params={file="few.npz"}}'
    code, messages, folder = train(data, 'metric=[{use="wasserstein"}, {use="frechet", samples=50}]')

    assert code == 0
    few, repeated = "only 4 samples, and it needs 100", "50 samples are compared with only 4 real ones, which repeat"
    assert f"metric[0]: metric 'wasserstein' is unreliable: {few}; hold out more of the data" in messages
    assert f"metric[1]: metric 'frechet' is unreliable: {repeated}; remove or change metric[1].samples, or hold out" in messages
    labels = {name: info.label for name, info in value_info.read(folder).metrics.items()}
    assert labels["wasserstein"].endswith(f"(unreliable: {few})")
    assert labels["frechet"].endswith(f"(unreliable: {repeated})")
    assert few in (folder.path / "report.html").read_text()

    capsys.readouterr()
    assert main(["evaluate", folder.path.name, "--metric", "wasserstein"]) == 0
    assert few in " ".join("".join(capsys.readouterr()).split())

    held_out = 'dataset={use="arrays", params={file="few.npz", held_out=0.5}}'  # the remedies
    code, messages, _ = train(held_out, 'metric=[{use="frechet", samples=20}]')
    assert code == 0
    assert "repeat" not in messages


@pytest.mark.parametrize(
    ("setting", "expected", "line"),
    [
        (
            'generator={use="evalerror"}',
            2,
            "generator: generator 'local/evalerror' fails: ZeroDivisionError: division by zero (own.py:",
        ),
        ('generator={use="evalnan"}', 2, "generator: generator 'local/evalnan' returns values in eval mode that are not finite"),
        ('generator={use="growing"}', 2, "changes the size of 'log' from (0,) to ("),
        ('generator={use="lateparameter"}', 2, "creates the state 'late' when it is used"),
        ('generator={use="sparse"}', 2, "has the sparse state 'graph', which checkpoints cannot contain"),
        ('generator={use="itself"}', 3, "generator: generator 'local/itself' cannot be copied, which its moving average needs"),
        ('sampler={use="labels"}', 3, "sampler: sampler 'local/labels' draws labels from -1 to -1, expected 0 to 1"),
        ('metric=[{use="worded"}]', 3, "metric[0]: metric 'local/worded' declares value_info[''] = a str, expected a MetricInfo"),
    ],
)
def test_what_would_fail_later_is_refused_before_a_run_begins(train, setting, expected, line):
    code, messages, folder = train(setting)

    assert (code, folder) == (expected, None), messages
    assert line in messages


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ('generator={use="lateerror"}', "generator: generator 'local/lateerror' fails at iteration 10: ZeroDivisionError"),
        ('generator={use="lateexit"}', "generator: generator 'local/lateexit' fails at iteration 10: it called sys.exit(3)"),
        ('generator={use="latetuple"}', "generator: generator 'local/latetuple' returns a tuple for 16 latents, expected (16, 2)"),
        ('loss=[{use="lateloss"}]', "loss[0]: loss 'local/lateloss' returns a NoneType, expected LossTerms"),
        ('sampler={use="latesampler"}', "sampler: sampler 'local/latesampler' fails at iteration"),
        ('metric=[{use="spoiling", every=10}]', "metric 'spoiling' failed: ValueError: measure changes the real samples in place"),
        ('metric=[{use="undeclared", every=10}]', "measure returned the keys ['other'], expected a mapping with the keys ['']"),
    ],
)
def test_a_part_that_fails_while_training_is_one_line_with_its_name_and_file(train, setting, line, tmp_path):
    code, messages, folder = train(setting)

    assert code == 3
    assert line in messages
    assert f"fix it in {tmp_path / 'own.py'}" in messages or "expected (16, 2)" in messages
    assert "Traceback" not in messages
    assert folder.read_status().status == "failed"
    assert "Traceback" in (folder.path / "crash.txt").read_text()
