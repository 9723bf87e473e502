import json
import webbrowser

import pytest

from ganforge.cli.app import main


@pytest.fixture
def run(trained, tmp_path):
    import shutil

    folder = tmp_path / "runs" / "smoke" / trained("infogan_moons").name
    shutil.copytree(trained("infogan_moons"), folder)
    (folder / "report.html").unlink(missing_ok=True)
    return folder


def test_the_page_goes_into_the_run_folder_and_its_name_is_told(run, tmp_path, capsys):
    assert main(["report", run.name, "--runs-dir", str(tmp_path / "runs")]) == 0
    assert f"wrote the report on {run.name} to {run / 'report.html'}" in capsys.readouterr().out
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_json_names_the_file(run, tmp_path, capsys):
    target = tmp_path / "page.html"
    assert main(["report", str(run), "--out", str(target), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"schema": 1, "run": run.name, "file": str(target), "bytes": target.stat().st_size}
    assert not (run / "report.html").exists()


def test_it_is_opened_on_request(run, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert main(["report", str(run)]) == 0
    assert opened == []
    assert main(["report", str(run), "--open"]) == 0
    assert opened == [(run / "report.html").as_uri()]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nothing"], 2, "no run matches 'nothing'"),
        (["RUN", "--out", "page.pdf"], 2, "name a file that ends in .html or .htm"),
        (["RUN", "--out", "/proc/page.html"], 5, "with --out"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(run, tmp_path, capsys, words, code, told):
    words = [str(run) if word == "RUN" else word for word in words]
    assert main(["report", *words, "--runs-dir", str(tmp_path / "none")]) == code
    assert told in capsys.readouterr().err
