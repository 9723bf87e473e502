"""Discovery of plugins: installed ones by their metadata, and local files. Nothing of an installed plugin is imported here.

A local plugin is a Python file that the command line or the project names, never a recipe. It passes the same checks as an
installed plugin. ganforge runs exactly the content that it hashed; the file's folder does not get onto the import path.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ganforge import __version__
from ganforge.core.errors import PluginError
from ganforge.core.redaction import public_url
from ganforge.registry.component import Kind, PluginRef
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.selection import BUILTIN, LOCAL, local_plugin_name, normalize_name

_NEEDS_GANFORGE = re.compile(r"ganforge(?![\w.-])", re.IGNORECASE)


class PluginStatus(StrEnum):
    """The outcome of loading a plugin."""

    ACTIVE = "active"
    """Loaded; its components are available."""
    LOCAL = "local"
    """Loaded from a local file; its components are available."""
    DISABLED = "disabled"
    """Excluded by the user's selection; not imported."""
    BROKEN = "broken"
    """Failed to import or to register; none of its components is available."""
    INCOMPATIBLE = "incompatible"
    """Requires another version of ganforge; not imported."""
    UNAVAILABLE = "unavailable"
    """Loaded, but all of its components need modules that are not installed."""


@dataclass(frozen=True, slots=True)
class PluginRecord(PluginRef):
    """A plugin that was found, and the outcome of loading it."""

    module: str = ""  # what its entry point names
    requires: tuple[str, ...] = ()
    origin: str | None = None  # the folder, file, address or commit it was installed from, if known
    content: bytes | None = field(default=None, repr=False)  # the source of a local file
    status: PluginStatus = PluginStatus.ACTIVE  # the outcome; before loading, ACTIVE unless its metadata cannot be used
    reason: str | None = None  # why it is not active, in one line
    traceback: str | None = None
    load_ms: float | None = None  # milliseconds for import and registration, if both succeeded
    components: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)  # their names; if it failed, those registered before
    remarks: tuple[str, ...] = ()  # peculiarities of a plugin that works, such as "imports torch"

    @property
    def title(self) -> str:
        """Its name in messages: its distribution, or its file for a local plugin."""
        return Path(self.origin).name if self.distribution == LOCAL and self.origin else self.distribution

    @property
    def handle(self) -> str:
        """The name by which commands find it."""
        return self.name if self.distribution == LOCAL else self.distribution

    @property
    def id(self) -> str:
        """A name that is unique even if an installed plugin has the name of a local file."""
        return f"{LOCAL}/{self.name}" if self.distribution == LOCAL else self.distribution

    @property
    def component_counts(self) -> str:
        """How many components of each kind it registers, in words."""
        counts = {kind: len(names) for kind, names in self.components.items()}
        return ", ".join(f"{count} {kind.plural if count > 1 else kind.value}" for kind, count in counts.items())

    @property
    def works(self) -> bool:
        """Whether its components are available."""
        return self.status in (PluginStatus.ACTIVE, PluginStatus.LOCAL)

    @property
    def failed(self) -> bool:
        """Whether it should have loaded and did not."""
        return self.status in (PluginStatus.BROKEN, PluginStatus.INCOMPATIBLE)

    @property
    def incompatible(self) -> str | None:
        """Why its requirements exclude this version of ganforge, or ``None``.

        pip checks this when the plugin is installed, and not again when ganforge is updated.
        """
        from packaging.requirements import InvalidRequirement, Requirement

        for line in filter(_NEEDS_GANFORGE.match, self.requires):
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                return f"its requirement {line!r} cannot be read"
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            if applies and not wanted.specifier.contains(__version__, prereleases=True):
                return f"needs ganforge {wanted.specifier}, this is {__version__}"
        return None

    @property
    def file(self) -> Path | None:
        """The file of the plugin's module, found without importing it or its package."""
        if self.source == "file" and self.url:
            return Path(self.url)
        top, _, rest = self.module.partition(":")[0].strip().partition(".")
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError, AttributeError):  # not a module name, or a package without a spec
            spec = None
        if spec is None:
            return None
        if not rest:
            return Path(spec.origin) if spec.origin else None
        inner = Path(*rest.split("."))
        places = [Path(place, inner) for place in spec.submodule_search_locations or ()]
        files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
        return next((file for file in files if file.is_file()), None)

    def load(self) -> object:
        """Import the object that the entry point names, or run the local file, once per process."""
        if self.content is None:
            return metadata.EntryPoint(self.name, self.module, ENTRY_POINT_GROUP).load()
        # The name contains the hash, so that an edited file is a new module.
        digest = hashlib.sha256(f"{self.url}:{self.sha256}".encode()).hexdigest()[:8]
        name = f"ganforge_local_{self.name.replace('-', '_')}_{digest}"
        if name in sys.modules:
            return sys.modules[name]
        module = importlib.util.module_from_spec(ModuleSpec(name, None, origin=self.url))
        module.__file__ = self.url
        sys.modules[name] = module  # before it runs: pydantic looks up the module of a class there
        try:
            exec(compile(self.content, str(self.url), "exec"), module.__dict__)  # noqa: S102 - the user named this file to be run
        except BaseException as error:
            del sys.modules[name]
            if isinstance(error, ImportError) and self._is_beside(error):
                raise PluginError(
                    f"{error}: a local plugin is a single file, and its folder is not on the import path",
                    remedy="put everything into the file, or write a package: ganforge plugins new",
                ) from error
            raise
        return module

    def _is_beside(self, error: ImportError) -> bool:
        """Whether the failed import means a module in the file's folder."""
        beside = self.file and error.name and self.file.parent / error.name.partition(".")[0]
        return "relative import" in str(error) or bool(beside and (beside.is_dir() or beside.with_suffix(".py").is_file()))


