"""The one door for developers: ``nox`` runs everything that CI runs, ``nox -s lint`` one part of it, ``nox -l`` lists the parts.

Every environment is made with plain pip and held to constraints.txt, so that torch is the tested one everywhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["lint", "types", "plugins", "minimums", "wheels", "scaffold", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PLUGINS = sorted(path.parent for path in Path("plugins").glob("*/pyproject.toml"))
STRANGERS = [str(path.parent / "src") for path in sorted(Path("tests/distributions").glob("*/pyproject.toml"))]
SOURCES = ["src", *(str(plugin / "src") for plugin in PLUGINS)]
PINS = ["-c", "constraints.txt"]
# A few processes at once and no more: each of them holds torch.
SIDE_BY_SIDE = ["--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal"]


def install(session: nox.Session, *words: str) -> None:
    """Pip install, without compiling all of torch and MLflow ahead: the tests import a small part of them."""
    session.install("--no-compile", *words)


def group(name: str) -> list[str]:
    """The requirements of one dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and the layers' import rules. Installs no torch."""
    install(session, *PINS, *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session
def types(session: nox.Session) -> None:
    """Strict type checks (mypy) of the core and the plugins."""
    install(session, "-r", "requirements.txt", *group("types"), *group("test"))  # the conformance kit imports pytest
    session.run("mypy", *SOURCES, *STRANGERS)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests of the core, with the first-party plugins: side by side what may be, then what waits for other programs."""
    install(session, "-r", "requirements.txt", *group("test"), *group("lint"))
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("pytest", *SIDE_BY_SIDE, "-m", "not mlflow and not alone")
    session.run("pytest", "-m", "mlflow or alone")


@nox.session
def plugins(session: nox.Session) -> None:
    """Each plugin by itself: installed beside the core and the plugins that it depends on, its own tests, then taken out again."""
    install(session, *PINS, "-e", ".", *group("test"))
    for plugin in PLUGINS:
        together = [plugin, *depended_on(plugin)]
        install(session, *PINS, *(part for folder in together for part in ("-e", f"./{folder}")))
        session.run("pytest", str(plugin / "tests"))
        session.run("python", "-m", "pip", "uninstall", "--yes", "--quiet", *(folder.name for folder in together))


@nox.session
def minimums(session: nox.Session) -> None:
    """The quick tests with the lowest versions that pyproject.toml allows; only torch stays, whose old wheels bring gigabytes."""
    lowest = Path(session.create_tmp()) / "minimums.txt"
    lowest.write_text("\n".join(lowest_versions()) + "\n")

    install(session, "-c", str(lowest), "-e", ".", *(part for plugin in PLUGINS for part in ("-e", f"./{plugin}")), *group("test"))
    session.run("pytest", *SIDE_BY_SIDE, "-m", "not slow and not mlflow and not alone", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """The built wheels in an environment of their own, away from the checkout: they list their plugins, train and report."""
    install(session, *PINS, *built(session, Path(), *PLUGINS))

    recipe = Path("recipes/smoke/infogan_moons.toml").resolve()
    session.chdir(session.create_tmp())
    shutil.rmtree("runs", ignore_errors=True)
    session.run("ganforge", "plugins", "list")
    session.run("ganforge", "run", str(recipe), "--plain", "--device", "cpu")
    session.run("ganforge", "report", recipe.stem)


@nox.session
def scaffold(session: nox.Session) -> None:
    """What ``ganforge plugins new`` writes, all 63 combinations of kinds: built, installed, linted, typed, tested and trained."""
    own = built(session, Path(), Path("plugins/ganforge-vanilla"))  # a recipe takes the networks that a package lacks from vanilla
    install(session, *PINS, *own, *group("build"), *group("lint"), *group("types"), "pytest")
    writer = Path("tests/scaffold/every_kind.py").resolve()

    session.chdir(session.create_tmp())
    shutil.rmtree("every-kind", ignore_errors=True)
    session.run("python", str(writer), "every-kind")
    install(session, "--no-deps", "--no-index", *map(str, Path("every-kind", "wheels").glob("*.whl")))
    packages = sorted(Path("every-kind", "packages").iterdir())
    whole = max(packages, key=lambda package: len(package.name))  # the one with all six kinds; all have the same settings of tools
    settings = f"{whole}/pyproject.toml"
    session.env["OMP_NUM_THREADS"] = "1"  # networks of these sizes take three times as long on two threads

    session.run("ruff", "check", "every-kind")
    session.run("ruff", "format", "--check", "every-kind")
    session.run("mypy", "--config-file", settings, *(f"{package}/{part}" for package in packages for part in ("src", "tests")))
    session.run("pytest", "--config-file", settings, *(f"{package}/tests" for package in packages))
    session.run("ganforge", "plugins", "check", whole.name)
    session.run("ganforge", "run", *map(str, whole.glob("recipes/*.toml")), "--plain", "--set", "train.iterations=20")


def built(session: nox.Session, *folders: Path) -> list[str]:
    """The wheels of these folders, built anew."""
    into = Path(session.create_tmp()).resolve() / "wheels"
    shutil.rmtree(into, ignore_errors=True)
    words = ["--quiet", "--no-deps", "--wheel-dir", str(into)]
    session.run("python", "-m", "pip", "wheel", *words, *(f"./{folder}" for folder in folders))
    return [str(wheel) for wheel in sorted(into.glob("*.whl"))]


def depended_on(plugin: Path) -> list[Path]:
    """The folders of the first-party plugins that a plugin requires."""
    required = nox.project.load_toml(plugin / "pyproject.toml")["project"]["dependencies"]
    names = {Requirement(line).name for line in required}
    return [other for other in PLUGINS if other.name in names]


def lowest_versions() -> Iterator[str]:
    """``name==version`` for the lower bound of each dependency, torch's tested pin, and the tested versions of the test tools."""
    pins = {pin.name.lower(): str(pin) for pin in pinned()}
    bounds = [Requirement(text) for text in PROJECT["project"]["dependencies"]]

    yield pins["torch"]
    for bound in bounds:
        if bound.name != "torch":
            yield f"{bound.name}=={next(part.version for part in bound.specifier if part.operator == '>=')}"
    for tool in group("test"):
        yield pins[Requirement(tool).name.lower()]


def pinned() -> Iterable[Requirement]:
    """The pins of constraints.txt."""
    lines = (line.partition("#")[0].strip() for line in Path("constraints.txt").read_text().splitlines())
    return [Requirement(line) for line in lines if line]
