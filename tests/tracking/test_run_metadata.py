from ganforge.core.redaction import HIDDEN
from ganforge.storage import journal
from ganforge.storage.journal import JournalWriter
from ganforge.tracking.run_metadata import DatasetFacts, StartRecord

START = StartRecord(
    run_id="0123",
    run_name="moons s0",
    experiment="moons",
    params={"train.iterations": "100"},
    tags={"ganforge.seed": "0"},
    dataset=DatasetFacts("moons", "abc", "ganforge/moons", "2 classes"),
    note="**Two** moons",
    artifacts={"recipe": ["recipe.toml"], "": ["run.json"]},
    parent_run_id="4567",
    resolution="full",
)


def test_it_comes_back_from_the_journal_as_it_went_in(tmp_path):
    with JournalWriter(tmp_path / "events.jsonl") as writer:
        writer.record("start", **START.to_record())

    ((_, record),) = journal.read(tmp_path / "events.jsonl")

    assert record["kind"] == "start"
    assert StartRecord.from_record(record) == START


def test_secrets_do_not_reach_the_journal(tmp_path):
    start = StartRecord(
        run_id="0",
        run_name="r",
        experiment="e",
        params={"dataset.params.password": "canary-1"},
        tags={"my_token": "canary-2", "mlflow.source.git.repoURL": "https://anna:canary-3@git.example.org/x"},
        note="token = canary-4",
        dataset=DatasetFacts("d", "0", "https://u:canary-5@host/data.npz"),
    )

    with JournalWriter(tmp_path / "events.jsonl") as writer:
        writer.record("start", **start.to_record())

    text = (tmp_path / "events.jsonl").read_text()

    assert "canary" not in text
    assert HIDDEN in text


def test_a_record_of_a_newer_or_older_ganforge_is_read_as_far_as_it_goes():
    read = StartRecord.from_record({"kind": "start", "ms": 1, "run_id": "0", "run_name": "r", "experiment": "e", "novelty": 1})

    assert read == StartRecord("0", "r", "e")
