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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ganforge import __version__
from ganforge.core.errors import PluginError
from ganforge.core.redaction import public_url
from ganforge.registry.component import PluginRef
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.selection import BUILTIN, LOCAL, local_plugin_name, normalize_name

_NEEDS_GANFORGE = re.compile(r"ganforge(?![\w.-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InstalledPlugin(PluginRef):
    """A plugin that was found and not imported yet.

    Attributes:
        entry_point: the entry point to load.
        requires: the distribution's requirements, from its metadata.
        origin: the folder, file or address it was installed from, if known.
        fault: why its metadata cannot be used, or ``None``.
    """

    entry_point: metadata.EntryPoint = field(kw_only=True)
    requires: tuple[str, ...] = ()
    origin: str | None = None
    fault: str | None = None

    def load(self) -> object:
        """Import the object that the entry point names."""
        return self.entry_point.load()

    @property
    def incompatible(self) -> str | None:
        """Why its requirements exclude this version of ganforge, or ``None``.

        pip checks this when the plugin is installed, and not again when ganforge is updated.
        """
        lines = [line for line in self.requires if _NEEDS_GANFORGE.match(line)]
        if not lines:
            return None
        from packaging.requirements import InvalidRequirement, Requirement

        for line in lines:
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
        top, _, rest = self.entry_point.value.partition(":")[0].strip().partition(".")
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


@dataclass(frozen=True, slots=True)
class LocalPlugin(InstalledPlugin):
    """A Python file that is a plugin. Its module's name contains the hash, so that an edited file is a new module.

    Attributes:
        content: the file's content.
    """

    content: bytes = b""

    @property
    def file(self) -> Path | None:
        """The file itself."""
        return Path(self.url) if self.url else None

    def load(self) -> object:
        """Run the file, once per process."""
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


def read_local_plugin(path: Path) -> LocalPlugin:
    """Read a local plugin file without running it. Problems become its ``fault``."""
    fault, content = None, b""
    try:
        content = path.read_bytes()
    except OSError as error:
        fault = f"cannot read {path}: {error.strerror or error}"
    if path.suffix != ".py":
        fault = f"{path} is not a Python file (.py)"
    digest = hashlib.sha256(content).hexdigest()
    return LocalPlugin(
        name=local_plugin_name(path),
        distribution=LOCAL,
        version="?" if fault else digest[:12],
        entry_point=metadata.EntryPoint(local_plugin_name(path), str(path), ENTRY_POINT_GROUP),
        source="file",
        origin=str(path),
        url=str(path),
        fault=fault,
        sha256=None if fault else digest,
        content=content,
    )


def builtin_plugin() -> InstalledPlugin:
    """The plugin with ganforge's own components; it is always present."""
    entry_point = metadata.EntryPoint(name=BUILTIN, value="ganforge.builtin.builtin_plugin", group=ENTRY_POINT_GROUP)
    try:
        source, origin, url = _installed_from(metadata.distribution("ganforge"))
    except metadata.PackageNotFoundError:  # run from a source tree
        source, origin, url = "local", None, None
    return InstalledPlugin(BUILTIN, "ganforge", __version__, source, url, entry_point=entry_point, origin=origin)


def installed_plugins() -> list[InstalledPlugin]:
    """Every installed plugin, sorted. Equal entry points appear once; two different ones of the same name become a fault."""
    found: dict[tuple[str, str], InstalledPlugin] = {}
    for entry_point in _entry_points():
        plugin = _describe(entry_point)
        key = (plugin.name, plugin.distribution)
        other = found.setdefault(key, plugin)
        if other.entry_point.value != entry_point.value:
            fault = f"its entry point '{plugin.name}' is declared twice: {other.entry_point.value} and {entry_point.value}"
            found[key] = InstalledPlugin(*key, plugin.version, entry_point=other.entry_point, fault=fault)
    return [found[key] for key in sorted(found)]


def _entry_points() -> Iterable[metadata.EntryPoint]:
    try:
        return metadata.entry_points(group=ENTRY_POINT_GROUP)
    except Exception:  # noqa: BLE001 - one damaged distribution, of whatever package, must not hide all others
        return _readable_entry_points()


def _readable_entry_points() -> Iterator[metadata.EntryPoint]:
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            name = normalize_name(distribution.name)
            entry_points = list(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
        except Exception:  # noqa: BLE001, S112 - see _entry_points; what cannot be read may be no plugin at all
            continue
        if name not in seen:
            seen.add(name)
            yield from entry_points


def _describe(entry_point: metadata.EntryPoint) -> InstalledPlugin:
    distribution = entry_point.dist
    unknown = InstalledPlugin(entry_point.name, normalize_name(entry_point.name), "?", entry_point=entry_point)
    if distribution is None:  # only an entry point made by hand has none
        return unknown
    try:
        text = distribution.metadata  # once: each access reads and parses it anew
        name, versions = normalize_name(text["Name"]), text.get_all("Version") or [""]  # text["Version"] may raise KeyError
        source, origin, url = _installed_from(distribution)
        return InstalledPlugin(
            name=entry_point.name,
            distribution=name,
            version=versions[0] or "?",
            entry_point=entry_point,
            requires=tuple(text.get_all("Requires-Dist") or distribution.requires or ()),
            source=source,
            origin=origin,
            url=url,
            fault=distribution_error(name, versions[0]),
        )
    except Exception as error:  # noqa: BLE001 - metadata is the plugin's, so whatever is wrong with it is the plugin's fault
        return replace(unknown, fault=f"its metadata cannot be read: {error}")


def distribution_error(name: str, version: str | None) -> str | None:
    """Why a distribution with this normalized name and version cannot be a plugin, or ``None``."""
    if name == LOCAL:
        return f"a distribution cannot be called '{LOCAL}': the name is reserved for files given by --plugin"
    return None if version else "its metadata has no version"


def _installed_from(distribution: metadata.Distribution) -> tuple[str, str | None, str | None]:
    """``source``, ``origin`` and ``url`` of :class:`InstalledPlugin`, from the installer's ``direct_url.json`` (PEP 610).

    Logins and tokens in the address are removed: it is printed, written to lock files and sent to MLflow.
    """
    text = distribution.read_text("direct_url.json")
    if text is None:
        return "index", None, None
    record = json.loads(text)
    url = re.sub(r"\s", lambda blank: f"%{ord(blank[0]):02X}", public_url(str(record.get("url", ""))))
    path = unquote(urlsplit(url).path) if url.startswith("file:") else url
    folder = f"#subdirectory={record['subdirectory']}" if record.get("subdirectory") else ""
    if vcs := record.get("vcs_info"):
        commit = str(vcs.get("commit_id", ""))
        return "vcs", f"{url}@{commit[:12]}", f"{vcs.get('vcs', 'git')}+{url}@{commit}{folder}"
    if record.get("dir_info", {}).get("editable"):
        return "editable", path, url
    return ("local" if url.startswith("file:") else "url"), path, f"{url}{folder}"


@dataclass(frozen=True, slots=True)
class InstalledCopy:
    """A distribution with plugins, as it is installed in one folder of the import path.

    Attributes:
        distribution: its name, normalized.
        version: its version.
        folder: the folder of the import path.
        entries: its entry points, each as ``name = module``.
    """

    distribution: str
    version: str
    folder: Path
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnreadableMetadata:
    """Damaged metadata of some distribution, which may or may not be a plugin.

    Attributes:
        place: its folder.
        reason: what is wrong.
    """

    place: Path
    reason: str


def find_copies() -> tuple[dict[str, tuple[InstalledCopy, ...]], tuple[UnreadableMetadata, ...]]:
    """All copies of each distribution with plugins, the one that Python imports first; and metadata that cannot be read."""
    copies: dict[str, dict[InstalledCopy, None]] = {}
    unreadable: dict[UnreadableMetadata, None] = {}
    for distribution in metadata.distributions():
        try:
            entry_points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
            if not entry_points:
                continue
            found = InstalledCopy(
                normalize_name(distribution.metadata["Name"]),
                distribution.metadata["Version"],
                Path(str(distribution.locate_file(""))).resolve(),
                tuple(sorted(f"{entry.name} = {entry.value}" for entry in entry_points)),
            )
        except Exception as error:  # noqa: BLE001 - a package's metadata may be damaged in any way
            place = Path(str(getattr(distribution, "_path", None) or distribution.locate_file("")))
            unreadable[UnreadableMetadata(place, f"{type(error).__name__}: {error}")] = None
        else:
            copies.setdefault(found.distribution, {})[found] = None
    return {name: tuple(copies[name]) for name in sorted(copies)}, tuple(unreadable)
