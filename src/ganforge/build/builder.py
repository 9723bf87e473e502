"""From a blueprint to parts that fit: data → sampler → networks → losses → trainer, each handed the sizes of those before it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from ganforge.build.blueprint import Blueprint, check_expectations
from ganforge.build.parts import Part
from ganforge.build.protocols import data_hashes, protocol
from ganforge.core.contracts import (
    BuildContext,
    DataDependentInit,
    Dataset,
    DatasetContext,
    Loss,
    Metric,
    MetricContext,
    MinimumSamples,
    Sampler,
    SamplerContext,
    StreamingDataset,
)
from ganforge.core.errors import GanforgeError, IncompatiblePartsError, PluginError
from ganforge.core.isolation import describe_error, isolated
from ganforge.core.params import Schedule
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec, Scaling
from ganforge.games.two_player import TwoPlayerGame
from ganforge.recipe.tables import AdamTable, NetworkTable, Recipe, RmspropTable, SgdTable
from ganforge.storage.data_folders import cache_folder
from ganforge.train.batches import Batches, StreamedBatches
from ganforge.train.evaluator import Evaluator, ScheduledMetric, require_distinct
from ganforge.train.objective import Objective, WeightedLoss
from ganforge.train.random_streams import derive, seeded
from ganforge.train.trainer import TrainConfig, Trainer
from ganforge.train.turns import ScheduledOptimizer, eager

_SHOWN = 40_000_000
"""Numbers of the training data that a network may start from, 160 MB: all of MNIST's 50,000 images."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where components may look for files.

    Attributes:
        recipe: what relative paths in params are meant from.
        data: where prepared data sets lie.
        fallbacks: where to look for those that are not there.
        cache: where metrics keep what takes long to make.
    """

    recipe: Path
    data: Path
    fallbacks: tuple[Path, ...] = ()
    cache: Path = field(default_factory=cache_folder)


def choose_device(wanted: str = "auto") -> torch.device:
    """The device for ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``auto`` takes an accelerator where there is one.

    Raises:
        IncompatiblePartsError: the device is not here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise IncompatiblePartsError(f"no device is called '{wanted}'", remedy="use auto, cpu, cuda, cuda:1 or mps") from error

    here = {"cpu": True, "mps": mps, "cuda": cuda and (device.index or 0) < torch.cuda.device_count()}
    if not here.get(device.type, False):
        raise IncompatiblePartsError(
            f"the device '{wanted}' is not available here", remedy="use --device auto; `ganforge doctor` tells what torch sees"
        )
    return device


def build_trainer(blueprint: Blueprint, *, device: torch.device, folders: Folders) -> Trainer:
    """Build every part and join them to a trainer.

    Raises:
        IncompatiblePartsError: parts that do not fit each other.
        DataError: the data cannot be read.
        PluginError: a factory raised, or what it built is not what its kind promises.
    """
    recipe, seed = blueprint.recipe, blueprint.recipe.train.seed
    dataset = build_dataset(blueprint.dataset, seed=seed, folders=folders)
    batches, data = _batches(dataset, recipe, device)
    sampler = build_sampler(blueprint.sampler, data)

    context = BuildContext(data, sampler.spec)
    generator = _network(blueprint.generator, context, batches, seed).to(device)
    discriminator = _network(blueprint.discriminator, context, batches, seed).to(device)
    objective = Objective(_losses(blueprint, context, seed))
    metrics, left_out = _metrics(blueprint, context, dataset, folders)
    check_expectations(blueprint, {name for metric in metrics for name in metric.value_info}, left_out)
    evaluator = Evaluator(
        dataset=dataset,
        data=data,
        sampler=sampler,
        metrics=metrics,
        seed=seed,
        device=device,
        picture_samples=recipe.pictures.samples,
        unavailable=left_out,
    )
    return Trainer(
        config=_train_config(recipe),
        networks={"generator": generator, "discriminator": discriminator},
        game=TwoPlayerGame(
            generator,
            discriminator,
            objective,
            generator_optimizer=_optimizer(generator, recipe.generator),
            discriminator_optimizer=_optimizer(discriminator, recipe.discriminator),
            discriminator_steps=recipe.train.discriminator_steps,
        ),
        objective=objective,
        batches=batches,
        sampler=sampler,
        evaluator=evaluator,
        device=device,
    )


