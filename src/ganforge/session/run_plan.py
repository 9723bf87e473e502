"""What a run needs before its first iteration: a recipe that resolves, the versions it is locked to, and a trainer."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.build.blueprint import Blueprint, resolve_recipe
from ganforge.build.lock import (
    Lock,
    LockDifference,
    check_installed,
    check_parts,
    installed_differences,
    join_remedies,
    make_lock,
    part_differences,
    read_lock,
)
from ganforge.core.errors import RunFolderError, UsageError
from ganforge.core.redaction import mask_text
from ganforge.health.monitor import KEY, HealthMonitor
from ganforge.recipe.reader import RecipeSource, read_recipe
from ganforge.recipe.toml_writer import COSMETIC_KEYS, flatten
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import next_command
from ganforge.runs.run_index import find_trained
from ganforge.storage import checkpoints
from ganforge.storage.journal import read_kinds
from ganforge.storage.run_folder import RunFolder, data_folders
from ganforge.tracking.tracking_store import resolve_store

if TYPE_CHECKING:
    from ganforge.build.builder import Folders
    from ganforge.train.trainer import Trainer

_log = logging.getLogger(__name__)
_MAY_CHANGE = (*COSMETIC_KEYS, "metric", "health", "dataset.workers", "train.threads")
"""Keys that a resumed run may change, since they do not influence the weights, or only by rounding."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's options for a run; ``parent`` is the id of the sweep that it belongs to."""

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
class RunPlan:
    """A valid recipe, resolved. ``changed`` has the values of a resumed run before and now, by dotted key, "" for a missing one."""

    source: RecipeSource
    blueprint: Blueprint
    resumed: RunFolder | None = None
    changed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()  # of the recipe, as given

    @property
    def name(self) -> str:
        """Name of the run: the recipe's file name."""
        return self.source.path.stem

    @property
    def title(self) -> str:
        """The recipe's title without secrets, or its file name."""
        return mask_text(self.blueprint.recipe.title or self.name)

    @property
    def experiment(self) -> str:
        """Name of the experiment: the recipe's, or its file name."""
        return self.blueprint.recipe.tracking.experiment or self.name

    @property
    def recipe_folder(self) -> Path:
        """The folder to which the recipe's relative paths refer."""
        folder = self.source.path.parent
        if self.resumed is not None:
            identity = self.resumed.read_identity()
            folder = Path(identity.get("recipe_folder", folder))
        return folder.resolve()


def _resumed_lock(run: RunFolder, *, unlocked: bool) -> Lock | None:
    """The lock of a resumed run; ``None``, with a warning, where it is lost or may be ignored."""
    if not run.lock.exists():
        _log.warning("%s has no lock.json: whether it was created with the versions installed here is unknown", run.path.name)
        return None
    try:
        return read_lock(run.path)
    except RunFolderError as error:
        if not unlocked:
            raise RunFolderError(error.message, remedy="restore it, or give --unlocked to go on without it") from error
        _log.warning(error.message)
        return None


def prepare(options: Options) -> RunPlan:
    """Read and resolve the recipe, and compare it with the run it resumes and with locks. Imports no torch and creates nothing."""
    resumed = find_trained(options.resume, options.runs_dir) if options.resume else None
    if options.recipe is None and resumed is None:
        raise UsageError("no recipe was named", remedy="`ganforge run RECIPE`, or `ganforge run --resume RUN`")

    source = read_recipe(options.recipe or _own_recipe(resumed), options.overrides)
    if options.locked and options.locked.is_dir():
        RunFolder(options.locked).check()
    given = read_lock(options.locked) if options.locked else None
    former = _resumed_lock(resumed, unlocked=options.unlocked) if resumed else None
    if given:  # distributions and plugin files are compared before any of them runs
        check_installed(given, options.locked)
    if former and resumed:
        _check_resumed(resumed, installed_differences(former, resumed.path), unlocked=options.unlocked)
    blueprint = _resolve(source, options)
    plan = RunPlan(source, blueprint, resumed, _changed(blueprint, resumed) if resumed else {}, options.overrides)
    if given or former:
        now = make_lock(blueprint, plan.recipe_folder)
        if given:
            check_parts(given, now)
        if former and resumed:
            _check_resumed(resumed, part_differences(former, now), unlocked=options.unlocked)
    return plan


def _resolve(source: RecipeSource, options: Options) -> Blueprint:
    """Resolve the recipe and log the warnings; a store that MLflow can never accept is refused."""
    registry = load_plugins()
    blueprint, store = resolve_recipe(source, registry), resolve_store(options.tracking_uri)
    if blueprint.recipe.tracking.mode != "off":
        store.check()
    for warning in filter(None, (registry.warning, *map(str, blueprint.warnings))):
        _log.warning(warning)
    return blueprint


