"""How figures look: one palette and one hand for all pictures of a run. Matplotlib is imported where it is used."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = NDArray[np.uint8]
"""``(H, W, 3)`` bytes."""

INK = "#22262b"
MUTED = "#7a828c"
GRID = "#e8eaed"
REAL = "#aab0b8"
GENERATED = "#1f6fb2"
GROUPS = ("#1f6fb2", "#d9622b", "#2f9e63", "#b0479a", "#c49a1a", "#5b51b8", "#18a0a8", "#8a5a3b", "#6f8f1f", "#cf3f52")
"""Colours of labels and codes: told apart in print and with the common forms of colour blindness as far as ten colours can be."""
FIELD = ("#f7d9c8", "#ffffff", "#cfe3d4")
"""Background where the discriminator says generated, cannot tell, and says real."""
HALF = "#5d6670"
FAIL, WARN = "#cf3f52", "#c49a1a"
"""Where the health watch began to see a trouble."""
DATA_1D, GENERATED_1D, DISCRIMINATOR_1D, OPTIMUM_1D = "#22262b", "#2f9e63", "#1f6fb2", "#9cc3e4"
"""The colours of Figure 1 in Goodfellow et al. 2014: data black, generated green, discriminator blue."""

_DPI = 125

KEY_MOST = 20
"""Most names in a legend."""
_KEY_COLUMNS = 6
_KEY_LINE = 0.175  # inches
_KEY_SPACE = 8.0  # points between entries


def figure(width: float, height: float, **grid: Any) -> tuple[Figure, Any]:
    """A figure of ``width × height`` inches on white paper, and its axes; ``grid`` as for ``Figure.subplots``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Paper

    paper = Paper(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(paper)
    axes = paper.subplots(**grid)
    for one in np.atleast_1d(axes).flat:
        quiet(one)
    return paper, axes


def quiet(axes: Axes) -> None:
    """Axes that step back behind what they show."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(REAL)
    axes.tick_params(colors=MUTED, labelsize=8, length=3, width=0.8)
    axes.xaxis.label.set(color=MUTED, size=9)
    axes.yaxis.label.set(color=MUTED, size=9)
    axes.set_axisbelow(True)


class Blit:
    """A figure of which only a few artists move: the rest is drawn once, which makes a picture several times as fast.

    Args:
        page: the figure; whatever it holds at the first drawing, the moving artists apart, stays as it is then.
    """

    def __init__(self, page: Figure) -> None:
        self._page = page
        self._still: Any = None

    def pixels(self, moving: Iterable[Artist], backdrop: Backdrop | None = None) -> Picture:
        """The figure with the backdrop and then the moving artists drawn over it, in their order: ``(H, W, 3)`` bytes."""
        canvas: Any = self._page.canvas
        artists = list(moving)
        if self._still is None:
            for artist in artists:
                artist.set_animated(True)
            canvas.draw()
            self._still = canvas.copy_from_bbox(self._page.bbox)
        canvas.restore_region(self._still)
        if backdrop is not None:
            backdrop.put(canvas)
        for artist in artists:
            self._page.draw_artist(artist)
        drawn: Picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        return drawn


@dataclass(frozen=True, slots=True)
class Backdrop:
    """Colours behind all else in a pair of axes, linear between the points that are known.

    They are put down as pixels: having matplotlib resample an image costs as much as the rest of a picture.

    Attributes:
        axes: where; their limits and place are final once the figure is drawn.
        colours: ``(ny, nx, 3)`` bytes, at evenly spaced points, the lowest row first.
        across: where the first and the last column lie.
        upward: where the first and the last row lie.
    """

    axes: Axes
    colours: Picture
    across: tuple[float, float]
    upward: tuple[float, float]

    def put(self, canvas: Any) -> None:
        """Put them onto the canvas, between the known points; what is darker stays, such as the axes' lines."""
        from PIL import Image

        low, high = self.axes.transData.transform(
            np.transpose([self.across, self.upward])
        )  # (2,) pixels, of the first and last point
        start = np.ceil(np.maximum(low, self.axes.bbox.min)).astype(int)
        end = np.floor(np.minimum(high, self.axes.bbox.max)).astype(int)
        if (end <= start).any():
            return  # a field thinner than a pixel, as of data on a line

        # Pillow takes pixels as areas, whose middles are our points: hence the half.
        columns_and_rows = np.array(self.colours.shape[1::-1])
        box = [edge for corner in (start, end) for edge in (corner - low) / (high - low) * (columns_and_rows - 1) + 0.5]
        smooth = Image.fromarray(self.colours).resize(tuple(end - start), Image.Resampling.BILINEAR, box=tuple(box))

        sheet = np.asarray(canvas.buffer_rgba())[::-1]  # axes count upward, the canvas' rows downward
        area = sheet[start[1] : end[1], start[0] : end[0], :3]
        np.minimum(area, np.asarray(smooth), out=area)


def headed(paper: Figure, title: str, *, left: float, right: float, top: float = 0.955, note: str = "") -> Any:
    """The title on the left, cut where it would meet the note on the right, which is returned.

    Args:
        paper: the figure.
        title: as it is; no formulas.
        left: where the title begins, as a share of the figure's width.
        right: where the note ends, likewise.
        top: their height, as a share of the figure's.
        note: the longest text that the note is going to show.
    """
    stamp = paper.text(right, top, note, color=MUTED, size=9.5, va="center", ha="right")
    room = (right - left) * paper.bbox.width - (_width(stamp) + 0.15 * paper.dpi if note else 0)
    shown = paper.text(left, top, literal(title), color=INK, size=11, weight="bold", va="center", ha="left")
    length = len(title)
    while length and _width(shown) > room:
        length = min(length - 1, int(length * room / _width(shown)) + 2)
        shown.set_text(literal(title[:length].rstrip() + "…"))
    return stamp


def _width(text: Any) -> float:
    """Of a text on a figure, in pixels."""
    return float(text.get_window_extent().width)


def literal(text: str) -> str:
    """Text as it is: a dollar sign in a title must not begin a formula."""
    return text.replace("$", r"\$")


def legend(axes: Axes, **options: Any) -> Any:
    """A legend without a frame."""
    return axes.legend(frameon=False, fontsize=8, labelcolor=INK, handlelength=1.6, borderaxespad=0.2, **options)


@dataclass(frozen=True, slots=True)
class Key:
    """A legend above a pair of axes before it is drawn: as many entries beside each other as there is room for.

    Attributes:
        names: what is named; those beyond the most are counted in a last entry.
        columns: entries beside each other.
    """

    names: tuple[str, ...]
    columns: int

    @property
    def height(self) -> float:
        """In inches."""
        return _KEY_LINE * -(-len(self.names) // self.columns)

    def draw(self, axes: Axes, handles: Sequence[Any]) -> None:
        """Put it above ``axes``, a handle for each of the first names."""
        from matplotlib.lines import Line2D

        shown = [*handles[:KEY_MOST], Line2D([], [], linestyle="")][: len(self.names)]
        legend(
            axes, handles=shown, labels=self.names, loc="lower left", bbox_to_anchor=(-0.015, 1.0), ncols=self.columns,
            columnspacing=_KEY_SPACE / 8, handletextpad=0.4,
        )  # fmt: skip


def key(names: Sequence[str], width: float) -> Key:
    """A legend of these names for ``width`` inches; long names are cut, and of many the first 20 are named."""
    from matplotlib.textpath import TextPath

    shown = [literal(name[:14]) for name in names[:KEY_MOST]]
    shown += [f"… and {len(names) - KEY_MOST} more"] if len(names) > KEY_MOST else []
    longest = max((TextPath((0, 0), name, size=8).get_extents().x1 for name in shown if name.strip()), default=0.0)
    entry = 1.6 * 8 + 0.4 * 8 + longest + _KEY_SPACE  # points, with the sizes of `legend`
    return Key(tuple(shown), max(1, min(_KEY_COLUMNS, int((72 * width + _KEY_SPACE) / entry))))


def pixels_of(paper: Figure) -> Picture:
    """The figure, drawn: ``(H, W, 3)`` bytes."""
    paper.canvas.draw()
    drawn: Picture = np.asarray(paper.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]  # Agg has it
    return drawn


def png(picture: Picture) -> bytes:
    """``(H, W, 3)`` bytes as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG", compress_level=3)
    return file.getvalue()
