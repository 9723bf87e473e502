"""``ganforge export``: export a generator for other programs."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ganforge.cli import console, options


class Form(enum.StrEnum):
    """Export formats, listed here so that --help does not import torch."""

    ONNX = "onnx"
    PROGRAM = "torch-export"
    WEIGHTS = "safetensors"


def export(
    run: options.GeneratorArgument,
    *,
    form: Annotated[
        Form,
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
    json: options.Json = False,
) -> None:
    """Export the generator of a run: named tensors in, values in the data's units out, for any batch size.

    Exports the EMA of the newest intact checkpoint. The file is read back and compared with the generator, and kept only if both
    give the same samples.
    """
    from ganforge.runs.generator_export import TOLERANCE
    from ganforge.runs.generator_export import export as write
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.sample_files import out_option_hint

    generator = load_named(run, runs_dir=runs_dir)
    with out_option_hint():
        done = write(generator, form.value, out, count=count)
    metadata = done.metadata
    if json:
        checked = {"samples": done.counts, "difference": done.difference, "tolerance": TOLERANCE}
        facts = {key: metadata[key] for key in ("run", "iteration", "inputs", "output")}
        console.json_out({"schema": 1, **facts, "format": form.value, "path": done.path, "checked": checked})
        return
    inputs = ", ".join(f"{name} {_shape(spec)}" for name, spec in metadata["inputs"].items())
    console.success(f"wrote the generator of iteration {metadata['iteration']} to {done.path}")
    console.say(f"  {inputs} → values {_shape(metadata['output'])} in the data's units")
    console.say(
        f"  verified in batches of {done.counts[0]} and {done.counts[1]}: largest difference {done.difference:.1g} of the range"
    )


def _shape(spec: Mapping[str, Any]) -> str:
    shape = spec["shape"]
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''}) {spec['dtype']}"
