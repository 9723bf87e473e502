"""The forms that a generator is exported in: how each is written, and read back as a program that has only the file would."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ganforge.core.errors import GanforgeError, PluginError, UsageError
from ganforge.core.isolation import describe_error, isolated
from ganforge.runs.loaded_generator import BUNDLE, LoadedGenerator, load, write_loaded
from ganforge.runs.tensor_generator import TensorGenerator, named_tensors
from ganforge.storage import atomic_files, strict_json
from ganforge.train.random_streams import stream

Card = Mapping[str, Any]
"""What an export says of itself, as plain data."""
Program = Callable[[Mapping[str, Tensor]], Tensor]
"""A generator read back: named tensors → values in the data's own units."""

CARD = "ganforge.json"
"""Name of the card: the key of ONNX's metadata, the extra file of a ``.pt2``, the file in a folder of safetensors."""
FOLDER_HOLDS = frozenset({*BUNDLE, CARD, "plugins"})
"""All that an exported folder may hold."""
_EXAMPLES = 5
"""Latents that torch follows through the network; how many is left open in what comes of it."""


@dataclass(frozen=True, slots=True)
class Format:
    """One form.

    Attributes:
        ending: of the file's name; empty for a folder.
        write: puts a generator with its card at a path.
        read: what was written, as a program.
        needs: modules that must be installed.
    """

    ending: str
    write: Callable[[LoadedGenerator, Card, Path], None]
    read: Callable[[Path], Program]
    needs: tuple[str, ...] = ()

    def check_installed(self) -> None:
        """Refuse where a module is missing.

        Raises:
            UsageError: with the line for pip.
        """
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise UsageError(f"this format needs {', '.join(missing)}", remedy='pip install "ganforge[onnx]"')


def _write_onnx(generator: LoadedGenerator, card: Card, path: Path) -> None:
    captured = _captured(generator)
    with _quiet(), _blamed(generator, "ONNX"):
        batch = _open_batch(generator, "n")
        try:
            program = torch.onnx.export(captured, dynamo=True, verbose=False, output_names=["values"], dynamic_shapes=batch)
        except ImportError as error:
            raise UsageError(
                f"this torch needs newer packages for ONNX: {describe_error(error)}",
                remedy='pip install --upgrade "ganforge[onnx]"',
            ) from error
        model = cast("torch.onnx.ONNXProgram", program).model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD, strict_json.dumps(card)
    with atomic_files.storage_errors(path):
        atomic_files.write_synced(path, model.SerializeToString())


def _read_onnx(path: Path) -> Program:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(tensors: Mapping[str, Tensor]) -> Tensor:
        (values,) = session.run(["values"], {name: tensor.numpy() for name, tensor in tensors.items()})
        return torch.from_numpy(values)

    return run


def _write_program(generator: LoadedGenerator, card: Card, path: Path) -> None:
    captured, file = _captured(generator), io.BytesIO()
    with _quiet(), _blamed(generator, "a .pt2 file"):
        torch.export.save(captured, file, extra_files={CARD: strict_json.dumps(card)})
    with atomic_files.storage_errors(path):
        atomic_files.write_synced(path, file.getvalue())


def _read_program(path: Path) -> Program:
    with _quiet():
        module = torch.export.load(path).module()

    def run(tensors: Mapping[str, Tensor]) -> Tensor:
        values: Tensor = module(**tensors)
        return values

    return run


def _write_weights(generator: LoadedGenerator, card: Card, path: Path) -> None:
    write_loaded(generator, path)
    atomic_files.write_json(path / CARD, card)


def _read_weights(path: Path) -> Program:
    module = TensorGenerator(load(path))
    return lambda tensors: module(**tensors)


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", _write_onnx, _read_onnx, needs=("onnx", "onnxscript", "onnxruntime")),
    "torchscript-export": Format(".pt2", _write_program, _read_program),
    "safetensors": Format("", _write_weights, _read_weights),
}
"""By the name that ``ganforge export --format`` takes."""


def _captured(generator: LoadedGenerator) -> torch.export.ExportedProgram:
    """The generator's arithmetic as torch.export sees it, for any number of samples.

    Raises:
        PluginError: its forward cannot be followed.
    """
    latent = generator.sampler.draw(_EXAMPLES, stream(0, "export"))
    module, tensors = TensorGenerator(generator), named_tensors(latent, generator.latent)
    batch = torch.export.Dim("n", min=1)

    def capture(*, strict: bool) -> torch.export.ExportedProgram:
        with _quiet():
            return torch.export.export(module, (), tensors, dynamic_shapes=_open_batch(generator, batch), strict=strict)

    # Reading the bytecode keeps the number of samples open where a network says len(values); plain tracing takes some code that
    # it cannot read.
    try:
        with isolated():
            return capture(strict=True)
    except Exception:  # noqa: BLE001 - a stranger's forward; whatever is wrong with it, the second way says it more plainly
        with _blamed(generator, "a program"):
            return capture(strict=False)


def _open_batch(generator: LoadedGenerator, batch: Any) -> dict[str, dict[int, Any]]:
    latent = generator.sampler.draw(1, stream(0, "export"))
    return {name: {0: batch} for name in named_tensors(latent, generator.latent)}


@contextmanager
def _blamed(generator: LoadedGenerator, wanted: str) -> Iterator[None]:
    """Errors of torch's exporters, said of the generator that they cannot follow.

    Raises:
        PluginError: naming the generator's class.
    """
    try:
        with isolated():
            yield
    except GanforgeError:
        raise
    except Exception as error:
        raise PluginError(
            f"{type(generator.network).__name__} cannot be made {wanted}: {describe_error(error)}",
            remedy="torch.export follows no branches on values or their number; --format safetensors takes any generator",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on themselves and on packages that nothing here needs, printed graphs included."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
