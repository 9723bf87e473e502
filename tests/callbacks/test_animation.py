from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from ganforge.callbacks import picture_writer
from ganforge.callbacks.picture_writer import animation, pick_evenly
from ganforge.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path, "moons", "vanilla")


def fill(folder, count, size=(80, 60), noise=0):
    draw = np.random.default_rng(0)
    for number in range(count):
        picture = np.full((size[1], size[0], 3), 255, np.uint8)
        picture[:, : 1 + number % size[0]] = (31, 111, 178)
        if noise:
            picture = draw.integers(0, 255, picture.shape, np.uint8)
        Image.fromarray(picture).save(folder.pictures / f"samples-{10 * number:08}.png")


def finish(folder, events):
    with animation(folder) as handle:
        for event in events(every=1000, end=1000, iterations=1000):
            handle(event)
    return folder.pictures / "training.gif"


def frames(path):
    with Image.open(path) as picture:
        shown = []
        for number in range(picture.n_frames):
            picture.seek(number)
            shown.append((np.asarray(picture.convert("RGB")), picture.info["duration"]))
        return shown, picture.info.get("loop")


def test_one_frame_for_each_picture_and_the_last_is_held(folder, events):
    fill(folder, 5)
    shown, loop = frames(finish(folder, events))

    assert [duration for _, duration in shown] == [120, 120, 120, 120, 2000]
    assert loop == 0
    for (before, _), (after, _) in pairwise(shown):
        assert not np.array_equal(before, after)
    assert np.abs(shown[-1][0][0, 0].astype(int) - (31, 111, 178)).max() < 8
    assert shown[-1][0][0, -1].min() > 247


def test_pictures_of_a_part_that_was_given_up_are_no_frames(folder, events):
    fill(folder, 5)
    shutil.copy(folder.pictures / "samples-00000000.png", folder.pictures / "samples-00001001.png")
    shown, _ = frames(finish(folder, events))  # it ends at iteration 1,000
    assert len(shown) == 5


def test_of_many_pictures_sixty_the_first_and_last_among_them(folder, events):
    fill(folder, 75)
    shown, _ = frames(finish(folder, events))

    assert len(shown) == 60
    blue = [int((frame[0, :, 0] < 100).sum()) for frame, _ in shown]
    assert (blue[0], blue[-1]) == (1, 75)
    assert blue == sorted(set(blue))


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])])
def test_spacing(count, expected):
    assert pick_evenly(list(range(count)), 4) == expected


def test_wide_pictures_are_made_smaller(folder, events):
    fill(folder, 2, size=(1000, 500))

    assert frames(finish(folder, events))[0][0][0].shape == (320, 640, 3)


def test_a_heavy_animation_loses_frames_not_its_end(folder, events, monkeypatch):
    fill(folder, 30, noise=1)
    everything = finish(folder, events).stat().st_size
    monkeypatch.setattr(picture_writer._animate, "__defaults__", (everything // 2,))

    path = finish(folder, events)

    assert path.stat().st_size <= everything // 2
    assert 8 <= len(frames(path)[0]) <= 15
    assert frames(path)[0][-1][1] == 2000


def test_after_a_stop_too_and_from_all_that_lies_in_the_folder(folder, events):
    fill(folder, 4)
    with animation(folder) as handle:
        for event in events(begin=20, end=30, outcome="stopped", every=1000):
            handle(event)

    assert len(frames(folder.pictures / "training.gif")[0]) == 4


def test_one_picture_is_no_animation(folder, events):
    fill(folder, 1)

    assert not finish(folder, events).exists()


def test_a_disk_that_refuses_causes_a_warning(folder, events, caplog):
    fill(folder, 2)
    (folder.pictures / "training.gif").mkdir()
    with animation(folder) as handle:
        for event in events(every=1000):
            handle(event)

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("no animation: cannot write")
