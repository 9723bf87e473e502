import json
import os
import re
import shlex
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


def test_no_letter_is_lost_on_stdout_in_whatever_locale():
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    shown = subprocess.run([sys.executable, "-m", "ganforge", "schema"], env=environment, capture_output=True, check=True).stdout
    assert main(["schema", "--out", "s.json"]) == 0
    assert json.loads(shown) == json.loads(Path("s.json").read_bytes())


def test_schema_goes_to_a_file(tmp_path, capsys):
    assert main(["schema", "--out", "some/where.json"]) == 0

    assert capsys.readouterr().out == "wrote some/where.json\n"
    assert json.loads((tmp_path / "some" / "where.json").read_text())["title"] == "ganforge recipe"


@pytest.mark.parametrize("out", [".", "there"])
def test_a_folder_is_no_place_for_a_schema(tmp_path, capsys, out):
    Path("there").mkdir()
    assert main(["schema", "--out", out]) == 2
    assert f"--out {out} is a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_recipes_are_led_to_the_schema(tmp_path, capsys):
    Path("one.toml").write_text('title = "One"\n')

    assert main(["schema", "one.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote .ganforge/recipe.schema.json",
        "one.toml: #:schema line added",
    ]
    assert Path("one.toml").read_text().startswith("#:schema ./.ganforge/recipe.schema.json\n")
    assert main(["schema", "one.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == ["wrote .ganforge/recipe.schema.json", "one.toml: already has its #:schema line"]


@pytest.mark.parametrize(
    ("content", "arguments", "messages"),
    [
        (None, ["good.toml", "other.toml"], "no such file"),
        ("not toml", ["good.toml", "other.toml"], "not valid TOML"),
    ],
)
def test_what_is_wrong_is_reported_before_anything_is_written(tmp_path, capsys, content, arguments, messages):
    Path("good.toml").write_text('title = "One"\n')
    if content is not None:
        Path("other.toml").write_text(content)
    before = {path: path.read_text() for path in tmp_path.iterdir()}

    assert main(["schema", *arguments]) == 2

    shown = capsys.readouterr()
    assert messages in shown.err
    assert shown.out == ""
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


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
    assert "editors will not validate its params" in shown.err
    assert "acme-gan/lost@1" in shown.out


def test_check_says_when_a_schema_is_older_than_what_is_installed(tmp_path, monkeypatch, capsys):
    assert main(["schema", "--out", "my schema.json"]) == 0
    assert main(["schema", "--check", "my schema.json"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "my schema.json is up to date"

    fake_plugin(tmp_path / "packages")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    assert main(["schema", "--check", "my schema.json"]) == 1
    messages, line = capsys.readouterr().out.splitlines()
    assert messages == "my schema.json is out of date: the installed components or their parameters have changed"
    assert line == "  ganforge schema --out 'my schema.json'"

    assert main(shlex.split(line)[1:]) == 0
    assert main(["schema", "--check", "my schema.json"]) == 0


def test_check_repeats_the_switches_that_it_stands_under(tmp_path, capsys):
    Path("my_gan.py").write_text(
        "from ganforge.plugin import hookimpl\n@hookimpl\ndef ganforge_register_losses(register):\n"
        "    register('mine', 'my_gan:build', summary='Mine.')\n"
    )
    assert main(["schema", "--out", "s.json"]) == 0
    capsys.readouterr()

    assert main(["schema", "--check", "s.json", "--plugin", "my_gan.py", "--no-plugin", "infogan"]) == 1
    messages, line = capsys.readouterr().out.splitlines()
    assert messages.startswith("s.json is out of date")
    assert line == f"  ganforge schema --out s.json --no-plugin infogan --plugin {tmp_path / 'my_gan.py'}"
    assert main(shlex.split(line)[1:]) == 0
    assert main(["schema", "--check", "s.json", "--plugin", "my_gan.py", "--no-plugin", "infogan"]) == 0


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[]", "is out of date"),
    ],
)
def test_check_of_what_is_no_schema_of_ours(tmp_path, capsys, content, messages):
    if content is not None:
        Path("s.json").write_text(content)
    assert main(["schema", "--check", "s.json"]) == 1
    assert f"s.json {messages}" in capsys.readouterr().out


def test_check_writes_nothing(capsys):
    assert main(["schema", "--check", "s.json", "--out", "s.json"]) == 2
    assert "--check writes nothing" in capsys.readouterr().err


def test_no_torch():
    code = "import sys; from ganforge.cli.app import main; print(main(['schema', '--out', 's.json']), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


@pytest.mark.parametrize("tool", ["taplo", "tombi"])
def test_linters_find_the_schema(tool):
    """In a folder with a space, and from a recipe below it."""
    program = Path(sys.executable).with_name(tool)
    found = str(program) if program.exists() else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed here; the test group of pyproject.toml brings it")
    folder = Path("with space")
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "one.toml").write_text(WRONG)
    subprocess.run([sys.executable, "-m", "ganforge", "schema", "recipes/one.toml"], cwd=folder, check=True, capture_output=True)

    offline = ["--offline"] if tool == "tombi" else ["--colors", "never"]
    done = subprocess.run(
        [found, "lint", *offline, "recipes/one.toml"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert re.search(r"['\"]hiden['\"]", done.stdout + done.stderr)
