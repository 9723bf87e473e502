"""Requirement lines as pip freeze has them, from what installers leave."""

import pytest
from packaging.requirements import Requirement

from ganforge.registry.component import PluginRef
from ganforge.registry.discovery import installed_plugins, read_local_plugin

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CASES = {
    "index": (None, "acme-gan==1.2"),
    "editable": ({"url": "file:///src/acme", "dir_info": {"editable": True}}, "-e /src/acme"),
    "editable in a folder with a blank": (
        {"url": "file:///my%20src/acme", "dir_info": {"editable": True}},
        "-e file:///my%20src/acme",
    ),
    "a folder": ({"url": "file:///src/acme", "dir_info": {}}, "acme-gan @ file:///src/acme"),
    "a wheel": ({"url": "https://example.org/acme.whl", "archive_info": {}}, "acme-gan @ https://example.org/acme.whl"),
    "git": (
        {"url": "https://example.org/acme.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
        f"acme-gan @ git+https://example.org/acme.git@{COMMIT}",
    ),
    "a folder of a git repository": (
        {"url": "https://example.org/acme.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}, "subdirectory": "plugins/acme"},
        f"acme-gan @ git+https://example.org/acme.git@{COMMIT}#subdirectory=plugins/acme",
    ),
    "git with a login": (
        {"url": "https://bob:hunter2@example.org/acme.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
        f"acme-gan @ git+https://example.org/acme.git@{COMMIT}",
    ),
    "a wheel with a token": ({"url": "https://example.org/acme.whl?token=hunter2"}, "acme-gan @ https://example.org/acme.whl"),
    "an address with a blank": ({"url": "file:///my src/acme"}, "acme-gan @ file:///my%20src/acme"),
}


@pytest.mark.parametrize(("direct_url", "expected"), CASES.values(), ids=CASES)
def test_each_way_of_installing_has_its_line(install, direct_url, expected):
    install(name="acme-gan", version="1.2", direct_url=direct_url)
    (found,) = [one for one in installed_plugins() if one.distribution == "acme-gan"]

    line = found.ref.requirement

    assert line == expected
    assert "hunter2" not in repr(found)
    if not expected.startswith("-e"):
        assert Requirement(line).name == "acme-gan"
    assert found.ref.requirement_line == (f"{expected}  # acme-gan 1.2" if direct_url else expected)


def test_a_local_file_is_a_comment_with_its_hash(tmp_path):
    (tmp_path / "my_gan.py").write_text("")
    ref = read_local_plugin(tmp_path / "my_gan.py").ref

    assert ref.requirement is None
    assert ref.requirement_line == (
        f"# {tmp_path / 'my_gan.py'} is a file of your own (sha256 {ref.sha256}): --plugin {tmp_path / 'my_gan.py'}"
    )


def test_ganforge_run_from_a_tree_that_is_not_installed_is_a_version():
    assert PluginRef("builtin", "ganforge", "0.1.0", "local").requirement == "ganforge==0.1.0"


def test_a_plugin_without_a_version_is_broken_rather_than_a_line(install, load):
    fake = install(name="acme-gan")
    metadata = fake.info / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0\n", ""))

    (acme,) = [one for one in load("acme-gan").plugins if one.distribution == "acme-gan"]

    assert (acme.status, acme.reason) == ("broken", "its metadata has no version")
