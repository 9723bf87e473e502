"""Finds a plugin's hook implementations, and the mistakes that pluggy would pass over in silence.

pluggy ignores an unmarked function, accepts a misspelt name until all plugins are loaded, and does not mind a hook without
arguments. Each of them would leave a plugin "active" with nothing in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType

import pluggy

from ganforge.core.errors import PluginError, did_you_mean
from ganforge.registry.component import Kind
from ganforge.registry.hookspecs import PREFIX

HOOKS: Mapping[str, Kind] = {f"{PREFIX}register_{kind.plural}": kind for kind in Kind}
"""The kind that each registration hook asks for."""


def check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """Look at every public name of a plugin's module.

    Raises:
        PluginError: a function with ganforge's prefix that is no hook or lacks its marker, a hook that is a wrapper, or wrong
            arguments.
    """
    for name, value in vars(module).items():
        if not callable(value):
            continue
        options = manager.parse_hookimpl_opts(module, name)
        if options is None:
            _check_unmarked(name)
        else:
            _check_marked(name, value, options)


def _check_unmarked(name: str) -> None:
    if name in HOOKS:
        raise PluginError(f"{name} lacks @hookimpl", remedy="from ganforge.plugin import hookimpl")
    if name.startswith(PREFIX):
        raise _unknown_hook(name)


def _check_marked(name: str, function: Callable[..., object], options: pluggy.HookimplOpts) -> None:
    hook = options.get("specname") or name
    if hook not in HOOKS:
        if options.get("optionalhook"):  # the author's word that an older ganforge may not know it
            return
        raise _unknown_hook(hook)
    if options.get("wrapper") or options.get("hookwrapper"):
        raise PluginError(f"{name} is marked as a wrapper; registration hooks are not wrapped")
    taken = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    if taken != ["register"]:
        raise PluginError(f"{name}({', '.join(taken)}) has wrong arguments; its signature is {hook}(register)")


def _unknown_hook(name: str) -> PluginError:
    return PluginError(f"{name} is no hook of ganforge", remedy=did_you_mean(name, HOOKS) or f"hooks: {', '.join(HOOKS)}")
