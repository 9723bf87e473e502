import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganforge.tracking.mlflow_names import cut, image_key, metric_key, one_line, slug


@pytest.mark.parametrize("name", ["loss/generator/total", "eval/modes/captured", "rate/lr/generator", "perf.x-y z:1", "größe"])
def test_good_names_stay(name):
    assert metric_key(name) == name


@given(st.text(max_size=400))
def test_every_metric_key_is_one_that_mlflow_takes(name):
    key = metric_key(name)

    assert re.fullmatch(r"[/\w.\- :]+", key)
    assert posixpath.normpath(key) == key
    assert not key.startswith(("..", "/"))
    assert 1 <= len(key) <= 250


@given(st.text(max_size=300))
def test_every_image_key_is_one_that_mlflow_takes_and_no_path_out(name):
    key = image_key(name)

    assert re.fullmatch(r"[a-zA-Z0-9_\-./ ]+", key)
    assert posixpath.normpath(key) == key
    assert not key.startswith(("..", "/"))
    assert len(key) <= 120


@given(st.sets(st.text(alphabet="a/.%#ä", min_size=1, max_size=8), min_size=2, max_size=2))
def test_two_names_never_become_one(names):
    one, other = names

    assert metric_key(one) != metric_key(other)
    assert image_key(one) != image_key(other)


@given(st.text(max_size=600))
def test_a_slug_is_one_plain_folder_name(name):
    assert re.fullmatch(r"[a-z0-9-]{1,60}", slug(name))


def test_slugs_of_names_that_look_alike_differ():
    assert slug("Ring!") != slug("ring")


def test_names_for_people_hold_no_control_characters():
    assert one_line("a\nb\x00c\x1b[31m", 5) == "a b c"


def test_long_texts_say_where_they_were_cut():
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("x" * 5000, 100).endswith("… (cut)")
    assert len(cut("x" * 5000, 100)) == 100
