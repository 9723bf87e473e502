"""The developer's commands: ``nox`` runs the quick checks, ``nox -s full`` runs everything, ``nox -l`` lists the sessions.

The quick checks and the long tests run in the environment that nox is installed in. The other sessions make environments of their
own with plain pip, held to constraints.txt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PLUGINS = sorted(path.parent for path in Path("plugins").glob("*/pyproject.toml"))
TYPED = ["src", *(f"{plugin}/src" for plugin in PLUGINS), *map(str, sorted(Path("tests/distributions").glob("*/src")))]
PINS = ["-c", "constraints.txt"]
PARALLEL = ["--numprocesses=2", "--dist=worksteal"]

PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob("3.*/bin")  # pyenv's shims see only active ones
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), *map(str, PYENV), os.environ["PATH"]])
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of test processes import torch: compile it once


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style, formatting and the import rules of the layers."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check the types of the core and the plugins with mypy in strict mode."""
    session.run("mypy", "--num-workers=2", *TYPED)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the quick tests; words after ``--`` go to pytest instead."""
    session.run("pytest", *(session.posargs or [*PARALLEL, "-m", "not slow"]))


@nox.session(venv_backend="none")
def full(session: nox.Session) -> None:
    """Run everything: all tests, which then need the real data and the browser, and every other session."""
    for name in ("lint", "types", "packages", "minimums", *(f"pythons-{version}" for version in VERSIONS)):
        session.notify(name)
    session.run("pytest", *PARALLEL, env={"GANFORGE_REQUIRE_DATA": "1"})


@nox.session
def packages(session: nox.Session) -> None:
    """Install the built wheels away from the checkout: each plugin alone, all of them together, and what ``plugins new`` writes."""
    core, *plugins = built(session, Path(), *PLUGINS)
    session.install("--no-compile", *PINS, core, *(tool for group in ("build", "lint", "types", "test") for tool in tools(group)))

    for plugin in PLUGINS:
        session.install("--no-index", "--find-links", str(Path(core).parent), plugin.name)
        session.run("pytest", f"{plugin}/tests")
        session.run("python", "-m", "pip", "uninstall", "--yes", "--quiet", *(folder.name for folder in PLUGINS))

    session.install("--no-index", *plugins)
    recipe = Path("recipes/smoke/infogan_moons.toml").resolve()
    writer = Path("tests/scaffold/every_kind.py").resolve()
    session.chdir(session.create_tmp())
    shutil.rmtree("runs", ignore_errors=True)
    session.run("ganforge", "plugins", "list")
    session.run("ganforge", "run", str(recipe), "--plain", "--device", "cpu")
    session.run("ganforge", "report", recipe.stem)
    scaffold(session, writer)


def scaffold(session: nox.Session, writer: Path) -> None:
    """Build, install, lint, type, test and train the packages of all 63 combinations of kinds."""
    shutil.rmtree("every-kind", ignore_errors=True)
    session.run("python", str(writer), "every-kind")
    session.install("--no-deps", "--no-index", *map(str, Path("every-kind", "wheels").glob("*.whl")))
    folders = sorted(Path("every-kind", "packages").iterdir())
    whole = max(folders, key=lambda folder: len(folder.name))  # the one with all six kinds; all have the same settings of tools
    settings = f"{whole}/pyproject.toml"

    every = ("--no-respect-gitignore", "every-kind")  # .nox is ignored, and ruff would check nothing
    session.run("ruff", "check", *every)
    session.run("ruff", "format", "--check", *every)
    session.run("mypy", "--config-file", settings, *(f"{folder}/{part}" for folder in folders for part in ("src", "tests")))
    session.run("pytest", "--config-file", settings, *(f"{folder}/tests" for folder in folders), env={"OMP_NUM_THREADS": "1"})
    session.run("ganforge", "plugins", "check", whole.name)
    session.run("ganforge", "run", *map(str, whole.glob("recipes/*.toml")), "--plain", "--set", "train.iterations=20")


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the quick tests with the lowest versions that pyproject.toml allows, torch excepted: its old wheels bring gigabytes."""
    lowest = Path(session.create_tmp()) / "minimums.txt"
    lowest.write_text("\n".join(lowest_versions()) + "\n")
    install_all(session, "-c", str(lowest))
    session.run("pytest", *PARALLEL, "-m", "not slow", *session.posargs)


def usable() -> Iterator[str]:
    """The versions of Python that pyproject.toml names and that can be started here, the running one excepted."""
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if "Python :: 3." in line]
    for version in named:
        program = shutil.which(f"python{version}")
        starts = program and subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
        if starts and version != f"3.{sys.version_info.minor}":
            yield version


VERSIONS = list(usable())


@nox.session(python=VERSIONS)
def pythons(session: nox.Session) -> None:
    """Run the quick tests on each other Python that pyproject.toml names and that can be started here."""
    install_all(session, *PINS)
    session.run("pytest", *PARALLEL, "-m", "not slow", *session.posargs)


def install_all(session: nox.Session, *words: str) -> None:
    """Install core and plugins, editable, with the tools of the tests."""
    editable = [word for folder in (Path(), *PLUGINS) for word in ("-e", f"./{folder}")]
    session.install("--no-compile", *words, *editable, *tools("test"), *tools("lint"))


def built(session: nox.Session, *folders: Path) -> list[str]:
    """Build the wheels of these folders anew, and give them in this order."""
    into = Path(session.create_tmp()).resolve() / "wheels"
    shutil.rmtree(into, ignore_errors=True)
    for folder in folders:
        session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(into), f"./{folder}")
    return sorted(map(str, into.glob("*.whl")))


def tools(group: str) -> list[str]:
    """The requirements of one dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PROJECT, group))


def lowest_versions() -> Iterator[str]:
    """``name==version`` for the lower bound of each dependency, torch's tested pin, and the tested versions of the test tools."""
    lines = (line.partition("#")[0].strip() for line in Path("constraints.txt").read_text().splitlines())
    pins = {pin.name.lower(): str(pin) for pin in map(Requirement, filter(None, lines))}

    yield pins["torch"]
    for bound in map(Requirement, PROJECT["project"]["dependencies"]):
        if bound.name != "torch":
            yield f"{bound.name}=={next(part.version for part in bound.specifier if part.operator == '>=')}"
    for tool in tools("test"):
        yield pins[Requirement(tool).name.lower()]
