"""What a lock holds of the data: files, folders and known sums, and that other data is refused."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from ganforge.build import lock
from ganforge.build.blueprint import resolve_recipe
from ganforge.build.lock import Lock, LockedFile, check_parts, make_lock
from ganforge.core.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path):
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png", ".hidden", "dogs/Thumbs.db"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "photos"


@pytest.fixture
def blueprint(source, registry):
    def blueprint(use, params="{}"):
        return resolve_recipe(
            source(('use = "moons"', f'use = "{use}"'), ("params = { samples = 200 }", f"params = {params}")), registry
        )

    return blueprint


@pytest.fixture
def photos(blueprint):
    return blueprint("image-folder", '{ folder = "photos" }')


def only(locked):
    (one,) = locked.data_files
    return one


def test_a_folder_is_held_by_names_sizes_and_contents(photos, folder, tmp_path):
    locked = make_lock(photos, tmp_path)
    assert (only(locked).key, only(locked).file, only(locked).covers) == ("dataset.params.folder", "photos", "contents")
    assert Lock.model_validate_json(json.dumps(locked.to_plain())) == locked

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere / "photos")
    for file in elsewhere.rglob("*"):
        os.utime(file, ns=(1, 1))
    (elsewhere / "photos" / ".hidden").write_text("other")
    (elsewhere / "photos" / "dogs" / "Thumbs.db").unlink()
    check_parts(locked, make_lock(photos, elsewhere))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "cats/1.png").write_text("cats/one.pn"),
        lambda folder: (folder / "cats/1.png").write_text("cats/2.png"),
        lambda folder: (folder / "cats/3.png").write_text(""),
        lambda folder: (folder / "cats/1.png").unlink(),
        lambda folder: (folder / "cats/1.png").rename(folder / "dogs/0.png"),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_another_folder_is_refused(photos, folder, tmp_path, monkeypatch, change, large):
    if large:
        monkeypatch.setattr(lock, "_LARGE_FOLDER", 10)
    locked = make_lock(photos, tmp_path)
    check_parts(locked, make_lock(photos, tmp_path))
    change(folder)
    with pytest.raises(UsageError, match=r"dataset\.params\.folder: photos is not the data that is locked") as caught:
        check_parts(locked, make_lock(photos, tmp_path))
    assert ("modification times" in caught.value.remedy) is large


def test_a_large_folder_is_held_by_times_of_change_and_says_so(photos, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_LARGE_FOLDER", 10)
    monkeypatch.setattr(lock, "_hash_file", None)
    locked = make_lock(photos, tmp_path)
    assert only(locked).covers == "listing"
    os.utime(folder / "cats/1.png", ns=(1, 1))
    with pytest.raises(UsageError, match="is not the data that is locked"):
        check_parts(locked, make_lock(photos, tmp_path))


def test_a_folder_that_is_gone_is_refused(photos, folder, tmp_path):
    locked = make_lock(photos, tmp_path)
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match=r"photos is locked but missing"):
        check_parts(locked, make_lock(photos, tmp_path))


def test_one_content_is_one_hash_read_at_once_or_not(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"content" * 1000)
    wanted = hashlib.sha256(file.read_bytes()).hexdigest()
    assert lock._hash_file(file, 7000) == wanted
    monkeypatch.setattr(lock, "_SMALL_FILE", 10)
    assert lock._hash_file(file, 7000) == wanted


def test_a_file_of_a_folder_that_cannot_be_read_counts_as_such(photos, folder, tmp_path):
    (folder / "cats" / "3.png").symlink_to(tmp_path / "nowhere")
    locked = make_lock(photos, tmp_path)
    check_parts(locked, make_lock(photos, tmp_path))
    (tmp_path / "nowhere").write_text("")
    with pytest.raises(UsageError, match="is not the data that is locked"):
        check_parts(locked, make_lock(photos, tmp_path))


def test_what_is_no_file_is_not_opened(photos, folder, tmp_path):
    os.mkfifo(folder / "cats" / "3.png")
    locked = make_lock(photos, tmp_path)
    check_parts(locked, make_lock(photos, tmp_path))
    (folder / "cats" / "3.png").unlink()
    with pytest.raises(UsageError, match="is not the data that is locked"):
        check_parts(locked, make_lock(photos, tmp_path))


def test_a_folder_that_cannot_be_listed_is_not_as_if_it_were_not_there(photos, folder, tmp_path, monkeypatch):
    listed = os.scandir

    def refusing(place):  # root may list everything
        if Path(place).name == "dogs":
            raise PermissionError(13, "Permission denied", place)
        return listed(place)

    with monkeypatch.context() as patch:
        patch.setattr("os.scandir", refusing)
        locked = make_lock(photos, tmp_path)
    shutil.rmtree(folder / "dogs")
    with pytest.raises(UsageError, match="is not the data that is locked"):
        check_parts(locked, make_lock(photos, tmp_path))


def test_a_named_file_that_cannot_be_read_is_reported(blueprint, tmp_path, monkeypatch):
    file = tmp_path / "points.csv"
    file.write_text("1,2")

    def refused(*_):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(lock, "_hash_file", refused)  # root may read everything
    with pytest.raises(DataError, match=r"cannot read .*points\.csv: Permission denied"):
        make_lock(blueprint("arrays", '{ file = "points.csv" }'), tmp_path)


@pytest.mark.parametrize(("use", "known"), [("mnist", "mnist"), ("stacked-mnist", "stacked-mnist"), ("cifar10", "cifar10")])
def test_known_data_is_held_by_its_sums_without_being_here(blueprint, tmp_path, monkeypatch, use, known):
    locked = make_lock(blueprint(use), tmp_path)
    assert (only(locked).key, only(locked).file, only(locked).covers) == ("dataset.use", known, "sums")
    other = locked.model_copy(update={"data_files": (only(locked).model_copy(update={"sha256": "0" * 64}),)})
    with pytest.raises(UsageError, match=rf"dataset\.use: {known} is not the data that is locked"):
        check_parts(other, locked)


def test_data_without_files_has_none(blueprint, tmp_path):
    assert make_lock(blueprint("moons", "{ samples = 20 }"), tmp_path).data_files == ()


def test_a_lock_of_before_is_read():
    assert LockedFile.model_validate({"key": "dataset.params.file", "file": "a.npy", "sha256": "0" * 64}).covers is None


def test_the_cost_of_a_folder_is_linear_in_its_files(tmp_path, growth):
    for count in (100, 400):
        for number in range(count):
            (tmp_path / str(count)).mkdir(exist_ok=True)
            (tmp_path / str(count) / f"{number}.png").write_bytes(b"1")
    assert growth(lock._hash_folder, tmp_path / "100", tmp_path / "400") < 8
