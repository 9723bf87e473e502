from __future__ import annotations

import resource
import shutil
import signal
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganforge.core.errors import RunFolderError, StorageError
from ganforge.core.events import State
from ganforge.storage import checkpoints
from ganforge.storage.checkpoints import load_newest, save
from ganforge.storage.run_folder import RunFolder


def names(folder):
    return sorted(path.name for path in folder.checkpoints.iterdir())


@pytest.fixture
def saved(folder, make_state):
    """A folder with two checkpoints, of iterations 5 and 10."""
    for iteration in (5, 10):
        save(folder, iteration, make_state(iteration), keep=3)
    return folder


def test_what_is_saved_is_loaded(saved, make_state, assert_same):
    iteration, state, skipped = load_newest(saved)

    assert (iteration, skipped) == (10, [])
    assert_same(state, make_state(10))


def test_each_group_is_a_file_that_others_can_read(saved, make_state):
    from safetensors.torch import load_file

    path = saved.checkpoints / "00000010"

    assert {entry.name for entry in path.iterdir()} == {
        "generator.safetensors",
        "ema.safetensors",
        "optimizers.safetensors",
        "random.safetensors",
        "state.json",
        "MANIFEST.json",
    }
    assert torch.equal(
        load_file(path / "generator.safetensors")["layers.0.weight"], make_state(10).tensors["generator/layers.0.weight"]
    )


def test_what_was_saved_is_a_copy(folder):
    weight = torch.ones(3)
    save(folder, 1, State({"generator/w": weight}, {}), keep=1)
    weight += 1

    assert load_newest(folder).state.tensors["generator/w"].tolist() == [1, 1, 1]


def test_what_was_loaded_can_be_trained(saved):
    state = load_newest(saved).state

    state.tensors["generator/layers.0.weight"].add_(1)


def test_a_state_without_tensors_or_values_is_a_state_too(folder):
    save(folder, 0, State({}, {}), keep=1)

    assert load_newest(folder).state == State({}, {})


@pytest.mark.parametrize("name", ["weight", "/weight", "generator/", "../evil/weight", "a b/weight"])
def test_a_tensor_without_a_group_is_a_mistake_of_ours(folder, name):
    with pytest.raises(ValueError, match="not named group/name"):
        save(folder, 1, State({name: torch.ones(1)}, {}), keep=1)
    assert names(folder) == []


@pytest.mark.parametrize(("keep", "kept"), [(1, [50]), (2, [40, 50]), (9, [10, 20, 30, 40, 50])])
def test_the_newest_are_kept(folder, make_state, keep, kept):
    for iteration in (10, 20, 30, 40, 50):
        save(folder, iteration, make_state(iteration), keep=keep)

    assert names(folder) == [f"{iteration:08d}" for iteration in kept]


def test_iterations_of_any_length_are_in_order(folder, make_state):
    for iteration in (99_999_999, 100_000_000):
        save(folder, iteration, make_state(0), keep=2)

    assert load_newest(folder).iteration == 100_000_000


def test_an_iteration_saved_again_replaces_the_first(saved, make_state, assert_same):
    (saved.checkpoints / "00000010" / "state.json").write_text("damaged")

    save(saved, 10, make_state(11), keep=3)

    assert names(saved) == ["00000005", "00000010"]
    assert_same(load_newest(saved).state, make_state(11))


def test_after_a_resume_past_a_damaged_checkpoint_the_new_ones_count(saved, make_state, assert_same):
    (saved.checkpoints / "00000010" / "state.json").unlink()
    save(saved, 7, make_state(7), keep=1)

    assert names(saved) == ["00000007"]
    assert_same(load_newest(saved).state, make_state(7))


def test_leftovers_are_cleared_away(saved, make_state):
    (saved.checkpoints / ".tmp-00000011-4711").mkdir()
    (saved.checkpoints / ".tmp-00000011-4711" / "state.json").write_text("torso")
    (saved.checkpoints / "notes").mkdir()

    assert load_newest(saved).iteration == 10  # loading changes nothing: a run may be writing there
    assert ".tmp-00000011-4711" in names(saved)
    save(saved, 15, make_state(15), keep=3)

    assert names(saved) == ["00000005", "00000010", "00000015", "notes"]


