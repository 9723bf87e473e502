"""Sends metrics, params, tags and files of a run to MLflow: valid names, translated errors, and refused records one by one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ganforge.core.redaction import mask_text
from ganforge.storage.atomic_files import fault_point
from ganforge.tracking.metric_buffer import Point
from ganforge.tracking.mlflow_database import ensure_complete, find_fault, relocate
from ganforge.tracking.mlflow_model import log_generator, masked_content
from ganforge.tracking.run_metadata import DatasetFacts, StartRecord
from ganforge.tracking.tracking_store import Store, sqlite_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from PIL.Image import Image

_T = TypeVar("_T")

Refusal = tuple[str, str]
"""What was refused, and why."""

_LONGEST_TAG = 8000
_SECTIONS = {"loss": "1-loss", "eval": "2-eval", "images": "3-images", "seeds": "4-seeds", "health": "5-health"}
_MAX_FAILURES = 4  # after which it is the record that fails, not the store
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
_PERMANENT_STATUS = {400, 404, 413, 415, 422, 501}  # not 401 and 403: someone may grant the permission
_PERMANENT_ERRNO = {errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}

_LOGIN = "log in with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_EXPLANATIONS = (  # of MLflow's and requests' messages: pattern, and the text, with the pattern's groups
    (r"failed with error code (401|403) ", f"{{store}} refused the login (status {{0}}): {_LOGIN}"),
    (r"failed with error code (\d+) ", "{store} answered with status {0}: it is not an MLflow server, or does not work"),
    (r"not in a valid JSON format", "{store} is not an MLflow server: it answered with something other than JSON"),
    (r"Caused by SSLError.*WRONG_VERSION_NUMBER", "{store} does not use TLS: write http:// instead of https://"),
    (r"Caused by \w+Error\(['\"](?:\w+\([^)]*\): )?(.+?)['\"]\)", "{store} does not answer: {0}"),
    (r"Reading Databricks credential configuration failed", "{store} needs a login: https://docs.databricks.com/dev-tools/auth"),
    (r"ModuleNotFoundError: No module named '([\w.]+)'", "{store} needs the module {0}: install it with pip"),
)


class UnreachableError(Exception):
    """The store cannot accept anything now: retry later."""


class RefusedError(Exception):
    """The store will never accept this record: a retry is useless."""


class RunDeletedError(Exception):
    """The user deleted the run in the store, so there is nowhere to deliver to."""


def set_environment(*, own_process: bool) -> None:
    """Configure MLflow for uploads: no retries, no threads, no telemetry, no output.

    In a process of our own, retries are off whatever the user has set, since they block for minutes, and warnings are hidden.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if own_process:
        os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_ENABLE_ASYNC_LOGGING": "false"}
        warnings.filterwarnings("ignore", module="mlflow|sqlalchemy")


