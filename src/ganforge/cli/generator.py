"""``ganforge sample``, ``interpolate``, ``traverse`` and ``export``: samples, figures and exports of a finished run's generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ganforge.cli import console, options
from ganforge.core.errors import UsageError

if TYPE_CHECKING:
    from ganforge.runs.loaded_generator import LoadedGenerator

Format = Literal["onnx", "torch-export", "safetensors"]
"""Export formats, listed here so that --help does not import torch."""


def sample(
    run: options.GeneratorRun,
    *,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Number of samples.")] = 64,
    seed: options.Seed = 0,
    label: options.Label = None,
    code: Annotated[
        str | None,
        typer.Option(help="Codes, such as 1 or 1,0.5,-1, that 'ganforge runs RUN' lists; a dash means random: -,0.5."),
    ] = None,
    neighbours: Annotated[
        bool,
        typer.Option("--neighbours", help="End each row with the training image nearest to its last sample, in a yellow frame."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Output file: .png, .npz or .csv. Default: samples.png or neighbours.png in the run folder."),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Draw samples from a run's generator, in the data's units.

    Uses the EMA of the newest intact checkpoint. Only the run folder is needed; --neighbours also reads the whole data set.
    """
    from ganforge.runs.loaded_generator import load
    from ganforge.runs.nearest_images import beside_training_images
    from ganforge.runs.sample_files import FORMATS, check_paths, default_path, write_samples
    from ganforge.storage import atomic_files
    from ganforge.storage.run_folder import RunFolder

    if neighbours and out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--neighbours writes a PNG, not {out.name}", remedy="use a file name that ends in .png")
    codes = _codes(code)
    check_paths([out] if out else [], FORMATS)
    generator = load(run, device=device, runs_dir=runs_dir)
    samples = generator.draw_for_figures(count, seed=seed, label=label, code=codes)
    target = out or default_path(generator.path, "neighbours.png" if neighbours else "samples.png")
    changes: tuple[str, ...] = ()
    if neighbours:
        sheet, changes = beside_training_images(samples, generator.data, RunFolder(generator.path))
        atomic_files.write_bytes(target, sheet)
    else:
        write_samples(target, samples, generator.data)

    if changes:
        console.warning(f"the data set has changed since training: {'; '.join(changes)}")
    if as_json:
        arguments = {"count": count, "seed": seed, "label": label, "code": codes, "neighbours": neighbours}
        console.print_json({**_source(generator), "file": target, **arguments, "data_changes": changes})
    else:
        console.success(f"wrote {count} samples of iteration {generator.iteration:,} to {target}")
        real = RunFolder(generator.path).pictures / "real.png"
        if target.suffix.lower() == ".png" and real.is_file():
            console.note(f"real images to compare with: {real}")


