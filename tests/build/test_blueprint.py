"""Blueprints: every component found and judged, every problem at once, and a resolved recipe that means the same everywhere."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field, model_validator

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.lock import make_lock
from ganforge.core.errors import PluginError, RecipeError
from ganforge.core.params import Params
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_writer import to_plain, to_toml
from ganforge.registry.component import Kind

ROOT = Path(__file__).parents[2]
RECIPES = sorted(ROOT.glob("recipes/**/*.toml"))


def problems(source, registry):
    with pytest.raises(RecipeError) as caught:
        resolve_recipe(source, registry)
    return caught.value.problems


class Strange(Params):
    depth: int = Field(2, ge=1)
    rate: float | None = None
    limit: float = float("inf")


class Raising(Params):
    depth: int = 2

    @model_validator(mode="after")
    def _fail(self):
        raise ZeroDivisionError("their bug")


def test_every_part_is_found_with_its_params_and_key(source, registry):
    blueprint = resolve_recipe(source(), registry)
    assert [(part.key, part.component.id) for part in blueprint.parts] == [
        ("game", "ganforge/two-player"),
        ("dataset", "ganforge/moons"),
        ("sampler", "ganforge/normal"),
        ("generator", "ganforge-vanilla/mlp"),
        ("discriminator", "ganforge-vanilla/mlp"),
        ("loss[0]", "ganforge/non-saturating"),
        ("metric[0]", "ganforge/wasserstein"),
    ]
    assert blueprint.networks["generator"].params.hidden == (16, 16)
    assert blueprint.recipe.generator.params == {"hidden": [16, 16]}
    assert blueprint.specs.data.shape == (2,)
    assert blueprint.specs.latent.noise == 3
    assert blueprint.warnings == ()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(ROOT / "recipes").as_posix())
def test_shipped_recipes_are_right(path, registry, tmp_path):
    blueprint = resolve_recipe(read_recipe(path), registry)
    assert blueprint.warnings == ()

    written = tmp_path / "resolved.toml"
    written.write_text(to_toml(to_plain(blueprint.resolved)))
    again = resolve_recipe(read_recipe(written), registry)
    assert again.recipe == blueprint.resolved == again.resolved
    assert make_lock(again) == make_lock(blueprint)
    assert [part.params for part in again.parts] == [part.params for part in blueprint.parts]


def test_the_resolved_recipe_holds_full_ids_and_every_default(source, registry):
    resolved = resolve_recipe(source(), registry).resolved
    assert resolved.generator.use == "ganforge-vanilla/mlp@1"
    assert resolved.generator.params["activation"] == "leaky-relu"
    assert resolved.dataset.params == {"samples": 200, "noise": 0.05}
    assert resolved.metric[0].name == "wasserstein"


def test_defaults_that_toml_cannot_say_are_left_out(source, beside, component):
    registry = beside(component("generator", "strange", params=Strange))
    resolved = resolve_recipe(
        source(('use = "mlp"\nparams = { hidden = [16, 16] }', 'use = "acme-gan/strange"')), registry
    ).resolved
    assert resolved.generator.params == {"depth": 2}


def test_the_lock_names_what_the_run_is_made_of(source, registry):
    lock = make_lock(resolve_recipe(source(), registry)).to_plain()
    assert lock["components"][3] == {
        "key": "generator",
        "kind": "generator",
        "id": "ganforge-vanilla/mlp",
        "revision": 1,
        "distribution": "ganforge-vanilla",
        "version": registry.find(Kind.GENERATOR, "mlp").plugin.version,
    }
    assert len(lock["fingerprint"]) == 64


def test_the_fingerprint_does_not_depend_on_how_much_is_spelt_out(source, registry):
    short = make_lock(resolve_recipe(source(), registry)).fingerprint
    long = resolve_recipe(
        source(('use = "mlp"', 'use = "ganforge-vanilla/mlp"'), ("samples = 200", "samples = 200, noise = 0.05")), registry
    )
    other = resolve_recipe(source(("samples = 200", "samples = 201")), registry)
    assert make_lock(long).fingerprint == short
    assert make_lock(other).fingerprint != short


def test_problems_of_schema_components_params_and_agreement_come_in_one_report(source, registry):
    found = problems(
        source(
            ("iterations = 20", 'iterations = "20"'),
            ('use = "moons"', 'use = "mons"'),
            ("size = 3", "sise = 3"),
            ("hidden = [16, 16]", 'hidden = [16, "x"], dropout = 2'),
            ('use = "non-saturating"', 'use = "mutual-information"'),
        ),
        registry,
    )
    assert [(problem.line, problem.key) for problem in found] == [
        (4, "train.iterations"),
        (7, "dataset.use"),
        (12, "sampler.params.sise"),
        (12, "sampler.params.size"),
        (16, "generator.params.dropout"),
        (16, "generator.params.hidden[1]"),
        (19, "discriminator.use"),
    ]
    messages = {problem.key: problem for problem in found}
    assert "did you mean 'moons'?" in messages["dataset.use"].hint
    assert messages["sampler.params.sise"].hint == "did you mean 'size'?"
    assert messages["generator.params.hidden[1]"].message == "must be an integer, got 'x'"
    assert messages["generator.params.dropout"].message == "must be below 1, got 2"
    assert messages["discriminator.use"].hint == 'set discriminator.use = "infogan-mlp"'


@pytest.mark.parametrize(
    ("old", "new", "key", "message", "hint"),
    [
        ('use = "moons"', 'use = "mons"', "dataset.use", "no dataset named 'mons'", "did you mean 'moons'?"),
        ('use = "moons"', 'use = "mlp"', "dataset.use", "no dataset named 'mlp'", "'mlp' is a discriminator and an encoder"),
        ('use = "moons"', 'use = "moons@9"', "dataset.use", "is installed in revision 1, not 9", "moons@1"),
        ('use = "moons"', 'use = "a b"', "dataset.use", "is not a valid name of a dataset", "write name"),
        ('use = "moons"', 'use = "os.system"', "dataset.use", "no dataset named 'os.system'", "installed datasets"),
        ('use = "moons"', 'use = "acme-gan/moons"', "dataset.use", "no dataset named 'acme-gan/moons'", "installed datasets"),
        ("size = 3", "", "sampler.params.size", "is missing", "add size"),
        ("samples = 200", "samples = 1", "dataset.params.samples", "must be at least 2, got 1", None),
        ("samples = 200", "samples = nan", "dataset.params.samples", "must be a finite number", None),
    ],
)
def test_one_mistake_is_one_problem(source, registry, old, new, key, message, hint):
    (problem,) = problems(source((old, new)), registry)
    assert problem.key == key
    assert message in problem.message
    assert hint is None or hint in problem.hint
    assert problem.line


@pytest.mark.parametrize(
    ("old", "new", "key", "message", "hint"),
    [
        ('[discriminator]\nuse = "mlp"\n', "", "discriminator", "no [discriminator] table", '[discriminator] with use = "mlp"'),
        ('[[loss]]\nuse = "non-saturating"\n', "", "loss", "the recipe has no [[loss]] table", "[[loss]] with use"),
        ("[[loss]]", '[encoder]\nuse = "mlp"\n[[loss]]', "encoder", "the game has no network 'encoder'", "[generator]"),
        ("[[loss]]", '[networks.a]\nuse = "mlp"\n[[loss]]', "networks.a", "the game has no network 'a'", "[discriminator]"),
        ("[[loss]]", '[game]\nuse = "chess"\n[[loss]]', "game.use", "no game named 'chess'", "two-player"),
    ],
)
def test_a_recipe_has_the_tables_that_its_game_needs(source, registry, old, new, key, message, hint):
    (problem,) = problems(source((old, new)), registry)
    assert problem.key == key
    assert message in problem.message
    assert hint in problem.hint


def test_steps_of_a_discriminator_need_one(registry, tmp_path):
    text = (ROOT / "recipes" / "smoke" / "vae_moons.toml").read_text()
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace("batch_size = 16", "batch_size = 16\ndiscriminator_steps = 5"))
    (problem,) = problems(read_recipe(path), registry)
    assert (problem.key, problem.message) == ("train.discriminator_steps", "game 'vae' has no player 'discriminator'")


def test_a_component_of_a_plugin_that_failed_is_reported_with_the_original_error(source, beside):
    with pytest.raises(PluginError, match="ModuleNotFoundError: einops") as caught:
        resolve_recipe(source(('use = "mlp"', 'use = "other-gan/unet"')), beside(broken=["other-gan"]))
    assert caught.value.exit_code == 3


def test_a_failed_plugin_that_no_one_needs_costs_nothing(source, beside):
    assert resolve_recipe(source(), beside(broken=["other-gan"]))


def test_an_unknown_name_mentions_plugins_that_failed(source, beside):
    (problem,) = problems(source(('use = "mlp"', 'use = "unet"')), beside(broken=["other-gan"]))
    assert "other-gan (ModuleNotFoundError: einops)" in problem.hint


def test_a_failed_plugin_is_reported_among_the_recipe_s_own_problems(source, beside):
    found = problems(
        source(('use = "mlp"', 'use = "other-gan/unet"'), ("iterations = 20", "iterations = 0")), beside(broken=["other-gan"])
    )
    assert [problem.key for problem in found] == ["train.iterations", "generator.use"]
    assert "einops" in found[1].message


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"params": "acme_missing:Params"}, "cannot load acme_missing:Params: ModuleNotFoundError"),
        ({"params": Raising}, "its params model failed: ZeroDivisionError: their bug"),
        ({"needs": ("acme_missing",)}, "needs acme_missing"),
    ],
)
def test_a_component_that_fails_by_itself_is_its_plugin_s_fault(source, beside, component, facts, message):
    registry = beside(component("generator", "strange", **facts))
    with pytest.raises(PluginError, match=message):
        resolve_recipe(source(('use = "mlp"\nparams = { hidden = [16, 16] }', 'use = "strange"')), registry)


def test_a_spec_function_that_fails_is_its_plugin_s_fault(source, beside, component):
    def spec(params):
        raise KeyError("their bug")

    registry = beside(component("dataset", "strange", spec=spec))
    with pytest.raises(PluginError, match="its spec function failed: KeyError"):
        resolve_recipe(source(('use = "moons"\nparams = { samples = 200 }', 'use = "strange"')), registry)


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ('ganforge = ">=99"', "requires.ganforge", "the recipe needs ganforge >=99"),
        ('ganforge = "newest"', "requires.ganforge", "'ganforge newest' is not a requirement"),
        ('plugins = ["ganforge-vanilla>=99"]', "requires.plugins[0]", "the recipe needs ganforge-vanilla >=99, installed is"),
        ('plugins = ["acme-absent-gan"]', "requires.plugins[0]", "the plugin acme-absent-gan is not installed"),
        ('plugins = ["ganforge-vanilla", "a b"]', "requires.plugins[1]", "'a b' is not a requirement"),
        ('plugins = ["x @ https://example.org/x.whl"]', "requires.plugins[0]", "only a name and versions"),
        ("plugins = [\"ganforge-vanilla; python_version > '3'\"]", "requires.plugins[0]", "only a name and versions"),
        ("plugins = [1]", "requires.plugins[0]", "must be text in quotes"),
    ],
)
def test_what_a_recipe_requires_is_checked(source, registry, line, key, message):
    (problem,) = problems(source(more=f"[requires]\n{line}\n"), registry)
    assert problem.key == key
    assert message in problem.message


def test_what_is_required_and_there_is_fine(source, registry):
    assert resolve_recipe(
        source(more='[requires]\nganforge = ">=0.1"\nplugins = ["ganforge-vanilla>=0.1", "Ganforge_Vanilla"]\n'), registry
    )


def test_no_command_to_install_is_made_from_what_a_recipe_says(source, registry):
    (problem,) = problems(source(more='[requires]\nplugins = ["acme-absent-gan"]\n'), registry)
    assert "pip" not in str(problem)


def test_a_required_plugin_that_failed_is_reported_with_the_original_error(source, beside):
    with pytest.raises(PluginError, match=r"pluggy .* is broken: ModuleNotFoundError: einops"):
        resolve_recipe(source(more='[requires]\nplugins = ["pluggy"]\n'), beside(broken=["pluggy"]))


def test_a_deprecated_component_warns(source, beside, component):
    registry = beside(component("loss", "old", deprecated="use 'hinge'", tags=frozenset({"adversarial"})))
    (warning,) = resolve_recipe(source(('use = "non-saturating"', 'use = "old"')), registry).warnings
    assert (warning.key, warning.line, warning.hint) == ("loss[0].use", 22, "use 'hinge'")


def test_resolving_imports_no_torch():
    code = f"""
import sys
from ganforge.build.blueprint import resolve_recipe
from ganforge.build.lock import make_lock
from ganforge.registry.plugin_loader import load_plugins
from ganforge.recipe.reader import read_recipe
for path in {[str(path) for path in RECIPES]!r}:
    make_lock(resolve_recipe(read_recipe(path), load_plugins()))
sys.exit(", ".join({{"torch", "mlflow", "numpy"}} & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
