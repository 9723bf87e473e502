"""One file, whatever is in it: its tables and the line of every key, or one clear error."""

import json
import os
import re
import tomllib
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganforge.core.errors import RecipeError
from ganforge.recipe.toml_file import (
    BARE,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_LIST_LENGTH,
    TomlError,
    find_lines,
    format_key,
    load_toml,
    parse_key,
    parse_toml,
    resolve_indices,
    step_into,
)


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


def test_a_missing_file_is_reported_with_what_lies_there(write, tmp_path):
    write("a = 1", "moons.toml")
    problem = refusal(tmp_path / "mons.toml")
    assert problem.message == "no such file"
    assert "moons.toml" in problem.hint
    assert refusal(tmp_path / "moons").hint == f"did you mean {tmp_path / 'moons.toml'}?"
    assert refusal(tmp_path / "nowhere" / "zzz.toml").hint is None


def test_a_misspelt_recipe_is_found_in_its_folder_and_in_recipes(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    for name in ("infogan_moons.toml", "vanilla_moons.toml", "grid.toml"):
        (tmp_path / "recipes" / name).write_text("a = 1")
    (tmp_path / "pyproject.toml").write_text("a = 1")

    misspelt = (
        "infogan_moons",
        "recpies/infogan_moons.toml",
        "recipes/infogan.toml",
        "InfoGAN-moons.toml",
        "recipes/infogan_moon.tml",
    )
    for path in map(Path, misspelt):
        with pytest.raises(RecipeError) as caught:
            load_toml(path)
        (suggested,) = re.findall(r"did you mean (.*)\?", caught.value.problems[0].hint)
        assert load_toml(Path(suggested)).path == Path("recipes/infogan_moons.toml")
    assert refusal(Path("recipes/zzz.toml")).hint == "recipes in recipes: grid.toml, infogan_moons.toml, vanilla_moons.toml"
    assert refusal(Path("zzz.toml")).hint is None


def test_a_folder_a_pipe_and_a_strange_name_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    assert refusal(tmp_path).message == "is a folder"
    assert refusal(tmp_path / "pipe.toml").message == "is not a regular file"
    assert "null byte" in refusal(tmp_path / "a\0b").message
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


def test_what_is_not_utf_8_is_reported_with_its_line(write):
    problem = refusal(write(b'a = 1\nb = "\xff"\n'))
    assert (problem.message, problem.line) == ("the file is not UTF-8 text", 2)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("{}", "not valid TOML, column 1: invalid statement", 1),
        ("<html>\n", "not valid TOML, column 1: invalid statement", 1),
        ("a = 1\nb 2\n", "not valid TOML, column 3: expected '=' after a key", 2),
        ('a = "x\n', "not valid TOML", 1),
        ("a = [1, 2\n", "not valid TOML: unclosed array", None),
        ("[[a]\n", "not valid TOML, column 4: expected ']]' at the end", 1),
        ("a = 1\na = 2\n", "not valid TOML, column 6: cannot overwrite a value", 2),
        ("a = 1\nb = 01\n", "not valid TOML", 2),
        ("a = yes\n", "not valid TOML, column 5: invalid value", 1),
        ('a = "\\q"', "not valid TOML", 1),
        ("a = 2024-13-01\n", "not valid TOML", 1),
        ("x = 1\na = " + "1" * 5000 + "\n", "not valid TOML: exceeds the limit", None),
        ("[a]\nb = 1\n[a]\n", "not valid TOML", 3),
    ],
)
def test_what_is_not_toml_is_reported_with_line_and_column(write, text, message, line):
    problem = refusal(write(text))
    assert problem.message.startswith(message)
    assert problem.line == line


def test_ten_megabytes_are_refused_without_being_read(write):
    path = write("a = 1\n")
    with path.open("ab") as file:
        file.truncate(10_000_000)
    tracemalloc.start()
    assert refusal(path).message == "the file is larger than 1 MB"
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_000_000


def test_a_file_of_just_the_limit_is_read(write):
    assert load_toml(write("a = 1 #" + "x" * (MAX_BYTES - 7))).table == {"a": 1}
    assert "larger" in refusal(write("a = 1 #" + "x" * (MAX_BYTES - 6))).message


def test_deep_nesting_and_long_lists_are_refused_with_their_line(write):
    assert refusal(write("a = 1\nb = " + "[" * 20 + "]" * 20)).line == 2
    assert "nested deeper" in refusal(write("b = " + "[" * 5000)).message
    assert "10,000" in refusal(write("b = [" + "1," * 20_000 + "]")).message


