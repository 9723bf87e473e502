"""The figure of a run's samples, one per kind of data: points on a plane, densities on a line, a grid of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.core.events import SamplesDrawn, Started
from ganforge.core.formatting import clean
from ganforge.core.records import LogitGrid, Samples
from ganforge.figures import Floats, Pixels, mpl_style, plot_data
from ganforge.figures.images import draw_grid, select_images, value_range

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_LONGEST_NOTE = "iteration 9,999,999"
_LEGEND_COLUMNS = 6


def make_sample_figure(started: Started, title: str) -> ImageFigure | LineFigure | PlaneFigure:
    """The figure for data of this kind; it draws all pictures of one run with the same axes and size."""
    if started.data.is_image:
        return ImageFigure(started)
    if started.data.size == 1:
        return LineFigure(started, clean(title))
    return PlaneFigure(started, clean(title))


class ImageFigure:
    """A grid of images, enlarged by an integer factor, in rows by label or first categorical code."""

    def __init__(self, started: Started) -> None:
        self._started = started
        self._range = value_range(started.data, started.real)

    def draw(self, picture: SamplesDrawn) -> Pixels:
        """The grid of images."""
        return self._draw(picture.fake)

    def draw_real(self) -> Pixels:
        """As large a grid of real images."""
        return self._draw(self._started.real)

    def _draw(self, samples: Samples) -> Pixels:
        groups = plot_data.find_groups(samples, self._started.data)
        return draw_grid(samples, self._range, select_images(groups, len(samples)), side=640)


class PlaneFigure:
    """Real points in grey, generated ones coloured by label or code, over the discriminator's output on the plane."""

    def __init__(self, started: Started, title: str) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        self._started = started
        self._plane = plot_data.fit_projection(started.real)
        extent = self._plane.limits[:, 1] - self._plane.limits[:, 0]
        names = _group_names(started)
        head = 0.78 + 0.2 * ((len(names) + 1) // _LEGEND_COLUMNS)
        height = 5.6 * float(np.clip(extent[1] / extent[0], 0.4, 1.0)) + head + 0.5
        page, self._axes = mpl_style.figure(6.4, height)
        page.subplots_adjust(left=0.1, right=0.975, bottom=0.5 / height, top=1 - head / height)
        self._note = mpl_style.add_title(page, title, left=0.1, right=0.975, top=1 - 0.28 / height, note=_LONGEST_NOTE)
        self._blit = mpl_style.BlitRenderer(page)

        real = self._plane.project(plot_data.flatten(started.real))
        self._real = self._axes.scatter(*real.T, s=7, color=mpl_style.REAL, linewidths=0, alpha=0.75)
        self._fake = self._axes.scatter([], [], s=9, color=mpl_style.GENERATED, linewidths=0, alpha=0.85)
        colours = LinearSegmentedColormap.from_list("discriminator", list(mpl_style.FIELD)).with_extremes(bad="white")
        self._field = self._axes.imshow(
            [[0.5]], cmap=colours, vmin=0, vmax=1, origin="lower", interpolation="bilinear", animated=True
        )
        self._prepare(names, has_field=started.data.size == 2)

    def draw(self, picture: SamplesDrawn) -> Pixels:
        """The plane at this iteration."""
        field = self._draw_field(picture.logit_grid) if picture.logit_grid is not None else []
        points = self._plane.project(plot_data.flatten(picture.fake))
        self._fake.set_offsets(np.where(np.isfinite(points), points, np.nan))
        if groups := plot_data.find_groups(picture.fake, self._started.data):
            self._fake.set_facecolor([mpl_style.GROUPS[group % len(mpl_style.GROUPS)] for group in groups.indices])
        self._note.set_text(f"iteration {picture.iteration:,}")
        drawn = self._blit.draw([*field[:1], *self._axes.spines.values(), self._real, *field[1:], self._fake, self._note])
        for half in field[1:]:
            half.remove()
        return drawn

    def _prepare(self, names: tuple[str, ...], *, has_field: bool) -> None:
        axes = self._axes
        axes.set(xlim=self._plane.limits[0], ylim=self._plane.limits[1], aspect="equal", autoscale_on=False)
        axes.locator_params(nbins=6)
        axes.set_xlabel(self._plane.names[0], labelpad=2)
        axes.set_ylabel(self._plane.names[1], labelpad=2)
        colours = mpl_style.GROUPS if len(names) > 1 else [mpl_style.GENERATED]
        handles = [_handle(mpl_style.REAL, "real"), *map(_handle, colours, names)]
        if len(names) > len(mpl_style.GROUPS):
            handles.append(_handle("none", f"… {len(names) - len(mpl_style.GROUPS)} more"))
        if has_field:
            handles.append(_handle(mpl_style.HALF, "D = ½", marker="", linestyle="-", linewidth=1.0))
        mpl_style.add_legend(
            axes, handles=handles, loc="lower left", bbox_to_anchor=(-0.015, 1.0), ncols=_LEGEND_COLUMNS, columnspacing=1.2,
            handletextpad=0.3,
        )  # fmt: skip

    def _draw_field(self, field: LogitGrid) -> list[Artist]:
        """D as colours, and the line D = ½ if there is one."""
        xs, ys, logits = plot_data.grid_logits(field)
        half_cells = [(axis[-1] - axis[0]) / max(len(axis) - 1, 1) / 2 for axis in (xs, ys)]
        self._field.set_data(plot_data.probability(logits))
        self._field.set_extent([xs[0] - half_cells[0], xs[-1] + half_cells[0], ys[0] - half_cells[1], ys[-1] + half_cells[1]])
        if np.isfinite(logits).all() and logits.min() < 0 < logits.max():
            return [self._field, self._axes.contour(xs, ys, logits, levels=[0.0], colors=[mpl_style.HALF], linewidths=1.0)]
        return [self._field]


class LineFigure:
    """Figure 1 of Goodfellow et al. 2014: both densities, D(x), the optimal D*(x), and below the map from noise to samples."""

    def __init__(self, started: Started, title: str) -> None:
        real = plot_data.flatten(started.real)  # (n, 1)
        self._limits = plot_data.axis_limits(real)[0]
        self._points: Floats = np.linspace(float(self._limits[0]), float(self._limits[1]), 400)
        self._data = plot_data.data_density(started.data, real[:, 0], self._points)
        maps_noise = started.latent.noise == 1 and not started.latent.has_codes
        self._page, axes = mpl_style.figure(
            6.4, 5.2 if maps_noise else 4.2, nrows=2 if maps_noise else 1, squeeze=False, sharex=True,
            height_ratios=[5, 1] if maps_noise else None,
        )  # fmt: skip
        self._page.subplots_adjust(left=0.09, right=0.9, bottom=0.08 if maps_noise else 0.12, top=0.85, hspace=0.02)
        self._note = mpl_style.add_title(self._page, title, left=0.09, right=0.9, note=_LONGEST_NOTE)
        self._blit = mpl_style.BlitRenderer(self._page)
        self._curves = self._prepare(axes[0, 0], "data" if started.data.density else "data (kernel estimate)")
        self._mapping = self._prepare_mapping(axes[1, 0]) if maps_noise else None
        self._noise_range: tuple[float, float] | None = None  # that of the first picture
        axes[0, 0].tick_params(bottom=not maps_noise)

    def draw(self, picture: SamplesDrawn) -> Pixels:
        """The line at this iteration."""
        samples = plot_data.flatten(picture.fake)[:, 0]
        generated = plot_data.estimate_density(samples, self._points)
        self._curves["generated"].set_ydata(generated)
        self._curves["optimum"].set_ydata(plot_data.optimal_discriminator(self._data, generated))
        across, logits = plot_data.grid_logits(picture.logit_grid) if picture.logit_grid is not None else (np.empty(0), np.empty(0))
        self._curves["discriminator"].set_data(across, plot_data.probability(logits))
        moving = [*self._curves.values(), self._note]
        if self._mapping is not None and picture.fake.latent is not None:
            self._mapping.set_segments(self._map(picture.fake.latent.noise[:, 0].double().numpy(), samples))
            moving.append(self._mapping)
        self._note.set_text(f"iteration {picture.iteration:,}")
        return self._blit.draw(moving)

    def _prepare(self, axes: Axes, data_name: str) -> dict[str, Any]:
        tallest = max(float(self._data.max()), 1e-9)
        axes.set(xlim=self._limits, ylim=(0, 1.6 * tallest))
        axes.locator_params(axis="y", nbins=4, prune="lower")
        axes.set_ylabel("density", labelpad=3)
        chances = axes.twinx()
        mpl_style.style_axes(chances)
        chances.spines["right"].set(visible=True, color=mpl_style.REAL)
        chances.spines["left"].set_visible(False)
        chances.set(ylim=(0, 1.04), yticks=[0.5, 1], yticklabels=["½", "1"])
        chances.set_ylabel("D(x)", labelpad=6)
        chances.axhline(0.5, color=mpl_style.GRID, linewidth=1)

        axes.fill_between(self._points, self._data, color=mpl_style.DATA_1D, alpha=0.06, linewidth=0)
        data = axes.plot(self._points, self._data, ":", color=mpl_style.DATA_1D, linewidth=1.6, label=data_name)[0]
        flat_line = np.zeros(len(self._points))
        optimum = chances.plot(self._points, flat_line, color=mpl_style.OPTIMUM_1D, linewidth=3.0, label="optimal D*(x)")[0]
        generated = axes.plot(self._points, flat_line, color=mpl_style.GENERATED_1D, linewidth=1.8, label="generated")[0]
        discriminator = chances.plot([], [], "--", color=mpl_style.DISCRIMINATOR_1D, linewidth=1.6, label="D(x)")[0]
        handles = [data, generated, discriminator, optimum]
        mpl_style.add_legend(axes, handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, columnspacing=1.4)
        return {"optimum": optimum, "generated": generated, "discriminator": discriminator}

    def _prepare_mapping(self, axes: Axes) -> Any:
        """The lower part: lines from noise z, spread evenly over the width, to the samples x it is mapped to."""
        from matplotlib.collections import LineCollection

        axes.set(xlim=self._limits, ylim=(0, 1), yticks=[0.04, 0.96], yticklabels=["z", "x"])
        axes.tick_params(left=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        for height in (0.04, 0.96):
            axes.axhline(height, color=mpl_style.REAL, linewidth=0.8)
        return axes.add_collection(LineCollection([], colors=mpl_style.GENERATED_1D, linewidths=0.9, alpha=0.8))

    def _map(self, noise: Floats, samples: Floats) -> list[list[tuple[float, float]]]:
        """The lines for ``(n,)`` noise and its samples."""
        order = np.argsort(noise)
        chosen = order[np.linspace(0, len(order) - 1, min(25, len(order))).astype(int)]
        low, high = self._noise_range = self._noise_range or (float(noise.min()), float(noise.max()))
        share = (noise[chosen] - low) / max(high - low, 1e-12)
        start = self._limits[0] + (0.05 + 0.9 * share) * (self._limits[1] - self._limits[0])
        return [[(z, 0.04), (x, 0.96)] for z, x in zip(start, samples[chosen], strict=True)]


def _group_names(started: Started) -> tuple[str, ...]:
    """Names for the legend: the labels of conditional generation, else the values of the first categorical code, else one name."""
    if started.latent.classes:
        return plot_data.class_names(started.data, started.latent.classes)
    return plot_data.code_names(started.latent.categorical) if started.latent.categorical else ("generated",)


def _handle(colour: str, name: str, **options: Any) -> Any:
    """The handle of a legend's entry; a dot unless ``options`` say otherwise."""
    from matplotlib.lines import Line2D

    dot = {"linestyle": "", "marker": "o", "markersize": 4, "markeredgewidth": 0}
    return Line2D([], [], color=colour, label=mpl_style.escape_math(clean(name)[:14]), **{**dot, **options})
