"""What a run needs before its first iteration: a blueprint, a trainer, a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.build.blueprint import Blueprint, resolve_recipe
from ganforge.build.lock import lock
from ganforge.core.errors import RunFolderError, UsageError
from ganforge.health.monitor import KEY, Watch
from ganforge.recipe.reader import RecipeSource, read_recipe
from ganforge.recipe.toml_writer import flatten
from ganforge.registry.plugin_loader import load_plugins
from ganforge.runs.run_lookup import find
from ganforge.session.failure_policy import returned
from ganforge.session.lock_check import read_locks
from ganforge.storage import checkpoints
from ganforge.storage.data_folders import data_folders
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from ganforge.train.trainer import Trainer

_MAY_CHANGE = (
    "tracking.",
    "expect.",
    "pictures.",
    "checkpoints.",
    "health.",
    "title",
    "description",
    "requires.",
    "dataset.workers",
)
"""Keys that a resumed run may change: they move no weight."""

_SMALL = 1_000_000
"""Parameters below which networks without convolutions learn faster on one thread."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a run.

    Attributes:
        recipe: the recipe's file; when resuming it may be left out.
        overrides: ``--set`` texts.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        resume: folder, name or beginning of the id of a run to go on with.
        runs_dir: where run folders are made.
        tracking_uri: the MLflow store; ``None`` takes the environment's or the default.
        plain: plain lines instead of the live view.
        parent: id of the sweep that this run belongs to.
        locked: a lock, or the run folder that holds it, from which nothing may differ.
        unlocked: whether a resumed run may go on with other versions, files or data than it began with.
    """

    recipe: Path | None
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    resume: str | None = None
    runs_dir: Path = Path("runs")
    tracking_uri: str | None = None
    plain: bool = False
    parent: str | None = None
    locked: Path | None = None
    unlocked: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A recipe that was found good.

    Attributes:
        source: the recipe as read.
        blueprint: its components, resolved.
        resumed: the folder of the run to go on with, or ``None``.
        changed: by dotted key, what a resumed run began with and goes on with, where these differ; "" where it had or has none.
    """

    source: RecipeSource
    blueprint: Blueprint
    resumed: RunFolder | None = None
    changed: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run: the recipe's file name."""
        return self.source.path.stem

    @property
    def experiment(self) -> str:
        """Name of the experiment: the recipe's, or its file name."""
        return self.blueprint.recipe.tracking.experiment or self.name

    @property
    def recipe_folder(self) -> Path:
        """The folder that the recipe's relative paths are meant from."""
        folder = self.source.path.parent
        if self.resumed is not None:
            identity = self.resumed.read_json(self.resumed.identity) or {}
            folder = Path(identity.get("recipe_folder", folder))
        return folder.resolve()

    @property
    def title(self) -> str:
        """The recipe's title, or its file name."""
        return self.blueprint.recipe.title or self.name


def prepare(options: Options, warn: Callable[[str], None]) -> Plot:
    """Read and resolve the recipe; no torch is imported and nothing is created.

    Raises:
        RecipeError: with every problem of the recipe.
        UsageError: neither a recipe nor a run to resume, a recipe that is not the resumed run's, or another set than the lock's or
            the resumed run's.
        PluginError: a plugin that the recipe needs failed.
    """
    resumed = find(options.resume, options.runs_dir) if options.resume else None
    if options.recipe is None and resumed is None:
        raise UsageError("no recipe was named", remedy="ganforge run RECIPE, or ganforge run --resume RUN")

    source = read_recipe(options.recipe or _own_recipe(resumed), options.overrides)
    locks = read_locks(options.locked, resumed, unlocked=options.unlocked, warn=warn)
    locks.compare_installed()
    registry = load_plugins()
    if registry.warning:
        warn(f"warning: {registry.warning}")
    blueprint = resolve_recipe(source, registry)
    for warning in blueprint.warnings:
        warn(str(warning))
    changed = _changed(blueprint, resumed) if resumed is not None else {}
    plot = Plot(source, blueprint, resumed, changed)
    if locks:
        locks.compare_parts(lock(blueprint, plot.recipe_folder))
    return plot


