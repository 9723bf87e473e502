"""Parts of a run rebuilt from its folder: the generator, which needs no data set, and the data set as it is now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ganforge.build.blueprint import resolve_sampling_parts
from ganforge.build.builder import Folders, build_dataset, build_network, build_sampler, choose_device
from ganforge.build.lock import LockedComponent, data_differences, explain_missing_plugins, hash_data, read_lock
from ganforge.build.parts import Part, named_parts
from ganforge.core.contracts import BuildContext, Dataset, Sampler
from ganforge.core.errors import PartError, RunFolderError, UsageError, describe_error
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec, network_key
from ganforge.games.checked_calls import draw_latents, latent_fault
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.runs.latent_grids import finite_number, with_code, with_label
from ganforge.runs.run_index import find_trained, read_specs
from ganforge.runs.sample_files import arrays
from ganforge.storage import atomic_files, checkpoints
from ganforge.storage.run_folder import RunFolder, data_folders
from ganforge.train.evaluator import draw_samples
from ganforge.train.modules import load_network
from ganforge.train.random_streams import derive, seeded, stream
from ganforge.train.trainer import EMA

if TYPE_CHECKING:
    import numpy as np

BUNDLE = ("generator.safetensors", "resolved.toml", "specs.json", "lock.json")
"""The files of a bundle: the generator's weights, recipe, sizes and lock; local plugins are in ``plugins``."""
_BLOCK = 64  # latents that are drawn and samples that are generated at once: the first ones do not depend on how many follow


