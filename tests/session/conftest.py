"""Runs of real recipes, shortened, in this process or in one of their own; and small data sets to bring here."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from ganforge.builtin.datasets.remote_datasets import RemoteDataset, RemoteFile
from ganforge.session import final_figures, training_run
from ganforge.session.data_preparation import prepare_data
from ganforge.session.training_loop import TrainingLoop

ROOT = Path(__file__).parents[2]
SMOKE = sorted((ROOT / "recipes" / "smoke").glob("*.toml"))


@pytest.fixture
def recipe(tmp_path, request) -> Callable[..., Path]:
    """A recipe in a folder of its own: small, quick, not delivered; more TOML may be added."""

    def write(extra: str = "", *, iterations: int = 20, mode: str = "off", train: str = "") -> Path:
        if mode != "off":
            request.getfixturevalue("empty_store")(tmp_path)
        path = tmp_path / "small.toml"
        path.write_text(f"""
title = "A small run"
[train]
iterations = {iterations}
batch_size = 16
{train}
[dataset]
use = "moons"
params = {{ samples = 200 }}
standardise = true
[sampler]
use = "normal"
params = {{ size = 4 }}
[generator]
use = "mlp"
params = {{ hidden = [8] }}
[discriminator]
use = "mlp"
params = {{ hidden = [8] }}
[[loss]]
use = "non-saturating"
[pictures]
every = 10
samples = 32
final_figures = false
[tracking]
mode = "{mode}"
{extra}
""")
        return path

    return write


@pytest.fixture
def without_pictures(monkeypatch) -> None:
    """Runs in this process draw nothing and write no report, which takes most of the time of a short run."""
    monkeypatch.setattr(training_run, "_callbacks", lambda context: [context.ui.callback()])
    monkeypatch.setattr(final_figures, "write_final_report", lambda folder, journal: None)


@pytest.fixture
def console() -> Console:
    """A console that is no terminal."""
    return Console(file=io.StringIO(), width=100)


@pytest.fixture
def stop_at() -> Callable[[int], AbstractContextManager[None]]:
    """``with stop_at(7):`` runs are asked to stop after iteration 7, as a signal would."""

    @contextmanager
    def stop_at(iteration: int) -> Iterator[None]:
        start = TrainingLoop.__init__

        def stopping(self, on_fail, trainer, monitor, folder, journal, _stop):
            stop = SimpleNamespace(requested=lambda: trainer.iteration >= iteration)
            start(self, on_fail, trainer, monitor, folder, journal, stop)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingLoop, "__init__", stopping)
            yield

    return stop_at


@pytest.fixture
def ganforge(tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts ``ganforge …`` in the temporary folder; ``plugins`` is a folder that installed plugins are found in."""
    started = []

    def start(*arguments: str, plugins: Path | None = None, **environment: str) -> subprocess.Popen:
        env = {**os.environ, **environment}
        if plugins is not None:
            env["PYTHONPATH"] = str(plugins)
        process = subprocess.Popen(
            [sys.executable, "-m", "ganforge", *map(str, arguments)],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


CONTENT = {"images": b"pixels" * 100, "labels": b"0123"}
ARCHIVE = b"an archive"


def known_file(name, content, *, gzipped=False):
    return RemoteFile(name, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content), gzipped)


@pytest.fixture
def known(tmp_path):
    form = tuple(known_file(name, content, gzipped=True) for name, content in CONTENT.items())
    archive = (known_file("all.tar.gz", ARCHIVE),)
    return RemoteDataset("tiny", "a tiny one", (form, archive), (), "none", (tmp_path / "system",), alternative="ask a friend")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "images.gz").write_bytes(gzip.compress(CONTENT["images"]))
    (folder / "labels").write_bytes(CONTENT["labels"])
    return folder


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def prepare(known, data):
    def prepare(source=None, others=()):
        messages = []
        done = prepare_data(known, None if source is None else str(source), (data, *others), lambda *words: messages.append(words))
        return done, messages

    return prepare


@pytest.fixture
def serve():
    """Serves a folder; gives its URL and stops at the end."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    def serve(folder, handler=Quiet):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    serve.quiet = Quiet
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
