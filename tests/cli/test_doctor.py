import http.server
import json
import shutil
import sys
import threading
from types import SimpleNamespace

import pytest

from ganforge.cli import doctor
from ganforge.cli.app import main
from ganforge.testing import fake_plugin


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    tmp_path.joinpath("work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def examined(capsys):
    code = main(["doctor", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["faults"] == sum(finding["state"] == "fault" for finding in shown["diagnoses"])
    assert code == (1 if shown["faults"] else 0)
    return {finding["part"]: finding for finding in shown["diagnoses"]}


def test_a_healthy_installation(capsys):
    found = examined(capsys)

    parts = {"ganforge", "python", "packages", "torch", "device", "mlflow", "store", "plugins", "data", "disk", "terminal"}
    assert parts <= set(found)
    assert {part: found[part]["state"] for part in parts - {"terminal", "disk"}} == dict.fromkeys(
        parts - {"terminal", "disk"}, "ok"
    )
    assert "sqlite:///" in found["store"]["text"]
    assert "work/mlflow.db (from default)" in found["store"]["text"]
    assert "1 threads" in found["torch"]["text"]
    assert "ganforge" in found["plugins"]["text"]


def test_the_page_for_people(capsys):
    assert main(["doctor"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✓ ganforge  0.")
    assert lines[-1] == "no problems found"
    assert not any("mlflow.db" in path.name for path in __import__("pathlib").Path.cwd().iterdir())


def test_each_fault_has_a_remedy(capsys, monkeypatch):
    monkeypatch.setenv("GANFORGE_DATA", __file__)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")

    assert main(["doctor"]) == 1

    shown = capsys.readouterr().out
    assert "is a file\n            → set GANFORGE_DATA to a writable folder\n" in shown
    assert "names MLflow's file store" in shown
    assert "→ use sqlite:///mlflow.db" in shown
    assert shown.endswith("\n2 faults\n")


def test_a_broken_plugin_is_a_fault(capsys, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_gan", raising=False)
    fake_plugin(tmp_path, source="raise RuntimeError('no GPU here')\n")

    found = [finding for finding in doctor.diagnose() if finding.state == "fault"]

    assert [finding.text for finding in found] == ["acme-gan 1.0 is broken: RuntimeError: no GPU here (acme_gan.py:1)"]
    assert "ganforge plugins info acme-gan" in found[0].remedy


def test_a_server_that_does_not_answer_is_a_fault(capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")

    store = examined(capsys)["store"]

    assert store["state"] == "fault"
    assert "does not answer" in store["text"]
    assert "secret" not in store["text"]
    assert "ganforge sync" in store["remedy"]


def test_a_server_that_answers(capsys, monkeypatch):
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/base/health" else 404)
            self.end_headers()

        def log_message(self, *args): ...

    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/base/")
        store = examined(capsys)["store"]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/other")
        other = examined(capsys)["store"]
        server.shutdown()

    assert (store["state"], store["text"].endswith("answers")) == ("ok", True)
    assert other["state"] == "note"
    assert "answers its health check with status 404" in other["text"]


def test_a_full_disk_is_a_fault(capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))

    disk = examined(capsys)["disk"]

    assert (disk["state"], disk["remedy"]) == ("fault", "free some space, or use another --runs-dir")


def test_a_package_that_does_not_fit_is_a_fault(monkeypatch):
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda _: ["torch>=99", "no-such-package", "numpy>=2; extra == 'later'", "typer"]
    )

    found = [finding for finding in doctor.diagnose() if finding.part == "packages"]

    assert [finding.state for finding in found] == ["fault", "fault"]
    assert "needed: >=99" in found[0].text
    assert found[0].remedy == "pip install 'torch>=99'"
    assert found[1].text == "no-such-package is not installed, needed: any version"


def test_what_cannot_be_looked_at_is_a_fault(monkeypatch):
    def fail():
        raise RuntimeError("odd computer")

    monkeypatch.setattr(doctor, "_terminal", fail)

    assert list(doctor.diagnose())[-1] == doctor.Diagnosis("terminal", "fault", "RuntimeError: odd computer")
