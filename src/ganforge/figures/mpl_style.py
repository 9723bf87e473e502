"""The common style of all matplotlib figures: palette, axes, titles, legends, fast redrawing. Matplotlib is imported lazily."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.figures import Pixels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#22262b"
MUTED = "#7a828c"
GRID = "#e8eaed"
REAL = "#aab0b8"
GENERATED = "#1f6fb2"
GROUPS = ("#1f6fb2", "#d9622b", "#2f9e63", "#b0479a", "#c49a1a", "#5b51b8", "#18a0a8", "#8a5a3b", "#6f8f1f", "#cf3f52")
"""Colours of labels and codes: as distinguishable as ten colours can be, in print and with common colour blindness."""
FIELD = ("#f7d9c8", "#ffffff", "#cfe3d4")
"""Background where the discriminator says generated, is undecided, and says real."""
HALF = "#5d6670"
FAIL, WARN = "#cf3f52", "#c49a1a"
"""Colours of findings of the health monitor."""
DATA_1D, GENERATED_1D, DISCRIMINATOR_1D, OPTIMUM_1D = "#22262b", "#2f9e63", "#1f6fb2", "#9cc3e4"
"""The colours of Figure 1 in Goodfellow et al. 2014: data black, generated green, discriminator blue."""

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # else it warns, for example, of a home where it cannot cache fonts

_DPI = 125
_SMALLEST_TITLE = 8.0  # points
_MAX_LEGEND = 20  # names
_LEGEND_SPACE = 8.0  # points between entries


def figure(width: float, height: float, **grid: Any) -> tuple[Figure, Any]:
    """A white figure of ``width × height`` inches, and its axes; ``grid`` as for ``Figure.subplots``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    page = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(page)
    axes = page.subplots(**grid)
    for one in np.atleast_1d(axes).flat:
        style_axes(one)
    return page, axes


def style_axes(axes: Axes) -> None:
    """Draw axes in light colours, without the upper and right spine."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(REAL)
    axes.tick_params(colors=MUTED, labelsize=8, length=3, width=0.8)
    axes.xaxis.label.set(color=MUTED, size=9)
    axes.yaxis.label.set(color=MUTED, size=9)
    axes.set_axisbelow(True)


class BlitRenderer:
    """Draws a figure of which only a few artists change; the rest is drawn once, which is several times as fast.

    At the first drawing, everything but the changing artists is fixed.
    """

    def __init__(self, page: Figure) -> None:
        self._page = page
        self._fixed: Any = None

    def draw(self, moving: Iterable[Artist]) -> Pixels:
        """The figure with the moving artists drawn over it, in their order: ``(H, W, 3)`` bytes."""
        canvas: Any = self._page.canvas
        artists = list(moving)
        if self._fixed is None:
            for artist in artists:
                artist.set_animated(True)
            canvas.draw()
            self._fixed = canvas.copy_from_bbox(self._page.bbox)
        canvas.restore_region(self._fixed)
        for artist in artists:
            self._page.draw_artist(artist)
        drawn: Pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        return drawn


def add_title(page: Figure, title: str, *, left: float, right: float, top: float = 0.955, note: str = "") -> Any:
    """Write the title on the left and a note on the right; a title that would overlap the note is smaller, or else shortened.

    The positions are shares of the figure. ``note`` is the longest text that the note will show; its matplotlib text is returned.
    """
    text = page.text(right, top, note, color=MUTED, size=9.5, va="center", ha="right")
    room = (right - left) * page.bbox.width - (text.get_window_extent().width + 0.15 * page.dpi if note else 0)
    size = 11.0
    shown = page.text(left, top, escape_math(title), color=INK, size=size, weight="bold", va="center", ha="left")
    while size > _SMALLEST_TITLE and shown.get_window_extent().width > room:
        size -= 0.5
        shown.set_fontsize(size)
    length = len(title)
    while length and (width := shown.get_window_extent().width) > room:
        length = min(length - 1, int(length * room / width) + 2)
        shown.set_text(escape_math(title[:length].rstrip() + "…"))
    return text


def escape_math(text: str) -> str:
    """Escape dollar signs, which would start a formula."""
    return text.replace("$", r"\$")


def add_legend(axes: Axes, **options: Any) -> Any:
    """Add a legend without a frame."""
    return axes.legend(frameon=False, fontsize=8, labelcolor=INK, handlelength=1.6, borderaxespad=0.2, **options)


@dataclass(frozen=True, slots=True)
class LegendLayout:
    """A legend above a pair of axes before it is drawn; names beyond the first 20 are counted in a last entry."""

    names: tuple[str, ...]
    columns: int

    @property
    def height(self) -> float:
        """Height in inches."""
        return 0.175 * -(-len(self.names) // self.columns)

    def draw(self, axes: Axes, handles: Sequence[Any]) -> None:
        """Draw it above ``axes``, with a handle for each of the first names."""
        from matplotlib.lines import Line2D

        shown = [*handles[:_MAX_LEGEND], Line2D([], [], linestyle="")][: len(self.names)]
        add_legend(
            axes, handles=shown, labels=self.names, loc="lower left", bbox_to_anchor=(-0.015, 1.0), ncols=self.columns,
            columnspacing=_LEGEND_SPACE / 8, handletextpad=0.4,
        )  # fmt: skip


def layout_legend(names: Sequence[str], width: float) -> LegendLayout:
    """A legend of these names for ``width`` inches; long names are shortened, and at most 20 are listed."""
    from matplotlib.textpath import TextPath

    shown = [escape_math(name[:14]) for name in names[:_MAX_LEGEND]]
    shown += [f"… and {len(names) - _MAX_LEGEND} more"] if len(names) > _MAX_LEGEND else []
    longest = max((TextPath((0, 0), name, size=8).get_extents().x1 for name in shown if name.strip()), default=0.0)
    entry = 1.6 * 8 + 0.4 * 8 + longest + _LEGEND_SPACE  # points, with the sizes of `add_legend`
    return LegendLayout(tuple(shown), max(1, min(6, int((72 * width + _LEGEND_SPACE) / entry))))


def titled_axes(title: str, names: Sequence[str], width: float, height: float) -> tuple[Any, LegendLayout | None]:
    """Axes ``height`` inches tall on a page ``width`` inches wide, below the title and room for a legend of ``names``, if any."""
    legend = layout_legend(names, 0.85 * width) if names else None
    head = 0.55 + (legend.height if legend else 0.0)
    whole = 0.6 + head + height
    page, axes = figure(width, whole)
    page.subplots_adjust(left=0.12, right=0.97, bottom=0.55 / whole, top=1 - head / whole)
    add_title(page, title, left=0.12, right=0.97, top=1 - 0.25 / whole)
    return axes, legend


def render(page: Figure) -> Pixels:
    """Draw the figure: ``(H, W, 3)`` bytes."""
    page.canvas.draw()
    drawn: Pixels = np.asarray(page.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]  # Agg has it
    return drawn
