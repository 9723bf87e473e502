"""Loading of plugins. Whatever is wrong with a plugin disables only that plugin, never the command.

For each plugin: check selection and version by its metadata, import it, check its hooks, and call them. Its components become
available only if all of that succeeds. pluggy knows a plugin only while its hooks are called, so that no other plugin's are.
"""

from __future__ import annotations

import inspect
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import ModuleType

import pluggy

from ganforge.core.errors import PluginError, describe_error
from ganforge.core.process_state import preserved_process
from ganforge.registry import hookspecs
from ganforge.registry.component import Component, Kind
from ganforge.registry.discovery import PluginRecord, PluginStatus, builtin_plugin, installed_plugins, read_local_plugin
from ganforge.registry.hookspecs import HOOKS, PREFIX, Registrar
from ganforge.registry.registry import FIRST_PARTY, Registry, owner_of, reserved_name_error
from ganforge.registry.selection import LOCAL, PluginSelection, command_line_options, current_selection

HEAVY = ("torch", "torchvision", "numpy", "mlflow", "scipy", "sklearn", "matplotlib")
"""Modules that a plugin's entry module should not import, because listing components would take seconds."""


def load_plugins(selection: PluginSelection | None = None, *, strict: bool | None = None) -> Registry:
    """Load the built-in components, then every installed plugin and local file that the selection allows.

    ``strict`` is whether a plugin that fails is an error; default: as the selection says.

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
    """Raise a `PluginError` that lists each plugin that is broken or incompatible, with the reason, if there is one."""
    if failed := [record for record in registry.plugins if record.failed]:
        raise PluginError(
            "\n".join(f"{one.title} {one.version} is {one.status}: {one.reason}" for one in failed),
            remedy="fix, update or disable it, or drop --strict-plugins (GANFORGE_STRICT_PLUGINS); "
            f"see: `ganforge plugins doctor{command_line_options()}`",
        )


def load(plugins: Iterable[PluginRecord], selection: PluginSelection) -> Registry:
    """Load the given plugins one after another; their order affects only the order of the records."""
    loader = _Loader(selection)
    records = [loader.load(plugin) for plugin in plugins]
    return Registry(records, loader.components.values())


def _check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """Find mistakes that pluggy ignores and that would leave a plugin active without components."""
    for name, function in vars(module).items():
        options = manager.parse_hookimpl_opts(module, name)
        if options is None and not (callable(function) and name.startswith(PREFIX)):
            continue
        hook = (options and options.get("specname")) or name
        if hook not in HOOKS:
            if options and options.get("optionalhook"):  # the author says that an older ganforge may not have it
                continue
            message, listed = f"{hook} is not a hook of ganforge", f"hooks: {', '.join(HOOKS)}"
            near = get_close_matches(hook.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in HOOKS], n=1)
            raise PluginError(message, remedy=f"did you mean '{PREFIX}{near[0]}'? {listed}" if near else listed)
        if options is None:
            raise PluginError(f"{name} lacks @hookimpl", remedy="from ganforge.plugin import hookimpl")
        arguments = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
        if arguments != ["register"]:
            raise PluginError(f"{name}({', '.join(arguments)}) has wrong arguments; its signature is {hook}(register)")


@dataclass(slots=True)
class _Loader:
    """Loads plugins and collects their components by kind and id."""

    selection: PluginSelection
    components: dict[tuple[Kind, str], Component] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    manager: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager(hookspecs.PROJECT))

    def __post_init__(self) -> None:
        self.manager.add_hookspecs(hookspecs)

    def load(self, plugin: PluginRecord) -> PluginRecord:
        refusal = None if plugin.distribution == "ganforge" else self.selection.refusal(plugin.name, plugin.distribution)
        if refusal:
            return replace(plugin, status=PluginStatus.DISABLED, reason=refusal)
        if fault := plugin.reason or reserved_name_error(plugin):
            return replace(plugin, status=PluginStatus.BROKEN, reason=fault)
        if plugin.incompatible:
            return replace(plugin, status=PluginStatus.INCOMPATIBLE, reason=plugin.incompatible)

        staged: list[Component] = []
        imported, started = [name for name in HEAVY if name in sys.modules], time.perf_counter()
        changes: list[str] = []
        try:
            with preserved_process() as changes:
                self._register(plugin, staged)
        except Exception as error:  # noqa: BLE001 - the boundary: a plugin may raise anything
            reason = describe_error(error, plugin.file and plugin.file.parent)
            text = "".join(traceback.format_exception(error))
            return replace(plugin, status=PluginStatus.BROKEN, reason=reason, components=_names(staged), traceback=text)
        milliseconds = (time.perf_counter() - started) * 1000

        self.components |= {(component.kind, component.id): component for component in staged}
        unavailable = bool(staged) and all(component.missing for component in staged)
        missing = sorted({name for component in staged for name in component.missing})
        working = PluginStatus.LOCAL if plugin.distribution == LOCAL else PluginStatus.ACTIVE
        imports = [f"imports {name}" for name in HEAVY if name in sys.modules and name not in imported]
        return replace(
            plugin,
            status=PluginStatus.UNAVAILABLE if unavailable else working,
            reason=f"needs {', '.join(missing)}" if unavailable else None,
            load_ms=milliseconds,
            components=_names(staged),
            remarks=(*imports, *changes, *self._reserved_names(staged)),
        )

    def _register(self, plugin: PluginRecord, staged: list[Component]) -> None:
        """Import the plugin, check and call its hooks."""
        module = plugin.load()
        if not isinstance(module, ModuleType):
            raise PluginError(f"its entry point {plugin.module!r} must name a module, not a {type(module).__name__}")
        if other := self.modules.get(module.__name__):
            raise PluginError(f"its module {module.__name__} is already registered by {other}")

        _check_hooks(self.manager, module)
        try:
            self.manager.register(module)
            for hook, kind in HOOKS.items():
                for result in getattr(self.manager.hook, hook)(register=Registrar(kind, plugin.ref, staged)):
                    if inspect.iscoroutine(result):
                        result.close()
                    raise PluginError(f"{hook} must call register and return nothing; it returned a {type(result).__name__}")
        finally:
            if self.manager.is_registered(module):  # pluggy 1.6 keeps a module that it rejects
                self.manager.unregister(module)

        for component in staged:  # two entry points of one distribution share its ids
            if same := self.components.get((component.kind, component.id)):
                owner = same.plugin.name
                raise PluginError(f"{component.kind} '{component.id}' is already registered by entry point '{owner}'")
        self.modules[module.__name__] = plugin.distribution

    def _reserved_names(self, staged: list[Component]) -> Iterator[str]:
        """Remarks on short names that mean a first-party component."""
        for component in staged:
            kind, name = component.kind, component.name
            reserved = owner_of(kind, name) or any((kind, f"{own}/{name}") in self.components for own in FIRST_PARTY)
            if reserved and component.plugin.distribution not in FIRST_PARTY:
                yield f"{kind} '{name}' is a reserved name: write '{component.id}'"


def _names(components: Sequence[Component]) -> dict[Kind, tuple[str, ...]]:
    names = {kind: tuple(sorted(component.name for component in components if component.kind is kind)) for kind in Kind}
    return {kind: found for kind, found in names.items() if found}
