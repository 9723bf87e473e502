"""Bringing data sets here from folders and archives, with small ones that the tests make up."""

import gzip
import os
import time
from pathlib import Path

import pytest

from ganforge.builtin.datasets.remote_datasets import MNIST
from ganforge.core.errors import DataError, StorageError, UsageError
from ganforge.session.data_preparation import find_dataset, prepare_data

ARCHIVE = b"an archive"
CONTENT = {"images": b"pixels" * 100, "labels": b"0123"}


def nothing_left(data):
    return not data.exists() or list(data.iterdir()) == []


def test_a_folder_is_copied_as_it_is_packed(prepare, source, data):
    done, told = prepare(source)
    assert (done.folder, done.changed) == (data / "tiny", True)
    assert {path.name: path.read_bytes() for path in done.folder.iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }
    assert [(name, total) for name, _, total in told] == [
        ("images.gz", (source / "images.gz").stat().st_size),
        ("labels", 4),
    ]
    assert [path.name for path in data.iterdir()] == ["tiny"]


def _written(file):
    """When and where a file was written; that it is read changes the time of access only."""
    facts = file.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def test_what_is_here_is_left_alone(prepare, source, data, tmp_path):
    prepare(source)
    before = _written(data / "tiny" / "labels")
    done, _ = prepare()
    assert (done.folder, done.changed) == (data / "tiny", False)
    assert _written(data / "tiny" / "labels") == before

    source.rename(tmp_path / "system")
    (data / "tiny" / "labels").unlink()
    assert prepare()[0].folder == tmp_path / "system"


def test_the_users_cache_is_looked_at_after_the_folder_that_is_named(prepare, source, tmp_path):
    source.rename(tmp_path / "tiny")
    assert prepare(others=[tmp_path])[0].folder == tmp_path / "tiny"


def test_a_damaged_one_is_mended(prepare, source, data):
    prepare(source)
    (data / "tiny" / "images.gz").rename(data / "tiny" / "images")  # gzip under the plain name is fine, …
    assert not prepare(source)[0].changed
    (data / "tiny" / "images").write_bytes(b"other")  # … other content is not
    assert prepare(source)[0].changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels"]


def test_a_damaged_one_that_hides_a_sound_one_is_mended_from_it(prepare, source, data, tmp_path):
    prepare(source)
    (data / "tiny" / "labels").write_bytes(b"9999")
    source.rename(tmp_path / "system")
    done, _ = prepare()
    assert (done.folder, done.changed) == (data / "tiny", True)
    assert (data / "tiny" / "labels").read_bytes() == CONTENT["labels"]
    assert not prepare()[0].changed


def test_a_damaged_one_is_not_taken_for_another_that_no_run_reads(prepare, source, data, known):
    prepare(source)
    (data / "tiny" / "labels").write_bytes(b"9999")
    with pytest.raises(DataError, match="tiny could not be downloaded"):
        prepare()
    assert (data / "tiny" / "labels").read_bytes() == b"9999"


def test_a_damaged_archive_makes_room_for_files(prepare, source, data, known):
    (data / "tiny").mkdir(parents=True)
    (data / "tiny" / "all.tar.gz").write_bytes(b"damaged")
    (data / "tiny" / "labels").write_bytes(b"9999")
    (data / "tiny" / "notes.txt").write_text("mine")
    assert prepare(source)[0].changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels", "notes.txt"]
    assert [path.name for path in data.iterdir()] == ["tiny"]


def test_of_a_link_only_the_link_is_replaced(prepare, source, data, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "images").write_bytes(b"damaged")
    data.mkdir()
    (data / "tiny").symlink_to(linked)
    assert prepare(source)[0].changed
    assert not (data / "tiny").is_symlink()
    assert (linked / "images").read_bytes() == b"damaged"
    assert [path.name for path in data.iterdir()] == ["tiny"]


def test_what_was_there_is_back_where_the_swap_fails(prepare, source, data, monkeypatch):
    (data / "tiny").mkdir(parents=True)
    (data / "tiny" / "labels").write_bytes(b"9999")
    rename = Path.rename

    def refusing(path, target):
        if path.name == "tiny" and path.parent != data:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(StorageError, match="No space left"):
        prepare(source)
    assert {path.relative_to(data).as_posix() for path in data.rglob("*")} == {"tiny", "tiny/labels"}


def test_a_file_of_the_folders_name_is_not_touched(prepare, source, data):
    data.mkdir()
    (data / "tiny").write_text("mine")
    with pytest.raises(StorageError, match="in the way"):
        prepare(source)
    assert [path.name for path in data.iterdir()] == ["tiny"]


def test_what_a_killed_one_left_is_in_nobodys_way_and_goes_after_a_day(prepare, source, data):
    for number, age in ((os.getpid(), 0), (1, 2 * 24 * 3600)):
        left = data / f".tiny.tmp-{number}"
        left.mkdir(parents=True)
        (left / "images").write_bytes(b"half")
        os.utime(left, (time.time() - age, time.time() - age))
    assert prepare(source)[0].changed
    assert sorted(path.name for path in data.iterdir()) == [f".tiny.tmp-{os.getpid()}", "tiny"]


def test_nowhere_is_no_source(prepare, data):
    for source in ("", " "):
        with pytest.raises(UsageError, match="--from is empty"):
            prepare(source)
    assert nothing_left(data)


def test_an_archive_is_taken_by_its_content(prepare, tmp_path, data):
    (tmp_path / "renamed.bin").write_bytes(ARCHIVE)
    prepare(tmp_path / "renamed.bin")
    assert (data / "tiny" / "all.tar.gz").read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "labels").unlink(), "lacks labels"),
        (lambda folder: (folder / "labels").write_bytes(b"0124"), "labels: is not labels of tiny: its sha256 is "),
        (lambda folder: (folder / "images.gz").write_bytes(gzip.compress(b"x")[:-4]), "images.gz: damaged gzip"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "lacks images and labels"),
    ],
)
def test_a_wrong_folder_changes_nothing(prepare, source, data, damage, told):
    damage(source)
    with pytest.raises(DataError) as caught:
        prepare(source)
    assert str(source) in caught.value.message
    assert told in caught.value.message
    assert caught.value.remedy
    assert nothing_left(data)


def test_a_folder_that_is_not_there(prepare, tmp_path, data):
    with pytest.raises(DataError, match="there is no folder"):
        prepare(tmp_path / "nowhere")
    assert nothing_left(data)


def test_a_data_folder_that_cannot_be_written(known, source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        prepare_data(known, str(source), (tmp_path / "file",), lambda *words: None)
    assert "GANFORGE_DATA" in caught.value.remedy


def test_names():
    assert find_dataset("stacked-mnist") is MNIST
    with pytest.raises(UsageError) as caught:
        find_dataset("mnsit")
    assert "did you mean 'mnist'?" in caught.value.remedy


def test_ctrl_c_under_way_leaves_nothing(prepare, source, data, known):
    def told(*words):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_data(known, str(source), (data,), told)
    assert nothing_left(data)
