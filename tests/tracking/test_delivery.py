"""Delivery against a store that lives in memory and fails on command: what is sent, in what order, and how often."""

import math
from contextlib import suppress
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganforge.core.findings import Finding, report
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.delivery import Acknowledgement, Delivery, PendingUploads, count_pending
from ganforge.tracking.mlflow_sink import RefusedError, UnreachableError
from ganforge.tracking.tracking_store import Store


class Memory:
    """A store in memory. Like MLflow's, it drops a row that it has already, and keeps a second one that differs."""

    def __init__(self, *, fail_after=None, refuse=lambda point: False):
        self.rows = set()
        self.calls = []
        self.run_id = None  # of a run that takes the place of the acknowledged one
        self._left = math.inf if fail_after is None else fail_after
        self._refuse = refuse

    def _call(self, name, *details):
        if self._left <= 0:
            raise UnreachableError("no answer")
        self._left -= 1
        self.calls.append((name, *details))

    def open_run(self, start, run_id):
        self._call("begin", start.run_id)
        return "1", self.run_id or run_id or "m1"

    def describe_run(self, start):
        self._call("describe", dict(start.params))
        return []

    def log_points(self, points):
        self._call("points", len(points))
        if any(self._refuse(point) for point in points):
            raise RefusedError("bad point")
        self.rows |= {(point.key, point.iteration, point.ms, "nan" if math.isnan(point.value) else point.value) for point in points}

    def log_image(self, path, key, iteration, ms):
        self._call("image", key, iteration)

    def log_file(self, path, folder):
        self._call("file", path.name, folder)

    def delete_tag(self, key):
        pass

    def set_tag(self, key, value):
        self._call("tag", key, value)

    def log_model(self, folder, record):
        self._call("model", folder.name)

    def set_status(self, status, ms):
        if status == "RUNNING":
            self._call("running")
        else:
            self._call("ended", status)

    def named(self, name):
        return [call[1:] for call in self.calls if call[0] == name]

    def iterations(self, key):
        return sorted(row[1] for row in self.rows if row[0] == key)


class Desk:
    """Delivers a folder again and again, as the uploader does, and keeps what it acknowledged."""

    def __init__(self, folder, sink):
        self.folder = folder
        self.sink = sink
        self.ack = Acknowledgement()
        self.rejected = []

    def deliver(self, *, final=False, forget=False):
        """One delivery from the last acknowledgement on; with ``forget`` it dies before anything was acknowledged."""
        delivery = Delivery(
            self.folder, self.sink, self.ack, save=(lambda _: None) if forget else self._save, reject=self.rejected.append
        )
        delivery.upload_pending(final=final)

    def _save(self, ack):
        self.ack = ack


@pytest.fixture
def desk(folder):
    return Desk(folder, Memory())


def test_a_whole_run_is_delivered_in_order(trainer, desk):
    trainer.begin()
    trainer.picture(0)
    trainer.steps(1, 300)
    trainer.evaluate(300, wasserstein=0.5)
    trainer.record("tag", key="colour", value="blue")
    trainer.record("file", path="recipe.toml", folder="recipe")
    trainer.end()

    desk.deliver(final=True)

    assert [call[0] for call in desk.sink.calls] == [
        "begin", "describe", "file", "image", "tag", "file", "points", "tag", "ended",
    ]  # fmt: skip
    assert desk.sink.named("ended") == [("FINISHED",)]
    assert desk.sink.named("file") == [("recipe.toml", "recipe")] * 2  # of the start record, and as recorded
    assert ("eval/wasserstein", 300, 0.5) in {(key, step, value) for key, step, _, value in desk.sink.rows}
    assert desk.ack.offset == desk.ack.handled == trainer.folder.journal.stat().st_size


def test_delivering_again_sends_nothing(trainer, desk):
    trainer.begin()
    trainer.steps(1, 300)
    trainer.end()
    desk.deliver(final=True)
    before = list(desk.sink.calls)

    desk.deliver(final=True)

    assert [call for call in desk.sink.calls if call[0] != "begin"] == before[1:]  # it only finds the run


def test_before_the_trainer_has_written_anything_nothing_happens(folder, desk):
    desk.deliver()
    desk.deliver(final=True)

    assert desk.sink.calls == []


