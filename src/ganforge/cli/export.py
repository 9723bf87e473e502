"""``ganforge export``: a run's generator for other programs."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ganforge.cli import console, options


class Form(enum.StrEnum):
    """The formats, said here so that help needs no torch."""

    ONNX = "onnx"
    PROGRAM = "torchscript-export"
    WEIGHTS = "safetensors"


def export(
    run: options.GeneratorArgument,
    *,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="onnx for any runtime, torchscript-export for torch (torch.export, .pt2), safetensors for ganforge.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write; generator.onnx, .pt2 or generator in the run folder unless given."),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many samples are compared.")] = 64,
    runs_dir: options.RunsDir = Path("runs"),
    json: options.Json = False,
) -> None:
    """Write a run's generator for other programs: tensors by name in, values in the data's own units out.

    It is the moving average (EMA) of the newest intact checkpoint, for any number of samples. What was written is read back and
    compared with the generator; nothing is kept unless both give the same samples.
    """
    from ganforge.runs.generator_export import TOLERANCE
    from ganforge.runs.generator_export import export as write
    from ganforge.runs.loaded_generator import load_named
    from ganforge.runs.sample_files import out_option_hint

    generator = load_named(run, runs_dir=runs_dir)
    with out_option_hint():
        done = write(generator, form.value, out, count=count)
    card = done.card
    if json:
        checked = {"samples": done.counts, "difference": done.difference, "tolerance": TOLERANCE}
        told = {key: card[key] for key in ("run", "iteration", "inputs", "output")}
        console.json_out({"schema": 1, **told, "format": form.value, "path": done.path, "checked": checked})
        return
    inputs = ", ".join(f"{name} {_shape(told)}" for name, told in card["inputs"].items())
    console.success(f"generator of iteration {card['iteration']} written to {done.path}")
    console.say(f"  {inputs} → values {_shape(card['output'])} in the data's own units")
    console.say(
        f"  read back and compared in batches of {done.counts[0]} and {done.counts[1]}: "
        f"largest difference {done.difference:.1g} of the range"
    )


def _shape(told: Mapping[str, Any]) -> str:
    shape = told["shape"]
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''}) {told['dtype']}"