def interpolate(
    run: options.GeneratorRun,
    *,
    steps: options.Steps = None,
    rows: options.Rows = 8,
    seed: options.Seed = 0,
    how: Annotated[
        Literal["linear", "spherical"] | None,
        typer.Option(help="Default: linear for bounded noise such as uniform noise, else spherical."),
    ] = None,
    label: options.Label = None,
    out: options.Figures = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Interpolate between random latents, one row per pair.

    Labels and categorical codes keep their first value; continuous codes are interpolated linearly.
    """
    from ganforge.runs.latent_figures import interpolation
    from ganforge.runs.latent_grids import default_method

    generator = _load_for_figures(run, out, device, runs_dir)
    latent = generator.draw_latents(2 * rows, seed=seed, label=label)
    method = how or default_method(generator.sampler)

    arguments = {"seed": seed, "steps": steps, "rows": rows, "how": method, "label": label}
    draw = partial(interpolation, generator, latent, steps=steps, method=method)
    _write_figures(generator, draw, "interpolation", out, arguments if as_json else None)


def traverse(
    run: options.GeneratorRun,
    *,
    code: Annotated[int | None, typer.Option(help="Index of the code to vary, from 0, categorical codes first.")] = None,
    noise: Annotated[int | None, typer.Option(help="Index of the noise dimension to vary, from 0.")] = None,
    steps: options.Steps = None,
    rows: options.Rows = 8,
    seed: options.Seed = 0,
    label: Annotated[str | None, typer.Option(help="Fix this class instead of one row per class.")] = None,
    out: options.Figures = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Vary one input and fix all others.

    Draws one row per label, code value, code or noise dimension.

    Continuous codes range from -1 to 1, noise over two standard deviations to either side, within its bounds.
    """
    from ganforge.runs.latent_figures import traversal

    if code is not None and noise is not None:
        raise UsageError("--code and --noise cannot be combined", remedy="vary one at a time")
    generator = _load_for_figures(run, out, device, runs_dir)
    latent = generator.draw_latents(max(2, rows, steps or 10), seed=seed, label=label)

    arguments = {"seed": seed, "code": code, "noise": noise, "steps": steps, "rows": rows, "label": label}
    held = label is not None
    draw = partial(traversal, generator, latent, steps=steps, rows=rows, code=code, noise=noise, hold_label=held)
    _write_figures(generator, draw, "traversal", out, arguments if as_json else None)


def export(
    run: options.GeneratorRun,
    *,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="onnx for any runtime, torch-export for torch (torch.export, .pt2), safetensors for ganforge.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Output path. Default: generator.onnx, .pt2 or generator in the run folder."),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Number of samples to compare.")] = 64,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Export the generator of a run.

    It takes named tensors of any batch size and gives values in the data's units.

    Exports the EMA of the newest intact checkpoint. The file is read back and compared with the generator, and kept only if both
    give the same samples.
    """
    from ganforge.runs import generator_export
    from ganforge.runs.loaded_generator import load

    generator = load(run, runs_dir=runs_dir)
    done = generator_export.export(generator, form, out, count=count)
    metadata = done.metadata
    if as_json:
        checked = {"samples": done.counts, "difference": done.difference, "tolerance": generator_export.TOLERANCE}
        facts = {key: metadata[key] for key in ("run", "iteration", "inputs", "output")}
        console.print_json({**facts, "format": form, "path": done.path, "checked": checked})
        return
    inputs = ", ".join(f"{name} {_shape(spec)}" for name, spec in metadata["inputs"].items())
    console.success(f"wrote the generator of iteration {metadata['iteration']:,} to {done.path}")
    console.print_line(f"  {inputs} → values {_shape(metadata['output'])} in the data's units")
    if generator.data.class_names:
        names = [f"{number} for {name}" for number, name in enumerate(generator.labels[:20])]
        console.print_line(f"  labels: {', '.join(names)}{', …' if len(generator.labels) > 20 else ''}")
    console.print_line(
        f"  verified in batches of {done.counts[0]} and {done.counts[1]}: largest difference {done.difference:.1g} of the range"
    )


def _codes(text: str | None) -> list[float | None] | None:
    if text is None:
        return None
    try:
        return [None if part.strip() in ("", "-") else float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"cannot read the codes '{text}'", remedy="separate numbers by commas, such as 1,0.5,-") from error


def _load_for_figures(run: str, out: Sequence[Path] | None, device: str, runs_dir: Path) -> LoadedGenerator:
    from ganforge.runs.latent_figures import FORMATS
    from ganforge.runs.loaded_generator import load
    from ganforge.runs.sample_files import check_paths

    check_paths(out or [], FORMATS)
    return load(run, device=device, runs_dir=runs_dir)


def _write_figures(
    generator: LoadedGenerator,
    draw: Callable[[str], bytes],
    name: str,
    out: Sequence[Path] | None,
    arguments: Mapping[str, object] | None,
) -> None:
    """Write figures; print their paths, or JSON with the arguments if given."""
    from ganforge.runs.latent_figures import FORMATS, write_figures
    from ganforge.runs.sample_files import default_path

    targets = out or [default_path(generator.path, f"{name}{ending}") for ending in FORMATS]
    write_figures(targets, draw)
    if arguments is not None:
        console.print_json({**_source(generator), "files": targets, **arguments})
        return
    for target in targets:
        console.success(f"{name} of iteration {generator.iteration:,} written to {target}")


def _source(generator: LoadedGenerator) -> dict[str, object]:
    return {"run": generator.path.resolve().name, "iteration": generator.iteration, "device": str(generator.device)}


def _shape(spec: Mapping[str, Any]) -> str:
    shape = spec["shape"]
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''}) {spec['dtype']}"
