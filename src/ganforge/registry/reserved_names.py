"""Names that a plugin may not have: of its distribution, and of the package that it brings."""

from __future__ import annotations

import sys

from ganforge.registry.first_party import reserved_plugin
from ganforge.registry.selection import LOCAL

DEPENDENCIES = {
    "jinja2": "jinja2",
    "markupsafe": "markupsafe",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "numpy": "numpy",
    "packaging": "packaging",
    "pillow": "PIL",
    "pluggy": "pluggy",
    "pydantic": "pydantic",
    "pygments": "pygments",
    "rich": "rich",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "torch": "torch",
    "typer": "typer",
}
"""What ganforge requires, and the package by which each is imported."""

_PACKAGES = {package.casefold(): package for package in ("ganforge", *DEPENDENCIES.values())}
"""Spelt without capitals: some file systems take ``pil`` for ``PIL``."""


def shadowed(package: str) -> str | None:
    """What a plugin's package of this name would hide or be hidden by, or ``None``."""
    if package in sys.stdlib_module_names:
        return f"'{package}' is a module of Python"
    if owner := _PACKAGES.get(package.casefold()):
        return f"'{owner}' is a package that ganforge runs on"
    return None


def fault_of_new(distribution: str) -> str | None:
    """Why a new plugin's distribution may not have this normalised name, or ``None``."""
    if distribution == LOCAL:
        return f"'{LOCAL}' stands for files named by --plugin"
    if reserved := reserved_plugin(distribution, distribution):
        return reserved.partition(";")[0]
    if distribution in DEPENDENCIES:
        return f"'{distribution}' is a distribution that ganforge runs on"
    return shadowed(distribution.replace("-", "_"))
