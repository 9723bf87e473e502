"""The watch only looks: real recipes reach the same weights with it and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from ganforge.session.run_plan import Options
from ganforge.session.training_run import run

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcgan_digits", "cgan_moons", "infogan_moons"])
def test_a_run_that_is_watched_is_bit_for_bit_the_one_that_is_not(name, tmp_path, console):
    def tensors(*, on: bool):
        changes = (
            "train.iterations=12", "train.batch_size=16", "metric=[]", 'tracking.mode="off"', "pictures.final_figures=false",
            "pictures.report=false", f"health.enabled={str(on).lower()}", "health.every=1", "health.samples=64",
        )  # fmt: skip
        result = run(
            Options(ROOT / "recipes" / f"{name}.toml", overrides=changes, runs_dir=tmp_path / str(on), plain=True), console
        )
        assert (result.health["verdict"] == "not monitored") == (not on)
        (folder,) = (result.folder / "checkpoints").glob("*12")
        return {f"{path.name}/{key}": value for path in folder.glob("*.safetensors") for key, value in load_file(path).items()}

    watched, plain = tensors(on=True), tensors(on=False)
    assert watched.keys() == plain.keys()
    assert [key for key, value in watched.items() if not value.equal(plain[key])] == []
