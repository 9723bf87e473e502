"""Finds installed plugins by their metadata alone. Nothing of a plugin is imported here."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ganforge import __version__
from ganforge.core.redaction import public_url
from ganforge.registry.component import PluginRef
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.selection import BUILTIN, LOCAL, normalise

_NEEDS_GANFORGE = re.compile(r"ganforge(?![\w.-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """An installed plugin that was not imported yet.

    Attributes:
        name: entry-point name.
        distribution: distribution name, normalised.
        version: the distribution's version.
        entry_point: what to load.
        requires: the distribution's requirements, as its metadata gives them.
        source: how it was installed: ``index``, ``editable``, ``local``, ``vcs`` or ``url``.
        origin: where it was installed from, where that is known.
        url: the same as pip takes it, such as ``git+https://…@<commit>``; ``None`` for one from an index.
        fault: why its metadata cannot be used, or ``None``.
        sha256: of the file that is the plugin, for a local one.
    """

    name: str
    distribution: str
    version: str
    entry_point: metadata.EntryPoint
    requires: tuple[str, ...] = ()
    source: str = "index"
    origin: str | None = None
    url: str | None = None
    fault: str | None = None
    sha256: str | None = None

    def load(self) -> object:
        """What the entry point names; imports the plugin."""
        return self.entry_point.load()

    @property
    def ref(self) -> PluginRef:
        """Whose its components are."""
        return PluginRef(self.name, self.distribution, self.version, self.source, self.url, self.sha256)

    @property
    def incompatible(self) -> str | None:
        """How the plugin's own requirement and this ganforge disagree, or ``None`` when they agree or nothing is required.

        pip checks this only when the plugin is installed, not when ganforge is updated later.
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
        """Where the plugin's module should lie, found without importing it or its package."""
        top, _, rest = self.entry_point.value.partition(":")[0].strip().partition(".")
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError, AttributeError):  # no name of a module, or a package that hides where it is from
            spec = None
        if spec is None:
            return None
        if not rest:
            return Path(spec.origin) if spec.origin else None
        inner = Path(*rest.split("."))
        places = [Path(place, inner) for place in spec.submodule_search_locations or ()]
        files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
        return next((file for file in files if file.is_file()), None)


def builtin() -> Found:
    """The components that ganforge itself ships: a plugin like any other, except that it is always there."""
    entry_point = metadata.EntryPoint(name=BUILTIN, value="ganforge.builtin.builtin_plugin", group=ENTRY_POINT_GROUP)
    try:
        source, origin, url = _installed_from(metadata.distribution("ganforge"))
    except metadata.PackageNotFoundError:  # run from a source tree that nobody installed
        source, origin, url = "local", None, None
    return Found(BUILTIN, "ganforge", __version__, entry_point, source=source, origin=origin, url=url)


def installed() -> list[Found]:
    """Every installed plugin, by entry-point and distribution name; equal duplicates appear once, unequal ones carry a fault."""
    found: dict[tuple[str, str], Found] = {}
    for entry_point in _entry_points():
        plugin = _describe(entry_point)
        key = (plugin.name, plugin.distribution)
        other = found.setdefault(key, plugin)
        if other.entry_point.value != entry_point.value:
            fault = f"its entry point '{plugin.name}' is declared twice: {other.entry_point.value} and {entry_point.value}"
            found[key] = Found(*key, plugin.version, other.entry_point, fault=fault)
    return [found[key] for key in sorted(found)]


def _entry_points() -> Iterable[metadata.EntryPoint]:
    try:
        return metadata.entry_points(group=ENTRY_POINT_GROUP)
    except Exception:  # noqa: BLE001 - one damaged distribution, of whatever package, must not hide all others
        return _entry_points_one_by_one()


def _entry_points_one_by_one() -> Iterator[metadata.EntryPoint]:
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            name = normalise(distribution.name)
            mine = list(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
        except Exception:  # noqa: BLE001, S112 - see _entry_points; what cannot be read may be no plugin at all
            continue
        if name not in seen:
            seen.add(name)
            yield from mine


def _describe(entry_point: metadata.EntryPoint) -> Found:
    distribution = entry_point.dist
    if distribution is None:  # only one made by hand belongs to none
        return Found(entry_point.name, normalise(entry_point.name), "?", entry_point)
    try:
        text = distribution.metadata  # once: it is read and parsed anew each time
        name, version = normalise(text["Name"]), text["Version"]
        source, origin, url = _installed_from(distribution)
        return Found(
            name=entry_point.name,
            distribution=name,
            version=version or "?",
            entry_point=entry_point,
            requires=tuple(text.get_all("Requires-Dist") or distribution.requires or ()),
            source=source,
            origin=origin,
            url=url,
            fault=fault_of(name, version),
        )
    except Exception as error:  # noqa: BLE001 - metadata is the plugin's, so whatever is wrong with it is the plugin's fault
        return Found(entry_point.name, normalise(entry_point.name), "?", entry_point, fault=f"its metadata cannot be read: {error}")


def fault_of(name: str, version: str | None) -> str | None:
    """Why a distribution of this normalised name and version can be no plugin, or ``None``."""
    if name == LOCAL:
        return f"a distribution cannot be called '{LOCAL}': that stands for files named by --plugin"
    return None if version else "its metadata gives no version"


def _installed_from(distribution: metadata.Distribution) -> tuple[str, str | None, str | None]:
    """How and from where a distribution was installed, and its address for pip, by the file that installers leave (PEP 610).

    Installers may leave logins and tokens in it, which end here: what comes from it is printed, locked and sent to MLflow.
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
