"""What is installed: the plugins with their state, and the components under the names that recipes use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ganforge.core.errors import PluginError, UsageError, did_you_mean
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.first_party import FIRST_PARTY, home_of
from ganforge.registry.selection import LOCAL, normalise

_REFERENCE = re.compile(r"(?:(?P<distribution>[A-Za-z0-9][\w.-]*)/)?(?P<name>[^/@\s]+)(?:@(?P<revision>[0-9]+))?")


class Status(StrEnum):
    """How a plugin fared."""

    ACTIVE = "active"
    """Loaded; its components can be used."""
    LOCAL = "local"
    """Loaded from a file that the user named; its components can be used."""
    DISABLED = "disabled"
    """Switched off by the user; not imported."""
    BROKEN = "broken"
    """Failed to import or to register; none of its components is there."""
    INCOMPATIBLE = "incompatible"
    """Made for another version of ganforge; not imported."""
    UNAVAILABLE = "unavailable"
    """Loaded, but each of its components needs a module that is not installed."""


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """One installed plugin and how it fared.

    Attributes:
        name: entry-point name.
        distribution: distribution name, normalised.
        version: the distribution's version.
        status: how it fared.
        source: how it was installed: ``index``, ``editable``, ``local`` (a folder or archive), ``vcs``, ``url``; ``file`` for one
            that the user named.
        origin: the folder, address or commit it was installed from, where that is known.
        module: what its entry point names.
        file: the module's file, where it is known.
        load_ms: milliseconds that import and registration took; ``None`` when it was not imported.
        offers: names of its components by kind, or, for a plugin that failed, those it had announced before.
        reason: why it is not active, in one line.
        traceback: the failure's traceback, as text.
        remarks: what is odd about a plugin that works, such as "imports torch".
        url: where it was installed from, as pip takes it, unless that was an index.
        sha256: of a local file's content.
        requires: its distribution's requirements, as the metadata give them.
    """

    name: str
    distribution: str
    version: str
    status: Status
    source: str = "index"
    origin: str | None = None
    module: str = ""
    file: Path | None = None
    load_ms: float | None = None
    offers: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    reason: str | None = None
    traceback: str | None = None
    remarks: tuple[str, ...] = ()
    url: str | None = None
    sha256: str | None = None
    requires: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What to call it in a sentence: its distribution, or the file that it is."""
        return Path(self.origin).name if self.distribution == LOCAL and self.origin else self.distribution

    @property
    def ref(self) -> PluginRef:
        """Whose its components are."""
        return PluginRef(self.name, self.distribution, self.version, self.source, self.url, self.sha256)

    @property
    def handle(self) -> str:
        """The name by which commands find it and nothing else."""
        return self.name if self.distribution == LOCAL else self.distribution

    @property
    def id(self) -> str:
        """What ``plugins info`` finds it by even where an installed plugin has the name of a local file."""
        return f"{LOCAL}/{self.name}" if self.distribution == LOCAL else self.distribution

    @property
    def works(self) -> bool:
        """Whether its components can be used."""
        return self.status in (Status.ACTIVE, Status.LOCAL)

    @property
    def failed(self) -> bool:
        """Whether it should work and does not."""
        return self.status in (Status.BROKEN, Status.INCOMPATIBLE)


