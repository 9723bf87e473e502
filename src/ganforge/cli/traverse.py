"""``ganforge traverse``: what labels, codes and noise of a finished run do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console, options


def traverse(
    run: options.GeneratorArgument,
    *,
    code: Annotated[int | None, typer.Option(help="The code to vary, categorical ones first, from 0.")] = None,
    noise: Annotated[int | None, typer.Option(help="The dimension of the noise to vary, from 0.")] = None,
    steps: options.Steps = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows where neither labels nor codes make them.")] = 8,
    seed: options.Seed = 0,
    label: Annotated[int | None, typer.Option(help="The class to hold, rather than a row for each.")] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Where to write: .png or .gif. Repeatable; traversal.png and .gif in the run folder unless given."),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    json: options.Json = False,
) -> None:
    """Vary one thing and hold all else: a row for each label, each value of a code, each code or dimension of the noise.

    Continuous codes go from -1 to 1, a dimension of the noise two standard deviations to either side, within its bounds.
    """
    from ganforge.core.errors import UsageError
    from ganforge.runs.latent_explorer import FORMATS, LatentExplorer, write_figures
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.sample_files import check_paths, default_path, out_option_hint

    if code is not None and noise is not None:
        raise UsageError("--code and --noise were both given", remedy="vary one thing at a time")
    check_paths(out or [], FORMATS)
    generator = load_named(run, device=device, runs_dir=runs_dir)
    explorer = LatentExplorer(generator.network, generator.sampler, generator.data)
    held = generator.draw(max(2, rows, steps or 10), seed=seed, label=label).latent
    assert held is not None  # noqa: S101 - what a generator draws has its latents

    def drawn(ending: str) -> bytes:
        return explorer.traversal(held, ending, steps=steps, rows=rows, code=code, noise=noise, hold_label=label is not None)

    targets = out or [default_path(generator.path, f"traversal{ending}") for ending in FORMATS]
    with out_option_hint():
        write_figures(targets, drawn)
    if json:
        told = {"run": generator.path.resolve().name, "iteration": generator.iteration, "files": targets, "seed": seed}
        asked = {"code": code, "noise": noise, "steps": steps, "rows": rows, "label": label, "device": str(generator.device)}
        console.json_out({"schema": 1, **told, **asked})
        return
    for target in targets:
        console.success(f"traversal of iteration {generator.iteration} written to {target}")
