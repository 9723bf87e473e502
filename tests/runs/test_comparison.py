"""Runs gathered by recipe over seeds, and compared only where their protocols agree."""

from __future__ import annotations

import io
import itertools
import json
import math
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from scipy.stats import mannwhitneyu, rankdata

from ganforge.core.errors import RunFolderError, StorageError, UsageError
from ganforge.runs.comparison import MetricComparison, SkippedMetric, compare, holm, rank_test
from ganforge.runs.run_groups import group_runs, recipe_differences
from ganforge.storage import journal
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder

RECIPE = """
[train]
iterations = 2
batch_size = {batch}
seed = {seed}
[dataset]
use = "ring"
[sampler]
use = "normal"
params = {{ size = 2 }}
[generator]
use = "mlp"
params = {{ hidden = [4] }}
[discriminator]
use = "mlp"
params = {{ hidden = [4] }}
[[loss]]
use = "non-saturating"
[[metric]]
use = "modes"
samples = {samples}
every = 1
[pictures]
samples = 4
gif = false
final_figures = false
[tracking]
mode = "off"
experiment = "rings"
"""


@pytest.fixture(scope="session")
def _template(tmp_path_factory):
    """One real run, of which all others are copies with other numbers in their files."""
    from ganforge.session.run_plan import Options
    from ganforge.session.training_run import run

    folder = tmp_path_factory.mktemp("recipes")
    (folder / "rings.toml").write_text(RECIPE.format(batch=16, seed=0, samples=20))
    return run(Options(folder / "rings.toml", runs_dir=folder / "runs"), Console(file=io.StringIO())).folder


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def made(_template, root):
    """``made(batch=16, seed=1, values=[…])``: a run that has measured so, iteration by iteration; its folder's name."""

    def made(*, batch=16, seed=0, values=(0.5, 0.6), samples=20, name="rings", stated=True, **changes):
        count = len(list(root.glob("*/*")))
        folder = RunFolder(root / "rings" / f"{name}-{count:08x}")
        shutil.copytree(_template, folder.path)
        identity = json.loads(folder.identity.read_text())
        folder.identity.write_text(json.dumps({**identity, "id": f"{count:032x}", "name": name, "created": count, **changes}))
        text = folder.resolved.read_text().replace("batch_size = 16", f"batch_size = {batch}").replace("seed = 0", f"seed = {seed}")
        folder.resolved.write_text(text.replace("samples = 20", f"samples = {samples}"))
        records = [record for _, record in journal.read(folder.journal)]
        (protocols,) = [record for record in records if record["kind"] == "protocols"]
        protocols["protocols"]["modes"] |= {"samples": samples, "seed": seed}
        folder.journal.unlink()
        with JournalWriter(folder.journal) as writer:
            if stated:
                writer.record("protocols", **{key: protocols[key] for key in ("iteration", "protocols", "value_info")})
            for iteration, value in enumerate(values, start=1):
                writer.record("eval", iteration=iteration, values={"eval/modes/high-quality": value})
        return folder.path.name

    return made


@pytest.fixture
def evaluated(root):
    """``evaluated(run, 0.5, iteration=2, samples=30)``: the run was measured again, as ``ganforge evaluate`` writes it down."""

    def evaluated(run, value, *, iteration=2, samples=30, **measure):
        folder = RunFolder(root / "rings" / run)
        (messages,) = journal.read_kinds(folder.journal, "protocols")
        path = folder.path / "evaluations.jsonl"
        before = path.read_text() if path.exists() else ""
        facts = {
            "number": 1 + before.count("\n"),
            "iteration": iteration,
            "values": {"modes/high-quality": value},
            "value_info": {"modes/high-quality": {**messages["value_info"]["modes/high-quality"], **measure}},
            "protocols": {"modes": {**messages["protocols"]["modes"], "samples": samples}},
        }
        path.write_text(before + json.dumps(facts) + "\n")
        with JournalWriter(folder.journal) as writer:
            writer.record("evaluated", number=facts["number"], iteration=iteration, values=facts["values"])

    return evaluated


def compared(root, *runs, **options):
    groups, _ = group_runs(runs, root)
    found, left_out = compare(groups, **options)
    return {one.metric: one for one in [*found, *left_out]}["modes/high-quality"]


