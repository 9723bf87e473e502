"""Images in the terminal: how large, how many, which."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ganforge.core.events import SamplesDrawn
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.terminal.sample_preview import SamplePreview, _fit_images


@pytest.mark.parametrize(
    ("image", "room", "expected"),
    [
        ((28, 28), (85, 74), (16, 16, 5, 4)),  # a wide terminal: twenty of them
        ((28, 28), (31, 24), (9, 9, 3, 2)),  # 80 × 24: no smaller than 9 pixels
        ((32, 32), (31, 24), (9, 9, 3, 2)),
        ((8, 8), (31, 24), (8, 8, 3, 2)),  # never enlarged
        ((8, 8), (200, 200), (8, 8, 22, 22)),
        ((64, 64), (400, 400), (24, 24, 16, 16)),
        ((10, 40), (100, 60), (6, 24, 4, 8)),  # not square
        ((28, 28), (5, 5), (5, 5, 1, 1)),  # a keyhole
        ((28, 28), (0, 0), (1, 1, 1, 1)),
    ],
)
def test_images_are_as_large_as_lets_twenty_be_shown(image, room, expected):
    assert _fit_images(image, room) == expected


@pytest.fixture
def preview(events):
    """Images that are one grey each, of three classes: class ``c`` has the shades 10 c to 10 c + 9."""
    started = next(events("images"))
    data, latent = DataSpec((3, 32, 32), classes=3, value_range=(0.0, 255.0)), LatentSpec(2, classes=3)
    return SamplePreview(replace(started, data=data, latent=latent, real=Samples(torch.zeros(2, 3, 32, 32))))


def greys(lines):
    """Of each letter's upper half, line by line."""
    return [[segment.style.color.triplet.red for segment in line for letter in segment.text if letter == "▀"] for line in lines]


@pytest.mark.parametrize(("size", "shown"), [((33, 14), [[0, 10, 20], [1, 11, 21]]), ((23, 40), [[0, 1], [10, 11], [20, 21]])])
def test_rows_or_columns_are_classes(preview, size, shown):
    labels = torch.tensor([2, 0, 1] * 10)
    shades = torch.tensor([10.0 * label + at // 3 for at, label in enumerate(labels.tolist())])
    values = shades[:, None, None, None].expand(30, 3, 32, 32)
    picture = SamplesDrawn(5, Samples(values, labels, Latent(torch.zeros(30, 2), labels)), None)

    drawn = greys(preview.panel(picture, size, coloured=True).renderable.lines)

    found = []
    for line in drawn:
        runs = [grey for at, grey in enumerate(line) if grey != 64 and (at == 0 or line[at - 1] != grey)]
        if runs and runs not in found:
            found.append(runs)
    assert [row[: len(shown[0])] for row in found[: len(shown)]] == shown
