"""A run measured again from its folder: data set, networks and metrics built anew, weights from the newest checkpoint."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import nn

from ganforge.build.builder import Folders, build_dataset, build_metric, build_network, choose_device, metric_context
from ganforge.build.lock import read_lock
from ganforge.build.lock_differences import data_differences
from ganforge.build.parts import Part
from ganforge.build.protocols import data_hashes, protocol
from ganforge.build.run_parts import EvaluationParts, resolve_evaluation_parts
from ganforge.core.contracts import BuildContext, Dataset, MetricContext, MetricInfo
from ganforge.core.errors import DataError, GanforgeError, IncompatiblePartsError, PluginError, RecipeError, UsageError
from ganforge.core.isolation import describe_error, isolated
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.tables import MetricTable, Recipe
from ganforge.recipe.toml_writer import toml_value as toml
from ganforge.registry.plugin_loader import load_plugins
from ganforge.runs.loaded_generator import LoadedGenerator, load_weights
from ganforge.runs.metric_args import Request, requests
from ganforge.runs.run_lookup import read_run_recipe
from ganforge.storage import checkpoints
from ganforge.storage.data_folders import data_folders
from ganforge.storage.run_folder import RunFolder
from ganforge.train.evaluator import Evaluator, ScheduledMetric, value_key
from ganforge.train.modules import load_network

_log = logging.getLogger(__name__)
_MANY_SHARED = 0.01
"""Share of equal samples in two draws of real ones above which a floor is too low to be believed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks.

    Attributes:
        metrics: ``NAME`` or ``NAME:key=value,…``; those of the recipe unless given.
        samples: generated samples, and as many real ones; each metric's own number unless given.
        seed: seed of the draws; the run's own unless given.
        weights: the moving average of the generator, or what training moves.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        floor: whether other real samples are measured in the place of generated ones too.
    """

    metrics: tuple[str, ...] = ()
    samples: int | None = None
    seed: int | None = None
    weights: Literal["average", "raw"] = "average"
    device: str = "auto"
    floor: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Attributes:
        metric: name of the metric that gave it; its protocol stands under that name.
        value: the value.
        measure: what it means.
        known_floor: the value that a perfect generator has on average at this sample size, where the metric knows it.
        floor: the value of other real samples by the same protocol, where that was asked for and can be measured.
    """

    metric: str
    value: float
    measure: MetricInfo
    known_floor: float | None = None
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of measuring a run again.

    Attributes:
        folder: the run's.
        iteration: of the weights that were measured.
        weights: ``average`` or ``raw``.
        seed: of the draws.
        device: where the networks were.
        values: by ``"wasserstein"`` or ``"modes/captured"``.
        protocols: by metric.
        failed: what could not be measured, as it was asked for, and why.
        remarks: what else the user should know.
    """

    folder: RunFolder
    iteration: int
    weights: str
    seed: int
    device: str
    values: Mapping[str, Value]
    protocols: Mapping[str, Mapping[str, object]]
    failed: Mapping[str, GanforgeError]
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class _Sitting:
    """A run that is being measured."""

    recipe: Recipe
    parts: EvaluationParts
    generator: LoadedGenerator
    discriminator: nn.Module | None
    context: MetricContext
    sums: Mapping[str, str]
    evaluator: Evaluator
    wish: Wish
    seed: int
    remarks: list[str] = field(default_factory=list)


def evaluate(folder: RunFolder, wish: Wish) -> Evaluated:
    """Measure a run again. What a single metric cannot do is told in the result, and stops no other one.

    Args:
        folder: the run's folder; :func:`ganforge.runs.evaluation_records.record` records there what is measured.
        wish: what is asked.

    Raises:
        GanforgeError: the run cannot be measured at all: no checkpoint, a missing data set, a generator that is not installed.
    """
    begun = read_run_recipe(folder)
    asked = requests(wish.metrics, begun.table.get("metric", []), wish.samples)
    sitting = _sitting(folder, wish, asked, begun.recipe)
    values: dict[str, Value] = {}
    protocols: dict[str, Mapping[str, object]] = {}
    failed: dict[str, GanforgeError] = {}
    for request, part in zip(asked, sitting.parts.metrics, strict=True):
        _log.info("%s: measuring %s", folder.path.resolve().name, request.name)
        try:
            values |= _measured(sitting, request, part, protocols)
        except GanforgeError as error:
            failed[request.text] = _plainly(error)
    return Evaluated(
        folder=folder,
        iteration=sitting.generator.iteration,
        weights=wish.weights,
        seed=sitting.seed,
        device=str(sitting.generator.device),
        values=values,
        protocols=protocols,
        failed=failed,
        remarks=tuple(dict.fromkeys(sitting.remarks)),
    )


def _sitting(folder: RunFolder, wish: Wish, asked: Sequence[Request], recipe: Recipe) -> _Sitting:
    source = read_recipe(folder.resolved, (f"metric={toml([request.table for request in asked])}",))
    iteration, state, skipped = checkpoints.load_newest(folder)
    device = choose_device(wish.device)
    generator = load_weights(folder, iteration, state.tensors, average=wish.weights == "average", device=str(device))
    parts = resolve_evaluation_parts(source, load_plugins())
    run_seed = recipe.train.seed
    remarks = [*skipped]
    folders = _folders(folder)
    dataset = _dataset(folder, parts.dataset, generator, run_seed, folders, remarks)
    sizes = BuildContext(generator.data, generator.latent)
    discriminator = None
    if isinstance(parts.discriminator, Part):
        discriminator = build_network(parts.discriminator, sizes, seed=0)
        load_network("discriminator", discriminator, state.tensors)
        discriminator.to(device).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
    else:
        remarks.append(f"measured without the discriminator: {_plainly(parts.discriminator)}")
    seed = run_seed if wish.seed is None else wish.seed
    evaluator = Evaluator(
        dataset=dataset, data=generator.data, sampler=generator.sampler, metrics=(), seed=seed, device=device, picture_samples=1
    )
    context = metric_context(sizes, parts.dataset, folders)
    sums = data_hashes(parts.dataset, folders.recipe)
    return _Sitting(recipe, parts, generator, discriminator, context, sums, evaluator, wish, seed, remarks)


def _folders(folder: RunFolder) -> Folders:
    """Where the run's components look for files today."""
    identity = folder.read_json(folder.identity) or {}
    data, *others = data_folders()
    return Folders(Path(identity.get("recipe_folder", folder.path)), data, tuple(others))


