"""For each check of the kit one faulty component or plugin, installed and judged by all checks: exactly that one fails."""

from pathlib import Path

import pytest

from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import PluginSelection
from ganforge.testing import CheckState, check_plugin, fake_plugin
from ganforge.testing.conformance import all_checks

PLANTED = Path(__file__).parent / "planted"
IDS = [one.id for one in all_checks() if one.kinds]

WORKING = """
from ganforge.plugin import hookimpl

@hookimpl
def ganforge_register_generators(register):
    register("linear", "ganforge.testing.stub_components:LinearGenerator", summary="One linear layer.")
"""
PLUGINS = {
    "P01": {"source": f"import numpy\n{WORKING}"},
    "P02": {"source": "def ganforge_register_generators(register): ...\n"},
    "P03": {"source": f"{WORKING}print('hello')\n"},
    "P04": {"requires": ()},
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """By component, the checks that fail, of a plugin in which everything is faulty."""
    folder = tmp_path_factory.mktemp("planted")
    for file in PLANTED.glob("faulty_*.py"):
        folder.joinpath(file.name).write_text(file.read_text())
    fake_plugin(folder, name="faulty-gan", source=PLANTED.joinpath("plugin.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        report = check_plugin("faulty-gan", registry=load_plugins(PluginSelection(allowed=frozenset({"faulty-gan"}))))
    found = {outcome.subject.partition(" ")[2]: set() for outcome in report.outcomes}
    for outcome in report.outcomes:
        if outcome.state is CheckState.FAILED:
            found[outcome.subject.partition(" ")[2]].add((outcome.check, outcome.message))
    return found


@pytest.mark.parametrize("check", IDS)
def test_the_faulty_component_fails_that_check_alone(failed, check):
    assert {name for name, _ in failed[check.lower()]} == {check}, failed[check.lower()]


def test_the_plugin_around_them_is_sound(failed):
    assert failed["faulty-gan"] == set()


def test_every_component_is_there_for_a_check(failed):
    assert {name.upper() for name in failed} - {"FAULTY-GAN"} == set(IDS)


@pytest.mark.parametrize("check", PLUGINS)
def test_the_faulty_plugin_fails_that_check_alone(install, check):
    install(**{"source": WORKING, **PLUGINS[check]})

    report = check_plugin("acme-gan", registry=load_plugins(PluginSelection(allowed=frozenset({"acme-gan"}))))

    assert [outcome.check for outcome in report.outcomes if outcome.state is CheckState.FAILED] == [check], str(report)


def test_every_check_of_a_plugin_has_a_faulty_one():
    assert set(PLUGINS) == {one.id for one in all_checks() if not one.kinds}


def test_a_sound_plugin_fails_nothing(install):
    install(source=WORKING)

    report = check_plugin("acme-gan", registry=load_plugins(PluginSelection(allowed=frozenset({"acme-gan"}))))

    assert report.ok, str(report)
    assert report.count(CheckState.SKIPPED) == 0
