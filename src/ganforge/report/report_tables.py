"""The tables of a page: measured values with their protocols, the lock, the surroundings, how to go on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ganforge.core import formatting
from ganforge.core.metric_goal import WAYS
from ganforge.core.redaction import HIDDEN, mask, public_url
from ganforge.figures.charts import best_value
from ganforge.report.outcome_text import moment
from ganforge.report.report_data import Facts, table, tables
from ganforge.storage.value_info import StoredMetricInfo

Row = tuple[str, str]
"""What is told, and what of it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric's line.

    Attributes:
        name: the metric's.
        meaning: in plain words; "" where nobody said.
        last: newest value.
        at: its iteration; "" where that is not known.
        best: best value with its iteration.
        ideal: of a perfect generator.
        floor: what a perfect generator has at this sample size.
        better: ``lower``, ``higher``, ``nearer`` or ``none``; "" where nobody said.
        protocol: how it was measured; empty where nobody wrote that down.
    """

    name: str
    meaning: str
    last: str
    at: str
    best: str
    ideal: str
    floor: str
    better: str
    protocol: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Later:
    """What one evaluation after the training gave.

    Attributes:
        when: the moment.
        facts: of which iteration, with what.
        values: a line for each metric.
        remarks: what else was said, such as why a metric failed.
    """

    when: str
    facts: Sequence[Row]
    values: Sequence[Measured]
    remarks: Sequence[str]


def measured(facts: Facts) -> list[Measured]:
    """A line for each metric, in the order of their first values."""
    known = facts.status.metrics if facts.status and isinstance(facts.status.metrics, Mapping) else {}
    names = dict.fromkeys([*facts.history.metrics, *known])
    protocols = {**table(facts.final, "protocols"), **facts.history.protocols}
    return [_measured(name, facts, known.get(name), protocols) for name in names]


def later(facts: Facts) -> list[Later]:
    """What was measured after the training, oldest first."""
    return [_later(one) for one in facts.evaluations]


def locked(facts: Facts) -> list[tuple[str, str, str]]:
    """Components: the recipe's key, the id with its revision, the distribution with its version."""
    return [
        (_said(one, "key"), f"{_said(one, 'id')}@{_said(one, 'revision')}", f"{_said(one, 'distribution')} {_said(one, 'version')}")
        for one in tables(facts.lock, "components")
    ]


def sources(facts: Facts) -> list[Row]:
    """Distributions with their versions, and where they came from."""
    return [
        (f"{_said(one, 'name')} {_said(one, 'version')}", " ".join([_said(one, "source"), public_url(_said(one, "url"))]).strip())
        for one in tables(facts.lock, "distributions")
    ]


def sums(facts: Facts) -> list[tuple[str, str, str]]:
    """Files that the result depends on: what they are, their names, their SHA-256 sums."""
    files = [*tables(facts.lock, "plugin_files"), *tables(facts.lock, "data_files")]
    return [(_said(one, "key"), _said(one, "file"), _said(one, "sha256")) for one in files]


def surroundings(facts: Facts) -> list[Row]:
    """Where and with what the run was made."""
    identity, status, tags = facts.identity, facts.status, table(facts.history.start, "tags")
    commit = str(tags.get("mlflow.source.git.commit", ""))
    dirty = ", with changes that are not committed" if tags.get("mlflow.source.git.dirty") == "true" else ""
    versions = ", ".join(f"{name} {version}" for name, version in table(identity, "versions").items())
    resumed = ", ".join(f"{iteration:,}" for iteration in facts.history.resumed)
    returns = ", ".join(f"from {reached:,} to {iteration:,}" for reached, iteration in facts.history.rolled_back)
    rows = [
        ("run", f"{facts.folder.path.name} (id {facts.run.id})"),
        ("experiment", facts.run.experiment),
        ("seed", _said(identity, "seed")),
        ("device", " ".join(part for part in (_said(identity, "device"), _threads(identity)) if part)),
        ("host", _said(identity, "host")),
        ("platform", _said(identity, "platform")),
        ("ganforge", _said(identity, "ganforge")),
        ("Python", _said(identity, "python")),
        ("libraries", versions),
        ("begun", moment(identity.get("created"))),
        ("last report", moment(status.heartbeat) if status else ""),
        ("training took", formatting.duration(status.seconds) if status and status.seconds else ""),
        ("resumed at iteration", resumed),
        ("rolled back", returns),
        ("git commit", f"{commit[:12]} on {tags.get('mlflow.source.git.branch', '?')}{dirty}" if commit else ""),
        ("git repository", public_url(str(tags.get("mlflow.source.git.repoURL", "")))),
        ("data", _data(facts)),
        ("recipe's file", _said(identity, "recipe")),
        ("recipe's fingerprint", _said(identity, "fingerprint")[:16]),
        ("command", _said(identity, "command")),
    ]
    return [(name, formatting.clean(value)) for name, value in rows if value and value != "–"]


