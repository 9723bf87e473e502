"""Build a trainer from a blueprint: data set, sampler, networks, losses, metrics, each with the sizes of those before it."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from ganforge.build.blueprint import Blueprint, check_expectations
from ganforge.build.lock import hash_data
from ganforge.build.parts import Part, named_parts, plugin_errors
from ganforge.core.contracts import (
    BuildContext,
    DataDependentInit,
    Dataset,
    DatasetContext,
    EvaluationProtocol,
    Loss,
    Metric,
    MetricContext,
    MetricInfo,
    MinimumSamples,
    Sampler,
    SamplerContext,
    StreamingDataset,
    TermInfo,
    TrainingDataMetric,
)
from ganforge.core.errors import GanforgeError, IncompatiblePartsError, PluginError
from ganforge.core.params import Schedule, value_at
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, GameSpec, LatentSpec, Normalization, OwnType
from ganforge.games.checked_calls import describe, draw_latents
from ganforge.games.game import Game, GameContext, Objective, WeightedLoss
from ganforge.recipe.config import NetworkTable, Recipe
from ganforge.storage import strict_json
from ganforge.storage.run_folder import cache_folder
from ganforge.train.batches import Batches, InMemoryBatches, StreamedBatches
from ganforge.train.evaluator import Evaluator, ScheduledMetric, require_distinct, sample_caution, sample_count
from ganforge.train.modules import EMA, give_sizes
from ganforge.train.random_streams import derive, seeded
from ganforge.train.real_samples import sample_source, training_samples
from ganforge.train.trainer import TrainConfig, Trainer
from ganforge.train.updates import ScheduledOptimizer, eager

_log = logging.getLogger(__name__)

_SCALE_SAMPLES = 10_000
"""Training samples, at most, from which the scale of the data is judged."""
_LARGE_VALUE, _LARGE_PIXEL, _SMALL_SPREAD = 100.0, 10.0, 0.01
"""Values of points and images above which, and standard deviations below which, networks with usual weights learn badly."""
_INIT_VALUES = 40_000_000
"""Values of the training data for data-dependent initialisation, at most; 160 MB, all of MNIST's 50,000 images."""

_NO_COPY = (
    "hold no open files or graphs, and use methods as hooks; torch.nn.utils.parametrizations.weight_norm can be copied, "
    "torch.nn.utils.weight_norm cannot"
)

_OPTIMIZERS: dict[str, Any] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


_DECLARED: dict[str, Any] = {
    "second_order": bool,
    "logits_are_log_odds": bool,
    "term_info": Mapping,
    "value_info": Mapping,
    "protocol": Mapping,
    "min_samples": int,
    "held_out_size": int,
    "uses_training_data": bool,
    "needs_distinct_real": bool,
}
"""What samplers, data sets, losses and metrics may declare, by the attribute's name."""
_DESCRIBED: dict[str, type] = {"term_info": TermInfo, "value_info": MetricInfo}


@dataclass(frozen=True, slots=True)
class Folders:
    """Where components look for files: paths in params are relative to ``recipe``; ``fallbacks`` are further data folders."""

    recipe: Path
    data: Path
    fallbacks: tuple[Path, ...] = ()
    cache: Path = field(default_factory=cache_folder)


