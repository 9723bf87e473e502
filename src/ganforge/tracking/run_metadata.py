"""What is said of a run once, when it begins: the journal's ``start`` record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ganforge.core.redaction import mask, mask_all, mask_text


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The data set, as MLflow lists it.

    Attributes:
        name: the component's name.
        digest: beginning of a hash of the data; MLflow takes at most 36 characters.
        source: where it comes from: a component id, a path, a URL.
        profile: facts in words or JSON: number of samples, shape, classes.
    """

    name: str
    digest: str
    source: str
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file to be kept with the MLflow run.

    Attributes:
        path: relative to the run folder.
        folder: artifact folder in MLflow; "" for the top.
    """

    path: str
    folder: str = ""


@dataclass(frozen=True, slots=True)
class StartRecord:
    """Everything that MLflow is told of a run when it begins; written to the journal once, and not again on resume.

    The journal gets it by ``journal.record("start", **start.to_record())``, without secrets, before anything reaches a disk.

    Attributes:
        run_id: ganforge's own id of the run, by which it is found again in MLflow (tag ``ganforge.run_id``).
        run_name: what MLflow shows.
        experiment: name of the MLflow experiment.
        params: the resolved recipe, flattened with dots: ``generator.params.hidden`` → ``[128, 128]``.
        tags: ``mlflow.source.name``, ``mlflow.source.git.commit``, ``ganforge.seed``, … and the user's own.
        dataset: the real samples, or ``None``.
        note: Markdown shown on the run's page.
        artifacts: files of the run folder that exist already, such as ``recipe.toml``.
        parent_run_id: ganforge's id of the run that this one belongs to (a sweep over seeds), or ``None``.
        resolution: ``"auto"`` thins the metrics for MLflow, ``"full"`` sends every point.
        experiment_tags: tags of the experiment, set when it is created.
    """

    run_id: str
    run_name: str
    experiment: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    note: str = ""
    artifacts: tuple[Artifact, ...] = ()
    parent_run_id: str | None = None
    resolution: Literal["auto", "full"] = "auto"
    experiment_tags: Mapping[str, str] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """JSON-able fields for the journal, without secrets."""
        record = asdict(self)
        record["params"] = mask_all(self.params)
        record["tags"] = mask_all(self.tags)
        record["experiment_tags"] = mask_all(self.experiment_tags)
        record["note"] = mask_text(self.note)
        if self.dataset is not None:
            record["dataset"] = {key: mask(key, value) for key, value in asdict(self.dataset).items()}
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> StartRecord:
        """Read the journal's record; fields of a newer ganforge are left out, missing ones keep their defaults.

        Raises:
            KeyError: ``run_id``, ``run_name`` or ``experiment`` is missing.
        """
        dataset = record.get("dataset")
        return cls(
            run_id=str(record["run_id"]),
            run_name=str(record["run_name"]),
            experiment=str(record["experiment"]),
            params=_texts(record.get("params")),
            tags=_texts(record.get("tags")),
            dataset=DatasetFacts(**{key: str(dataset.get(key, "")) for key in ("name", "digest", "source", "profile")})
            if dataset
            else None,
            note=str(record.get("note", "")),
            artifacts=tuple(Artifact(path=item["path"], folder=item.get("folder", "")) for item in record.get("artifacts", ())),
            parent_run_id=record.get("parent_run_id"),
            resolution="full" if record.get("resolution") == "full" else "auto",
            experiment_tags=_texts(record.get("experiment_tags")),
        )


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (values or {}).items()}
