"""``ganforge sample``: draw samples from a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options

if TYPE_CHECKING:
    from ganforge.core.records import Samples
    from ganforge.core.specs import DataSpec


def sample(
    run: options.GeneratorArgument,
    *,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Number of samples.")] = 64,
    seed: options.Seed = 0,
    label: options.Label = None,
    code: Annotated[
        str | None,
        typer.Option(help="Codes, such as 1 or 1,0.5,-1: categorical first; a dash means random: -,0.5."),
    ] = None,
    neighbours: Annotated[
        bool,
        typer.Option("--neighbours", help="End each row with the training image nearest to its last sample, in a yellow frame."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Output file: .png, .npz or .csv. Default: samples.png or neighbours.png in the run folder.",
        ),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    json: options.Json = False,
) -> None:
    """Draw samples from a run's generator, in the data's units.

    Uses the EMA of the newest intact checkpoint. Only the run folder is needed; --neighbours also reads the whole data set.
    """
    from ganforge.core.errors import UsageError
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.sample_files import FORMATS, check_paths, default_path, out_option_hint, write_samples

    if neighbours and out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--neighbours writes a PNG, not {out.name}", remedy="use a file name that ends in .png")
    codes = _codes(code)
    check_paths([out] if out else [], FORMATS)
    generator = load_named(run, device=device, runs_dir=runs_dir)
    samples = generator.draw(count, seed=seed, label=label, code=codes)
    target = out or default_path(generator.path, "neighbours.png" if neighbours else "samples.png")
    changes: tuple[str, ...] = ()
    with out_option_hint():
        if neighbours:
            changes = _beside_nearest(generator.path, samples, generator.data, target)
        else:
            write_samples(target, samples, generator.data)

    if changes:
        console.warning(f"the data set has changed since training: {'; '.join(changes)}")
    if json:
        result = {
            "run": generator.path.resolve().name,
            "iteration": generator.iteration,
            "file": target,
            "count": count,
            "seed": seed,
        }
        arguments = {"label": label, "code": codes, "neighbours": neighbours, "device": str(generator.device)}
        console.json_out({"schema": 1, **result, **arguments, "data_changes": changes})
        return
    console.success(f"wrote {count} samples of iteration {generator.iteration} to {target}")


def _beside_nearest(folder: Path, samples: Samples, data: DataSpec, target: Path) -> tuple[str, ...]:
    """Write the image grid; return how the data set has changed since training."""
    from ganforge.runs.nearest_training import beside_nearest, require_images, training_images
    from ganforge.runs.sample_files import groups
    from ganforge.storage import atomic_files
    from ganforge.storage.run_folder import RunFolder

    require_images(data)
    training = training_images(RunFolder(folder))
    sheet = beside_nearest(samples, groups(samples, data), training.images, data, name=training.name)
    atomic_files.write_bytes(target, sheet)
    return training.changes


def _codes(text: str | None) -> list[float | None] | None:
    from ganforge.core.errors import UsageError

    if text is None:
        return None
    try:
        return [None if part.strip() in ("", "-") else float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"cannot read the codes '{text}'", remedy="separate numbers by commas, such as 1,0.5,-") from error
