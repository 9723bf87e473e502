from __future__ import annotations

import pytest

from ganforge.core.errors import UsageError
from ganforge.runs.run_lookup import find, run_folders
from ganforge.storage.run_folder import RunFolder


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def infogan(root):
    return RunFolder.create(root, "Moons", "InfoGAN")


@pytest.fixture
def vanilla(root):
    return RunFolder.create(root, "Moons", "vanilla")


def test_every_name_of_a_run_finds_it(root, infogan, vanilla):
    identity = infogan.read_json(infogan.identity)
    hex_digits = infogan.path.name[-8:]

    for reference in (
        str(infogan.path),
        f"{infogan.path}/",
        infogan.path.name,
        f"moons/{infogan.path.name}",
        f"Moons/{infogan.path.name}",
        "InfoGAN",
        "info",
        infogan.path.name[:-3],
        hex_digits,
        identity["id"],
        identity["id"][:20],
    ):
        assert find(reference, root) == infogan, reference


def test_a_folder_is_found_wherever_it_lies(tmp_path, infogan, monkeypatch):
    monkeypatch.chdir(infogan.path.parent)

    assert find(infogan.path.name, tmp_path / "elsewhere").path.resolve() == infogan.path


def test_a_whole_name_wins_over_a_beginning(root):
    short = RunFolder.create(root, "moons", "gan")
    RunFolder.create(root, "moons", "gan-with-penalty")

    assert find("gan", root) == short


def test_several_are_an_error_that_lists_them(root):
    runs = [RunFolder.create(root, "moons", "gan") for _ in range(10)]

    with pytest.raises(UsageError, match="'gan' means 10 runs") as caught:
        find("gan", root)

    assert caught.value.exit_code == 2
    listed = [run for run in runs if f"moons/{run.path.name}" in caught.value.message]
    assert len(listed) == 8
    assert "… and 2 more" in caught.value.message


def test_an_unknown_one_is_an_error_with_a_guess(root, infogan, vanilla):
    with pytest.raises(UsageError, match="there is no run 'InfoGAM'") as caught:
        find("InfoGAM", root)

    assert caught.value.remedy == "did you mean 'InfoGAN'?"
    assert f"moons/{vanilla.path.name}" in caught.value.message


@pytest.mark.parametrize("reference", ["x", "", "..", "\0", "*", "../../etc", "~nobody", "a" * 5000])
def test_odd_references_are_unknown_too(root, infogan, reference):
    with pytest.raises(UsageError):
        find(reference, root)


def test_without_runs_the_remedy_is_the_folder(root):
    with pytest.raises(UsageError, match="has no runs") as caught:
        find("gan", root)
    assert "--runs-dir" in caught.value.remedy


def test_a_folder_that_is_no_run_is_told(tmp_path, root):
    with pytest.raises(UsageError, match="is not a run folder"):
        find(str(tmp_path), root)


@pytest.mark.parametrize("identity", ["{", "[]", "{}"])
def test_a_damaged_identity_leaves_the_folders_name(root, infogan, identity):
    hex_digits = infogan.path.name[-8:]
    infogan.identity.write_text(identity)

    assert find(hex_digits, root) == infogan
    assert find("infogan", root) == infogan
    assert [(run.name, run.experiment, run.id) for run in run_folders(root)] == [("infogan", "moons", hex_digits)]


def test_a_folder_that_happens_to_be_called_like_a_run_is_no_obstacle(tmp_path, root, infogan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "InfoGAN").mkdir()

    assert find("InfoGAN", root) == infogan
