"""What is settled before the first iteration: the number of threads, which follows from the recipe."""

from pathlib import Path

import pytest
import torch

from ganforge.recipe.toml_writer import fingerprint
from ganforge.session.run_plan import Options, assemble, prepare
from ganforge.session.sweep import _command

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"


@pytest.fixture
def threads(monkeypatch):
    """The threads after a recipe was assembled where there were two before."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")

    def threads(name, *overrides):
        torch.set_num_threads(2)
        assemble(prepare(Options(SMOKE / f"{name}.toml", overrides)), "cpu")
        return torch.get_num_threads()

    yield threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "overrides", "wanted"),
    [
        ("vanilla_moons", [], 1),
        ("maxout_digits", [], 1),
        ("vanilla_moons", ["generator.params.hidden=[1000,1000]"], 2),
        ("maxout_digits", ["generator.params.hidden=[1000,1000]"], 2),
        ("dcgan_digits", [], 2),
        ("dcgan_digits", ["train.threads=1"], 1),
        ("vanilla_moons", ["train.threads=2"], 2),
    ],
)
def test_small_networks_without_convolutions_get_one_thread(threads, name, overrides, wanted):
    assert threads(name, *overrides) == wanted


def test_the_environment_has_the_last_word(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads("maxout_digits") == 2


def test_parallel_jobs_of_a_sweep_compute_on_one_thread_each(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")

    def threads(jobs, *overrides):
        options = Options(SMOKE / "dcgan_digits.toml", overrides)
        words = _command(options, prepare(options), 0, "parent", jobs)
        return [word for word in words if word.startswith("train.threads")]

    assert threads(1) == []
    assert threads(2) == ["train.threads=1"]
    assert threads(2, "train.threads=3") == ["train.threads=3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads(2) == []


def test_threads_are_of_the_computer_and_not_of_the_experiment():
    plans = [prepare(Options(SMOKE / "vanilla_moons.toml", overrides)) for overrides in ((), ("train.threads=2",))]
    one, other = (fingerprint(plan.blueprint.resolved) for plan in plans)
    assert one == other