def choose_device(wanted: str = "auto") -> torch.device:
    """The device for ``auto``, which prefers an accelerator, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``, if it is available."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise IncompatiblePartsError(f"unknown device '{wanted}'", remedy="use auto, cpu, cuda, cuda:1 or mps") from error

    available = {"cpu": True, "mps": mps, "cuda": cuda and (device.index or 0) < torch.cuda.device_count()}
    if not available.get(device.type, False):
        remedy = "use --device auto; `ganforge doctor` shows what torch finds"
        raise IncompatiblePartsError(f"the device '{wanted}' is not available", remedy=remedy)
    return device


def build_trainer(blueprint: Blueprint, *, device: torch.device, folders: Folders) -> Trainer:
    """Build every part and the trainer; a PluginError if a factory fails, or its result breaks the contract of its kind."""
    recipe, seed = blueprint.recipe, blueprint.recipe.train.seed
    dataset, batches, data = load_data(blueprint, device=device, folders=folders)
    sampler = build_sampler(blueprint.sampler, data)

    context = BuildContext(data, sampler.spec)
    networks = {role: _network(part, blueprint, context, batches, sampler, device) for role, part in blueprint.networks.items()}
    losses = [
        WeightedLoss(part.component.name, _build(part, context, derive(seed, part.key), Loss), table.weight, table.every)
        for part, table in zip(blueprint.losses, recipe.loss, strict=True)
    ]
    objective = Objective(losses, tuple(blueprint.spec.players) if blueprint.spec.needs_loss else ())
    game = _game(blueprint, context, networks, objective).to(device)
    metrics, unavailable = _metrics(blueprint, context, dataset, folders)
    check_expectations(blueprint, {name for metric in metrics for name in metric.value_info}, unavailable)
    with named_parts(blueprint.parts):
        evaluator = Evaluator(
            game=blueprint.spec,
            dataset=dataset,
            data=data,
            sampler=sampler,
            metrics=metrics,
            seed=seed,
            device=device,
            picture_samples=recipe.pictures.samples,
            unavailable=unavailable,
        )
    tables = recipe.network_tables
    trained = dict.fromkeys(role for player in game.players for role in player.networks)
    others = _loss_parameters(blueprint, game)
    optimizers = {role: _optimizer(networks[role], tables[role], others.get(role, ())) for role in trained}
    return Trainer(
        config=_train_config(recipe),
        game=game,
        optimizers=optimizers,
        averages={role: _average(blueprint.networks[role], networks[role]) for role in blueprint.spec.all_averaged},
        batches=batches,
        sampler=sampler,
        evaluator=evaluator,
        device=device,
    )


def load_data(blueprint: Blueprint, *, device: torch.device, folders: Folders) -> tuple[Dataset, Batches, DataSpec]:
    """The data set, its batches and its spec as networks see it; warns of values on whose scale networks do not learn well."""
    dataset = build_dataset(blueprint.dataset, seed=blueprint.recipe.train.seed, folders=folders)
    batches, data = _batches(dataset, blueprint.recipe, device)
    if text := _scale_problem(data, batches):
        _log.warning("dataset: %s", text)
    return dataset, batches, data


def build_dataset(part: Part, *, seed: int, folders: Folders) -> Dataset:
    """Build a data set."""
    context = DatasetContext(derive(seed, "data"), folders.recipe, folders.data, folders.fallbacks)
    dataset: Dataset = _build(part, context, derive(seed, "data"), Dataset)
    return dataset


def build_sampler(part: Part, data: DataSpec) -> Sampler:
    """Build a sampler."""
    sampler: Sampler = _build(part, SamplerContext(data), 0, Sampler)  # latents depend on the run's seed, samplers do not
    return sampler


def build_network(part: Part, spec: GameSpec, sizes: BuildContext, *, seed: int) -> nn.Module:
    """Build a network for its role in a game, with weights drawn from its own random stream; ``sizes`` are those of the run."""
    role = str(part.role)
    network: nn.Module = _build(part, role_context(spec, role, sizes), derive(seed, "initialisation", role), nn.Module)
    return network


def role_context(spec: GameSpec, role: str, sizes: BuildContext) -> BuildContext:
    """The build context of a network with this role; ``sizes`` are those of the run."""
    adapt = spec.networks[role].sizes
    return sizes if adapt is None else adapt(sizes)


def build_metric(part: Part, context: MetricContext, *, seed: int, samples: int) -> Metric:
    """Build a metric that will be measured on this number of samples; an IncompatiblePartsError if it needs more."""
    metric: Metric = _build(part, context, derive(seed, part.key), Metric)
    if isinstance(metric, MinimumSamples) and samples < metric.min_samples:
        raise IncompatiblePartsError(
            f"{part.key}: metric '{part.component.name}' needs at least {metric.min_samples:,} samples, got {samples:,}",
            remedy=f"set {part.key}.samples = {metric.min_samples}",
        )
    return metric


def metric_context(sizes: BuildContext, dataset: Part, folders: Folders) -> MetricContext:
    """The context of a recipe's metrics; its data set is built at most once, when the first metric asks for it."""
    # one seed for all runs, so that a classifier trained on the data is the same for all
    build = functools.cache(functools.partial(build_dataset, dataset, seed=0, folders=folders))
    return MetricContext(sizes.data, sizes.latent, folders.recipe, folders.cache, build)


