import enum
import json
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from ganforge.cli import console
from ganforge.cli.app import main
from ganforge.cli.evaluate import _brief
from ganforge.core.errors import GanforgeError


class Colour(enum.Enum):
    RED = "red"


def test_json_is_one_object_of_plain_data(capsys):
    with console.stdout_for_json():
        console.print_json(
            {
                "nan": float("nan"),
                "inf": -float("inf"),
                "path": Path("a/b"),
                "set": frozenset({"a"}),
                "kind": Colour.RED,
                "deep": [{"x": (1, True, None)}],
            }
        )

    shown = capsys.readouterr().out
    assert shown.endswith("}\n")
    assert json.loads(shown) == {
        "schema": 1,
        "nan": None,
        "inf": None,
        "path": "a/b",
        "set": ["a"],
        "kind": "red",
        "deep": [{"x": [1, True, None]}],
    }


def test_a_table_in_a_pipe_has_whole_lines_and_no_colour(capsys):
    console.table(("Name", "Count"), [("long " * 60, 7), ("short", None)], right=(1,))

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].endswith(" 7")
    assert lines[2].endswith(" –")
    assert not any("\x1b" in line for line in lines)


def test_one_long_cell_does_not_make_every_line_long(capsys):
    console.table(("Name", "Value", "Origin"), [("a", "long " * 60, "x"), ("b", "short", "y")])

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("  x")
    assert lines[2].split() == ["b", "short", "y"]
    assert len(lines[2]) < 80


@pytest.mark.parametrize("tell", [console.note, console.warning, lambda text: console.failure(GanforgeError(text))])
def test_what_is_no_result_goes_to_stderr(capsys, tell):
    tell("[bold]text[/bold]")

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "[bold]text[/bold]" in shown.err


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Let both streams say that they are a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(type(stream), "isatty", lambda _: True)


def test_a_terminal_gets_colours(terminal, capsys):
    console.warning("look")
    console.table(("Name",), [("[red]x",)])

    shown = capsys.readouterr()
    assert "\x1b[" in shown.err
    assert "[red]x" in shown.out


def test_what_is_to_be_copied_stays_on_its_lines_in_a_terminal(terminal, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.chdir(tmp_path)

    for kind, name in (("dataset", "moons"), ("generator", "mlp")):
        assert main(["describe", kind, name, "--toml"]) == 0
        assert tomllib.loads(capsys.readouterr().out)[kind]["use"] == name
    assert main(["plugins", "freeze"]) == 0
    assert all(re.match(r"-e |[\w-]+( @|==)", line) for line in capsys.readouterr().out.splitlines())
    assert main(["plugins", "new", "acme-portraits-gan", "--kinds", "loss", "--into", "a folder with blanks"]) == 0
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines()[-3:]]
    assert commands[0] == ["pip", "install", "-e", "a folder with blanks/acme-portraits-gan"]
    assert Path(commands[2][2]).is_file()
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["describe", "mlp", "discriminator"]) == 2
    assert main(re.search("`ganforge (describe .*)`", capsys.readouterr().err)[1].split()) == 0