def test_the_width_is_chosen_once_from_the_speed_and_stays(trainer, desk):
    trainer.begin()
    trainer.steps(1, 50)
    desk.deliver()
    assert desk.ack.width is None
    assert desk.ack.offset < trainer.folder.journal.stat().st_size  # what was read is needed again

    trainer.steps(51, 400)
    desk.deliver()
    width = desk.ack.width
    assert width is not None
    assert width >= 64

    trainer.steps(401, 2000)
    desk.deliver(final=True)
    assert desk.ack.width == width
    assert desk.sink.iterations("loss/generator/total") == sorted({*range(width, 2001, width), 2000})


def test_full_resolution_sends_every_iteration(new_trainer):
    trainer = new_trainer(resolution="full")
    desk = Desk(trainer.folder, Memory())
    trainer.begin()
    trainer.steps(1, 700)
    trainer.end()

    desk.deliver(final=True)

    assert desk.sink.iterations("loss/generator/total") == list(range(1, 701))
    assert all(count <= 500 for (count,) in desk.sink.named("points"))


def test_measured_values_are_never_thinned_and_leave_first(trainer, desk):
    trainer.begin()
    trainer.steps(1, 600)
    for iteration in range(1, 6):
        trainer.evaluate(iteration, wasserstein=iteration / 10)

    desk.deliver(final=True)

    assert desk.sink.iterations("eval/wasserstein") == [1, 2, 3, 4, 5]


def test_infinity_is_never_sent(trainer, desk):
    trainer.begin()
    trainer.steps(1, 300, value=lambda iteration: math.inf if iteration == 7 else 1.0)
    trainer.evaluate(300, wasserstein=-math.inf)

    desk.deliver(final=True)

    values = {value for _, _, _, value in desk.sink.rows}
    assert "nan" in values
    assert not values & {math.inf, -math.inf}


def test_a_poisonous_point_is_found_and_left_out(folder, trainer):
    desk = Desk(folder, Memory(refuse=lambda point: point.key == "eval/poison"))
    trainer.begin()
    for iteration in range(1, 40):
        trainer.evaluate(iteration, good=1.0, **({"poison": 2.0} if iteration == 17 else {}))
    trainer.end()

    desk.deliver(final=True)

    assert desk.sink.iterations("eval/good") == list(range(1, 40))
    assert [rejection["what"] for rejection in desk.rejected] == ["metric eval/poison at iteration 17"]
    assert desk.ack.rejected == 1
    assert desk.ack.points == 39
    assert desk.sink.named("ended") == [("FINISHED",)]


def test_records_that_make_no_sense_are_rejected_one_by_one(trainer, desk):
    trainer.begin()
    trainer.record("image", key="images/samples", iteration=1, path="pictures/missing.png")
    trainer.record("file", path="../../../etc/passwd", folder="")
    trainer.record("eval", iteration=1, values={"wasserstein": "many"})
    trainer.record("eval", values={})
    trainer.record("tag", key="only a key")
    trainer.record("something new", value=1)
    trainer.end()

    desk.deliver(final=True)
    desk.deliver(final=True)

    assert len(desk.rejected) == 5
    assert desk.sink.named("ended") == [("FINISHED",)]
    assert desk.sink.named("file") == [("recipe.toml", "recipe")]  # of the start record


def test_a_run_that_never_reported_how_it_ended_is_marked_killed(trainer, desk):
    trainer.begin()
    trainer.steps(1, 4000)

    desk.deliver(final=True)

    assert desk.sink.named("ended") == [("KILLED",)]
    assert ("ganforge.reaped", "true") in desk.sink.named("tag")
    assert ("ganforge.end_reason", "process vanished at iteration ~4000") in desk.sink.named("tag")


def test_it_is_marked_also_when_all_else_was_delivered_before(trainer, desk):
    trainer.begin()
    trainer.steps(1, 512)
    trainer.record("tag", key="a", value="b")
    desk.deliver()

    desk.deliver(final=True)
    desk.deliver(final=True)

    assert desk.sink.named("ended") == [("KILLED",)]


