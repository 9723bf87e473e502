"""What numbers mean, written down and read again; files of anybody's making."""

import math

import pytest

from ganforge.core.contracts import Divergence, MetricInfo, TermInfo
from ganforge.core.errors import StorageError
from ganforge.storage import value_info
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.value_info import StoredMetricInfo, ValueInfo


def test_what_is_declared_comes_back_with_the_floor_at_the_sample_size(tmp_path):
    term_info = {"generator/total": TermInfo("all of it", 0.5), "generator/code": TermInfo("codes")}
    metric_info = {
        "w": MetricInfo("distance", "lower", floor=lambda n: 10 / n),
        "modes/captured": MetricInfo("modes", "higher", ideal=8.0),
    }
    folder = RunFolder(tmp_path)

    value_info.write(folder, ValueInfo.resolve(term_info, metric_info, {"w": 2000}))

    found = value_info.read(folder)
    assert found.terms == term_info
    assert found.metrics == {
        "w": StoredMetricInfo("distance", "lower", None, 0.005),
        "modes/captured": StoredMetricInfo("modes", "higher", 8.0, None),
    }


def test_a_floor_without_a_sample_size_is_not_known():
    assert ValueInfo.resolve({}, {"w": MetricInfo("distance", "lower", floor=lambda n: 10 / n)}, {}).metrics["w"].floor is None


@pytest.mark.parametrize("text", ["[]", "{}", '{"terms": 3, "metrics": {"w": 4}}', '{"metrics": {"w": {"label": 3}}}', "null", "7"])
def test_what_is_no_meaning_is_passed_over(tmp_path, text):
    (tmp_path / "value_info.json").write_text(text)
    assert value_info.read(RunFolder(tmp_path)) == ValueInfo()


def test_a_run_without_them_has_none_and_a_damaged_file_is_reported(tmp_path):
    assert value_info.read(RunFolder(tmp_path)) == ValueInfo()
    (tmp_path / "value_info.json").write_text("{")
    with pytest.raises(StorageError, match="is damaged"):
        value_info.read(RunFolder(tmp_path))


def test_floors_that_nothing_is_judged_by_can_wait():
    def dear(_count):
        raise AssertionError("it takes seconds")

    metric_info = {"w": MetricInfo("distance", "lower", floor=dear), "nn": MetricInfo("accuracy", "nearer", floor=lambda n: 0.5)}
    found = ValueInfo.resolve({}, metric_info, {"w": 2000, "nn": 2000}, floors=False).metrics
    assert (found["w"].floor, found["nn"].floor) == (None, 0.5)


def test_what_winning_is_worth_comes_back_without_bounds_too(tmp_path):
    term_info = {
        "discriminator/real": TermInfo("cost", math.log(2), 0.0, Divergence("Jensen-Shannon divergence", math.log(2))),
        "discriminator/critic": TermInfo("gap", 0.0, -math.inf, Divergence("Wasserstein distance", math.inf)),
    }
    folder = RunFolder(tmp_path)
    value_info.write(folder, ValueInfo.resolve(term_info, {}, {}))
    assert value_info.read(folder).terms == term_info
