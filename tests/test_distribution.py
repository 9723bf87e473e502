"""A third-party package, from its source folder to its removal: built, installed, found, checked, trained, tested, taken out."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = sorted(path.parent for path in (ROOT / "tests" / "distributions").glob("*/pyproject.toml"))
SHORT = [word for value in ("train.iterations=20", "metric[0].samples=64", 'tracking.mode="off"') for word in ("--set", value)]


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda path: path.name)
def test_it_is_third_party_and_no_part_of_this_workspace(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]

    assert project["name"] == folder.name
    assert not project["name"].startswith("ganforge")
    for name in ("requirements.txt", "pyproject.toml", "constraints.txt"):
        assert folder.name not in (ROOT / name).read_text()
    assert not (ROOT / "plugins" / folder.name).exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_is_built_installed_found_checked_trained_tested_and_removed_without_a_trace(clean_virtualenv, wheel, tmp_path):
    source = ROOT / "tests" / "distributions" / "acme-rings"
    for part in ("recipes", "tests"):  # all that its user has of the source
        shutil.copytree(source / part, tmp_path / part)
    recipe, here = Path("recipes", "concentric.toml"), {"cwd": tmp_path}
    before, plugins_before = clean_virtualenv.files(), listed(clean_virtualenv, tmp_path)
    assert "acme-rings" not in plugins_before

    (built,) = wheel(source)
    clean_virtualenv.run("pip", "install", "--quiet", "--no-index", built, **here)

    found = listed(clean_virtualenv, tmp_path)["acme-rings"]
    assert (found["status"], found["version"], found["remarks"]) == ("active", "0.1.0", [])
    assert found["offers"] == {"generator": ["fourier"], "loss": ["f-gan"], "dataset": ["concentric"]}
    checked = json.loads(clean_virtualenv.run("ganforge", "plugins", "check", "acme-rings", "--json", **here))
    counts = checked["reports"][0]["counts"]
    assert checked["ok"]
    assert counts["failed"] == 0
    assert counts["passed"] > 30
    assert " passed" in clean_virtualenv.run("pytest", "-q", "-p", "no:cacheprovider", "tests", **here)

    clean_virtualenv.run("ganforge", "run", recipe, *SHORT, **here)
    (run,) = (tmp_path / "runs" / "concentric").iterdir()
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    locked = json.loads((run / "lock.json").read_text())
    assert "acme-rings" in json.dumps(locked)

    clean_virtualenv.run("pip", "uninstall", "--quiet", "--yes", "acme-rings", **here)

    assert clean_virtualenv.files() == before
    assert [path for path in clean_virtualenv.path.rglob("*") if "acme" in path.name] == []
    assert listed(clean_virtualenv, tmp_path) == plugins_before
    refused = clean_virtualenv.run("ganforge", "run", recipe, *SHORT, expect=2, **here)
    assert "the plugin acme-rings is not installed" in refused
    assert "no loss named 'acme-rings/f-gan'" in refused
    refused = clean_virtualenv.run("ganforge", "run", recipe, "--locked", run, *SHORT, expect=2, **here)
    assert "acme-rings 0.1.0 is not installed" in refused
    assert f"pip install {built.as_uri()}" in refused.replace("'", "").replace("acme-rings @ ", "")
    assert len(list((tmp_path / "runs" / "concentric").iterdir())) == 1


def listed(virtualenv, folder):
    """What ``plugins list --json`` says, by distribution, without the times."""
    shown = json.loads(virtualenv.run("ganforge", "plugins", "list", "--json", cwd=folder))
    return {one["distribution"]: {key: value for key, value in one.items() if key != "load_ms"} for one in shown["plugins"]}
