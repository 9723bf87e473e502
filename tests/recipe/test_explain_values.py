import pytest
from pydantic import Field

from ganforge.core.errors import UsageError
from ganforge.core.params import NoParams, Params
from ganforge.recipe.layers import Place
from ganforge.recipe.reader import explain_values, read_recipe, select_values
from ganforge.recipe.toml_file import format_key

BASE = """\
title = "Base"

[train]
iterations = 20
seed = 3

[dataset]
use = "moons"

[sampler]
use = "normal"
params = { size = 3 }

[generator]
use = "mlp"
params = { hidden = [16, 16], inner = { depth = 2 } }

[discriminator]
use = "mlp"

[[loss]]
use = "non-saturating"

[[loss]]
use = "r1"
weight = { schedule = "exponential", start = 0.5, end = 0.01 }

[[metric]]
use = "wasserstein"
"""

TOP = """\
extends = "base.toml"
[train]
seed = 4
[generator.optimizer]
lr = 1e-3
"""


class Inner(Params):
    depth: int = 1
    """How deep."""
    width: int = 7
    """How
    wide."""


class MlpParams(Params):
    hidden: tuple[int, ...] = (128,)
    """Units."""
    slope: float | None = None
    """Slope."""
    inner: Inner = Field(default_factory=Inner)
    """The core."""


@pytest.fixture
def explained(tmp_path):
    """Explains the extension, by key."""
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "top.toml").write_text(TOP)

    def explained(*overrides):
        source = read_recipe(tmp_path / "top.toml", overrides)
        generator = MlpParams.model_validate({"hidden": (16, 16), "inner": Inner(depth=2)})
        owners = {"generator": ("acme/mlp@2", generator), "metric[0]": ("acme/wasserstein@1", NoParams())}
        values = explain_values(source, source.recipe, owners)
        return {format_key(value.key): value for value in values}

    return explained


def test_values_come_from_the_file_and_line_that_gave_them(explained, tmp_path):
    values = explained()
    for key, value, file, line in [
        ("train.iterations", 20, "base.toml", 4),
        ("train.seed", 4, "top.toml", 3),
        ("generator.use", "mlp", "base.toml", 15),
        ("generator.params.hidden", [16, 16], "base.toml", 16),
        ("generator.params.inner.depth", 2, "base.toml", 16),
        ("generator.optimizer.lr", 0.001, "top.toml", 5),
        ("loss[1].weight.end", 0.01, "base.toml", 26),
    ]:
        assert (values[key].value, values[key].place) == (value, Place(tmp_path / file, line)), key
        assert values[key].origin == f"{tmp_path / file}:{line}"
        assert values[key].default_of is None


@pytest.mark.parametrize(
    ("key", "value", "owner"),
    [
        ("description", None, "the recipe"),
        ("train.batch_size", 64, "[train]"),
        ("dataset.standardise", False, "[dataset]"),
        ("generator.params.slope", None, "acme/mlp@2"),
        ("generator.params.inner.width", 7, "acme/mlp@2"),
        ("generator.optimizer.use", "adam", "[generator]"),
        ("generator.optimizer.betas", [0.5, 0.999], "adam"),
        ("loss[0].weight", 1.0, "[[loss]]"),
        ("loss[1].weight.until", 1.0, "a schedule"),
        ("metric[0].name", None, "acme/wasserstein@1"),
        ("metric[0].samples", None, "[[metric]]"),
        ("pictures.gif", True, "[pictures]"),
        ("requires.plugins", [], "[requires]"),
    ],
)
def test_what_is_not_given_says_whose_default_it_is(explained, key, value, owner):
    found = explained()[key]
    assert (found.value, found.default_of, found.origin) == (value, owner, f"default of {owner}")
    assert found.place is None


def test_overrides_are_reported(explained):
    values = explained(
        "train.seed=7", "generator.optimizer={ lr = 1 }", "train.ema_decay={ schedule = 'linear', start = 0, end = 0.9 }"
    )
    assert {key for key, value in values.items() if value.origin == "--set"} == {
        "train.seed",
        "generator.optimizer.lr",
        "train.ema_decay.schedule",
        "train.ema_decay.start",
        "train.ema_decay.end",
    }


def test_what_a_table_given_by_an_override_leaves_out_is_a_default(explained):
    values = explained("train={ iterations = 5 }")
    assert values["train.iterations"].origin == "--set"
    assert values["train.seed"].origin == "default of [train]"


def test_descriptions_are_on_one_line(explained):
    assert explained()["generator.params.inner.width"].description == "How wide."


@pytest.mark.parametrize(
    ("key", "chosen"),
    [
        ("train.seed", ["train.seed"]),
        ("loss[0]", ["loss[0].use", "loss[0].params", "loss[0].weight", "loss[0].every"]),
        ("loss.1.weight.start", ["loss[1].weight.start"]),
        ('generator."optimizer".lr', ["generator.optimizer.lr"]),
        ("requires", ["requires.ganforge", "requires.plugins"]),
    ],
)
def test_keys_choose_what_is_at_them_or_below(explained, key, chosen):
    assert [format_key(value.key) for value in select_values(list(explained().values()), key)] == chosen


@pytest.mark.parametrize(
    ("key", "messages"),
    [
        ("train.sed", "did you mean 'train.seed'?"),
        ("loss[7]", "did you mean 'loss["),
        ("x" * 200, "tables: title, description, train"),
        ("train..seed", "write it as in train.seed"),
        ("", "write it as in train.seed"),
        ("." * 2000, "write it as in train.seed"),
    ],
)
def test_unknown_keys_are_refused(explained, key, messages):
    with pytest.raises(UsageError) as refused:
        select_values(list(explained().values()), key)
    assert messages in refused.value.remedy
    assert len(str(refused.value)) < 400