def assemble(plot: Plot, device: str, warn: Callable[[str], None]) -> Trainer:
    """Build the trainer and try its parts on each other; nothing is created on disk.

    Raises:
        IncompatiblePartsError: parts that do not fit each other, or a device that is not here.
        DataError: the data cannot be read.
        PluginError: a component could not be built.
    """
    from ganforge.build.builder import Folders, build_trainer, choose_device
    from ganforge.build.dry_run import dry_run
    from ganforge.build.known_bad_pairs import find_known_bad_pairs

    data, *others = data_folders()
    trainer = build_trainer(plot.blueprint, device=choose_device(device), folders=Folders(plot.recipe_folder, data, tuple(others)))
    _settle_threads(trainer)
    left_out = (f"metric '{name}' is left out: {reason}" for name, reason in trainer.observer.left_out.items())
    for text in (dry_run(plot.blueprint, trainer), *find_known_bad_pairs(plot.blueprint, trainer), *left_out):
        if text:
            warn(f"warning: {text}")
    return trainer


def _settle_threads(trainer: Trainer) -> None:
    """One thread for small networks on the CPU: handing out work of microseconds costs far more than it saves.

    With 12,545 to 210,065 parameters, perceptrons on digits and MNIST took 6 to 36 times as long on two threads as on one, and 7 to
    51 times the processor time, on two cores that other programs used too (``benchmarks/threads.py``). Convolutions use each
    parameter at many places, so their number tells nothing of the work.

    It follows from the recipe alone, since results depend on the number of threads; ``OMP_NUM_THREADS`` has the last word.
    """
    import torch
    from torch.nn.modules.conv import _ConvNd

    networks = trainer.networks.values()
    parameters = sum(parameter.numel() for network in networks for parameter in network.parameters())
    is_small = parameters < _SMALL and not any(isinstance(module, _ConvNd) for network in networks for module in network.modules())
    if trainer.device.type == "cpu" and is_small and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def restore(trainer: Trainer, watch: Watch, folder: RunFolder, warn: Callable[[str], None]) -> object:
    """Put the newest intact checkpoint into the trainer and the watch, and say what makes the continuation differ bit for bit.

    Gives what the watch knew.
    """
    import torch

    iteration, state, skipped = checkpoints.load_newest(folder)
    for text in skipped:
        warn(text)
    trainer.restore(state)
    if (returns := returned(folder)) > trainer.returns:  # it went back, and was killed before it came to a checkpoint
        trainer.go_back(state, returns)
    known = state.values.get(KEY)
    watch.restore(known)
    now = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(trainer.device)}
    changed = [f"{key} {state.values.get(key)} → {value}" for key, value in now.items() if state.values.get(key) != value]
    if changed:
        warn(f"resumed at iteration {iteration}; results will not be bit-identical: {', '.join(changed)}")
    return known


def _own_recipe(folder: RunFolder | None) -> Path:
    if folder is None or not folder.resolved.exists():
        raise RunFolderError(
            f"{folder and folder.path} holds no resolved.toml", remedy="name the recipe: ganforge run RECIPE --resume RUN"
        )
    return folder.resolved


def _changed(blueprint: Blueprint, folder: RunFolder) -> dict[str, tuple[str, str]]:
    """What differs from the recipe that a run began with: it goes on with the same one, but what moves no weight may change."""
    began, now = flatten(read_recipe(_own_recipe(folder)).recipe), flatten(blueprint.resolved)
    keys = sorted(key for key in began.keys() | now.keys() if began.get(key) != now.get(key))
    refused = [key for key in keys if not key.startswith(_MAY_CHANGE)]
    if refused:
        told = (f"{key}: {began.get(key, 'not set')} → {now.get(key, 'not set')}" for key in refused)
        raise UsageError(
            f"{folder.path.name} began with another recipe:\n  " + "\n  ".join(told),
            remedy="resume with the recipe it began with (ganforge run --resume alone takes it), or start a new run",
        )
    return {key: (began.get(key, ""), now.get(key, "")) for key in keys}
