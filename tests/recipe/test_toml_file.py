"""One file, whatever is in it: its tables with lines, or one clear refusal."""

import os
import tracemalloc

import pytest

from ganforge.core.errors import RecipeError
from ganforge.recipe.toml_file import MAX_BYTES, load_toml


def refusal(path):
    with pytest.raises(RecipeError) as caught:
        load_toml(path)
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 2
    assert problem.file == path
    return problem


def test_a_file_gives_tables_lines_and_its_text(write):
    document = load_toml(write("[train]\r\niterations = 5\r\n"))
    assert document.table == {"train": {"iterations": 5}}
    assert document.lines == {("train",): 1, ("train", "iterations"): 2}
    assert document.text.startswith("[train]")


def test_a_byte_order_mark_is_overlooked(write):
    assert load_toml(write(b"\xef\xbb\xbfa = 1")).table == {"a": 1}


def test_a_missing_file_is_told_with_what_lies_there(write, tmp_path):
    write("a = 1", "moons.toml")
    problem = refusal(tmp_path / "mons.toml")
    assert problem.message == "there is no such file"
    assert "moons.toml" in problem.hint
    assert refusal(tmp_path / "moons").hint == f"did you mean {tmp_path / 'moons.toml'}?"
    assert refusal(tmp_path / "nowhere" / "moons.toml").hint is None


def test_a_folder_a_pipe_and_a_strange_name_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    assert refusal(tmp_path).message == "this is a folder"
    assert refusal(tmp_path / "pipe.toml").message == "this is no ordinary file"
    assert refusal(tmp_path / "a\0b").message in ("this is no file name", "there is no such file")
    assert refusal(tmp_path / ("a" * 400)).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(write):
    path = write("a = 1")
    path.chmod(0)
    assert "cannot be read" in refusal(path).message


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n", "\ufeff"])
def test_an_empty_file_is_refused(write, text):
    problem = refusal(write(text))
    assert problem.message == "the file is empty"
    assert "[train]" in problem.hint


def test_what_is_not_utf_8_is_told_with_its_line(write):
    problem = refusal(write(b'a = 1\nb = "\xff"\n'))
    assert (problem.message, problem.line) == ("the file is not UTF-8 text", 2)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("{}", "not valid TOML, column 1: expected a key", 1),
        ("<html>\n", "not valid TOML, column 1: expected a key", 1),
        ("a = 1\na = 2\n", "not valid TOML, column 6: cannot overwrite a value", 2),
        ("a = 1\nb = 01\n", "not valid TOML", 2),
        ("a = yes\n", "not valid TOML, column 5: invalid value", 1),
        ('a = "\\q"', "not valid TOML", 1),
        ("a = 2024-13-01\n", "not valid TOML", 1),
        ("x = 1\na = " + "1" * 5000 + "\n", "not valid TOML: exceeds the limit", None),
        ("[a]\nb = 1\n[a]\n", "not valid TOML", 3),
    ],
)
def test_what_is_not_toml_is_told_with_line_and_column(write, text, message, line):
    problem = refusal(write(text))
    assert problem.message.startswith(message)
    assert problem.line == line


def test_ten_megabytes_are_refused_without_being_read(write):
    path = write("a = 1\n")
    with path.open("ab") as file:
        file.truncate(10_000_000)
    tracemalloc.start()
    assert refusal(path).message == "the file is larger than 1 MB, which no recipe is"
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_000_000


def test_a_file_of_just_the_limit_is_read(write):
    assert load_toml(write("a = 1 #" + "x" * (MAX_BYTES - 7))).table == {"a": 1}
    assert "larger" in refusal(write("a = 1 #" + "x" * (MAX_BYTES - 6))).message


def test_deep_nesting_and_long_lists_are_refused_with_their_line(write):
    assert refusal(write("a = 1\nb = " + "[" * 5000 + "]" * 5000)).line == 2
    assert "nested deeper" in refusal(write("b = " + "[" * 5000)).message
    assert "10,000" in refusal(write("b = [" + "1," * 20_000 + "]")).message
