"""Dotted keys as text and as paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganforge.recipe.dotted_keys import format_key, parse_key, resolve_indices, step_into

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
