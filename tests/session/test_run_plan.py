"""What is settled before the first iteration: the number of threads, which follows from the recipe."""

from pathlib import Path

import pytest
import torch

from ganforge.session.run_plan import Options, assemble, prepare

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
    ],
)
def test_small_networks_without_convolutions_get_one_thread(threads, name, overrides, wanted):
    assert threads(name, *overrides) == wanted


def test_the_environment_has_the_last_word(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads("maxout_digits") == 2
