"""Layers of a recipe: files that extend each other, and `--set` on top."""

import re
import shlex

import pytest

from ganforge.core.errors import RecipeError
from ganforge.recipe.layers import MAX_CHAIN, apply_overrides, load_chain
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_file import format_key
from ganforge.recipe.validation import OTHER_WORDS, _key_paths


def refusal(path):
    with pytest.raises(RecipeError) as caught:
        load_chain(path)
    (problem,) = caught.value.problems
    return problem


def merged(write, base, top):
    write(base, "base.toml")
    return load_chain(write('extends = "base.toml"\n' + top))


def test_tables_are_merged_and_other_values_replaced(write):
    layers = merged(
        write,
        'title = "base"\n[train]\niterations = 1\nseed = 2\n[tracking.tags]\na = "1"\n[requires]\nplugins = ["x", "y"]\n',
        '[train]\nseed = 3\n[tracking.tags]\nb = "2"\n[requires]\nplugins = ["z"]\n',
    )
    assert layers.table == {
        "train": {"iterations": 1, "seed": 3},
        "tracking": {"tags": {"a": "1", "b": "2"}},
        "requires": {"plugins": ["z"]},
    }


def test_every_value_keeps_its_own_place(write):
    layers = merged(write, "[train]\niterations = 1\nseed = 2\n", "[train]\nseed = 3\n")
    places = {key: (place.file.name, place.line) for key, place in layers.places.items()}
    assert places["train", "iterations"] == ("base.toml", 2)
    assert places["train", "seed"] == ("recipe.toml", 3)
    assert ("extends",) not in places
    assert [document.path.name for document in layers.documents] == ["recipe.toml", "base.toml"]


def test_arrays_of_tables_are_replaced_whole_with_their_places(write):
    layers = merged(write, '[[loss]]\nuse = "a"\nweight = 2\n[[loss]]\nuse = "b"\n', '[[loss]]\nuse = "c"\n')
    assert layers.table["loss"] == [{"use": "c"}]
    assert ("loss", 1) not in layers.places
    assert ("loss", 0, "weight") not in layers.places


def test_what_describes_the_base_is_not_inherited(write):
    base = 'title = "base"\ndescription = "The base."\n[[expect]]\nmetric = "modes"\nabove = 1\n[train]\nseed = 2\n'
    layers = merged(write, base, "[train]\niterations = 1\n")

    assert layers.table == {"train": {"iterations": 1, "seed": 2}}
    assert {key[0] for key in layers.places} == {"train"}
    assert merged(write, base, 'title = "top"\n').table["title"] == "top"


@pytest.mark.parametrize(
    ("texts", "table"),
    [
        (["generator.use=cgan-mlp"], {"use": "cgan-mlp", "optimizer": {"use": "adam", "betas": [0, 1], "lr": 1}}),
        (
            ["generator.use=cgan-mlp", "generator.params.hidden=[4]"],
            {"use": "cgan-mlp", "params": {"hidden": [4]}, "optimizer": {"use": "adam", "betas": [0, 1], "lr": 1}},
        ),
        (
            ["generator.use=mlp"],
            {"use": "mlp", "params": {"hidden": [8]}, "optimizer": {"use": "adam", "betas": [0, 1], "lr": 1}},
        ),
        (["generator.optimizer.use=sgd"], {"use": "mlp", "params": {"hidden": [8]}, "optimizer": {"use": "sgd"}}),
    ],
    ids=["another", "another with params", "the same", "optimizer"],
)
def test_a_set_use_drops_what_an_extending_recipe_would_drop(write, texts, table):
    path = write(
        '[generator]\nuse = "mlp"\nparams = { hidden = [8] }\noptimizer = { use = "adam", betas = [0, 1], lr = 1 }\n'
        '[[loss]]\nuse = "a"\nparams = { b = 1 }\n'
    )
    merged, problems = apply_overrides(load_chain(path), [*texts, "loss[0].use=c"])

    assert problems == []
    assert merged.table["generator"] == table
    assert merged.table["loss"] == [{"use": "c"}]
    assert ("loss", 0, "params", "b") not in merged.places


def test_another_component_does_not_inherit_parameters_but_keeps_its_optimizer(write):
    layers = merged(
        write,
        '[generator]\nuse = "mlp"\nparams = { hidden = [8] }\noptimizer = { lr = 1e-3 }\n',
        '[generator]\nuse = "cgan-mlp"\n',
    )
    assert layers.table["generator"] == {"use": "cgan-mlp", "optimizer": {"lr": 1e-3}}
    assert ("generator", "params", "hidden") not in layers.places


def test_the_same_component_inherits_parameters(write):
    layers = merged(write, '[generator]\nuse = "mlp"\nparams = { a = 1, b = 2 }\n', '[generator]\nuse = "mlp"\nparams.b = 3\n')
    assert layers.table["generator"]["params"] == {"a": 1, "b": 3}


