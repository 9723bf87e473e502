"""Wrong recipes in plain words: every problem at once, each at its place."""

import pytest

from ganforge.core.errors import RecipeError
from ganforge.core.params import Schedule
from ganforge.recipe.reader import MAX_PROBLEMS, read_recipe


@pytest.fixture
def problems(write, whole):
    """The problems of the whole recipe with one text replaced by another."""

    def problems(old, new):
        assert old in whole
        return read_recipe(write(whole.replace(old, new, 1))).problems

    return problems


def test_a_right_recipe_is_read(write, whole):
    source = read_recipe(write(whole))
    recipe = source.recipe
    assert recipe.train.iterations == 20
    assert recipe.generator.params == {"hidden": [16, 16]}
    assert recipe.loss[1].weight == Schedule(schedule="exponential", start=0.5, end=0.01)
    assert source.problems == ()
    assert source.text == whole


def test_places_and_origins(write, whole):
    path = write(whole)
    source = read_recipe(str(path))
    keys = ("train.iterations", "loss[1].weight.start", "train.seed", "checkpoints.keep")
    assert [source.problem(key, "").line for key in keys] == [4, 27, 3, None]
    assert source.problem("train.seed", "").file == path
    assert str(source.place("train.iterations")) == f"{path}:4"
    assert source.place("train.seed") is None
    assert source.value("loss[0].use") == "non-saturating"
    assert source.value("loss[0].nothing") is None


@pytest.mark.parametrize(
    ("old", "new", "key", "message", "hint"),
    [
        ("iterations = 20", 'iterations = "ten"', "train.iterations", "must be an integer, got 'ten'", None),
        ("iterations = 20", 'iterations = "20"', "train.iterations", "must be an integer, got '20'", "drop the quotes"),
        ("iterations = 20", "iterations = 20.0", "train.iterations", "must be an integer, got 20.0", "write 20"),
        ("iterations = 20", "iterations = true", "train.iterations", "must be an integer, got true", None),
        ("iterations = 20", "iterations = 0", "train.iterations", "must be at least 1, got 0", None),
        ("iterations = 20", "iterations = [20]", "train.iterations", "must be an integer, got a list", None),
        ("iterations = 20", "iterations = {}", "train.iterations", "must be an integer, got a table", None),
        ("iterations = 20", "", "train.iterations", "is missing", "add iterations = … to train"),
        ("iterations = 20", "iterations = 20\nepochs = 1", "train.epochs", "unknown key", "the key is train.iterations"),
        ("iterations = 20", "iterations = 20\nsede = 1", "train.sede", "unknown key", "did you mean 'seed'?"),
        ("iterations = 20", "iterations = 1e400", "train.iterations", "must be a finite number, got inf", None),
        ("iterations = 20", "iterations = nan", "train.iterations", "must be a finite number, got nan", None),
        ("iterations = 20", f"iterations = {2**64}", "train.iterations", "integers must fit into 64 bits", None),
        ("iterations = 20", "iterations = 2024-05-01", "train.iterations", "dates are not allowed", '"2024-05-01"'),
        ("iterations = 20", "iterations = 20\nema_decay = -inf", "train.ema_decay", "must be a finite number, got -inf", None),
        (
            "iterations = 20",
            'iterations = 20\nema_decay = "x"',
            "train.ema_decay",
            "must be a number or a schedule table, got 'x'",
            None,
        ),
        (
            "iterations = 20",
            "iterations = 20\nema_decay = []",
            "train.ema_decay",
            "must be a number or a schedule table, got an empty list",
            None,
        ),
        (
            "iterations = 20",
            'iterations = 20\nupdates = "simultaneus"',
            "train.updates",
            'must be one of "alternating", "simultaneous", got \'simultaneus\'',
            "did you mean 'simultaneous'?",
        ),
        (
            "iterations = 20",
            'iterations = 20\nupdates = "simultaneous"\ndiscriminator_steps = 2',
            "train",
            "simultaneous updates allow one discriminator step",
            None,
        ),
        ('title = "Two moons"', "title = 3", "title", "must be text in quotes, got 3", None),
        ('title = "Two moons"', "titel = 'x'", "titel", "unknown key", "did you mean 'title'?"),
        ("[dataset]", "[checkpoints]\nkeep = []\n[dataset]", "checkpoints.keep", "must be an integer, got an empty list", None),
        ("[dataset]", "pictures = 1\n[dataset]", "train.pictures", "unknown key", None),
        ('use = "moons"', 'use = ""', "dataset.use", "must not be empty", None),
        ('use = "moons"', "", "dataset.use", "is missing", "add use = … to dataset"),
        (
            'use = "moons"',
            'use = "moons"\nnoise = 1',
            "dataset.noise",
            "unknown key",
            "put a component's own parameters into its params table",
        ),
        ("params = { samples = 200 }", "params = 3", "dataset.params", "must be a table, got 3", None),
        ("params = { samples = 200 }", "standardise = 1", "dataset.standardise", "must be true or false, got 1", None),
        (
            "params = { samples = 200 }",
            'standardise = "true"',
            "dataset.standardise",
            "must be true or false, got 'true'",
            "drop the quotes",
        ),
        (
            'use = "adam", lr',
            'use = "adamm", lr',
            "generator.optimizer.use",
            'must be one of "adam", "adamw", "sgd", "rmsprop", got \'adamm\'',
            "did you mean 'adam'?",
        ),
        (
            'use = "adam", lr',
            "use = 7, lr",
            "generator.optimizer.use",
            'must be one of "adam", "adamw", "sgd", "rmsprop", got 7',
            None,
        ),
        ('{ use = "adam", lr = 1e-3 }', '"adam"', "generator.optimizer", "must be a table, got 'adam'", "optimizer = { use ="),
        (
            "lr = 1e-3",
            "lr = 1e-3, betas = [0.5]",
            "generator.optimizer.betas[1]",
            "the list is too short: element 1 is missing",
            None,
        ),
        ("lr = 1e-3", "lr = 1e-3, betas = [0.5, 0.9, 1.0]", "generator.optimizer.betas", "length must be at most 2, got 3", None),
        (
            "lr = 1e-3",
            "lr = 1e-3, betas = 0.5",
            "generator.optimizer.betas",
            "must be a list, got 0.5",
            "write a list, such as [0.5]",
        ),
        ("lr = 1e-3", "lr = -1e-3", "generator.optimizer.lr", "must be at least 0, got -0.001", None),
        ("lr = 1e-3", "lr = 1e-3, betas = [0.5, 1.0]", "generator.optimizer.betas[1]", "must be below 1, got 1.0", None),
        ("iterations = 20", "iterations = 20\nema_decay = 1", "train.ema_decay", "must be at least 0 and below 1, got 1", None),
        (
            "end = 0.01",
            "factor = 1e20",
            "loss[1].weight",
            "exceeds the range of numbers within 20 iterations",
            "1e+20 to the power of 20",
        ),
        (
            "iterations = 20",
            'iterations = 20\nema_decay = { schedule = "linear", start = 0.9, end = 1.0 }',
            "train.ema_decay",
            "must be at least 0 and below 1, got 1",
            None,
        ),
        ("lr = 1e-3", "lr = 1e-3, eps = 0", "generator.optimizer.eps", "must be above 0, got 0", None),
        (
            'use = "adam", lr',
            'use = "sgd", eps = 1, lr',
            "generator.optimizer.eps",
            "unknown key",
            "known keys: lr, momentum, use, weight_decay",
        ),
        ("start = 0.5", "strat = 0.5", "loss[1].weight.start", "is missing", None),
        (
            "end = 0.01",
            "end = 0.0",
            "loss[1].weight",
            "an exponential schedule needs 'start' and 'end' above 0; 'floor' may be 0",
            None,
        ),
        ('"exponential"', '"exponental"', "loss[1].weight.schedule", "must be one of", "did you mean 'exponential'?"),
    ],
)
def test_one_mistake_is_one_problem_at_its_place(problems, old, new, key, message, hint):
    found = {problem.key: problem for problem in problems(old, new)}
    assert key in found
    assert message in found[key].message
    assert hint is None or hint in found[key].hint
    assert found[key].line is not None
    # A misspelt key is unknown under one name and missing under the other.
    assert len(found) == (2 if "strat" in new else 1)


