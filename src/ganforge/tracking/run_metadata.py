"""What MLflow gets of a run besides metrics and files: the journal's ``start`` record, and the health findings as tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from ganforge.core.findings import NOT_MONITORED, Finding, advice, headline

HEALTH_TAG = "ganforge.health"
UNCHECKED_TAGS = {HEALTH_TAG: NOT_MONITORED}  # tags of a run until the health checks ran
_NOTHING = "none"  # MLflow shows an empty tag like a missing one


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The data set, as MLflow lists it."""

    name: str
    digest: str  # prefix of a hash of the data; MLflow takes at most 36 characters
    source: str  # a component id, path or URL
    profile: str = ""  # number of samples, shape and classes, as text or JSON


@dataclass(frozen=True, slots=True)
class StartRecord:
    """Everything that MLflow gets when a run starts. The journal gets it once, and not again when the run is resumed.

    Write it with ``journal.record("start", **start.to_record())``.
    """

    run_id: str  # ganforge's id of the run; the tag ``ganforge.run_id`` identifies it in MLflow
    run_name: str
    experiment: str
    params: Mapping[str, str] = field(default_factory=dict)  # the resolved recipe: generator.params.hidden → [128, 128]
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    note: str = ""  # Markdown shown on the run's page
    artifacts: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by folder in MLflow: files of the run folder
    parent_run_id: str | None = None  # ganforge's id of the parent run (a sweep over seeds)
    resolution: Literal["auto", "full"] = "auto"  # "auto" downsamples the metrics for MLflow, "full" sends every point

    def to_record(self) -> dict[str, Any]:
        """Plain data for the journal."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> StartRecord:
        """Read the journal's record: unknown fields are ignored; raises a :class:`ValueError` if it does not name the run."""
        return TypeAdapter(cls).validate_python(record)


def health_tags(record: Mapping[str, Any]) -> dict[str, str]:
    """Tags for a ``health`` record of the journal: verdict, problems, findings as text, and the counts of a sweep.

    The findings are a separate tag instead of a part of the run's note, which you may edit in MLflow while the run continues.
    """
    verdict = {HEALTH_TAG: str(record["verdict"])}
    if "seeds" in record:
        return {**verdict, f"{HEALTH_TAG}.seeds": ", ".join(f"{count} {name}" for name, count in record["seeds"].items())}
    findings = TypeAdapter(list[Finding]).validate_python(record["findings"])
    text = "\n".join(f"- {headline(finding)}; {advice(finding)}" for finding in findings)
    return {
        **verdict,
        f"{HEALTH_TAG}.problem": "; ".join(dict.fromkeys(finding.problem for finding in findings)) or _NOTHING,
        f"{HEALTH_TAG}.findings": text or _NOTHING,
    }
