"""Loading of plugins. Whatever is wrong with a plugin disables only that plugin, never the command.

For each plugin: check selection and version by its metadata, import it, check its hooks, and call them. Its components become
available only if all of that succeeds. pluggy's own entry-point loader is not used because it stops at the first failure; nor are
its hook calls, because one hook that raises would keep the others from running.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType

import pluggy

from ganforge.core.errors import PluginError, did_you_mean
from ganforge.core.isolation import describe_error, isolated
from ganforge.registry import hookspecs
from ganforge.registry.component import Component, Kind
from ganforge.registry.discovery import InstalledPlugin, builtin_plugin, installed_plugins, read_local_plugin
from ganforge.registry.hookspecs import HOOKS, PREFIX, Registrar
from ganforge.registry.registry import PluginRecord, PluginStatus, Registry
from ganforge.registry.reserved_names import FIRST_PARTY, owner_of, reserved_name_error
from ganforge.registry.selection import LOCAL, PluginSelection, current_selection

_HEAVY = ("torch", "torchvision", "numpy", "mlflow", "scipy", "sklearn", "matplotlib")
"""Modules that a plugin's entry module should not import, because listing components would take seconds."""


def load_plugins(selection: PluginSelection | None = None, *, strict: bool | None = None) -> Registry:
    """Load the built-in components, then every installed plugin and local file that the selection allows.

    Args:
        selection: the disabled, allowed and local plugins; default: the current selection.
        strict: whether a plugin that fails is an error; default: as the selection says.

    Raises:
        UsageError: the selection names a plugin that is not installed.
        PluginError: a plugin failed, and ``strict`` is set.
    """
    selection = current_selection() if selection is None else selection
    plugins = [*installed_plugins(), *map(read_local_plugin, selection.local)]
    selection.check_names((plugin.name, plugin.distribution) for plugin in plugins)

    registry = load([builtin_plugin(), *plugins], selection)
    if selection.strict if strict is None else strict:
        raise_on_failures(registry)
    return registry


def raise_on_failures(registry: Registry) -> None:
    """Raise if a plugin failed to load.

    Raises:
        PluginError: lists each plugin that is broken or incompatible, with the reason.
    """
    if failed := [record for record in registry.plugins if record.failed]:
        raise PluginError(
            "\n".join(f"{one.title} {one.version} is {one.status}: {one.reason}" for one in failed),
            remedy="fix, update or disable it, or drop --strict-plugins (GANFORGE_STRICT_PLUGINS); see: ganforge plugins doctor",
        )


def load(plugins: Iterable[InstalledPlugin], selection: PluginSelection) -> Registry:
    """Load the given plugins one after another; their order affects only the order of the records."""
    loader = _Loader(selection)
    records = [loader.load(plugin) for plugin in plugins]
    return Registry(records, loader.components)


def check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """Find mistakes that pluggy ignores and that would leave a plugin active without components.

    Raises:
        PluginError: a function with ganforge's prefix is not a hook or lacks its marker, a hook is a wrapper, or has wrong
            arguments.
    """
    for name, value in vars(module).items():
        if not callable(value):
            continue
        options = manager.parse_hookimpl_opts(module, name)
        if options is not None:
            _check_hook(name, value, options)
        elif name in HOOKS:
            raise PluginError(f"{name} lacks @hookimpl", remedy="from ganforge.plugin import hookimpl")
        elif name.startswith(PREFIX):
            raise _unknown_hook(name)


def _check_hook(name: str, function: Callable[..., object], options: pluggy.HookimplOpts) -> None:
    hook = options.get("specname") or name
    if hook not in HOOKS:
        if options.get("optionalhook"):  # the author says that an older ganforge may not have it
            return
        raise _unknown_hook(hook)
    if options.get("wrapper") or options.get("hookwrapper"):
        raise PluginError(f"{name} is marked as a wrapper, but registration hooks cannot be wrapped")
    arguments = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    if arguments != ["register"]:
        raise PluginError(f"{name}({', '.join(arguments)}) has wrong arguments; its signature is {hook}(register)")