@pytest.mark.parametrize(
    ("start", "name", "header"),
    [
        ("[sampler]", "sampler", "[sampler]"),
        ("[dataset]", "dataset", "[dataset]"),
    ],
)
def test_a_missing_table_is_reported_with_its_beginning(write, whole, start, name, header):
    begin = whole.index(start)
    end = whole.index("\n[", begin + 1)
    (problem,) = read_recipe(write(whole[:begin] + whole[end + 1 :])).problems
    assert problem.key == name
    assert problem.message == f"the recipe has no {header} table"
    assert problem.hint.startswith(f"add {header} with use = ")


def test_one_loss_written_as_a_table_is_reported(write, whole):
    text = whole[: whole.index("[[loss]]")] + '[loss]\nuse = "hinge"\n'
    (problem,) = read_recipe(write(text)).problems
    assert problem.message == "must be a list of tables, got one table: write [[loss]]"


def test_all_problems_come_at_once_in_the_order_of_the_file(write):
    text = """\
[train]
iterations = 0
[generator]
use = "mlp"
optimizer = { use = "adam", betas = ["a", 0.9] }
[[loss]]
weight = true
"""
    source = read_recipe(write(text), ["pictures.every=0"])
    assert [(problem.key, problem.line) for problem in source.problems] == [
        ("train.iterations", 2),
        ("generator.optimizer.betas[0]", 5),
        ("loss[0].use", 6),
        ("loss[0].weight", 7),
        ("dataset", None),
        ("sampler", None),
        ("pictures.every", None),
    ]
    with pytest.raises(RecipeError) as caught:
        _ = source.recipe
    assert caught.value.problems == source.problems
    assert caught.value.exit_code == 2
    assert str(caught.value).count("\n") == 6


def test_problems_of_a_base_stand_in_the_base(write, whole):
    base = write(whole.replace("20", "0", 1), "base.toml")
    (problem,) = read_recipe(write('extends = "base.toml"\n')).problems
    assert (problem.file, problem.line) == (base, 4)


def test_messages_show_no_control_characters_and_no_endless_texts(write, whole):
    text = whole.replace('"Two moons"', '1\n"\\u001b[31m" = 1', 1).replace("20", '"' + "x" * 100_000 + '\\u0007"', 1)
    messages = "\n".join(map(str, read_recipe(write(text)).problems))
    assert len(messages) < 3000
    assert "\x1b" not in messages
    assert "\x07" not in messages


@pytest.mark.slow
def test_a_flood_of_problems_is_cut_in_linear_time(write, whole, growth):
    def flood(count):
        return read_recipe(write(whole + "[tracking]\n" + "\n".join(f"iteration{n} = 1" for n in range(count)))).problems

    problems = flood(5_000)
    assert len(problems) == MAX_PROBLEMS + 1
    assert "not shown" in problems[-1].message
    assert growth(flood, 1_250, 5_000) < 10
