"""One name, one thing: no two modules and no two public classes of the core share a name."""

import ast
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "ganforge"
MODULES = [path for path in SOURCE.rglob("*.py") if not path.name.startswith("__")]


def test_no_two_modules_share_a_name():
    names = Counter(path.stem for path in MODULES if path.parent.name != "cli")
    assert {name for name, count in names.items() if count > 1} == set()


def test_no_two_public_classes_share_a_name():
    trees = [ast.parse(path.read_text()) for path in MODULES]
    names = Counter(node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")
    assert {name for name, count in names.items() if count > 1} == set()
