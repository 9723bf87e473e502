"""Draw the tutorial's figures: ``python docs/tutorial/figures.py [NAME …]``, all of them unless named.

Each function trains what its figure shows and gives the figure's pixels, which go to ``pictures/NAME.png``.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import experiments
import numpy as np
import torch
from experiments import LOG4, SEEDS, Run, trained
from PIL import Image

from ganforge.core.events import SamplesDrawn
from ganforge.core.records import Latent
from ganforge.figures import Pixels, mpl_style
from ganforge.figures.charts import smooth
from ganforge.figures.images import arrange_in_order, enlarge, lay_out, to_pixels, value_range
from ganforge.figures.plot_data import axis_limits, flatten
from ganforge.figures.sample_figures import make_sample_figure
from ganforge.runs.latent_grids import lerp, slerp
from ganforge.train.evaluator import draw_samples

FOLDER = Path(__file__).resolve().parent / "pictures"
ORANGE = mpl_style.GROUPS[1]


def the_game() -> Pixels:
    """Page 1: Figure 1 of the 2014 paper at three moments, as the run's own pictures show it."""
    return _row([_portrait(_bell(), "", at) for at in (0, 1_000, 6_000)])


def losses() -> Pixels:
    """Page 1: both losses of that run, and what became of the samples meanwhile."""
    run = _bell()
    page, (axes, quality) = mpl_style.figure(6.4, 2.8, ncols=2)
    for side, colour in (("discriminator", mpl_style.DISCRIMINATOR_1D), ("generator", mpl_style.GENERATED_1D)):
        values = np.array([row[f"{side}/total"] for row in run.terms])
        axes.plot(values, color=colour, alpha=0.2, linewidth=0.6)
        axes.plot(smooth(values, 50), color=colour, linewidth=1.6, label=f"{side}'s loss")
    for value, name in ((LOG4, "log 4"), (LOG4 / 2, "log 2")):
        axes.axhline(value, color=mpl_style.HALF, linewidth=0.9, linestyle=":")
        axes.text(5_900, value + 0.03, name, color=mpl_style.MUTED, size=8, va="bottom", ha="right")
    axes.set(xlabel="iteration", ylim=(0.3, 1.8), xlim=(0, 6_000), xticks=range(0, 6_001, 2_000))
    quality.plot(*run.curve("wasserstein"), color=mpl_style.INK, linewidth=1.5, label="W₂ from samples to data")
    quality.set(xlabel="iteration", ylim=(0, None), xlim=(0, 6_000), xticks=range(0, 6_001, 2_000))
    for one in (axes, quality):
        mpl_style.add_legend(one, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    page.subplots_adjust(left=0.07, right=0.96, bottom=0.18, top=0.88, wspace=0.2)
    return mpl_style.render(page)


def slopes() -> Pixels:
    """Page 2: the gradient of each loss by the logit of one fake, computed by autograd from the losses themselves."""
    logits = torch.linspace(-6, 6, 241, dtype=torch.float64)
    page, axes = mpl_style.figure(6.4, 3.2)
    for loss, name, colour in (
        ("saturating", "log(1 − D), of Algorithm 1", ORANGE),
        ("non_saturating", "−log D, used in practice", mpl_style.GENERATED),
    ):
        axes.plot(logits, experiments.slope(f"tutorial/{loss}", logits), color=colour, linewidth=1.8, label=name)
    axes.axvline(0, color=mpl_style.GRID, linewidth=1)
    axes.text(-5.9, -0.60, "D is sure that\nit is a fake", color=mpl_style.MUTED, size=8, va="center")
    axes.text(5.9, -0.60, "D takes it\nfor real", color=mpl_style.MUTED, size=8, va="center", ha="right")
    axes.set(xlabel="logit l of the fake, D = σ(l)", ylabel="derivative of G's loss by l", xlim=(-6, 6))
    return _done(page, axes, ncols=2)


def saturation() -> Pixels:
    """Page 2: the way to the bell under both losses."""
    page, axes = mpl_style.figure(6.4, 3.0)
    for loss, name, colour in (
        ("saturating", "log(1 − D)", ORANGE),
        ("non_saturating", "−log D", mpl_style.GENERATED),
    ):
        for seed in SEEDS:
            run = trained(f"tutorial/{loss}", f"train.seed={seed}", "pictures.every=1_000_000")
            axes.plot(*run.curve("wasserstein"), color=colour, linewidth=1.5, alpha=0.85, label=name if seed == SEEDS[0] else None)
    axes.set(xlabel="iteration", ylabel="W₂ to the data, at 6", xlim=(0, 1_500), ylim=(0, 6.5))
    return _done(page, axes, ncols=2)


def optimal() -> Pixels:
    """Page 3: the trained discriminator on the best one."""
    curve = experiments.discriminator_curve(trained("tutorial/optimal_discriminator", "metric=[]").trainer)
    page, axes = mpl_style.figure(6.4, 3.4)
    shown = curve.points.abs() < 3
    points = curve.points[shown]
    for density, name, colour, style in (
        (curve.data, "p_data", mpl_style.DATA_1D, ":"),
        (curve.generated, "p_g", mpl_style.GENERATED_1D, "-"),
    ):
        axes.plot(points, density[shown], style, color=colour, linewidth=1.5, label=name)
    axes.plot(points, curve.best[shown], color=mpl_style.OPTIMUM_1D, linewidth=4, label="D*")
    axes.plot(points, curve.trained[shown], "--", color=mpl_style.DISCRIMINATOR_1D, linewidth=1.6, label="trained D")
    axes.set(xlabel="x", xlim=(-3, 3), ylim=(0, 1.25))
    return _done(page, axes, ncols=4)


def moons() -> Pixels:
    """Page 4: a plain, a conditional GAN, and InfoGAN, each in a third of its recipe's iterations."""
    runs = {"GAN": ("vanilla_moons", 3_300), "cGAN: label": ("cgan_moons", 2_700), "InfoGAN: code": ("infogan_moons", 5_300)}
    return _row(
        [
            _portrait(trained(recipe, "metric=[]", f"train.iterations={iterations}"), name)
            for name, (recipe, iterations) in runs.items()
        ]
    )


def splits() -> Pixels:
    """Page 4: InfoGAN with plain settings, four seeds."""
    runs = [trained("tutorial/infogan_plain", f"train.seed={seed}") for seed in range(4)]
    return _row([_portrait(run, f"seed {seed}: {100 * run.curve('code-recovery')[1][-1]:.0f} %") for seed, run in enumerate(runs)])


def digits() -> Pixels:
    """Page 5: real digits, and those of a DCGAN."""
    run = _digits("dcgan_digits")
    drawn = _images(run, slice(0, 64), 8)
    real = _sheet(to_pixels(run.started.real, value_range(run.started.data, run.started.real))[:64], 8)
    return _beside([enlarge(real, 4), enlarge(drawn, 4)], 24)


def classes() -> Pixels:
    """Page 5: a column for each digit that was asked for, and for each value of InfoGAN's code."""
    made = []
    for recipe, kind in (("cgan_digits", "labels"), ("infogan_digits", "codes")):
        run = _digits(recipe)
        made.append(enlarge(_columns(run, kind), 4))
    return _beside(made, 24)


def walks() -> Pixels:
    """Page 6: from digit to digit, on straight lines and on arcs."""
    run = _digits("cgan_digits")
    ends = run.trainer.sampler.draw(8, torch.Generator().manual_seed(2))
    made = []
    for way in (lerp, slerp):
        noise = way(ends.noise[:4], ends.noise[4:], torch.linspace(0, 1, 10)).flatten(0, 1)  # (4 walks · 10 steps, z)
        assert ends.labels is not None  # noqa: S101 - a conditional GAN's sampler draws them
        latent = Latent(noise, labels=ends.labels[:4].repeat_interleave(10))
        fakes = draw_samples(run.trainer.ema.network, latent, run.started.data)
        made.append(enlarge(_sheet(to_pixels(fakes, value_range(run.started.data, fakes)), 10), 4))
    return _beside(made, 24)


def collapse() -> Pixels:
    """Page 7: where a collapsing generator is at four moments, and one that is cured."""
    rows = []
    for recipe in ("ring_collapse", "ring_cured"):
        run = trained(f"tutorial/{recipe}", "metric=[]", "pictures.every=250")
        rows.append([_ring(run, at) for at in (500, 1_000, 2_000, 3_000)])
    return np.concatenate([_beside(row, 0) for row in rows])


def circling() -> Pixels:
    """Page 7: the two players' ways around the goal and into it, and the generator's place over time."""
    free, held = (
        np.array(trained(f"tutorial/{recipe}", "metric=[]", watch=experiments.whereabouts).traces)
        for recipe in ("circling", "circling_stopped")
    )
    page, (plane, time) = mpl_style.figure(6.4, 3.0, ncols=2, width_ratios=[4, 5])
    for ways, colour, name in ((free, mpl_style.GENERATED, "no penalty"), (held, mpl_style.GROUPS[2], "with R₁")):
        plane.plot(ways[:, 0], ways[:, 1], color=colour, linewidth=0.9, label=name)
        time.plot(ways[:600, 0], color=colour, linewidth=1.2)
    plane.plot(*free[0, :2], "o", color=mpl_style.INK, markersize=4)
    plane.plot(0, 0, "+", color=mpl_style.INK, markersize=9)
    plane.set(xlabel="the generator's place", ylabel="the discriminator's slope", xlim=(-0.7, 0.7), ylim=(-0.7, 0.7))
    (average,) = time.plot(free[:600, 2], color=ORANGE, linewidth=1.8, label="no penalty: the average generator")
    time.set(xlabel="iteration", ylabel="the generator's place", xlim=(0, 600), ylim=(-0.7, 0.7))
    mpl_style.add_legend(plane, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    mpl_style.add_legend(time, handles=[average], loc="lower left", bbox_to_anchor=(0, 1.0))
    page.subplots_adjust(left=0.1, right=0.97, bottom=0.16, top=0.89, wspace=0.3)
    return mpl_style.render(page)


FIGURES: dict[str, Callable[[], Pixels]] = {
    "the-game": the_game,
    "losses": losses,
    "slopes": slopes,
    "saturation": saturation,
    "optimal": optimal,
    "moons": moons,
    "splits": splits,
    "digits": digits,
    "classes": classes,
    "walks": walks,
    "collapse": collapse,
    "circling": circling,
}


@cache
def _bell() -> Run:
    """The run of page 1, looked at often and closely."""
    return trained("gaussian_1d", "metric[0].every=100", "pictures.every=1_000", "pictures.samples=4_000")


@cache
def _digits(recipe: str) -> Run:
    """A run of digits, which two figures may share."""
    return trained(recipe, "metric=[]")


def _done(page: Any, axes: Any, *, ncols: int) -> Pixels:
    height = page.get_figheight()
    mpl_style.add_legend(axes, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=ncols)
    page.subplots_adjust(left=0.1, right=0.93, bottom=0.5 / height, top=1 - 0.3 / height)
    return mpl_style.render(page)


def _at(run: Run, iteration: int | None) -> SamplesDrawn:
    return run.pictures[-1] if iteration is None else next(one for one in run.pictures if one.iteration == iteration)


def _portrait(run: Run, title: str, iteration: int | None = None) -> Pixels:
    """A picture of the run as ``ganforge run`` draws it."""
    return make_sample_figure(run.started, title).draw(_at(run, iteration)).copy()


def _ring(run: Run, iteration: int) -> Pixels:
    """Real points in grey below the generated ones, at one iteration."""
    page, axes = mpl_style.figure(1.9, 2.1)
    real = flatten(run.started.real)
    axes.scatter(*real.T, s=5, color=mpl_style.REAL, linewidths=0)
    axes.scatter(*flatten(_at(run, iteration).fake).T, s=4, color=mpl_style.GENERATED, linewidths=0, alpha=0.6)
    low, high = axis_limits(real).T
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[])
    axes.set_xlabel(f"iteration {iteration:,}")
    page.subplots_adjust(left=0.04, right=0.96, bottom=0.1, top=0.98)
    return mpl_style.render(page).copy()


def _images(run: Run, which: slice, columns: int) -> Pixels:
    shown = to_pixels(run.pictures[-1].fake, value_range(run.started.data, run.started.real))
    return _sheet(shown[which], columns)


def _sheet(images: Pixels, columns: int) -> Pixels:
    """``(n, h, w, 3)`` images in rows of ``columns``."""
    return lay_out(images, arrange_in_order(len(images), columns).places)


def _columns(run: Run, kind: str, rows: int = 8) -> Pixels:
    """``rows`` images for each class or code, one column each."""
    fake = run.pictures[-1].fake
    assert fake.latent is not None  # noqa: S101 - generated
    groups = fake.labels if kind == "labels" else fake.latent.codes.categorical[:, 0]
    assert groups is not None  # noqa: S101 - as asked for
    shown = to_pixels(fake, value_range(run.started.data, run.started.real))
    count = int(groups.max()) + 1
    chosen = np.stack([shown[(groups == group).numpy()][:rows] for group in range(count)], axis=1)  # (rows, count, h, w, 3)
    return _sheet(chosen.reshape(-1, *chosen.shape[2:]), count)


def _row(pictures: list[Pixels]) -> Pixels:
    """Pictures beside each other, each half as large, on paper as high as the highest."""
    halves = [
        np.asarray(Image.fromarray(one).resize((one.shape[1] // 2, one.shape[0] // 2), Image.Resampling.LANCZOS))
        for one in pictures
    ]
    return _beside(halves, 0)


def _beside(pictures: list[Pixels], gap: int) -> Pixels:
    height = max(one.shape[0] for one in pictures)
    parts = []
    for one in pictures:
        room = np.full((height, one.shape[1] + gap, 3), 255, np.uint8)
        room[: one.shape[0], : one.shape[1]] = one
        parts.append(room)
    return np.concatenate(parts, axis=1)[:, : -gap or None]


def png(picture: Pixels) -> bytes:
    """``(H, W, 3)`` bytes as a small PNG file: 128 colours are plenty for a few lines and dots."""
    file = io.BytesIO()
    few = Image.fromarray(picture).quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Draw, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)}; all unless given")
    for name in parser.parse_args().names or FIGURES:
        (FOLDER / f"{name}.png").write_bytes(png(FIGURES[name]()))
        print(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
