"""What ``docs/explanation/plugins.md`` promises is what there is."""

import re
from pathlib import Path

from ganforge import plugin, testing
from ganforge.core import errors
from ganforge.registry.discovery import PluginStatus
from ganforge.registry.hookspecs import HOOKS

PAGE = (Path(__file__).parents[1] / "docs" / "explanation" / "plugins.md").read_text()


def between(begin, end):
    return PAGE.partition(begin)[2].partition(end)[0]


def test_the_page_names_all_that_plugins_may_import_and_no_more():
    messages = re.findall(r"`(\w+)`", between("<!-- public: ganforge.plugin -->", "<!-- end of public -->"))
    assert sorted(messages) == sorted(plugin.__all__)
    assert all(hasattr(plugin, name) for name in messages)


def test_the_kit_lists_what_it_offers():
    assert all(hasattr(testing, name) for name in testing.__all__)


def test_the_page_names_every_hook():
    first, *rest = re.findall(r"`(ganforge_register_\w+|…_\w+)`", between("| hooks |", "\n"))
    stem = first.removesuffix("generators")
    assert {first, *(name.replace("…_", stem) for name in rest)} == set(HOOKS)


def test_the_page_names_every_status():
    messages = re.findall(r"^\| (\w+) \|", between("| status | |", "\n\n"), flags=re.MULTILINE)
    assert sorted(messages) == sorted(PluginStatus)


def test_the_page_names_every_exit_code():
    messages = {int(code) for code in re.findall(r"\b(\d+) [a-z]", between("Exit codes:", "\n\n"))}
    ours = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GanforgeError)}
    assert messages == ours | {0, 130, 143}