names = st.sampled_from(["a", "b-c", "0", "use", "params"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
texts = st.text(st.sampled_from("ab \n\t\"'\\#[]{}=,.\r\x00") | st.characters(exclude_categories=["Cs"]), max_size=12)
leaves = st.just(0) | texts | st.booleans() | st.sampled_from([1.5, float("inf"), -3])
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8)
documents = st.dictionaries(names, values, max_size=5)


class Writer:
    """Writes tables in every way that TOML has, as a random source chooses; each 0 becomes a number of its own."""

    def __init__(self, random):
        self.random = random
        self.lines = []
        self.forms = {}
        self.number = 70_000

    def chance(self):
        return self.random.random() < 0.5

    def key(self, name):
        if name not in self.forms:
            forms = [self.basic(name)]
            if all(ord(letter) < 0x10000 for letter in name):
                forms.append(json.dumps(name).replace("\x7f", "\\u007f"))
            if BARE.fullmatch(name):
                forms.append(name)
            if "'" not in name and all(ord(letter) > 31 and letter != "\x7f" for letter in name):
                forms.append(f"'{name}'")
            self.forms[name] = self.random.choice(forms)
        return self.forms[name]

    def basic(self, text):
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

    def dotted(self, names):
        return self.random.choice([".", " . ", "\t."]).join(map(self.key, names))

    def scalar(self, value, *, inline):
        if isinstance(value, str):
            if not inline and self.chance():
                body = self.basic(value)[1:-1].replace("\\n", "\n")
                return (
                    f'"""{self.random.choice(["", chr(10)])}{body if not body.startswith(chr(10)) else chr(92) + "n" + body[1:]}"""'
                )
            if "'" not in value and all(ord(letter) > 31 and letter != "\x7f" for letter in value) and self.chance():
                return self.random.choice(["'{}'", "'''{}'''"]).format(value)
            return self.basic(value)
        if value is True or value is False:
            return str(value).lower()
        if value == 0:
            self.number += 1
            return str(self.number)
        return repr(value)

    def value(self, value, *, inline=False):
        if isinstance(value, dict):
            inside = ", ".join(f"{self.key(name)} = {self.value(item, inline=True)}" for name, item in value.items())
            return f"{{ {inside} }}"
        if isinstance(value, list):
            gap = self.random.choice(["", " ", "\n", " # a ] remark\n"])
            inside = f",{gap}".join(self.value(item, inline=inline) for item in value)
            return f"[{gap}{inside}{self.random.choice(['', ','] if value else [''])}{gap}]"
        return self.scalar(value, inline=inline)

    def assign(self, names, value):
        if isinstance(value, dict) and value and self.chance():
            for name, item in value.items():
                self.assign((*names, name), item)
            return
        self.lines.append(
            f"{self.random.choice(['', '  '])}{self.dotted(names)} = {self.value(value)}{self.random.choice(['', ' # why'])}"
        )

    def table(self, table, prefix=()):
        later = []
        for name, value in table.items():
            is_tables = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
            if (isinstance(value, dict) or is_tables) and self.chance():
                later.append((name, value))
            else:
                self.assign((name,), value)
        for name, value in later:
            for item in value if isinstance(value, list) else [value]:
                opening, closing = ("[[", "]]") if isinstance(value, list) else ("[", "]")
                self.lines += self.random.choice([[], [""], ["# [remark]"]])
                self.lines.append(f"{opening}{self.dotted((*prefix, name))}{closing}")
                self.table(item, (*prefix, name))

    @property
    def text(self):
        return self.random.choice(["\n", "\r\n"]).join(self.lines) + self.random.choice(["", "\n"])


def paths(value, at=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield (*at, step), item
        yield from paths(item, (*at, step))


@settings(max_examples=120, deadline=None)
@given(documents, st.randoms(use_true_random=False))
def test_every_key_gets_a_line_that_holds_it(document, random):
    writer = Writer(random)
    writer.table(document)
    text = writer.text.replace("\r\n", "\n") if '"""' in writer.text else writer.text
    parsed = tomllib.loads(text)
    found = find_lines(text)
    lines = text.replace("\r\n", "\n").split("\n")

    expected = dict(paths(parsed))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        line = lines[found[key] - 1]
        if isinstance(key[-1], str):
            assert writer.forms[key[-1]] in line
        if type(value) is int and value > 70_000:
            assert str(value) in line


def test_lines_of_everything_that_toml_has():
    text = '''\
a = 1
b.c = "x = 1"
[d]
'e f'."g" = [1,
  2, [3, {x = 1, y.z = 2}]]
s = """
k = 1
"q" """""
[[l]]
x = 1
[l.m]
y = 2
[[l.n]]
z = {}
[[l]]
when = 1979-05-27 07:32:00 # a remark
'''
    found = find_lines(text)
    assert found.keys() == dict(paths(tomllib.loads(text))).keys()
    assert found["b", "c"] == 2
    assert found["d", "e f", "g", 1] == 5
    assert found["d", "e f", "g", 2, 1, "y", "z"] == 5
    assert found["d", "s"] == 6
    assert (found["l",], found["l", 0], found["l", 1]) == (9, 9, 15)
    assert (found["l", 0, "m", "y"], found["l", 0, "n", 0, "z"], found["l", 1, "when"]) == (12, 14, 16)


def test_a_header_counts_more_than_a_mention_before_it():
    assert find_lines("[a.b]\nx = 1\n[a]\ny = 2\n")["a",] == 3


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "a = " + "[" * 400_000,
        "a = " + "{a=" * 300_000,
        "a" + ".a" * MAX_DEPTH + " = 1",
        "a" + ".a" * 450_000 + " = 1",
        "[a" + ".a" * 450_000 + "]",
        "[[a" + ".a" * MAX_DEPTH + "]]",
    ],
    ids=["lists", "many lists", "inline tables", "dots", "many dots", "header", "array header"],
)
def test_deep_nesting_is_refused(text):
    with pytest.raises(TomlError, match=f"nested deeper than {MAX_DEPTH} levels"):
        parse_toml(text)


