"""The installed components, third-party ones beside them, and recipes as text."""

from dataclasses import replace

import pytest

from ganforge.core.params import NoParams
from ganforge.recipe.reader import read_recipe
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.discovery import PluginRecord, PluginStatus
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import Registry
from moons_recipe import HEAD

_STRANGER = PluginRef("acme", "acme-gan", "1.2.0")

_WHOLE = (
    HEAD
    + """
[discriminator]
use = "mlp"

[[loss]]
use = "non-saturating"

[[metric]]
use = "wasserstein"
"""
)


@pytest.fixture(scope="session")
def registry():
    """The built-in components and ganforge's own plugins."""
    return load_plugins()


@pytest.fixture(scope="session")
def component():
    """Make a third-party component."""

    def component(kind, name, **facts):
        made = Component(kind=Kind(kind), name=name, plugin=_STRANGER, factory="acme:build", params=NoParams, summary="Theirs.")
        return replace(made, **facts)

    return component


@pytest.fixture
def beside(registry):
    """The registry with third-party components added, and records of plugins that failed."""

    def beside(*components, broken=()):
        records = [
            PluginRecord(
                name=name, distribution=name, version="0.4.1", status=PluginStatus.BROKEN, reason="ModuleNotFoundError: einops"
            )
            for name in broken
        ]
        return Registry([*registry.plugins, *records], [*registry.components(), *components])

    return beside


@pytest.fixture(scope="session")
def whole():
    """The text of a recipe with nothing wrong."""
    return _WHOLE


@pytest.fixture
def source(tmp_path, whole):
    """Reads the whole recipe with texts replaced in it, each given as a pair."""

    def source(*pairs, overrides=(), more=""):
        text = whole
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "recipe.toml"
        path.write_text(text + more)
        return read_recipe(path, overrides)

    return source