def test_runs_are_gathered_by_recipe_and_ordered_by_seed(made, root):
    runs = [made(seed=2), made(batch=32, seed=0), made(seed=1)]
    groups, remarks = group_runs(runs, root)
    assert [[run.seed for run in group.runs] for group in groups] == [[1, 2], [0]]
    assert [group.name for group in groups] == ["rings (batch_size=16)", "rings (batch_size=32)"]
    assert recipe_differences(groups) == {"train.batch_size": ["16", "32"]}
    assert remarks == []


def test_of_two_runs_of_one_seed_the_newest_counts(made, root):
    runs = [made(seed=1, values=[0.1]), made(seed=1, values=[0.2])]
    ((group,), remarks) = group_runs(runs, root)
    assert [run.run for run in group.runs] == [runs[1]]
    assert remarks == [f"{runs[0]} is left out: {runs[1]} has the same recipe and seed, and is newer"]


def test_a_sweep_stands_for_its_seeds(made, root):
    sweep = made(name="rings-seeds", kind="sweep", id="f" * 32)
    with pytest.raises(UsageError, match="none of its runs"):
        group_runs([sweep], root)
    children = [made(seed=seed, parent="f" * 32) for seed in range(3)]
    ((group,), _) = group_runs([sweep], root)
    assert [run.run for run in group.runs] == children


def test_median_spread_and_test_over_seeds(made, root):
    first = [made(seed=seed, values=[0.1, 0.5 + 0.01 * seed]) for seed in range(4)]
    second = [made(batch=32, seed=seed, values=[0.1, 0.9 + 0.01 * seed]) for seed in range(4)]
    found = compared(root, *first, *second)
    one, two = found.stats
    assert (one.median, min(one.finite), max(one.finite)) == pytest.approx((0.515, 0.5, 0.53))
    assert two.values == pytest.approx((0.9, 0.91, 0.92, 0.93))
    (trial,) = found.tests
    assert (trial.p, trial.better) == (pytest.approx(2 / 70), 1.0)
    assert trial.verdict == "rings (batch_size=32) is better"
    assert found.origins == ("training",)


def test_three_seeds_each_are_too_few_to_name_a_winner(made, root):
    runs = [made(batch=batch, seed=seed, values=[0.01 * batch + 0.001 * seed]) for batch in (16, 32) for seed in range(3)]
    (trial,) = compared(root, *runs).tests
    assert trial.better == 1.0
    assert trial.verdict == "too few seeds: p is 0.1 at best"


@pytest.fixture
def judged(made, root):
    """The trials of two groups whose values are judged so."""

    def judged(better, first, second, **messages):
        runs = []
        for batch, values in ((16, first), (32, second)):
            for seed, value in enumerate(values):
                runs.append(made(batch=batch, seed=seed, values=[0.0, value]))
                path = RunFolder(root / "rings" / runs[-1]).journal
                records = [record for _, record in journal.read(path)]
                path.unlink()
                with JournalWriter(path) as writer:
                    for record in records:
                        facts = {key: value for key, value in record.items() if key not in ("kind", "t")}
                        if record["kind"] == "protocols":
                            facts["value_info"]["modes/high-quality"] = {"label": "", "better": better, **messages}
                        writer.record(record["kind"], **facts)
        return compared(root, *runs)

    return judged


def test_the_nearer_to_a_perfect_generator_is_the_better_and_neither_more_nor_less_is(judged):
    (trial,) = judged("nearer", [0.018, 0.02, 0.03, 0.99], [0.49, 0.5, 0.51, 0.48], ideal=None, floor=0.4998).tests
    assert (trial.better, trial.verdict) == (1.0, "rings (batch_size=32) is better")


def test_a_floor_is_what_is_neared_where_it_is_not_the_ideal(judged):
    (trial,) = judged("nearer", [1.0, 1.1, 1.2, 1.3], [0.9, 0.89, 0.88, 0.91], ideal=1.0, floor=0.9).tests
    assert trial.better == 1.0


@pytest.mark.parametrize("better", ["none", "nearer", "unheard-of"])
def test_what_is_not_judged_is_shown_without_a_verdict(judged, better):
    found = judged(better, [1.0] * 4, [2.0] * 4, ideal=None)
    assert [side.median for side in found.stats] == [1.0, 2.0]
    assert found.tests == ()


def test_with_several_rivals_p_is_raised(made, root):
    runs = [made(batch=batch, seed=seed, values=[batch + 0.1 * seed]) for batch in (16, 32, 64) for seed in range(5)]
    found = compared(root, *runs)
    assert [trial.p for trial in found.tests] == pytest.approx([2 * 2 / 252] * 2)
    assert [trial.against for trial in found.tests] == ["rings (batch_size=16)"] * 2