def read_local_plugin(path: Path) -> PluginRecord:
    """Read a local plugin file without running it. A file that cannot be read becomes a broken plugin."""
    found = PluginRecord(local_plugin_name(path), LOCAL, "?", "file", str(path), module=str(path), origin=str(path))
    if path.suffix != ".py":
        return replace(found, status=PluginStatus.BROKEN, reason=f"{path} is not a Python file (.py)")
    try:
        content = path.read_bytes()
    except OSError as error:
        return replace(found, status=PluginStatus.BROKEN, reason=f"cannot read {path}: {error.strerror or error}")
    digest = hashlib.sha256(content).hexdigest()
    return replace(found, version=digest[:12], sha256=digest, content=content)


def builtin_plugin() -> PluginRecord:
    """The plugin with ganforge's own components; it is always present."""
    try:
        source = _installed_from(metadata.distribution("ganforge"))
    except metadata.PackageNotFoundError:  # run from a source tree
        source = {"source": "folder"}
    return PluginRecord(BUILTIN, "ganforge", __version__, module="ganforge.builtin.builtin_plugin", **source)


def installed_plugins() -> list[PluginRecord]:
    """Every installed plugin, sorted. Equal entry points appear once; two different ones of the same name make it broken."""
    try:
        entry_points = list(metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception:  # noqa: BLE001 - one damaged distribution, of whatever package, must not hide all others
        entry_points = [entry_point for first, *_ in find_copies()[0].values() for entry_point in first.entries]

    found: dict[tuple[str, str], PluginRecord] = {}
    for plugin in map(_describe, entry_points):
        key = (plugin.name, plugin.distribution)
        other = found.setdefault(key, plugin)
        if other.module != plugin.module:
            fault = f"its entry point '{plugin.name}' is declared twice: {other.module} and {plugin.module}"
            found[key] = replace(other, status=PluginStatus.BROKEN, reason=fault)
    return [found[key] for key in sorted(found)]


def _describe(entry_point: metadata.EntryPoint) -> PluginRecord:
    found = PluginRecord(entry_point.name, normalize_name(entry_point.name), "?", module=entry_point.value)
    distribution = entry_point.dist
    if distribution is None:  # only an entry point made by hand has none
        return found
    try:
        text = distribution.metadata  # once: each access reads and parses it anew
        found = replace(
            found,
            distribution=normalize_name(text["Name"]),
            version=(text.get_all("Version") or [""])[0],  # text["Version"] may raise KeyError
            requires=tuple(text.get_all("Requires-Dist") or distribution.requires or ()),
            **_installed_from(distribution),
        )
    except Exception as error:  # noqa: BLE001 - metadata is the plugin's, so whatever is wrong with it is the plugin's fault
        return replace(found, status=PluginStatus.BROKEN, reason=f"its metadata cannot be read: {error}")
    if not found.version:
        return replace(found, version="?", status=PluginStatus.BROKEN, reason="its metadata has no version")
    return found


def _installed_from(distribution: metadata.Distribution) -> dict[str, Any]:
    """``source``, ``origin`` and ``url`` of a :class:`PluginRecord`, from the installer's ``direct_url.json`` (PEP 610).

    Logins and tokens in the address are removed: it is printed, written to lock files and sent to MLflow.
    """
    text = distribution.read_text("direct_url.json")
    if text is None:
        return {}
    record = json.loads(text)
    url = re.sub(r"\s", lambda blank: f"%{ord(blank[0]):02X}", public_url(str(record.get("url", ""))))
    path = unquote(urlsplit(url).path) if url.startswith("file:") else url
    folder = f"#subdirectory={record['subdirectory']}" if record.get("subdirectory") else ""
    if vcs := record.get("vcs_info"):
        commit = str(vcs.get("commit_id", ""))
        address = f"{vcs.get('vcs', 'git')}+{url}@{commit}{folder}"
        return {"source": "vcs", "origin": f"{url}@{commit[:12]}", "url": address}
    if record.get("dir_info", {}).get("editable"):
        return {"source": "editable", "origin": path, "url": url}
    local = "archive" if "archive_info" in record else "folder"
    return {"source": local if url.startswith("file:") else "url", "origin": path, "url": f"{url}{folder}"}


@dataclass(frozen=True, slots=True)
class InstalledCopy:
    """A distribution with plugins, as it is installed in one folder of the import path."""

    distribution: str
    version: str
    folder: Path
    entries: tuple[metadata.EntryPoint, ...]


def find_copies() -> tuple[dict[str, tuple[InstalledCopy, ...]], dict[Path, str]]:
    """All copies of each distribution with plugins, the one that Python imports first; and unreadable metadata, with the error."""
    copies: dict[str, dict[InstalledCopy, None]] = {}
    unreadable: dict[Path, str] = {}
    for distribution in metadata.distributions():
        try:
            entry_points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
            if not entry_points:
                continue
            name, version = normalize_name(distribution.metadata["Name"]), distribution.metadata["Version"]
            folder = Path(str(distribution.locate_file(""))).resolve()
        except Exception as error:  # noqa: BLE001 - a package's metadata may be damaged in any way
            place = Path(str(getattr(distribution, "_path", None) or distribution.locate_file("")))
            unreadable[place] = f"{type(error).__name__}: {error}"
        else:
            copies.setdefault(name, {})[InstalledCopy(name, version, folder, tuple(sorted(entry_points)))] = None
    return {name: tuple(copies[name]) for name in sorted(copies)}, unreadable
