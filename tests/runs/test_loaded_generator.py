"""A generator from its folder alone, whatever became of the rest of what it was trained with."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import ganforge
from ganforge.core.errors import IncompatiblePartsError, PluginError, RecipeError, RunFolderError, UsageError
from ganforge.core.records import Codes, Latent
from ganforge.registry.selection import command_line_selection
from ganforge.session.training_run import Options, run
from ganforge.testing import fake_plugin

LOSS = """
    from ganforge.plugin import hookimpl

    @hookimpl
    def ganforge_register_losses(register):
        register("sharper", "acme_gan_loss:build", summary="Another one.")
"""
BUILD = """
from ganforge.builtin.losses import build_non_saturating as build
"""


@pytest.fixture
def trained(tmp_path, console, monkeypatch, bundle):
    """A run in ``runs`` below the working directory, trained with the loss of a plugin that has nothing else; and the plugin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    plugin = fake_plugin(tmp_path / "site", source=LOSS)
    (tmp_path / "site" / "acme_gan_loss.py").write_text(BUILD)
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        """
        [train]
        iterations = 2
        batch_size = 16
        [dataset]
        use = "moons"
        params = { samples = 200, noise = 0.05 }
        standardise = true
        [sampler]
        use = "labelled"
        params = { size = 4 }
        [generator]
        use = "cgan-mlp"
        params = { hidden = [8] }
        [discriminator]
        use = "cgan-mlp"
        params = { hidden = [8] }
        [[loss]]
        use = "acme-gan/sharper"
        [requires]
        plugins = ["acme-gan"]
        [tracking]
        mode = "off"
    """.replace(", labelled = true", "")
    )
    return run(Options(recipe), console), plugin


def uninstall(plugin):
    for file in plugin.info.iterdir():
        file.unlink()
    plugin.info.rmdir()
    (plugin.folder / f"{plugin.module}.py").unlink()
    (plugin.folder / f"{plugin.module}_loss.py").unlink()


def test_a_run_is_loaded_by_name_id_and_folder(trained, tmp_path):
    result, _ = trained
    drawn = ganforge.load(result.folder).sample(5, seed=3)["values"]

    for called in ("small", result.folder.name, result.folder.name[-8:], str(result.folder)):
        assert (ganforge.load(called).sample(5, seed=3)["values"] == drawn).all()
    assert (ganforge.load(result.folder / "model").sample(5, seed=3)["values"] == drawn).all()
    assert (ganforge.load("small", runs_dir=tmp_path / "runs").sample(5, seed=3)["values"] == drawn).all()
    with pytest.raises(UsageError, match=r"no run matches .smal1.[\s\S]*did you mean .small."):
        ganforge.load("smal1")
    with pytest.raises(UsageError, match="no run matches 'small'"):
        ganforge.load("small", runs_dir=tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"is not the folder of a run: it has no run\.json"):
        ganforge.load(tmp_path / "site")
    with pytest.raises(IncompatiblePartsError, match="unknown device 'abacus'"):
        ganforge.load("small", device="abacus")


@pytest.mark.parametrize("way", ["uninstalled", *(pytest.param(way, marks=pytest.mark.slow) for way in ("switched off", "broken"))])
def test_a_loss_that_is_gone_keeps_no_generator_from_drawing(trained, way):
    result, plugin = trained
    before = ganforge.load("small").sample(5, seed=3)["values"]

    sys.modules.pop("acme_gan", None)
    if way == "uninstalled":
        uninstall(plugin)
    if way == "broken":
        (plugin.folder / f"{plugin.module}.py").write_text("raise RuntimeError('no more')\n")
    with command_line_selection(disabled=["acme-gan"] if way == "switched off" else [], only=None, local=[]):
        assert (ganforge.load("small").sample(5, seed=3)["values"] == before).all()
        assert (ganforge.load(result.folder / "model").sample(5, seed=3)["values"] == before).all()


def test_words_of_training_that_are_not_known_any_more_are_passed_over(bundle):
    folder = bundle("vanilla_moons")
    recipe = folder / "resolved.toml"
    recipe.write_text(recipe.read_text().replace("[train]\n", "[train]\nsecret_of_2031 = true\n"))

    assert ganforge.load(folder).sample(2)["values"].shape == (2, 2)


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ('"ganforge-vanilla/mlp@1"\n\n[generator.params]', '"acme-gan/mlp@1"\n\n[generator.params]', "acme-gan"),
        ("[sampler.params]\n", "[sampler.params]\nwidth = 3\n", "sampler.params.width"),
        ('[sampler]\nuse = "ganforge/normal@1"', "[sampler]", "sampler"),
        ("[generator.optimizer]", "[generator.optimiser]", None),
    ],
)
def test_only_what_is_wrong_with_generator_and_sampler_is_reported(bundle, old, new, messages):
    folder = bundle("vanilla_moons")
    text = (folder / "resolved.toml").read_text()
    assert old in text
    (folder / "resolved.toml").write_text(text.replace(old, new, 1))

    if messages is None:
        ganforge.load(folder)
        return
    with pytest.raises(RecipeError) as caught:
        ganforge.load(folder)
    (problem,) = caught.value.problems
    assert messages in str(problem)