def test_what_is_not_finite_counts_as_worst(made, root):
    first = [made(seed=seed, values=[0.5]) for seed in range(4)]
    second = [made(batch=32, seed=seed, values=[math.nan]) for seed in range(4)]
    found = compared(root, *first, *second)
    assert found.stats[1].finite == []
    assert math.isnan(found.stats[1].median)
    assert found.tests[0].better == 0.0
    assert found.stats[0].early == 4  # measured at 1 of 2 iterations


def test_unequal_protocols_are_refused_with_the_difference_named(made, root):
    runs = [made(seed=0), made(batch=32, samples=50)]
    found = compared(root, *runs)
    assert isinstance(found, SkippedMetric)
    assert found.differences == {"samples": (20, 50)}
    assert f"samples: 20 of {runs[0]}, 50 of {runs[1]}" in found.reason
    assert found.reason.endswith("/rings-00000001 -n 50` measures them alike, and --ignore samples compares them all the same")

    passed = compared(root, *runs, ignore=["samples"])
    assert isinstance(passed, MetricComparison)
    assert passed.ignored == {"samples": [20, 50]}
    assert "samples" not in passed.protocol


def test_values_measured_alike_later_are_compared_instead(made, root):
    from ganforge.runs.evaluation import EvaluationRequest, evaluate, record_evaluation

    runs = [made(seed=0), made(batch=32, samples=50)]
    for run in runs:
        record_evaluation(evaluate(RunFolder(root / "rings" / run), EvaluationRequest(("modes",), samples=30)))
    found = compared(root, *runs)
    assert found.origins == ("evaluation 1",)
    assert found.protocol["samples"] == 30


def test_what_was_measured_before_a_run_went_on_does_not_displace_its_end(made, root):
    runs = [made(seed=0, values=[0.1]), made(batch=32, values=[0.2])]
    for run in runs:
        folder = RunFolder(root / "rings" / run)
        (protocols,) = [record for _, record in journal.read(folder.journal) if record["kind"] == "protocols"]
        evaluation = {
            "number": 1,
            "iteration": 1,
            "values": {"modes/high-quality": 0.05},
            "value_info": {"modes/high-quality": protocols["value_info"]["modes/high-quality"]},
            "protocols": protocols["protocols"],
        }
        (folder.path / "evaluations.jsonl").write_text(json.dumps(evaluation) + "\n")
    before = compared(root, *runs)
    assert (before.origins, [side.values for side in before.stats]) == (("evaluation 1",), [(0.05,), (0.05,)])
    for run in runs:
        with JournalWriter(RunFolder(root / "rings" / run).journal) as writer:
            writer.record("eval", iteration=2, values={"eval/modes/high-quality": 0.9})
    after = compared(root, *runs)
    assert (after.origins, [side.values for side in after.stats]) == (("training",), [(0.9,), (0.9,)])


def test_a_run_that_was_killed_is_judged_by_the_weights_that_it_left_once_these_are_measured(made, root, evaluated):
    """Training came to iteration 5, and its newest checkpoint is of iteration 2."""
    runs = [made(seed=0, values=[0.1, 0.2, 0.3, 0.4, 0.5], samples=2500), made(batch=32, values=[0.6, 0.7], samples=50)]
    refused = compared(root, *runs)
    assert "/rings-00000001 -n 2500` measures them alike" in refused.reason
    for run in runs:
        evaluated(run, 0.25, samples=100)
    found = compared(root, *runs)
    assert (found.origins, [side.values for side in found.stats]) == (("evaluation 1",), [(0.25,), (0.25,)])


def test_a_newer_checkpoint_that_is_damaged_holds_no_weights(made, root, evaluated):
    run = made(values=[0.1, 0.2, 0.3, 0.4])
    evaluated(run, 0.25)
    checkpoints = RunFolder(root / "rings" / run).checkpoints
    shutil.copytree(checkpoints / "00000002", checkpoints / "00000003")  # its manifest is of another iteration
    assert compared(root, run).origins == ("evaluation 1",)
    manifest = checkpoints / "00000003" / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"iteration":2', '"iteration":3').replace('"iteration": 2', '"iteration": 3'))
    assert compared(root, run).origins == ("training",)


