"""A generator exported for other programs, as ONNX, ``.pt2`` or safetensors, and compared with the original before it is kept."""

from __future__ import annotations

import importlib.util
import io
import logging
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganforge import __version__
from ganforge.core.errors import GanforgeError, PluginError, UsageError, describe_error, isolated
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import DataSpec, LatentSpec, network_key
from ganforge.runs.loaded_generator import BUNDLE, LoadedGenerator, load, locked_components, write_bundle
from ganforge.runs.sample_files import check_paths, default_path
from ganforge.storage import atomic_files, strict_json
from ganforge.train.modules import network_state
from ganforge.train.random_streams import stream
from ganforge.train.trainer import EMA

Program = Callable[[Mapping[str, Tensor]], Tensor]
"""An exported generator read back: named tensors → values in the data's own units."""

METADATA = "ganforge.json"  # the key in an ONNX file, the extra file of a .pt2, the file in a folder of safetensors
TOLERANCE = 1e-4  # the greatest difference that an export may have, as a share of the values' range


class TensorGenerator(nn.Module):
    """The averaged generator for programs without latents: tensors by name in, values in the data's own units out.

    Values are floats and not rounded, whatever type the data have: 0.0 to 255.0 for images of bytes.
    """

    def __init__(self, generator: LoadedGenerator) -> None:
        super().__init__()
        self.network = generator.network
        self.data = generator.data
        self.latent = generator.latent
        self.eval()

    def forward(
        self, noise: Tensor, labels: Tensor | None = None, categorical: Tensor | None = None, continuous: Tensor | None = None
    ) -> Tensor:
        """``noise (n, z)``, ``labels (n,)``, ``categorical (n, k)`` and ``continuous (n, c)`` → values ``(n, *shape)``."""
        codes = None
        if self.latent.has_codes:
            none = noise.new_zeros((noise.shape[0], 0))
            codes = Codes(none.long() if categorical is None else categorical, none if continuous is None else continuous)
        values = self.data.denormalize(self.network(Latent(noise, labels, codes)))
        return self.data.to_own_units(values, rounded=False)


def named_tensors(latent: Latent, spec: LatentSpec) -> dict[str, Tensor]:
    """The inputs of :class:`TensorGenerator` for these latents: ``noise``, and what else they have."""
    tensors = {"noise": latent.noise}
    if latent.labels is not None:
        tensors["labels"] = latent.labels
    if latent.codes is not None and spec.categorical:
        tensors["categorical"] = latent.codes.categorical
    if latent.codes is not None and spec.continuous:
        tensors["continuous"] = latent.codes.continuous
    return tensors


@dataclass(frozen=True, slots=True)
class Format:
    """An export format."""

    ending: str  # of the file's name; empty for a folder
    write: Callable[[LoadedGenerator, Mapping[str, Any], Path], None]  # writes a generator with its metadata to a path
    read: Callable[[Path], Program]  # reads the file as a program that has nothing else would
    needs: tuple[str, ...] = ()  # modules that must be installed


@dataclass(frozen=True, slots=True)
class Export:
    """An exported generator."""

    path: Path  # the file, or the folder of safetensors
    metadata: Mapping[str, Any]  # its description of itself
    difference: float  # the largest difference from the original that was found, as a share of the values' range
    counts: tuple[int, ...]  # samples in each batch that was compared


