"""The registry: installed plugins and their components by the names that recipes use, and the names that are reserved.

A recipe that names ``dcgan`` must mean the same component on every computer. So short names of ganforge's distributions are
reserved even if the distribution is not installed: another package's ``dcgan`` is only available as ``acme-gan/dcgan``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import metadata

from ganforge.core.errors import PluginError, UsageError, did_you_mean, unknown_name
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.discovery import PluginRecord, PluginStatus
from ganforge.registry.selection import BUILTIN, LOCAL, command_line_options, normalize_name

_REFERENCE = re.compile(r"(?:(?P<distribution>[A-Za-z0-9][\w.-]*)/)?(?P<name>[^/@\s]+)(?:@(?P<revision>[0-9]+))?")

FIRST_PARTY = frozenset({"ganforge", "ganforge-vanilla", "ganforge-dcgan", "ganforge-cgan", "ganforge-infogan", "ganforge-vae"})
"""Distributions whose short names are reserved."""

_PLUGIN_NAMES = {BUILTIN: "ganforge"} | {
    name: distribution for distribution in FIRST_PARTY for name in (distribution, distribution.removeprefix("ganforge-"))
}
"""The distribution that options and commands mean by a plugin name."""

_OWNED = {
    "ganforge-vanilla": "generator/mlp discriminator/mlp discriminator/maxout",
    "ganforge-dcgan": "generator/dcgan discriminator/dcgan",
    "ganforge-cgan": "generator/cgan-mlp generator/cgan-conv discriminator/cgan-mlp discriminator/cgan-conv"
    " discriminator/projection-conv discriminator/acgan-conv loss/auxiliary-classifier",
    "ganforge-infogan": "generator/infogan-mlp discriminator/infogan-mlp discriminator/infogan-conv loss/mutual-information",
    "ganforge-vae": "game/autoencoder game/vae encoder/mlp loss/reconstruction loss/kl",
}
_OWNERS = {name: distribution for distribution, names in _OWNED.items() for name in names.split()}


def owner_of(kind: Kind, name: str) -> str | None:
    """The first-party plugin that owns a short name, or ``None``. Built-in components are always installed and not listed."""
    return _OWNERS.get(f"{kind}/{name}")


def reserved_name_error(plugin: PluginRef) -> str | None:
    """Why a plugin may not have its name, or ``None``: ``--only-plugins vanilla`` must never load another package."""
    if plugin.distribution == LOCAL and plugin.source != "file":
        return f"the name '{LOCAL}' is reserved for files given by --plugin"
    taken = [word for word in (plugin.name, plugin.distribution) if normalize_name(word) in _PLUGIN_NAMES]
    if not taken or plugin.distribution in FIRST_PARTY:
        return None
    remedy = "rename the file" if plugin.distribution == LOCAL else "its authors must choose another name"
    return f"the plugin name '{taken[0]}' is reserved for {_PLUGIN_NAMES[normalize_name(taken[0])]}; {remedy}"


def shadowed_package(package: str) -> str | None:
    """What a plugin's package of this name would shadow, or ``None``; some file systems ignore case."""
    if package in sys.stdlib_module_names:
        return f"'{package}' is a module of Python"
    try:
        requirements = metadata.requires("ganforge") or []
    except metadata.PackageNotFoundError:  # run from a source tree
        requirements = []
    used = {normalize_name(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in requirements}
    if normalize_name(package) in {"ganforge", "pil", "sklearn", *used}:
        return f"'{package}' is a package that ganforge depends on"
    return None


def new_name_error(distribution: str) -> str | None:
    """Why a new plugin's distribution may not have this normalized name, or ``None``."""
    if reserved := reserved_name_error(PluginRef(distribution, distribution, "0")):
        return reserved.partition(";")[0]
    return shadowed_package(distribution.replace("-", "_"))


class Registry:
    """Finds components by their names in recipes. ``plugins`` has the built-in one, installed ones by name, then local files."""

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
        return f"{count} failed to load ({', '.join(failed)}); see: {_list_command()}"

    def find_plugins(self, name: str) -> tuple[PluginRecord, ...]:
        """The plugins of a distribution, or the one with that entry point; ``distribution/name`` is unambiguous.

        Raises:
            UsageError: no plugin has the name, or several distributions do.
        """
        distribution, _, entry = map(normalize_name, name.rpartition("/"))
        if distribution:
            found = [one for one in self.plugins if (one.distribution, normalize_name(one.name)) == (distribution, entry)]
        else:
            found = [one for one in self.plugins if entry == one.distribution]
            found = found or [one for one in self.plugins if entry == normalize_name(one.name)]
        if not found:
            handles = {one.handle for one in self.plugins}
            known = sorted(handles | {normalize_name(one.name) for one in self.plugins})
            listed = f"installed: {', '.join(sorted(handles))}"
            raise unknown_name(f"no plugin named '{name}' is installed", normalize_name(name), known, listed)
        if len({one.distribution for one in found}) > 1 or (found[0].distribution == LOCAL and len(found) > 1):
            ids = ", ".join(f"{one.distribution}/{one.name}" for one in found)
            raise UsageError(f"plugin '{name}' is ambiguous", remedy=f"use one of: {ids}")
        return tuple(found)

    def name_of(self, component: Component) -> str:
        """The shortest name of the component: its short name, or its full id if the short name means another component."""
        owners = self._named(component.kind, component.name)
        return component.name if owners == (component,) else component.id

    def find(self, kind: Kind, name: str, *, usable: bool = True) -> Component:
        """The component named ``[distribution/]name[@revision]``.

        Raises:
            UsageError: there is no such component, the name is ambiguous, or the revision is another one.
            PluginError: its plugin failed to load; or, if it must be ``usable``, a module that it needs is not installed.
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
            raise PluginError(f"{kind} '{component.id}' is unavailable: needs {needs}", remedy=component.install_hint)
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
        """The error for a name that no component has: first the cause, if it is known, else a guess at the spelling."""
        shown = f"{distribution}/{name}" if distribution else name
        if failure := self._failure(kind, name, distribution or owner_of(kind, name)):
            return failure

        names = [self.name_of(component) for component in self.components(kind)]
        failed = [f"{record.title} ({record.reason})" for record in self.plugins if record.failed]
        hints = [
            self._cause(kind, name, distribution) or self._mention(kind, name) or did_you_mean(shown, names),
            f"installed {kind.plural}: {', '.join(names) or 'none'}",
            f"failed to load: {', '.join(failed)}" if failed else None,
        ]
        return UsageError(f"no {kind} named '{shown}'", remedy="; ".join(hint for hint in hints if hint).replace("?;", "?"))

    def _mention(self, kind: Kind, name: str) -> str | None:
        """The components whose summary has the name as a word, such as ``frechet`` for ``fid``."""
        word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        found = [self.name_of(component) for component in self.components(kind) if word.search(component.summary)]
        named = " or ".join(f"'{one}'" for one in found)
        return f"did you mean {named}?" if 0 < len(found) <= 3 else None

    def _failure(self, kind: Kind, name: str, distribution: str | None) -> UsageError | PluginError | None:
        """The error of the plugin that has the component, if it did not load."""
        for record in self.plugins:
            registered = distribution is None and record.failed and name in record.components.get(kind, ())
            if record.works or not (registered or record.distribution == distribution):
                continue
            message = f"{kind} '{name}' comes from {record.title} {record.version}, which is {record.status}: {record.reason}"
            if record.status is PluginStatus.DISABLED:
                return UsageError(message, remedy="remove the option that disables it")
            return PluginError(message, remedy=f"fix or update it; see: {_list_command(f' --status {record.status}')}")
        return None

    def _cause(self, kind: Kind, name: str, distribution: str | None) -> str | None:
        """What is missing, or another kind that has a component of this name."""
        of_name = [component for component in self._components if component.name == name]
        kinds = sorted({component.kind for component in of_name if component.kind is not kind})
        alike = [component.id for component in of_name if component.kind is kind]
        if distribution and distribution not in {record.distribution for record in self.plugins}:
            if distribution == LOCAL:
                return "it comes from a local plugin file: name the file with --plugin FILE.py or in pyproject.toml"
            others = f", or write one of: {', '.join(alike)}" if alike else ""
            return f"the plugin {distribution} is not installed: install it{others}"
        if (owner := owner_of(kind, name)) and not distribution:
            instead = f", or write '{alike[0]}' for the installed one" if alike else ""
            return f"install the plugin {owner}, which provides it{instead}"
        named = " and ".join(f"{'an' if one[0] in 'aeiou' else 'a'} {one}" for one in kinds)
        return f"'{name}' is {named}, not a {kind}" if kinds else None


def _list_command(option: str = "") -> str:
    """The command that shows the plugins of this command."""
    return f"`ganforge plugins list{option}{command_line_options()}`"