@pytest.mark.parametrize("turn", ["rollback", "resume"])
def test_what_was_given_up_counts_no_more_whoever_measured_it(made, root, evaluated, turn):
    run = made(values=[0.1, 0.2, 0.3])
    evaluated(run, 0.35, iteration=3)
    with JournalWriter(RunFolder(root / "rings" / run).journal) as writer:
        writer.record(turn, iteration=1, reached=3)
    ((group,), _) = group_runs([run], root)
    (found,) = group.runs[0].measurements["modes/high-quality"]
    assert (found.origin, found.iteration, found.value) == ("training", 1, 0.1)
    assert group.runs[0].curves["modes/high-quality"] == {1: 0.1}


def test_a_metric_that_failed_the_last_time_has_no_value(made, root):
    run = made(values=[0.1])
    with JournalWriter(RunFolder(root / "rings" / run).journal) as writer:
        writer.record("eval", iteration=2, values={}, missing=["modes"])
    assert compared(root, run, metrics=["modes/high-quality"]).reason == "rings has no value of it"


def test_a_value_has_the_protocol_that_was_in_force_when_it_was_measured(made, root):
    run = made(values=[0.1, 0.2])
    with JournalWriter(RunFolder(root / "rings" / run).journal) as writer:
        writer.record("resume", iteration=2)
        writer.record("protocols", iteration=2, protocols={"modes": {"samples": 7}}, value_info={})
    assert compared(root, run).protocol["samples"] == 20


def test_evaluations_are_judged_by_the_floor_of_their_own_number_of_samples(made, root, evaluated):
    """Training asked for 20 samples, at which the floor is 0.33; of 500 it is 0.4995, and what copies is far from that."""
    runs = []
    for batch, low in ((16, 0.499), (32, 0.34)):
        for seed in range(5):
            runs.append(made(batch=batch, seed=seed))
            evaluated(runs[-1], low + 0.001 * seed, samples=500, better="nearer", ideal=None, floor=0.4995)
    found = compared(root, *runs)
    assert (found.origins, found.info["floor"], found.protocol["samples"]) == (("evaluation 1",), 0.4995, 500)
    assert found.tests[0].verdict == "rings (batch_size=16) is better"


def test_where_samples_may_differ_each_value_is_held_against_its_own_floor(made, root, evaluated):
    runs = []
    for batch, samples, floor, off in ((16, 10, 0.3, 0.01), (32, 500, 0.5, 0.001)):
        for seed in range(4):
            runs.append(made(batch=batch, seed=seed))
            evaluated(runs[-1], floor + off * (1 + seed / 10), samples=samples, better="nearer", ideal=None, floor=floor)
    assert compared(root, *runs).origins == ("training",)
    found = compared(root, *runs, ignore=["samples"])
    assert found.ignored == {"samples": [10, 500]}
    assert [set(side.aims) for side in found.stats] == [{0.3}, {0.5}]
    assert (found.info["better"], found.info["floor"]) == ("nearer", None)
    assert (found.tests[0].better, found.tests[0].verdict) == (1.0, "rings (batch_size=32) is better")


def test_values_that_mean_different_things_are_not_judged(made, root, evaluated):
    runs = [made(batch=batch, seed=seed) for batch in (16, 32) for seed in range(4)]
    for number, run in enumerate(runs):
        evaluated(run, number / 10, better="lower" if number % 2 else "higher")
    found = compared(root, *runs)
    assert (found.info["better"], found.tests) == ("none", ())


def test_two_folders_of_one_name_are_two_runs(made, root, tmp_path):
    run = made(seed=0, values=[0.1])
    other = tmp_path / "elsewhere" / "rings" / run
    shutil.move(root / "rings" / made(seed=1, values=[0.9]), other)
    found = compared(root, str(root / "rings" / run), str(other))
    (side,) = found.stats
    assert side.values == (0.1, 0.9)
    assert side.runs == (str(root / "rings" / run), str(other))


def test_metrics_and_a_watch_that_only_warns_do_not_make_another_recipe(made, root):
    runs = [made(seed=0), made(seed=1, samples=50), made(seed=2), made(seed=3)]
    for run, old, new in [
        (runs[2], "patience = 200", "patience = 100"),
        (runs[3], 'on_fail = "warn"', 'on_fail = "stop"'),
    ]:
        path = root / "rings" / run / "resolved.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    groups, _ = group_runs(runs, root)
    assert [[run.seed for run in group.runs] for group in groups] == [[0, 1, 2], [3]]
    assert recipe_differences(groups) == {"health.on_fail": ["warn", "stop"]}