@dataclass(frozen=True, slots=True, repr=False)
class LoadedGenerator:
    """A generator ready to be sampled: what :func:`ganforge.load` gives.

    ::

        generator = ganforge.load("cgan_moons")
        generator.sample(1000, seed=1, label=0)["values"]     # numpy, (1000, 2), in the data's own units
        generator.draw(1000, seed=1, label=0)                 # the same as torch tensors, latents included
        generator(latent)                                     # samples of latents of your own
    """

    network: nn.Module  # the averaged generator, in eval mode; its output is normalized, before DataSpec.denormalize
    sampler: Sampler
    data: DataSpec  # with the normalization
    latent: LatentSpec
    iteration: int  # iterations it was trained for
    path: Path  # the folder that it came from
    role: str  # the network's role in the game
    parts: tuple[Part, ...] = ()  # sampler and generator, to name them in errors

    def __repr__(self) -> str:
        facts = [f"iteration {self.iteration}", f"values {self.data.shape}", f"noise {self.latent.noise}"]
        facts += [f"labels {self.data.describe_labels()}"] if self.latent.classes else []
        facts += [self.latent.describe_codes()] if self.latent.has_codes else []
        return f"<generator of {self.path.resolve().name}: {'; '.join(facts)}; on {self.device}>"

    def __call__(self, latent: Latent) -> Samples:
        """The samples of latents on any device; in the data's own units, on the CPU.

        Raises:
            UsageError: the latents do not have the sizes, labels or codes that this generator takes.
            PluginError: the generator gives values that are not finite.
        """
        return self._in_own_units(self._finite(self.generate(latent)))

    def generate(self, latent: Latent) -> Samples:
        """The same samples as metrics see them and figures draw them: images in ``data.value_range``."""
        count = len(latent)
        if fault := latent_fault(latent, self.latent, count, latent.noise.device):
            raise UsageError(f"the generator cannot take {fault}", remedy=f"it takes {self.latent}")
        whole = latent[torch.arange(_blocks(count) * _BLOCK) % count]  # a batch of another size would round differently
        blocks = [whole[at : at + _BLOCK].to(self.device) for at in range(0, len(whole), _BLOCK)]
        with named_parts(self.parts):
            return Samples.concatenate([draw_samples(self.network, block, self.data, self.role) for block in blocks])[:count]

    @property
    def labels(self) -> tuple[int, ...] | tuple[str, ...]:
        """What ``label`` may be, as the data names it; empty for a generator without labels."""
        return self.data.labels if self.latent.classes else ()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((tensor.device for tensor in self.network.state_dict().values()), torch.device("cpu"))

    def draw(self, n: int, *, seed: int = 0, label: int | str | None = None, code: Sequence[float | None] | None = None) -> Samples:
        """``n`` samples in the data's own units, with their labels and latents, on the CPU.

        Args:
            n: how many; fewer samples of one seed are the first ones of more.
            seed: seed of the latents; the same seed gives the same samples.
            label: the class of all samples, for a conditional generator, as the data names it; drawn when ``None``.
            code: values for the codes, categorical ones first, then continuous ones, which training draws from −1 to 1; ``None``
                entries and missing ones are drawn.

        Raises:
            UsageError: an invalid label or code, or one that this generator does not have.
        """
        return self._in_own_units(self.draw_for_figures(n, seed=seed, label=label, code=code))

    def draw_for_figures(
        self, n: int, *, seed: int = 0, label: int | str | None = None, code: Sequence[float | None] | None = None
    ) -> Samples:
        """The samples of :meth:`draw` as :meth:`generate` gives them."""
        latent = self._draw_blocks(n, seed, label, code)
        with seeded(derive(seed, "sample", "network")):  # for a generator that draws random numbers itself
            return self._finite(self.generate(latent)[:n])

    def draw_latents(
        self, n: int, *, seed: int = 0, label: int | str | None = None, code: Sequence[float | None] | None = None
    ) -> Latent:
        """The latents of the samples that :meth:`draw` gives, on the CPU."""
        return self._draw_blocks(n, seed, label, code)[:n]

    def _draw_blocks(self, n: int, seed: int, label: int | str | None, code: Sequence[float | None] | None) -> Latent:
        """At least ``n`` latents, in whole blocks, each with a random stream of its own."""
        if n < 1:
            raise UsageError(f"cannot draw {n} samples", remedy="draw one or more")
        streams = (stream(seed, "sample", block) for block in range(_blocks(n)))
        latent = Latent.concatenate([self.latents(_BLOCK, stream) for stream in streams])
        if label is not None:
            number = finite_number(label, below=None)  # also of numpy or torch
            known = str(int(number)) if number is not None and number.is_integer() else label
            latent = with_label(latent, self.data.class_index(known) if self.latent.classes else 0, self.latent)
        if code is not None:
            latent = with_code(latent, code, self.latent)
        return latent

    def latents(self, n: int, generator: torch.Generator) -> Latent:
        """``n`` latents drawn from ``generator``."""
        with named_parts(self.parts):
            return draw_latents(self.sampler, n, generator)

    def sample(
        self, n: int, *, seed: int = 0, label: int | str | None = None, code: Sequence[float | None] | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """:meth:`draw` as numpy arrays: ``values (n, *shape)``, ``noise (n, z)``; ``labels`` and ``codes`` where there are any."""
        return arrays(self.draw_for_figures(n, seed=seed, label=label, code=code), self.data)

    def _finite(self, samples: Samples) -> Samples:
        """The samples; a PluginError if values are not finite, which integers could not show."""
        finite = samples.values.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            count, first = int((~finite).sum()), int((~finite).nonzero()[0])
            fault = f"returns values that are not finite for {count} of {len(samples)} latents, first for number {first}"
            with named_parts(self.parts):
                raise PartError(network_key(self.role), fault)
        return samples

    def _in_own_units(self, samples: Samples) -> Samples:
        return replace(samples, values=self.data.to_own_units(samples.values))


def _blocks(count: int) -> int:
    return -(-count // _BLOCK)


class RebuiltDataset(NamedTuple):
    """The data set of a run as it is now, where its components look for files, and how the data differ from the run's lock."""

    dataset: Dataset
    folders: Folders
    changes: tuple[str, ...]


def load(run: str | Path, *, device: str = "cpu", runs_dir: str | Path = "runs") -> LoadedGenerator:
    """The averaged generator of a run, from its newest intact checkpoint, or of a bundle; see :func:`ganforge.load`."""
    place, path = str(choose_device(device)), Path(run)
    if not all((path / name).is_file() for name in ("generator.safetensors", "specs.json")):
        path = find_trained(str(run), Path(runs_dir)).path
    RunFolder(path).check()
    return load_weights(path, *_weights(path), device=place)


def load_weights(path: Path, iteration: int, tensors: Mapping[str, Tensor], *, raw: bool = False, device: str) -> LoadedGenerator:
    """The generator of a run with these weights: its moving average, or the ``raw`` network; errors as of :func:`load`."""
    data, latent = read_specs(path)
    with _damage_errors(path / "specs.json", RuntimeError):
        data.denormalize(torch.zeros(1, *data.shape))  # a normalization of another size

    with explain_missing_plugins(path):
        game, sampler, generator = resolve_sampling_parts(read_recipe(path / "resolved.toml"), load_plugins())
    _check_local_files(path, generator, sampler)
    network = build_network(generator, game, BuildContext(data, latent), seed=0)
    load_network(game.generator if raw else f"{EMA}/{game.generator}", network, tensors)
    network.to(device).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
    drawn = build_sampler(sampler, data)
    return LoadedGenerator(network, drawn, data, latent, iteration, path, game.generator, (sampler, generator))


def rebuild_dataset(folder: RunFolder, part: Part, *, seed: int) -> RebuiltDataset:
    """Build the data set of a run again; errors as of :func:`~ganforge.build.builder.build_dataset`."""
    identity = folder.read_identity()
    data, *others = data_folders()
    folders = Folders(Path(identity.get("recipe_folder", folder.path)), data, tuple(others))
    changes = data_differences(read_lock(folder.path), hash_data(part, folders.recipe)) if folder.lock.exists() else ()
    return RebuiltDataset(build_dataset(part, seed=seed, folders=folders), folders, tuple(one.message for one in changes))


def write_bundle(path: Path, target: Path, weights: tuple[int, Mapping[str, Tensor]] | None = None) -> None:
    """Write :data:`BUNDLE` from a run folder or bundle into a new folder: all that :func:`load` needs.

    ``weights`` are iteration and tensors by name; the newest ones in the folder unless given.
    """
    from safetensors.torch import save

    target.mkdir(parents=True, exist_ok=True)
    iteration, tensors = weights or _weights(path)
    kept = {
        key: value.to("cpu").clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
        if key.startswith(f"{EMA}/")
    }
    atomic_files.write_bytes(target / "generator.safetensors", save(kept, {"iteration": str(iteration)}))
    for file in [*(path / name for name in BUNDLE[1:]), *sorted(path.glob("plugins/*.py"))]:
        atomic_files.write_bytes(target / file.relative_to(path), file.read_bytes())


def locked_components(path: Path) -> tuple[LockedComponent, ...]:
    """The components in a folder's lock; none where there is no lock."""
    return read_lock(path).components if (path / "lock.json").exists() else ()


def _check_local_files(path: Path, *parts: Part) -> None:
    """Refuse another version of a local plugin file, which might accept the weights and draw something else."""
    versions = {one.key: one.version for one in locked_components(path)}
    for part in parts:
        plugin, trained = part.component.plugin, versions.get(part.key)
        if plugin.sha256 is None or trained in (None, plugin.version):
            continue
        kept = path / "plugins" / f"{plugin.name.replace('-', '_')}.py"
        remedy = f"--plugin {kept} is the file as it was" if kept.exists() else f"restore {plugin.url}"
        message = f"{part.key} '{part.component.id}' was trained with sha256 {trained}…; {plugin.url} has {plugin.version}…"
        raise UsageError(message, remedy=remedy)


def _weights(path: Path) -> tuple[int, dict[str, Tensor]]:
    bundle = path / "generator.safetensors"
    if not bundle.exists():
        iteration, state, _ = checkpoints.load_newest(RunFolder(path))
        return iteration, dict(state.tensors)

    from safetensors import SafetensorError, safe_open

    with _damage_errors(bundle, SafetensorError), safe_open(bundle, framework="pt") as file:
        return int((file.metadata() or {}).get("iteration", 0)), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - a file, not a dict


@contextmanager
def _damage_errors(path: Path, *also: type[Exception]) -> Iterator[None]:
    """Turn errors of reading a file into a RunFolderError that says it is damaged."""
    damages: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, TypeError, AttributeError, *also)
    try:
        yield
    except damages as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else describe_error(error)
        raise RunFolderError(f"{path} is damaged: {reason}", remedy="restore it from a copy, or use another run") from error
