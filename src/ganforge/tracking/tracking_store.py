"""The MLflow store of a run: from the command line, the environment, the user's settings or MLflow's default.

An address never comes from a recipe or a run folder, which anyone may have written: runs are sent there with the user's login.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from ganforge.core.errors import UsageError, unknown_name
from ganforge.core.redaction import mask_text
from ganforge.registry.selection import check_owner, project_file, project_table
from ganforge.storage.run_folder import slug
from ganforge.tracking.mlflow_database import ARTIFACTS, find_fault

_SQLITE = "sqlite:///"
_DATABASES = ("postgresql", "mysql", "mssql")
_PIP_NAMES = {"MySQLdb": "mysqlclient", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}
_DATABASE_FORM = "write it as postgresql://user:password@host:5432/name"


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

    def place(self, folder: Path) -> str | None:
        """The sqlite file as seen from a folder, such as ``../../mlflow.db``: it stays the same when a project is moved."""
        return os.path.relpath(self.database, folder) if self.database is not None else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold a lock beside an sqlite file: if several processes open a new one together, MLflow lets most of them die."""
        if self.database is None:
            yield
            return
        self.database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.database.with_name(f"{self.database.name}.lock")):
            yield

    def check(self) -> None:
        """Raise a :class:`UsageError` if no waiting will make MLflow accept the store; a server may be down for now."""
        file = self.database
        if file is not None:
            fault = find_fault(file)
            if fault and (fault.is_permanent or self.origin != "default"):
                raise UsageError(fault.reason, remedy=fault.remedy)
        elif urlsplit(self.uri).scheme.partition("+")[0] in _DATABASES:
            _check_driver(self.uri)

    def artifacts(self, experiment: str) -> str | None:
        """Where the artifacts of an experiment go: beside the sqlite file; ``None`` lets the server decide."""
        if self.database is None:
            return None
        return (self.database.parent / ARTIFACTS / slug(experiment, fallback="experiment")).as_uri()

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
    yield Store(sqlite_uri(folder / "mlflow.db"))


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
    """The URI in the form that MLflow takes; a :class:`UsageError` if MLflow knows no store of that kind."""
    scheme, colon, rest = uri.partition(":")
    kind = scheme.lower().partition("+")[0] if colon else ""
    if kind == "sqlite":
        return _sqlite_uri(f"sqlite:{rest}", folder)
    if kind in {"http", "https"}:
        return _server_uri(f"{kind}:{rest}")
    if uri == "databricks" or kind in {"databricks", *_DATABASES}:
        return uri

    shown = mask_text(uri)
    if re.match(r"[\w.-]+:\d+(/|$)", uri):
        raise UsageError(f"'{shown}' is not an address with http:// or https://", remedy=f"write http://{shown}")
    if kind in {"", "file"}:
        return _file_store(uri, folder)
    if scheme in {point.name for point in metadata.entry_points(group="mlflow.tracking_store")}:
        return uri
    kinds = ("sqlite", "http", "https", "databricks", *_DATABASES)
    raise unknown_name(f"MLflow has no store of the kind '{scheme}': '{shown}'", scheme, kinds, f"kinds: {', '.join(kinds)}")


def _sqlite_uri(uri: str, folder: Path) -> str:
    if not uri.startswith(_SQLITE):
        raise UsageError(f"'{uri}' is not an sqlite URI", remedy=f"write three slashes: {_SQLITE}mlflow.db")
    path, _, options = uri.removeprefix(_SQLITE).partition("?")
    if not path or path == ":memory:":
        raise UsageError("an sqlite store in memory does not keep anything", remedy=f"name a file: {_SQLITE}mlflow.db")
    file = folder / Path(unquote(path)).expanduser()
    return sqlite_uri(file) + (f"?{options}" if options else "")


def sqlite_uri(file: Path) -> str:
    """The URI of an sqlite file. SQLAlchemy decodes the path, so ``%41`` and ``?`` in it have to be encoded."""
    return _SQLITE + re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", str(file)).replace("?", "%3F")


def _server_uri(uri: str) -> str:
    parts = urlsplit(uri)
    shown = mask_text(uri)
    try:
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete or re.search(r"\s", uri):
        raise UsageError(f"'{shown}' is not the address of a server", remedy="such as http://127.0.0.1:5000")
    if parts.fragment or parts.query:
        base = parts._replace(fragment="", query="").geturl()
        raise UsageError(f"'{shown}' is a page of MLflow, not the server's address", remedy=f"write {mask_text(base)}")
    return uri


def _file_store(uri: str, folder: Path) -> str:
    """A path or ``file:`` URI, which MLflow takes only with ``MLFLOW_ALLOW_FILE_STORE``."""
    path = folder / Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri).expanduser()
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in {"true", "1"}:
        return path.as_uri()
    if path.is_file() or path.suffix in {".db", ".sqlite", ".sqlite3"}:
        raise UsageError(f"'{uri}' is a path, not an address", remedy=f"write {sqlite_uri(path)}")
    raise UsageError(
        f"'{mask_text(uri)}' names MLflow's file store, which MLflow refuses since 3.13",
        remedy=f"use {_SQLITE}mlflow.db or a server's address; "
        "'mlflow migrate-filestore --source ./mlruns --target sqlite:///mlflow.db' moves old runs",
    )


def _check_driver(uri: str) -> None:
    """Raise a :class:`UsageError` for a database's address that SQLAlchemy cannot read, or without its driver."""
    import sqlalchemy

    try:
        sqlalchemy.make_url(uri).get_dialect().import_dbapi()
    except ImportError as error:
        name = str(error.name)
        raise UsageError(
            f"{mask_text(uri)} needs the module {name}, which is not installed", remedy=f"pip install {_PIP_NAMES.get(name, name)}"
        ) from error
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise UsageError(
            f"'{mask_text(uri)}' is not the address of a database: {mask_text(str(error))}", remedy=_DATABASE_FORM
        ) from error


def _schemes_of_plugins() -> set[str]:
    return {point.name for point in metadata.entry_points(group="mlflow.tracking_store")}
