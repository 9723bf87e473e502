"""``ganforge traverse``: vary one label, code or noise dimension of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console, options


def traverse(
    run: options.GeneratorArgument,
    *,
    code: Annotated[int | None, typer.Option(help="Index of the code to vary, from 0, categorical codes first.")] = None,
    noise: Annotated[int | None, typer.Option(help="Index of the noise dimension to vary, from 0.")] = None,
    steps: options.Steps = None,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows if neither labels nor codes determine it.")] = 8,
    seed: options.Seed = 0,
    label: Annotated[int | None, typer.Option(help="Fix this class instead of one row per class.")] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Output file, .png or .gif. Repeatable. Default: traversal.png and .gif in the run folder."),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    json: options.Json = False,
) -> None:
    """Vary one input and fix all others: one row per label, code value, code or noise dimension.

    Continuous codes range from -1 to 1, noise over two standard deviations to either side, within its bounds.
    """
    from ganforge.core.errors import UsageError
    from ganforge.runs.latent_explorer import FORMATS, LatentExplorer, write_figures
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.sample_files import check_paths, default_path, out_option_hint

    if code is not None and noise is not None:
        raise UsageError("--code and --noise cannot be combined", remedy="vary one at a time")
    check_paths(out or [], FORMATS)
    generator = load_named(run, device=device, runs_dir=runs_dir)
    explorer = LatentExplorer(generator.network, generator.sampler, generator.data)
    held = generator.draw(max(2, rows, steps or 10), seed=seed, label=label).latent
    assert held is not None  # noqa: S101 - drawn samples carry their latents

    def drawn(ending: str) -> bytes:
        return explorer.traversal(held, ending, steps=steps, rows=rows, code=code, noise=noise, hold_label=label is not None)

    targets = out or [default_path(generator.path, f"traversal{ending}") for ending in FORMATS]
    with out_option_hint():
        write_figures(targets, drawn)
    if json:
        result = {"run": generator.path.resolve().name, "iteration": generator.iteration, "files": targets, "seed": seed}
        arguments = {"code": code, "noise": noise, "steps": steps, "rows": rows, "label": label, "device": str(generator.device)}
        console.json_out({"schema": 1, **result, **arguments})
        return
    for target in targets:
        console.success(f"traversal of iteration {generator.iteration} written to {target}")