class MlflowSink:
    """A run in an MLflow store.

    Every method may be called again after a crash and then changes nothing. Every method may raise :class:`UnreachableError`,
    :class:`RefusedError` or :class:`RunDeletedError`.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.failures = 0  # requests that failed in a row while the store accepted another one
        self._experiment_id = self._ganforge_id = ""
        self._run_id = ""
        self._pictures: set[tuple[str, str]] | None = None  # (key, iteration) of the pictures in the store

    def connect(self) -> None:
        """Import MLflow and open the store; an sqlite file is created if it is missing. Never refused for good."""
        with self._translated(retry=True), prepared(self.store):
            self._client.search_experiments(max_results=1)

    def open_run(self, start: StartRecord, run_id: str | None) -> tuple[str, str]:
        """Find the run (``run_id`` is acknowledged) or create it; return ``(experiment id, run id)``. Never refused for good."""
        self._ganforge_id = start.run_id
        with self._translated(retry=True), self.store.locked():
            if not self._find_acknowledged(run_id, start):
                self._experiment_id = self._find_experiment(start)
                found = self._search("ganforge.run_id", start.run_id)
                own = [run for run in found if _belongs_to(run, start)]
                self._run_id = str(own[0].info.run_id) if own else self._create_run(start)
                if found and not own:
                    return self._experiment_id, self._run_id  # a copy of a run: the family is that of the original
            self._link_family(start)
        return self._experiment_id, self._run_id

    def describe_run(self, start: StartRecord) -> list[Refusal]:
        """Send params, tags and data set, and return what was refused."""
        from mlflow.entities import Param, RunTag

        params = [Param(metric_key(key), cut(value, 6000)) for key, value in start.params.items()]
        batches: dict[str, list[Any]] = {"params": params, "tags": [RunTag(key, value) for key, value in _tags(start).items()]}
        refusals = [
            (f"{what} {item.key}", reason)
            for what, items in batches.items()
            for item, reason in isolate_refused(items, partial(self._log_batch, what))
        ]
        if start.dataset is not None:
            try:
                self._log_dataset(start.dataset)
            except RefusedError as refusal:
                refusals.append(("data set", str(refusal)))
        return refusals

    def log_points(self, points: Sequence[Point]) -> None:
        """Send metrics, all or none."""
        from mlflow.entities import Metric

        self._log_batch("metrics", [Metric(chart_key(point.key), point.value, point.ms, point.iteration) for point in points])
        fault_point("sent")

    def log_image(self, path: Path, key: str, iteration: int, ms: int) -> None:
        """Send a picture unless it is there."""
        picture, key = _open_image(path), artifact_key(chart_key(key))
        with self._errors():
            if self._pictures is None:
                self._pictures = self._list_pictures()
            name = (key.replace("/", "~"), str(iteration))
            if name in self._pictures:
                return
            self._client.log_image(self._run_id, picture, key=key, step=iteration, timestamp=ms, synchronous=True)
            self._pictures.add(name)
        fault_point("image")

    def log_file(self, path: Path, folder: str) -> None:
        """Send a file, without secrets if it is text, to a folder of artifacts; "" is the top."""
        with self._errors(), _without_secrets(path) as clean:
            self._client.log_artifact(self._run_id, str(clean), artifact_key(folder) if folder else None)

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""
        with self._errors(may_refuse=True):
            self._client.set_tag(self._run_id, metric_key(key), cut(value, _LONGEST_TAG), synchronous=True)

    def delete_tag(self, key: str) -> None:
        """Remove a tag of the run, if it has it."""
        with self._errors():
            if key in self._client.get_run(self._run_id).data.tags:
                self._client.delete_tag(self._run_id, key)

    def log_model(self, folder: Path, record: dict[str, Any]) -> None:
        """Send the trained generator unless it is there."""
        run, iteration, requirements = self._run_id, int(record["iteration"]), record["requirements"]
        with self._errors():
            log_generator(self._client, self._experiment_id, run, folder, iteration=iteration, requirements=requirements)

    def set_status(self, status: str, ms: int) -> None:
        """Set the status: RUNNING, or FINISHED, FAILED or KILLED at that time."""
        with self._errors():
            if status == "RUNNING":
                self._client.update_run(self._run_id, status=status)
            else:
                self._client.set_terminated(self._run_id, status=status, end_time=ms)

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.store.uri, registry_uri=self.store.uri)

    @contextmanager
    def _translated(self, *, retry: bool = False) -> Iterator[None]:
        """Turn every error from MLflow, its store or the network into one of this module's errors.

        With ``retry`` nothing counts as refused: before there is a run, the user can correct the address, and the journal can wait.
        """
        try:
            yield
        except (UnreachableError, RefusedError, RunDeletedError):
            raise
        except Exception as error:  # database drivers and cloud storage have their own errors; none of them may reach the training
            raise _translate(error, self.store, retry=retry) from error

    @contextmanager
    def _errors(self, *, may_refuse: bool = False) -> Iterator[None]:
        """Translate errors; a refusal because the run was deleted becomes a :class:`RunDeletedError`.

        With ``may_refuse``, a request that keeps failing while the store accepts another one counts as refused: a single record
        that MLflow cannot store must not block the others for ever.
        """
        try:
            with self._translated():
                yield
        except UnreachableError as failure:
            if may_refuse:
                self.failures = self.failures + 1 if self._accepts_writes() else 0
                if self.failures > _MAX_FAILURES:
                    raise RefusedError(str(failure)) from failure
            raise
        except RefusedError as refusal:
            with self._translated():
                run = self._client.get_run(self._run_id)
                if run.info.lifecycle_stage == "deleted":
                    raise self._deleted(run) from refusal
            raise

    def _deleted(self, run: Any) -> RunDeletedError:
        """The error for a run that the user deleted, alone or with its experiment, with the command that restores it."""
        experiment = self._client.get_experiment(run.info.experiment_id)
        what, name, number = ("experiments", "experiment-id", experiment.experiment_id)
        if experiment.lifecycle_stage == "active":
            what, name, number = ("runs", "run-id", run.info.run_id)
        restore = f"MLFLOW_TRACKING_URI={shlex.quote(self.store.shown)} mlflow {what} restore --{name} {number}"
        login = "" if self.store.shown == self.store.uri else " (with your login in the address)"
        return RunDeletedError(f"it was deleted in MLflow; nothing is sent until you restore it{login}: {restore}")

    def _accepts_writes(self) -> bool:
        """Whether the store accepts a tag that the run has already."""
        try:
            with self._translated():
                self._client.set_tag(self._run_id, "ganforge.run_id", self._ganforge_id, synchronous=True)
        except (UnreachableError, RefusedError):
            return False
        return True

    def _log_batch(self, what: str, items: Sequence[Any]) -> None:
        """Send metrics, params or tags; MLflow's client splits batches that exceed its limits."""
        with self._errors(may_refuse=True):
            self._client.log_batch(self._run_id, synchronous=True, **{what: items})

    def _find_acknowledged(self, run_id: str | None, start: StartRecord) -> bool:
        """Whether the store has the run that the acknowledgement names."""
        from mlflow import MlflowException

        if run_id is None:
            return False
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        if run.data.tags.get("ganforge.run_id") != start.run_id or not _belongs_to(run, start):  # the folder names another run
            return False
        if run.info.lifecycle_stage == "deleted":
            raise self._deleted(run)
        self._experiment_id, self._run_id = str(run.info.experiment_id), run_id
        return True

    def _find_experiment(self, start: StartRecord) -> str:
        """Find or create the experiment. If the user deleted it, it stays deleted, and the new one gets a number after its name."""
        from mlflow import MlflowException

        name = numbered = one_line(start.experiment, 480) or "ganforge"
        number = 1
        while True:
            experiment: Experiment | None = self._client.get_experiment_by_name(numbered)
            if experiment is not None and experiment.lifecycle_stage == "active":
                return str(experiment.experiment_id)
            if experiment is not None:
                number += 1
                numbered = f"{name} ({number})"
                continue
            try:
                tags = {"mlflow.experimentKind": "custom_model_development"}
                return str(self._client.create_experiment(numbered, self.store.artifacts(numbered), tags))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # else another run was faster: look again
                    raise

    def _find_run(self, ganforge_id: str) -> str | None:
        """The run with this ganforge id, such as one whose uploader died before it could acknowledge it."""
        runs = self._search("ganforge.run_id", ganforge_id, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _search(self, tag: str, value: str, **options: Any) -> Sequence[Any]:
        quoted = value.replace("'", "")
        return self._client.search_runs([self._experiment_id], f"tags.`{tag}` = '{quoted}'", **options)

    def _create_run(self, start: StartRecord) -> str:
        tags = {key: value for key, value in _tags(start).items() if key.startswith(("mlflow.", "ganforge."))}
        run = self._client.create_run(self._experiment_id, tags=tags, run_name=one_line(start.run_name, 200))
        self._pictures = set()  # a new run has none
        return str(run.info.run_id)

    def _link_family(self, start: StartRecord) -> None:
        """Link the run to its parent or its children. Each is created before it searches, so the later one finds the earlier."""
        if start.parent_run_id is None:
            for child in self._search("ganforge.parent_run_id", start.run_id):
                self._client.set_tag(child.info.run_id, "mlflow.parentRunId", self._run_id, synchronous=True)
        elif (parent := self._find_run(start.parent_run_id)) is not None:
            self._client.set_tag(self._run_id, "mlflow.parentRunId", parent, synchronous=True)

    def _log_dataset(self, facts: DatasetFacts) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(  # built by hand: the helpers of mlflow.data compute schemas and digests from the data
            name=cut(facts.name, 500),
            digest=facts.digest[:36],
            source_type="code",
            source=json.dumps({"tags": {"mlflow.source.name": facts.source}}),
            profile=json.dumps({"facts": facts.profile}) if facts.profile else None,
        )
        with self._errors():
            self._client.log_inputs(self._run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def _list_pictures(self) -> set[tuple[str, str]]:
        """(key, iteration) of each picture in the store, from file names such as ``images/<key>+step+<n>+timestamp+…``."""
        names = [Path(info.path).name for info in self._client.list_artifacts(self._run_id, "images")]
        parts = [name.split("+") for name in names if name.endswith(".webp")]  # the second of the two files of a picture
        return {(part[0], part[2]) for part in parts if len(part) > 2 and part[1] == "step"}


def _belongs_to(run: Any, start: StartRecord) -> bool:
    """Whether a run in the store is that of the folder, not one with the same id from another folder, of which this is a copy.

    A folder that was moved is known by its old place being empty.
    """
    folder, host = run.data.tags.get("ganforge.run_dir"), run.data.tags.get("ganforge.host")
    if folder in (None, start.tags.get("ganforge.run_dir")):
        return True
    return host == start.tags.get("ganforge.host") and not Path(folder).exists()


def _tags(start: StartRecord) -> Mapping[str, str]:
    tags = {metric_key(key): cut(value, _LONGEST_TAG) for key, value in start.tags.items()}
    tags["ganforge.run_id"] = start.run_id
    if start.note:
        tags["mlflow.note.content"] = cut(start.note, _LONGEST_TAG)
    if start.parent_run_id is not None:
        tags["ganforge.parent_run_id"] = start.parent_run_id
    return tags


def _open_image(path: Path) -> Image:
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=("PNG", "GIF")) as picture:  # those that runs write; others may start programs
            picture.load()
            return picture.copy()
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise RefusedError(f"{path.name} is not a picture: {error}") from error


@contextmanager
def _without_secrets(path: Path) -> Iterator[Path]:
    """The file, or a copy without secrets if it is text that holds any."""
    if not path.is_file():
        raise RefusedError(f"{path.name} is missing")
    clean = masked_content(path)
    if clean is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(clean)
        yield copy


def isolate_refused(items: Sequence[_T], send: Callable[[Sequence[_T]], None]) -> list[tuple[_T, str]]:
    """Send items together; if the store refuses them, halve until each refused item is alone. Returns those, with reasons."""
    try:
        send(items)
    except RefusedError as refusal:
        if len(items) == 1:
            return [(items[0], str(refusal))]
        middle = len(items) // 2
        return isolate_refused(items[:middle], send) + isolate_refused(items[middle:], send)
    return []


@contextmanager
def prepared(store: Store) -> Iterator[None]:
    """Hold the lock of a store that MLflow can open: its sqlite file is complete, and names the folder where the artifacts are.

    Raises an :class:`UnreachableError` with what is wrong with the file.
    """
    file = store.database
    if file is not None and (fault := find_fault(file)):
        raise UnreachableError(str(fault))
    with store.locked():
        if file is not None:
            ensure_complete(file, _open_database)
            relocate(file)
        yield


def _open_database(file: Path) -> None:
    """Let MLflow open an sqlite file, and thereby create its tables."""
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=sqlite_uri(file)).search_experiments(max_results=1)


