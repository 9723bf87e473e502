"""Run folders with journals, sqlite stores and servers for the tests of tracking."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.run_metadata import DatasetFacts, StartRecord
from ganforge.tracking.tracking_store import resolve_store
from ganforge.tracking.uploader import upload


class Trainer:
    """Writes the journal that a trainer would write."""

    def __init__(self, folder: RunFolder, **start):
        self.folder = folder
        identity = folder.read_json(folder.identity)
        self.start = StartRecord(
            **{
                "run_id": identity["id"],
                "run_name": "rings s0",
                "experiment": "rings",
                "params": {"train.iterations": "100", "generator.params.hidden": "[8]"},
                "tags": {"mlflow.source.name": "recipes/rings.toml", "ganforge.seed": "0"},
                "dataset": DatasetFacts("ring", "0a1b2c", "ganforge/ring", "8 modes"),
                "note": "Eight modes on a ring.",
                "artifacts": {"recipe": ["recipe.toml"]},
                **start,
            }
        )
        folder.recipe.write_text("[train]\niterations = 100\n")
        self.ms = 1_700_000_000_000

    def begin(self):
        with JournalWriter(self.folder.journal) as journal:
            journal.record("start", ms=self.ms, **self.start.to_record())

    def steps(self, first, last, *, every=64, value=lambda iteration: 1 / iteration):
        """Iterations ``first`` to ``last`` with two terms each."""
        with JournalWriter(self.folder.journal) as journal:
            for iteration in range(first, last + 1):
                journal.metrics(
                    iteration, {"loss/generator/total": value(iteration), "loss/discriminator/total": -value(iteration)}
                )
                if iteration % every == 0:
                    journal.flush()

    def record(self, kind, **fields):
        with JournalWriter(self.folder.journal) as journal:
            journal.record(kind, **fields)

    def evaluate(self, iteration, **values):
        self.record("eval", iteration=iteration, values=values)

    def picture(self, iteration, key="images/samples"):
        from PIL import Image

        path = self.folder.pictures / f"{iteration:08d}.png"
        Image.new("RGB", (8, 8), (iteration % 256, 0, 0)).save(path)
        self.record("image", key=key, iteration=iteration, path=f"pictures/{path.name}")

    def end(self, status="FINISHED", **fields):
        self.record("end", **{"status": status, "reason": None, "exit_code": 0, **fields})


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs", "rings", "rings s0")


@pytest.fixture
def trainer(folder):
    return Trainer(folder)


@pytest.fixture(scope="session")
def new_trainer(tmp_path_factory):
    """Makes trainers, each with a run folder of its own."""

    def make(**start):
        return Trainer(RunFolder.create(tmp_path_factory.mktemp("runs"), "rings", "rings s0"), **start)

    return make


@pytest.fixture
def uri(tmp_path, empty_store):
    """URI of a fresh sqlite store."""
    return f"sqlite:///{empty_store(tmp_path)}"


@pytest.fixture
def deliver_to():
    """Delivers a run that is over to a store, in this process."""

    def run(folder, uri, *, drain_timeout=1.0):
        over = threading.Event()
        over.set()
        return upload(folder, resolve_store(uri), over, drain_timeout=drain_timeout)

    return run


@pytest.fixture
def deliver(uri, deliver_to):
    """Delivers a run that is over to the fresh store."""
    return partial(deliver_to, uri=uri)


def journal_key(key):
    """The key in the journal of a chart in MLflow."""
    return re.sub(r"^\d-", "", key).replace(".", "/")


@dataclass
class Record:
    """A run as MLflow gives it back."""

    run: object
    client: object
    points: dict = field(default_factory=dict)  # key → [(step, value)], as they are stored, doubles included

    @property
    def status(self):
        return self.run.info.status

    @property
    def images(self):
        """(key, step) of every picture, once per picture."""
        names = [Path(info.path).name for info in self.client.list_artifacts(self.run.info.run_id, "images")]
        return sorted(
            (journal_key(name.split("+")[0].replace("~", "/")), int(name.split("+")[2])) for name in names if name.endswith(".png")
        )


@pytest.fixture
def read_back():
    """Reads the one run that carries a ganforge id from a store."""
    from mlflow import MlflowClient

    def read(uri, run_id):
        client = MlflowClient(uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(experiments, f"tags.`ganforge.run_id` = '{run_id}'")
        assert len(runs) == 1
        run = runs[0]
        points = {
            journal_key(key): [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        return Record(run, client, points)

    return read


class Server:
    """An ``mlflow server`` on 127.0.0.1, ended by its process group."""

    def __init__(self, uri: str, log: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._backend = uri
        self._log = log
        self._process = None

    def start(self):
        from ganforge.tracking.server import command, environment

        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command(host="127.0.0.1", port=self.port),
                env=environment(self._backend),
                stdout=log,
                stderr=log,
                cwd=self._log.parent,
                start_new_session=True,
            )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                if answer.status == 200:
                    return self
            time.sleep(0.2)
        raise TimeoutError(self._log.read_text())

    def signal(self, number):
        import os

        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)
            self._process = None


@pytest.fixture
def server(uri, tmp_path):
    """A server that is not started yet; it is killed at the end."""
    server = Server(uri, tmp_path / "server.log")
    yield server
    server.signal(signal.SIGCONT)
    server.kill()


@pytest.fixture
def start_uploader():
    """Starts uploader processes; kills those that are left."""
    import os

    processes = []

    def start(folder, uri, *, fault=None, drain_timeout=5.0):
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
        if fault:
            environment["GANFORGE_FAULT"] = fault
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ganforge.tracking.uploader", str(folder.path), str(drain_timeout)],
            stdin=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdin.close()