def test_a_protocol_is_shown_whole():
    protocol = {"samples": 10, "generator": "ema", "seed": 0, "params": {}, "metric.distance": "frechet, covariance with n - 1"}
    assert _brief({**protocol, "metric.sha256": "ab" * 32}).endswith("distance frechet, covariance with n - 1, sha256 abababababab")


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_table_fits_the_terminal_and_breaks_no_word(terminal, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [("generator.optimizer.lr", "0.0002", "recipes/vanilla_moons.toml:31"), ("title", "Two words and more", "--set")]
    console.table(("Key", "Value", "Origin"), rows)

    shown = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert all(len(line) <= columns for line in shown.splitlines())
    assert {word for row in rows for cell in row for word in cell.split()} <= set(shown.split())


def test_a_narrow_terminal_lacks_optional_columns_and_says_so(terminal, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    console.table(("Run", "Status", "Title"), [("moons-12345678", "finished", "A title of several words")], optional=(2,))

    shown = capsys.readouterr()
    assert "title" not in shown.out
    assert "not shown in 30 columns: Title" in shown.err


@pytest.mark.parametrize("columns", ["0", "1", "-5", "many", "99999"])
def test_odd_widths_hide_nothing(terminal, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    console.table(("Key", "Value"), [("first", "one two")])
    console.warning("look")

    shown = capsys.readouterr()
    assert {"first", "one", "two"} <= set(re.sub(r"\x1b\[\d*m", "", shown.out).split())
    assert "look" in shown.err


@pytest.mark.parametrize("columns", [30, 60, 80, 120])
def test_text_breaks_between_words(terminal, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    error = GanforgeError("the file /a/long/path/to/some/recipe.toml cannot be read", remedy="run `ganforge check /a/long/path`")
    console.failure(error)
    console.print_facts({"from": "a package at /a/long/path/to/some/package.py, and more words"}, 5)

    shown = capsys.readouterr()
    words = re.sub(r"\x1b\[\d*m", "", shown.err + shown.out).split()
    assert "/a/long/path/to/some/recipe.toml" in words
    assert "/a/long/path/to/some/package.py," in words
    if columns >= 40:
        assert "run `ganforge check /a/long/path`" in shown.err


def test_no_color_is_honoured(terminal, capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console.warning("look")

    shown = capsys.readouterr().err
    assert "\x1b[3" not in shown
    assert "warning: look" in shown


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_a_plugin_cannot_send_control_codes_to_the_terminal(request, capsys, where):
    if where == "terminal":
        request.getfixturevalue("terminal")
    console.print_line("two\n\tlines\x1b]0;title\x07 of\x9b text\x08\r")
    console.table(("Name\x07",), [("cell\x1b[2J\nline",)])

    shown = capsys.readouterr().out
    assert not {"\x07", "\x08", "\x9b", "\r"} & set(shown)
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "cell [2J line" in shown


LOUD = """
import os
import sys
from ganforge.plugin import hookimpl
from ganforge.testing.stub_components import LinearGenerator


class Loud(LinearGenerator):
    def forward(self, latent):
        print("from print")
        print("from another reference to stdout", file=sys.__stdout__)
        os.write(1, b"from C\\n")
        return super().forward(latent)


@hookimpl
def ganforge_register_generators(register):
    register("loud", Loud, summary="Prints.")
"""


def test_what_a_network_prints_does_not_spoil_json(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    stdout = os.fdopen(1, "w", closefd=False)
    for name in ("stdout", "__stdout__"):  # as in a process of its own: pytest's writes to another file
        monkeypatch.setattr(sys, name, stdout)
    (tmp_path / "loud.py").write_text(LOUD)
    options = ["--set", 'tracking.mode="off"', "--set", 'generator={use="loud"}', "--set", "train.iterations=2"]
    options += ["--set", "pictures.report=false", "--set", "pictures.final_figures=false", "--set", "metric[0].samples=16"]
    recipe = str(Path(__file__).parents[2] / "recipes" / "smoke" / "vanilla_moons.toml")
    run = "vanilla_moons"
    for command in (
        ["check", recipe, "--shapes", *options],
        ["run", recipe, *options],
        ["sample", run],
        ["interpolate", run],
        ["traverse", run],
        ["evaluate", run],
        ["export", run, "--format", "safetensors"],
    ):
        assert main(["--plugin", "loud.py", *command, "--json"]) == 0
        shown = capfd.readouterr()
        assert json.loads(shown.out)["schema"] == 1
        assert {"from print", "from another reference to stdout", "from C"} <= set(shown.err.splitlines())


def test_json_of_an_error_is_whole(tmp_path, capsys):
    (tmp_path / "broken.toml").write_text("[train]")
    assert main(["check", str(tmp_path / "broken.toml"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["runs", "--runs-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []
