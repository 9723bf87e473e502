from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
import torch

from ganforge.callbacks import broadcast
from ganforge.callbacks.run_recorder import CheckpointSaver, journal
from ganforge.core.contracts import MetricInfo
from ganforge.core.events import Evaluated, Finished, HealthChecked, RolledBack, Saved, Started, State, Stepped
from ganforge.core.findings import Finding
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.storage import checkpoints, value_info
from ganforge.storage.journal import JournalWriter, read
from ganforge.storage.run_folder import RunFolder, Status


class Clock:
    """A clock that advances only by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path, "moons", "vanilla")


@pytest.fixture
def writer(folder):
    with JournalWriter(folder.journal) as writer:
        yield writer


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def handle(folder, writer, clock):
    with journal(folder, writer, clock=clock) as handle:
        yield handle


def started(iteration=0):
    return Started(
        iteration,
        100,
        "cpu",
        DataSpec((2,)),
        LatentSpec(2),
        {"generator": 1},
        "generator",
        "discriminator",
        {},
        {},
        Samples(torch.zeros(1, 2)),
    )


def stepped(iteration, **terms):
    return Stepped(iteration, {"generator/total": torch.tensor(float(iteration)), **terms}, {"lr/generator": 0.1})


def records(folder, *kinds):
    return [record for _, record in read(folder.journal) if record["kind"] in kinds]


def test_steps_become_losses_and_rates(handle, writer, folder):
    handle(started())
    for iteration in range(1, 11):
        handle(stepped(iteration))
    writer.flush()

    rows = [row for row in records(folder, "metrics") if "loss/generator/total" in row["values"]]
    assert [iteration for row in rows for iteration in row["iterations"]] == list(range(1, 11))
    assert [value for row in rows for value in row["values"]["loss/generator/total"]] == [float(n) for n in range(1, 11)]
    assert {value for row in rows for value in row["values"]["rate/lr/generator"]} == {0.1}


def test_an_evaluation_is_a_record_of_its_own_after_the_steps_before_it(handle, folder):
    handle(started())
    handle(stepped(1))
    handle(stepped(2))
    handle(Evaluated(2, {"wasserstein": 0.07, "modes/captured": math.nan}, 0.1))

    *steps, evaluated = records(folder, "metrics", "eval")
    assert [iteration for row in steps for iteration in row["iterations"]] == [1, 2]
    assert evaluated["iteration"] == 2
    assert evaluated["values"]["eval/wasserstein"] == 0.07
    assert math.isnan(evaluated["values"]["eval/modes/captured"])


def test_a_save_finds_the_journal_on_the_disk(handle, folder):
    handle(started())
    handle(stepped(1))
    handle(stepped(2))
    handle(Saved(2, State({}, {})))

    assert [iteration for row in records(folder, "metrics") for iteration in row["iterations"]] == [1, 2]


@pytest.mark.parametrize("begun", [0, 40])
def test_only_a_run_that_goes_on_is_a_resume(handle, folder, begun):
    handle(started(begun))

    assert [record["iteration"] for record in records(folder, "resume")] == ([40] if begun else [])


def test_the_end_record_is_left_to_the_session(folder, writer, clock):
    events = [started(), stepped(1), Finished(1, "finished", 2.0)]

    broadcast(events, essential=[journal(folder, writer, clock=clock)])

    assert records(folder, "start", "end") == []
    assert len(records(folder, "metrics")) == 1


def test_the_status_has_the_progress(handle, folder, clock):
    handle(started())
    assert (folder.read_status().status, folder.read_status().iterations) == ("running", 100)

    handle(stepped(1))
    handle(Evaluated(1, {"wasserstein": 0.5}, 0.0))
    clock.now += 2.1
    handle(stepped(2))

    known = folder.read_status()
    assert (known.status, known.iteration, known.metrics) == ("running", 2, {"wasserstein": 0.5})
    assert known.seconds == pytest.approx(2.1)


def test_a_heartbeat_comes_every_two_seconds_and_no_sooner(handle, folder, clock):
    beats = []
    handle(started())
    for iteration in range(1, 101):
        clock.now += 0.25
        handle(stepped(iteration))
        beats.append(folder.read_status().iteration)

    assert sorted(set(beats)) == [0, *range(8, 101, 8)]


@pytest.mark.parametrize(("outcome", "reason"), [("finished", None), ("stopped", "asked to stop"), ("diverged", "loss is NaN")])
def test_the_status_has_the_outcome_with_its_reason(handle, folder, outcome, reason):
    handle(started())
    handle(Evaluated(7, {"modes/captured": 8.0}, 0.0))
    handle(Finished(7, outcome, 1.0, reason))

    known = folder.read_status()
    assert (known.status, known.iteration, known.reason) == (outcome, 7, reason)
    assert known.metrics == {"modes/captured": 8.0}


@pytest.mark.parametrize("damaged", [False, True])
def test_a_resumed_run_remembers_its_metrics(handle, writer, folder, damaged):
    writer.record("eval", iteration=20, values={"eval/wasserstein": 0.5})
    folder.write_status(Status(status="stopped", reason="asked to stop"))
    if damaged:
        folder.status.write_text("{")

    handle(started(40))

    known = folder.read_status()
    assert known.metrics == {"wasserstein": 0.5}
    assert (known.status, known.reason) == ("running", None)


def test_what_was_measured_beyond_the_checkpoint_that_a_run_goes_on_from_is_given_up(handle, writer, folder):
    for iteration, value in ((20, 0.5), (40, 0.1)):
        writer.record("eval", iteration=iteration, values={"eval/wasserstein": value})
    folder.write_status(Status(status="killed", metrics={"wasserstein": 0.1}))

    handle(started(30))
    assert folder.read_status().metrics == {"wasserstein": 0.5}

    handle(RolledBack(10, 35))
    assert folder.read_status().metrics == {}


def test_a_metric_that_fails_has_no_last_value_any_more(handle, folder, caplog):
    handle(started())
    handle(Evaluated(30, {"flaky/a": 0.05, "flaky/b": 1.0, "flakyer": 2.0, "steady": 3.0}, 0.0))
    handle(Evaluated(60, {"steady": 4.0}, 0.0, {"flaky": "no luck"}))
    assert caplog.messages == ["metric 'flaky' could not be measured: no luck; training continues without it"]
    handle(Finished(60, "finished", 1.0))

    assert folder.read_status().metrics == {"flakyer": 2.0, "steady": 4.0}
    assert records(folder, "eval")[-1]["missing"] == ["flaky"]
    handle(started(60))
    assert folder.read_status().metrics == {"flakyer": 2.0, "steady": 4.0}


def test_a_status_that_cannot_be_written_causes_one_warning(folder, writer, clock, caplog):
    folder.status.mkdir()  # in the way of the file
    (folder.status / "x").write_text("")
    with journal(folder, writer, clock=clock) as handle:
        handle(started())
        for iteration in range(1, 10):
            clock.now += 3
            handle(stepped(iteration))
        assert len(caplog.messages) == 1
        assert "status.json" in caplog.messages[0]
        assert "training continues" in caplog.messages[0]

    assert sum(len(row["iterations"]) for row in records(folder, "metrics") if "loss/generator/total" in row["values"]) == 9


def test_what_is_kept_is_written_when_training_raises(folder, writer, clock):
    def events():
        yield started()
        for iteration in range(1, 4):
            yield stepped(iteration)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        broadcast(events(), essential=[journal(folder, writer, clock=clock)])

    assert [iteration for row in records(folder, "metrics") for iteration in row["iterations"]] == [1, 2, 3]


def looked(iteration, *findings, **values):
    return HealthChecked(iteration, {f"{key}/x": value for key, value in values.items()}, findings)


def test_what_the_watch_measures_is_logged_like_terms(handle, writer, folder):
    handle(started())
    for iteration in range(1, 7):
        handle(stepped(iteration))
        if iteration % 3 == 0:
            handle(looked(iteration, jsd=iteration / 10))
    writer.flush()

    rows = [row for row in records(folder, "metrics") if "health/jsd/x" in row["values"]]
    assert [iteration for row in rows for iteration in row["iterations"]] == [3, 6]
    assert [value for row in rows for value in row["values"]["health/jsd/x"]] == [0.3, 0.6]


def test_findings_are_recorded_when_they_change_and_as_they_were_seen_last(folder, writer, clock, finding):
    warned, failed, other = finding(level="warn"), finding(), finding("duplicates", "near-duplicates", "warn")
    seen_again = replace(failed, evidence="coverage 0.11 of 0.97 expected", iteration=7)
    looks = [(), (warned,), (warned,), (failed,), (failed, other), (failed,), (seen_again,)]
    events = [started(), *(event for at, found in enumerate(looks, 1) for event in (stepped(at), looked(at, *found)))]

    broadcast([*events, Finished(7, "finished", 1.0)], essential=[journal(folder, writer, clock=clock)])

    found = [(record["iteration"], record["verdict"], len(record["findings"])) for record in records(folder, "health")]
    assert found == [(1, "healthy", 0), (2, "warn", 1), (4, "fail", 1), (5, "fail", 2), (6, "fail", 1), (7, "fail", 1)]
    assert Finding(**records(folder, "health")[-1]["findings"][0]) == seen_again
    assert folder.read_status().health == {"verdict": "fail", "findings": [asdict(seen_again)]}


def test_the_newest_findings_are_recorded_also_when_training_raises(folder, writer, clock, finding):
    def events():
        yield from (started(), looked(1, finding()), looked(2, replace(finding(), iteration=2)))
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        broadcast(events(), essential=[journal(folder, writer, clock=clock)])

    assert [record["iteration"] for record in records(folder, "health")] == [1, 2]


def test_the_status_has_changes_of_health_at_once(handle, folder, finding):
    handle(started())
    assert folder.read_status().health is None

    handle(looked(1))
    assert folder.read_status().health == {"verdict": "healthy", "findings": []}

    handle(looked(2, finding()))
    assert folder.read_status().health["verdict"] == "fail"


def test_a_resumed_run_remembers_its_health_until_somebody_looks_again(handle, folder, finding):
    health = {"verdict": "fail", "findings": [asdict(finding())]}
    folder.write_status(Status(status="stopped", health=health))

    handle(started(40))
    assert folder.read_status().health == health

    handle(looked(50))
    assert folder.read_status().health == {"verdict": "healthy", "findings": []}


@pytest.mark.parametrize("watched", ["not at all", "healthy", "warned", "failed"])
def test_a_run_that_diverged_has_failed_whatever_was_seen(handle, folder, finding, watched):
    found = {"warned": (finding(level="warn"),), "failed": (finding("finite", "non-finite values"),)}.get(watched, ())
    handle(started())
    if watched != "not at all":
        handle(looked(6, *found))
    handle(Finished(7, "diverged", 1.0, "generator/total is NaN at iteration 7"))

    health = folder.read_status().health
    assert health["verdict"] == "fail"
    assert len(health["findings"]) == (2 if watched == "warned" else 1)
    if watched != "failed":
        assert health["findings"][0]["evidence"] == "generator/total is NaN at iteration 7"
    assert records(folder, "health")[-1]["findings"] == health["findings"]


def test_floors_are_computed_after_training(handle, folder):
    asked = []

    def floor(count):
        asked.append(count)
        return 10 / count

    begun = replace(started(), value_info={"w": MetricInfo("distance", "lower", floor=floor)}, protocols={"w": {"samples": 2000}})
    handle(begun)
    handle(stepped(1))
    assert (asked, value_info.read(folder).metrics["w"].floor) == ([], None)
    handle(Finished(1, "finished", 1.0))
    assert (asked, value_info.read(folder).metrics["w"].floor) == ([2000], 0.005)


def test_the_speed_is_of_training_alone(handle, writer, folder, clock):
    handle(started())
    for iteration in range(1, 41):
        clock.now += 0.125
        handle(stepped(iteration))
        if iteration % 10 == 0:
            clock.now += 50
            handle(Evaluated(iteration, {"w": 1.0}, 50.0))
    writer.flush()

    speeds = [value for row in records(folder, "metrics") for value in row["values"].get("perf/iterations_per_second", [])]
    assert speeds == [8.0] * 9
    assert folder.read_status().iterations_per_second == 8.0


def test_a_part_that_is_given_up_leaves_neither_metrics_nor_health_in_the_status(handle, folder, finding):
    handle(started())
    handle(Evaluated(20, {"wasserstein": 0.5}, 0.0))
    handle(HealthChecked(30, {}, (finding(),)))
    handle(Evaluated(40, {"wasserstein": 0.1, "modes/captured": 8.0}, 0.0))

    handle(RolledBack(25, 50))

    known = folder.read_status()
    assert (known.iteration, known.metrics, known.health) == (25, {"wasserstein": 0.5}, None)
    handle(HealthChecked(40, {}, ()))
    assert [record["verdict"] for record in records(folder, "health")] == ["fail", "healthy"]


def test_the_status_knows_of_each_picture(handle, folder, events):
    handle(started())
    handle(next(event for event in events(every=10) if getattr(event, "fake", None) and event.iteration == 10))
    assert folder.read_status().iteration == 10


def saved(iteration):
    return Saved(iteration, State({"generator/w": torch.full((2,), float(iteration))}, {"iteration": iteration}))


def test_saves_and_remembers_the_last(folder):
    callback = CheckpointSaver(folder, keep=2)
    assert callback.last is None

    broadcast([Evaluated(1, {}, 0.0), saved(10), saved(20), saved(30)], essential=[callback.callback()])

    assert callback.last == folder.checkpoints / "00000030"
    assert [path.name for path in checkpoints.list_checkpoints(folder)] == ["00000030", "00000020"]
    assert checkpoints.load_newest(folder).state.values == {"iteration": 30}


def test_a_failed_save_causes_one_warning_and_training_continues(folder, caplog):
    callback = CheckpointSaver(folder, keep=2)

    with callback.callback() as handle:
        handle(saved(10))
        folder.checkpoints.rename(folder.path / "away")
        folder.checkpoints.write_text("in the way")
        handle(saved(20))
        handle(saved(30))
        assert callback.failures == 2
        folder.checkpoints.unlink()
        (folder.path / "away").rename(folder.checkpoints)
        handle(saved(40))

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"no checkpoint at iteration 20: cannot write {folder.checkpoints}")
    assert caplog.messages[0].endswith(f"training continues, the last checkpoint is {folder.checkpoints / '00000010'}")
    assert callback.last == folder.checkpoints / "00000040"
