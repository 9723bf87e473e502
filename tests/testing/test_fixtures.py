import importlib.metadata
import sys

import pytest

from ganforge.registry.component import Kind
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import PluginSelection
from ganforge.testing import CheckState, check_plugin, fake_plugin


def test_a_fake_plugin_is_found_loaded_and_passes_the_kit(install):
    fake = install()

    registry = load_plugins(PluginSelection(allowed=frozenset({"acme-gan"})))

    assert registry.find(Kind.GENERATOR, "linear").id == "acme-gan/linear"
    report = check_plugin("acme-gan", registry=registry)
    assert report.ok
    assert report.count(CheckState.SKIPPED) == 0
    assert fake.module in sys.modules


def test_metadata_is_what_was_asked_for(install):
    install("acme-gan", version="2.0", requires=["ganforge>=0.1", "numpy"], entry_point="acme")

    distribution = importlib.metadata.distribution("acme-gan")

    assert distribution.version == "2.0"
    assert distribution.requires == ["ganforge>=0.1", "numpy"]
    assert [(one.name, one.value) for one in distribution.entry_points] == [("acme", "acme_gan")]


def test_two_fakes_with_hyphens_are_two(install):
    install("acme-gan-one")
    install("acme-gan-two")

    found = {one.dist.name for one in importlib.metadata.entry_points(group="ganforge")}

    assert {"acme-gan-one", "acme-gan-two"} <= found


def test_a_name_is_not_installed_twice(tmp_path):
    fake_plugin(tmp_path)

    with pytest.raises(FileExistsError):
        fake_plugin(tmp_path)