def build_dataset(part: Part, *, seed: int, folders: Folders) -> Dataset:
    """The data set of a recipe."""
    context = DatasetContext(derive(seed, "data"), folders.recipe, folders.data, folders.fallbacks)
    return cast("Dataset", _made(part, context, derive(seed, "data"), lambda made: isinstance(made, Dataset)))


def build_sampler(part: Part, data: DataSpec) -> Sampler:
    """The sampler of a recipe."""
    return cast("Sampler", _made(part, SamplerContext(data), 0, lambda made: isinstance(made, Sampler)))


def build_network(part: Part, context: BuildContext, *, seed: int) -> nn.Module:
    """A generator or discriminator, its weights drawn from a random stream of its own."""
    own_seed = derive(seed, "initialisation", part.component.kind)
    return cast("nn.Module", _made(part, context, own_seed, lambda made: isinstance(made, nn.Module)))


def _batches(dataset: Dataset, recipe: Recipe, device: torch.device) -> tuple[Batches | StreamedBatches, DataSpec]:
    """The training data in memory, or streamed where the data set can be, and its spec as networks see it."""
    table, size, seed = recipe.dataset, recipe.train.batch_size, recipe.train.seed
    if isinstance(dataset, StreamingDataset):
        if table.standardise:
            raise IncompatiblePartsError("data that is streamed is not standardised", remedy="set dataset.standardise = false")
        with isolated():
            source = dataset.streamed()
        return StreamedBatches(source, dataset.spec, size=size, seed=seed, device=device, workers=table.workers), dataset.spec
    training = dataset.training()
    data = _seen(dataset.spec, training, standardise=table.standardise)
    seen = Samples(data.normalize(training.values), training.labels)
    return Batches(seen, data, size=size, seed=seed, device=device), data


