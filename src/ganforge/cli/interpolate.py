"""``ganforge interpolate``: walks between latents of a finished run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Way(StrEnum):
    """How the noise gets from one latent to another."""

    LINEAR = "linear"
    SPHERICAL = "spherical"


def interpolate(
    run: Annotated[str, typer.Argument(help="Folder, name or beginning of the id of a run, or an exported folder.")],
    *,
    steps: Annotated[
        int | None, typer.Option(min=2, help="Steps of each walk, both ends included: 10 on a sheet and 24 in a GIF unless given.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many walks.")] = 8,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the latents; one seed gives one picture.")] = 0,
    how: Annotated[
        Way | None, typer.Option(help="Straight, or on an arc; straight for noise with bounds, such as uniform noise, else an arc.")
    ] = None,
    label: Annotated[
        int | None, typer.Option(help="Class to ask a conditional generator for; drawn for each walk unless given.")
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Where to write: .png or .gif. Repeatable; interpolation.png and .gif in the run folder unless given."),
    ] = None,
    runs_dir: Annotated[Path, typer.Option(help="Where to look for the run.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Say what was written as one JSON object on stdout.")] = False,
) -> None:
    """Walk from one random latent to another, a row for each walk.

    Labels and categorical codes stay as they are at the start of a walk; continuous codes go straight.
    """
    from ganforge.cli import console
    from ganforge.runs.interpolation import natural
    from ganforge.runs.latent_explorer import FORMATS, Guide, write
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.output_paths import check_targets, chosen_by_out, default_target

    check_targets(out or [], FORMATS)
    generator = load_named(run, device=device, runs_dir=runs_dir)
    guide = Guide(generator.network, generator.sampler, generator.data)
    ends = generator.draw(2 * rows, seed=seed, label=label).latent
    assert ends is not None  # noqa: S101 - what a generator draws has its latents

    targets = out or [default_target(generator.path, f"interpolation{ending}") for ending in FORMATS]
    way = how.value if how else natural(generator.sampler)
    with chosen_by_out():
        write(targets, lambda ending: guide.interpolation(ends, ending, steps=steps, how=way))
    if json:
        told = {"run": generator.path.resolve().name, "iteration": generator.iteration, "files": targets, "seed": seed}
        asked = {"steps": steps, "rows": rows, "how": way, "label": label, "device": str(generator.device)}
        console.json_out({"schema": 1, **told, **asked})
        return
    for target in targets:
        console.success(f"walks of iteration {generator.iteration} written to {target}")
