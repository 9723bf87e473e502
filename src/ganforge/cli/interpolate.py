"""``ganforge interpolate``: interpolate between latents of a finished run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console, options


class Method(StrEnum):
    """How to interpolate the noise."""

    LINEAR = "linear"
    SPHERICAL = "spherical"


def interpolate(
    run: options.GeneratorArgument,
    *,
    steps: options.Steps = None,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows.")] = 8,
    seed: options.Seed = 0,
    how: Annotated[
        Method | None, typer.Option(help="Default: linear for bounded noise such as uniform noise, else spherical.")
    ] = None,
    label: options.Label = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Output file, .png or .gif. Repeatable. Default: interpolation.png and .gif in the run folder."),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    json: options.Json = False,
) -> None:
    """Interpolate from one random latent to another, one row per pair.

    Labels and categorical codes keep their first value; continuous codes are interpolated linearly.
    """
    from ganforge.runs.interpolation import default_method
    from ganforge.runs.latent_explorer import FORMATS, LatentExplorer, write_figures
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.sample_files import check_paths, default_path, out_option_hint

    check_paths(out or [], FORMATS)
    generator = load_named(run, device=device, runs_dir=runs_dir)
    explorer = LatentExplorer(generator.network, generator.sampler, generator.data)
    ends = generator.draw(2 * rows, seed=seed, label=label).latent
    assert ends is not None  # noqa: S101 - drawn samples carry their latents

    targets = out or [default_path(generator.path, f"interpolation{ending}") for ending in FORMATS]
    way = how.value if how else default_method(generator.sampler)
    with out_option_hint():
        write_figures(targets, lambda ending: explorer.interpolation(ends, ending, steps=steps, method=way))
    if json:
        result = {"run": generator.path.resolve().name, "iteration": generator.iteration, "files": targets, "seed": seed}
        arguments = {"steps": steps, "rows": rows, "how": way, "label": label, "device": str(generator.device)}
        console.json_out({"schema": 1, **result, **arguments})
        return
    for target in targets:
        console.success(f"interpolation of iteration {generator.iteration} written to {target}")