def test_a_generator_whose_plugin_is_broken_is_reported(bundle, monkeypatch, tmp_path):
    folder = bundle("vanilla_moons")
    monkeypatch.syspath_prepend(tmp_path / "site")
    fake_plugin(tmp_path / "site", source="raise RuntimeError('no more')\n")
    text = (folder / "resolved.toml").read_text()
    (folder / "resolved.toml").write_text(text.replace('use = "ganforge-vanilla/mlp@1"', 'use = "acme-gan/mlp@1"', 1))
    with pytest.raises(PluginError, match="no more"):
        ganforge.load(folder)


def test_a_folder_without_weights_is_reported(trained):
    result, _ = trained
    for checkpoint in (result.folder / "checkpoints").iterdir():
        (checkpoint / "MANIFEST.json").unlink()
    with pytest.raises(RunFolderError):
        ganforge.load("small")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("specs.json", "{"),
        ("specs.json", "{}"),
        ("specs.json", "[]"),
        ("specs.json", '{"data": {}, "latent": {}}'),
        ("lock.json", "{}"),
        ("lock.json", '{"components": [1]}'),
        ("generator.safetensors", None),
        ("generator.safetensors", ""),
    ],
)
def test_a_damaged_file_is_named(bundle, file, content):
    damaged = bundle("vanilla_moons") / file
    damaged.write_bytes(damaged.read_bytes()[:300] if content is None else content.encode())

    with pytest.raises(RunFolderError, match="is damaged: ") as caught:
        ganforge.load(damaged.parent)
    assert str(damaged) in caught.value.message


def test_it_says_what_it_is(bundle):
    assert repr(ganforge.load(bundle("infogan_moons"))) == (
        "<generator of infogan_moons: iteration 20; values (2,); noise 3; code 0: 0 to 1, code 1: -1 to 1; on cpu>"
    )
    conditional = ganforge.load(bundle("cgan_moons"))
    assert "labels upper, lower; on cpu" in repr(conditional)
    assert conditional.labels == ("upper", "lower")


def test_latents_of_ones_own_become_samples_in_the_datas_units(bundle):
    generator = ganforge.load(bundle("infogan_moons"))
    latent = Latent(torch.zeros(2, 3), codes=Codes(torch.tensor([[0], [1]]), torch.zeros(2, 1)))

    samples = generator(latent)

    seen = generator.network(latent)
    torch.testing.assert_close(samples.values, seen * torch.tensor([3.0, 0.25]) + torch.tensor([0.5, 2.0]))
    assert not samples.values.requires_grad
    drawn = generator.draw(7, seed=4)
    assert (generator(drawn.latent).values == drawn.values).all()
    np.testing.assert_array_equal(generator.sample(7, seed=4)["noise"], drawn.latent.noise)


@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ("vanilla_moons", {}),
        ("cgan_digits", {}),
        ("cgan_digits", {"label": 3}),
        ("infogan_moons", {"code": [None, 0.5]}),
    ],
)
def test_fewer_samples_of_a_seed_are_the_first_ones_of_more(bundle, recipe, given):
    generator = ganforge.load(bundle(recipe))
    more = generator.sample(130, seed=1, **given)

    for count in (1, 5, 64, 65):
        fewer = generator.sample(count, seed=1, **given)
        assert fewer.keys() == more.keys()
        for name, values in fewer.items():
            np.testing.assert_array_equal(values, more[name][:count], err_msg=name)
        latent = generator.draw_latents(count, seed=1, **given)
        np.testing.assert_array_equal(latent.noise, more["noise"][:count])
        np.testing.assert_array_equal(generator(latent).values, more["values"][:count])
    assert len(np.unique(more["noise"], axis=0)) == 130
    assert not (generator.sample(5, seed=2, **given)["noise"] == more["noise"][:5]).all()


def test_random_numbers_that_a_generator_draws_itself_follow_the_seed(bundle):
    loaded = ganforge.load(bundle("vanilla_moons"))

    class Noisy(torch.nn.Module):
        def forward(self, latent):
            return loaded.network(latent) + torch.rand(len(latent), 2)

    generator = replace(loaded, network=Noisy())
    state = torch.get_rng_state()

    more = generator.sample(100, seed=1)["values"]
    assert (generator.sample(5, seed=1)["values"] == more[:5]).all()
    assert not (generator.sample(100, seed=2)["values"] == more).any()
    assert (torch.get_rng_state() == state).all()


@pytest.mark.parametrize("use", [lambda one: one(one.draw_latents(3)), lambda one: one.draw(3), lambda one: one.sample(3)])
def test_values_that_are_not_finite_are_refused_and_become_no_numbers(bundle, use):
    generator = ganforge.load(bundle("vanilla_moons"))
    with torch.no_grad():
        next(generator.network.parameters()).fill_(torch.nan)
    with pytest.raises(PluginError, match=r"generator.*returns values that are not finite for 3 of 3 latents, first for number 0"):
        use(generator)