def test_another_optimizer_and_another_curve_start_anew(write):
    layers = merged(
        write,
        '[generator]\noptimizer = { use = "adam", eps = 1 }\n[train]\nema_decay = { schedule = "linear", start = 1, end = 0 }\n',
        '[generator]\noptimizer.use = "sgd"\n[train]\nema_decay = { schedule = "exponential", start = 1, factor = 0.9 }\n',
    )
    assert layers.table["generator"]["optimizer"] == {"use": "sgd"}
    assert layers.table["train"]["ema_decay"] == {"schedule": "exponential", "start": 1, "factor": 0.9}


def test_a_table_replaces_a_number_and_the_reverse(write):
    layers = merged(write, "a = 1\nb = { c = 1 }\n", "a = { c = 1 }\nb = 1\n")
    assert layers.table == {"a": {"c": 1}, "b": 1}
    assert ("b", "c") not in layers.places


def test_bases_may_lie_below_and_extend_further(write):
    write("a = 1\nb = 1\nc = 1\n", "parts/first.toml")
    write('extends = "first.toml"\nb = 2\nc = 2\n', "parts/second.toml")
    assert load_chain(write('extends = "parts/second.toml"\nc = 3\n')).table == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../base.toml", "must name a file in the recipe's folder"),
        ("parts/../../base.toml", "must name a file in the recipe's folder"),
        ("/etc/passwd", "must name a file in the recipe's folder"),
        ("C:/base.toml", "must name a file in the recipe's folder"),
        ("..\\\\base.toml", "must name a file in the recipe's folder"),
        ("https://example.org/base.toml", "must name a file in the recipe's folder"),
        ("file:///etc/passwd", "must name a file in the recipe's folder"),
        ("", "must name a file in the recipe's folder"),
        ("nowhere.toml", "no such file"),
        (".", "no such file"),
    ],
)
def test_a_base_elsewhere_is_refused(write, name, message):
    write("a = 1", "../base.toml")
    problem = refusal(write(f'a = 1\nextends = "{name}"\n'))
    assert message in problem.message
    assert (problem.key, problem.line) == ("extends", 2)


@pytest.mark.parametrize("value", ["1", "[]", '["base.toml"]', "true", "{}"])
def test_a_base_that_is_no_text_is_refused(write, value):
    assert "must name a file" in refusal(write(f"extends = {value}\n")).message


def test_a_link_out_of_the_folder_is_refused(write, tmp_path):
    outside = write("a = 1", "outside/base.toml")
    recipe = write('extends = "base.toml"\n', "inside/recipe.toml")
    (tmp_path / "inside" / "base.toml").symlink_to(outside)
    assert "the recipe's folder" in refusal(recipe).message


def test_circles_are_reported_with_their_files(write):
    write('extends = "recipe.toml"\n', "base.toml")
    problem = refusal(write('extends = "base.toml"\n'))
    assert "in a cycle" in problem.message
    assert problem.file.name == "base.toml"
    assert "in a cycle" in refusal(write('extends = "self.toml"\n', "self.toml")).message


def test_long_chains_are_refused(write):
    for number in range(MAX_CHAIN + 1):
        write(f'extends = "{number + 1}.toml"\n', f"{number}.toml")
    assert f"more than {MAX_CHAIN} files extend" in refusal(write('extends = "1.toml"', "0.toml")).message


def test_a_base_that_is_not_toml_is_reported_with_its_own_file_and_line(write):
    write("a = 1\nb\n", "base.toml")
    problem = refusal(write('extends = "base.toml"\n'))
    assert (problem.file.name, problem.line) == ("base.toml", 2)


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
    assert str(read.place(key)) == "--set"


def test_the_last_of_two_wins(source):
    assert source("train.seed=1", "train.seed=2").recipe.train.seed == 2


def test_other_values_stay_where_they_were(source):
    read = source("train.seed=1")
    assert str(read.place("train.iterations")).endswith("recipe.toml:4")
    assert read.place("train.batch_size") is None


def test_what_was_replaced_is_forgotten(source):
    read = source("loss=[{ use = 'hinge' }]")
    assert [loss.use for loss in read.recipe.loss] == ["hinge"]
    assert str(read.place("loss[0].use")) == "--set"
    assert read.problem("loss[1].weight", "").line is None