def test_deep_nesting_is_refused_in_linear_time(growth):
    def refuse(text):
        with suppress(TomlError):
            parse_toml(text)

    for begin, one, end in [("a = ", "[", ""), ("a = ", "{a=", ""), ("a", ".a", " = 1"), ("[a", ".a", "]")]:
        assert growth(refuse, begin + 100_000 * one + end, begin + 400_000 * one + end) < 10


def test_nesting_up_to_the_limit_is_read():
    assert len(find_lines("a" + ".a" * (MAX_DEPTH - 1) + " = 1")) == MAX_DEPTH


def test_long_lists_are_refused():
    assert len(find_lines(f"a = [{'1,' * MAX_LIST_LENGTH}]")) == MAX_LIST_LENGTH + 1
    with pytest.raises(TomlError, match="a list of more than 10,000 elements"):
        parse_toml(f"a = [{'1,' * (MAX_LIST_LENGTH + 1)}]")
    with pytest.raises(TomlError, match="a list of more than 10,000 elements"):
        parse_toml("[[a]]\n" * (MAX_LIST_LENGTH + 1))


@pytest.mark.parametrize(
    ("begin", "one", "end"), [('a = "', "\\n", '"'), ("", "# ", ""), ("", "\n", ""), ("a = '''", "''\n", "'''")]
)
def test_a_megabyte_is_scanned_in_linear_time(begin, one, end, growth):
    assert growth(parse_toml, begin + 75_000 * one + end, begin + 300_000 * one + end) < 10


@given(st.text(st.sampled_from("ab01 .=[]{}\"'\\#\n\t,-+_") | st.characters(), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_refused_or_each_of_its_keys_gets_a_line(text):
    with suppress(TomlError):
        parsed, lines = parse_toml(text)
        assert lines.keys() == dict(paths(parsed)).keys()


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
keys = st.builds(lambda first, rest: (first, *rest), names, st.lists(names | st.integers(0, 999_999), max_size=5))


@given(keys)
def test_a_key_survives_being_shown_and_parsed(key):
    assert parse_key(format_key(key)) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("train.iterations", ("train", "iterations")),
        ("loss[1].weight", ("loss", 1, "weight")),
        ("loss.1.weight", ("loss", "1", "weight")),
        ("a[0][2]", ("a", 0, 2)),
        ('tags."my key".x', ("tags", "my key", "x")),
        ("tags.'my.key'", ("tags", "my.key")),
    ],
)
def test_parse(text, key):
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", "[0]", "a[x]", "a[-1]", "a[0", 'a."b', "a[0]b"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match="is not a dotted key"):
        parse_key(text)


def test_digits_are_an_index_where_a_list_stands_and_a_name_elsewhere():
    table = {"loss": [{"weight": 1}], "tags": {"0": "x"}}
    assert resolve_indices(("loss", "0", "weight"), table) == ("loss", 0, "weight")
    assert resolve_indices(("tags", "0"), table) == ("tags", "0")


def test_long_and_odd_names_are_shown_short_and_on_one_line():
    assert len(format_key(("a" * 100_000,))) < 100
    assert "\x1b" not in format_key(("\x1b[31m",))
    assert "\n" not in format_key(("a\nb",))


def test_a_step_that_is_not_there_leads_to_nothing():
    assert step_into({"a": 1}, "b") is None
    assert step_into([1], 1) is None
    assert step_into("text", 0) is None
