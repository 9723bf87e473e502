"""The errors that users can fix: exit codes, messages, suggestions; and the isolation of foreign code."""

from pathlib import Path

import pytest

from ganforge.core import errors
from ganforge.core.errors import (
    ForeignExitError,
    GanforgeError,
    PluginError,
    Problem,
    RecipeError,
    describe_error,
    did_you_mean,
    isolated,
)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UsageError", 2),
        ("IncompatiblePartsError", 2),
        ("DataError", 2),
        ("PluginError", 3),
        ("TrainingError", 1),
        ("RunFolderError", 4),
        ("StorageError", 5),
    ],
)
def test_exit_codes(name, code):
    error = getattr(errors, name)("what is wrong", remedy="what to do")
    assert isinstance(error, GanforgeError)
    assert error.exit_code == code
    assert str(error) == "what is wrong (what to do)"
    assert (error.message, error.remedy) == ("what is wrong", "what to do")


def test_the_tree_is_the_one_that_the_docstring_draws():
    drawn = {word for line in errors.__doc__.splitlines() for word in line.split() if word[0].isupper() and word.isidentifier()}
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.GanforgeError)}
    assert classes <= drawn


def test_an_error_without_remedy_is_its_message():
    assert str(GanforgeError("what is wrong")) == "what is wrong"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.b", "is missing", Path("r.toml"), 3, "add it"), "r.toml:3: a.b: is missing; add it"),
        (Problem("a.b", "is missing", Path("r.toml")), "r.toml: a.b: is missing"),
        (Problem("", "the file is empty", Path("r.toml")), "r.toml: the file is empty"),
        (Problem("a.b", "is missing"), "a.b: is missing"),
    ],
)
def test_a_problem_tells_where_what_and_what_to_do(problem, text):
    assert str(problem) == text


def test_a_recipe_error_tells_all_its_problems_in_order():
    problems = [Problem("b", "first"), Problem("a", "second")]
    error = RecipeError(iter(problems))
    assert error.problems == tuple(problems)
    assert str(error) == "b: first\na: second"
    assert error.exit_code == 2
    assert error.remedy is None


def test_suggestions():
    assert did_you_mean("dcgna", ["mlp", "dcgan"]) == "did you mean 'dcgan'?"
    assert did_you_mean("dcgna", iter(["mlp", "dcgan"])) == "did you mean 'dcgan'?"
    assert did_you_mean("something else", ["mlp", "dcgan"]) is None
    assert did_you_mean("x", []) is None


class Rude(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Foreign(BaseException):
    """Such as pytest's own way to skip."""


@pytest.mark.parametrize(
    ("raised", "text"),
    [(SystemExit(0), "it called sys.exit(0)"), (GeneratorExit("over"), "GeneratorExit: over"), (Foreign("x\ny"), "Foreign: x")],
)
def test_what_is_no_exception_becomes_one(raised, text):
    with pytest.raises(ForeignExitError) as caught, isolated():
        raise raised
    assert describe_error(caught.value) == text
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
    ("error", "text"),
    [(ValueError("one\ntwo"), "ValueError: one"), (KeyError(), "KeyError"), (PluginError("plain"), "plain"), (Rude(), "Rude")],
)
def test_an_error_is_given_in_one_line(error, text):
    assert describe_error(error) == text


def test_the_innermost_place_in_the_folder_is_given(tmp_path):
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
