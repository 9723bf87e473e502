import sys

import pytest

from ganforge.core.params import NoParams
from ganforge.registry.component import Component, PluginRef
from ganforge.testing import check_component, fake_plugin


@pytest.fixture
def component():
    """Make a component of the given kind from a factory, as if a plugin had registered it."""

    def component(kind, factory, *, params=NoParams, **options):
        return Component(kind, "planted", PluginRef("acme", "acme-gan", "1.0"), factory, params, "Planted.", **options)

    return component


@pytest.fixture
def judged(component):
    """The outcome of one check on such a component."""

    def judged(check, kind, factory, **options):
        (outcome,) = check_component(component(kind, factory, **options), only=(check,))
        assert outcome.check == check
        return outcome

    return judged


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install fake plugins; what they import is forgotten again after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(name="acme-gan", **options):
        return fake_plugin(tmp_path, name=name, **options)

    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
