"""Where the MLflow records go: the command line, the environment, or MLflow's own default in the current folder. Never a recipe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ganforge.core.errors import UsageError
from ganforge.core.redaction import mask_text
from ganforge.tracking.mlflow_names import slug

Origin = Literal["--tracking-uri", "MLFLOW_TRACKING_URI", "default"]

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Store:
    """A place that MLflow records go to.

    Attributes:
        uri: its tracking URI; an sqlite file's path is absolute.
        origin: who said so.
    """

    uri: str
    origin: Origin = "default"

    @property
    def shown(self) -> str:
        """The URI without user and password, for terminals and files."""
        return mask_text(self.uri)

    @property
    def is_http(self) -> bool:
        """Whether it is a server that a browser can open."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def database(self) -> Path | None:
        """The sqlite file, or ``None`` for any other kind of store."""
        if not self.uri.startswith(_SQLITE):
            return None
        return Path(unquote(self.uri.removeprefix(_SQLITE).split("?")[0]))

    @property
    def lock(self) -> Path | None:
        """The file that is locked while the sqlite file is used for the first time, beside it."""
        database = self.database
        return None if database is None else database.with_name(f"{database.name}.lock")

    def artifacts(self, experiment: str) -> str | None:
        """Where an experiment's artifacts go: beside the sqlite file; ``None`` leaves it to the server."""
        database = self.database
        return None if database is None else (database.parent / "mlartifacts" / slug(experiment)).as_uri()

    def link(self, experiment_id: str, run_id: str | None = None) -> str | None:
        """Address of a run's or experiment's page; ``None`` for a store without a server.

        MLflow opens on a page for language models unless the address says otherwise.
        """
        if not self.is_http:
            return None
        base = self.shown.rstrip("/")
        if run_id:
            return f"{base}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
        return f"{base}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"


def resolve(uri: str | None = None, *, folder: Path | None = None) -> Store:
    """Find the store: ``--tracking-uri``, else ``MLFLOW_TRACKING_URI``, else ``sqlite:///<folder>/mlflow.db``.

    Args:
        uri: what the command line says.
        folder: what relative paths are meant from; the current folder unless given.

    Raises:
        UsageError: the URI names MLflow's file store, which MLflow itself refuses since 3.13, or is no URI at all.
    """
    folder = Path.cwd() if folder is None else folder.absolute()
    if uri:
        return Store(_checked(uri, folder), "--tracking-uri")
    if named := os.environ.get("MLFLOW_TRACKING_URI"):
        return Store(_checked(named, folder), "MLFLOW_TRACKING_URI")
    return Store(f"{_SQLITE}{folder / 'mlflow.db'}", "default")


def _checked(uri: str, folder: Path) -> str:
    uri = uri.strip()
    if uri.startswith("sqlite:") and not uri.startswith(_SQLITE):
        raise UsageError(f"'{uri}' is no sqlite URI", remedy=f"write three slashes: {_SQLITE}mlflow.db")
    if uri.startswith(_SQLITE):
        path, _, options = uri.removeprefix(_SQLITE).partition("?")
        if not path or path == ":memory:":
            raise UsageError("an sqlite store in memory is lost at once", remedy=f"name a file: {_SQLITE}mlflow.db")
        return f"{_SQLITE}{folder / path}" + (f"?{options}" if options else "")

    scheme = urlsplit(uri).scheme
    if scheme in {"", "file"}:
        raise UsageError(
            f"'{mask_text(uri)}' names MLflow's file store, which MLflow refuses since 3.13",
            remedy=f"use {_SQLITE}mlflow.db or a server's address; "
            "'mlflow migrate-filestore --source ./mlruns --target sqlite:///mlflow.db' moves old runs",
        )
    return uri