def data_hashes(dataset: Part, folder: Path) -> dict[str, str]:
    """SHA-256 of a data set's files and folders, as in ``lock.json``, by the parameter that names each."""
    return {one.key.rpartition(".")[2]: one.sha256 for one in hash_data(dataset, folder)}


def metric_protocol(
    part: Part, metric: Metric, dataset: Part, *, data_hashes: Mapping[str, str], samples: int, use_ema: bool, seed: int
) -> dict[str, object]:
    """How a metric is measured, as plain data stored with every value; ``data_hashes`` replace the data set's paths."""
    own = metric.protocol if isinstance(metric, EvaluationProtocol) else {}
    uses_training_data = isinstance(metric, TrainingDataMetric) and metric.uses_training_data
    training_only = frozenset() if uses_training_data else dataset.params.training_only
    paths = [name for name, value in part.params if isinstance(value, Path)] if "sha256" in own else []
    # hashes of local plugin files, which may change without a new revision
    code, data_code = part.component.plugin.sha256, dataset.component.plugin.sha256
    return {
        "metric": part.identity,
        **({"code": code} if code else {}),
        "params": {name: value for name, value in part.filled.items() if name not in paths},
        "samples": samples,
        "real": "held out",
        "data": dataset.identity,
        **({"data.code": data_code} if data_code else {}),
        "data.params": {name: value for name, value in dataset.filled.items() if name not in training_only | data_hashes.keys()},
        **({"data.sums": dict(data_hashes)} if data_hashes else {}),
        "generator": "ema" if use_ema else "raw",
        "mode": "eval",
        "seed": seed,
        **{f"metric.{key}": _storable(value) for key, value in own.items()},
    }


def _build(part: Part, context: object, seed: int, contract: Any) -> Any:
    """The result of a part's factory, with its own random stream; a PluginError if it does not fulfil the contract of its kind."""
    factory = part.component.load_factory()
    with _build_errors(part), seeded(seed):
        built = factory(part.params, context)
        if fault := _contract_fault(built, contract):
            raise PluginError(f"{part.title} {fault}", remedy=part.report_hint)
    return built


def _contract_fault(built: object, contract: Any) -> str | None:
    """What a component lacks or declares wrongly, or ``None``. Its attributes may be properties, which may raise anything."""
    if contract is nn.Module:
        return None if isinstance(built, nn.Module) else f"is {describe(built)}, not a torch.nn.Module"
    members = (name for name in {**contract.__annotations__, **vars(contract)} if not name.startswith("_"))
    if missing := [name for name in members if not hasattr(built, name)]:
        return f"is {describe(built)} without {' and '.join(missing)}"
    for name, declared in {**_DECLARED, "spec": DataSpec if contract is Dataset else LatentSpec}.items():
        if not isinstance(value := getattr(built, name, None), declared | None):
            return f"declares {name} = {describe(value)}, expected {declared.__name__}"
    spec_fault = {Dataset: _spec_fault, Sampler: _latent_fault}.get(contract)
    if spec_fault and (fault := spec_fault(getattr(built, "spec", None))):
        return f"declares spec.{fault}"
    for name, declared in _DESCRIBED.items():
        for key, value in getattr(built, name, {}).items():
            if not isinstance(key, str) or not isinstance(value, declared):
                return f"declares {name}[{key!r}] = {describe(value)}, expected a {declared.__name__}"
            if declared is TermInfo and not callable(getattr(built, key.partition("/")[0], None)):
                return f'declares the term {key!r}, but has no method for a player of that name: expected "PLAYER/NAME"'
    return None


def _spec_fault(spec: Any) -> str | None:
    """What a spec of data declares wrongly, or ``None``; it may hold values of any type."""
    if not isinstance(spec.shape, tuple) or not spec.shape or not all(isinstance(side, int) and side > 0 for side in spec.shape):
        return f"shape = {spec.shape!r}, expected a tuple of positive integers"
    return _classes_fault(spec.classes, spec.class_names, spec.class_shares) or _range_fault(spec)