@pytest.mark.parametrize(
    ("text", "key", "message", "hint"),
    [
        ("train.seed", "'train.seed'", "missing '='", "write --set key=value"),
        ('title="\udcff"', "'title=\"\\udcff\"'", "not UTF-8 text", None),
        ("=1", "'=1'", "missing key", "write --set key=value"),
        ("train..seed=1", "'train..seed=1'", "is not a dotted key", "write --set"),
        ("train.seed=", "train.seed", "--set without a value", "leave the key out"),
        ("title=two words", "title", "is not a TOML value", "title='\"two words\"'"),
        ("title=1\nseed = 2", "title", "is not a TOML value", "quotes"),
        ("pictures.gif=True", "pictures.gif", "is not a TOML value", "write it as TOML: --set pictures.gif=true"),
        ("pictures.gif=no", "pictures.gif", "is not a TOML value", "write true or false"),
        ("pictures.every=None", "pictures.every", "is not a TOML value", "leave the key out"),
        ("loss[2].weight=1", "loss[2].weight", "loss is a list of length 2; indices start at 0", "loss[0]"),
        ("loss.weight=1", "loss.weight", "loss is a list", "loss[0]"),
        ("train[0]=1", "train[0]", "train is a table, not a list", None),
        ("title.x=1", "title.x", "title is not a table", "--set title="),
        ("extends=other.toml", "extends", "--set cannot change this key", "write a recipe file"),
        ("a" + ".a" * 100_000 + "=1", repr("a" + ".a" * 29 + "…"), "nested deeper", None),
        ("train.seed=" + "[" * 100_000, "train.seed", "is not a TOML value", None),
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
    assert (problem.key, problem.message, problem.file) == ("train.iterations", "must be an integer, got 'ten'", None)


@pytest.mark.parametrize(
    ("texts", "key"),
    [
        (("health.collapse.warn=0.1",), "health.collapse.warn"),
        (("health.collapse.warn=0.1", "health.collapse.enabled=true"), "health.collapse.warn"),
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


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("generator.params.hidden=8,8", [8, 8]),
        ("generator.params.hidden=8, 8,", [8, 8]),
        ("generator.params.hidden=(8, 8)", [8, 8]),
        ("generator.params.names=[a,b]", ["a", "b"]),
        ("generator.params.names=['a',b]", ["a", "b"]),
        ("generator.params.slope=.5", 0.5),
        ("generator.params.slope=1.", 1.0),
        ("generator.params.slope=-.5e-3", -0.0005),
        ("dataset.standardise=True", True),
        ("train.ema_decay={schedule=linear, start=.5, end=1}", {"schedule": "linear", "start": 0.5, "end": 1}),
        ("generator.params.file=~/it's here.csv", "~/it's here.csv"),
        ("generator.params.file=/data/a.csv", "/data/a.csv"),
        ("generator.params.text=a, b", "a, b"),
        ("generator.params.text=it's", "it's"),
        ("generator.params.text=none", "none"),
        ("generator.params.text=yes", "yes"),
    ],
)
def test_the_remedy_for_a_value_that_is_not_toml_can_be_copied(source, override, value):
    key, _, _ = override.partition("=")
    (problem,) = source(override).problems
    assert problem.message.endswith("is not a TOML value")

    _, copied = shlex.split(problem.hint[problem.hint.index("--set") :])
    assert source(copied).value(key) == value


@pytest.mark.parametrize(
    ("override", "copied"),
    [
        ("train.iterations=1e2", "train.iterations=100"),
        ("train.iterations=64.0", "train.iterations=64"),
        ('generator="mlp"', "generator.use = 'mlp'"),
        ("loss.weight=2", "loss[0].weight"),
        ("loss[7].weight=2", "loss[0].weight"),
        ("train[0]=1", "train"),
    ],
)
def test_the_hint_for_a_value_of_another_type_is_right(source, override, copied):
    (problem,) = source(override).problems
    assert copied.partition("=")[2].strip() in problem.hint
    assert copied.partition("=")[0].strip() in f"{problem.key} {problem.hint}"


@pytest.mark.parametrize(
    ("override", "key", "hint"),
    [
        ("a.b.c=1", "a", "known keys: "),
        ("train.b.c=1", "train.b", "known keys: "),
        ("train.lr=1", "train.lr", "the keys are generator.optimizer.lr and discriminator.optimizer.lr"),
        ("train.epochs=1", "train.epochs", "the key is train.iterations"),
        ("lr=1", "lr", "the keys are generator.optimizer.lr and discriminator.optimizer.lr"),
        ("seed=1", "seed", "did you mean train.seed?"),
        ("batch_size=1", "batch_size", "did you mean train.batch_size?"),
        ("train.device=cuda", "train.device", "use the option --device cuda"),
        ("generator.hidden=[8]", "generator.hidden", "into its params table: generator.params.hidden"),
        ("train.Batch-Size=1", "train.Batch-Size", "did you mean 'batch_size'?"),
    ],
)
def test_an_unknown_key_of_set_is_reported_there_with_the_key_that_was_meant(source, override, key, hint):
    (problem,) = source(override).problems
    assert (problem.file, problem.key, problem.message) == (None, key, "unknown key")
    assert hint in problem.hint

    for meant in re.findall(r"\w+(?:\[0\])?(?:\.\w+)+", problem.hint):
        assert "unknown key" not in [problem.message for problem in source(f"{meant}=[8]").problems]


def test_words_of_other_programs_mean_keys_that_exist():
    from ganforge.recipe.config import Recipe

    keys = {format_key(key) for key in _key_paths(Recipe, ())}
    meant = {key for keys in OTHER_WORDS.values() for key in keys if not key.startswith("--")}
    assert meant - keys == {"sampler.params.size"}  # of the component


def test_all_bad_overrides_are_reported_at_once(source):
    assert len(source("x", "train.seed=", "train.batch_size=0").problems) == 3


def test_the_file_is_left_alone(write, whole):
    path = write(whole)
    assert read_recipe(path, ["train.seed=1"]).text == whole == path.read_text()
