import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
SESSIONS = ["lint", "types", "tests", "full", "packages", "minimums", "pythons"]


def lines(name: str) -> list[str]:
    stripped = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in stripped if line]


def pins() -> dict[str, Requirement]:
    return {canonicalize_name(pin.name): pin for pin in map(Requirement, lines("constraints.txt"))}


def pinned(name: str) -> Version:
    (part,) = pins()[canonicalize_name(name)].specifier
    assert part.operator == "=="
    return Version(part.version)


def test_every_package_is_pinned_once():
    assert len(pins()) == len(lines("constraints.txt"))


@pytest.mark.parametrize("requirement", [Requirement(text) for text in PROJECT["project"]["dependencies"]], ids=str)
def test_ranges_have_a_lower_bound_and_the_tested_version_lies_within(requirement):
    assert [part.operator for part in requirement.specifier].count(">=") == 1
    assert pinned(requirement.name) in requirement.specifier


def test_tools_are_pinned_too():
    for group in ("lint", "types", "test", "build"):
        for requirement in map(Requirement, PROJECT["dependency-groups"][group]):
            assert pinned(requirement.name) in requirement.specifier


def test_requirements_install_core_and_all_plugins_editable_under_the_constraints():
    found = lines("requirements.txt")
    editable = [line.removeprefix("-e ") for line in found if line.startswith("-e ")]

    assert "-c constraints.txt" in found
    assert sorted(editable) == [".", *(f"./plugins/{plugin.name}" for plugin in PLUGINS)]
    assert f"torch=={pinned('torch')}" in found


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugins_are_of_one_shape(plugin):
    module = plugin.name.replace("-", "_")
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    needs = {requirement.name: requirement for requirement in map(Requirement, project["dependencies"])}

    assert project["name"] == plugin.name
    assert project["entry-points"]["ganforge"] == {plugin.name.removeprefix("ganforge-"): f"{module}.plugin"}
    assert {part.operator for part in needs["ganforge"].specifier} == {">=", "<"}
    for part in (
        "README.md",
        f"src/{module}/plugin.py",
        f"src/{module}/params.py",
        f"src/{module}/networks.py",
        f"src/{module}/py.typed",
    ):
        assert (plugin / part).is_file(), part
    assert list((plugin / "recipes").glob("*.toml"))
    assert list((plugin / "tests").glob("test_*.py"))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugins_work_with_this_core(plugin):
    version = re.search(r'__version__ = "(.+)"', (ROOT / "src/ganforge/__init__.py").read_text())
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    (bound,) = (need for need in map(Requirement, project["dependencies"]) if need.name == "ganforge")
    assert version
    assert Version(version[1]) in bound.specifier


def test_nox_sessions_exist_and_say_what_they_do():
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    sessions = {
        node.name: ast.get_docstring(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(one).startswith("nox.session") for one in node.decorator_list)
    }
    assert sorted(sessions) == sorted(SESSIONS)
    assert all(text and "\n" not in text for text in sessions.values())


def test_ci_script_can_be_run():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text().splitlines()


@pytest.fixture
def ci(tmp_path):
    """Runs a copy of ``.ci/run`` with a Python and a nox that only print: gives what it printed and its exit code."""
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", checkout / ".ci/run")

    def program(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{path.name} $*"\n{text}\n')
        path.chmod(0o755)

    def ci(**texts):
        for name in ("python", "pip", "nox"):
            program((tmp_path if name == "python" else checkout / ".venv") / "bin" / name, texts.get(name, ""))
        environment = {**os.environ, "PATH": os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])}
        words = [str(checkout / ".ci/run")]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.splitlines(), done.returncode

    return ci


def test_ci_installs_runs_nox_and_counts_the_tests(ci):
    lines, code = ci(nox='echo "3 passed, 1 skipped in 2 s"')
    assert [line.split()[0] for line in lines[:3]] == ["python", "pip", "nox"]
    assert lines[-1] == "3 passed, 0 failed, 1 skipped"
    assert code == 0


@pytest.mark.parametrize("broken", ["python", "pip", "nox"])
def test_ci_fails_where_a_step_fails(ci, broken):
    lines, code = ci(**{broken: "echo 2 passed, 1 failed; exit 3"})
    assert lines[-1] == "2 passed, 1 failed, 0 skipped"
    assert code == 3
