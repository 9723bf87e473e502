"""The MLflow store of a run: from the command line, the environment, the user's settings or MLflow's default.

An address never comes from a recipe or a run folder, which anyone may have written: runs are sent there with the user's login.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from ganforge.core.errors import UsageError
from ganforge.core.redaction import mask_text
from ganforge.registry.selection import check_owner, project_file, project_table
from ganforge.storage.run_folder import slug

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Store:
    """An MLflow store."""

    uri: str  # its tracking URI; the path of an sqlite file is absolute
    origin: str = "default"  # else --tracking-uri, MLFLOW_TRACKING_URI, or the file of settings

    @property
    def shown(self) -> str:
        """The URI without user and password."""
        return mask_text(self.uri)

    @property
    def is_http(self) -> bool:
        """Whether it is a server that a browser can open."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def database(self) -> Path | None:
        """The sqlite file, or ``None`` for any other kind of store."""
        path = unquote(self.uri.removeprefix(_SQLITE).split("?")[0])
        return Path(path) if self.uri.startswith(_SQLITE) else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold a lock beside an sqlite file: if several processes open a new one together, MLflow lets most of them die."""
        if self.database is None:
            yield
            return
        self.database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.database.with_name(f"{self.database.name}.lock")):
            yield

    def artifacts(self, experiment: str) -> str | None:
        """Where the artifacts of an experiment go: beside the sqlite file; ``None`` lets the server decide."""
        if self.database is None:
            return None
        return (self.database.parent / "mlartifacts" / slug(experiment, fallback="experiment")).as_uri()

    def link(self, experiment_id: str, run_id: str | None = None) -> str | None:
        """Address of the page of a run or experiment; ``None`` for a store without a server.

        Without ``workflowType``, MLflow opens a page for language models.
        """
        page = f"{self.shown.rstrip('/')}/#/experiments/{experiment_id}/runs"
        page += f"/{run_id}?workflowType=machine_learning" if run_id else "?workflowType=machine_learning&compareRunsMode=CHART"
        return page if self.is_http else None


def resolve_store(uri: str | None = None, *, folder: Path | None = None) -> Store:
    """Find the store: ``uri`` of the command line, else the first of :func:`user_stores`.

    Relative paths begin at ``folder``, by default the current one. Raises a :class:`UsageError` for a URI that MLflow would refuse.
    """
    folder = Path.cwd() if folder is None else folder.absolute()
    return Store(_checked(uri.strip(), folder), "--tracking-uri") if uri else next(user_stores(folder))


def user_stores(folder: Path) -> Iterator[Store]:
    """The stores that the user named, those that come first having precedence, and the default one.

    They come from ``MLFLOW_TRACKING_URI``, ``[tool.ganforge.tracking] uri`` in ``pyproject.toml``, ``[tracking] uri`` in
    ``config.toml`` in the user's configuration folder, and ``sqlite:///<folder>/mlflow.db``.
    """
    if named := os.environ.get("MLFLOW_TRACKING_URI"):
        yield Store(_checked(named.strip(), folder), "MLFLOW_TRACKING_URI")
    if (project := project_file(folder)) and (table := project_table(project, "tracking")):
        check_owner(project, folder, "tracking", "runs are not sent to its address")
        yield _from_settings(project, table)
    if (settings := settings_file()).is_file():
        try:
            table = tomllib.loads(settings.read_text("utf-8")).get("tracking", {})
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {settings}: {error}", remedy="fix it; it holds your [tracking] uri") from error
        if table:
            yield _from_settings(settings, table)
    yield Store(f"{_SQLITE}{folder / 'mlflow.db'}")


def settings_file() -> Path:
    """``config.toml`` in the user's configuration folder, such as ``~/.config/ganforge`` on Linux."""
    import typer

    return Path(typer.get_app_dir("ganforge"), "config.toml")


def _from_settings(file: Path, table: object) -> Store:
    uri = table.get("uri") if isinstance(table, dict) and table.keys() == {"uri"} else None
    if not isinstance(uri, str) or not uri.strip():
        raise UsageError(f"{file}: the table tracking must hold an address", remedy='such as uri = "https://mlflow.example.org"')
    return Store(_checked(uri.strip(), file.parent), str(file))


def _checked(uri: str, folder: Path) -> str:
    if uri.startswith("sqlite:") and not uri.startswith(_SQLITE):
        raise UsageError(f"'{uri}' is not an sqlite URI", remedy=f"write three slashes: {_SQLITE}mlflow.db")
    if uri.startswith(_SQLITE):
        path, _, options = uri.removeprefix(_SQLITE).partition("?")
        if not path or path == ":memory:":
            raise UsageError("an sqlite store in memory does not keep anything", remedy=f"name a file: {_SQLITE}mlflow.db")
        return f"{_SQLITE}{folder / path}" + (f"?{options}" if options else "")

    if urlsplit(uri).scheme in {"", "file"}:
        raise UsageError(
            f"'{mask_text(uri)}' names MLflow's file store, which MLflow refuses since 3.13",
            remedy=f"use {_SQLITE}mlflow.db or a server's address; "
            "'mlflow migrate-filestore --source ./mlruns --target sqlite:///mlflow.db' moves old runs",
        )
    return uri
