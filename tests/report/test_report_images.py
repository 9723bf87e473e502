"""Images in a page: complete ones only, within limits, and links to the others."""

import base64
from pathlib import Path

import pytest

from ganforge.report.report_images import ImageEmbedder, relative_link


@pytest.fixture
def drawn(tmp_path):
    from PIL import Image

    def drawn(name, side=20):
        Image.effect_noise((side, side), 90).save(tmp_path / name)
        return tmp_path / name

    return drawn


@pytest.mark.parametrize(("name", "kind"), [("a.png", "image/png"), ("a.gif", "image/gif")])
def test_a_picture_is_held_byte_for_byte_with_its_size(drawn, tmp_path, name, kind):
    path = drawn(name)
    picture = ImageEmbedder(tmp_path / "report.html").embed(path, "caption", "alternative")
    head, _, tail = str(picture.source).partition(",")
    assert head == f"data:{kind};base64"
    assert base64.b64decode(tail) == path.read_bytes()
    assert (picture.width, picture.height, picture.missing) == (20, 20, "")


def test_one_that_is_too_large_is_left_out_with_its_size_and_place(drawn, tmp_path):
    path = drawn("large.png", side=200)
    picture = ImageEmbedder(tmp_path / "pages" / "report.html", max_image=1000).embed(path, "", "")
    assert picture.source is None
    assert picture.missing == f"{path.stat().st_size / 2**20:.1f} MiB is too large for this page"
    assert picture.link == "../large.png"


def test_together_they_stay_within_bounds_and_what_comes_first_is_held(drawn, tmp_path):
    paths = [drawn(f"{index}.png", side=50) for index in range(3)]
    sizes = [path.stat().st_size for path in paths]
    album = ImageEmbedder(tmp_path / "report.html", max_total=sizes[0] + sizes[1])
    assert [album.embed(path, "", "").source is not None for path in paths] == [True, True, False]


@pytest.mark.parametrize("content", [b"", b"<svg onload='alert(1)'>", b"half"])
def test_what_is_no_whole_picture_is_left_out(drawn, tmp_path, content):
    path = drawn("a.png")
    path.write_bytes(path.read_bytes()[:60] if content == b"half" else content)
    picture = ImageEmbedder(tmp_path / "report.html").embed(path, "", "")
    assert (picture.source, picture.missing) == (None, "it is not an image, or damaged")


def test_a_missing_image_is_reported(tmp_path):
    picture = ImageEmbedder(tmp_path / "report.html").embed(tmp_path / "a.png", "", "")
    assert picture.missing == "it cannot be read: No such file or directory"


def test_links_are_relative_and_quoted():
    assert relative_link(Path("/runs/a b/pictures/x#1.png"), Path("/runs/report.html")) == "a%20b/pictures/x%231.png"
