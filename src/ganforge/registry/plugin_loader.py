"""Guarded loading of plugins: whatever is wrong with one of them costs that one, and never the command.

Steps for each plugin: switches and version from metadata, then import, lint, registration into a list of its own, and only when all
of that went well are its components taken over. pluggy's own loader is not used, since it stops at the first failure; neither is
its relay, since one raising hook would keep the rest from running.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType

import pluggy

from ganforge.core.errors import PluginError
from ganforge.core.isolation import describe_error, isolated
from ganforge.registry import hookspecs
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.current_selection import in_force
from ganforge.registry.discovery import Found, builtin, installed
from ganforge.registry.first_party import FIRST_PARTY, home_of, reserved_plugin
from ganforge.registry.hook_checks import HOOKS, check_hooks
from ganforge.registry.plugin_files import local_file
from ganforge.registry.registrar import Registrar
from ganforge.registry.registry import PluginRecord, Registry, Status
from ganforge.registry.selection import LOCAL, Switches

_HEAVY = ("torch", "torchvision", "numpy", "mlflow", "scipy", "sklearn", "matplotlib")
"""Modules that a plugin's entry module should not bring in: listing components would take seconds."""


def load_plugins(switches: Switches | None = None, *, strict: bool | None = None) -> Registry:
    """Load the built-in components, then every installed plugin and local file that may load.

    Args:
        switches: what is disabled or allowed; those in force unless given.
        strict: whether a plugin that failed is an error; as the switches say unless given.

    Raises:
        UsageError: a switch names a plugin that is not installed.
        PluginError: when it is strict, and a plugin failed.
    """
    switches = in_force() if switches is None else switches
    plugins = [*installed(), *map(local_file, switches.local)]
    switches.check((plugin.name, plugin.distribution) for plugin in plugins)

    registry = load([builtin(), *plugins], switches)
    if switches.strict if strict is None else strict:
        refuse_failures(registry)
    return registry


def refuse_failures(registry: Registry) -> None:
    """What strictness means: a plugin that failed stops the command.

    Raises:
        PluginError: with each plugin that is broken or incompatible, and why.
    """
    failed = [record for record in registry.plugins if record.failed]
    if failed:
        told = [f"{one.title} {one.version} is {one.status}: {one.reason}" for one in failed]
        raise PluginError(
            "\n".join(told),
            remedy="mend, update or switch off, or drop --strict-plugins (GANFORGE_STRICT_PLUGINS); see: ganforge plugins doctor",
        )


def load(plugins: Iterable[Found], switches: Switches) -> Registry:
    """Load the plugins given, one after another, each guarded; the order decides nothing but that of the records."""
    host = _Host(switches)
    records = [host.take(plugin) for plugin in plugins]
    return Registry(records, host.components)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass(slots=True)
