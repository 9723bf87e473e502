"""Recipes written out: what is read back is what was written, whatever the texts and numbers."""

import json
import re
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganforge.recipe.config import Recipe
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_writer import fingerprint, flatten, to_plain, to_toml, toml_key, toml_value

odd = st.sampled_from("\"\\\n\r\t ab\x7f\x00'#") | st.characters(exclude_categories=["Cs"])
texts = st.text(odd, max_size=20)
short = st.text(odd, min_size=1, max_size=10)
floats = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    whole | floats | texts | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
params = st.dictionaries(short, json_values, max_size=3)
positive = st.floats(1e-150, 1e150)
schedules = st.fixed_dictionaries(
    {"schedule": st.sampled_from(["linear", "cosine", "exponential"]), "start": positive, "end": positive},
    optional={"until": st.floats(1e-3, 1), "floor": st.floats(0, 1e300)},
)
scalars = floats | schedules
rates = st.floats(0, 1e300) | schedules
decays = st.floats(0, 1, exclude_max=True)
adam = st.fixed_dictionaries(
    {},
    optional={
        "use": st.sampled_from(["adam", "adamw"]),
        "lr": rates,
        "betas": st.tuples(decays, decays).map(list),
        "eps": positive,
    },
)
sgd = st.fixed_dictionaries({"use": st.just("sgd")}, optional={"lr": rates, "momentum": rates})


def tables(**more):
    return st.fixed_dictionaries({"use": short}, optional={"params": params, **more})


recipes = st.fixed_dictionaries(
    {
        "train": st.fixed_dictionaries(
            {"iterations": st.integers(1, 2**60)}, optional={"seed": st.integers(0, 2**62), "ema_decay": decays}
        ),
        "dataset": tables(standardise=st.booleans()),
        "sampler": tables(),
        "generator": tables(optimizer=adam),
        "discriminator": tables(optimizer=adam | sgd),
        "loss": st.lists(tables(weight=scalars), min_size=1, max_size=3),
    },
    optional={
        "title": texts,
        "description": texts,
        "metric": st.lists(
            tables(every=st.integers(1, 9), name=st.from_regex(r"[A-Za-z0-9_\-. ]{1,9}", fullmatch=True)), max_size=2
        ),
        "pictures": st.fixed_dictionaries({}, optional={"gif": st.booleans(), "every": st.integers(1, 9)}),
        "tracking": st.fixed_dictionaries({}, optional={"tags": st.dictionaries(texts, texts, max_size=3)}),
        "requires": st.fixed_dictionaries({}, optional={"plugins": st.lists(texts, max_size=2)}),
    },
).map(lambda table: Recipe.model_validate_json(json.dumps(table)))


@settings(max_examples=100, deadline=None)
@given(recipes)
def test_what_is_written_is_read_back_equal(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("recipe") / "resolved.toml"
    path.write_text(to_toml(to_plain(recipe)), encoding="utf-8", newline="")
    source = read_recipe(path)
    assert source.problems == ()
    assert source.recipe == recipe
    # Equality in Python takes 1, 1.0 and True for one another; their JSON differs.
    assert source.recipe.model_dump_json() == recipe.model_dump_json()
    assert fingerprint(source.recipe) == fingerprint(recipe)
    assert to_toml(to_plain(source.recipe)) == to_toml(to_plain(recipe))


@given(texts)
@settings(max_examples=300)
def test_any_text_and_any_key_is_escaped_right(text):
    assert tomllib.loads(f"a = {toml_value(text)}\n") == {"a": text}
    assert tomllib.loads(f"a = [{{ {toml_key(text)} = {toml_value([text])} }}]\n") == {"a": [{text: [text]}]}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (True, "true"),
        (12_000, "12000"),
        (1.0, "1.0"),
        (1e-8, "1e-08"),
        ("a", '"a"'),
        ("σ, “quoted”", '"σ, “quoted”"'),
        ("tab\t\x7f", '"tab\\t\\u007f"'),
        ([], "[]"),
        ({}, "{}"),
        ([1, [2]], "[1, [2]]"),
        ({"a b": {"c": 1}}, '{ "a b" = { c = 1 } }'),
        ('two\n"lines"', '"""\ntwo\n\\"lines\\""""'),
    ],
)
def test_values_look_as_one_would_write_them(item, text):
    assert toml_value(item) == text
    assert tomllib.loads(f"a = {text}") == {"a": item}


@pytest.mark.parametrize("item", [None, [None], float("nan"), float("inf"), {"a": float("-inf")}])
def test_what_toml_has_no_word_for_is_refused(item):
    with pytest.raises(ValueError, match=r"recipes cannot hold"):
        toml_value(item)


def test_the_layout_is_stable_and_holds_every_default(write, whole):
    text = to_toml(to_plain(read_recipe(write(whole)).recipe))
    assert text.startswith('title = "Two moons"\n\n[train]\niterations = 20\nbatch_size = 64\nseed = 0\n')
    assert re.findall(r"^\[.*\]$", text, re.MULTILINE) == [
        "[train]",
        "[game]",
        "[dataset]",
        "[dataset.params]",
        "[sampler]",
        "[sampler.params]",
        "[generator]",
        "[generator.params]",
        "[generator.optimizer]",
        "[discriminator]",
        "[discriminator.optimizer]",
        "[[loss]]",
        "[[loss]]",
        "[health]",
        "[pictures]",
        "[checkpoints]",
        "[tracking]",
        "[requires]",
    ]
    assert 'weight = { schedule = "exponential", start = 0.5, end = 0.01, until = 1.0 }\n' in text
    assert "betas = [0.5, 0.999]\n" in text


def test_flat_keys_hold_what_mlflow_allows(write, whole):
    flat = flatten(read_recipe(write(whole + '[tracking.tags]\n"who?/é" = "me"\n')).recipe)
    assert flat["train.iterations"] == "20"
    assert flat["generator.params.hidden"] == "[16, 16]"
    assert flat["loss.0.use"] == "non-saturating"
    assert flat["loss.1.weight.start"] == "0.5"
    assert flat["dataset.standardise"] == "false"
    assert flat["tracking.tags.who___"] == "me"
    assert all(re.fullmatch(r"[\w\-. :]+", name, re.ASCII) for name in flat)


def test_the_fingerprint_tells_experiments_apart_and_overlooks_their_names(write, whole):
    def of(text):
        return fingerprint(read_recipe(write(text)).recipe)

    same = whole.replace("Two moons", "Moons") + "[pictures]\nevery = 1\n[checkpoints]\nkeep = 9\n[tracking]\nexperiment = 'x'\n"
    assert of(same) == of(whole)
    assert of(whole.replace("lr = 1e-3", "lr = 0.001, eps = 1e-8")) == of(whole)
    assert of(whole.replace("lr = 1e-3", "lr = 0.002")) != of(whole)
    assert of(whole.replace("= 20\n", "= 20\nseed = 1\n", 1)) != of(whole)
    assert re.fullmatch(r"[0-9a-f]{64}", of(whole))
