"""``--set``: what it takes for a value, where it puts it, and what it refuses."""

import pytest

from ganforge.recipe.reader import read_recipe


@pytest.fixture
def source(write, whole):
    path = write(whole)
    return lambda *overrides: read_recipe(path, overrides)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("train.iterations=500", "train.iterations", 500),
        ("train.iterations = 500", "train.iterations", 500),
        ("generator.params.hidden=[64]", "generator.params.hidden", [64]),
        ("loss[1].weight=0.5", "loss[1].weight", 0.5),
        ("loss.1.weight=0.5", "loss[1].weight", 0.5),
        ("generator.optimizer.lr=1e-4", "generator.optimizer.lr", 1e-4),
        ("generator.optimizer.lr={ schedule = 'linear', start = 1.0, end = 0.0 }", "generator.optimizer.lr.schedule", "linear"),
        ("dataset.use=swiss-roll", "dataset.use", "swiss-roll"),
        ("generator.use=acme-gan/mlp", "generator.use", "acme-gan/mlp"),
        ('title="a = b"', "title", "a = b"),
        ("title='yes'", "title", "yes"),
        ("title=''", "title", ""),
        ("pictures.gif=false", "pictures.gif", False),
        ('tracking.tags."my tag"=mine', 'tracking.tags."my tag"', "mine"),
        ("checkpoints.keep=1", "checkpoints.keep", 1),
    ],
)
def test_a_value_is_put_in_its_place(source, text, key, value):
    read = source(text)
    assert read.problems == ()
    assert read.value(key) == value
    assert read.origin(key) == "--set"


def test_the_last_of_two_wins(source):
    assert source("train.seed=1", "train.seed=2").recipe.train.seed == 2


def test_other_values_stay_where_they_were(source):
    read = source("train.seed=1")
    assert read.origin("train.iterations").endswith("recipe.toml:4")
    assert read.origin("train.batch_size") == "default"


def test_what_was_replaced_is_forgotten(source):
    read = source("loss=[{ use = 'hinge' }]")
    assert [loss.use for loss in read.recipe.loss] == ["hinge"]
    assert read.origin("loss[0].use") == "--set"
    assert read.where("loss[1].weight") is None


@pytest.mark.parametrize(
    ("text", "key", "message", "hint"),
    [
        ("train.seed", "", "there is no '='", "write --set key=value"),
        ('title="\udcff"', "", "this is not UTF-8 text", None),
        ("=1", "", "there is no key", "write --set key=value"),
        ("train..seed=1", "", "is no dotted key", "write --set"),
        ("train.seed=", "train.seed", "gives no value", "'\"\"'"),
        ("title=two words", "title", "which is no TOML value", "title='\"two words\"'"),
        ("title=1\nseed = 2", "title", "which is no TOML value", "quotes"),
        ("pictures.gif=True", "pictures.gif", "which is no TOML value", "write true or false"),
        ("pictures.gif=no", "pictures.gif", "which is no TOML value", "write true or false"),
        ("pictures.every=None", "pictures.every", "which is no TOML value", "leave the key out"),
        ("loss[2].weight=1", "loss[2].weight", "loss has 2 elements, counted from 0", None),
        ("loss.weight=1", "loss.weight", "loss is a list", "loss[0].weight"),
        ("train[0]=1", "train[0]", "train is no list", None),
        ("title.x=1", "title.x", "title is no table", "--set title="),
        ("extends=other.toml", "extends", "cannot be changed by --set", "write a recipe file"),
        ("a" + ".a" * 100_000 + "=1", "", "nested deeper", None),
        ("train.seed=" + "[" * 100_000, "train.seed", "which is no TOML value", None),
    ],
)
def test_what_makes_no_sense_is_a_problem_with_a_remedy(source, text, key, message, hint):
    (problem,) = source(text).problems
    assert problem.key == key
    assert message in problem.message
    assert hint is None or hint in problem.hint
    assert problem.file is None


def test_a_wrong_value_is_judged_like_one_from_a_file(source):
    (problem,) = source("train.iterations=ten").problems
    assert (problem.key, problem.message, problem.file) == ("train.iterations", "must be a whole number, got 'ten'", None)


@pytest.mark.parametrize(
    ("texts", "key"),
    [
        (("health.collapse.warn=0.1",), "health.collapse.warn"),
        (("health.collapse.warn=0.1", "health.collapse.on=true"), "health.collapse.warn"),
        (("health.collapse.warn=0.1", "health.collapse.fail=0.15"), "health.collapse.fail"),
        (("health.collapse={ warn = 0.1 }",), "health.collapse"),
        (("loss[1].weight.end=-1",), "loss[1].weight.end"),
        (('train.updates="simultaneous"', "train.discriminator_steps=2", "train.seed=3"), "train.discriminator_steps"),
    ],
)
def test_values_that_do_not_go_together_are_the_last_that_was_set_of_them(source, texts, key):
    (problem,) = source(*texts).problems
    assert (problem.key, problem.file) == (key, None)


def test_values_of_a_file_that_do_not_go_together_are_the_files(write, whole):
    path = write(whole.replace("iterations = 20", 'iterations = 20\nupdates = "simultaneous"\ndiscriminator_steps = 2'))
    (problem,) = read_recipe(path, ["train.seed=3"]).problems
    assert (problem.key, problem.file) == ("train", path)


@pytest.mark.parametrize("text", ["health.collapse.warn=nan", "health.gradients.fail=inf", "health={ collapse = { warn = nan } }"])
def test_a_number_that_is_none_is_judged_by_nothing_else(source, text):
    (problem,) = source(text).problems
    assert "must be a finite number" in problem.message


def test_an_unknown_key_gets_a_suggestion(source):
    (problem,) = source("train.iteration=5").problems
    assert problem.message == "unknown key"
    assert problem.hint == "did you mean 'iterations'?"


def test_all_bad_overrides_are_told_at_once(source):
    assert len(source("x", "train.seed=", "train.batch_size=0").problems) == 3


def test_the_file_is_left_alone(write, whole):
    path = write(whole)
    assert read_recipe(path, ["train.seed=1"]).text == whole == path.read_text()
