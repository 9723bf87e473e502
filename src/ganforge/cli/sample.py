"""``ganforge sample``: draw from a finished run."""

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
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many samples.")] = 64,
    seed: options.Seed = 0,
    label: options.Label = None,
    code: Annotated[
        str | None,
        typer.Option(
            help="Values of the codes, such as 1 or 1,0.5,-1: categorical ones first; a dash leaves one to be drawn: -,0.5."
        ),
    ] = None,
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="Draw, in a yellow frame, the training image nearest to the last of each row.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write: .png, .npz or .csv; samples.png, or neighbours.png, in the run folder unless given.",
        ),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    json: options.Json = False,
) -> None:
    """Draw samples from a run's generator, in the data's own units.

    The generator is the moving average (EMA) of the newest intact checkpoint; the run folder is all that is needed, except that
    --neighbours reads the data set again, all of it.
    """
    from ganforge.core.errors import UsageError
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.sample_files import FORMATS, check_paths, default_path, out_option_hint, write_samples

    if neighbours and out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"neighbours are drawn, and {out.name} is no picture", remedy="let the name end in .png")
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
        console.warning(f"the data are not what the run was trained on: {'; '.join(changes)}")
    if json:
        told = {
            "run": generator.path.resolve().name,
            "iteration": generator.iteration,
            "file": target,
            "count": count,
            "seed": seed,
        }
        asked = {"label": label, "code": codes, "neighbours": neighbours, "device": str(generator.device)}
        console.json_out({"schema": 1, **told, **asked, "data_changes": changes})
        return
    console.success(f"{count} samples of iteration {generator.iteration} written to {target}")


def _beside_nearest(folder: Path, samples: Samples, data: DataSpec, target: Path) -> tuple[str, ...]:
    """Draw the sheet; gives in which respects the data are not what the run was trained on."""
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
        raise UsageError(f"cannot read the codes '{text}'", remedy="give numbers with commas between, such as 1,0.5,-") from error
