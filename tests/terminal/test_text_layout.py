import pytest
from rich.cells import cell_len

from ganforge.terminal import palette
from ganforge.terminal.text_layout import lay_out_table, wrap_line, wrap_words

HEADINGS = ("Key", "Value", "Origin")
ROWS = [
    ("train.iterations", "20", "recipes/smoke/vanilla_moons.toml:5"),
    ("train.seed", "0", "default of [train]"),
    ("dataset.use", '"ganforge/digits@1"', "recipes/smoke/dcgan_digits.toml:5"),
    ("title", "Two words and more", "–"),
    ("generator.optimizer.lr", "0.000123456789", "default of adam"),
    ("日本語の名前", "画像", "data"),
]


def lines(rows, width, *, right=(), optional=()):
    shown, missing = lay_out_table([HEADINGS, *rows], set(right), list(optional), width)
    return [line.plain for line in shown], missing


@pytest.mark.parametrize("width", [38, 40, 60, 79, 80, 120, 200])
def test_no_word_is_broken_and_no_line_is_too_long(width):
    shown, missing = lines(ROWS, width)

    assert not missing
    assert all(cell_len(line) <= width for line in shown)
    words = " ".join(shown).split()
    assert all(word in words for row in ROWS for cell in row for word in cell.split())


def test_a_wide_terminal_gets_one_line_per_row():
    shown, _ = lines(ROWS, 120)

    assert len(shown) == 1 + len(ROWS)
    assert len({line.index(word) for line, word in zip(shown, ("Origin", "recipes", "default", "recipes"), strict=False)}) == 1


def test_optional_columns_are_left_out_in_their_order():
    assert lines(ROWS[:2], 66, optional=(1, 2)) == (
        ["Key               Value  Origin", *[f"{key:<18}{value:<7}{origin}" for key, value, origin in ROWS[:2]]],
        [],
    )
    assert lines(ROWS[:2], 56, optional=(1, 2))[1] == ["Value"]
    assert lines(ROWS[:2], 30, optional=(1, 2)) == (["Key", "train.iterations", "train.seed"], ["Value", "Origin"])


def test_one_long_word_does_not_change_the_other_rows():
    rows = [*[("a", "word", str(number)) for number in range(9)], ("b", "w" * 26, "9")]
    shown, _ = lines(rows, 30)

    assert shown[1].split() == ["a", "word", "0"]
    assert shown[-2:] == ["b   " + "w" * 26, " " * shown[1].index("0") + "9"]


def test_numbers_are_aligned_on_the_right():
    shown, _ = lines([("a", "1", ""), ("b", "1,000", "")], 40, right=(1,))

    assert shown == ["Key  Value  Origin", "a        1", "b    1,000"]


def test_without_room_each_cell_gets_a_line_of_its_own():
    shown, _ = lines(ROWS[:3], 38)

    assert shown[:4] == ["train.iterations", "  Value   20", "  Origin", "    recipes/smoke/vanilla_moons.toml:5"]
    assert shown[4:7] == ["train.seed", "  Value   0", "  Origin  default of [train]"]


def test_a_command_is_not_broken():
    text = "send it with `ganforge sync runs/a --tracking-uri http://localhost:5000`, or later"

    assert wrap_words(text, 60) == ["send it with", "`ganforge sync runs/a --tracking-uri http://localhost:5000`,", "or later"]


def test_continued_lines_are_indented():
    assert wrap_line("  from  one two three", 16, 8) == ["  from  one two", "        three"]
    assert wrap_line("    one two three", 14) == ["    one two", "    three"]
    assert wrap_line("x one/long/path", 14, 8) == ["x", " one/long/path"]


@pytest.mark.parametrize("colour", sorted({palette.ACCENT, palette.GOOD, palette.WARNING, palette.BAD, *palette.GROUPS}))
@pytest.mark.parametrize("background", ["#ffffff", "#1e1e1e", "#000000"])
def test_colours_are_legible_on_dark_and_light(colour, background):
    from rich.color import Color

    def luminance(name):
        parts = (part / 255 for part in Color.parse(name).get_truecolor())
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(colour), luminance(background)))
    assert (light + 0.05) / (dark + 0.05) >= 3.5
