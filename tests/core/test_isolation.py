"""Strangers' code can neither end the program nor speak on stdout, and its errors are one line with their place."""

from pathlib import Path

import pytest

from ganforge.core.errors import PluginError
from ganforge.core.isolation import ForeignExitError, describe_error, isolated


class Rude(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Foreign(BaseException):
    """Such as pytest's own way to skip."""


@pytest.mark.parametrize(
    ("raised", "told"),
    [(SystemExit(0), "it called sys.exit(0)"), (GeneratorExit("over"), "GeneratorExit: over"), (Foreign("x\ny"), "Foreign: x")],
)
def test_what_is_no_exception_becomes_one(raised, told):
    with pytest.raises(ForeignExitError) as caught, isolated():
        raise raised
    assert describe_error(caught.value) == told
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), ValueError("v"), PluginError("p")])
def test_exceptions_and_ctrl_c_stay_what_they_are(raised):
    with pytest.raises(type(raised)) as caught, isolated():
        raise raised
    assert caught.value is raised


def test_nothing_reaches_stdout(capsys):
    with isolated():
        print("hello")
    print("{}")
    assert capsys.readouterr() == ("{}\n", "hello\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [(ValueError("one\ntwo"), "ValueError: one"), (KeyError(), "KeyError"), (PluginError("plain"), "plain"), (Rude(), "Rude")],
)
def test_an_error_is_said_in_one_line(error, told):
    assert describe_error(error) == told


def test_the_innermost_place_in_the_folder_is_said(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text("def build():\n    return float('x')\n\ndef leave():\n    raise SystemExit(3)\n")
    space = {}
    exec(compile(file.read_text(), str(file), "exec"), space)

    with pytest.raises(ValueError, match="x") as caught:
        space["build"]()
    assert describe_error(caught.value, tmp_path) == "ValueError: could not convert string to float: 'x' (nets.py:2)"
    assert describe_error(caught.value, Path("/elsewhere")) == "ValueError: could not convert string to float: 'x'"

    with pytest.raises(ForeignExitError) as left, isolated():
        space["leave"]()
    assert describe_error(left.value, tmp_path) == "it called sys.exit(3) (nets.py:5)"