def test_while_the_run_goes_on_nothing_is_marked(trainer, desk):
    trainer.begin()
    trainer.steps(1, 4000)

    desk.deliver()

    assert desk.sink.named("ended") == []


def test_a_resumed_run_sends_no_iteration_twice_and_runs_again(trainer, desk):
    trainer.begin()
    trainer.steps(1, 4000)
    trainer.picture(4000)
    desk.deliver(final=True)

    trainer.record("resume", iteration=3500)
    trainer.picture(4000)
    trainer.steps(3501, 6000)
    trainer.picture(6000)
    trainer.end()
    desk.deliver(final=True)

    iterations = desk.sink.iterations("loss/generator/total")
    assert len(iterations) == len(set(iterations))
    assert iterations[-1] == 6000
    assert 4000 in iterations  # the window that the death cut
    assert desk.sink.named("image") == [("images/samples", 4000), ("images/samples", 6000)]
    assert desk.sink.named("describe") == [({"train.iterations": "100", "generator.params.hidden": "[8]"},)]
    assert [call[0] for call in desk.sink.calls if call[0] in {"running", "ended"}] == ["ended", "running", "ended"]
    assert desk.sink.named("ended") == [("KILLED",), ("FINISHED",)]


def finding(trouble="mode collapse", level="fail"):
    return Finding("diversity", trouble, level, "samples near 12% of the data only", 1200, 1250, "several samples at once", "a.b")


def test_findings_become_tags_and_go_again(trainer, desk):
    trainer.begin()
    trainer.record("health", iteration=1250, **report([finding(), finding("near-duplicates", "warn")]))
    desk.deliver()
    text = "samples near 12% of the data only; what usually helps: several samples at once (a.b)"
    assert desk.sink.named("tag") == [
        ("ganforge.health", "fail"),
        ("ganforge.health.problem", "mode collapse; near-duplicates"),
        (
            "ganforge.health.findings",
            f"- fail: mode collapse since iteration 1,200: {text}\n- warn: near-duplicates since iteration 1,200: {text}",
        ),
    ]

    trainer.record("health", iteration=1300, **report([]))
    trainer.end()
    desk.deliver(final=True)
    assert dict(desk.sink.named("tag")) | {"ganforge.exit_code": ""} == {
        "ganforge.health": "healthy",
        "ganforge.health.problem": "none",
        "ganforge.health.findings": "none",
        "ganforge.exit_code": "",
    }


def test_a_sweeps_verdict_comes_with_its_counts(trainer, desk):
    trainer.begin()
    trainer.record("health", iteration=3, verdict="fail", findings=[], seeds={"fail": 1, "healthy": 2})
    desk.deliver()

    assert desk.sink.named("tag") == [("ganforge.health", "fail"), ("ganforge.health.seeds", "1 fail, 2 healthy")]


def test_findings_that_make_no_sense_are_put_aside(trainer, desk):
    trainer.begin()
    trainer.record("health", iteration=3, verdict="fail", findings=[{"mood": "bad"}])
    trainer.end()
    desk.deliver(final=True)

    assert [rejection["what"].startswith("the record at byte") for rejection in desk.rejected] == [True]
    assert desk.sink.named("ended") == [("FINISHED",)]


@pytest.mark.parametrize("resolution", ["auto", "full"])
def test_what_the_watch_measured_is_thinned_to_values_as_they_were_judged(new_trainer, resolution):
    trainer = new_trainer(resolution=resolution)
    desk = Desk(trainer.folder, Memory())
    trainer.begin()
    with JournalWriter(trainer.folder.journal) as journal:
        for iteration in range(1, 2990):
            journal._now = lambda ms=iteration * 4: ms
            journal.metrics(iteration, {"loss/generator/total": 1.0})
            if iteration % 10 == 0:
                journal.metrics(iteration, {"health/jsd": iteration / 1000})
    trainer.end()
    desk.deliver(final=True)

    points = {(step, value) for key, step, _, value in desk.sink.rows if key == "health/jsd"}
    assert all(value == step / 1000 for step, value in points)
    assert (2980, 2.98) in points
    assert len(points) == (298 if resolution == "full" else 24)  # windows of 128 iterations, half a second


