"""A finished run's generator, rebuilt from its folder alone; the data set is not needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganforge.build.builder import build_network, build_sampler, choose_device
from ganforge.build.run_parts import SamplingParts, resolve_sampling_parts
from ganforge.core.contracts import BuildContext, Sampler
from ganforge.core.errors import RunFolderError, UsageError
from ganforge.core.isolation import describe_error
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.runs.run_lookup import find
from ganforge.runs.sample_files import arrays
from ganforge.runs.traversal import with_code, with_label
from ganforge.storage import atomic_files, checkpoints, strict_json
from ganforge.storage.run_folder import RunFolder
from ganforge.train.evaluator import draw_samples
from ganforge.train.modules import load_network, network_state
from ganforge.train.random_streams import derive

if TYPE_CHECKING:
    import numpy as np

BUNDLE = ("generator.safetensors", "resolved.toml", "specs.json", "lock.json")
"""The files that hold a generator: weights, recipe, sizes, and which plugins it was made with; local ones lie in ``plugins``."""


@dataclass(frozen=True, slots=True, repr=False)
class LoadedGenerator:
    """A generator ready to be sampled: what :func:`ganforge.load` gives.

    ::

        generator = ganforge.load("cgan_moons")
        generator.sample(1000, seed=1, label=0)["values"]     # numpy, (1000, 2), in the data's own units
        generator.draw(1000, seed=1, label=0)                 # the same as torch tensors, latents included
        generator(latent)                                     # samples of latents of your own

    Attributes:
        network: the averaged generator, in eval mode; its values are what networks see, before :meth:`DataSpec.to_own`.
        sampler: where latents come from.
        data: the data's spec, scaling included.
        latent: the latent's spec.
        iteration: iterations it was trained for.
        path: the folder that it came from.
    """

    network: nn.Module
    sampler: Sampler
    data: DataSpec
    latent: LatentSpec
    iteration: int
    path: Path

    def __repr__(self) -> str:
        told = [f"iteration {self.iteration}", f"values {self.data.shape}", f"noise {self.latent.noise}"]
        told += [f"{self.latent.classes} classes"] if self.latent.classes is not None else []
        told += [f"categorical codes of {', '.join(map(str, self.latent.categorical))}"] if self.latent.categorical else []
        told += [f"{self.latent.continuous} continuous codes"] if self.latent.continuous else []
        return f"<generator of {self.path.resolve().name}: {', '.join(told)}; on {self.device}>"

    def __call__(self, latent: Latent) -> Samples:
        """The samples of these latents, which lie on :attr:`device`; in the data's own units, on the CPU."""
        return draw_samples(self.network, latent, self.data)

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next((tensor.device for tensor in self.network.state_dict().values()), torch.device("cpu"))

    def draw(self, n: int, *, seed: int = 0, label: int | None = None, code: Sequence[float | None] | None = None) -> Samples:
        """``n`` samples in the data's own units, with their labels and latents, on the CPU.

        Args:
            n: how many.
            seed: seed of the latents; one seed gives one set of samples.
            label: the class to ask a conditional generator for; drawn when ``None``.
            code: values for the codes, categorical ones first, then continuous ones, which training draws from −1 to 1; ``None``
                entries and missing ones are drawn.

        Raises:
            UsageError: a label or code that this generator does not have, or that is none.
        """
        if n < 1:
            raise UsageError(f"cannot draw {n} samples", remedy="ask for one or more")
        latent = self.sampler.draw(n, torch.Generator(self.device).manual_seed(derive(seed, "sample")))
        if label is not None:
            latent = with_label(latent, label, self.latent)
        if code is not None:
            latent = with_code(latent, code, self.latent)
        return self(latent)

    def sample(
        self, n: int, *, seed: int = 0, label: int | None = None, code: Sequence[float | None] | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """:meth:`draw` as numpy arrays: ``values (n, *shape)``, ``noise (n, z)``; ``labels`` and ``codes`` where there are any."""
        return arrays(self.draw(n, seed=seed, label=label, code=code))


def load_named(run: str | Path, *, device: str = "cpu", runs_dir: str | Path = "runs") -> LoadedGenerator:
    """The generator of what a user calls a run, on the device that a user names; see :func:`ganforge.load`."""
    place = choose_device(device)
    folder = Path(run)
    if all((folder / name).is_file() for name in ("generator.safetensors", "specs.json")):
        return load(folder, str(place))
    return load(find(str(run), Path(runs_dir)), str(place))


def load(folder: Path | RunFolder, device: str = "cpu") -> LoadedGenerator:
    """The averaged generator of a run, from its newest intact checkpoint, or of a bundle as MLflow keeps it.

    Only generator and sampler are looked for among the plugins, and built.

    Raises:
        RunFolderError: no specs, no intact checkpoint, a damaged file, or weights that do not fit the plugin that is installed.
        RecipeError: generator or sampler is not installed, or does not take the run's parameters any more.
        PluginError: the plugin of one of them is broken.
        UsageError: the generator or sampler comes from a local file, and here from another version of it.
    """
    path = folder.path if isinstance(folder, RunFolder) else folder
    unfilled = _unfilled(path)
    return _filled(unfilled, *_weights(path), device=device)


def load_weights(
    folder: RunFolder, iteration: int, tensors: Mapping[str, Tensor], *, average: bool, device: str
) -> LoadedGenerator:
    """The generator of a run with the weights of a checkpoint that was read: the moving average, or what training moves.

    Raises:
        GanforgeError: as :func:`load`.
    """
    return _filled(_unfilled(folder.path), iteration, tensors, name="ema" if average else "generator", device=device)


def _unfilled(path: Path) -> LoadedGenerator:
    """A run's generator without its weights."""
    specs = path / "specs.json"
    if not specs.exists():
        raise RunFolderError(f"{path} holds no finished start: there is no specs.json", remedy="name the folder of a run")
    with undamaged(specs):
        sizes = strict_json.loads(specs.read_bytes())
        data, latent = DataSpec.from_plain(sizes["data"]), LatentSpec.from_plain(sizes["latent"])

    parts = resolve_sampling_parts(read_recipe(path / "resolved.toml"), load_plugins())
    _same_files(path, parts)
    network = build_network(parts.generator, BuildContext(data, latent), seed=0)
    return LoadedGenerator(network, build_sampler(parts.sampler, data), data, latent, 0, path)


def _filled(
    generator: LoadedGenerator, iteration: int, tensors: Mapping[str, Tensor], *, device: str, name: str = "ema"
) -> LoadedGenerator:
    load_network(name, generator.network, tensors)
    generator.network.to(device).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
    return replace(generator, iteration=iteration)


def write_bundle(folder: RunFolder, target: Path) -> None:
    """Put the files of :data:`BUNDLE` into ``target``: all that :func:`load` needs, a fraction of the run folder."""
    iteration, tensors = _weights(folder.path)
    _write_bundle(folder, target, iteration, {key: value for key, value in tensors.items() if key.startswith("ema/")})


def write_loaded(generator: LoadedGenerator, target: Path) -> None:
    """The same of a generator that was loaded, whatever its run has saved since."""
    _write_bundle(RunFolder(generator.path), target, generator.iteration, network_state("ema", generator.network))


def _write_bundle(folder: RunFolder, target: Path, iteration: int, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    target.mkdir(parents=True, exist_ok=True)
    weights = {key: value.to("cpu").clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    atomic_files.write_bytes(target / "generator.safetensors", save(weights, {"iteration": str(iteration)}))
    kept = [folder.path / name for name in BUNDLE[1:]] + sorted(folder.plugins.glob("*.py"))
    for file in kept:
        copy = target / file.relative_to(folder.path)
        copy.parent.mkdir(exist_ok=True)
        atomic_files.write_bytes(copy, file.read_bytes())


def _same_files(path: Path, parts: SamplingParts) -> None:
    """Another version of a local file would load the weights without a word, and draw something else."""
    versions = {one["key"]: one["version"] for one in locked_components(path)}
    for part in (parts.generator, parts.sampler):
        plugin, began = part.component.plugin, versions.get(part.key)
        if plugin.sha256 is None or began in (None, plugin.version):
            continue
        kept = path / "plugins" / f"{plugin.name.replace('-', '_')}.py"
        remedy = f"--plugin {kept} is the file as it was" if kept.exists() else f"restore {plugin.url}"
        raise UsageError(
            f"{part.key} '{part.component.id}' was trained with sha256 {began}…; {plugin.url} has {plugin.version}…", remedy=remedy
        )


def _weights(path: Path) -> tuple[int, dict[str, Tensor]]:
    bundle = path / "generator.safetensors"
    if not bundle.exists():
        iteration, state, _ = checkpoints.load_newest(RunFolder(path))
        return iteration, dict(state.tensors)

    from safetensors import SafetensorError, safe_open

    with undamaged(bundle, SafetensorError), safe_open(bundle, framework="pt") as file:
        return int((file.metadata() or {}).get("iteration", 0)), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - a file, not a dict


def locked_components(path: Path) -> list[dict[str, Any]]:
    """The components that the lock in a folder names, each with ``key``, ``id`` and ``version``; none where there is no lock.

    Raises:
        RunFolderError: the lock is damaged.
    """
    lock = path / "lock.json"
    if not lock.exists():
        return []
    with undamaged(lock):
        found: list[dict[str, Any]] = strict_json.loads(lock.read_bytes())["components"]
        for one in found:
            _ = one["key"], one["version"]
        return found


@contextmanager
def undamaged(path: Path, *also: type[Exception]) -> Iterator[None]:
    """Say of a file that cannot be understood that it is damaged.

    Raises:
        RunFolderError: naming the file.
    """
    damages: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, TypeError, AttributeError, *also)
    try:
        yield
    except damages as error:
        told = f"it lacks {error}" if isinstance(error, KeyError) else describe_error(error)
        raise RunFolderError(f"{path} is damaged: {told}", remedy="restore it from a copy, or take another run") from error


def plain_specs(data: DataSpec, latent: LatentSpec) -> dict[str, Any]:
    """What ``specs.json`` holds."""
    return {"data": data.to_plain(), "latent": latent.to_plain()}
