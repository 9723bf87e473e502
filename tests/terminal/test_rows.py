from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment

from ganforge.terminal import rows


def width(line):
    return sum(cell_len(segment.text) for segment in line)


def test_cells_are_exactly_as_wide_as_asked():
    assert rows.cell("loss", 6).text == "loss  "
    assert rows.cell("1.386", 7, right=True).text == "  1.386"
    assert rows.cell("discriminator", 6).text == "discr…"
    assert cell_len(rows.cell("二つの月を描く", 6).text) == 6


def test_blocks_stand_beside_each_other():
    lines = rows.beside([[Segment("a")], [Segment("b")], [Segment("c")]], [[Segment("x")]], (2, 3))

    assert ["".join(segment.text for segment in line) for line in lines] == ["a   x  ", "b      ", "c      "]


def test_boxes_keep_their_width_with_title_and_legend():
    for title, foot in (("samples", [Segment(" real ")]), ("a title much too long for it", [Segment("a legend much too long")])):
        lines = rows.boxed([[Segment("in")]], 14, title, foot)
        assert [width(line) for line in lines] == [14, 14, 14]
    assert "samples" in "".join(segment.text for segment in rows.boxed([], 14, "samples")[0])
