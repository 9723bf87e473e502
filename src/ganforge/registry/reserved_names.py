"""Reserved names: ganforge's own distributions, the short names of their components, and names that would shadow a package.

A recipe that names ``dcgan`` must mean the same component on every computer. So short names of ganforge's distributions are
reserved even if the distribution is not installed: another package's ``dcgan`` is only available as ``acme-gan/dcgan``.
"""

from __future__ import annotations

import sys

from ganforge.registry.component import Kind
from ganforge.registry.selection import BUILTIN, LOCAL, normalize_name

FIRST_PARTY = frozenset({"ganforge", "ganforge-vanilla", "ganforge-dcgan", "ganforge-cgan", "ganforge-infogan"})
"""Distributions whose short names are reserved."""

DEPENDENCIES = {
    "filelock": "filelock",
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
    "requests": "requests",
    "rich": "rich",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "torch": "torch",
    "typer": "typer",
}
"""ganforge's requirements, with the package that each installs."""

_PACKAGES = {package.casefold(): package for package in ("ganforge", *DEPENDENCIES.values())}
"""By lower-case name: on some file systems ``pil`` and ``PIL`` are the same."""

_PLUGIN_NAMES = {BUILTIN: "ganforge", "ganforge": "ganforge"} | {
    name: distribution
    for distribution in FIRST_PARTY - {"ganforge"}
    for name in (distribution, distribution.removeprefix("ganforge-"))
}
"""The distribution that options and commands mean by a plugin name."""

_OWNERS: dict[Kind, dict[str, str]] = {
    Kind.GENERATOR: {
        "mlp": "ganforge-vanilla",
        "dcgan": "ganforge-dcgan",
        "cgan-mlp": "ganforge-cgan",
        "cgan-conv": "ganforge-cgan",
        "infogan-mlp": "ganforge-infogan",
    },
    Kind.DISCRIMINATOR: {
        "mlp": "ganforge-vanilla",
        "maxout": "ganforge-vanilla",
        "dcgan": "ganforge-dcgan",
        "cgan-mlp": "ganforge-cgan",
        "cgan-conv": "ganforge-cgan",
        "projection-conv": "ganforge-cgan",
        "acgan-conv": "ganforge-cgan",
        "infogan-mlp": "ganforge-infogan",
        "infogan-conv": "ganforge-infogan",
    },
    Kind.LOSS: {"auxiliary-classifier": "ganforge-cgan", "mutual-information": "ganforge-infogan"},
}


def owner_of(kind: Kind, name: str) -> str | None:
    """The first-party plugin that owns a short name, or ``None``. Built-in components are always installed and not listed."""
    return _OWNERS.get(kind, {}).get(name)


def reserved_name_error(name: str, distribution: str) -> str | None:
    """Why a plugin may not have its name, or ``None``: ``--only-plugins vanilla`` must never load another package."""
    taken = [word for word in (name, distribution) if normalize_name(word) in _PLUGIN_NAMES]
    if not taken or distribution in FIRST_PARTY:
        return None
    remedy = "rename the file" if distribution == LOCAL else "its authors must choose another name"
    return f"the plugin name '{taken[0]}' is reserved for {_PLUGIN_NAMES[normalize_name(taken[0])]}; {remedy}"


def shadowed_package(package: str) -> str | None:
    """What a plugin's package of this name would shadow, or ``None``."""
    if package in sys.stdlib_module_names:
        return f"'{package}' is a module of Python"
    if owner := _PACKAGES.get(package.casefold()):
        return f"'{owner}' is a package that ganforge depends on"
    return None


def new_name_error(distribution: str) -> str | None:
    """Why a new plugin's distribution may not have this normalized name, or ``None``."""
    if distribution == LOCAL:
        return f"'{LOCAL}' is reserved for files given by --plugin"
    if reserved := reserved_name_error(distribution, distribution):
        return reserved.partition(";")[0]
    if distribution in DEPENDENCIES:
        return f"'{distribution}' is a distribution that ganforge depends on"
    return shadowed_package(distribution.replace("-", "_"))
