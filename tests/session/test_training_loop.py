"""A health failure in a real run: a warning, a stop, or a roll-back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ganforge.health.monitor import HealthMonitor
from ganforge.session.run_plan import Options
from ganforge.session.training_loop import TrainingLoop
from ganforge.session.training_run import run
from ganforge.storage import checkpoints, journal
from ganforge.storage.run_folder import RunFolder
from ganforge.train.trainer import Trainer

pytestmark = pytest.mark.usefixtures("without_pictures")
ALWAYS = "weights = { warn = 0.01, fail = 0.02 }"
"""A table by which every generator diverges, as is seen at iteration 10."""


@pytest.fixture
def failing(recipe, tmp_path, console):
    """Run a recipe in which the watch sees a failure soon."""

    def go(on_fail: str, *, extra: str = "", table: str = ALWAYS, iterations: int = 40, every: int = 10, **options):
        text = f'[health]\non_fail = "{on_fail}"\nevery = {every}\nsample_checks = 0\n{table}\n[checkpoints]\nevery = 5\n{extra}'
        return run(Options(recipe(text, iterations=iterations), runs_dir=tmp_path / "runs", plain=True, **options), console)

    return go


def records(folder: Path, kind: str) -> list[dict]:
    return [record for _, record in journal.read(folder / "events.jsonl") if record["kind"] == kind]


def test_by_default_a_failure_is_reported_and_training_goes_on(failing):
    result = failing("warn")
    assert (result.status, result.iterations, result.exit_code) == ("finished", 40, 0)


def test_a_failure_may_stop_the_run_with_its_state_saved(failing):
    result = failing("stop")
    assert (result.status, result.exit_code) == ("stopped", 1)
    assert result.iterations == 10
    assert "divergence since iteration" in result.reason
    assert (result.folder / "checkpoints" / f"{result.iterations:08d}").is_dir()


def test_a_run_goes_back_three_times_and_stops(failing):
    result = failing("roll-back")
    assert (result.status, result.exit_code) == ("stopped", 1)
    assert "rolled back 3 times" in result.reason
    returns = records(result.folder, "rollback")
    assert [(record["reached"], record["iteration"]) for record in returns] == [(10, 5)] * 3
    assert all("divergence" in record["reason"] for record in returns)
    state = json.loads((result.folder / "checkpoints" / f"{result.iterations:08d}" / "state.json").read_text())
    assert state["rollbacks"] == 3


def test_going_back_is_reproducible(failing, tmp_path):
    first, second = failing("roll-back"), failing("roll-back")
    assert first.iterations == second.iterations
    name = f"checkpoints/{first.iterations:08d}/generator.safetensors"
    assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_a_run_that_diverged_goes_back_too(recipe, tmp_path, console):
    text = '[health]\non_fail = "roll-back"\n[checkpoints]\nevery = 5\n[generator.optimizer]\nlr = 1e30\n'
    result = run(Options(recipe(text), runs_dir=tmp_path / "runs", plain=True), console)
    assert (result.status, result.exit_code) == ("diverged", 1)
    assert len(records(result.folder, "rollback")) == 3


def test_a_failure_first_seen_at_the_last_iteration_is_the_runs_end(failing):
    result = failing("stop", iterations=10)
    assert (result.status, result.iterations, result.exit_code) == ("stopped", 10, 1)
    assert result.reason.endswith("seen at the last iteration")
    (end,) = records(result.folder, "end")
    assert (end["exit_code"], end["reason"]) == (1, result.reason)


def test_a_failure_at_the_last_iteration_that_is_only_reported_is_no_end(failing):
    assert failing("warn", iterations=10).status == "finished"


def test_after_the_last_return_a_failure_at_the_last_iteration_is_the_runs_end(failing):
    result = failing("roll-back", iterations=10)
    assert (result.status, result.exit_code) == ("stopped", 1)
    assert "rolled back 3 times" in result.reason


def trained(result) -> int:
    """Iterations that the speed in a result counts."""
    return round(result.iterations_per_second * result.seconds)


def test_the_speed_counts_iterations_that_were_given_up(failing):
    result = failing("roll-back")
    assert (result.iterations, trained(result)) == (10, 25)  # 10, and from 5 to 10 three times more


def test_a_resumed_run_that_ends_before_it_went_on_has_no_negative_speed(failing):
    begun = failing("stop", every=13)
    resumed = failing("roll-back", every=4, resume=str(begun.folder))
    assert resumed.iterations < begun.iterations
    rows = [
        iteration
        for record in records(begun.folder, "metrics")
        if "loss/generator/total" in record["values"]
        for iteration in record["iterations"]
    ]
    assert trained(begun) + trained(resumed) == len(rows)


def test_checkpoints_of_a_part_given_up_are_kept_aside(failing):
    table = "gradients = { warn = 1e-9, fail = 1e-8 }"  # detected at once, reported when it lasts
    result = failing("roll-back", table=table, iterations=200, every=1)
    returns = records(result.folder, "rollback")
    assert len(returns) == 3
    for number, record in enumerate(returns, 1):
        aside = sorted((result.folder / "checkpoints" / f"discarded-{number}").iterdir())
        assert [int(path.name) for path in aside] == list(range(record["iteration"] + 5, record["reached"] + 1, 5))
        assert all(checkpoints.load(path).values["iteration"] == int(path.name) for path in aside)
    assert checkpoints.load_newest(RunFolder(result.folder)).iteration == result.iterations


@pytest.fixture
def killed_after_return(monkeypatch):
    """The first process dies as soon as it has gone back."""
    real = TrainingLoop._roll_back

    def dying(self):
        if real(self):
            raise KeyboardInterrupt

    def set_up(dies: bool) -> None:
        monkeypatch.setattr(TrainingLoop, "_roll_back", dying if dies else real)

    return set_up


def test_returns_are_counted_and_reproduced_across_a_resume(failing, killed_after_return):
    whole = failing("roll-back")
    killed_after_return(True)
    with pytest.raises(KeyboardInterrupt):
        failing("roll-back")
    killed_after_return(False)
    (broken,) = (path for path in whole.folder.parent.iterdir() if path != whole.folder and (path / "run.json").exists())
    resumed = failing("roll-back", resume=str(broken))

    assert [len(records(folder, "rollback")) for folder in (whole.folder, broken)] == [3, 3]
    assert resumed.reason == whole.reason
    name = f"checkpoints/{whole.iterations:08d}/generator.safetensors"
    assert (broken / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_resumed_run_that_goes_back_to_its_beginning_still_knows_what_was_normal(
    failing, killed_after_return, monkeypatch, tmp_path
):
    killed_after_return(True)
    with pytest.raises(KeyboardInterrupt):
        failing("roll-back")
    killed_after_return(False)
    messages, before = [], TrainingLoop._state_before
    monkeypatch.setattr(
        HealthMonitor, "roll_back", lambda self, plain, real=HealthMonitor.roll_back: (messages.append(plain), real(self, plain))[1]
    )

    def without_checkpoints(self, since):
        shutil.rmtree(self.folder.checkpoints)
        self.folder.checkpoints.mkdir()
        return before(self, since)

    monkeypatch.setattr(TrainingLoop, "_state_before", without_checkpoints)
    failing("roll-back", resume=str(next(tmp_path.glob("runs/*/*/run.json")).parent))
    assert messages
    assert all("smoother" in plain for plain in messages)


def test_a_run_goes_back_to_before_the_failure_and_not_to_before_the_warning(failing):
    slow = "[generator.optimizer]\nlr = 0.05\n"
    result = failing("roll-back", iterations=60, table="weights = { warn = 0.01, fail = 2.0 }", extra=slow)
    returns = [(record["reached"], record["iteration"]) for record in records(result.folder, "rollback")]
    (warned, *_), (failed, *_) = (
        [record["findings"][0]["since"] for record in records(result.folder, "health") if record["verdict"] == verdict]
        for verdict in ("warn", "fail")
    )
    assert warned < failed
    assert len(returns) == 3
    assert all(warned < iteration < failed <= reached for reached, iteration in returns)


def test_a_run_that_had_ended_is_not_stopped_when_it_is_resumed(failing):
    result = failing("warn")
    again = failing("stop", resume=str(result.folder))
    assert (again.status, again.exit_code) == ("finished", 0)


def test_a_failure_first_seen_at_the_last_iteration_sends_the_run_back_too(failing):
    result = failing("roll-back", iterations=10)
    assert len(records(result.folder, "rollback")) == 3


def test_a_run_resumed_in_the_middle_of_a_failure_does_not_go_back_into_it(failing):
    began = failing("stop")
    for older in (began.folder / "checkpoints").iterdir():
        if older.is_dir() and int(older.name) < began.iterations:
            shutil.rmtree(older)
    again = failing("roll-back", resume=str(began.folder))
    assert (again.status, again.exit_code) == ("stopped", 1)
    assert again.reason.endswith("no earlier state is kept")
    assert not records(again.folder, "rollback")


def test_a_state_that_is_not_finite_sends_the_run_back_and_is_never_saved(failing, monkeypatch):
    real = Trainer.save

    def save(self):
        if self.iteration == 10 and not self.rollbacks:
            self.divergence = "ema/weight is not finite at iteration 10"
            return None
        return real(self)

    monkeypatch.setattr(Trainer, "save", save)
    result = failing("roll-back", table="", iterations=15)
    assert (result.status, result.iterations) == ("finished", 15)
    (record,) = records(result.folder, "rollback")
    assert (record["reached"], record["iteration"], record["reason"]) == (10, 5, "ema/weight is not finite at iteration 10")