def test_looks_of_the_watch_do_not_make_windows_wider(new_trainer):
    widths = []
    for looks in (False, True):
        trainer = new_trainer()
        desk = Desk(trainer.folder, Memory())
        trainer.begin()
        with JournalWriter(trainer.folder.journal) as journal:
            for iteration in range(1, 400):
                journal._now = lambda ms=iteration * 4: ms
                journal.metrics(iteration, {"loss/generator/total": 1.0})
                if looks:
                    journal.metrics(iteration, {"health/jsd": 1.0})
            journal.flush()
        desk.deliver()
        widths.append(desk.ack.width)

    assert widths == [128, 128]


def test_iterations_that_training_was_rolled_back_over_are_not_sent_twice(trainer, desk):
    trainer.begin()
    trainer.steps(1, 700)
    trainer.evaluate(600, wasserstein=0.9)
    desk.deliver()
    trainer.record("rollback", iteration=500, reached=700, reason="mode collapse")
    trainer.steps(501, 1300, value=lambda iteration: 5.0)
    trainer.evaluate(600, wasserstein=0.4)
    trainer.evaluate(1200, wasserstein=0.3)
    trainer.end()
    desk.deliver(final=True)

    steps = [step for key, step, *_ in desk.sink.rows if key == "loss/generator/total"]
    assert len(steps) == len(set(steps))
    assert 700 in steps  # no window reaches across the roll-back
    assert {value for key, step, _, value in desk.sink.rows if key == "loss/generator/total" and step > 700} == {5.0}
    assert desk.sink.iterations("eval/wasserstein") == [600, 1200]
    assert ("ganforge.rolled_back", "from iteration 700 to 500: mode collapse") in desk.sink.named("tag")
    assert desk.sink.named("running") == []


def test_every_return_is_reported_and_the_last_values_stand_as_the_newest(trainer, desk):
    trainer.begin()
    trainer.steps(1, 700)
    trainer.evaluate(600, wasserstein=0.9)
    trainer.record("rollback", iteration=500, reached=700, reason="mode collapse")
    desk.deliver()
    trainer.steps(501, 650, value=lambda iteration: 4.0)
    trainer.record("rollback", iteration=400, reached=650, reason="divergence")
    trainer.steps(401, 550, value=lambda iteration: 5.0)
    trainer.evaluate(550, wasserstein=0.5)
    trainer.record("end", status="KILLED", reason="divergence", exit_code=1, iteration=550)
    desk.deliver(final=True)

    messages = [value for key, value in desk.sink.named("tag") if key == "ganforge.rolled_back"]
    assert messages[-1] == "from iteration 700 to 500: mode collapse\nfrom iteration 650 to 400: divergence"
    newest = {}
    for key, step, ms, value in desk.sink.rows:  # as MLflow orders them
        newest[key] = max(newest.get(key, (-1, -1, 0.0)), (step, ms, value))
    assert (newest["loss/generator/total"][0], newest["loss/generator/total"][2]) == (700, 5.0)
    assert newest["eval/wasserstein"][2] == 0.5


def test_a_run_that_caught_up_sends_no_value_twice(trainer, desk):
    trainer.begin()
    trainer.steps(1, 700)
    trainer.record("rollback", iteration=500, reached=700, reason="mode collapse")
    trainer.steps(501, 700, value=lambda iteration: 4.0)
    trainer.record("end", status="FINISHED", exit_code=0, iteration=700)
    desk.deliver(final=True)
    rows = [(key, step) for key, step, *_ in desk.sink.rows]
    assert len(rows) == len(set(rows))


def test_a_lost_start_record_is_made_up_for_by_the_run_folder(trainer, desk):
    trainer.steps(1, 10)
    trainer.end()

    desk.deliver(final=True)

    assert desk.sink.named("begin") == [(trainer.start.run_id,)]