# Damage


def damaged_newest(folder, path, reason):
    loaded = load_newest(folder)
    assert loaded.iteration == 5
    assert loaded.skipped == [f"checkpoint 00000010 is damaged ({path.name}: {reason})"]


FILES = ["generator.safetensors", "ema.safetensors", "optimizers.safetensors", "random.safetensors", "state.json"]


@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_bit_is_ever_loaded(saved, name, data):
    path = saved.checkpoints / "00000010" / name
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) * 8 - 1))

    flipped = bytearray(content)
    flipped[place // 8] ^= 1 << place % 8
    path.write_bytes(flipped)
    try:
        loaded = load_newest(saved)
    finally:
        path.write_bytes(content)

    assert loaded.iteration == 5
    assert loaded.skipped[0].startswith("checkpoint 00000010 is damaged (")


@pytest.mark.parametrize("bit", [0, 5])  # bit 5 tells small letters from capitals
def test_no_byte_of_the_manifest_may_change(folder, bit):
    path = save(folder, 5, small(5), keep=1)
    content = (path / "MANIFEST.json").read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        (path / "MANIFEST.json").write_bytes(flipped)
        with pytest.raises(checkpoints.DamagedCheckpointError):
            checkpoints.load(path)


@pytest.mark.parametrize("name", FILES)
def test_a_zeroed_page_is_seen(saved, name):
    path = saved.checkpoints / "00000010" / name
    path.write_bytes(b"\0" * path.stat().st_size)

    damaged_newest(saved, path, "sha256 differs")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("length", [0, 7, -1])
def test_a_cut_or_empty_file_is_seen(saved, name, length):
    path = saved.checkpoints / "00000010" / name
    content = path.read_bytes()
    path.write_bytes(content[:length])

    damaged_newest(saved, path, f"{len(content[:length])} bytes instead of {len(content)}")


@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_a_missing_or_unreadable_file_is_seen(saved, name):
    path = saved.checkpoints / "00000010" / name
    path.unlink()
    damaged_newest(saved, path, "missing")
    path.mkdir()
    damaged_newest(saved, path, "Is a directory")


def test_a_manifest_of_another_time_or_place_is_refused(saved):
    manifest = saved.checkpoints / "00000010" / "MANIFEST.json"
    text = manifest.read_text()

    manifest.write_text(text.replace('"format":1', '"format":2'))
    assert "written by another version" in load_newest(saved).skipped[0]
    manifest.write_text(text.replace("generator.safetensors", "../../run.json"))
    damaged_newest(saved, manifest, "not this checkpoint's manifest")
    shutil.rmtree(manifest.parent)
    shutil.copytree(saved.checkpoints / "00000005", manifest.parent)
    damaged_newest(saved, manifest, "not this checkpoint's manifest")


def test_all_damaged_is_an_error_that_names_each(saved):
    (saved.checkpoints / "00000005" / "state.json").unlink()
    (saved.checkpoints / "00000010" / "random.safetensors").write_bytes(b"")

    with pytest.raises(RunFolderError, match="no usable checkpoint") as caught:
        load_newest(saved)

    assert caught.value.exit_code == 4
    assert "00000005 is damaged (state.json: missing)" in str(caught.value)
    assert "00000010 is damaged (random.safetensors: 0 bytes instead of" in str(caught.value)


@pytest.mark.parametrize("remove", [False, True])
def test_no_checkpoint_is_an_error(folder, remove):
    if remove:
        folder.checkpoints.rmdir()
    with pytest.raises(RunFolderError, match="has no checkpoint"):
        load_newest(folder)


# Faults while saving


@pytest.mark.parametrize("refuses", ["file in place of the folder", "proc"])
def test_a_folder_that_refuses_is_named(tmp_path, refuses, make_state):
    (tmp_path / "file").write_text("")
    folder = RunFolder(tmp_path / "file" if refuses != "proc" else Path("/proc"))

    with pytest.raises(StorageError, match=r"cannot write .*checkpoints/00000001") as caught:
        save(folder, 1, make_state(), keep=1)
    assert caught.value.exit_code == 5


def test_a_full_disk_leaves_the_older_ones_and_no_torso(saved, forked, tmp_path):
    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        state = State({"generator/w": torch.ones(100), "random/r": torch.ones(10_000)}, {})
        with pytest.raises(StorageError) as caught:
            save(saved, 20, state, keep=1)
        (tmp_path / "error.txt").write_text(str(caught.value))

    forked(work)

    assert f"cannot write {saved.checkpoints / '00000020'}: File too large" in (tmp_path / "error.txt").read_text()
    assert names(saved) == ["00000005", "00000010"]
    assert load_newest(saved).iteration == 10


def small(iteration):
    return State({"generator/w": torch.full((64,), float(iteration)), "random/r": torch.ones(3)}, {"saved": iteration})


@pytest.fixture
def dying(monkeypatch, forked):
    """Saves in a process of its own, which a fault may end: ``dying(folder, iterations, fault)`` gives (killed, iterations)."""

    def run(folder, iterations, fault):
        messages = folder.path / "messages.txt"
        messages.write_text("")

        def work():
            monkeypatch.setenv("GANFORGE_FAULT", fault)
            for iteration in iterations:
                save(folder, iteration, small(iteration), keep=2)
                with messages.open("a") as file:
                    file.write(f"{iteration} ")

        return forked(work) == signal.SIGKILL, [int(word) for word in messages.read_text().split()]

    return run


def test_killed_at_any_point_the_last_commit_is_there(tmp_path, dying):
    """Each process dies one fault point later than the one before, until one survives."""
    killed, deaths = True, 0
    while killed:
        deaths += 1
        folder = RunFolder.create(tmp_path, "moons", "run")
        for iteration in (5, 10):
            save(folder, iteration, small(iteration), keep=2)

        killed, messages = dying(folder, [15, 20], f"kill@any:{deaths}")
        loaded = load_newest(folder)
        assert loaded.skipped == []
        assert loaded.state.values == {"saved": loaded.iteration}
        assert loaded.iteration in {
            max([10, *messages]),
            max([10, *messages]) + 5,
        }  # the next was perhaps committed, but not reported
        assert len(checkpoints.list_checkpoints(folder)) >= 2

        save(folder, 30, small(30), keep=2)
        assert names(folder) == [f"{loaded.iteration:08d}", "00000030"]
    assert deaths > 12


def test_killed_while_an_iteration_is_saved_again_one_of_the_two_is_there(tmp_path, dying):
    killed, deaths = True, 0
    while killed:
        deaths += 1
        folder = RunFolder.create(tmp_path, "moons", "run")
        for iteration in (5, 10):
            save(folder, iteration, small(iteration), keep=2)

        killed, _ = dying(folder, [10], f"kill@any:{deaths}")
        save(folder, 30, small(30), keep=3)

        assert names(folder) == ["00000005", "00000010", "00000030"]
        assert not any(map(checkpoints._is_damaged, checkpoints.list_checkpoints(folder)))
    assert deaths > 7


def test_killed_by_name(folder, dying):
    killed, messages = dying(folder, [5], "kill@wrote state.json")

    assert (killed, messages) == (True, [])
    assert [name[:5] for name in names(folder)] == [".tmp-"]


def test_loading_beside_a_run_that_prunes_finds_something(folder, make_state):
    """The newest found may be removed before it is read; then there is a newer one."""
    save(folder, 1, make_state(1), keep=1)
    done = threading.Event()

    def train():
        for iteration in range(2, 30):
            save(folder, iteration, make_state(iteration), keep=1)
        done.set()

    writer = threading.Thread(target=train)
    writer.start()
    loaded = []
    while not done.is_set():
        loaded.append(load_newest(folder).iteration)
    writer.join()

    assert loaded == sorted(loaded)
