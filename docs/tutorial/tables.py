"""Write the tables of the tutorial's pages: ``python docs/tutorial/tables.py [NAME …]``, all of them unless named.

Each stands between two markers in its page. They are trained one after the other on one core; all together take about half an hour.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import experiments
import torch
from experiments import LOG4, SEEDS, Run, trained

from ganforge.runs.latent_grids import lerp, slerp

FOLDER = Path(__file__).resolve().parent
COMMAND = "python docs/tutorial/tables.py"

Cells = Iterable[Sequence[str]]

QUIET = "pictures.every=1_000_000"
"""Draws no pictures in these runs."""


def equilibrium() -> str:
    """Page 1: what the losses end at."""
    rows = [[f"seed {seed}", *_settled(trained("gaussian_1d", f"train.seed={seed}", QUIET, "metric=[]"))] for seed in SEEDS]
    heads = ("run", "D's loss", "G's loss", "largest gap between D and ½, for x from −2 to 2")
    return _table(heads, [*rows, ["at equilibrium", f"log 4 = {LOG4:.3f}", f"log 2 = {LOG4 / 2:.3f}", "0"]])


def _settled(run: Run) -> list[str]:
    field = run.pictures[-1].logit_grid
    assert field is not None  # noqa: S101 - data on a line has one
    middle = field.points[:, 0].abs() <= 2
    gap = (field.logits[middle].sigmoid() - 0.5).abs().max().item()
    return [f"{run.late('discriminator/total'):.3f}", f"{run.late('generator/total'):.3f}", f"{gap:.3f}"]


def saturation() -> str:
    """Page 2: when the bell is found, by the distance, under both losses."""
    rows = [
        [f"{distance:g}", *(_found(f"tutorial/{loss}", distance) for loss in ("non_saturating", "saturating"))]
        for distance in (2.0, 4.0, 6.0, 8.0)
    ]
    return _table(("the data lie at", "−log D(G(z)): found at iteration", "log(1 − D(G(z))): found at iteration"), rows)


def _found(recipe: str, distance: float) -> str:
    return ", ".join(str(experiments.found_at(recipe, distance, seed) or "–") for seed in SEEDS)


def optimal() -> str:
    """Page 3: a trained discriminator beside the best one."""
    rows = []
    for seed in SEEDS:
        curve = experiments.discriminator_curve(
            trained("tutorial/optimal_discriminator", f"train.seed={seed}", QUIET, "metric=[]").trainer
        )
        mean, std = curve.bell
        values = (curve.gap, curve.value(curve.logits), curve.best_value, 2 * curve.divergence - LOG4)
        rows.append([str(seed), f"{mean:.2f}, {std:.2f}", *(f"{value:.4f}" for value in values)])
    heads = ("seed", "the generator's mean, spread", "largest gap between D and D*", "V(D)", "V(D*)", "2·JSD − log 4")
    return _table(heads, rows)


def lengths() -> str:
    """Page 6: how long the noise is along both ways, in the middle and at the ends."""
    noise = experiments.built("cgan_digits").sampler.draw(2_000, torch.Generator().manual_seed(0)).noise
    rows = []
    for name, way in (("straight", lerp), ("on an arc", slerp)):
        walked = way(noise[:1_000], noise[1_000:], torch.tensor([0.0, 0.25, 0.5])).norm(dim=2)  # (walks, steps)
        shorter = (noise.norm(dim=1) <= walked[:, -1].mean()).double().mean()
        rows.append([name, *(f"{step.mean():.2f} ± {step.std():.2f}" for step in walked.T), f"{100 * shorter:.1f} %"])
    return _table(("way", "at its start", "after a quarter", "half-way", "draws that are no longer than half-way"), rows)


RINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "`ring_collapse`": ("ring_collapse", ()),
    "… `train.ema_decay=0.999`": ("ring_collapse", ("train.ema_decay=0.999",)),
    "… with `r1`": ("ring_collapse", ('loss=[{use="non-saturating"},{use="r1",weight=0.1}]',)),
    "… with `relativistic`, `r1`, `r2`": (
        "ring_collapse",
        ('loss=[{use="relativistic"},{use="r1",weight=0.1},{use="r2",weight=0.1}]',),
    ),
    "… `discriminator.params.hidden=[256,256]`": ("ring_collapse", ("discriminator.params.hidden=[256,256]",)),
    "… `train.discriminator_steps=5`": ("ring_collapse", ("train.discriminator_steps=5",)),
    "`ring_cured`": ("ring_cured", ()),
    "`ring_even`": ("ring_even", ()),
}
"""What is tried against collapse: how the page calls it, the recipe, and what is set."""


def collapse() -> str:
    """Page 7: what collapses, and what helps."""
    rows = []
    for name, (recipe, settings) in RINGS.items():
        runs = [trained(f"tutorial/{recipe}", *settings, f"train.seed={seed}", QUIET) for seed in SEEDS]
        last = [run.metrics[-1][1] for run in runs]
        modes = ", ".join(f"{values['modes/captured']:.0f}" for values in last)
        shares = [statistics.median(values[f"modes/{key}"] for values in last) for key in ("high-quality", "reverse-kl")]
        rows.append([name, modes, f"{100 * shares[0]:.0f} %", f"{shares[1]:.2f}", _losses(runs)])
        print("|", " | ".join(rows[-1]), "|", file=sys.stderr, flush=True)
    return _table(("recipe", "modes found of 8, by seed", "samples on a mode", "reverse KL", "D's loss"), rows)


def _losses(runs: Sequence[Run]) -> str:
    return ", ".join(f"{run.late('discriminator/total'):.2f}" for run in runs)


def circling() -> str:
    """Page 7: who arrives."""
    rows = []
    for name in ("circling", "circling_stopped"):
        runs = [trained(f"tutorial/{name}", f"train.seed={seed}", QUIET, watch=experiments.whereabouts) for seed in SEEDS]
        strays = [", ".join(f"{experiments.distance_left(run, column):.3f}" for run in runs) for column in (0, 2)]
        rows.append([f"`{name}`", ", ".join(f"{abs(run.traces[0][0]):.2f}" for run in runs), *strays, _losses(runs)])
    return _table(("recipe", "distance at first, by seed", "the generator at the end", "its average at the end", "D's loss"), rows)


def moons() -> str:
    """Page 4: the medians of ten seeds, as docs/results.md has them; nothing is trained."""
    results = (FOLDER.parent / "results.md").read_text(encoding="utf-8")
    rows = []
    for recipe in ("vanilla_moons", "cgan_moons", "infogan_moons"):
        (section,) = re.findall(rf"^## {recipe}\n(.+?)(?=^## |\Z)", results, flags=re.DOTALL | re.MULTILINE)
        names, medians = (_cells(section, start) for start in ("| seed", "| **median"))
        found = dict(zip(names, medians, strict=True))
        right = found.get("label-match") or found.get("code-recovery") or "–"
        rows.append([f"`{recipe}`", right, found["wasserstein"], f"`python benchmarks/seeds.py {recipe} --seeds 10`"])
    return _table(("recipe", "points on the right moon", "W₂", "command"), rows)


def _cells(section: str, start: str) -> list[str]:
    """The cells of the line of a table that begins so."""
    return next(line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith(start))


def splits() -> str:
    """Page 4: how often plain settings find the moons without labels."""
    rows = []
    for seed in range(4):
        run = trained("tutorial/infogan_plain", f"train.seed={seed}", QUIET)
        values = run.metrics[-1][1]
        read = run.late("generator/categorical")
        rows.append([str(seed), f"{100 * values['code-recovery']:.0f} %", f"{values['wasserstein']:.3f}", f"{read:.3f}"])
    return _table(("seed", "points whose code names their moon", "W₂", "what the reader does not know, in nats"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "equilibrium": equilibrium,
    "saturation": saturation,
    "optimal": optimal,
    "moons": moons,
    "splits": splits,
    "lengths": lengths,
    "collapse": collapse,
    "circling": circling,
}

QUOTED = {"moons"}
"""Tables that quote another page, which says where it was measured."""


def written(page: str, name: str, text: str) -> str:
    """The page with a table put between its markers."""
    begin, end = f"<!-- table {name} -->\n", "<!-- end of table -->\n"
    held = re.compile(rf"{begin}.*?{end}", re.DOTALL)
    if not held.search(page):
        raise SystemExit(f"no page has the markers of the table '{name}'")
    return held.sub(lambda _: begin + text + end, page)


def page_of(name: str) -> Path:
    """The page that holds a table's markers."""
    return next(path for path in sorted(FOLDER.glob("*.md")) if f"<!-- table {name} -->\n" in path.read_text(encoding="utf-8"))


def _table(heads: Sequence[str], rows: Cells) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines) + "\n"


def circumstances(name: str) -> str:
    """Under each table: the command that wrote it, and where it ran."""
    return f"\n`{COMMAND} {name}` · {platform.machine()}, CPU, one thread · torch {torch.__version__}\n"


def main() -> None:
    """Train, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES)}; all unless given")
    for name in parser.parse_args().names or TABLES:
        path = page_of(name)
        text = TABLES[name]() + ("" if name in QUOTED else circumstances(name))
        path.write_text(written(path.read_text(encoding="utf-8"), name, text), encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
