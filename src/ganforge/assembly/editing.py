"""What TOML editors need to know of the recipes that can be written here: the schema with all that is installed."""

from __future__ import annotations

from pydantic.errors import PydanticUserError

from ganforge import __version__
from ganforge.core.errors import PluginError
from ganforge.hooks.component import Component, Kind
from ganforge.hooks.registry import Registry, Status
from ganforge.recipe.json_schema import Choice, recipe_schema
from ganforge.recipe.lowering import Schema, lowered


def schema_of(registry: Registry) -> tuple[Schema, tuple[str, ...]]:
    """The JSON Schema of recipes with the components of a registry, and what it could not say, one line each."""
    complaints: list[str] = []
    choices = {kind.value: [_choice(component, registry, complaints) for component in registry.components(kind)] for kind in Kind}
    return recipe_schema(choices, made_from(registry)), tuple(complaints)


def made_from(registry: Registry) -> str:
    """The versions that a schema depends on, in one line."""
    plugins = {f"{one.distribution} {one.version}" for one in registry.plugins if one.status in (Status.ACTIVE, Status.UNAVAILABLE)}
    return ", ".join([f"ganforge {__version__}", *sorted(plugins - {f"ganforge {__version__}"})])


def _choice(component: Component, registry: Registry, complaints: list[str]) -> Choice:
    revision = f"@{component.revision}"
    names = dict.fromkeys((registry.name_of(component), component.id))
    names |= dict.fromkeys(name + revision for name in tuple(names))
    try:
        params = lowered(component.load_params())
    except PluginError as error:
        complaints.append(f"{error.message}; its params stay unjudged")
        params = None
    except PydanticUserError as error:
        complaints.append(f"{component.kind} '{component.id}': its params stay unjudged: {str(error).partition(chr(10))[0]}")
        params = None
    return Choice(tuple(names), component.summary, params)
