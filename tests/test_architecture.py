import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
HEAVY = {"torch", "mlflow", "numpy", "matplotlib", "sklearn", "scipy"}
TRAINERS_VERBS = {"zero_grad", "backward", "step", "train", "eval"}
OUTSIDE_THE_GAME = {"classifier_features.py"}
"""Trains the classifier that features are made of, when a metric is built."""


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "."
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def sources(*folders: Path) -> list[Path]:
    found = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    assert found, folders
    return found


def dependencies(plugin: Path) -> set[str]:
    """The packages of other plugins that a plugin builds on, as its pyproject.toml says; without ``ganforge`` itself."""
    required = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]["dependencies"]
    return {name.replace("-", "_") for name in (Requirement(text).name for text in required) if name.startswith("ganforge-")}


def loaded_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    return set(done.stderr.splitlines()[-1].split())


def test_import_contracts_are_kept():
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed here; `nox -s lint` asks the same")
    done = subprocess.run([str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugins_come_in_by_the_one_door_and_know_only_the_plugins_that_they_depend_on(plugin):
    known = {plugin.name.replace("-", "_"), *dependencies(plugin)}
    strays = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sources(plugin / "src")
        for name in imports(file)
        if name.startswith("ganforge") and name != "ganforge.plugin" and name.partition(".")[0] not in known
    ]
    assert strays == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugins_tests_use_public_modules_only(plugin):
    public = {"ganforge.plugin", "ganforge.testing"}
    known = {plugin.name.replace("-", "_"), *dependencies(plugin)}
    strays = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sources(plugin / "tests")
        for name in imports(file)
        if name.startswith("ganforge") and name not in public and name.partition(".")[0] not in known
    ]
    assert strays == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugin_modules_are_light(plugin):
    loaded = loaded_by(f"import {plugin.name.replace('-', '_')}.plugin")
    assert loaded & HEAVY == set()


def test_help_loads_no_heavy_library_and_no_plugin():
    loaded = loaded_by("from ganforge.cli.app import main\nassert main(['--help']) == 0")
    assert "ganforge" in loaded
    assert loaded & (HEAVY | {"pydantic", "pluggy"}) == set()
    assert {name for name in loaded if name.startswith("ganforge_")} == set()


def test_components_and_metrics_move_no_weight_and_change_no_mode():
    package = ROOT / "src" / "ganforge"
    strays = [
        f"{file.relative_to(ROOT)}:{node.lineno}: .{node.func.attr}()"
        for file in sources(package / "builtin", package / "metrics", *(plugin / "src" for plugin in PLUGINS))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in TRAINERS_VERBS
        and file.name not in OUTSIDE_THE_GAME
    ]
    assert strays == []
