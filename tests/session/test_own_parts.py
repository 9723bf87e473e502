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
import torch
from torch import nn
from ganforge.plugin import DataSpec, MetricInfo, NoParams, Samples, hookimpl


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


class WithNan(Data):
    def training(self):
        values = self.values.clone()
        values[7, 0] = float("nan")
        return Samples(values, self.labels)


class Short(Data):
    def training(self):
        return Samples(self.values, self.labels[:-1])


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
    _all(register, Assigned, OldWeightNorm, Lazy, Tied)


@hookimpl
def ganforge_register_datasets(register):
    _all(register, Float64, WithNan, Short)


@hookimpl
def ganforge_register_metrics(register):
    _all(register, Late)
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
    assert torch.equal(state["ema/shift"], state["generator/shift"])

    shutil.rmtree(folder.checkpoints / "00000020")
    code, messages, _ = train(resume=folder)
    assert code == 0, messages
    resumed = tensors(folder)
    assert resumed.keys() == state.keys()
    assert [name for name, value in state.items() if not torch.equal(resumed[name], value)] == []


@pytest.mark.parametrize("setting", ['generator={use="lazy"}', 'generator={use="tied"}', 'dataset={use="float64"}'])
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