def test_files_of_one_name_with_other_content_are_other_data(made, root):
    runs = [made(seed=0), made(seed=1)]
    for run, sum_ in zip(runs, ("a" * 64, "b" * 64), strict=True):
        folder = RunFolder(root / "rings" / run)
        lock = json.loads(folder.lock.read_text())
        file = {"key": "dataset.params.file", "file": "data.npy", "sha256": sum_, "covers": None}
        folder.lock.write_text(json.dumps({**lock, "data_files": [file]}))
    groups, _ = group_runs(runs, root)
    assert recipe_differences(groups) == {"dataset.params.file sha256": ["a" * 12, "b" * 12]}


def test_a_local_file_with_other_code_makes_another_recipe_unless_it_only_measures(made, root):
    runs = [made(seed=0), made(seed=1), made(seed=2)]
    for run, key, version in zip(runs, ("generator", "generator", "metric[0]"), ("a" * 12, "b" * 12, "c" * 12), strict=True):
        folder = RunFolder(root / "rings" / run)
        lock = json.loads(folder.lock.read_text())
        for one in lock["components"]:
            if one["key"] == key:
                one |= {"distribution": "local", "id": "local/mine", "version": version}
        folder.lock.write_text(json.dumps(lock))
    groups, _ = group_runs(runs, root)
    assert [[run.seed for run in group.runs] for group in groups] == [[0], [1], [2]]
    assert recipe_differences(groups) == {"generator sha256": ["a" * 12, "b" * 12, None]}


def _measured(meaning):
    return (
        f'{{"number": 1, "iteration": 1, "values": {{"w": 1}}, "value_info": {{"w": {{{meaning}}}}}, "protocols": {{"w": {{}}}}}}'
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{}", "number: Field required"),
        ("[1]", "Input should be a"),
        ('{"number": 1, "iteration": 1, "values": 3}', "values: Input should be a valid dictionary"),
        (
            '{"number": 1, "iteration": 1, "values": {"w": 1}, "value_info": {}, "protocols": {}}',
            "Value error, 'w' has no value_info",
        ),
        (
            '{"number": 1, "iteration": 1, "values": {"w/a": 1}, "value_info": {"w/a": {}}, "protocols": {}}',
            "Value error, 'w/a' has no value_info or no protocol",
        ),
        (
            '{"number": 1, "iteration": 1, "values": {"w": "x"}, "value_info": {}, "protocols": {}}',
            "values.w: Input should be a valid number",
        ),
        (_measured('"floor": "x", "better": "nearer"'), "value_info.w.floor: Input should be a valid number"),
        (_measured('"ideal": [1], "better": "lower"'), "value_info.w.ideal: Input should be a valid number"),
        (_measured('"better": "up"'), "value_info.w.better: Input should be 'lower', 'higher', 'nearer' or 'none'"),
        (_measured('"better": ["lower"]'), "value_info.w.better: Input should be 'lower'"),
        ('{"number": 1', "Expecting"),
    ],
)
def test_a_damaged_evaluation_is_reported_with_its_line(made, root, line, fault):
    run = made()
    path = root / "rings" / run / "evaluations.jsonl"
    path.write_text("\n" + line + "\n")
    with pytest.raises(StorageError, match=re.escape(f"{path}:2 is damaged: {fault}")):
        group_runs([run], root)


def test_p_is_corrected_for_all_metrics_too(made, root):
    runs = []
    for batch in (16, 32):
        for seed in range(5):
            runs.append(made(batch=batch, seed=seed, values=[0.01 * batch + 0.001 * seed]))
            path = RunFolder(root / "rings" / runs[-1]).journal
            with JournalWriter(path) as writer:
                writer.record("eval", iteration=1, values={"eval/modes/reverse-kl": 1.0, "eval/modes/captured": 8 - batch + seed})
    found, _ = compare(group_runs(runs, root)[0])
    trials = {one.metric: one.tests[0] for one in found}
    assert [trials[key].p for key in ("modes/high-quality", "modes/captured")] == pytest.approx([2 / 252] * 2)
    assert [trials[key].p_of_all for key in ("modes/high-quality", "modes/captured")] == pytest.approx([6 / 252] * 2)
    assert [trials[key].winner is not None for key in trials].count(True) == 2