def _dataset(folder: RunFolder, part: Part, generator: LoadedGenerator, seed: int, folders: Folders, remarks: list[str]) -> Dataset:
    """The run's data set as it is now."""
    if folder.lock.exists():
        changes = data_differences(read_lock(folder.path), part, folders.recipe)
        remarks += [f"the data are not what the run was trained on: {one.message}" for one in changes]
    dataset = build_dataset(part, seed=seed, folders=folders)
    if dataset.spec.shape != generator.data.shape:
        raise DataError(
            f"the data set '{part.component.name}' gives samples of the shape {dataset.spec.shape}, and the run was trained on "
            f"{generator.data.shape}",
            remedy="restore the data that the run was trained on",
        )
    return dataset


def _measured(
    sitting: _Sitting, request: Request, part: Part | GanforgeError, protocols: dict[str, Mapping[str, object]]
) -> dict[str, Value]:
    """The values of one metric; its protocol is put among ``protocols``."""
    if not isinstance(part, Part):
        raise part
    samples = int(request.table.get("samples", MetricTable.model_fields["samples"].default))
    metric = build_metric(part, sitting.context, seed=sitting.seed, samples=samples)
    scheduled = ScheduledMetric(request.name, metric, 1, samples)
    with _blaming(part):
        found = sitting.evaluator.measure(sitting.generator.network, sitting.discriminator, [scheduled]).values
    average = sitting.wish.weights == "average" and sitting.recipe.train.average != 0
    floors = _floors(sitting, scheduled, part) if sitting.wish.floor else {}
    protocols[request.name] = protocol(
        part, metric, sitting.parts.dataset, sums=sitting.sums, samples=samples, average=average, seed=sitting.seed
    )
    return {
        key: Value(request.name, value, measure, measure.floor(samples) if measure.floor else None, floors.get(key))
        for key, value in found.items()
        if (measure := scheduled.value_info.get(key)) is not None
    }


def _floors(sitting: _Sitting, scheduled: ScheduledMetric, part: Part) -> dict[str, float]:
    """What real samples reach in the place of generated ones; nothing where the metric looks at latents too."""
    try:
        with _blaming(part):
            found, shared = sitting.evaluator.measure_real(scheduled.metric, scheduled.samples, scheduled.name)
    except GanforgeError as error:
        sitting.remarks.append(f"no floor of {scheduled.name}: {_plainly(error)}")
        return {}
    if shared > _MANY_SHARED:
        sitting.remarks.append(
            f"the floor of {scheduled.name} is too good: {shared:.0%} of its real samples are drawn twice; give it fewer with -n"
        )
    return {value_key(scheduled.name, key): value for key, value in found.items()}


@contextmanager
def _blaming(part: Part) -> Iterator[None]:
    """Say whose the errors of a stranger's metric are."""
    component = part.component
    try:
        with isolated():
            yield
    except GanforgeError:
        raise
    except Exception as error:
        source = component.source()
        raise PluginError(
            f"metric '{component.id}' failed: {describe_error(error, source and source.parent)}",
            remedy=f"report it to the authors of {component.plugin.distribution}",
        ) from error


def _plainly(error: GanforgeError) -> GanforgeError:
    """A recipe's problems as the command line's own: the user wrote no recipe here."""
    if isinstance(error, IncompatiblePartsError | PluginError):
        return type(error)(_without_tables(error.message), remedy=error.remedy and _without_tables(error.remedy))
    if not isinstance(error, RecipeError):
        return error
    told = [f"{_inside(problem.key)}{problem.message}" for problem in error.problems]
    hints = [problem.hint for problem in error.problems if problem.hint]
    return UsageError("; ".join(told), remedy="; ".join(hints) or None)


def _without_tables(text: str) -> str:
    """``metric[0].params.order`` and ``metric[0].samples`` as they stand behind a colon, and no ``metric[0]`` before an error."""
    text = re.sub(r"^metric\[\d+\]: ", "", text)
    text = re.sub(r"\bmetric\[\d+\]\.(?=params\b(?!\.))", "the metric's ", text)
    text = re.sub(r"\bmetric\[\d+\]\.(params\.)?", "", text)
    return re.sub(r"\bmetric\[\d+\]", "the metric", text)


def _inside(key: str) -> str:
    """``order: `` for ``metric[0].params.order``."""
    inside = re.sub(r"^metric\[\d+\]\.?", "", key).removeprefix("params.")
    return "" if inside in ("", "use") or inside.endswith(".use") else f"{inside}: "
