"""The lock: what stands in it, and that each way of being another set is refused with the command that mends it."""

import hashlib
import json

import numpy as np
import pytest

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.lock import check_installed, check_parts, installed_differences, make_lock, read_lock
from ganforge.core.errors import RunFolderError, UsageError
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import command_line_selection
from ganforge.testing import fake_plugin

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MINE = """
from ganforge.plugin import hookimpl
from ganforge.testing.stub_components import LinearGenerator as build_generator

@hookimpl
def ganforge_register_generators(register):
    register("mine", build_generator, summary="My own.")
"""
MLP = 'use = "mlp"\nparams = { hidden = [16, 16] }'


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that plugins are found in."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def acme(site, source):
    """A lock of a recipe with a generator from acme-gan 1.2, which is installed."""

    def locked(**options):
        fake = fake_plugin(site, name="acme-gan", version="1.2", **options)
        return fake, make_lock(resolve_recipe(source((MLP, 'use = "linear"')), load_plugins()))

    return locked


def refusal(locked):
    with pytest.raises(UsageError) as caught:
        check_installed(locked)
    return caught.value


def test_the_lock_names_ganforge_and_the_distributions_that_are_used(acme):
    _, locked = acme(direct_url={"url": "https://example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}})

    names = {one.name: one for one in locked.distributions}
    assert list(names) == ["acme-gan", "ganforge", "ganforge-vanilla"]
    assert (names["acme-gan"].version, names["acme-gan"].source) == ("1.2", "vcs")
    assert names["acme-gan"].url == f"git+https://example.org/a.git@{COMMIT}"


@pytest.mark.parametrize(
    ("installed", "shown"),
    [
        ({"url": "file:///tmp/acme-1.2.whl", "archive_info": {}}, "archive"),
        ({"url": "file:///home/me/acme", "dir_info": {}}, "folder"),
        ({"url": "file:///home/me/acme", "dir_info": {"editable": True}}, "editable"),
        ({"url": "https://acme.org/acme-1.2.whl", "archive_info": {}}, "url"),
        (None, "index"),
    ],
)
def test_every_way_to_install_a_plugin_can_be_locked(acme, installed, shown):
    _, locked = acme(direct_url=installed)

    assert {one.name: one.source for one in locked.distributions}["acme-gan"] == shown


def test_a_lock_that_was_written_with_a_login_is_read_without_it_and_passes(acme, tmp_path):
    _, locked = acme(direct_url={"url": "https://bob:hunter2@x.org/a.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}})
    text = json.dumps(locked.to_plain())
    assert "hunter2" not in text
    (tmp_path / "lock.json").write_text(text.replace("git+https://", "git+https://bob:hunter2@"))

    before = read_lock(tmp_path)

    assert "hunter2" not in repr(before)
    check_installed(before)


def test_the_lock_names_the_plugins_on_which_a_used_one_builds(acme, site):
    nothing = "from ganforge.plugin import hookimpl"
    fake_plugin(site, name="acme-base", version="3.0", source=nothing, requires=["ganforge", "torch>=2"])
    blocks = fake_plugin(site, name="acme-blocks", version="2.0", source=nothing, requires=["ganforge", "acme-base"])
    fake_plugin(site, name="acme-other", source=nothing)
    _, locked = acme(requires=["ganforge >=0.1", "Acme.Blocks (<3)", "absent-gan"])

    assert [one.name for one in locked.distributions] == ["acme-base", "acme-blocks", "acme-gan", "ganforge", "ganforge-vanilla"]

    metadata = blocks.info / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 2.0", "Version: 2.1"))
    (difference,) = installed_differences(locked)
    assert difference.message == "acme-blocks 2.0 is locked, 2.1 is installed"
    assert not difference.minor


def test_a_lock_is_what_it_was_after_writing_and_reading(acme, tmp_path):
    _, locked = acme()
    file = tmp_path / "lock.json"
    file.write_text(json.dumps(locked.to_plain()))

    assert read_lock(file) == read_lock(tmp_path) == locked
    assert json.loads(file.read_text())["schema"] == 1


def test_the_same_set_passes_and_editable_ones_are_reported(acme, caplog):
    _, locked = acme(direct_url={"url": "file:///src", "dir_info": {"editable": True}})

    check_installed(locked)

    (output,) = caplog.messages
    assert output.startswith("the lock knows the version but not the code of editable installations: acme-gan")


@pytest.mark.parametrize(
    ("direct_url", "remedy"),
    [
        (None, "pip install acme-gan==1.2"),
        (
            {"url": "file:///src/acme", "dir_info": {"editable": True}},
            "check out 1.2 in /src/acme, then pip install -e /src/acme",
        ),
        (
            {"url": "file:///usr", "dir_info": {}},
            "check out 1.2 in /usr, then pip install 'acme-gan @ file:///usr'",
        ),
        ({"url": "file:///acme.whl"}, "pip install 'acme-gan @ file:///acme.whl'"),
        (
            {"url": "https://example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f"pip install 'acme-gan @ git+https://example.org/a.git@{COMMIT}'",
        ),
    ],
)
def test_another_version_is_refused_with_the_command_that_mends_it(acme, site, direct_url, remedy):
    fake, locked = acme(direct_url=direct_url)
    metadata = fake.info / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.2", "Version: 1.3"))

    error = refusal(locked)

    assert error.exit_code == 2
    assert error.message == "this differs from the lock; nothing was created:\n  acme-gan 1.2 is locked, 1.3 is installed"
    assert error.remedy == remedy


def test_a_distribution_that_is_gone_is_refused(acme, site):
    fake, locked = acme()
    for file in fake.info.iterdir():
        file.unlink()
    fake.info.rmdir()

    error = refusal(locked)

    assert "acme-gan 1.2 is not installed" in error.message
    assert error.remedy == "pip install acme-gan==1.2"


def test_another_commit_of_one_version_is_refused(acme):
    url = {"url": "https://example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
    fake, locked = acme(direct_url=url)
    other = {**url, "vcs_info": {"vcs": "git", "commit_id": COMMIT[::-1]}}
    (fake.info / "direct_url.json").write_text(json.dumps(other))

    assert f"locked as git+https://example.org/a.git@{COMMIT}, installed is git+" in refusal(locked).message


def test_another_ganforge_is_refused(acme):
    _, locked = acme()
    others = tuple(
        one.model_copy(update={"version": "9.9", "source": "index", "url": None}) if one.name == "ganforge" else one
        for one in locked.distributions
    )

    error = refusal(locked.model_copy(update={"distributions": others}))

    assert error.message.endswith("ganforge 9.9 is locked, 0.1.0 is installed")
    assert error.remedy == "pip install ganforge==9.9"


def test_a_local_plugin_must_be_named_and_be_the_same(source, tmp_path):
    file = tmp_path / "my_gan.py"
    file.write_text(MINE)
    with command_line_selection(disabled=[], only=None, local=[file]):
        locked = make_lock(resolve_recipe(source((MLP, 'use = "mine"')), load_plugins()))
        assert [(one.key, one.file) for one in locked.plugin_files] == [("my-gan", str(file))]
        assert "local" not in {one.name for one in locked.distributions}
        check_installed(locked)

        file.write_text(MINE + "# edited\n")
        changed = refusal(locked)
    unnamed = refusal(locked)

    assert f"{file} is not the file that is locked (sha256 " in changed.message
    assert changed.remedy == f"restore {file}"
    assert "the local plugin 'my-gan' is not loaded" in unnamed.message
    assert unnamed.remedy == f"--plugin {file}"


@pytest.mark.parametrize(("name", "copies"), [("lock.json", "plugins"), ("lock-20-2.json", "plugins-20-2")])
def test_the_copy_that_a_run_keeps_is_the_remedy(source, tmp_path, name, copies):
    file, copy = tmp_path / "my_gan.py", tmp_path / "run" / copies / "my_gan.py"
    copy.parent.mkdir(parents=True)
    file.write_text(MINE)
    copy.write_text(MINE)
    with command_line_selection(disabled=[], only=None, local=[file]):
        locked = make_lock(resolve_recipe(source((MLP, 'use = "mine"')), load_plugins()))
        assert installed_differences(locked, tmp_path) == ()
        file.write_text(MINE + "# edited\n")
        (changed,) = installed_differences(locked, tmp_path / "run" / name)
    (unnamed,) = installed_differences(locked, tmp_path / "run" / name)
    copy.write_text(MINE + "# edited, too\n")
    (lost,) = installed_differences(locked, tmp_path / "run" / name)

    assert changed.remedy == f"use the original file: --plugin {copy}"
    assert unnamed.remedy == f"--plugin {copy}"
    assert lost.remedy == f"--plugin {file}"


def test_other_components_are_refused(source, registry):
    locked = make_lock(resolve_recipe(source(), registry))
    now = make_lock(resolve_recipe(source(('use = "non-saturating"', 'use = "hinge"')), registry))

    check_parts(
        locked, make_lock(resolve_recipe(source(("samples = 200", "samples = 201")), registry))
    )  # a parameter is none of its business
    with pytest.raises(UsageError, match=r"loss\[0\]: locked is ganforge/non-saturating@1, the recipe has ganforge/hinge@1"):
        check_parts(locked, now)


def test_other_data_is_refused(source, registry, tmp_path):
    points = tmp_path / "points.npy"
    np.save(points, np.zeros((4, 2), dtype=np.float32))
    blueprint = resolve_recipe(
        source(('use = "moons"', 'use = "arrays"'), ("params = { samples = 200 }", 'params = { file = "points.npy" }')), registry
    )
    locked = make_lock(blueprint, tmp_path)
    (file,) = locked.data_files
    assert (file.key, file.file) == ("dataset.params.file", "points.npy")
    assert file.sha256 == hashlib.sha256(points.read_bytes()).hexdigest()
    assert make_lock(blueprint).data_files == ()
    check_parts(locked, make_lock(blueprint, tmp_path))

    np.save(points, np.ones((4, 2), dtype=np.float32))
    with pytest.raises(UsageError, match=r"dataset\.params\.file: points\.npy is not the data that is locked"):
        check_parts(locked, make_lock(blueprint, tmp_path))
    points.unlink()
    with pytest.raises(UsageError, match=r"points\.npy is locked but missing"):
        check_parts(locked, make_lock(blueprint, tmp_path))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": 2}, "schema: "),
        ({"distributions": [{"name": "a; rm -rf ~", "version": "1", "source": "index"}]}, "distributions.0.name"),
        ({"distributions": [{"name": "--index-url=x", "version": "1", "source": "index"}]}, "distributions.0.name"),
        ({"distributions": [{"name": "a", "version": "1\nb", "source": "index"}]}, "distributions.0.version"),
        ({"plugin_files": [{"key": "a", "file": "b", "sha256": "c"}]}, "plugin_files.0.sha256"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_lock_is_refused(acme, tmp_path, change, complaint):
    _, locked = acme()
    (tmp_path / "lock.json").write_text(json.dumps({**locked.to_plain(), **change}))

    with pytest.raises(RunFolderError, match="is damaged: ") as caught:
        read_lock(tmp_path)
    assert complaint in caught.value.message


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b"{"])
def test_a_file_that_is_none_is_one_line(tmp_path, content):
    file = tmp_path / "lock.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(UsageError, match=r"lock\.json") as caught:
        read_lock(file)
    assert ": it:" not in caught.value.message
    assert caught.value.remedy == "name a run folder or its lock.json"
