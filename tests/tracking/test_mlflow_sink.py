"""Runs delivered to a real sqlite store and read back with MlflowClient."""

import math
import os
import posixpath
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from ganforge.core.findings import Finding, report
from ganforge.core.redaction import HIDDEN
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.mlflow_sink import MlflowSink, UnreachableError, artifact_key, cut, metric_key, one_line
from ganforge.tracking.run_metadata import DatasetFacts
from ganforge.tracking.tracking_store import Store, resolve_store
from ganforge.tracking.uploader import upload

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:")  # MLflow's and SQLAlchemy's own


@pytest.fixture(autouse=True)
def _quick_answers(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def whole_run(trainer):
    trainer.begin()
    trainer.picture(0)
    trainer.steps(1, 1000)
    trainer.evaluate(500, wasserstein=0.5, modes=math.inf)
    trainer.evaluate(1000, wasserstein=0.25, modes=8.0)
    trainer.picture(1000)
    trainer.record("tag", key="ganforge.verdict", value="healthy")
    with JournalWriter(trainer.folder.journal) as journal:
        journal.metrics(990, {"health/diversity": 0.97})
        journal.metrics(1000, {"health/diversity": 0.12})
    trouble = Finding("diversity", "mode collapse", "fail", "samples near 12% of the data only", 1000, 1000, "packing", "a.b")
    trainer.record("health", iteration=990, **report([]))
    trainer.record("health", iteration=1000, **report([trouble]))
    trainer.end()


def test_a_run_reads_back_as_it_was_written(trainer, deliver, uri, read_back, tmp_path):
    whole_run(trainer)

    state = deliver(trainer.folder)

    assert state.phase == "done", state.message
    record = read_back(uri, trainer.start.run_id)
    assert record.status == "FINISHED"
    assert record.run.info.run_name == "rings s0"
    assert record.run.data.params == dict(trainer.start.params)
    tags = record.run.data.tags
    assert tags["mlflow.note.content"] == "Eight modes on a ring."
    assert tags["mlflow.source.name"] == "recipes/rings.toml"
    assert tags["ganforge.verdict"] == "healthy"
    assert tags["ganforge.exit_code"] == "0"
    assert (tags["ganforge.health"], tags["ganforge.health.problem"]) == ("fail", "mode collapse")
    assert tags["ganforge.health.findings"] == (
        "- fail: mode collapse since iteration 1,000: samples near 12% of the data only; what usually helps: packing (a.b)"
    )
    assert record.points["health/diversity"][-1] == (1000, 0.12)
    assert record.run.data.metrics["5-health/diversity"] == 0.12

    assert record.points["eval/wasserstein"] == [(500, 0.5), (1000, 0.25)]
    assert math.isnan(record.points["eval/modes"][0][1])
    steps = [step for step, _ in record.points["loss/generator/total"]]
    assert steps == sorted(set(steps))
    assert steps[-1] == 1000
    assert record.images == [("images/samples", 0), ("images/samples", 1000)]
    assert state.points == sum(map(len, record.points.values()))

    (given,) = record.run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("ring", "0a1b2c")
    assert "ganforge/ring" in given.dataset.source
    assert [info.path for info in record.client.list_artifacts(record.run.info.run_id, "recipe")] == ["recipe/recipe.toml"]
    experiment = record.client.get_experiment(record.run.info.experiment_id)
    assert experiment.name == "rings"
    assert experiment.artifact_location.startswith((tmp_path / "mlartifacts").as_uri())


def test_delivering_again_with_the_acknowledgement_lost_changes_nothing(trainer, deliver, uri, read_back):
    whole_run(trainer)
    deliver(trainer.folder)
    before = read_back(uri, trainer.start.run_id)
    ack = trainer.folder.read_json(trainer.folder.acknowledged)
    trainer.folder.write_json(trainer.folder.acknowledged, {"width": ack["width"]})

    deliver(trainer.folder)

    after = read_back(uri, trainer.start.run_id)
    assert repr(after.points) == repr(before.points)  # NaN equals nothing, its repr does
    assert after.images == before.images
    assert after.run.data.params == before.run.data.params
    assert len(after.run.inputs.dataset_inputs) == 1


@pytest.mark.parametrize(("status", "reason"), [("FAILED", "diverged at iteration 37"), ("KILLED", "Ctrl-C")])
def test_the_status_is_the_one_that_the_run_ended_with(trainer, deliver, uri, read_back, status, reason):
    trainer.begin()
    trainer.end(status, reason=reason, exit_code=1)

    deliver(trainer.folder)

    record = read_back(uri, trainer.start.run_id)
    assert record.status == status
    assert record.run.data.tags["ganforge.end_reason"] == reason


def test_what_mlflow_will_never_take_is_put_aside_and_the_rest_arrives(new_trainer, deliver, uri, read_back):
    trainer = new_trainer(params={"long": "x" * 7000, "odd?key": "1", "fine": "2", **{f"p{i}": "0" for i in range(150)}})
    trainer.begin()
    trainer.evaluate(1, good=1.0)
    trainer.evaluate(2**70, good=2.0)
    trainer.evaluate(3, good=3.0, **{"../../evil": 4.0})
    trainer.end()

    state = deliver(trainer.folder, drain_timeout=20.0)

    record = read_back(uri, trainer.start.run_id)
    assert state.phase == "done", state.message
    assert record.status == "FINISHED"
    assert record.points["eval/good"][0] == (1, 1.0)
    assert len([key for key in record.points if "evil" in key]) == 1
    assert len(record.run.data.params) == 153
    assert record.run.data.params["long"].endswith("… (cut)")
    rejected = (trainer.folder.path / "rejected.jsonl").read_text().splitlines()
    assert len(rejected) == 1
    assert "iteration: Input should be less than 9223372036854775808" in rejected[0]


def test_a_point_that_mlflow_always_fails_on_does_not_block_the_others(trainer, deliver, uri, read_back, monkeypatch):
    from mlflow import MlflowClient, MlflowException

    log_batch = MlflowClient.log_batch

    def failing(client, run_id, metrics=(), **options):
        if any(metric.key == "2-eval/poison" for metric in metrics):
            raise MlflowException("internal error")
        return log_batch(client, run_id, metrics=metrics, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", failing)
    monkeypatch.setattr("ganforge.tracking.uploader._UploadLoop._backoff", lambda _: 0.0)
    trainer.begin()
    for iteration in range(1, 8):
        trainer.evaluate(iteration, good=1.0, **({"poison": 2.0} if iteration == 4 else {}))
    trainer.end()

    state = deliver(trainer.folder, drain_timeout=20.0)

    record = read_back(uri, trainer.start.run_id)
    assert (state.phase, record.status) == ("done", "FINISHED")
    assert [step for step, _ in record.points["eval/good"]] == [1, 2, 3, 4, 5, 6, 7]
    assert "metric eval/poison at iteration 4" in (trainer.folder.path / "rejected.jsonl").read_text()
    assert not [tag for tag in record.run.data.tags if "failure" in tag]


def test_failures_of_one_batch_do_not_count_for_the_next(trainer, deliver, uri, read_back, monkeypatch):
    from mlflow import MlflowClient, MlflowException

    log_batch, left = MlflowClient.log_batch, [8]  # enough to isolate a point if the failures before counted, else too few

    def failing(client, run_id, metrics=(), **options):
        keys = {metric.key for metric in metrics}
        if "2-eval/late" in keys and left[0]:
            left[0] -= 1
            raise MlflowException("internal error")
        if "2-eval/poison" in keys:
            raise MlflowException("internal error")
        return log_batch(client, run_id, metrics=metrics, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", failing)
    monkeypatch.setattr("ganforge.tracking.uploader._UploadLoop._backoff", lambda _: 0.0)
    trainer.begin()
    for iteration in range(1, 601):
        trainer.evaluate(iteration, good=1.0, **({"poison": 2.0} if iteration == 4 else {"late": 3.0} if iteration == 590 else {}))
    trainer.end()

    state = deliver(trainer.folder, drain_timeout=20.0)

    record = read_back(uri, trainer.start.run_id)
    assert (state.phase, left, len(record.points["eval/good"])) == ("done", [0], 600)
    assert [step for step, _ in record.points["eval/late"]] == [590]
    assert len((trainer.folder.path / "rejected.jsonl").read_text().splitlines()) == 1


def test_a_store_that_refuses_every_write_rejects_nothing(trainer, deliver, monkeypatch):
    from mlflow import MlflowClient, MlflowException

    def failing(*_, **__):
        raise MlflowException("internal error")

    for name in ("log_batch", "set_tag"):
        monkeypatch.setattr(MlflowClient, name, failing)
    monkeypatch.setattr("ganforge.tracking.uploader._UploadLoop._backoff", lambda _: 0.05)
    trainer.begin()
    trainer.evaluate(1, good=1.0)

    state = deliver(trainer.folder, drain_timeout=1.0)

    assert (state.phase, state.message) == ("unreachable", "internal error")
    assert not (trainer.folder.path / "rejected.jsonl").exists()


def test_secrets_are_nowhere(new_trainer, deliver, uri, tmp_path):
    trainer = new_trainer(
        params={"dataset.params.password": "canary-param"},
        tags={"api_token": "canary-tag", "mlflow.source.git.repoURL": "https://me:canary-login@git.example.org/x"},
        note="secret = canary-note",
        dataset=DatasetFacts("ring", "0", "https://me:canary-data@example.org/ring.npz"),
    )
    trainer.folder.recipe.write_text('[dataset]\nparams = { password = "canary-recipe" }\n')
    trainer.begin()
    trainer.record("tag", key="my_secret", value="canary-later")
    trainer.record("tag", key="argv", value="--set dataset.params.token=canary-argv")
    trainer.end("FAILED", reason="cannot open https://me:canary-reason@example.org")

    deliver(trainer.folder)

    folders = [tmp_path, trainer.folder.path]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    database = tmp_path / "mlflow.db"
    assert database in files
    assert HIDDEN.encode() in database.read_bytes()
    # What this test wrote itself: the recipe, and a tag's value, which a run's own tags never hold. MLflow gets neither.
    assert {path for path in files if b"canary" in path.read_bytes()} == {trainer.folder.recipe, trainer.folder.journal}


def test_the_same_run_goes_on_when_it_is_resumed(trainer, deliver, uri, read_back):
    trainer.begin()
    trainer.steps(1, 600)
    deliver(trainer.folder)
    assert read_back(uri, trainer.start.run_id).status == "KILLED"

    trainer.record("resume", iteration=500)
    trainer.steps(501, 1200)
    trainer.end()
    deliver(trainer.folder)

    record = read_back(uri, trainer.start.run_id)
    assert record.status == "FINISHED"
    steps = [step for step, _ in record.points["loss/generator/total"]]
    assert steps == sorted(set(steps))
    assert steps[-1] == 1200


def test_facts_of_an_earlier_end_are_removed_when_the_run_is_resumed(trainer, deliver, uri, read_back):
    trainer.begin()
    trainer.steps(1, 100)
    deliver(trainer.folder)  # marks it as vanished
    trainer.record("end", status="KILLED", reason="stopped by SIGINT", error="old", exit_code=130)
    deliver(trainer.folder)
    assert read_back(uri, trainer.start.run_id).run.data.tags["ganforge.end_reason"] == "stopped by SIGINT"

    trainer.record("resume", iteration=100)
    trainer.steps(101, 200)
    trainer.end()
    deliver(trainer.folder)

    record = read_back(uri, trainer.start.run_id)
    assert record.status == "FINISHED"
    assert record.run.data.tags["ganforge.exit_code"] == "0"
    assert not {"ganforge.end_reason", "ganforge.error", "ganforge.reaped"} & record.run.data.tags.keys()


@pytest.mark.parametrize("first", ["parent", "child"])
def test_a_child_and_its_parent_find_each_other_whoever_comes_first(new_trainer, deliver, uri, read_back, first):
    parent = new_trainer()
    child = new_trainer(parent_run_id=parent.start.run_id)
    for trainer in (parent, child) if first == "parent" else (child, parent):
        trainer.begin()
        trainer.end()
        deliver(trainer.folder)

    tags = read_back(uri, child.start.run_id).run.data.tags
    assert tags["mlflow.parentRunId"] == read_back(uri, parent.start.run_id).run.info.run_id


@pytest.mark.parametrize("what", ["run", pytest.param("experiment", marks=pytest.mark.slow)])
def test_a_run_that_the_user_deleted_stays_deleted(trainer, deliver, uri, read_back, what):
    trainer.begin()
    trainer.steps(1, 600)
    deliver(trainer.folder)
    record = read_back(uri, trainer.start.run_id)
    info = record.run.info
    record.client.delete_run(info.run_id) if what == "run" else record.client.delete_experiment(info.experiment_id)
    trainer.record("resume", iteration=600)
    trainer.steps(601, 1200)

    state = deliver(trainer.folder)

    assert state.phase == "stopped"
    assert record.client.get_run(info.run_id).info.lifecycle_stage == "deleted"

    remedy = state.message.partition("restore it: ")[2]
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(remedy, shell=True, check=True, capture_output=True, env=environ)
    assert deliver(trainer.folder).phase == "done"
    assert 1200 in {step for step, _ in read_back(uri, trainer.start.run_id).points["loss/generator/total"]}


def test_a_run_that_is_gone_for_good_is_sent_again_completely(trainer, deliver, uri, read_back, empty_store, tmp_path):
    whole_run(trainer)
    deliver(trainer.folder)
    before = read_back(uri, trainer.start.run_id)
    other = tmp_path / "exchanged"
    other.mkdir()
    empty_store(other)
    acknowledged = trainer.folder.read_json(trainer.folder.acknowledged)
    trainer.folder.write_json(trainer.folder.acknowledged, {**acknowledged, "store": f"sqlite:///{other}/mlflow.db"})

    deliver(trainer.folder, uri=f"sqlite:///{other}/mlflow.db")

    after = read_back(f"sqlite:///{other}/mlflow.db", trainer.start.run_id)
    assert repr(after.points) == repr(before.points)
    assert (after.images, after.status, after.run.data.params) == (before.images, before.status, before.run.data.params)


@pytest.mark.parametrize("name", ["100% done", "a%41b", "what?", "run#7", "it's", "空 白", "a;b&c=d+e"])
def test_projects_of_any_name_are_tracked(trainer, deliver_to, read_back, empty_store, tmp_path, monkeypatch, name):
    project = tmp_path / name
    project.mkdir()
    empty_store(project)
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trainer.begin()
    trainer.picture(0)
    trainer.end()
    store = resolve_store()
    assert store.database == project / "mlflow.db"

    state = deliver_to(trainer.folder, None)

    assert state.phase == "done", state.message
    assert read_back(store.uri, trainer.start.run_id).images == [("images/samples", 0)]
    assert {path.name for path in project.iterdir()} == {"mlflow.db", "mlflow.db.lock", "mlartifacts"}


LOGIN = "log in with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
POOL = "HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /api (Caused by {})"
ANSWERS = {
    "refused": (
        POOL.format("NewConnectionError(\"HTTPConnection(host='127.0.0.1', port=1): Failed to connect: [Errno 111] Refused\")"),
        "http://x does not answer: Failed to connect: [Errno 111] Refused",
    ),
    "unknown name": (
        POOL.format("NameResolutionError(\"HTTPConnection(host='x', port=1): Failed to resolve 'x' ([Errno -2] unknown)\")"),
        "http://x does not answer: Failed to resolve 'x' ([Errno -2] unknown)",
    ),
    "failing server": (
        POOL.format("ResponseError('too many 500 error responses')"),
        "http://x does not answer: too many 500 error responses",
    ),
    "no TLS": (
        POOL.format("SSLError(SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)'))"),
        "http://x does not use TLS: write http:// instead of https://",
    ),
    "no login": (
        "API request to endpoint /a failed with error code 401 != 200. Response body: '<html>\n</html>'",
        f"http://x refused the login (status 401): {LOGIN}",
    ),
    "another server": (
        "API request to endpoint was successful but the response body was not in a valid JSON format. Response body: '<html>'",
        "http://x is not an MLflow server: it answered with something other than JSON",
    ),
    "SQL": (
        "(psycopg.OperationalError) the server\nis in recovery\n[SQL: SELECT a\nFROM b]\n(Background on this error at: u)",
        "(psycopg.OperationalError) the server is in recovery",
    ),
}


@pytest.mark.parametrize(("message", "shown"), ANSWERS.values(), ids=ANSWERS)
def test_errors_of_libraries_become_one_line(monkeypatch, message, shown):
    from mlflow import MlflowClient, MlflowException

    def failing(*_, **__):
        raise MlflowException(message)

    monkeypatch.setattr(MlflowClient, "search_experiments", failing)
    with pytest.raises(UnreachableError) as caught:
        MlflowSink(Store("http://x")).connect()

    assert str(caught.value) == shown


def test_a_deleted_experiment_stays_deleted_and_the_run_goes_to_a_new_one(new_trainer, deliver, uri, read_back):
    first, second = new_trainer(), new_trainer()
    for trainer in (first, second):
        trainer.begin()
        trainer.end()
    deliver(first.folder)
    old = read_back(uri, first.start.run_id)
    old.client.delete_experiment(old.run.info.experiment_id)

    deliver(second.folder)

    new = read_back(uri, second.start.run_id)
    assert new.client.get_experiment(new.run.info.experiment_id).name == "rings (2)"


def test_hostile_names_create_nothing_outside(new_trainer, deliver, uri, read_back, tmp_path):
    trainer = new_trainer(
        experiment="../../evil\x00" + "x" * 600, run_name="../../run\n" + "y" * 600, tags={"../t": "v", "k" * 300: "v"}
    )
    trainer.begin()
    trainer.picture(0, key="../../../samples")
    trainer.record("file", path="recipe.toml", folder="../../out")
    trainer.end()
    before = set(tmp_path.parent.iterdir())

    state = deliver(trainer.folder)

    assert state.phase == "done", state.message
    assert set(tmp_path.parent.iterdir()) == before
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock", "mlartifacts"}
    assert read_back(uri, trainer.start.run_id).status == "FINISHED"


def test_a_store_of_another_mlflow_is_named_with_its_remedy(trainer, deliver, uri):
    import sqlite3

    connection = sqlite3.connect(uri.removeprefix("sqlite:///"))
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    connection.close()
    trainer.begin()

    state = deliver(trainer.folder)

    assert state.phase == "unreachable"
    assert "mlflow db upgrade" in state.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_unreachable(trainer, deliver, uri):
    Path(uri.removeprefix("sqlite:///")).chmod(stat.S_IRUSR)
    trainer.begin()

    assert deliver(trainer.folder).phase == "unreachable"


@pytest.mark.slow
def test_a_database_that_another_process_locks_is_waited_for(trainer, deliver, uri, read_back, monkeypatch):
    import sqlite3

    connection = sqlite3.connect(uri.removeprefix("sqlite:///"), check_same_thread=False, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(3.0, lambda: connection.execute("COMMIT"))
    release.start()
    whole_run(trainer)

    state = deliver(trainer.folder, drain_timeout=20.0)

    release.join()
    connection.close()
    assert state.phase == "done", state.message
    assert read_back(uri, trainer.start.run_id).status == "FINISHED"


def test_no_run_is_uploaded_twice_at_once(trainer, uri):
    trainer.begin()
    with FileLock(trainer.folder.path / "upload.lock"):
        over = threading.Event()
        over.set()

        state = upload(RunFolder(trainer.folder.path), resolve_store(uri), over, drain_timeout=0.2)

    assert state.phase == "busy"


@pytest.mark.parametrize("name", ["loss/generator/total", "eval/modes/captured", "rate/lr/generator", "perf.x-y z:1", "größe"])
def test_good_names_stay(name):
    assert metric_key(name) == name


@given(st.text(max_size=400))
def test_every_metric_key_is_one_that_mlflow_takes(name):
    key = metric_key(name)

    assert re.fullmatch(r"[/\w.\- :]+", key)
    assert posixpath.normpath(key) == key
    assert not key.startswith(("..", "/"))
    assert 1 <= len(key) <= 250


@given(st.text(max_size=300))
def test_every_artifact_key_is_one_that_mlflow_takes_and_no_path_out(name):
    key = artifact_key(name)

    assert re.fullmatch(r"[a-zA-Z0-9_\-./ ]+", key)
    assert posixpath.normpath(key) == key
    assert not key.startswith(("..", "/"))
    assert len(key) <= 120


@given(st.sets(st.text(alphabet="a/.%#ä", min_size=1, max_size=8), min_size=2, max_size=2))
def test_two_names_never_become_one(names):
    one, other = names

    assert metric_key(one) != metric_key(other)
    assert artifact_key(one) != artifact_key(other)


def test_names_for_people_hold_no_control_characters():
    assert one_line("a\nb\x00c\x1b[31m", 5) == "a b c"


def test_long_texts_say_where_they_were_cut():
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("x" * 5000, 100).endswith("… (cut)")
    assert len(cut("x" * 5000, 100)) == 100