def _translate(error: Any, store: Store, *, retry: bool) -> UnreachableError | RefusedError:
    from mlflow import MlflowException

    is_mlflow = isinstance(error, MlflowException)
    message = _explain(mask_text(str(error) if is_mlflow else f"{type(error).__name__}: {error}"), store)
    if is_mlflow:
        permanent = error.get_http_status_code() in _PERMANENT_STATUS
    elif isinstance(error, OSError):  # a full disk; and the errors of requests
        status = getattr(getattr(error, "response", None), "status_code", None)
        permanent = status in _PERMANENT_STATUS or error.errno in _PERMANENT_ERRNO
    else:
        permanent = isinstance(error, ValueError | TypeError | OverflowError | KeyError)
    return RefusedError(message) if permanent and not retry else UnreachableError(message)


def _explain(message: str, store: Store) -> str:
    """An error of MLflow or its libraries in one line, without SQL, pages of HTML and the history of retries."""
    if "database schema" in message or "Can't locate revision" in message:
        uri = shlex.quote(store.shown)
        return f"{store.shown} was created by another version of MLflow; back it up, then run: mlflow db upgrade {uri}"
    if store.database is not None and "(sqlite3." in message and (fault := find_fault(store.database)):
        return str(fault)
    for pattern, words in _EXPLANATIONS:
        if found := re.search(pattern, message, re.DOTALL):
            return words.format(*found.groups(), store=store.shown)
    return cut(" ".join(re.split(r"\[SQL: |\(Background on this error", message)[0].split()), 300)


