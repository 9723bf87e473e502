"""What the benchmarks make of what they measured; the measuring itself is theirs to run."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_numbers_in_the_explanations_are_what_their_script_prints(mnist_files, data_folder, monkeypatch):
    monkeypatch.setenv("GANFORGE_DATA", str(data_folder))
    spec = importlib.util.spec_from_file_location("benchmark_metrics", ROOT / "benchmarks" / "metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "explanation" / "metrics.md").read_text(encoding="utf-8")
    real, repeated = (line.split(" | ") for line in module.measure_neighbours().splitlines()[2:])
    assert "precision 0.94, recall 0.95, density 0.99, coverage 0.967 and a 1-NN\naccuracy of 0.497" in page
    assert [float(value.strip("| ")) for value in real[1:]] == pytest.approx([0.94, 0.95, 0.99, 0.967, 0.497], abs=0.006)
    assert [float(repeated[place]) for place in (1, 3, 4)] == pytest.approx([1, 0.74, 0.02], abs=0.006)


@pytest.mark.slow
def test_what_repeats_do_to_distances_is_what_their_script_prints():
    spec = importlib.util.spec_from_file_location("benchmark_metrics", ROOT / "benchmarks" / "metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "explanation" / "metrics.md").read_text(encoding="utf-8")
    found, written = (
        [[float(cell) for cell in line.strip("| ").split(" | ")[1:]] for line in text.splitlines() if line.startswith("| `")]
        for text in (
            module.measure_repeats(),
            page[page.index("| mean of 10 |") : page.index("There is no error or warning for this")],
        )
    )
    assert found == [pytest.approx(row, rel=0.02) for row in written]
    assert all(repeated > 1.5 * fresh for repeated, fresh in found)


@pytest.fixture(scope="module")
def mnist():
    spec = importlib.util.spec_from_file_location("benchmark_mnist", ROOT / "benchmarks" / "mnist.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


ONE = {"run": "`ganforge run a.toml`", "iterations": "20", "Parzen": "1.0 ± 0.1 (σ 0.100)"}
OTHER = {"run": "`ganforge run b.toml`", "iterations": "30", "code is digit": "50.00%"}


@pytest.mark.parametrize("page", ["", "# Results\n\n## ring\n\nold\n", "# Results\n\n## Not measured\n\n- much\n"])
def test_rows_are_gathered_and_renewed_on_any_page(mnist, page):
    for rows in ([ONE], [OTHER], [{**ONE, "iterations": "40"}]):
        page = mnist.replaced(page, mnist.section(mnist.joined(mnist.earlier(page), rows), right=0.99))

    assert page.count("## MNIST") == 1
    assert page.count("Not measured") == page.count("- much")
    assert page.index("## MNIST") < (page.find("## Not measured") if "- much" in page else len(page))
    found = {row["run"]: row for row in mnist.earlier(page)}
    assert found[ONE["run"]] == {**ONE, "iterations": "40", "code is digit": "–"}
    assert found[OTHER["run"]] == {"run": OTHER["run"], "iterations": "30", "Parzen": "–", "code is digit": "50.00%"}


def test_modes_and_their_divergence_are_counted_by_the_channels_classes(mnist):
    class Brightness(nn.Module):
        """Takes the tenths of the mean brightness for the digit."""

        def forward(self, values):
            return nn.functional.one_hot((values.mean((1, 2, 3)) * 10).round().long(), 10).float()

    triples = torch.tensor([[1, 2, 3], [1, 2, 3], [9, 0, 0], [9, 0, 0]])
    values = (triples / 10)[:, :, None, None].expand(4, 3, 28, 28)
    assert mnist.modes(values, Brightness()) == "2 of 1,000, KL 6.215"  # log(1000 / 2)


def test_commands_are_reported_without_what_says_only_where_files_go(mnist):
    command = "ganforge run r.toml --set a=1 --set 'tracking.mode=\"off\"' --runs-dir /tmp/x --set pictures.gif=false --device cpu"
    assert mnist._typed({"command": command}) == "ganforge run r.toml --set a=1"


def test_pixels_of_any_range_become_those_of_the_protocol(mnist):
    class Made:
        data = DataSpec((1, 28, 28), value_range=(-1.0, 1.0))

    assert mnist._unit(torch.tensor([-1.0, 0.0, 1.0]), Made()).tolist() == [0.0, 0.5, 1.0]


def test_the_bound_on_information_is_the_codes_entropy_minus_the_readers_cost_at_the_end(mnist, tmp_path):
    class Made:
        latent = LatentSpec(4, categorical=(10,))

    folder = RunFolder(tmp_path)
    with JournalWriter(folder.journal) as journal:
        for iteration in range(150):
            journal.metrics(iteration + 1, {"loss/generator/categorical": 2.0 if iteration < 50 else 0.3})

    assert dict(mnist.information(folder, Made())) == {"information": "2.00 of 2.30"}
    assert dict(mnist.information(RunFolder(tmp_path / "none"), Made())) == {}


@pytest.fixture(scope="module")
def health():
    spec = importlib.util.spec_from_file_location("benchmark_health", ROOT / "benchmarks" / "health.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def health_row(case, seed, **found):
    return {"case": case, "seed": seed, "iterations": 1000, "done": 200, "outcome": "finished", "fail": {}, "warn": {}, **found}


def test_what_the_watch_named_is_counted_and_what_it_named_wrongly_is_reported(health):
    rows = [
        health_row("NaN", 0, fail={"non-finite values": 2}),
        health_row("NaN", 1, fail={"mode collapse": 100}),
        health_row("grid, as shipped", 0, warn={"oscillation": 300}),
        health_row("grid, as shipped", 1, fail={"duplicates": 300}),
    ]
    text = health.table(rows)
    assert (
        "| NaN | vanilla_moons, `generator.optimizer.lr=1e30` | non-finite values | 1 of 2 | 0.2 to 0.2 | mode collapse 1 |" in text
    )
    assert "| grid, as shipped | 1 of 2 (duplicates 1) | oscillation 1 |" in text


def test_a_trouble_with_the_wrong_key_does_not_count_as_named(health):
    name = "generator learning rate 10"
    rows = [health_row(name, seed, fail={"divergence": 100}) for seed in range(3)]
    rows[0]["keys"] = {"divergence": "generator.optimizer.lr"}
    rows[1]["keys"] = {"divergence": "discriminator.optimizer.lr"}
    assert "| divergence or exploding gradients | 2 of 3 |" in health.table(rows), "the third was measured before keys were"


def test_the_section_of_the_watch_is_begun_once_and_then_renewed(health):
    page = health.written("# Results\n", "first")
    again = health.written(page, "second")
    assert again.count("## Health") == 1
    assert "second" in again
    assert "first" not in again


def test_every_planted_failure_must_be_named_by_a_trouble_that_there_is(health):
    from ganforge.health.checks import REMEDIES

    assert all((ROOT / "recipes" / case.recipe).exists() for case in health.CASES)
    assert {name for case in health.CASES for name in case.right} <= REMEDIES.keys()
