import sys

import pytest

from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import PluginSelection
from ganforge.testing import fake_plugin


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install fake plugins; what they import is forgotten again after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(name="acme-gan", folder=None, **options):
        return fake_plugin(tmp_path if folder is None else folder, name=name, **options)

    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def load():
    """Load the built-in and the given plugins only, whatever else this environment has installed."""

    def load(*names, **switches):
        return load_plugins(PluginSelection(allowed=frozenset(names), **switches))

    return load