@pytest.mark.parametrize("resolution", ["auto", pytest.param("full", marks=pytest.mark.slow)])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_is_cut_where_the_rows_are_those_of_one_smooth_delivery(resolution, data, new_trainer):
    """The store may fail at any call, the uploader may die between sending and acknowledging, the trainer may die and resume."""
    trainer = new_trainer(resolution=resolution)
    parts = [
        trainer.begin,
        lambda: trainer.steps(1, 900),
        lambda: trainer.evaluate(900, wasserstein=0.5),
        lambda: trainer.steps(901, 1500),
        lambda: trainer.record("resume", iteration=1000),
        lambda: trainer.steps(1001, 2100),
        lambda: trainer.evaluate(2000, wasserstein=0.25),
        trainer.end,
    ]
    store = Memory()
    desk = Desk(trainer.folder, store)
    for number, part in enumerate(parts):
        part()
        for _ in range(data.draw(st.integers(0, 2), label="deliveries")):
            store._left = data.draw(st.integers(0, 6), label="calls until the store fails")
            # The width stands in acknowledged.json before anything leaves, so it is never forgotten.
            forget = desk.ack.width is not None and data.draw(st.booleans(), label="dies before acknowledging")
            final = number == 3 and data.draw(st.booleans(), label="the trainer has died")
            with suppress(UnreachableError):
                desk.deliver(final=final, forget=forget)
    store._left = math.inf
    desk.deliver(final=True)

    smooth = Desk(trainer.folder, Memory())
    smooth.ack = Acknowledgement(width=desk.ack.width)
    smooth.deliver(final=True)
    assert store.rows == smooth.sink.rows
    assert store.iterations("eval/wasserstein") == [900, 2000]
    for key in ("loss/generator/total", "loss/discriminator/total"):
        iterations = store.iterations(key)
        assert len(iterations) == len(set(iterations))
        assert iterations[-1] == 2100


def test_what_is_pending_is_counted_without_a_store(trainer, desk):
    trainer.begin()
    trainer.steps(1, 300)
    trainer.picture(300)
    trainer.evaluate(300, wasserstein=0.5, modes=3.0)
    trainer.end()

    waiting = count_pending(trainer.folder)
    assert waiting.images == 1
    assert waiting.points >= 4
    assert waiting

    desk.deliver(final=True)
    trainer.folder.write_json(trainer.folder.acknowledged, asdict(desk.ack))
    assert desk.ack.points == waiting.points
    assert count_pending(trainer.folder) == PendingUploads()
    assert not count_pending(trainer.folder)


def test_values_measured_again_after_the_end_get_names_of_their_own_and_leave_the_end_as_it_is(trainer, desk):
    trainer.begin()
    trainer.evaluate(7, wasserstein=0.5)
    trainer.end()
    desk.deliver(final=True)
    for number, value in ((1, 0.4), (2, 0.3)):
        trainer.record("evaluated", number=number, iteration=7, values={"wasserstein": value})
        desk.deliver(final=True)

    rows = {(key, at): value for key, at, _, value in desk.sink.rows}
    assert rows == {("eval/wasserstein", 7): 0.5, ("evaluated/wasserstein", 1): 0.4, ("evaluated/wasserstein", 2): 0.3}
    assert desk.ack.status == "FINISHED"
    assert [call[0] for call in desk.sink.calls].count("ended") == 1


def test_an_acknowledgement_comes_back_as_it_was_saved(tmp_path):
    ack = Acknowledgement(
        "sqlite:///x", "../x", "1", "abc", True, 10, 8, 64, {"loss/total": 4}, {"images/samples": 0}, "KILLED", 5, 1, 0
    )

    RunFolder(tmp_path).write_json(tmp_path / "acknowledged.json", asdict(ack))

    assert Acknowledgement.load(tmp_path / "acknowledged.json") == ack


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"7", b"\xff\xfe", b'{"novelty": 1}'])
def test_a_missing_or_damaged_acknowledgement_acknowledges_nothing(tmp_path, content):
    path = tmp_path / "acknowledged.json"
    if content is not None:
        path.write_bytes(content)

    assert Acknowledgement.load(path) == Acknowledgement()


def test_another_store_starts_again_with_the_same_windows(folder, tmp_path):
    ack = Acknowledgement(store="http://x", run_id="abc", offset=10, width=64, highest={"loss": 4})

    assert ack.for_store(Store("http://x"), folder) == ack
    assert ack.for_store(Store("http://y"), folder) == Acknowledgement(store="http://y", width=64)
    assert Acknowledgement().for_store(Store("http://y"), folder) == Acknowledgement(store="http://y")