def _unknown_hook(name: str) -> PluginError:
    return PluginError(f"{name} is not a hook of ganforge", remedy=did_you_mean(name, HOOKS) or f"hooks: {', '.join(HOOKS)}")


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass(slots=True)
class _Loader:
    """Loads plugins into pluggy's manager and collects their components."""

    selection: PluginSelection
    components: list[Component] = field(default_factory=list)
    registered: dict[tuple[Kind, str], str] = field(default_factory=dict)
    manager: pluggy.PluginManager = field(default_factory=_manager)

    def load(self, plugin: InstalledPlugin) -> PluginRecord:
        refusal = None if plugin.distribution == "ganforge" else self.selection.refusal(plugin.name, plugin.distribution)
        if refusal:
            return _record(plugin, PluginStatus.DISABLED, reason=refusal)
        if fault := plugin.fault or reserved_name_error(plugin.name, plugin.distribution):
            return _record(plugin, PluginStatus.BROKEN, reason=fault)
        if plugin.incompatible:
            return _record(plugin, PluginStatus.INCOMPATIBLE, reason=plugin.incompatible)

        staged: list[Component] = []
        imported, started = [name for name in _HEAVY if name in sys.modules], time.perf_counter()
        try:
            with isolated():
                self._register(plugin, staged)
        except Exception as error:  # noqa: BLE001 - the boundary: a plugin may raise anything
            return _record(
                plugin,
                PluginStatus.BROKEN,
                reason=describe_error(error, plugin.file and plugin.file.parent),
                components=_names(staged),
                traceback="".join(traceback.format_exception(error)),
            )
        milliseconds = (time.perf_counter() - started) * 1000

        self.components += staged
        self.registered |= {(component.kind, component.id): component.plugin.name for component in staged}
        missing = sorted({name for component in staged for name in component.missing})
        unavailable = bool(staged) and all(component.missing for component in staged)
        working = PluginStatus.LOCAL if plugin.distribution == LOCAL else PluginStatus.ACTIVE
        imports = [f"imports {name}" for name in _HEAVY if name in sys.modules and name not in imported]
        return _record(
            plugin,
            PluginStatus.UNAVAILABLE if unavailable else working,
            reason=f"needs {', '.join(missing)}" if unavailable else None,
            load_ms=milliseconds,
            components=_names(staged),
            remarks=(*imports, *self._reserved_names(staged)),
        )

    def _register(self, plugin: InstalledPlugin, staged: list[Component]) -> None:
        """Import the plugin, check and call its hooks; leave nothing in pluggy's manager on failure."""
        module = plugin.load()
        if not isinstance(module, ModuleType):
            raise PluginError(f"its entry point {plugin.entry_point.value!r} must name a module, not a {type(module).__name__}")
        if other := self.manager.get_name(module):
            raise PluginError(f"its module {module.__name__} is already registered by {other.partition(':')[0]}")

        check_hooks(self.manager, module)
        with self._registered(module, f"{plugin.distribution}:{plugin.name}"):
            self._call_hooks(module, plugin, staged)
            for component in staged:  # two entry points of one distribution share its ids
                if owner := self.registered.get((component.kind, component.id)):
                    raise PluginError(f"{component.kind} '{component.id}' is already registered by entry point '{owner}'")

    @contextlib.contextmanager
    def _registered(self, module: ModuleType, name: str) -> Iterator[None]:
        try:
            self.manager.register(module, name=name)
            yield
        except BaseException:
            # pluggy 1.6 leaves a plugin half registered if one of its hooks does not fit.
            if self.manager.is_registered(module):
                self.manager.unregister(module)
            raise

    def _call_hooks(self, module: ModuleType, plugin: InstalledPlugin, staged: list[Component]) -> None:
        for caller in self.manager.get_hookcallers(module) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not module or caller.name not in HOOKS:
                    continue
                result = implementation.function(Registrar(HOOKS[caller.name], plugin.ref, staged))
                if result is not None:
                    if inspect.iscoroutine(result):
                        result.close()
                    raise PluginError(f"{caller.name} must call register and return nothing; it returned a {type(result).__name__}")

    def _reserved_names(self, staged: list[Component]) -> Iterator[str]:
        """Remarks on short names that mean a first-party component."""
        for component in staged:
            kind, name = component.kind, component.name
            reserved = owner_of(kind, name) or any((kind, f"{own}/{name}") in self.registered for own in FIRST_PARTY)
            if reserved and component.plugin.distribution not in FIRST_PARTY:
                yield f"{kind} '{name}' is a reserved name: write '{component.id}'"


def _names(components: Iterable[Component]) -> dict[Kind, tuple[str, ...]]:
    names: dict[Kind, list[str]] = {}
    for component in components:
        names.setdefault(component.kind, []).append(component.name)
    return {kind: tuple(sorted(names[kind])) for kind in Kind if kind in names}


def _record(plugin: InstalledPlugin, status: PluginStatus, **facts: object) -> PluginRecord:
    return PluginRecord(
        *(plugin.name, plugin.distribution, plugin.version, plugin.source, plugin.url, plugin.sha256),
        status=status,
        origin=plugin.origin,
        module=plugin.entry_point.value,
        file=plugin.file,
        requires=plugin.requires,
        **facts,  # type: ignore[arg-type]  # named fields of the record, each checked where it is given
    )
