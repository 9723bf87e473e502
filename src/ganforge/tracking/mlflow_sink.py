"""The one place that talks to MLflow. Everything here may be called again after a crash and then changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.storage.atomic_files import fault_point
from ganforge.tracking.downsampling import Point
from ganforge.tracking.mlflow_errors import understood
from ganforge.tracking.mlflow_model import log_generator
from ganforge.tracking.mlflow_names import LONGEST_PARAM, LONGEST_TAG, artifact_folder, cut, metric_key, one_line
from ganforge.tracking.run_metadata import DatasetFacts, StartRecord
from ganforge.tracking.sink import Gone, Refusal, Refused, Unreachable
from ganforge.tracking.sqlite_lock import locked
from ganforge.tracking.tracking_store import Store
from ganforge.tracking.upload_files import opened, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_CHUNK = 100  # params or tags that MLflow takes at once
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


def set_environment(*, own_process: bool) -> None:
    """How MLflow has to behave in a shipper: no retries of its own, no threads, no telemetry, nothing printed.

    Args:
        own_process: whether nobody else in this process uses MLflow. Its retries are then switched off whatever the user has set,
            since they block for minutes; else the user's settings stay.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if own_process:
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"


class MlflowSink:
    """A run in an MLflow store; a :class:`ganforge.tracking.sink.Sink`.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._run_id = ""
        self._parent: str | None = None  # ganforge's id of a parent that MLflow does not know yet
        self._pictures: set[tuple[str, str]] | None = None  # (key, iteration) that are there already

    def connect(self) -> None:
        """Import MLflow, and open the store; a new sqlite file gets its tables.

        Raises:
            Unreachable: the store does not answer.
        """
        try:
            with understood(), locked(self.store.lock):
                self._mlflow.search_experiments(max_results=1)
        except Refused as refusal:
            raise Unreachable(str(refusal)) from refusal

    def answers(self) -> bool:
        """Whether the store still tells about the run."""
        with suppress(Unreachable, Refused, Gone), understood():
            return bool(self._run_id) and self._mlflow.get_run(self._run_id) is not None
        return False

    def begin(self, start: StartRecord, run_id: str | None) -> tuple[str, str]:
        """Find the run or create it, and its experiment; see :class:`Sink`. Nothing here is ever refused for good."""
        try:
            with understood(), locked(self.store.lock):
                if not self._known(run_id):
                    self._experiment_id = self._experiment(start)
                    self._run_id = self._found(start.run_id) or self._created(start)
                self._parent = start.parent_run_id
                self._adopt()
                if start.parent_run_id is None:
                    self._gather(start.run_id)
        except Refused as refusal:  # a wrong address, no rights, another schema: someone has to mend it, the journal can wait
            raise Unreachable(str(refusal)) from refusal
        return self._experiment_id, self._run_id

    def describe(self, start: StartRecord, folder: Path) -> list[Refusal]:
        """Send params, tags, data set and first artifacts; see :class:`Sink`."""
        from mlflow.entities import Param, RunTag

        refusals: list[Refusal] = []
        params = [Param(metric_key(key), cut(value, LONGEST_PARAM)) for key, value in start.params.items()]
        refusals += self._each("params", params)
        refusals += self._each("tags", [RunTag(key, value) for key, value in _tags(start).items()])
        if start.dataset is not None:
            refusals += self._attempt("data set", lambda: self._dataset(start.dataset))
        for artifact in start.artifacts:
            path = folder / artifact.path
            refusals += self._attempt(f"artifact {artifact.path}", lambda path=path, to=artifact.folder: self.file(path, to))
        return refusals

    def points(self, points: Sequence[Point]) -> None:
        """Send metrics; see :class:`Sink`."""
        from mlflow.entities import Metric

        with self._talking():
            self._adopt()
            metrics = [Metric(point.key, point.value, point.ms, point.iteration) for point in points]
            self._mlflow.log_batch(self._run_id, metrics=metrics, synchronous=True)
        fault_point("sent")

    def image(self, path: Path, key: str, iteration: int, ms: int) -> None:
        """Send a picture unless it is there already; see :class:`Sink`."""
        picture = opened(path)
        with self._talking():
            if self._pictures is None:
                self._pictures = self._listed_pictures()
            name = (key.replace("/", "~"), str(iteration))
            if name in self._pictures:
                return
            self._mlflow.log_image(self._run_id, picture, key=key, step=iteration, timestamp=ms, synchronous=True)
            self._pictures.add(name)
        fault_point("image")

    def file(self, path: Path, folder: str) -> None:
        """Send a file, text without secrets; see :class:`Sink`."""
        with self._talking(), without_secrets(path) as clean:
            self._mlflow.log_artifact(self._run_id, str(clean), artifact_folder(folder) or None)

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run; see :class:`Sink`."""
        with self._talking():
            self._mlflow.set_tag(self._run_id, key, cut(value, LONGEST_TAG), synchronous=True)

    def model(self, folder: Path, record: dict[str, Any]) -> None:
        """Send the trained generator unless it is there already; see :class:`Sink`."""
        with self._talking():
            log_generator(
                self._mlflow,
                experiment_id=self._experiment_id,
                run_id=self._run_id,
                folder=folder,
                iteration=int(record.get("iteration", 0)),
                requirements=record.get("requirements"),
            )

    def running(self) -> None:
        """The run goes on; see :class:`Sink`."""
        with self._talking():
            self._mlflow.update_run(self._run_id, status="RUNNING")

    def ended(self, status: str, ms: int) -> None:
        """The run is over; see :class:`Sink`."""
        with self._talking():
            self._adopt()
            self._mlflow.set_terminated(self._run_id, status=status, end_time=ms)

    @property
    def _mlflow(self) -> MlflowClient:
        if self._client is None:
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self.store.uri, registry_uri=self.store.uri)
        return self._client

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """MLflow's errors as ours; a refusal because the run was deleted is told apart.

        Raises:
            Unreachable, Refused, Gone: see :mod:`ganforge.tracking.sink`.
        """
        try:
            with understood():
                yield
        except Refused as refusal:
            with understood():
                run = self._mlflow.get_run(self._run_id)
            if run.info.lifecycle_stage == "deleted":
                raise Gone(f"the run {self._run_id} was deleted in MLflow") from refusal
            raise

    def _each(self, what: str, items: Sequence[Any]) -> list[Refusal]:
        """Send params or tags in chunks; where a chunk is refused, one by one."""
        refusals: list[Refusal] = []
        for begin in range(0, len(items), _CHUNK):
            chunk = list(items[begin : begin + _CHUNK])
            try:
                self._batch(what, chunk)
            except Refused:
                for item in chunk:
                    refusals += self._attempt(f"{what} {item.key}", lambda item=item: self._batch(what, [item]))
        return refusals

    def _batch(self, what: str, items: Sequence[Any]) -> None:
        with self._talking():
            self._mlflow.log_batch(self._run_id, synchronous=True, **{what: items})

    def _attempt(self, what: str, call: Any) -> list[Refusal]:
        try:
            call()
        except Refused as refusal:
            return [(what, str(refusal))]
        return []

    # Identity

    def _experiment(self, start: StartRecord) -> str:
        """The experiment's id; one that the user deleted is left alone, and a new one gets a number behind its name."""
        from mlflow import MlflowException

        name = one_line(start.experiment, 480) or "ganforge"
        tags = {"mlflow.experimentKind": "custom_model_development"} | {
            metric_key(key): cut(value, LONGEST_TAG) for key, value in start.experiment_tags.items()
        }
        number = 1
        while True:
            wanted = name if number == 1 else f"{name} ({number})"
            experiment: Experiment | None = self._mlflow.get_experiment_by_name(wanted)
            if experiment is not None and experiment.lifecycle_stage == "active":
                return str(experiment.experiment_id)
            if experiment is not None:
                number += 1
                continue
            try:
                return str(self._mlflow.create_experiment(wanted, self.store.artifacts(wanted), tags))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # else another run was quicker: look again
                    raise

    def _known(self, run_id: str | None) -> bool:
        """Whether the store has the run that the acknowledgement names; then that is the one.

        Raises:
            Gone: it was deleted there.
        """
        from mlflow import MlflowException

        if run_id is None:
            return False
        try:
            run = self._mlflow.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        if run.info.lifecycle_stage == "deleted":
            raise Gone(f"the run {run_id} was deleted in MLflow")
        self._experiment_id, self._run_id = str(run.info.experiment_id), run_id
        return True

    def _found(self, ganforge_id: str) -> str | None:
        """The run that carries ganforge's id already: made by a shipper that died before it could note so."""
        quoted = ganforge_id.replace("'", "")
        runs = self._mlflow.search_runs([self._experiment_id], f"tags.`ganforge.run_id` = '{quoted}'", max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _created(self, start: StartRecord) -> str:
        tags = {key: value for key, value in _tags(start).items() if key.startswith(("mlflow.", "ganforge."))}
        run = self._mlflow.create_run(self._experiment_id, tags=tags, run_name=one_line(start.run_name, 200))
        self._pictures = set()  # a new run has none
        return str(run.info.run_id)

    def _gather(self, ganforge_id: str) -> None:
        """Put runs below this one that name it as their parent and were delivered before it: short ones may have ended since."""
        quoted = ganforge_id.replace("'", "")
        for child in self._mlflow.search_runs([self._experiment_id], f"tags.`ganforge.parent_run_id` = '{quoted}'"):
            self._mlflow.set_tag(child.info.run_id, "mlflow.parentRunId", self._run_id, synchronous=True)

    def _adopt(self) -> None:
        """Put the run below its parent, as soon as MLflow knows that one; the parent's own shipper may be later than ours."""
        if self._parent is None:
            return
        parent = self._found(self._parent)
        if parent is not None:
            self._mlflow.set_tag(self._run_id, "mlflow.parentRunId", parent, synchronous=True)
            self._parent = None

    def _dataset(self, facts: DatasetFacts | None) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if facts is None:
            return
        # Written out instead of mlflow.data's helpers, which compute schemas and digests from the data themselves.
        dataset = Dataset(
            name=cut(facts.name, 500),
            digest=facts.digest[:36],
            source_type="code",
            source=json.dumps({"tags": {"mlflow.source.name": facts.source}}),
            profile=json.dumps({"facts": facts.profile}) if facts.profile else None,
        )
        with self._talking():
            self._mlflow.log_inputs(self._run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def _listed_pictures(self) -> set[tuple[str, str]]:
        """(file name's key, iteration) of each picture in the store: ``images/<key>+step+<n>+timestamp+…``."""
        names = [Path(info.path).name for info in self._mlflow.list_artifacts(self._run_id, "images")]
        parts = [name.split("+") for name in names if name.endswith(".webp")]  # the second of the two files that make a picture
        return {(part[0], part[2]) for part in parts if len(part) > 2 and part[1] == "step"}


def _tags(start: StartRecord) -> Mapping[str, str]:
    tags = {metric_key(key): cut(value, LONGEST_TAG) for key, value in start.tags.items()}
    tags["ganforge.run_id"] = start.run_id
    if start.note:
        tags["mlflow.note.content"] = cut(start.note, LONGEST_TAG)
    if start.parent_run_id is not None:
        tags["ganforge.parent_run_id"] = start.parent_run_id
    return tags