def test_a_database_that_was_moved_with_its_run_is_the_same_store(folder, tmp_path):
    database = Store(f"sqlite:///{tmp_path}/mlflow.db")
    ack = Acknowledgement(run_id="abc", offset=10).for_store(database, folder)
    moved = RunFolder(tmp_path.with_name("moved") / folder.path.relative_to(tmp_path))

    there = Store(f"sqlite:///{tmp_path.with_name('moved')}/mlflow.db")
    assert ack.belongs_to(there, moved)
    assert ack.for_store(there, moved).offset == 10
    assert not ack.belongs_to(Store(f"sqlite:///{tmp_path.with_name('moved')}/other.db"), moved)
    assert not ack.belongs_to(Store("http://y"), moved)


def last_points(desk):
    """The newest value of each metric, as MLflow shows it, with its step."""
    newest = {}
    for key, step, ms, value in desk.sink.rows:
        newest[key] = max(newest.get(key, (-1, -1, 0.0)), (step, ms, value))
    return {key: (step, value) for key, (step, _, value) in newest.items()}


@pytest.mark.parametrize(
    "end",
    [
        {"reason": "process vanished at iteration ~128", "iteration": 128},  # `ganforge runs` knows the last heartbeat only
        {"reason": "interrupted at once", "exit_code": 130},
        None,
    ],
)
def test_a_run_that_was_killed_sends_no_old_value_at_a_later_step(trainer, desk, end):
    trainer.begin()
    trainer.evaluate(0, wasserstein=9.0)
    trainer.steps(1, 256)
    trainer.evaluate(200, wasserstein=0.4)
    if end:
        trainer.record("end", status="KILLED", **end)

    desk.deliver(final=True)

    assert last_points(desk)["eval/wasserstein"] == (200, 0.4)
    assert last_points(desk)["loss/generator/total"][0] == 256
    rows = [(key, step) for key, step, *_ in desk.sink.rows]
    assert len(rows) == len(set(rows))


def test_a_run_that_vanished_after_a_return_shows_its_last_values(trainer, desk):
    trainer.begin()
    trainer.steps(1, 256)
    trainer.evaluate(200, wasserstein=9.0)
    desk.deliver()
    trainer.record("rollback", iteration=100, reached=256, reason="divergence")
    trainer.evaluate(150, wasserstein=0.4)

    desk.deliver(final=True)

    assert last_points(desk)["eval/wasserstein"] == (200, 0.4)


def test_values_that_a_resume_changed_are_a_tag(trainer, desk):
    trainer.begin()
    for iteration, values in ((100, {"train.iterations": ("100", "200")}), (200, {"train.iterations": ("200", "300")})):
        trainer.record("changed", iteration=iteration, values=values)
    trainer.end()

    desk.deliver(final=True)

    changes = [value for key, value in desk.sink.named("tag") if key == "ganforge.changed"]
    assert changes[-1] == "train.iterations from 100 to 200 at iteration 100\ntrain.iterations from 200 to 300 at iteration 200"


def test_an_acknowledgement_of_a_longer_journal_acknowledges_nothing(trainer, desk):
    trainer.begin()
    trainer.steps(1, 300)
    trainer.end()
    desk.ack = Acknowledgement(run_id="m1", described=True, offset=10**9, handled=10**9, highest={"loss/generator/total": 10**6})

    desk.deliver(final=True)

    assert desk.sink.iterations("loss/generator/total")[-1] == 300
    assert ("FINISHED",) in desk.sink.named("ended")


def test_a_run_that_the_store_lost_is_sent_again_from_the_beginning(trainer, desk):
    trainer.begin()
    trainer.steps(1, 300)
    trainer.picture(300)
    trainer.end()
    desk.deliver(final=True)
    sent, desk.sink.rows = desk.sink.rows, set()

    desk.sink.run_id = "another"  # the store has a new run instead of the acknowledged one
    desk.deliver(final=True)

    assert desk.sink.rows == sent
    assert [call[0] for call in desk.sink.calls].count("image") == 2
    assert desk.ack.run_id == "another"
