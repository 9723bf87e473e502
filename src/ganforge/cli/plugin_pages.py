"""``ganforge plugins info``: one plugin with its source, status and components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganforge.cli import console
from ganforge.cli.components import component_facts as described
from ganforge.cli.components import parameter_facts, parameter_table

if TYPE_CHECKING:
    from ganforge.registry.component import Component
    from ganforge.registry.discovery import PluginRecord
    from ganforge.registry.params_description import Parameter
    from ganforge.registry.registry import Registry


def show_plugin(record: PluginRecord, registry: Registry) -> None:
    """Print everything known about a plugin."""
    console.say(f"{record.distribution} {record.version}", style="bold")
    facts = {
        "status": f"{record.status}: {record.reason}" if record.reason else record.status,
        "entry": f"{record.name} = {record.module}",
        "source": f"{record.source} {record.origin or ''}".strip(),
        "file": record.file or "not found",
        "sha256": record.sha256,
        "load": milliseconds(record.load_ms) or ("failed" if record.traceback else "not imported"),
        "remarks": ", ".join(record.remarks),
        **{kind.plural: ", ".join(names) for kind, names in record.components.items()},
    }
    for key, text in facts.items():
        if text:
            console.say(f"  {key:<14} {text}")
    for component in _components(record, registry):
        _show(component, registry)
    if record.traceback:
        console.say(f"\n{record.traceback.rstrip()}")


def plugin_facts(record: PluginRecord) -> dict[str, object]:
    """The plugin as JSON-able data, without its components."""
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "status": record.status,
        "reason": record.reason,
        "source": record.source,
        "origin": record.origin,
        "module": record.module,
        "file": record.file,
        "load_ms": None if record.load_ms is None else round(record.load_ms, 1),
        "offers": {kind.value: names for kind, names in record.components.items()},
        "remarks": record.remarks,
        "sha256": record.sha256,
        "traceback": record.traceback,
    }


def component_facts(record: PluginRecord, registry: Registry) -> list[dict[str, object]]:
    """The plugin's components as JSON-able data; parameters are ``None`` if their model cannot be loaded."""
    facts: list[dict[str, object]] = []
    for component in _components(record, registry):
        parameters, _ = _parameters(component)
        plain = None if parameters is None else [parameter_facts(one) for one in parameters]
        facts.append({**described(component, registry), "parameters": plain})
    return facts


def milliseconds(load_ms: float | None) -> str | None:
    """A load time as text; ``None`` for a plugin that was not imported."""
    return None if load_ms is None else f"{load_ms:.0f} ms"


def _components(record: PluginRecord, registry: Registry) -> list[Component]:
    return [
        one for one in registry.components() if (one.plugin.name, one.plugin.distribution) == (record.name, record.distribution)
    ]


def _show(component: Component, registry: Registry) -> None:
    console.say()
    console.say(f"{component.kind} {component.name}@{component.revision}", style="bold")
    console.say(f"  {component.summary}")
    facts = {
        "use": registry.name_of(component),
        "file": component.source(),
        "requires": ", ".join(component.requires),
        "provides": ", ".join(component.provides),
        "needs": ", ".join(component.needs),
        "cost": component.cost,
    }
    for key, text in facts.items():
        if text:
            console.say(f"  {key:<9} {text}")
    for reference in component.references:
        console.say(f"  {'paper':<9} {reference}")
    parameters, fault = _parameters(component)
    if fault:
        console.say(f"  {'params':<9} {fault}", style="yellow")
    elif parameters:
        parameter_table(parameters)


def _parameters(component: Component) -> tuple[tuple[Parameter, ...] | None, str | None]:
    """The parameters, or the reason why they cannot be loaded."""
    from ganforge.core.errors import PluginError
    from ganforge.registry.params_description import describe_params

    try:
        return describe_params(component.load_params()), None
    except PluginError as error:
        return None, error.message