def _check_resumed(run: RunFolder, differences: Sequence[LockDifference], *, unlocked: bool) -> None:
    """A run continues with what it was created with, unless the user allows otherwise or a difference changes no weight."""
    name, grave = run.path.name, [one for one in differences if not one.minor]
    if grave and not unlocked:
        lines = "\n  ".join(one.message for one in grave)
        raise UsageError(
            f"{name} was created with different versions, files or data (see its lock.json); nothing was changed:\n  {lines}",
            remedy=f"{join_remedies(grave)}; or give --unlocked to go on with what is here",
        )
    for one in differences:
        _log.warning("%s was created with something else: %s; to restore it: %s", name, one.message, join_remedies([one]))


def component_folders(plan: RunPlan) -> Folders:
    """Where the components of a run look for files."""
    from ganforge.build.builder import Folders

    data, *others = data_folders()
    return Folders(plan.recipe_folder, data, tuple(others))


def assemble(plan: RunPlan, device: str) -> Trainer:
    """Build the trainer and run its parts on one another once; nothing is created on disk."""
    from ganforge.build.builder import build_trainer, choose_device
    from ganforge.build.dry_run import dry_run, find_known_bad_pairs

    trainer = build_trainer(plan.blueprint, device=choose_device(device), folders=component_folders(plan))
    _set_threads(trainer, plan.blueprint.recipe.train.threads)
    dry_run(plan.blueprint, trainer)
    for text in find_known_bad_pairs(plan.blueprint, trainer):
        _log.warning(text)
    for name, reason in trainer.evaluator.unavailable.items():
        _log.warning("metric '%s' is left out: %s", name, reason)
    return trainer


def _set_threads(trainer: Trainer, wanted: int | None) -> None:
    """Use as many threads as the recipe says, or one for small networks on the CPU (``benchmarks/threads.py``).

    Results depend on the number of threads, so the recipe or ``OMP_NUM_THREADS`` decides, and never how busy the computer is.
    """
    import torch
    from torch.nn.modules.conv import _ConvNd

    networks = trainer.networks.values()
    parameters = sum(parameter.numel() for network in networks for parameter in network.parameters())
    is_small = parameters < 10**6 and not any(isinstance(module, _ConvNd) for network in networks for module in network.modules())
    is_free = trainer.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ
    if threads := wanted or (1 if is_small and is_free else None):
        torch.set_num_threads(threads)


def restore(trainer: Trainer, monitor: HealthMonitor, folder: RunFolder) -> None:
    """Load the newest intact checkpoint; warn of what keeps results from being bit-identical."""
    import torch

    iteration, state, skipped = checkpoints.load_newest(folder)
    for text in skipped:
        _log.warning(text)
    trainer.restore(state)
    if (status := folder.read_status()) and status.status == "finished":  # after its last evaluation
        trainer.evaluated = True
    rollbacks = sum(1 for _ in read_kinds(folder.journal, "rollback"))
    if rollbacks > trainer.rollbacks:  # rolled back, then killed before its next checkpoint
        trainer.roll_back(state, rollbacks)
    monitor.restore(state.values.get(KEY))
    now = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(trainer.device)}
    now["training data"] = trainer.data_hash
    changed = [f"{key} {state.values.get(key)} → {value}" for key, value in now.items() if state.values.get(key) != value]
    if changed:
        _log.warning("resumed at iteration %d; results will not be bit-identical: %s", iteration, ", ".join(changed))


def _own_recipe(folder: RunFolder | None) -> Path:
    if folder is None or not folder.resolved.exists():
        raise RunFolderError(
            f"{folder and folder.path} has no resolved.toml", remedy="name the recipe: `ganforge run RECIPE --resume RUN`"
        )
    return folder.resolved


def _changed(blueprint: Blueprint, folder: RunFolder) -> dict[str, tuple[str, str]]:
    """The values that differ from the recipe that a run was created with; one that influences the weights is an error."""
    before, now = flatten(read_recipe(_own_recipe(folder)).recipe), flatten(blueprint.resolved)
    keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    refused = [key for key in keys if not key.startswith(_MAY_CHANGE)]
    if refused:
        lines = (f"{key}: {before.get(key, 'not set')} → {now.get(key, 'not set')}" for key in refused)
        raise UsageError(
            f"{folder.path.name} was created with another recipe:\n  " + "\n  ".join(lines),
            remedy=f"resume it with its own recipe: `{next_command('run', '--resume', folder.reference)}`; or start a new run",
        )
    return {key: (before.get(key, ""), now.get(key, "")) for key in keys}
