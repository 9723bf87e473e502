"""--no-plugin, --only-plugins and --plugin hold for every command, wherever they stand, and for the processes that it starts."""

import json
import os
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.registry.selection import COMMAND_LINE
from ganforge.testing import fake_plugin

RECIPE = next(Path(__file__).parents[2].joinpath("recipes", "smoke").glob("vanilla_moons.toml"))


@pytest.fixture
def here(tmp_path, mine, monkeypatch):
    """A working directory with a file that is a plugin, and an installed plugin that must not be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "acme_gan", raising=False)
    fake_plugin(tmp_path / "site", name="acme-gan", entry_point="acme")
    (tmp_path / "my_gan.py").write_text(mine)
    return tmp_path


@pytest.fixture
def statuses(here, capsys):
    """Distribution or file name → status, as ``ganforge … plugins list --json …`` tells."""

    def statuses(*before, after=()):
        assert main([*before, "plugins", "list", "--json", *after]) == 0
        return {one["name"]: one["status"] for one in json.loads(capsys.readouterr().out)["plugins"]}

    return statuses


@pytest.mark.parametrize("switch", [("--no-plugin", "acme"), ("--no-plugin=Acme_GAN",), ("--only-plugins", "vanilla,cgan")])
def test_a_switch_before_or_behind_the_command_keeps_a_plugin_from_being_imported(statuses, switch):
    assert statuses(*switch)["acme"] == "disabled"
    assert statuses(after=switch)["acme"] == "disabled"
    assert "acme_gan" not in sys.modules
    assert COMMAND_LINE not in os.environ

    assert statuses()["acme"] == "active"


def test_switches_add_up(statuses):
    found = statuses("--no-plugin", "acme", "--no-plugin", "cgan")

    assert [name for name, status in found.items() if status == "disabled"] == ["acme", "cgan"]


def test_the_command_line_wins_over_the_environment_and_the_project(statuses, here, monkeypatch):
    (here / "pyproject.toml").write_text('[tool.ganforge.plugins]\nonly = ["cgan"]\n')
    assert [name for name, status in statuses().items() if status == "active"] == ["builtin", "cgan"]

    monkeypatch.setenv("GANFORGE_PLUGINS", "vanilla")
    assert [name for name, status in statuses().items() if status == "active"] == ["builtin", "vanilla"]
    assert [name for name, status in statuses("--only-plugins", "acme").items() if status == "active"] == ["builtin", "acme"]


@pytest.mark.parametrize(
    "arguments", [["list"], ["plugins", "list"], ["check", str(RECIPE)], ["describe", "loss", "hinge"], ["run", str(RECIPE)]]
)
def test_every_command_refuses_a_misspelt_switch_and_says_which_it_is(here, capsys, arguments):
    assert main([*arguments, "--no-plugin", "acme-gna"]) == 2

    messages = capsys.readouterr().err
    assert "--no-plugin names 'acme-gna', but no such plugin is installed" in messages
    assert "did you mean 'acme-gan'?" in messages
    assert not (here / "runs").exists()


def test_a_recipe_that_needs_a_disabled_plugin_is_reported_the_switch(here, capsys):
    assert main(["check", str(RECIPE), "--no-plugin", "vanilla"]) == 2

    messages = capsys.readouterr().err
    assert "comes from ganforge-vanilla 0.1.0, which is disabled: switched off by --no-plugin" in messages


def test_a_switch_without_its_value_is_2(here, capsys):
    assert main(["list", "--no-plugin"]) == 2
    assert "--no-plugin needs a value" in capsys.readouterr().err


def test_what_stands_behind_two_dashes_is_no_switch(here, capsys):
    assert main(["describe", "--", "loss", "--plugin"]) == 2
    assert "no loss named '--plugin'" in capsys.readouterr().err


def test_a_local_file_by_command_line(statuses, capsys):
    assert statuses(after=("--plugin", "my_gan.py"))["my-gan"] == "local"

    assert main(["list", "generators", "--plugin", "my_gan.py"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " mine " in line]
    assert "  local " in line


def test_a_local_file_by_project_is_found_from_below(statuses, here, monkeypatch):
    (here / "pyproject.toml").write_text('[tool.ganforge.plugins]\nlocal = ["my_gan.py"]\n')
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")

    assert statuses()["my-gan"] == "local"
    assert statuses("--only-plugins", "vanilla")["my-gan"] == "disabled"


def test_a_local_file_that_is_not_there_is_2(here, capsys):
    assert main(["list", "--plugin", "none.py"]) == 2
    assert "'none.py' does not exist" in capsys.readouterr().err


def test_a_broken_local_file_costs_one_line(here, capsys):
    (here / "my_gan.py").write_text("raise RuntimeError('no GPU here')\n")

    assert main(["list", "losses", "--plugin", "my_gan.py"]) == 0

    shown = capsys.readouterr()
    assert (
        shown.err == f"warning: 1 plugin failed to load (my_gan.py); see: `ganforge plugins list --plugin {here / 'my_gan.py'}`\n"
    )
    assert " hinge " in shown.out
    assert main(["plugins", "info", "my-gan", "--plugin", "my_gan.py"]) == 0
    assert 'my_gan.py", line 1, in <module>' in capsys.readouterr().out


def test_a_local_file_is_shown_and_checked_like_a_plugin(here, capsys):
    assert main(["plugins", "info", "my-gan", "--plugin", "my_gan.py"]) == 0
    shown = capsys.readouterr().out
    assert f"source         file {here / 'my_gan.py'}" in shown
    assert "sha256" in shown

    assert main(["plugins", "check", "my-gan", "--plugin", "my_gan.py"]) == 0
    assert "generator mine" in capsys.readouterr().out


def test_a_recipe_cannot_name_a_file(here, capsys):
    recipe = here / "own.toml"
    recipe.write_text(RECIPE.read_text().replace('use = "mlp"', 'use = "my_gan.py"', 1))

    assert main(["check", str(recipe)]) == 2
    assert "no generator named 'my_gan.py'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_runs_of_a_sweep_have_the_switches_of_its_command(here, capsys):
    recipe = here / "own.toml"
    recipe.write_text(RECIPE.read_text().replace('use = "mlp"', 'use = "mine"', 1))
    more = ["--set", 'tracking.mode="off"', "--set", "train.iterations=2", "--set", "generator.params={}", "--device", "cpu"]

    assert main(["run", str(recipe), "--seeds", "1", "--json", "--plugin", "my_gan.py", *more]) == 0

    (seed,) = json.loads(capsys.readouterr().out)["seeds"]
    assert seed["status"] == "finished"
    assert 'use = "local/mine@1"' in Path(seed["folder"], "resolved.toml").read_text()
