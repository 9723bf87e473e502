"""A run measured again from its folder, with the weights of its newest checkpoint, and recorded in ``evaluations.jsonl``."""

from __future__ import annotations

import json
import logging
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

import ganforge
from ganforge.build.blueprint import resolve_evaluation_parts
from ganforge.build.builder import build_metric, build_network, choose_device, data_hashes, metric_context, metric_protocol
from ganforge.build.lock import explain_missing_plugins
from ganforge.build.parts import Part, named_parts, plugin_errors
from ganforge.core.contracts import BuildContext, MetricInfo
from ganforge.core.errors import DataError, GanforgeError, IncompatiblePartsError, PluginError, RecipeError, UsageError
from ganforge.core.redaction import mask_data
from ganforge.recipe.layers import meant_value, parse_value
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_writer import toml_value
from ganforge.registry.plugin_loader import load_plugins
from ganforge.runs.loaded_generator import load_weights, rebuild_dataset
from ganforge.runs.run_groups import EVALUATIONS, read_evaluations
from ganforge.runs.run_index import read_run_recipe
from ganforge.storage import atomic_files, checkpoints, strict_json
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking import supervisor
from ganforge.tracking.delivery import Acknowledgement
from ganforge.train.evaluator import Evaluator, ScheduledMetric, sample_caution, sample_count, value_key
from ganforge.train.modules import load_network
from ganforge.train.trainer import EMA

_MANY_SHARED = 0.01
"""Share of equal samples in two draws of real ones above which a floor is too low to be trusted."""
_FORM = "write --metric NAME or --metric NAME:key=value,key=value, such as --metric wasserstein:order=1,samples=500"
_RECIPE_KEY = re.compile(r"\b[\w.\[\]]+\.use: |\bmetric\[\d+\](: |\.params\.|\.)")
"""Beginnings of recipe keys that the command line does not use."""
_log = logging.getLogger(__name__)

MetricRequest = tuple[str, Mapping[str, Any]]
"""A metric as written on the command line, or its name in the recipe; and the ``[[metric]]`` table that it stands for."""


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """The command line's options for an evaluation."""

    metrics: tuple[str, ...] = ()  # NAME or NAME:key=value,…; those of the recipe unless given
    samples: int | None = None  # generated samples, and as many real ones; each metric's own number unless given
    seed: int | None = None  # seed of the draws; the run's own unless given
    weights: Literal["ema", "raw"] = "ema"  # the moving average of the generator, or its raw weights
    device: str = "auto"  # as for choose_device
    floor: bool = False  # whether to measure other real samples in the place of generated ones too


@dataclass(frozen=True, slots=True)
class EvaluatedValue:
    """One value."""

    metric: str  # name of the metric that gave it, under which its protocol is found
    value: float
    samples: int  # generated ones, and as many real ones
    info: MetricInfo
    known_floor: float | None = None  # of a perfect generator on average at this sample size, where the metric knows it
    floor: float | None = None  # the value of other real samples by the same protocol, where requested and possible


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A run measured again."""

    folder: RunFolder
    iteration: int  # iterations of the weights
    weights: str  # ema or raw
    seed: int
    device: str
    values: Mapping[str, EvaluatedValue]  # by "wasserstein" or "modes/captured"
    protocols: Mapping[str, Mapping[str, object]]
    failed: Mapping[str, GanforgeError]  # by the text of the request, why a metric could not be measured
    remarks: tuple[str, ...] = ()  # what else the user should know
    delivered: supervisor.UploadSummary | None = None  # what MLflow received; None where the run was never delivered
    undelivered: str | None = None  # why MLflow did not receive it, or None

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with stable keys."""
        values = self.values
        return {
            "iteration": self.iteration,
            "weights": self.weights,
            "seed": self.seed,
            "device": self.device,
            "versions": {
                "ganforge": ganforge.__version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "numpy")},
            },
            "values": {key: one.value for key, one in values.items()},
            "floors": {key: one.known_floor for key, one in values.items() if one.known_floor is not None},
            "measured_floors": {key: one.floor for key, one in values.items() if one.floor is not None},
            "value_info": {key: one.info.to_plain(one.samples) for key, one in values.items()},
            "protocols": {name: dict(protocol) for name, protocol in self.protocols.items()},
            "failed": {text: {"error": error.message, "remedy": error.remedy} for text, error in self.failed.items()},
            "remarks": list(self.remarks),
        }


def evaluate_and_record(folder: RunFolder, request: EvaluationRequest, *, tracking_uri: str | None = None) -> EvaluationResult:
    """Measure a run again, record the values in its folder, and send them to MLflow where the run itself was sent.

    Without a ``tracking_uri``, MLflow's store is the one that has the run.
    """
    with folder.locked():
        read_evaluations(folder)  # a damaged file is refused before minutes are spent on measuring
        result = evaluate(folder, request)
        if not result.values:
            return result
        record_evaluation(result)
    if Acknowledgement.load(folder.acknowledged).run_id is None:
        return result
    try:
        summary = supervisor.sync(folder, tracking_uri)
    except GanforgeError as error:  # the values are safe in the folder
        return replace(result, undelivered=str(error))
    return replace(result, delivered=summary, undelivered=summary.message or "not delivered yet" if summary.pending else None)