def test_a_key_that_no_protocol_has_cannot_be_ignored(made, root):
    groups, _ = group_runs([made(), made(batch=32)], root)
    with pytest.raises(UsageError, match="--ignore generatr") as caught:
        compare(groups, ignore=["generatr"])
    assert caught.value.remedy == "did you mean 'generator'?"


def test_old_runs_without_protocols_are_reported_how_to_get_them(made, root):
    old = made(stated=False)
    found = compared(root, old, made(batch=32))
    assert isinstance(found, SkippedMetric)
    assert found.reason == f"{old} has no recorded evaluation protocol; `ganforge evaluate {root}/rings/{old}` measures again"


def test_metrics_can_be_chosen(made, root):
    groups, _ = group_runs([made(), made(batch=32)], root)
    assert [one.metric for one in compare(groups, metrics=["modes"])[0]] == ["modes/high-quality"]
    _, (missing,) = compare(groups, metrics=["wasserstein"])
    assert "have no value of it" in missing.reason


def test_a_recipe_that_cannot_be_read_is_named(made, root):
    run = made()
    path = Path(root, "rings", run, "resolved.toml")
    path.write_text(path.read_text().replace("iterations = 2", "iterations = 0"))
    with pytest.raises(RunFolderError, match="damaged, or from another version of ganforge"):
        group_runs([run], root)


def counted(first, second):
    """Two-sided p, twice the smaller tail, by trying every arrangement of the pooled values, ties and all."""
    pooled = rankdata([*first, *second])
    seen = sum(pooled[: len(first)])
    sums = [sum(chosen) for chosen in itertools.combinations(pooled, len(first))]
    tails = [sum(one <= seen + 1e-9 for one in sums), sum(one >= seen - 1e-9 for one in sums)]
    return min(1.0, 2 * min(tails) / len(sums))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
        ([0.0637, 0.0595, 0.0768, 0.0944, 0.0636], [0.0615, 0.0658, 0.0761, 0.0631, 0.0584, 0.0597]),
        ([25.0, 25.0, 24.0, 25.0], [25.0, 22.0, 23.0, 22.0]),
        ([1.0, 1.0], [1.0, 2.0, 3.0, math.inf]),
        ([8.0, 8.0, 7.0], [8.0]),
        ([1.0], [2.0, 2.0]),
    ],
)
def test_p_is_that_of_all_arrangements(first, second):
    assert rank_test(first, second).p == pytest.approx(counted(first, second), abs=1e-9)


def test_without_ties_p_is_scipys_exact_one():
    first, second = [0.1 * i for i in range(10)], [0.1 * i + 0.37 for i in range(10)]
    assert rank_test(first, second).p == pytest.approx(mannwhitneyu(first, second, method="exact").pvalue, rel=1e-12)


def test_ten_against_ten_with_ties_name_no_false_winner():
    assert rank_test([8.0] * 10, [8.0] * 6 + [7.0] * 4).p == pytest.approx(2 * math.comb(16, 6) / math.comb(20, 10))


def test_twenty_against_twenty_are_counted_exactly():
    first, second = [0.1 * i for i in range(20)], [0.1 * i + 0.57 for i in range(20)]
    assert rank_test(first, second).p == pytest.approx(mannwhitneyu(first, second, method="exact").pvalue, rel=1e-9)


def test_above_forty_values_the_normal_approximation_is_close():
    first, second = [float(i) for i in range(21)], [i + 5.5 for i in range(21)]
    assert rank_test(first, second).p == pytest.approx(mannwhitneyu(first, second, method="exact").pvalue, rel=0.15)


def test_three_against_three_cannot_be_distinguished():
    found = rank_test([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert (found.p, found.least_p, found.greater) == (pytest.approx(0.1), pytest.approx(0.1), 1.0)
    assert rank_test([1.0] * 4, [2.0] * 4).least_p == pytest.approx(2 / 70)


def test_the_effect_is_the_share_of_pairs_with_ties_counted_half():
    assert rank_test([1.0, 2.0], [2.0, 0.0]).greater == (1 + 0 + 0.5 + 0) / 4


def test_values_that_are_all_equal_show_nothing():
    assert rank_test([8.0] * 10, [8.0] * 10).p == 1.0


@pytest.mark.parametrize("first", [[], [math.nan]])
def test_what_cannot_be_ranked_is_refused(first):
    with pytest.raises(ValueError, match="two sets"):
        rank_test(first, [1.0])


def test_holm_raises_p_by_the_number_of_tests_that_are_left():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
