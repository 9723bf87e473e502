"""Recipes laid over others: what is merged, what is replaced, and where everything stands."""

import pytest

from ganforge.core.errors import RecipeError
from ganforge.recipe.inheritance import MAX_CHAIN, load_chain


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
        "title": "base",
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
        '[generator]\noptimizer = { use = "adam", eps = 1 }\n[train]\naverage = { schedule = "linear", start = 1, end = 0 }\n',
        '[generator]\noptimizer.use = "sgd"\n[train]\naverage = { schedule = "exponential", start = 1, factor = 0.9 }\n',
    )
    assert layers.table["generator"]["optimizer"] == {"use": "sgd"}
    assert layers.table["train"]["average"] == {"schedule": "exponential", "start": 1, "factor": 0.9}


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
        ("../base.toml", "must lie in the recipe's own folder"),
        ("parts/../../base.toml", "must lie in the recipe's own folder"),
        ("/etc/passwd", "must be a relative path"),
        ("C:/base.toml", "must be a relative path"),
        ("..\\\\base.toml", "must be a relative path"),
        ("https://example.org/base.toml", "must be a local file"),
        ("file:///etc/passwd", "must be a local file"),
        ("", "must be the name of a file"),
        ("nowhere.toml", "there is no file"),
        (".", "there is no file"),
    ],
)
def test_a_base_elsewhere_is_refused(write, name, message):
    write("a = 1", "../base.toml")
    problem = refusal(write(f'a = 1\nextends = "{name}"\n'))
    assert message in problem.message
    assert (problem.key, problem.line) == ("extends", 2)


@pytest.mark.parametrize("value", ["1", "[]", '["base.toml"]', "true", "{}"])
def test_a_base_that_is_no_text_is_refused(write, value):
    assert "name of a file" in refusal(write(f"extends = {value}\n")).message


def test_a_link_out_of_the_folder_is_refused(write, tmp_path):
    outside = write("a = 1", "outside/base.toml")
    recipe = write('extends = "base.toml"\n', "inside/recipe.toml")
    (tmp_path / "inside" / "base.toml").symlink_to(outside)
    assert "own folder" in refusal(recipe).message


def test_circles_are_told_with_their_files(write):
    write('extends = "recipe.toml"\n', "base.toml")
    problem = refusal(write('extends = "base.toml"\n'))
    assert "in a circle" in problem.message
    assert problem.file.name == "base.toml"
    assert "in a circle" in refusal(write('extends = "self.toml"\n', "self.toml")).message


def test_long_chains_are_refused(write):
    for number in range(MAX_CHAIN + 1):
        write(f'extends = "{number + 1}.toml"\n', f"{number}.toml")
    assert f"more than {MAX_CHAIN} files" in refusal(write('extends = "1.toml"', "0.toml")).message


def test_a_base_that_is_not_toml_is_told_with_its_own_file_and_line(write):
    write("a = 1\nb\n", "base.toml")
    problem = refusal(write('extends = "base.toml"\n'))
    assert (problem.file.name, problem.line) == ("base.toml", 2)