def _latent_fault(spec: Any) -> str | None:
    """What a spec of latents declares wrongly, or ``None``; it may hold values of any type."""
    for name, least in (("noise", 0), ("continuous", 0), ("classes", 1)):
        number = getattr(spec, name)
        if not (isinstance(number, int) and number >= least) and not (number is None and name == "classes"):
            return f"{name} = {number!r}, expected an integer from {least}"
    categorical = spec.categorical
    if not isinstance(categorical, tuple) or not all(isinstance(count, int) and count > 0 for count in categorical):
        return f"categorical = {categorical!r}, expected a tuple of positive integers"
    return None if spec.width or spec.classes else "noise = 0, without labels and codes"


def _classes_fault(classes: Any, names: Any, shares: Any) -> str | None:
    if classes is not None and (not isinstance(classes, int) or classes < 1):
        return f"classes = {classes!r}, expected a positive integer or None"
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names) or len(names) not in (0, classes):
        return f"class_names = {names!r:.200}, expected a tuple of {classes or 0} strings"
    if len(set(names)) < len(names):
        return f"class_names = {names!r:.200}, which are not all different"
    if len(shares) not in (0, classes) or (shares and not math.isclose(sum(shares), 1, rel_tol=1e-3)):
        return f"class_shares = {shares!r:.200}, expected {classes or 0} numbers whose sum is 1"
    return None


def _range_fault(spec: Any) -> str | None:
    for name in ("value_range", "own_range"):
        bounds = getattr(spec, name)
        is_pair = isinstance(bounds, tuple) and len(bounds) == 2 and all(isinstance(bound, int | float) for bound in bounds)
        if bounds is not None and not (is_pair and -math.inf < bounds[0] < bounds[1] < math.inf):
            return f"{name} = {bounds!r}, expected two numbers in order"
    if spec.own_range is not None and spec.value_range is None:
        return f"own_range = {spec.own_range!r} without a value_range"
    if spec.own_type not in get_args(OwnType):
        return f"own_type = {spec.own_type!r}, expected one of {', '.join(get_args(OwnType))}"
    return None


def _build_errors(part: Part) -> AbstractContextManager[None]:
    return plugin_errors(part, f"{part.title} {part.component.plugin.version} cannot be built", part.remedy)


def _batches(dataset: Dataset, recipe: Recipe, device: torch.device) -> tuple[Batches, DataSpec]:
    """The training data, in memory or streamed if the data set can be, and its spec as networks see it."""
    table, size, seed = recipe.dataset, recipe.train.batch_size, recipe.train.seed
    if isinstance(dataset, StreamingDataset):
        if table.standardise:
            raise IncompatiblePartsError("streamed data cannot be standardised", remedy="set dataset.standardise = false")
        source = sample_source(dataset)
        return StreamedBatches(source, dataset.spec, size=size, seed=seed, device=device, workers=table.workers), dataset.spec
    training = training_samples(dataset)
    data = _standardised(dataset.spec, training) if table.standardise else dataset.spec
    return InMemoryBatches(
        Samples(data.normalize(training.values), training.labels), data, size=size, seed=seed, device=device
    ), data


def _scale_problem(data: DataSpec, batches: Batches) -> str | None:
    """What is wrong with the scale of the values that networks see; ``None`` if nothing is, or their range is declared."""
    if data.value_range is not None or data.normalization is not None or isinstance(batches, StreamedBatches):
        return None
    values = batches.subsample(_SCALE_SAMPLES).values.flatten(1).double()
    greatest, spread = values.abs().amax(0), values.std(0, correction=0)
    worst = int(greatest.argmax())
    if data.is_image:
        if greatest[worst] <= _LARGE_PIXEL:
            return None
        low, high = float(values.min()), float(values.max())
        return f"the images' values go from {low:g} to {high:g}; rescale them to [-1, 1] and declare value_range"
    advice = "set dataset.standardise = true to train on mean 0 and variance 1"
    if greatest[worst] > _LARGE_VALUE:
        return f"values of feature {worst} (counted from 0) go up to {float(greatest[worst]):g}, and networks see them so; {advice}"
    if len(values) > 1 and not bool(spread.min() > 0):
        return f"feature {int(spread.argmin())} (counted from 0) is the same in all samples; leave it out"
    if len(values) > 1 and float((greatest / spread).max()) > _LARGE_VALUE:
        worst = int((greatest / spread).argmax())
        low, high = float(values[:, worst].min()), float(values[:, worst].max())
        return f"feature {worst} (counted from 0) goes from {low:g} to {high:g} only, far from 0; {advice}"
    if len(values) > 1 and spread.max() < _SMALL_SPREAD:
        return f"the values of all features differ by less than {_SMALL_SPREAD:g}, and networks see them so; {advice}"
    return None