def export(generator: LoadedGenerator, format_name: str, path: Path | None = None, *, count: int = 64) -> Export:
    """Write a generator on the CPU in one of :data:`FORMATS`, read it back, and keep it only if it gives the same samples.

    By default, ``path`` is ``generator`` with the format's ending in the run's folder, or beside an exported folder that the
    generator came from; an existing file or exported folder is replaced. ``count`` samples are compared at once, and a batch of
    another size.
    """
    if format_name not in FORMATS:
        raise UsageError(f"there is no format '{format_name}'", remedy=f"formats are {', '.join(FORMATS)}")
    chosen = FORMATS[format_name]
    if missing := [name for name in chosen.needs if importlib.util.find_spec(name) is None]:
        raise UsageError(f"this format needs {', '.join(missing)}", remedy='pip install "ganforge[onnx]"')
    path = path or default_path(generator.path, f"generator{chosen.ending}")
    if chosen.ending:
        check_paths([path], [chosen.ending])
    else:
        _check_folder(path)

    metadata, counts = _metadata(generator), (count, 1 if count > 1 else 2)
    with atomic_files.staged(path) as draft:
        chosen.write(generator, metadata, draft)
        difference = _difference(generator, chosen.read(draft), counts)
        if not difference <= TOLERANCE:
            raise PluginError(
                f"the exported generator gives other samples: they differ by {difference:.2g} of the values' range, "
                f"{TOLERANCE:.0e} is allowed; nothing was written",
                remedy="a generator that draws random numbers in eval mode cannot be exported",
            )
    return Export(path, metadata, difference, counts)


def _check_folder(path: Path) -> None:
    """Refuse a path that cannot become a folder of safetensors, and a folder that contains anything else."""
    if path.is_file() or path.suffix.lower() == ".safetensors" or path.name in ("", ".."):  # never the working folder
        raise UsageError(
            f"safetensors are written into a folder, with recipe and sizes beside the weights; '{path}' cannot become one",
            remedy="name a new folder, such as generator",
        )
    if path.is_dir() and not {entry.name for entry in path.iterdir()} <= {*BUNDLE, METADATA, "plugins"}:
        raise UsageError(f"{path} contains other files than an exported generator", remedy="name a new folder, or an empty one")


def _metadata(generator: LoadedGenerator) -> Mapping[str, Any]:
    """An export's inputs, its output, and where it comes from."""
    latent, folder = generator.latents(1, stream(0, "export")), generator.path

    def describe(tensor: Tensor) -> dict[str, Any]:
        return {"shape": ["n", *tensor.shape[1:]], "dtype": str(tensor.dtype).removeprefix("torch.")}

    data = generator.data
    inputs = {name: describe(tensor) for name, tensor in named_tensors(latent, generator.latent).items()}
    if "labels" in inputs:
        inputs["labels"]["classes"] = list(generator.labels)
    keys = ("game", network_key(generator.role), "sampler")
    own = {"range": data.own_range, "rounds_to": data.own_type} if data.own_range else {}
    return {
        "run": folder.resolve().name,
        "iteration": generator.iteration,
        "inputs": inputs,
        "output": {"name": "values", **describe(generator.generate(latent).values), "units": "the data's own", **own},
        "data": asdict(generator.data),
        "latent": asdict(generator.latent),
        "components": [one.model_dump(mode="json") for one in locked_components(folder) if one.key in keys],
        "recipe": tomllib.loads((folder / "resolved.toml").read_text(encoding="utf-8")),
        "ganforge": __version__,
        "torch": torch.__version__,
    }


def _difference(generator: LoadedGenerator, program: Program, counts: tuple[int, ...]) -> float:
    """The largest difference over batches of these sizes; NaN where values are not finite, infinite for other shapes."""
    expected: list[Tensor] = []
    differences: list[Tensor] = []
    for count in counts:
        latent = generator.latents(count, stream(0, "export", "check"))
        values = generator.data.to_own_units(generator.generate(latent).values, rounded=False)
        with _attributed(generator, "run after its export"), torch.no_grad():
            given = program(named_tensors(latent, generator.latent))
        if given.shape != values.shape:
            return float("inf")
        differences.append((given.double() - values.double()).abs().flatten())
        expected.append(values.flatten())
    return float(torch.cat(differences).max()) / _range_width(generator.data, torch.cat(expected))


