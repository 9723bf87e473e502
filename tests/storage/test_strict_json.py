from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganforge.storage import strict_json

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("$float"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.just("$float"), inner, max_size=4),
    max_leaves=12,
)


def same(one, other):
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@given(DATA)
def test_what_goes_in_comes_out_and_is_valid_json(data):
    text = strict_json.dumps(data)

    json.loads(text, parse_constant=pytest.fail)
    assert same(data, strict_json.loads(text))


def test_numpy_numbers_and_tuples_are_plain_too():
    assert strict_json.loads(strict_json.dumps({"a": (np.int64(3), np.float32(0.5), np.float64("nan"))}))["a"][:2] == [3, 0.5]


def test_what_is_no_plain_data_is_named():
    with pytest.raises(TypeError, match=r"data\.a\[1\] is a object"):
        strict_json.dumps({"a": [1, object()]})
    with pytest.raises(TypeError, match=r"data\.a has the key 3"):
        strict_json.dumps({"a": {3: 1}})


@pytest.mark.parametrize("text", ["", "{", "\xff\xfe", '{"a": }'])
def test_other_text_is_an_error(text):
    with pytest.raises(ValueError):
        strict_json.loads(text.encode("latin1"))