def _standardised(spec: DataSpec, training: Samples) -> DataSpec:
    """The spec with every feature scaled to mean 0 and variance 1."""
    if spec.is_image:
        advice = "" if spec.value_range else "; to train on values from -1 to 1, store them so"
        raise IncompatiblePartsError("images cannot be standardised", remedy=f"drop dataset.standardise{advice}")
    values = training.values.flatten(1).double()
    scale = values.std(0) if len(values) > 1 else torch.zeros(spec.size)
    if not bool((scale > 0).all()):
        feature, rows = int((~(scale > 0)).nonzero()[0]), len(values)
        raise IncompatiblePartsError(
            f"feature {feature} is the same in all {rows} training samples: data without spread cannot be standardised",
            remedy="leave it out of the data, or set dataset.standardise = false",
        )
    normalization = Normalization(tuple(values.mean(0).tolist()), tuple(scale.tolist()))
    return replace(spec, normalization=normalization, value_range=None)


def _network(
    part: Part, blueprint: Blueprint, sizes: BuildContext, batches: Batches, sampler: Sampler, device: torch.device
) -> nn.Module:
    """A network as training begins with it: lazy modules have their sizes from a first use, and its weights fit the data."""
    seed, role = blueprint.recipe.train.seed, str(part.role)
    network = build_network(part, blueprint.spec, sizes, seed=seed)
    with named_parts(blueprint.parts):
        inputs = example_inputs(blueprint.spec, role, sizes, batches, draw_latents(sampler, 2, torch.Generator().manual_seed(0)))
    with _build_errors(part), seeded(derive(seed, "initialisation", "lazy", role)):
        give_sizes(network, inputs)
    if isinstance(network, DataDependentInit):
        with _build_errors(part), seeded(derive(seed, "start", role)), torch.no_grad():
            network.init_from_data(batches.subsample(max(1, _INIT_VALUES // sizes.data.size)))
    if name := next((name for name, weight in network.named_parameters() if weight.requires_grad and weight.is_complex()), None):
        remedy = "keep the real and the imaginary part, with torch.view_as_real"
        raise PluginError(f"{part.title} has the complex weights '{name}', which optimizers cannot train", remedy=remedy)
    with _build_errors(part):
        network.to(device)
    return network


def example_inputs(spec: GameSpec, role: str, sizes: BuildContext, batches: Batches, latent: Latent) -> Latent | Samples:
    """What a network of this role may get: the latents, or as many samples of its own sizes."""
    if spec.networks[role].kind == "generator":
        return latent
    own = role_context(spec, role, sizes).data
    count = len(latent)
    if own.shape == sizes.data.shape:
        return replace(batches.subsample(count), latent=None)
    return Samples(torch.zeros(count, *own.shape), None, latent)


def _game(blueprint: Blueprint, sizes: BuildContext, networks: Mapping[str, nn.Module], objective: Objective) -> Game:
    part = blueprint.game
    context = GameContext(blueprint.spec, networks, objective, sizes.data, sizes.latent, blueprint.recipe.train.discriminator_steps)
    game = _build(part, context, derive(blueprint.recipe.train.seed, part.key), nn.Module)
    if not isinstance(game, Game):
        raise PluginError(f"{part.title} is {describe(game)}, not a ganforge.plugin.Game", remedy=part.report_hint)
    declared = {player.name: player.networks for player in game.players}
    if declared != dict(blueprint.spec.players):
        fault = f"has the players {declared}, its spec declares {dict(blueprint.spec.players)}"
        raise PluginError(f"{part.title} {fault}", remedy=part.report_hint)
    return game


def _loss_parameters(blueprint: Blueprint, game: Game) -> dict[str, list[nn.Parameter]]:
    """Parameters of losses by the network whose optimizer trains them: the first one of the player that the loss has terms for."""
    found: dict[str, list[nn.Parameter]] = {}
    for index, module in game.objective.modules.items():
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        players = [player for player in game.players if game.objective.has_terms(index, player.name)]
        if parameters and len(players) != 1:
            part, names = blueprint.losses[index], " and ".join(player.name for player in players)
            raise PluginError(
                f"{part.title} has parameters and terms for {names}, so that it is not clear who trains them",
                remedy="give it terms for one player only, or freeze the parameters with requires_grad_(False)",
            )
        if parameters:
            found.setdefault(players[0].networks[0], []).extend(parameters)
    return found


def _average(part: Part, network: nn.Module) -> EMA:
    with plugin_errors(part, f"{part.title} cannot be copied, which its moving average needs", _NO_COPY):
        return EMA(network)


def _metrics(
    blueprint: Blueprint, sizes: BuildContext, dataset: Dataset, folders: Folders
) -> tuple[list[ScheduledMetric], dict[str, str]]:
    """The metrics, and why optional ones are not available."""
    train, context = blueprint.recipe.train, metric_context(sizes, blueprint.dataset, folders)
    default_every = max(1, train.iterations // 10)
    hashes = data_hashes(blueprint.dataset, folders.recipe) if blueprint.metrics else {}
    metrics, unavailable = [], {}
    for part, table in zip(blueprint.metrics, blueprint.recipe.metric, strict=True):
        name, samples = table.name or part.component.name, sample_count(table.samples, dataset)
        try:
            metric = build_metric(part, context, seed=train.seed, samples=samples)
            require_distinct(metric, name, dataset, samples)
        except GanforgeError as error:
            if not table.optional:
                raise
            unavailable[name] = str(error)
            continue
        protocol = metric_protocol(
            part,
            metric,
            blueprint.dataset,
            data_hashes=hashes,
            samples=samples,
            use_ema=train.ema_decay != 0,
            seed=train.seed,
        )
        remedy = f"set {part.key}.optional = true to train without its values, or {part.report_hint}"
        every = table.every or default_every
        caution = sample_caution(metric, dataset, samples)
        if caution:
            more = (
                "hold out more of the data" if table.samples is None else f"remove or change {part.key}.samples, or hold out more"
            )
            _log.warning("%s: metric '%s' is unreliable: %s; %s", part.key, name, caution, more)
        metrics.append(ScheduledMetric(name, metric, every, samples, protocol, table.optional, remedy, caution))
    return metrics, unavailable


def _train_config(recipe: Recipe) -> TrainConfig:
    train, health = recipe.train, recipe.health
    return TrainConfig(
        iterations=train.iterations,
        seed=train.seed,
        picture_every=recipe.pictures.every or max(1, train.iterations // 40),
        save_every=recipe.checkpoints.every or max(1, train.iterations // 10),
        updates=train.updates,
        ema_decay=train.ema_decay,
        diagnostics_every=health.every if health.enabled else 0,
        health_samples_every=health.sample_interval(train.iterations) if health.enabled and health.sample_checks else 0,
        health_samples=health.samples,
    )


def _optimizer(network: nn.Module, table: NetworkTable, others: Sequence[nn.Parameter]) -> ScheduledOptimizer:
    """The optimizer of a network and of ``others``, with its scheduled settings; fused kernels update all tensors in one call."""
    settings = {key: value for key, value in table.optimizer if key != "use"}
    schedules = {key: value for key, value in settings.items() if isinstance(value, Schedule)}
    fixed: dict[str, Any] = {key: value_at(value, 0, 1) for key, value in settings.items()}
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        remedy = (
            "set requires_grad on its weights, or create them in __init__; for a network without weights there is nothing to train"
        )
        raise IncompatiblePartsError(f"the network '{table.use}' has no trainable parameters", remedy=remedy)
    kind = _OPTIMIZERS[table.optimizer.use]
    optimizer = eager(kind)([*parameters, *others], **fixed, **({} if kind is torch.optim.RMSprop else {"fused": True}))
    return ScheduledOptimizer(optimizer, schedules)


def _storable(value: object) -> object:
    """A plugin's value, or its ``repr`` if JSON cannot represent it."""
    try:
        strict_json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