class _Host:
    """Holds pluggy's manager and what was taken over so far."""

    switches: Switches
    components: list[Component] = field(default_factory=list)
    taken: dict[tuple[Kind, str], str] = field(default_factory=dict)
    manager: pluggy.PluginManager = field(default_factory=_manager)

    def take(self, plugin: Found) -> PluginRecord:
        refusal = None if plugin.distribution == "ganforge" else self.switches.refusal(plugin.name, plugin.distribution)
        if refusal:
            return _record(plugin, Status.DISABLED, reason=refusal)
        if fault := plugin.fault or reserved_plugin(plugin.name, plugin.distribution):
            return _record(plugin, Status.BROKEN, reason=fault)
        if plugin.incompatible:
            return _record(plugin, Status.INCOMPATIBLE, reason=plugin.incompatible)

        staged: list[Component] = []
        known, started = [name for name in _HEAVY if name in sys.modules], time.perf_counter()
        try:
            with isolated():
                self._register(plugin, staged)
        except Exception as error:  # noqa: BLE001 - the boundary: a stranger's code may raise anything
            return _failure(plugin, error, staged)
        milliseconds = (time.perf_counter() - started) * 1000

        self.components += staged
        self.taken |= {(component.kind, component.id): component.plugin.name for component in staged}
        missing = sorted({name for component in staged for name in component.missing})
        unavailable = bool(staged) and all(component.missing for component in staged)
        working = Status.LOCAL if plugin.distribution == LOCAL else Status.ACTIVE
        return _record(
            plugin,
            Status.UNAVAILABLE if unavailable else working,
            reason=f"needs {', '.join(missing)}" if unavailable else None,
            load_ms=milliseconds,
            offers=_offers(staged),
            remarks=(
                *(f"imports {name}" for name in _HEAVY if name in sys.modules and name not in known),
                *self._reserved(staged),
            ),
        )

    def _register(self, plugin: Found, staged: list[Component]) -> None:
        """Import, register with pluggy, lint and ask; leave nothing in pluggy's manager on failure."""
        module = plugin.load()
        if not isinstance(module, ModuleType):
            raise PluginError(f"its entry point {plugin.entry_point.value!r} must name a module, not a {type(module).__name__}")
        if other := self.manager.get_name(module):
            raise PluginError(f"its module {module.__name__} is already registered by {other.partition(':')[0]}")

        check_hooks(self.manager, module)
        with self._registered(module, f"{plugin.distribution}:{plugin.name}"):
            self._ask(module, plugin.ref, staged)
            self._refuse_doubles(staged)

    @contextlib.contextmanager
    def _registered(self, module: ModuleType, name: str) -> Iterator[None]:
        try:
            self.manager.register(module, name=name)
            yield
        except BaseException:
            # pluggy 1.6 leaves a plugin half registered when one of its hooks does not fit.
            if self.manager.is_registered(module):
                self.manager.unregister(module)
            raise

    def _ask(self, module: ModuleType, ref: PluginRef, staged: list[Component]) -> None:
        for caller in self.manager.get_hookcallers(module) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not module or caller.name not in HOOKS:
                    continue
                result = implementation.function(Registrar(HOOKS[caller.name], ref, staged))
                if result is not None:
                    if inspect.iscoroutine(result):
                        result.close()
                    raise PluginError(f"{caller.name} must call register and return nothing; it returned a {type(result).__name__}")

    def _refuse_doubles(self, staged: list[Component]) -> None:
        """Two entry points of one distribution share its ids."""
        for component in staged:
            if owner := self.taken.get((component.kind, component.id)):
                raise PluginError(f"{component.kind} '{component.id}' is already registered by entry point '{owner}'")

    def _reserved(self, staged: list[Component]) -> Iterator[str]:
        """Short names that mean a first-party component, whatever else has them."""
        for component in staged:
            kind, name = component.kind, component.name
            reserved = home_of(kind, name) or any((kind, f"{own}/{name}") in self.taken for own in FIRST_PARTY)
            if reserved and component.plugin.distribution not in FIRST_PARTY:
                yield f"{component.kind} '{component.name}' is a reserved name: write '{component.id}'"


def _failure(plugin: Found, error: Exception, staged: list[Component]) -> PluginRecord:
    return _record(
        plugin,
        Status.BROKEN,
        reason=describe_error(error, plugin.file and plugin.file.parent),
        offers=_offers(staged),
        traceback="".join(traceback.format_exception(error)),
    )


def _offers(staged: Iterable[Component]) -> dict[Kind, tuple[str, ...]]:
    names: dict[Kind, list[str]] = {}
    for component in staged:
        names.setdefault(component.kind, []).append(component.name)
    return {kind: tuple(sorted(names[kind])) for kind in Kind if kind in names}


def _record(plugin: Found, status: Status, **facts: object) -> PluginRecord:
    return PluginRecord(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        status=status,
        source=plugin.source,
        origin=plugin.origin,
        module=plugin.entry_point.value,
        file=plugin.file,
        url=plugin.url,
        sha256=plugin.sha256,
        requires=plugin.requires,
        **facts,  # type: ignore[arg-type]  # named fields of the record, each checked where it is given
    )