def record_evaluation(result: EvaluationResult) -> None:
    """Append an evaluation to the run's folder, and for MLflow to its journal; what the run itself recorded does not change.

    The caller holds the folder's lock.
    """
    folder = result.folder
    before, plain = read_evaluations(folder), result.to_plain()
    number = len(before) + 1
    line = {"number": number, "time": datetime.now(UTC).isoformat(timespec="seconds"), **plain}
    text = "".join(strict_json.dumps(one) + "\n" for one in [*before, mask_data(line)])
    atomic_files.write_text(folder.path / EVALUATIONS, text)
    with JournalWriter(folder.journal) as journal:
        journal.record("evaluated", number=number, iteration=result.iteration, values=plain["values"])
        journal.record("file", path=EVALUATIONS, folder="")


def evaluate(folder: RunFolder, request: EvaluationRequest) -> EvaluationResult:
    """Measure a run again. A metric that fails is part of the result and stops no other metric."""
    session = _Session(folder, request)
    values: dict[str, EvaluatedValue] = {}
    protocols: dict[str, Mapping[str, object]] = {}
    failed: dict[str, GanforgeError] = {}
    for (text, table), part in zip(session.wanted, session.parts.metrics, strict=True):
        name = str(table["name"])
        _log.info("%s: measuring %s", folder.path.resolve().name, name)
        try:
            found, protocols[name] = session.measure(name, table, part)
            values |= found
        except GanforgeError as error:
            failed[text] = _without_recipe_keys(error)
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


class _Session:
    """A run that is being measured: its parts are built anew, its weights come from the newest intact checkpoint."""

    def __init__(self, folder: RunFolder, request: EvaluationRequest) -> None:
        source = read_run_recipe(folder)
        self.folder, self.request, self.recipe = folder, request, source.recipe
        self.wanted = parse_metric_args(request.metrics, source.table.get("metric", []), request.samples)
        self.seed = self.recipe.train.seed if request.seed is None else request.seed

        iteration, state, skipped = checkpoints.load_newest(folder)
        device, raw = choose_device(request.device), request.weights == "raw"
        self.generator = load_weights(folder.path, iteration, state.tensors, raw=raw, device=str(device))
        tables = toml_value([table for _, table in self.wanted])
        with explain_missing_plugins(folder.path):
            self.parts = resolve_evaluation_parts(read_recipe(folder.resolved, (f"metric={tables}",)), load_plugins())
        data = rebuild_dataset(folder, self.parts.dataset, seed=self.recipe.train.seed)
        if data.dataset.spec.shape != self.generator.data.shape:
            now = f"'{self.parts.dataset.component.name}' now has {data.dataset.spec.shape}"
            raise DataError(
                f"the run was trained on samples of shape {self.generator.data.shape}, {now}",
                remedy="restore the data that the run was trained on",
            )
        sizes = BuildContext(self.generator.data, self.generator.latent)
        self.context = metric_context(sizes, self.parts.dataset, data.folders)
        self.hashes = data_hashes(self.parts.dataset, data.folders.recipe)
        changes = (f"the data differ from those that the run was trained on: {change}" for change in data.changes)
        self.remarks = [*skipped, *changes]

        game, found = self.parts.game, {role: part for role, part in self.parts.networks.items() if isinstance(part, Part)}
        self.networks = {game.generator: self.generator.network}
        for role, part in found.items():
            network = self.networks[role] = build_network(part, game, sizes, seed=0)
            load_network(f"{EMA}/{role}" if role in game.averaged and not raw else role, network, state.tensors)
            network.to(device).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
        for role, error in self.parts.networks.items():
            if not isinstance(error, Part):
                self.remarks.append(f"measured without the {role}: {_without_recipe_keys(error)}")
        self.named = (*self.generator.parts, *found.values())
        with named_parts(self.named):
            self.evaluator = Evaluator(
                game=self.parts.game,
                dataset=data.dataset,
                data=self.generator.data,
                sampler=self.generator.sampler,
                metrics=(),
                seed=self.seed,
                device=device,
                picture_samples=1,
            )

    def measure(
        self, name: str, table: Mapping[str, Any], part: Part | GanforgeError
    ) -> tuple[dict[str, EvaluatedValue], dict[str, object]]:
        """The values of one metric, and its protocol."""
        if not isinstance(part, Part):
            with explain_missing_plugins(self.folder.path):
                raise part
        samples = sample_count(table.get("samples"), self.evaluator.dataset)
        metric = build_metric(part, self.context, seed=self.seed, samples=samples)
        caution = sample_caution(metric, self.evaluator.dataset, samples)
        if caution:
            self.remarks.append(f"{name} is unreliable: {caution}")
        scheduled = ScheduledMetric(name, metric, 1, samples, remedy=part.report_hint, caution=caution)
        with named_parts(self.named):
            found, _ = self.evaluator.measure(self.networks, [scheduled])
        floors = self._floors(scheduled, part) if self.request.floor else {}
        values = {
            key: EvaluatedValue(name, value, samples, info, info.floor_at(samples), floors.get(key))
            for key, value in found.items()
            if (info := scheduled.value_info.get(key)) is not None
        }
        use_ema = self.request.weights == "ema" and self.recipe.train.ema_decay != 0
        return values, metric_protocol(
            part, metric, self.parts.dataset, data_hashes=self.hashes, samples=samples, use_ema=use_ema, seed=self.seed
        )

    def _floors(self, scheduled: ScheduledMetric, part: Part) -> dict[str, float]:
        """The values of real samples in the place of generated ones; none where the metric looks at latents too."""
        try:
            with plugin_errors(part, f"metric '{part.component.id}' failed"):
                found, shared = self.evaluator.measure_real(scheduled.metric, scheduled.samples, scheduled.name)
        except GanforgeError as error:
            self.remarks.append(f"no floor of {scheduled.name}: {_without_recipe_keys(error)}")
            return {}
        if shared > _MANY_SHARED:
            twice = f"{shared:.0%} of its real samples are drawn twice"
            self.remarks.append(f"the floor of {scheduled.name} is too good: {twice}; give it fewer with -n")
        return {value_key(scheduled.name, key): value for key, value in found.items()}


