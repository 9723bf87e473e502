"""A generator written for other programs, and compared with what it was made from before it counts as written."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge import __version__
from ganforge.core.errors import PluginError, UsageError
from ganforge.core.isolation import describe_error, isolated
from ganforge.core.specs import DataSpec
from ganforge.runs.export_formats import FOLDER_HOLDS, FORMATS, Card, Format, Program
from ganforge.runs.loaded_generator import LoadedGenerator, locked_components, plain_specs
from ganforge.runs.sample_files import default_path
from ganforge.runs.tensor_generator import named_tensors
from ganforge.storage import atomic_files
from ganforge.train.random_streams import stream

TOLERANCE = 1e-4
"""The greatest difference that an export may have, as a share of the values' range."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written.

    Attributes:
        path: the file, or the folder of safetensors.
        card: what it says of itself.
        difference: the largest difference from the generator that was seen, as a share of the values' range.
        counts: samples in each batch that was compared.
    """

    path: Path
    card: Card
    difference: float
    counts: tuple[int, ...]


def export(generator: LoadedGenerator, format_name: str, path: Path | None = None, *, count: int = 64) -> Export:
    """Write ``generator``, read it back, and keep it only if it gives the same samples.

    Args:
        generator: on the CPU.
        format_name: one of :data:`~ganforge.runs.export_formats.FORMATS`.
        path: where to; a file there is replaced, and so is an exported folder. Unless given, ``generator`` with the format's ending
            in the run's folder, or beside an exported folder that the generator came from.
        count: samples that are compared at once; the same is done with a batch of another size.

    Raises:
        UsageError: no such format, a package that it needs is missing, or ``path`` is not for it.
        PluginError: torch cannot follow the generator's forward, or what was written gives other samples.
        StorageError: the disk or folder refused.
    """
    if format_name not in FORMATS:
        raise UsageError(f"there is no format '{format_name}'", remedy=f"formats are {', '.join(FORMATS)}")
    chosen = FORMATS[format_name]
    chosen.check_installed()
    path = path or default_path(generator.path, f"generator{chosen.ending}")
    _check_path(path, chosen, format_name)

    card, counts = describe(generator), (count, 1 if count > 1 else 2)
    with atomic_files.staged(path) as draft:
        chosen.write(generator, card, draft)
        difference = _difference(generator, chosen.read(draft), counts)
        if not difference <= TOLERANCE:
            raise PluginError(
                f"the exported generator gives other samples: they differ by {difference:.2g} of the values' range, and "
                f"{TOLERANCE:.0e} is allowed; nothing was written",
                remedy="a generator that draws random numbers of its own in eval mode cannot be exported",
            )
    return Export(path, card, difference, counts)


def describe(generator: LoadedGenerator) -> dict[str, Any]:
    """What an export says of itself, as plain data: what goes in, what comes out, and where it comes from."""
    latent = generator.sampler.draw(1, stream(0, "export"))
    folder = generator.path
    components = locked_components(folder)
    return {
        "run": folder.resolve().name,
        "iteration": generator.iteration,
        "inputs": {name: _told(tensor) for name, tensor in named_tensors(latent, generator.latent).items()},
        "output": {"name": "values", **_told(generator(latent).values), "units": "the data's own"},
        **plain_specs(generator.data, generator.latent),
        "components": [one for one in components if one["key"] in ("generator", "sampler")],
        "recipe": tomllib.loads((folder / "resolved.toml").read_text(encoding="utf-8")),
        "ganforge": __version__,
        "torch": torch.__version__,
    }


def _told(tensor: Tensor) -> dict[str, Any]:
    return {"shape": ["n", *tensor.shape[1:]], "dtype": str(tensor.dtype).removeprefix("torch.")}


def _difference(generator: LoadedGenerator, program: Program, counts: tuple[int, ...]) -> float:
    """The largest one over batches of these sizes; NaN where the values of either are no numbers, infinite for other shapes."""
    expected: list[Tensor] = []
    differences: list[Tensor] = []
    for count in counts:
        latent = generator.sampler.draw(count, stream(0, "export", "check"))
        values = generator(latent).values
        given = _run(generator, program, named_tensors(latent, generator.latent))
        if given.shape != values.shape:
            return float("inf")
        differences.append((given.double() - values.double()).abs().flatten())
        expected.append(values.flatten())
    return float(torch.cat(differences).max()) / _width(generator.data, torch.cat(expected))


def _run(generator: LoadedGenerator, program: Program, tensors: Mapping[str, Tensor]) -> Tensor:
    try:
        with isolated(), torch.no_grad():
            return program(tensors)
    except Exception as error:
        raise PluginError(
            f"the exported {type(generator.network).__name__} cannot be run: {describe_error(error)}",
            remedy="--format safetensors takes any generator",
        ) from error


def _width(data: DataSpec, values: Tensor) -> float:
    """How wide the values' range is: as declared, or as wide as these values and zero lie apart."""
    if data.value_range is not None and data.scaling is None:
        low, high = data.value_range
        return high - low
    return max(float(values.clamp_min(0).max() - values.clamp_max(0).min()), torch.finfo(torch.float32).tiny)


def _check_path(path: Path, chosen: Format, format_name: str) -> None:
    """Refuse a name that would mislead, and a folder that holds anything else.

    Raises:
        UsageError: naming the path.
    """
    if chosen.ending:
        if path.suffix.lower() != chosen.ending:
            raise UsageError(f"{path.name} is no name for {format_name}", remedy=f"let it end in {chosen.ending}")
        if path.is_dir():
            raise UsageError(f"{path} is a folder", remedy=f"name a file that ends in {chosen.ending}")
        return
    if path.suffix.lower() == ".safetensors":
        remedy = f"name a folder, such as {path.with_suffix('')}"
        raise UsageError("safetensors come in a folder, with recipe and sizes beside the weights", remedy=remedy)
    if path.is_file():
        raise UsageError(f"{path} is a file", remedy="name a folder")
    if path.name in ("", ".."):  # the working folder, empty as it may be, is nothing to replace
        raise UsageError(f"'{path}' is no name for a folder", remedy="name one within it")
    if path.is_dir() and not {entry.name for entry in path.iterdir()} <= FOLDER_HOLDS:
        raise UsageError(f"{path} holds other things than an exported generator", remedy="name a new folder, or an empty one")
