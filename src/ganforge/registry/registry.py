"""The registry: installed plugins with their status, and their components by the names that recipes use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ganforge.core.errors import PluginError, UsageError, did_you_mean
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.reserved_names import FIRST_PARTY, owner_of
from ganforge.registry.selection import LOCAL, normalize_name

_REFERENCE = re.compile(r"(?:(?P<distribution>[A-Za-z0-9][\w.-]*)/)?(?P<name>[^/@\s]+)(?:@(?P<revision>[0-9]+))?")


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
    """One installed plugin and the outcome of loading it.

    Attributes:
        status: the outcome.
        origin: the folder, address or commit it was installed from, if known.
        module: the module that its entry point names.
        file: the module's file, if known.
        load_ms: milliseconds for import and registration; ``None`` if it was not imported.
        components: names of its components by kind; for a plugin that failed, those registered before.
        reason: why it is not active, in one line.
        traceback: the traceback of the failure, as text.
        remarks: peculiarities of a plugin that works, such as "imports torch".
        requires: its distribution's requirements, from its metadata.
    """

    status: PluginStatus = field(kw_only=True)
    origin: str | None = None
    module: str = ""
    file: Path | None = None
    load_ms: float | None = None
    components: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    reason: str | None = None
    traceback: str | None = None
    remarks: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()

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
    def works(self) -> bool:
        """Whether its components are available."""
        return self.status in (PluginStatus.ACTIVE, PluginStatus.LOCAL)

    @property
    def failed(self) -> bool:
        """Whether it should have loaded and did not."""
        return self.status in (PluginStatus.BROKEN, PluginStatus.INCOMPATIBLE)


class Registry:
    """Finds components by their names in recipes.

    Attributes:
        plugins: every plugin found: the built-in one, then installed ones by name, then local files.
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
        """One line about the plugins that failed to load, or ``None``."""
        failed = sorted({record.title for record in self.plugins if record.failed})
        if not failed:
            return None
        count = "1 plugin" if len(failed) == 1 else f"{len(failed)} plugins"
        return f"{count} failed to load ({', '.join(failed)}); see: ganforge plugins list"

    def name_of(self, component: Component) -> str:
        """The shortest name of the component: its short name, or its full id if the short name means another component."""
        owners = self._named(component.kind, component.name)
        return component.name if owners == (component,) else component.id

    def find(self, kind: Kind, name: str, *, usable: bool = True) -> Component:
        """The component named ``[distribution/]name[@revision]``.

        Short names of ganforge's own components are reserved, so that installing a package never changes what a recipe means.

        Args:
            kind: its kind.
            name: its name as in a recipe.
            usable: whether to raise if a module that the component needs is missing.

        Raises:
            UsageError: there is no such component, the name is ambiguous, or the revision is another one.
            PluginError: the component's plugin failed to load, or the component needs a module that is not installed.
        """
        match = _REFERENCE.fullmatch(name)
        if match is None:
            raise UsageError(
                f"'{name}' is not a valid name of a {kind}", remedy="write name, distribution/name or distribution/name@revision"
            )
        distribution = normalize_name(match["distribution"]) if match["distribution"] else None

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
        """The components that the name can mean: ganforge's own take precedence over those of other distributions."""
        named = tuple(component for component in self.components(kind) if component.name == name)
        if distribution:
            return tuple(component for component in named if component.plugin.distribution == distribution)
        if reserved := tuple(component for component in named if component.plugin.distribution in FIRST_PARTY):
            return reserved
        return () if owner_of(kind, name) else named

    def _unknown(self, kind: Kind, name: str, distribution: str | None) -> UsageError | PluginError:
        shown = f"{distribution}/{name}" if distribution else name
        if failure := self._failure(kind, name, distribution or owner_of(kind, name)):
            return failure

        names = [self.name_of(component) for component in self.components(kind)]
        hints = [
            did_you_mean(shown, names) or self._owner_hint(kind, name, distribution) or self._other_kind_hint(kind, name),
            f"installed {kind.plural}: {', '.join(names) or 'none'}",
            self._broken_note(),
        ]
        return UsageError(f"no {kind} named '{shown}'", remedy="; ".join(hint for hint in hints if hint).replace("?;", "?"))

    def _failure(self, kind: Kind, name: str, distribution: str | None) -> UsageError | PluginError | None:
        """The error of the plugin that has the component, if it did not load."""
        for record in self.plugins:
            registered = distribution is None and record.failed and name in record.components.get(kind, ())
            if record.works or not (registered or record.distribution == distribution):
                continue
            message = f"{kind} '{name}' comes from {record.title} {record.version}, which is {record.status}: {record.reason}"
            if record.status is PluginStatus.DISABLED:
                return UsageError(message, remedy="remove the option that disables it")
            return PluginError(message, remedy=f"fix or update it; see: ganforge plugins list --status {record.status}")
        return None

    def _owner_hint(self, kind: Kind, name: str, distribution: str | None) -> str | None:
        if distribution == LOCAL:
            return "it comes from a local plugin file: name the file with --plugin FILE.py or in pyproject.toml"
        owner = owner_of(kind, name)
        if owner is None or distribution:
            return None
        others = [component.id for component in self.components(kind) if component.name == name]
        instead = f", or write '{others[0]}' for the installed one" if others else ""
        return f"install the plugin {owner}, which provides it{instead}"

    def _other_kind_hint(self, kind: Kind, name: str) -> str | None:
        kinds = sorted({component.kind for component in self._components if component.name == name and component.kind is not kind})
        return f"'{name}' is a {' and a '.join(kinds)}" if kinds else None

    def _broken_note(self) -> str | None:
        failed = [f"{record.title} ({record.reason})" for record in self.plugins if record.failed]
        return f"failed to load: {', '.join(failed)}" if failed else None
