from __future__ import annotations

import errno
import math
import os
import threading
from pathlib import Path

import pytest

from ganforge.core.errors import StorageError
from ganforge.storage import atomic_files, strict_json


def test_content_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "a.json"

    atomic_files.write_json(path, {"loss": math.nan})
    atomic_files.write_json(path, {"loss": 1})

    assert strict_json.loads(path.read_bytes()) == {"loss": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_reader_never_sees_half(tmp_path):
    path, contents = tmp_path / "a", [bytes([number]) * 100_000 for number in range(2)]
    atomic_files.write_bytes(path, contents[0])
    done = threading.Event()

    def write():
        for turn in range(200):
            atomic_files.write_bytes(path, contents[turn % 2], durable=False)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    writer.join()

    assert seen <= set(contents)


@pytest.mark.parametrize("make_parent", [lambda tmp: tmp / "file" / "below", lambda _: Path("/proc/ganforge")])
def test_a_folder_that_refuses_is_named(tmp_path, make_parent):
    (tmp_path / "file").write_text("in the way")
    path = make_parent(tmp_path) / "a.txt"

    with pytest.raises(StorageError, match=str(path)) as caught:
        atomic_files.write_text(path, "x")

    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "choose a folder that you may write in"),
        (errno.EACCES, "choose a folder that you may write in"),
        (errno.EIO, "choose another place"),
    ],
)
def test_the_remedy_is_that_of_the_reason(tmp_path, number, remedy):
    with pytest.raises(StorageError) as caught, atomic_files.storage_errors(tmp_path / "a"):
        raise OSError(number, os.strerror(number))

    assert caught.value.remedy.startswith(remedy)


def test_a_folder_in_the_place_of_the_file_is_reported(tmp_path):
    with pytest.raises(StorageError) as caught:
        atomic_files.write_text(tmp_path, "x")

    assert caught.value.remedy == "it is a folder: name a file"


FULL = """
import resource, sys
from pathlib import Path
from ganforge.core.errors import StorageError
from ganforge.storage import atomic_files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    atomic_files.write_bytes(Path(sys.argv[1]), b"n" * 5000)
except StorageError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_content(tmp_path, python):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    text = python(FULL, path).stdout

    assert f"cannot write {path}: File too large" in text
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_an_interrupted_writer_leaves_the_old_content(tmp_path):
    path = tmp_path / "a"
    atomic_files.write_bytes(path, b"old")
    (tmp_path / f".a.tmp-{os.getpid()}").write_bytes(b"torso of a process that had this number before")

    atomic_files.write_bytes(path, b"new")

    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("before", ["nothing", "something"])
def test_what_is_staged_counts_only_if_the_block_ends_well(tmp_path, kind, before):
    path = tmp_path / "new" / "it"

    def write(place, content):
        if kind == "folder":
            place.mkdir()
            place = place / "inside"
        place.write_text(content)

    def content():
        return (path / "inside" if kind == "folder" else path).read_text()

    if before == "something":
        path.parent.mkdir()
        write(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_files.staged(path) as draft:
        write(draft, "new")
        assert draft.name == path.name
        1 / 0  # noqa: B018 - the block fails
    assert [entry.name for entry in path.parent.iterdir()] == (["it"] if before == "something" else [])
    assert before == "nothing" or content() == "old"

    with atomic_files.staged(path) as draft:
        write(draft, "new")
    assert content() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["it"]


def test_a_folder_that_cannot_be_replaced_comes_back(tmp_path):
    path = tmp_path / "it"
    path.mkdir()
    (path / "inside").write_text("old")

    with pytest.raises(StorageError, match="cannot write"), atomic_files.staged(path):
        pass  # nothing was written, so there is nothing to take its place

    assert (path / "inside").read_text() == "old"


@pytest.mark.parametrize("leads_to", ["folder", "nothing"])
def test_of_a_link_only_the_link_is_replaced(tmp_path, leads_to):
    target, path = tmp_path / "target", tmp_path / "it"
    if leads_to == "folder":
        target.mkdir()
        (target / "inside").write_text("old")
    path.symlink_to(target)

    with atomic_files.staged(path) as draft:
        draft.mkdir()
        (draft / "inside").write_text("new")

    assert not path.is_symlink()
    assert (path / "inside").read_text() == "new"
    assert leads_to == "nothing" or (target / "inside").read_text() == "old"


def test_ctrl_c_between_the_renames_brings_the_folder_back(tmp_path, monkeypatch):
    path = tmp_path / "it"
    path.mkdir()
    (path / "inside").write_text("old")

    def interrupted(source, destination):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_files.staged(path) as draft:
        draft.mkdir()

    assert (path / "inside").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["it"]
