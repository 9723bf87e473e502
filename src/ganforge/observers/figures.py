"""One reused figure per kind of data: points on a plane, densities on a line, a sheet of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ganforge.core.events import Pictured, Started
from ganforge.core.records import Field
from ganforge.observers import paper
from ganforge.observers.density import estimated_density, mixture_density, optimal_discriminator, probability
from ganforge.observers.history import Floats
from ganforge.observers.images import Bytes, enlarged, fitting_factor, pixels, sheet, square_columns, value_range
from ganforge.observers.plane import Groups, field_grid, field_line, flat, groups_of, limits_of, plane_of
from ganforge.observers.words import clean, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHEET = 64
"""Most images on one sheet."""
_SHEET_SIDE = 640
"""Side that a sheet of images is enlarged to, at most, in pixels."""
_ARROWS = 25
"""Lines from noise to samples, as in the foot of Figure 1."""


class Portraitist(Protocol):
    """Draws the pictures of one run, all with the same axes and size."""

    def draw(self, picture: Pictured) -> Bytes:
        """The picture as ``(H, W, 3)`` bytes."""
        ...


def portraitist(started: Started, title: str) -> Portraitist:
    """Who draws data of this kind."""
    if started.data.is_image:
        return ImageSheet(started)
    if started.data.size == 1:
        return LineFigure(started, clean(title))
    return PlaneFigure(started, clean(title))


class ImageSheet:
    """The first images, at most 64, pixel by pixel, enlarged by a whole factor."""

    def __init__(self, started: Started) -> None:
        self._range = value_range(started.data, started.real)

    def draw(self, picture: Pictured) -> Bytes:
        """The sheet."""
        images = pixels(picture.fake, self._range)[:_SHEET]
        paper_ = sheet(images, square_columns(len(images)))
        return enlarged(paper_, fitting_factor(paper_, _SHEET_SIDE))


class PlaneFigure:
    """Real points in grey below the generated ones, coloured by label or code, on what the discriminator thinks of the plane."""

    def __init__(self, started: Started, title: str) -> None:
        self._started = started
        self._plane = plane_of(started.real)
        extent = self._plane.limits[:, 1] - self._plane.limits[:, 0]
        height = 6.4 * float(np.clip(extent[1] / extent[0], 0.45, 1.0)) + 1.0
        self._figure, self._axes = paper.figure(6.4, height)
        self._figure.subplots_adjust(left=0.09, right=0.97, bottom=0.62 / height, top=1 - 0.55 / height)
        self._note = paper.headed(self._figure, title, left=0.09, right=0.97, top=1 - 0.26 / height)
        self._half: Any = None

        self._prepare()
        self._field: Any = None
        real = self._plane.project(flat(started.real))
        self._axes.scatter(*real.T, s=7, color=paper.REAL, linewidths=0, alpha=0.75, zorder=2, label="real")
        self._fake: Any = None

    def draw(self, picture: Pictured) -> Bytes:
        """The plane at this iteration."""
        if picture.field is not None:
            self._draw_field(picture.field)
        self._draw_points(picture)
        self._note.set_text(f"iteration {count(picture.iteration)}")
        return paper.pixels_of(self._figure)

    def _prepare(self) -> None:
        self._axes.set(xlim=self._plane.limits[0], ylim=self._plane.limits[1], aspect="equal")
        self._axes.set_xlabel(self._plane.names[0], labelpad=2)
        self._axes.set_ylabel(self._plane.names[1], labelpad=2)

    def _draw_points(self, picture: Pictured) -> None:
        points = self._plane.project(flat(picture.fake))
        groups = groups_of(picture.fake, self._started.data, self._started.latent.categorical)
        if self._fake is None:
            self._fake = self._axes.scatter(*points.T, s=9, linewidths=0, alpha=0.85, zorder=4, color=_colours(groups, len(points)))
            self._add_legend(groups)
        self._fake.set_offsets(points)
        self._fake.set_facecolor(_colours(groups, len(points)))

    def _add_legend(self, groups: Groups | None) -> None:
        handles = [_dot(paper.REAL, "real"), *_group_dots(groups)]
        if self._field is not None:
            handles.append(_stroke(paper.HALF, "D = ½"))
        shown = paper.legend(
            self._axes, handles=handles, loc="upper right", ncols=min(len(handles), 4), columnspacing=1.0, handletextpad=0.3
        )
        shown.set(zorder=6)
        shown.set_frame_on(True)
        shown.get_frame().set(facecolor="white", edgecolor="none", alpha=0.75)

    def _draw_field(self, field: Field) -> None:
        across, down, logits = field_grid(field)
        chances = probability(logits)
        if self._field is None:
            self._field = self._axes.imshow(
                chances, cmap=_field_colours(), vmin=0, vmax=1, origin="lower", interpolation="bilinear", aspect="equal", zorder=0,
                extent=(across[0], across[-1], down[0], down[-1]),
            )  # fmt: skip
            self._prepare()  # an image moves the limits
        self._field.set_data(chances)
        if self._half is not None:
            self._half.remove()
        known = np.isfinite(logits)
        self._half = None
        if known.all() and logits.min() < 0 < logits.max():
            self._half = self._axes.contour(across, down, logits, levels=[0.0], colors=[paper.HALF], linewidths=1.0, zorder=3)


class LineFigure:
    """Figure 1 of Goodfellow et al. 2014: both densities, D(x) and the best possible D*(x), and below how noise becomes samples."""

    def __init__(self, started: Started, title: str) -> None:
        self._started = started
        self._limits = limits_of(flat(started.real))[0]
        self._points = np.linspace(*self._limits, 400)
        known = started.data.density
        self._data = mixture_density(known, self._points) if known else estimated_density(flat(started.real)[:, 0], self._points)
        maps_noise = started.latent.noise == 1
        self._figure, axes = paper.figure(
            6.4, 5.2 if maps_noise else 4.2, nrows=2 if maps_noise else 1, squeeze=False, sharex=True,
            height_ratios=[5, 1] if maps_noise else None,
        )  # fmt: skip
        self._axes: Axes = axes[0, 0]
        self._foot: Axes | None = axes[1, 0] if maps_noise else None
        self._figure.subplots_adjust(left=0.09, right=0.91, bottom=0.1 if maps_noise else 0.12, top=0.84, hspace=0.02)
        self._note = paper.headed(self._figure, title, left=0.09, right=0.91)
        self._curves = self._prepare(known_density=known is not None)
        self._arrows = self._prepare_foot() if self._foot is not None else None
        self._noise_span: tuple[float, float] | None = None

    def draw(self, picture: Pictured) -> Bytes:
        """The line at this iteration."""
        samples = flat(picture.fake)[:, 0]
        generated = estimated_density(samples, self._points)
        self._curves["generated"].set_ydata(generated)
        self._curves["optimum"].set_ydata(optimal_discriminator(self._data, generated))
        if picture.field is not None:
            across, logits = field_line(picture.field)
            self._curves["discriminator"].set_data(across, probability(logits))
        if self._arrows is not None and picture.fake.latent is not None:
            self._draw_arrows(picture.fake.latent.noise[:, 0].double().numpy(), samples)
        self._note.set_text(f"iteration {count(picture.iteration)}")
        return paper.pixels_of(self._figure)

    def _prepare(self, *, known_density: bool) -> dict[str, Any]:
        axes, tallest = self._axes, max(float(self._data.max()), 1e-9)
        axes.set(xlim=self._limits, ylim=(0, 1.6 * tallest))
        axes.set_ylabel("density", labelpad=3)
        chances = axes.twinx()
        paper.quiet(chances)
        chances.spines["right"].set(visible=True, color=paper.REAL)
        chances.spines["left"].set_visible(False)
        chances.set(ylim=(0, 1.04), yticks=[0, 0.5, 1], yticklabels=["0", "½", "1"])
        chances.set_ylabel("D(x)", labelpad=2)
        chances.axhline(0.5, color=paper.GRID, linewidth=1, zorder=0)

        name = "data" if known_density else "data (kernel estimate)"
        axes.fill_between(self._points, self._data, color=paper.DATA_1D, alpha=0.06, linewidth=0)
        lines = {
            "data": axes.plot(self._points, self._data, ":", color=paper.DATA_1D, linewidth=1.6, label=name)[0],
            "generated": axes.plot(self._points, 0 * self._data, color=paper.GENERATED_1D, linewidth=1.8, label="generated")[0],
            "optimum": chances.plot(
                self._points, 0 * self._data, color=paper.OPTIMUM_1D, linewidth=2.6, label="best possible D*(x)"
            )[0],
            "discriminator": chances.plot([], [], "--", color=paper.DISCRIMINATOR_1D, linewidth=1.6, label="D(x)")[0],
        }
        handles = [lines[key] for key in ("data", "generated", "discriminator", "optimum")]
        paper.legend(axes, handles=handles, loc="lower left", bbox_to_anchor=(0, 1.01), ncols=4, columnspacing=1.4)
        if self._foot is None:
            axes.set_xlabel("x", labelpad=2)
        return lines

    def _prepare_foot(self) -> Any:
        from matplotlib.collections import LineCollection

        foot = self._foot
        if foot is None:
            return None
        self._axes.tick_params(bottom=False)
        foot.set(xlim=self._limits, ylim=(0, 1), yticks=[0.04, 0.96], yticklabels=["z", "x"])
        foot.tick_params(left=False)
        foot.spines["left"].set_visible(False)
        foot.axhline(0.96, color=paper.REAL, linewidth=0.8)
        foot.axhline(0.04, color=paper.REAL, linewidth=0.8)
        foot.spines["bottom"].set_visible(False)
        arrows = LineCollection([], colors=paper.GENERATED_1D, linewidths=0.9, alpha=0.8)
        foot.add_collection(arrows)
        return arrows

    def _draw_arrows(self, noise: Floats, samples: Floats) -> None:
        """Lines from equally likely noise, spread over the foot's width, to the samples it becomes."""
        order = np.argsort(noise)
        chosen = order[np.linspace(0, len(order) - 1, min(_ARROWS, len(order))).astype(int)]
        if self._noise_span is None:
            self._noise_span = (float(noise.min()), float(noise.max()))
        low, high = self._noise_span
        share = (noise[chosen] - low) / max(high - low, 1e-12)
        start = self._limits[0] + (0.05 + 0.9 * share) * (self._limits[1] - self._limits[0])
        self._arrows.set_segments([[(z, 0.04), (x, 0.96)] for z, x in zip(start, samples[chosen], strict=True)])


def _colours(groups: Groups | None, number: int) -> Sequence[str]:
    if groups is None:
        return [paper.GENERATED] * number
    return [paper.GROUPS[index % len(paper.GROUPS)] for index in groups.indices.tolist()]


def _group_dots(groups: Groups | None) -> list[Any]:
    if groups is None:
        return [_dot(paper.GENERATED, "generated")]
    return [_dot(colour, name) for name, colour in zip(groups.names, paper.GROUPS, strict=False)]


def _dot(colour: str, name: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", markersize=4, markeredgewidth=0, color=colour, label=paper.literal(clean(name)))


def _stroke(colour: str, name: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linewidth=1.0, label=name)


def _field_colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("verdict", list(paper.FIELD))