def overrides(facts: Facts) -> list[Row]:
    """What the command line changed in the recipe: keys and values, as they were given."""
    try:
        given = shlex.split(_said(facts.identity, "command"))
    except ValueError:
        return []
    texts = [after for before, after in pairwise(given) if before == "--set"]
    texts += [word.removeprefix("--set=") for word in given if word.startswith("--set=")]
    pairs = [text.partition("=") for text in texts]
    return [(formatting.clean(key.strip()), mask(key, formatting.clean(value.strip()))) for key, _, value in pairs]


def resumed_with(facts: Facts) -> list[tuple[str, str, str, str]]:
    """What a resume changed of the recipe: from which iteration on, the key, the value as it began, the value from there."""

    def told(key: str, value: str) -> str:
        return mask(key, formatting.clean(value)) if value else "not set"

    return [(f"{at:,}", formatting.clean(key), told(key, before), told(key, now)) for at, key, before, now in facts.history.changed]


def onward(facts: Facts) -> list[Row]:
    """What can be done with the run, and the command that does it."""
    path = _reference(facts)
    if facts.is_sweep:
        return [("list its seeds", "ganforge runs"), ("this page again", f"ganforge report {path}")]
    lines = [
        ("draw samples", f"ganforge sample {path} -n 1000 --out samples.npz"),
        ("walk between latents", f"ganforge interpolate {path}"),
        ("measure again", f"ganforge evaluate {path}"),
        ("use it in Python", f"ganforge.load({str(facts.folder.path.absolute())!r}).sample(1000)"),
    ]
    if facts.word in {"stopped", "killed", "failed", "diverged"}:
        lines.insert(0, ("go on", f"ganforge run --resume {path}"))
    if recipe := _said(facts.identity, "recipe"):
        lines.append(("train it again", f"ganforge run {shlex.quote(recipe)}"))
    return [*lines, ("this page again", f"ganforge report {path}")]


def protocol(told: Any) -> list[Row]:
    """A protocol as rows; secrets are hidden by their keys."""
    return (
        [(formatting.clean(str(key)), _shown(str(key), value)) for key, value in told.items()] if isinstance(told, Mapping) else []
    )


def _measured(name: str, facts: Facts, known: Any, protocols: Mapping[str, Any]) -> Measured:
    points, meaning = facts.history.metrics.get(name, {}), facts.meanings.metrics.get(name, StoredMetricInfo())
    at = max(points, default=None)
    value = points[at] if at is not None else known
    found = best_value(points, meaning)
    return Measured(
        name=formatting.clean(name),
        meaning=formatting.clean(meaning.label),
        last=_number(value),
        at=f"{at:,}" if at is not None else "",
        best=f"{formatting.number(found[1])} at {found[0]:,}" if found else "",
        ideal=_number(meaning.ideal),
        floor=_number(meaning.floor),
        better=meaning.better if meaning.better in WAYS else "",
        protocol=protocol(protocols.get(name) or protocols.get(name.partition("/")[0])),
    )


def _later(one: Mapping[str, Any]) -> Later:
    failed = [f"{name}: {_said(told, 'error')}" for name in table(one, "failed") if (told := table(table(one, "failed"), name))]
    remarks = one.get("remarks")
    told = {key: value for key, value in one.items() if isinstance(value, str | int | float) and key not in {"time", "number"}}
    return Later(
        when=_said(one, "time") or "at a time that is not known",
        facts=[(formatting.clean(key), _shown(key, value)) for key, value in told.items()],
        values=[_measured_later(name, value, one) for name, value in table(one, "values").items()],
        remarks=[formatting.clean(text) for text in [*failed, *(map(str, remarks) if isinstance(remarks, list) else [])]],
    )


def _measured_later(name: str, value: Any, one: Mapping[str, Any]) -> Measured:
    meaning, protocols = table(table(one, "value_info"), name), table(one, "protocols")
    floors = {**table(one, "floors"), **table(one, "measured_floors")}
    better = meaning.get("better")
    return Measured(
        name=formatting.clean(name),
        meaning=_said(meaning, "label"),
        last=_number(value),
        at="",
        best="",
        ideal=_number(meaning.get("ideal")),
        floor=_number(floors.get(name)),
        better=better if better in WAYS else "",
        protocol=protocol(protocols.get(name) or protocols.get(name.partition("/")[0])),
    )


def _data(facts: Facts) -> str:
    told = table(facts.history.start, "dataset")
    return ", ".join(part for part in (_said(told, "source") or _said(told, "name"), _said(told, "profile")) if part)


def _threads(identity: Mapping[str, Any]) -> str:
    threads = identity.get("threads")
    return f"({formatting.plural(threads, 'thread')})" if isinstance(threads, int) else ""


def _reference(facts: Facts) -> str:
    """The run as commands take it, from wherever they are given."""
    return shlex.quote(str(Path(facts.folder.path).absolute()))


def _said(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return formatting.clean(str(value)) if value is not None else ""


def _shown(key: str, value: Any) -> str:
    if isinstance(value, str | int | float) or value is None:
        return formatting.clean(mask(key, str(value)))
    if mask(key, "x" * 8) == HIDDEN:
        return HIDDEN
    return formatting.clean(json.dumps(value, ensure_ascii=False, default=str))


def _number(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return formatting.number(float(value)) if is_number else ""