def chart_key(name: str) -> str:
    """The key of a metric or image: MLflow sorts the sections of charts by name, and ``loss/generator/total`` would get its own.

    It becomes ``1-loss/generator.total``: losses come first, then evaluations, images and health, each in one section.
    """
    group, slash, rest = name.partition("/")
    return metric_key(f"{_SECTIONS.get(group, group)}/{rest.replace('/', '.')}") if slash else metric_key(name)


def metric_key(name: str) -> str:
    """A key for a metric, parameter or tag: letters, digits and ``_ - . space : /``, a clean relative path, at most 250 characters.

    A name that has to change gets a digest of the original as its suffix, so that different names stay different.
    """
    return _clean(name, allowed=r"\w\-. :", longest=250, flags=0)


def artifact_key(name: str) -> str:
    """A key for an image or a folder, which accepts fewer characters: ASCII letters, digits and ``_ - . space /``."""
    return _clean(name, allowed=r"\w\-. ", longest=120, flags=re.ASCII)  # it becomes part of a file name of at most 255


def one_line(name: str, longest: int) -> str:
    """A name for display: control characters become spaces, and it is cut after ``longest`` characters."""
    return "".join(character if character.isprintable() else " " for character in name)[:longest]


def cut(text: str, longest: int) -> str:
    """Text of at most ``longest`` characters with a note where it was cut; MLflow itself cuts silently."""
    note = " … (cut)"
    return text if len(text) <= longest else text[: longest - len(note)] + note


def _clean(name: str, *, allowed: str, longest: int, flags: int) -> str:
    parts = [re.sub(rf"[^{allowed}]", "_", part, flags=flags) for part in name.split("/")]
    parts = [part for part in parts if part not in {"", "."}]
    clean = "/".join("__" if part == ".." else part for part in parts)
    if clean and clean == name and len(clean) <= longest and not clean.startswith(".."):
        return clean
    clean, digest = clean.lstrip("."), hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{clean[: longest - 7]}-{digest}" if clean else digest
