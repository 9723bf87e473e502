"""A run folder may come from anyone: nothing in it leads out of it, and one bad folder stops no command for the others."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import zlib
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.core.errors import RunFolderError
from ganforge.runs.run_index import list_runs
from ganforge.storage import journal, strict_json
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.run_metadata import StartRecord

pytestmark = pytest.mark.timeout(120)  # a pipe that is opened blocks for ever

COMMANDS = [
    ["sample"],
    ["interpolate"],
    ["traverse"],
    ["export", "--format", "safetensors"],
    ["evaluate"],
    ["report"],
    ["compare"],
    ["sync"],
    ["run", "--resume"],
]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganforge.tracking.supervisor.SYNC_TIMEOUT", 0.2)


@pytest.fixture
def shared(trained, tmp_path):
    """A copy of a finished run, in the folder where commands search for runs."""
    source = trained("vanilla_moons")
    return RunFolder(shutil.copytree(source, tmp_path / "runs" / "shared" / source.name))


@pytest.fixture
def waiting(tmp_path):
    """A finished run that MLflow does not have."""
    folder = RunFolder.create(tmp_path / "runs", "rings", "waiting")
    start = StartRecord(folder.read_identity()["id"], "waiting s0", "rings")
    with JournalWriter(folder.journal) as writer:
        writer.record("start", **start.to_record())
        writer.record("eval", iteration=1, values={"wasserstein": 0.25})
        writer.record("end", status="FINISHED", reason=None, exit_code=0)
    return folder


def append(folder, *records):
    """Append records with valid checksums, whatever they hold."""
    with folder.journal.open("ab") as file:
        for record in records:
            payload = strict_json.dumps({"ms": 1, **record}).encode()
            file.write(b"%08x %b\n" % (zlib.crc32(payload), payload))


def plant(place, kind, target):
    """Replace a file of a run folder by a link to ``target``, or by something that is no file."""
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    match kind:
        case "link":
            place.symlink_to(target)
        case "pipe":
            os.mkfifo(place)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(place.parent):  # the path of a socket must be short
                server.bind(place.name)


@pytest.mark.parametrize("kind", ["link", "pipe", "socket"])
@pytest.mark.parametrize(
    "name",
    [
        *("run.json", "status.json", "events.jsonl", "run.lock", "run.lock.json", "acknowledged.json", "upload.lock", "upload.log"),
        *("recipe.toml", "resolved.toml", "lock.json", "specs.json", "report.html", "metrics.json", "value_info.json", "crash.txt"),
        *("rejected.jsonl", "evaluations.jsonl", "pictures", "checkpoints", "pictures/losses.png", "plugins", "anything"),
    ],
)
def test_links_pipes_and_sockets_are_found_wherever_they_are(tmp_path, name, kind):
    folder = RunFolder.create(tmp_path, "rings", "rings")
    folder.check()
    plant(folder.path / name, kind, tmp_path)

    with pytest.raises(RunFolderError, match="must not contain") as caught:
        folder.check()

    assert str(folder.path / name) in caught.value.message


def test_neither_a_bundle_nor_a_lock_is_read_through_a_link(shared, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    assert main(["export", shared.path.name, "--format", "safetensors", "--out", str(bundle)]) == 0
    assert main(["sample", str(bundle), "--out", "a.csv"]) == 0
    plant(bundle / "specs.json", "link", shared.path / "specs.json")

    assert main(["sample", str(bundle), "--out", "b.csv"]) == 4
    assert main(["run", str(bundle / "resolved.toml"), "--locked", str(bundle)]) == 4
    assert capsys.readouterr().err.count("is a link") == 2


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_follows_a_link(shared, tmp_path, command, capsys):
    victims = {}
    for name in ("events.jsonl", "run.lock", "upload.lock", "status.json", "report.html"):
        victims[name] = tmp_path / f"victim-{name}"
        victims[name].write_text("mine")
        plant(shared.path / name, "link", victims[name])

    assert main([*command, shared.path.name]) == 4

    assert "is a link" in capsys.readouterr().err
    assert {path.read_text() for path in victims.values()} == {"mine"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["identity", "acknowledged"])
def test_one_bad_folder_keeps_no_other_from_being_listed_or_sent(shared, waiting, tmp_path, empty_store, capsys, name):
    from mlflow import MlflowClient

    empty_store(tmp_path)
    plant(getattr(shared, name), "pipe", None)

    assert main(["runs", "--json"]) == 0
    listed = {run["run"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert listed[shared.path.name]["status"] == "unknown"
    assert "neither a file nor a folder" in listed[shared.path.name]["remark"]
    assert listed[waiting.path.name]["undelivered"]

    assert main(["sync"]) == 4

    captured = capsys.readouterr()
    assert f"{shared.path.name} was not sent" in captured.err
    assert f"{waiting.path.name}: MLflow has all" in captured.out
    (run,) = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["2"])
    assert run.info.status == "FINISHED"


def test_nothing_outside_the_folder_is_sent(waiting, tmp_path, empty_store):
    from mlflow import MlflowClient

    empty_store(tmp_path)
    secret = tmp_path / "id_rsa"
    secret.write_text("mine")
    escapes = [str(secret), "../../../id_rsa", "pictures/../../../../id_rsa", "no\0path"]
    start = next(record for _, record in journal.read(waiting.journal))
    waiting.journal.unlink()
    append(waiting, {**start, "artifacts": {"recipe": escapes}})
    for path in escapes:
        append(
            waiting,
            {"kind": "file", "path": path, "folder": ""},
            {"kind": "image", "key": "images/a", "iteration": 1, "path": path},
        )
        append(waiting, {"kind": "model", "path": path, "iteration": 1, "requirements": []})

    assert main(["sync", waiting.path.name]) == 0

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs(["2"])
    assert client.list_artifacts(run.info.run_id) == []
    assert client.search_logged_models(["1"]) == []
    refused = [json.loads(line)["reason"] for line in (waiting.path / "rejected.jsonl").read_text().splitlines()]
    assert len(refused) == 4 * len(escapes)
    assert all("outside the run folder" in reason or "not a path" in reason for reason in refused)
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != secret]
    assert not any(content == b"mine" for content in stored)


def test_a_store_that_only_the_folder_names_is_not_contacted(waiting, monkeypatch, capsys):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        waiting.write_json(waiting.acknowledged, {"store": address, "experiment_id": "1", "run_id": "a", "described": True})
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
        server.setblocking(False)

        assert main(["sync", waiting.path.name]) == 2
        assert main(["sync"]) == 2

        with pytest.raises(BlockingIOError):  # nobody has connected
            server.accept()
    errors = capsys.readouterr().err
    assert f"was sent to {address}, which you have not named as an MLflow store" in errors
    assert f"ganforge sync {waiting.path.relative_to(Path.cwd())} --tracking-uri {address}" in errors


def test_another_run_that_the_folder_names_is_not_touched(waiting, tmp_path, empty_store):
    from mlflow import MlflowClient

    uri = f"sqlite:///{empty_store(tmp_path)}"
    client = MlflowClient(uri)
    other = client.create_run(client.create_experiment("mine", str(tmp_path / "artifacts"))).info.run_id
    waiting.write_json(waiting.acknowledged, {"store": uri, "experiment_id": "1", "run_id": other, "described": True})

    assert main(["sync", waiting.path.name]) == 0

    run = client.get_run(other)
    assert run.info.status == "RUNNING"
    assert run.data.metrics == {}
    assert len(client.search_runs(["2"])) == 1


VALUES = [None, 10**30, "\x1b[31m", [None]]
RAW = [b"", b"[]", b"null", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"{}"]


def damaged(file):
    """Contents that no ganforge wrote: other JSON, and each value replaced or removed, with valid checksums in the journal."""
    lines = file.read_bytes().splitlines(keepends=True)
    yield from RAW
    if file.name == "events.jsonl":
        kinds = {strict_json.loads(line[9:])["kind"]: number for number, line in enumerate(lines)}
        for number in kinds.values():
            for changed in changes(strict_json.loads(lines[number][9:]), VALUES[1:2]):
                payload = strict_json.dumps(changed).encode()
                yield b"".join([*lines[:number], b"%08x %b\n" % (zlib.crc32(payload), payload), *lines[number + 1 :]])
    else:
        yield from (strict_json.dumps(changed).encode() for changed in changes(strict_json.loads(file.read_bytes()), VALUES))


def changes(data, values):
    for value in values:
        yield value
        yield from ({**data, key: value} for key in data)
        yield from (
            {**data, key: {**inner, name: value}} for key, inner in data.items() if isinstance(inner, dict) for name in inner
        )
    yield from ({name: value for name, value in data.items() if name != key} for key in data)


@pytest.mark.parametrize("name", ["run.json", "status.json", "events.jsonl", "acknowledged.json", "run.lock.json"])
def test_no_content_of_a_folder_ends_the_list_of_runs(waiting, tmp_path, name):
    bad = RunFolder.create(tmp_path / "runs", "rings", "bad")
    shutil.copy(waiting.journal, bad.journal)
    with JournalWriter(bad.journal) as writer:
        for iteration in range(1, 4):
            writer.metrics(iteration, {"loss/generator/total": 0.5})
        writer.record("health", iteration=1, verdict="healthy", findings=[])
        writer.record("rollback", iteration=1, reached=2, reason=None)
        writer.record("resume", iteration=1)
        writer.record("image", iteration=1, key="images/a", path="pictures/a.png")
    bad.finish("finished")
    bad.write_json(bad.acknowledged, {"store": "", "offset": 0, "handled": 0, "width": 1, "highest": {"a": 1}, "images": {}})
    bad.write_json(bad.path / "run.lock.json", {"pid": 1, "host": "h", "since": 1.0})
    file = bad.path / name

    for content in list(damaged(file)):
        file.write_bytes(content)

        listed = [run.run for run in list_runs(tmp_path / "runs")]

        assert sorted(listed) == sorted([waiting.path.name, bad.path.name]), content
    assert main(["runs"]) == 0


def rewrite(folder, *kinds):
    """Remove the records of some kinds from a journal."""
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(line for line in lines if strict_json.loads(line[9:])["kind"] not in kinds))


def stored_files(tmp_path):
    """The contents of everything that MLflow has."""
    return [path.read_bytes() for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file()]


def test_requirements_of_a_model_are_names_and_versions_only(waiting, tmp_path, empty_store):
    empty_store(tmp_path)
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2\n")
    (waiting.path / "model").mkdir()
    lines = [f"-r {secret}", f"-c {secret}", f"numpy\n-r {secret}", "--extra-index-url http://127.0.0.1:9", "numpy"]
    for iteration, line in enumerate(lines):
        append(waiting, {"kind": "model", "path": "model", "iteration": iteration, "requirements": [line]})

    assert main(["sync", waiting.path.name]) == 0

    assert len((waiting.path / "rejected.jsonl").read_text().splitlines()) == 4
    assert not any(b"hunter2" in content or b"127.0.0.1:9" in content for content in stored_files(tmp_path))
    assert len(list((tmp_path / "mlartifacts").rglob("requirements.txt"))) == 1


def test_a_path_is_no_address_with_encoded_characters(waiting, tmp_path, empty_store):
    empty_store(tmp_path)
    (tmp_path / "secret" / "inner").mkdir(parents=True)
    (tmp_path / "secret" / "inner" / "key.bin").write_bytes(b"hunter2")
    path = "m/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret/inner"
    (waiting.path / path).mkdir(parents=True)
    (waiting.path / path / "mine.txt").write_text("mine")
    append(waiting, {"kind": "model", "path": path, "iteration": 1, "requirements": []})

    assert main(["sync", waiting.path.name]) == 0

    assert b"mine" in stored_files(tmp_path)
    assert not any(b"hunter2" in content for content in stored_files(tmp_path))


def test_settings_in_a_run_folder_count_for_nothing(waiting, tmp_path, monkeypatch):
    from ganforge.registry.selection import current_selection
    from ganforge.tracking.tracking_store import resolve_store

    (waiting.path / "pyproject.toml").write_text(
        '[tool.ganforge.plugins]\nlocal = ["x.py"]\n[tool.ganforge.tracking]\nuri = "http://127.0.0.1:9"\n'
    )
    (waiting.path / "below").mkdir()
    for folder in (waiting.path, waiting.path / "below"):
        monkeypatch.chdir(folder)
        assert current_selection().local == ()
        assert resolve_store().origin == "default"

    (tmp_path / "pyproject.toml").write_text('[tool.ganforge.tracking]\nuri = "http://127.0.0.1:5000"\n')
    assert resolve_store().uri == "http://127.0.0.1:5000"


def test_a_copy_of_a_run_changes_nothing_of_the_original_in_mlflow_but_a_moved_run_goes_on(waiting, tmp_path, empty_store):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{empty_store(tmp_path)}")
    assert main(["sync", waiting.path.name]) == 0
    (original,) = client.search_runs(["2"])

    copy = RunFolder(shutil.copytree(waiting.path, waiting.path.with_name("copy-00000000")))
    append(copy, {"kind": "tag", "key": "pwned", "value": "yes"}, {"kind": "end", "status": "FAILED"})
    assert main(["sync", str(copy.path)]) == 0
    copy.acknowledged.unlink()
    assert main(["sync", str(copy.path)]) == 0

    kept = client.get_run(original.info.run_id)
    assert kept.info.status == "FINISHED"
    assert "pwned" not in kept.data.tags
    runs = client.search_runs(["2"])
    assert len(runs) == 2  # the copy has one of its own, and finds it again
    shutil.rmtree(copy.path)

    moved = RunFolder(waiting.path.rename(waiting.path.with_name("moved-00000000")))
    append(moved, {"kind": "tag", "key": "moved", "value": "yes"})
    assert main(["sync", str(moved.path)]) == 0
    assert client.get_run(original.info.run_id).data.tags["moved"] == "yes"
    assert len(client.search_runs(["2"])) == 2


def broken_image(folder):
    """A PNG whose text chunk is too large for Pillow."""
    data = zlib.compress(b"x" * (70 << 20))
    chunk = b"zTXt" + b"a\0\0" + data
    header = b"IHDR" + (1).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    parts = [len(part[4:]).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for part in (header, chunk)]
    (folder.path / "pictures" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    append(folder, {"kind": "image", "key": "images/a", "iteration": 1, "path": "pictures/a.png"})


def as_folder(name):
    def make(folder):
        (folder.path / name).unlink(missing_ok=True)
        (folder.path / name).mkdir()
        append(folder, {"kind": "file", "path": "missing", "folder": ""})

    return make


def identity(**changes):
    def make(folder):
        folder.identity.write_text(json.dumps({**folder.read_identity(), **changes}))

    return make


DAMAGES = {
    "own kind": lambda folder: append(folder, {"kind": "unreadable"}, {"kind": "unreadable", "reason": 5}),
    "long path": lambda folder: append(folder, {"kind": "file", "path": "x" * 300, "folder": ""}),
    "picture": broken_image,
    "early": identity(created=-2.4e11),
    "late": identity(created=10**400),
    "surrogate": identity(name="\ud800"),
    "kinds": identity(name=3, id=[1], parent={}, recipe_folder=5),
    **{name: as_folder(name) for name in ("rejected.jsonl", "upload.lock", "run.lock", "acknowledged.json", "upload_state.json")},
}


def test_whatever_folders_hold_the_others_are_listed_and_sent(waiting, tmp_path, empty_store, capsys):
    empty_store(tmp_path)
    bad = [RunFolder(shutil.copytree(waiting.path, waiting.path.with_name(f"{name}-00000000"))) for name in DAMAGES]
    for folder, damage in zip(bad, DAMAGES.values(), strict=True):
        damage(folder)

    assert main(["runs", "--json"]) == 0
    listed = {run["run"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert listed[waiting.path.name]["undelivered"]
    assert listed.keys() == {folder.path.name for folder in (waiting, *bad)}
    assert main(["runs"]) == 0

    main(["sync"])

    captured = capsys.readouterr()
    assert f"{waiting.path.name}: MLflow has all" in captured.out
    assert "Traceback" not in captured.err


def test_a_run_that_calls_itself_a_sweep_adopts_no_other(waiting):
    from ganforge.runs.run_index import members

    evil = RunFolder.create(waiting.path.parents[1], "rings", "evil")
    evil.identity.write_text('{"kind": "sweep"}')

    assert [folder.path for folder in members(evil)] == [evil.path]


def checkpoint_file(name, content):
    """Replace a file of the newest checkpoint, with a manifest that fits."""

    def make(folder):
        (newest,) = folder.checkpoints.iterdir()
        (newest / name).write_bytes(content)
        manifest = json.loads((newest / "MANIFEST.json").read_text())
        manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (newest / "MANIFEST.json").write_text(json.dumps(manifest))

    return make


def other_file(name, content):
    return lambda folder: (folder.path / name).write_text(content)


DEEP = "[" * 100_000
CONTENTS = {
    "weights": checkpoint_file("ema.safetensors", b"garbage"),
    "no weights": checkpoint_file("ema.safetensors", b""),
    "state": checkpoint_file("state.json", b""),
    "deep state": checkpoint_file("state.json", DEEP.encode()),
    "specs": other_file("specs.json", DEEP),
    "identity": other_file("run.json", '{"recipe_folder": 5}'),
    "evaluations": other_file("evaluations.jsonl", DEEP + "\n"),
    "lock": other_file("lock.json", DEEP),
    "recipe": other_file("resolved.toml", "seed = " + "1" * 5000),
    "protocols": lambda folder: append(
        folder,
        {"kind": "protocols", "iteration": 1, "protocols": 5, "value_info": {"a": 3}},
        {"kind": "protocols", "iteration": 1, "protocols": {"wasserstein": 7}, "value_info": {}},
        {"kind": "eval", "iteration": 1, "values": {"wasserstein": "0.5"}},
    ),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_no_content_of_a_folder_is_a_traceback(shared, content, capsys):
    content(shared)

    for command in (["sample"], ["report"], ["compare"], ["evaluate"], ["run", "--resume"]):
        assert main([*command, shared.path.name]) in {0, 1, 2, 4, 5}, command

    assert "Traceback" not in capsys.readouterr().err
