"""The errors that are the user's to mend: exit codes, sentences, suggestions."""

from pathlib import Path

import pytest

from ganforge.core import errors
from ganforge.core.errors import GanforgeError, Problem, RecipeError, did_you_mean


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UsageError", 2),
        ("IncompatiblePartsError", 2),
        ("DataError", 2),
        ("PluginError", 3),
        ("TrainingError", 1),
        ("DivergedError", 1),
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
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
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
