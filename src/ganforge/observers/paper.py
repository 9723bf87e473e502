"""How figures look: one palette and one hand for all pictures of a run. Matplotlib is imported where it is used."""

from __future__ import annotations

import io
from collections.abc import Iterable
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
DATA_1D, GENERATED_1D, DISCRIMINATOR_1D, OPTIMUM_1D = "#22262b", "#2f9e63", "#1f6fb2", "#9cc3e4"
"""The colours of Figure 1 in Goodfellow et al. 2014: data black, generated green, discriminator blue."""

_DPI = 125


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

    def pixels(self, moving: Iterable[Artist]) -> Picture:
        """The figure with the moving artists drawn over it, in their order: ``(H, W, 3)`` bytes."""
        canvas: Any = self._page.canvas
        artists = list(moving)
        if self._still is None:
            for artist in artists:
                artist.set_animated(True)
            canvas.draw()
            self._still = canvas.copy_from_bbox(self._page.bbox)
        canvas.restore_region(self._still)
        for artist in artists:
            self._page.draw_artist(artist)
        drawn: Picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        return drawn


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