def _range_width(data: DataSpec, values: Tensor) -> float:
    """The width of the values' range: as declared, or that of these values and zero."""
    bounds = data.own_range or data.value_range
    if bounds is not None and data.normalization is None:
        return bounds[1] - bounds[0]
    return max(float(values.clamp_min(0).max() - values.clamp_max(0).min()), torch.finfo(torch.float32).tiny)


def _write_onnx(generator: LoadedGenerator, metadata: Mapping[str, Any], path: Path) -> None:
    traced, inputs = _trace(generator)
    batch = {name: {0: "n"} for name in inputs}
    with _attributed(generator, "exported as ONNX"):
        try:
            program = torch.onnx.export(traced, dynamo=True, verbose=False, output_names=["values"], dynamic_shapes=batch)
        except ImportError as error:
            message = f"this torch needs newer packages for ONNX: {describe_error(error)}"
            raise UsageError(message, remedy='pip install --upgrade "ganforge[onnx]"') from error
        model = cast("torch.onnx.ONNXProgram", program).model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, strict_json.dumps(metadata)
    atomic_files.write_bytes(path, model.SerializeToString())


def _read_onnx(path: Path) -> Program:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda tensors: torch.from_numpy(session.run(["values"], {name: tensor.numpy() for name, tensor in tensors.items()})[0])


def _write_program(generator: LoadedGenerator, metadata: Mapping[str, Any], path: Path) -> None:
    traced, _ = _trace(generator)
    file = io.BytesIO()
    with _attributed(generator, "exported by torch.export"):
        torch.export.save(traced, file, extra_files={METADATA: strict_json.dumps(metadata)})
    atomic_files.write_bytes(path, file.getvalue())


def _read_program(path: Path) -> Program:
    with _quiet():
        module = torch.export.load(path).module()
    return lambda tensors: module(**tensors)


def _write_weights(generator: LoadedGenerator, metadata: Mapping[str, Any], path: Path) -> None:
    write_bundle(generator.path, path, (generator.iteration, network_state(f"{EMA}/{generator.role}", generator.network)))
    atomic_files.write_json(path / METADATA, metadata)


def _read_weights(path: Path) -> Program:
    module = TensorGenerator(load(path))
    return lambda tensors: module(**tensors)


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", _write_onnx, _read_onnx, needs=("onnx", "onnxscript", "onnxruntime")),
    "torch-export": Format(".pt2", _write_program, _read_program),
    "safetensors": Format("", _write_weights, _read_weights),
}
"""By the name that ``ganforge export --format`` takes."""


def _trace(generator: LoadedGenerator) -> tuple[torch.export.ExportedProgram, Iterable[str]]:
    """The generator as a program of torch.export, for any number of samples, and the names of its inputs."""
    latent = generator.latents(5, stream(0, "export"))
    module, tensors = TensorGenerator(generator), named_tensors(latent, generator.latent)
    batch = torch.export.Dim("n", min=1)
    shapes = {name: {0: batch} for name in tensors}

    # Reading the bytecode (strict) keeps the number of samples open where a network uses len(values); plain tracing accepts some
    # code that strict mode cannot read.
    try:
        with _attributed(generator, "read by torch.export"):
            return torch.export.export(module, (), tensors, dynamic_shapes=shapes, strict=True), tensors
    except PluginError:
        with _attributed(generator, "exported"):
            return torch.export.export(module, (), tensors, dynamic_shapes=shapes, strict=False), tensors


@contextmanager
def _attributed(generator: LoadedGenerator, how: str) -> Iterator[None]:
    """Suppress what torch's exporters print, and name the generator's class in their errors."""
    try:
        with _quiet(), isolated():
            yield
    except GanforgeError:
        raise
    except Exception as error:
        raise PluginError(
            f"{type(generator.network).__name__} cannot be {how}: {describe_error(error)}",
            remedy="torch.export supports no branches on values or their number; --format safetensors works for any generator",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporters' messages about themselves and about packages that are not needed, printed graphs included."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