def _network(part: Part, context: BuildContext, batches: Batches | StreamedBatches, seed: int) -> nn.Module:
    """A network as training begins with it: one that starts from the data has been shown some."""
    network = build_network(part, context, seed=seed)
    if isinstance(network, DataDependentInit):
        with _blaming(part), seeded(derive(seed, "start", part.component.kind)), torch.no_grad():
            network.init_from_data(batches.subsample(max(1, _SHOWN // context.data.size)))
    return network


def _losses(blueprint: Blueprint, context: BuildContext, seed: int) -> list[WeightedLoss]:
    return [
        WeightedLoss(
            part.component.name, _made(part, context, derive(seed, part.key), lambda made: isinstance(made, Loss)), table.weight
        )
        for part, table in zip(blueprint.losses, blueprint.recipe.loss, strict=True)
    ]


def _metrics(
    blueprint: Blueprint, sizes: BuildContext, dataset: Dataset, folders: Folders
) -> tuple[list[ScheduledMetric], dict[str, str]]:
    """What is measured, and which optional metrics cannot be built, and why."""
    seed = blueprint.recipe.train.seed
    context = metric_context(sizes, blueprint.dataset, folders)
    default = max(1, blueprint.recipe.train.iterations // 10)
    sums = data_hashes(blueprint.dataset, folders.recipe) if blueprint.metrics else {}
    average = blueprint.recipe.train.average != 0
    scheduled, left_out = [], {}
    for part, table in zip(blueprint.metrics, blueprint.recipe.metric, strict=True):
        name = table.name or part.component.name
        try:
            metric = build_metric(part, context, seed=seed, samples=table.samples)
            require_distinct(metric, name, dataset, table.samples)
        except GanforgeError as error:
            if not table.optional:
                raise
            left_out[name] = str(error)
            continue
        stated = protocol(part, metric, blueprint.dataset, sums=sums, samples=table.samples, average=average, seed=seed)
        scheduled.append(ScheduledMetric(name, metric, table.every or default, table.samples, stated, table.optional))
    return scheduled, left_out


def metric_context(sizes: BuildContext, dataset: Part, folders: Folders) -> MetricContext:
    """What metrics of a recipe are built with; its data are read once for all that learn from them, and only if there are any."""

    @functools.cache
    def read() -> Dataset:
        return build_dataset(dataset, seed=0, folders=folders)

    return MetricContext(sizes.data, sizes.latent, folders.recipe, folders.cache, read)


def build_metric(part: Part, context: MetricContext, *, seed: int, samples: int) -> Metric:
    """A metric that is given so many samples.

    Raises:
        IncompatiblePartsError: it does not fit the data or latents, or needs more samples.
        PluginError: its factory raised.
    """
    metric = cast("Metric", _made(part, context, derive(seed, part.key), lambda made: isinstance(made, Metric)))
    if isinstance(metric, MinimumSamples) and samples < metric.min_samples:
        raise IncompatiblePartsError(
            f"{part.key}: metric '{part.component.name}' needs at least {metric.min_samples:,} samples, got {samples:,}",
            remedy=f"set {part.key}.samples = {metric.min_samples}",
        )
    return metric


def _made(part: Part, context: object, seed: int, is_right: Callable[[object], bool]) -> Any:
    """What the part's factory builds, drawing from a random stream of its own; its errors say whose they are."""
    component = part.component
    factory = component.load_factory()
    with _blaming(part), seeded(seed):
        made = factory(part.params, context)
    if not is_right(made):
        raise PluginError(
            f"{component.kind} '{component.id}' built a {type(made).__name__}, which lacks what a {component.kind} must have",
            remedy=f"run `ganforge plugins check {component.plugin.distribution}` and report it to its authors",
        )
    return made


@contextmanager
def _blaming(part: Part) -> Iterator[None]:
    """Say whose the errors of a stranger's code are."""
    component = part.component
    try:
        with isolated():
            yield
    except GanforgeError:
        raise
    except Exception as error:
        source = component.source()
        raise PluginError(
            f"{part.key}: {component.kind} '{component.id}' {component.plugin.version} cannot be built: "
            f"{describe_error(error, source and source.parent)}",
            remedy=f"change {part.key}.params; if they are right, report it to the authors of {component.plugin.distribution}",
        ) from error


def _seen(spec: DataSpec, training: Samples, *, standardise: bool) -> DataSpec:
    """The spec as networks see the data: standardised feature by feature, if the recipe says so."""
    if not standardise:
        return spec
    if spec.is_image:
        own = "" if spec.value_range else "; if networks are to see values from -1 to 1, store them so"
        raise IncompatiblePartsError("images are not standardised", remedy=f"drop dataset.standardise{own}")
    values = training.values.flatten(1).double()
    scale = values.std(0)
    if bool((scale <= 0).any()):
        raise IncompatiblePartsError(
            "a feature of the data never changes, so it cannot be standardised", remedy="set dataset.standardise = false"
        )
    return spec.scaled(Scaling(tuple(values.mean(0).tolist()), tuple(scale.tolist())))


def _train_config(recipe: Recipe) -> TrainConfig:
    train, health = recipe.train, recipe.health
    return TrainConfig(
        iterations=train.iterations,
        seed=train.seed,
        picture_every=recipe.pictures.every or max(1, train.iterations // 40),
        save_every=recipe.checkpoints.every or max(1, train.iterations // 10),
        updates=train.updates,
        ema_decay=train.average,
        diagnostics_every=health.every if health.on else 0,
        health_samples_every=health.between(train.iterations) if health.on and health.probes else 0,
        health_samples=health.samples,
    )


def _optimizer(network: nn.Module, table: NetworkTable) -> ScheduledOptimizer:
    """The optimizer of a network, with those of its numbers that move; the fused kernels take all tensors in one call."""
    optimizer = table.optimizer
    moving = {key: value for key, value in optimizer if isinstance(value, Schedule)}
    fixed: dict[str, Any] = {
        key: value.at(0, 1) if isinstance(value, Schedule) else value for key, value in optimizer if key != "use"
    }
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise IncompatiblePartsError(f"the network '{table.use}' has nothing to learn")
    match optimizer:
        case AdamTable(use="adam"):
            made: torch.optim.Optimizer = eager(torch.optim.Adam)(parameters, fused=True, **fixed)
        case AdamTable():
            made = eager(torch.optim.AdamW)(parameters, fused=True, **fixed)
        case SgdTable():
            made = eager(torch.optim.SGD)(parameters, fused=True, **fixed)
        case RmspropTable():
            made = eager(torch.optim.RMSprop)(parameters, **fixed)
    return ScheduledOptimizer(made, moving)