class Registry:
    """Finds components by the names that recipes use.

    Attributes:
        plugins: every plugin found, built-in ones first, then by distribution and name.
    """

    def __init__(self, plugins: Iterable[PluginRecord], components: Iterable[Component]) -> None:
        self.plugins = tuple(plugins)
        order = list(Kind)
        self._components = tuple(sorted(components, key=lambda one: (order.index(one.kind), one.name, one.id)))

    def components(self, kind: Kind | None = None) -> tuple[Component, ...]:
        """All components, or those of one kind, by kind and name."""
        return tuple(component for component in self._components if kind is None or component.kind is kind)

    @property
    def warning(self) -> str | None:
        """One line about the plugins that failed to load, or ``None`` when all is well."""
        failed = sorted({record.title for record in self.plugins if record.failed})
        if not failed:
            return None
        count = "1 plugin" if len(failed) == 1 else f"{len(failed)} plugins"
        return f"{count} failed to load ({', '.join(failed)}); see: ganforge plugins list"

    def name_of(self, component: Component) -> str:
        """The shortest name that finds the component: its short name, or the full id where another one has the short name."""
        owners = self._named(component.kind, component.name)
        return component.name if owners == (component,) else component.id

    def find(self, kind: Kind, name: str, *, usable: bool = True) -> Component:
        """The component that ``[distribution/]name[@revision]`` means.

        Short names of ganforge's own distributions are reserved, so that an installed package never changes what a recipe means.

        Args:
            kind: what is looked for.
            name: as written in a recipe.
            usable: whether a component that lacks a needed module counts as an error.

        Raises:
            UsageError: no such component, an ambiguous short name, or another revision.
            PluginError: the component's plugin failed to load, or a module that the component needs is not installed.
        """
        match = _REFERENCE.fullmatch(name)
        if match is None:
            raise UsageError(
                f"'{name}' is no name of a {kind}", remedy="write name, distribution/name or distribution/name@revision"
            )
        distribution = normalise(match["distribution"]) if match["distribution"] else None

        found = self._named(kind, match["name"], distribution)
        if not found:
            raise self._unknown(kind, match["name"], distribution)
        if len(found) > 1:
            raise UsageError(f"{kind} '{name}' is ambiguous", remedy=f"write one of: {', '.join(other.id for other in found)}")

        component = found[0]
        installed = component.revision
        if match["revision"] and int(match["revision"]) != installed:
            raise UsageError(
                f"{kind} '{component.id}' is installed in revision {installed}, not {match['revision']}",
                remedy=f"install the version of {component.plugin.distribution} that has it, or write '{component.id}@{installed}'",
            )
        if usable and component.missing:
            needs = ", ".join(component.missing)
            raise PluginError(f"{kind} '{component.id}' is unavailable: needs {needs}", remedy=f"install {needs}")
        return component

    def _named(self, kind: Kind, name: str, distribution: str | None = None) -> tuple[Component, ...]:
        """Those the name may mean: the named distribution's; or ganforge's own, which take precedence; or anybody's."""
        named = tuple(component for component in self.components(kind) if component.name == name)
        if distribution:
            return tuple(component for component in named if component.plugin.distribution == distribution)
        if reserved := tuple(component for component in named if component.plugin.distribution in FIRST_PARTY):
            return reserved
        return () if home_of(kind, name) else named

    def _unknown(self, kind: Kind, name: str, distribution: str | None) -> UsageError | PluginError:
        shown = f"{distribution}/{name}" if distribution else name
        if failure := self._failure_of(kind, name, distribution or home_of(kind, name)):
            return failure

        names = [self.name_of(component) for component in self.components(kind)]
        hints = [
            did_you_mean(shown, names) or self._home_hint(kind, name, distribution) or self._other_kind_hint(kind, name),
            f"installed {kind.plural}: {', '.join(names) or 'none'}",
            self._broken_note(),
        ]
        return UsageError(f"no {kind} named '{shown}'", remedy="; ".join(hint for hint in hints if hint).replace("?;", "?"))

    def _failure_of(self, kind: Kind, name: str, distribution: str | None) -> UsageError | PluginError | None:
        """The reason why the one plugin that is known to offer the component is not there."""
        for record in self.plugins:
            announced = distribution is None and record.failed and name in record.offers.get(kind, ())
            if record.works or not (announced or record.distribution == distribution):
                continue
            message = f"{kind} '{name}' comes from {record.title} {record.version}, which is {record.status}: {record.reason}"
            if record.status is Status.DISABLED:
                return UsageError(message, remedy="drop the switch that disables it")
            return PluginError(message, remedy=f"mend or update it; see: ganforge plugins list --status {record.status}")
        return None

    def _home_hint(self, kind: Kind, name: str, distribution: str | None) -> str | None:
        if distribution == LOCAL:
            return "it comes from a file of somebody's own: name it with --plugin FILE.py or in pyproject.toml"
        home = home_of(kind, name)
        if home is None or distribution:
            return None
        others = [component.id for component in self.components(kind) if component.name == name]
        here = f", or write '{others[0]}' for the one that is" if others else ""
        return f"it comes with the plugin {home}, which is not installed{here}"

    def _other_kind_hint(self, kind: Kind, name: str) -> str | None:
        kinds = sorted({component.kind for component in self._components if component.name == name and component.kind is not kind})
        return f"'{name}' is a {' and a '.join(kinds)}" if kinds else None

    def _broken_note(self) -> str | None:
        failed = [f"{record.title} ({record.reason})" for record in self.plugins if record.failed]
        return f"failed to load: {', '.join(failed)}" if failed else None
