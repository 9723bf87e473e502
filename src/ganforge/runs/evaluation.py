"""A run measured again from its folder: data set, networks and metrics are built anew, weights come from the newest checkpoint."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from ganforge.build.builder import build_metric, build_network, choose_device, metric_context
from ganforge.build.parts import Part, plugin_errors
from ganforge.build.protocols import data_hashes, metric_protocol
from ganforge.build.run_parts import EvaluationParts, resolve_evaluation_parts
from ganforge.core.contracts import BuildContext, MetricContext, MetricInfo
from ganforge.core.errors import DataError, GanforgeError, IncompatiblePartsError, PluginError, RecipeError, UsageError
from ganforge.recipe.layers import parse_value
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.tables import MetricTable, Recipe
from ganforge.recipe.toml_writer import toml_value
from ganforge.registry.plugin_loader import load_plugins
from ganforge.runs.loaded_generator import LoadedGenerator, load_weights, rebuild_dataset
from ganforge.runs.run_lookup import read_run_recipe
from ganforge.storage import checkpoints
from ganforge.storage.run_folder import RunFolder
from ganforge.train.evaluator import Evaluator, ScheduledMetric, value_key
from ganforge.train.modules import load_network

_MANY_SHARED = 0.01
"""Share of equal samples in two draws of real ones above which a floor is too low to be trusted."""
_TABLE_KEYS = ("samples", "name")
"""Keys beside ``params`` in a recipe's ``[[metric]]``; all others are the metric's own parameters."""
_FORM = "write --metric NAME or --metric NAME:key=value,key=value, such as --metric wasserstein:order=1,samples=500"
_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "\"'"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """The command line's options for an evaluation.

    Attributes:
        metrics: ``NAME`` or ``NAME:key=value,…``; those of the recipe unless given.
        samples: generated samples, and as many real ones; each metric's own number unless given.
        seed: seed of the draws; the run's own unless given.
        weights: the moving average of the generator, or its raw weights.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        floor: whether to measure other real samples in the place of generated ones too.
    """

    metrics: tuple[str, ...] = ()
    samples: int | None = None
    seed: int | None = None
    weights: Literal["average", "raw"] = "average"
    device: str = "auto"
    floor: bool = False


@dataclass(frozen=True, slots=True)
class EvaluatedValue:
    """One value.

    Attributes:
        metric: name of the metric that gave it, under which its protocol is found.
        value: the value.
        info: what it means.
        known_floor: the value that a perfect generator has on average at this sample size, where the metric knows it.
        floor: the value of other real samples by the same protocol, where requested and possible.
    """

    metric: str
    value: float
    info: MetricInfo
    known_floor: float | None = None
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The values of a run measured again.

    Attributes:
        folder: the run's folder.
        iteration: iterations of the weights.
        weights: ``average`` or ``raw``.
        seed: seed of the draws.
        device: where the networks were.
        values: by ``"wasserstein"`` or ``"modes/captured"``.
        protocols: by metric.
        failed: by the text of the request, why a metric could not be measured.
        remarks: what else the user should know.
    """

    folder: RunFolder
    iteration: int
    weights: str
    seed: int
    device: str
    values: Mapping[str, EvaluatedValue]
    protocols: Mapping[str, Mapping[str, object]]
    failed: Mapping[str, GanforgeError]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricRequest:
    """A metric to measure.

    Attributes:
        text: as written on the command line, or its name in the recipe.
        table: the ``[[metric]]`` table that it stands for: ``use``, ``name``, ``params``, ``samples``.
    """

    text: str
    table: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its values."""
        return str(self.table["name"])


@dataclass(slots=True)
class _Session:
    """A run that is being measured."""

    recipe: Recipe
    parts: EvaluationParts
    generator: LoadedGenerator
    discriminator: nn.Module | None
    context: MetricContext
    hashes: Mapping[str, str]
    evaluator: Evaluator
    request: EvaluationRequest
    seed: int
    remarks: list[str] = field(default_factory=list)


def evaluate(folder: RunFolder, request: EvaluationRequest) -> EvaluationResult:
    """Measure a run again. A metric that fails is part of the result and stops no other metric.

    Args:
        folder: the run's folder; :func:`ganforge.runs.evaluation_records.record_evaluation` records the result there.
        request: what to measure.

    Raises:
        GanforgeError: the run cannot be measured at all: no checkpoint, a missing data set, a generator that is not installed.
    """
    source = read_run_recipe(folder)
    wanted = parse_metric_args(request.metrics, source.table.get("metric", []), request.samples)
    session = _open(folder, request, wanted, source.recipe)
    values: dict[str, EvaluatedValue] = {}
    protocols: dict[str, Mapping[str, object]] = {}
    failed: dict[str, GanforgeError] = {}
    for metric, part in zip(wanted, session.parts.metrics, strict=True):
        _log.info("%s: measuring %s", folder.path.resolve().name, metric.name)
        try:
            values |= _measure(session, metric, part, protocols)
        except GanforgeError as error:
            failed[metric.text] = _without_recipe_keys(error)
    return EvaluationResult(
        folder=folder,
        iteration=session.generator.iteration,
        weights=request.weights,
        seed=session.seed,
        device=str(session.generator.device),
        values=values,
        protocols=protocols,
        failed=failed,
        remarks=tuple(dict.fromkeys(session.remarks)),
    )


def _open(folder: RunFolder, request: EvaluationRequest, wanted: Sequence[MetricRequest], recipe: Recipe) -> _Session:
    source = read_recipe(folder.resolved, (f"metric={toml_value([one.table for one in wanted])}",))
    iteration, state, skipped = checkpoints.load_newest(folder)
    device = choose_device(request.device)
    generator = load_weights(folder, iteration, state.tensors, average=request.weights == "average", device=str(device))
    parts = resolve_evaluation_parts(source, load_plugins())
    seed = recipe.train.seed if request.seed is None else request.seed
    found = rebuild_dataset(folder, parts.dataset, seed=recipe.train.seed)
    remarks = [*skipped, *(f"the data differ from those that the run was trained on: {change}" for change in found.changes)]
    data, shape = found.dataset, generator.data.shape
    if data.spec.shape != shape:
        raise DataError(
            f"the data set '{parts.dataset.component.name}' has samples of shape {data.spec.shape}, the run was trained on {shape}",
            remedy="restore the data that the run was trained on",
        )
    sizes, sampler = BuildContext(generator.data, generator.latent), generator.sampler
    discriminator = None
    if isinstance(parts.discriminator, Part):
        discriminator = build_network(parts.discriminator, sizes, seed=0)
        load_network("discriminator", discriminator, state.tensors)
        discriminator.to(device).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
    else:
        remarks.append(f"measured without the discriminator: {_without_recipe_keys(parts.discriminator)}")
    evaluator = Evaluator(
        dataset=data, data=generator.data, sampler=sampler, metrics=(), seed=seed, device=device, picture_samples=1
    )
    context, hashes = metric_context(sizes, parts.dataset, found.folders), data_hashes(parts.dataset, found.folders.recipe)
    return _Session(recipe, parts, generator, discriminator, context, hashes, evaluator, request, seed, remarks)


def _measure(
    session: _Session, request: MetricRequest, part: Part | GanforgeError, protocols: dict[str, Mapping[str, object]]
) -> dict[str, EvaluatedValue]:
    """The values of one metric; its protocol is added to ``protocols``."""
    if not isinstance(part, Part):
        raise part
    samples = int(request.table.get("samples", MetricTable.model_fields["samples"].default))
    metric = build_metric(part, session.context, seed=session.seed, samples=samples)
    scheduled = ScheduledMetric(request.name, metric, 1, samples)
    with plugin_errors(part, f"metric '{part.component.id}' failed"):
        found, _ = session.evaluator.measure(session.generator.network, session.discriminator, [scheduled])
    average = session.request.weights == "average" and session.recipe.train.ema_decay != 0
    floors = _floors(session, scheduled, part) if session.request.floor else {}
    protocols[request.name] = metric_protocol(
        part, metric, session.parts.dataset, data_hashes=session.hashes, samples=samples, use_ema=average, seed=session.seed
    )
    return {
        key: EvaluatedValue(request.name, value, info, info.floor(samples) if info.floor else None, floors.get(key))
        for key, value in found.items()
        if (info := scheduled.value_info.get(key)) is not None
    }


def _floors(session: _Session, scheduled: ScheduledMetric, part: Part) -> dict[str, float]:
    """The values of real samples in the place of generated ones; none where the metric looks at latents too."""
    try:
        with plugin_errors(part, f"metric '{part.component.id}' failed"):
            found, shared = session.evaluator.measure_real(scheduled.metric, scheduled.samples, scheduled.name)
    except GanforgeError as error:
        session.remarks.append(f"no floor of {scheduled.name}: {_without_recipe_keys(error)}")
        return {}
    if shared > _MANY_SHARED:
        session.remarks.append(
            f"the floor of {scheduled.name} is too good: {shared:.0%} of its real samples are drawn twice; give it fewer with -n"
        )
    return {value_key(scheduled.name, key): value for key, value in found.items()}


def _without_recipe_keys(error: GanforgeError) -> GanforgeError:
    """The error without keys such as ``metric[0].params.order``: the user wrote options, no recipe."""
    if isinstance(error, IncompatiblePartsError | PluginError):
        return type(error)(_shorten_keys(error.message), remedy=error.remedy and _shorten_keys(error.remedy))
    if not isinstance(error, RecipeError):
        return error
    lines = [f"{_option_key(problem.key)}{problem.message}" for problem in error.problems]
    hints = [problem.hint for problem in error.problems if problem.hint]
    return UsageError("; ".join(lines), remedy="; ".join(hints) or None)


def _shorten_keys(text: str) -> str:
    """``metric[0].params.order`` and ``metric[0].samples`` as they follow a colon on the command line."""
    text = re.sub(r"^metric\[\d+\]: ", "", text)
    text = re.sub(r"\bmetric\[\d+\]\.(?=params\b(?!\.))", "the metric's ", text)
    text = re.sub(r"\bmetric\[\d+\]\.(params\.)?", "", text)
    return re.sub(r"\bmetric\[\d+\]", "the metric", text)


def _option_key(key: str) -> str:
    """``order: `` for ``metric[0].params.order``."""
    inside = re.sub(r"^metric\[\d+\]\.?", "", key).removeprefix("params.")
    return "" if inside in ("", "use") or inside.endswith(".use") else f"{inside}: "


def parse_metric_args(texts: Sequence[str], known: Sequence[Mapping[str, Any]], samples: int | None = None) -> list[MetricRequest]:
    """The metrics that ``--metric`` texts name, or all metrics of the recipe.

    A text that begins with the name of one of the recipe's metrics means that one, with its parameters where it gives no others.

    Args:
        texts: ``NAME`` or ``NAME:key=value,…``.
        known: the metric tables of the run's resolved recipe.
        samples: generated samples for each metric whose text gives no number.

    Raises:
        UsageError: an invalid text, two metrics of one name, or no metric at all.
    """
    wanted = [_parse(text, known, samples) for text in texts] or [_sized(_name(table), table, samples) for table in known]
    if not wanted:
        raise UsageError(
            "the run's recipe names no metric", remedy="name one: --metric wasserstein; `ganforge list metric` shows them all"
        )
    seen: set[str] = set()
    for request in wanted:
        if request.name in seen:
            renamed = f"{request.text},name=another" if ":" in request.text else f"{request.text}:name=another"
            raise UsageError(f"two metrics are named '{request.name}'", remedy=f"rename one: --metric '{renamed}'")
        seen.add(request.name)
    return wanted


def _parse(text: str, known: Sequence[Mapping[str, Any]], samples: int | None) -> MetricRequest:
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not name or (colon and not rest.strip()):
        raise UsageError(f"--metric {text!r} names no metric" if not name else f"--metric {text!r} ends in a colon", remedy=_FORM)
    base: Mapping[str, Any] = next((table for table in known if _name(table) == name), {"use": name})
    options = dict(_assignments(text, rest)) if colon else {}
    own = {key: value for key, value in options.items() if key in _TABLE_KEYS}
    params = {key.removeprefix("params."): value for key, value in options.items() if key not in _TABLE_KEYS}
    table = {"name": _name({"use": name}), **base, **own, "params": {**base.get("params", {}), **params}}
    return _sized(text, table, None if "samples" in own else samples)


def _sized(text: str, table: Mapping[str, Any], samples: int | None) -> MetricRequest:
    kept = {key: value for key, value in table.items() if key not in ("every", "optional")}
    return MetricRequest(text, {**kept, "name": _name(table), **({} if samples is None else {"samples": samples})})


def _assignments(text: str, rest: str) -> Iterator[tuple[str, Any]]:
    for piece in _split_at_commas(rest):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or not key or not value:
            raise UsageError(f"--metric {text!r}: {piece.strip()!r} is not of the form key=value", remedy=_FORM)
        try:
            found = parse_value(value)
            toml_value(found)  # refuses what a recipe cannot hold, such as inf
        except ValueError as error:
            remedy = "numbers are finite, and text needs quotes, as in a recipe"
            raise UsageError(f"--metric {text!r}: {key}: {error}", remedy=remedy) from error
        yield key, found


def _split_at_commas(text: str) -> Iterator[str]:
    """The parts between commas, except for commas within brackets or quotes."""
    depth, quote, start = 0, "", 0
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter == "," and not depth:
            yield text[start:place]
            start = place + 1
        else:
            depth += (letter in _OPEN) - (letter in _CLOSE)
    yield text[start:]


def _name(table: Mapping[str, Any]) -> str:
    return str(table.get("name") or str(table.get("use")).rpartition("/")[2].partition("@")[0])
