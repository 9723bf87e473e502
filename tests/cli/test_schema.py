import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.testing import fake_plugin

WRONG = 'title = "One"\n[generator]\nuse = "mlp"\nparams = { hiden = [3] }\n'


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_schema_goes_to_stdout_and_nothing_is_left_behind(tmp_path, capsys):
    assert main(["schema"]) == 0

    shown = capsys.readouterr()
    assert json.loads(shown.out)["title"] == "ganforge recipe"
    assert shown.err == ""
    assert list(tmp_path.iterdir()) == []


def test_schema_goes_to_a_file(tmp_path, capsys):
    assert main(["schema", "--out", "some/where.json"]) == 0

    assert capsys.readouterr().out == "wrote some/where.json\n"
    assert json.loads((tmp_path / "some" / "where.json").read_text())["title"] == "ganforge recipe"


def test_recipes_and_settings_are_led_to_the_schema(tmp_path, capsys):
    Path("one.toml").write_text('title = "One"\n')

    assert main(["schema", "one.toml", "--associate", "recipes/**/*.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote .ganforge/recipe.schema.json",
        "one.toml: #:schema line put on top",
        "rule added to .taplo.toml",
        "rule added to tombi.toml",
    ]
    assert Path("one.toml").read_text().startswith("#:schema ./.ganforge/recipe.schema.json\n")
    assert main(["schema", "one.toml", "--associate", "recipes/**/*.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == ["wrote .ganforge/recipe.schema.json", "one.toml: has its #:schema line"]


def test_recipe_that_is_not_there_is_2(capsys):
    assert main(["schema", "nowhere.toml"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_plugin_that_cannot_tell_its_params_costs_a_warning(tmp_path, monkeypatch, capsys):
    source = """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_generators(register):
            register("lost", "acme_gan:build", params="acme_gan:NoSuchParams", summary="Its params are not there.")
    """
    fake_plugin(tmp_path / "packages", source=source)
    monkeypatch.syspath_prepend(tmp_path / "packages")

    assert main(["schema"]) == 0
    shown = capsys.readouterr()
    assert "acme-gan/lost" in shown.err
    assert "stay unjudged" in shown.err
    assert "acme-gan/lost@1" in shown.out


def test_no_torch():
    code = "import sys; from ganforge.cli.app import main; print(main(['schema', '--out', 's.json']), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


@pytest.mark.parametrize("way", ["line", "rule"])
@pytest.mark.parametrize("tool", ["taplo", "tombi"])
def test_linters_find_the_schema_by_line_and_by_rule(tool, way):
    """In a folder with a space, and from a recipe below it."""
    program = Path(sys.executable).with_name(tool)
    found = str(program) if program.exists() else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed here; the test group of pyproject.toml brings it")
    folder = Path("with space")
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "one.toml").write_text(WRONG)
    arguments = ["recipes/one.toml"] if way == "line" else ["--associate", "recipes/**/*.toml"]
    subprocess.run([sys.executable, "-m", "ganforge", "schema", *arguments], cwd=folder, check=True, capture_output=True)

    offline = ["--offline"] if tool == "tombi" else ["--colors", "never"]
    done = subprocess.run(
        [found, "lint", *offline, "recipes/one.toml"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert re.search(r"['\"]hiden['\"]", done.stdout + done.stderr)
