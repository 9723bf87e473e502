"""Bands that a recipe expects are of metrics that it measures, and optional metrics may be missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.errors import IncompatiblePartsError, RecipeError
from ganforge.recipe.reader import read_recipe

RECIPE = """
[train]
iterations = 2
[dataset]
use = "ring"
[sampler]
use = "normal"
params = { size = 2 }
[generator]
use = "mlp"
[discriminator]
use = "mlp"
[[loss]]
use = "non-saturating"
[[metric]]
use = "modes"
samples = 20
"""


@pytest.fixture
def blueprint(registry, tmp_path):
    def blueprint(extra, *overrides):
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE + extra)
        return resolve_recipe(read_recipe(path, overrides), registry)

    return blueprint


def built(blueprint):
    folder = blueprint.source.path.parent
    return build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(folder, folder))


def band(metric, **more):
    lines = [f"{key} = {value}" for key, value in {"max": 1.0, **more}.items()]
    return "\n".join(["[[expect]]", f'metric = "{metric}"', *lines, ""])


def test_a_band_of_a_metric_that_is_measured_is_right(blueprint):
    found = blueprint(band("modes/captured", seeds=5, at_least=4))
    (expected,) = found.recipe.expect
    assert (expected.metric, expected.max, expected.min, expected.seeds, expected.at_least) == ("modes/captured", 1.0, None, 5, 4)
    built(found)


def test_a_band_of_an_unknown_metric_is_reported_with_line_and_key(blueprint):
    with pytest.raises(RecipeError) as caught:
        blueprint(band("wasserstein"))
    (problem,) = caught.value.problems
    assert problem.key == "expect[0].metric"
    assert problem.line == len(RECIPE.splitlines()) + 2
    assert "does not measure 'wasserstein'" in problem.message
    assert problem.hint == "it measures modes"


def test_a_band_of_an_unknown_metric_is_reported_with_all_other_problems(blueprint):
    with pytest.raises(RecipeError) as caught:
        blueprint(band("wasserstein"), "train.iteration=5", "generator.use=no-such-generator")
    assert {problem.key for problem in caught.value.problems} == {"train.iteration", "generator.use", "expect[0].metric"}


def test_a_band_of_a_value_that_the_metric_does_not_have_is_reported_when_it_is_built(blueprint):
    found = blueprint(band("modes/caught"))
    with pytest.raises(RecipeError) as caught:
        built(found)
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == ("expect[0].metric", len(RECIPE.splitlines()) + 2)
    assert problem.hint == "did you mean 'modes/captured'?"


def test_metrics_taken_away_by_set_leave_bands_alone(blueprint):
    assert blueprint(band("modes/captured"), "metric=[]").recipe.expect


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('[[expect]]\nmetric = "modes/captured"\n', "needs min or max"),
        (band("modes/captured", min=2.0), r"min \(2\) must not be above max \(1\)"),
        (band("modes/captured", at_least=4), r"at_least \(4\) must not be more than seeds \(3\)"),
    ],
)
def test_what_is_no_band_is_refused(blueprint, lines, message):
    with pytest.raises(RecipeError, match=message):
        blueprint(lines)


def test_a_metric_that_cannot_be_built_is_left_out_only_where_it_is_optional(blueprint, monkeypatch):
    def build_modes(params, context):
        raise IncompatiblePartsError("there are no weights", remedy="fetch them")

    monkeypatch.setattr("ganforge.builtin.metrics.distribution_metrics.build_modes", build_modes)
    with pytest.raises(IncompatiblePartsError, match="no weights"):
        built(blueprint(band("modes/captured")))

    left = built(blueprint(band("modes/captured"), "metric[0].optional=true")).evaluator
    assert not left.metrics
    assert left.unavailable == {"modes": "there are no weights (fetch them)"}


def test_a_metric_whose_package_is_missing_is_left_out_only_where_it_is_optional(blueprint, registry, monkeypatch):
    from dataclasses import replace

    from ganforge.registry.component import Kind

    found = registry.find(Kind.METRIC, "wasserstein")
    real = type(registry).components

    def components(self, kind):
        return tuple(replace(one, needs=("no_such_package",)) if one is found else one for one in real(self, kind))

    monkeypatch.setattr(type(registry), "components", components)
    with pytest.raises(Exception, match="needs no_such_package"):
        blueprint('[[metric]]\nuse = "wasserstein"\n')
    left = blueprint('[[metric]]\nuse = "wasserstein"\noptional = true\n')
    assert [part.component.name for part in left.metrics] == ["modes"]
    assert [table.use for table in left.recipe.metric] == ["modes"]
    assert any("left out" in str(warning) and "pip install no-such-package" in str(warning) for warning in left.warnings)
    assert [metric.name for metric in built(left).evaluator.metrics] == ["modes"]


def test_a_metric_that_is_given_too_few_samples_is_refused_before_training(blueprint, monkeypatch):
    from ganforge.builtin.metrics import distribution_metrics

    build = distribution_metrics.build_modes
    monkeypatch.setattr(distribution_metrics, "build_modes", lambda *arguments: replace(build(*arguments), min_samples=50))
    with pytest.raises(IncompatiblePartsError, match=r"metric\[0\]: metric 'modes' needs at least 50 samples, got 20") as caught:
        built(blueprint(""))
    assert caught.value.remedy == "set metric[0].samples = 50"