def _without_recipe_keys(error: GanforgeError) -> GanforgeError:
    """The error without keys such as ``metric[0].params.order``: the user wrote options, no recipe."""
    kind, message, remedy = type(error), error.message, error.remedy or ""
    if isinstance(error, RecipeError):
        kind, message = UsageError, "; ".join(f"{problem.key}: {problem.message}" for problem in error.problems)
        remedy = "; ".join(problem.hint for problem in error.problems if problem.hint)
    elif not isinstance(error, IncompatiblePartsError | PluginError):
        return error
    return kind(_RECIPE_KEY.sub("", message), remedy=_RECIPE_KEY.sub("", remedy) or None)


def parse_metric_args(texts: Sequence[str], known: Sequence[Mapping[str, Any]], samples: int | None = None) -> list[MetricRequest]:
    """The metrics that ``--metric`` texts name, or all metrics of the recipe.

    A text that begins with the name of one of the recipe's metrics means that one, with its parameters where it gives no others.

    Args:
        texts: ``NAME`` or ``NAME:key=value,…``.
        known: the metric tables of the run's resolved recipe.
        samples: for each metric whose text gives no number.
    """
    size = {} if samples is None else {"samples": samples}
    given = [(text, _parse(text, known, size)) for text in texts or map(_name, known)]
    if not given:
        raise UsageError(
            "the run's recipe names no metric", remedy="name one: --metric wasserstein; `ganforge list metric` shows them all"
        )
    wanted: dict[str, MetricRequest] = {}
    for text, table in given:
        name = _name(table)
        if name in wanted:
            renamed = f"{text}{',' if ':' in text else ':'}name=another"
            raise UsageError(f"two metrics are named '{name}'", remedy=f"rename one: --metric '{renamed}'")
        kept = {key: value for key, value in table.items() if key not in ("every", "optional")}
        wanted[name] = text, {**kept, "name": name}
    return list(wanted.values())


def _parse(text: str, known: Sequence[Mapping[str, Any]], size: Mapping[str, int]) -> dict[str, Any]:
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not name or (colon and not rest.strip()):
        raise UsageError(f"--metric {text!r} names no metric" if not name else f"--metric {text!r} ends in a colon", remedy=_FORM)
    base: Mapping[str, Any] = next((table for table in known if _name(table) == name), {"use": name})
    options = dict(_assignments(text, rest)) if colon else {}
    try:
        toml_value(options)
    except ValueError as error:  # what a recipe cannot hold, such as inf
        raise UsageError(f"--metric {text!r}: {error}", remedy="numbers must be finite") from error
    own = {key: options.pop(key) for key in [*options] if key in ("samples", "name")}  # the others are the metric's parameters
    params = {key.removeprefix("params."): value for key, value in options.items()}
    return {**base, **size, **own, "params": {**base.get("params", {}), **params}}


def _assignments(text: str, rest: str) -> Iterator[tuple[str, Any]]:
    """Keys and values of ``key=value,…``; a value that is not complete goes on behind the next comma."""
    pending, before = "", ""
    for piece in rest.split(","):
        pending += piece
        key, equals, value = (part.strip() for part in pending.partition("="))
        if not equals or not key or not value:
            remedy = f"a list needs brackets: {before}" if before and not equals else _FORM
            raise UsageError(f"--metric {text!r}: {pending.strip()!r} is not of the form key=value", remedy=remedy)
        try:
            found = parse_value(value)
        except ValueError:
            pending += ","
            continue
        yield key, found
        pending, before = "", f"{key}=[{value}, …]"
    if pending:
        written = meant_value(value) or json.dumps(value, ensure_ascii=False)
        raise UsageError(
            f"--metric {text!r}: {key}: {value!r} is not a TOML value", remedy=f"write it as in a recipe: {key}={written}"
        )


def _name(table: Mapping[str, Any]) -> str:
    return str(table.get("name") or str(table.get("use")).rpartition("/")[2].partition("@")[0])
