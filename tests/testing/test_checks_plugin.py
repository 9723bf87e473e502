"""Each check of a plugin and of params passes on a sound one and fails on the fault that is planted for it."""

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, GetPydanticSchema, ImportString, field_serializer
from pydantic_core import core_schema

from ganforge.core.params import Params
from ganforge.registry.component import Kind
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import PluginSelection
from ganforge.testing import CheckState, cases
from ganforge.testing.conformance import all_checks


class Colour(enum.Enum):
    RED = "red"


class Inner(Params):
    depth: int = 3
    """How deep."""


class Sound(Params):
    """All that is allowed."""

    number: int = Field(2, ge=1)
    """A number."""
    share: float | None = None
    """A share."""
    on: bool = False
    """A switch."""
    name: Annotated[str, Field(min_length=1)] = "x"
    """A name."""
    mode: Literal["a", "b"] = "a"
    """A choice."""
    colour: Colour = Colour.RED
    """A paint."""
    file: Path = Path("here")
    """A place."""
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2)
    """Some sizes."""
    table: dict[str, list[float]] = Field(default_factory=dict)
    """A table."""
    inner: Inner = Inner()
    """The core."""


def with_type(annotation):
    return type("Faulty", (Params,), {"__annotations__": {"odd": annotation}, "odd": Field(None, description="Odd.")})


class Undescribed(Params):
    messages: int = 1
    """Described."""
    undocumented: int = 2


class NestedUndescribed(Params):
    class Deep(Params):
        undocumented: int = 1

    deep: Deep = Deep()
    """Deep."""


class Required(Params):
    needed: int
    """Needed."""


class Drifting(Params):
    """Written as JSON, it comes back as something else."""

    odd: int = 1
    """Odd."""

    @field_serializer("odd")
    def _more(self, value):
        return value + 1


class Unlowered(Params):
    """Judged by a function that tells no schema."""

    odd: Annotated[int, GetPydanticSchema(lambda source, handler: core_schema.no_info_plain_validator_function(int))] = 1
    """Odd."""


class Aliased(Params):
    odd: int = Field(1, alias="strange")
    """Odd."""


class Lenient(Params):
    model_config = ConfigDict(extra="ignore")


class Loose(Params):
    model_config = ConfigDict(strict=False, frozen=False)


FAULTS = {
    "P05 params": ("P05", {"params": "ganforge.no_such_module:Params"}, "cannot load ganforge.no_such_module:Params"),
    "P05 factory": ("P05", {"factory": "ganforge:no_such_factory"}, "cannot load ganforge:no_such_factory"),
    "P05 spec": ("P05", {"spec": "ganforge:no_such_spec"}, "cannot load ganforge:no_such_spec"),
    "P05 no params": ("P05", {"params": "ganforge.core.records:LossTerms"}, "is not a subclass of ganforge.plugin.Params"),
    "P06 Any": ("P06", {"params": with_type(Any)}, "not plain data: odd (Any)"),
    "P06 deep Any": ("P06", {"params": with_type(dict[str, list[Any]] | None)}, "odd (Any)"),
    "P06 Callable": ("P06", {"params": with_type(Callable[[int], int] | None)}, "odd (Callable)"),
    "P06 type": ("P06", {"params": with_type(type[Params] | None)}, "odd (type)"),
    "P06 object": ("P06", {"params": with_type(object)}, "odd (object)"),
    "P06 ImportString": ("P06", {"params": with_type(ImportString)}, "odd (ImportString)"),
    "P06 typed ImportString": ("P06", {"params": with_type(ImportString[Callable[[], int]] | None)}, "ImportString"),
    "P07": ("P07", {"params": Undescribed}, "without a description: undocumented; write a docstring below the field"),
    "P07 nested": ("P07", {"params": NestedUndescribed}, "without a description: deep.undocumented"),
    "P08 required": ("P08", {"params": Required}, "check_params are not valid: needed: Field required"),
    "P08 invalid": ("P08", {"params": Sound, "check_params": {"number": 0}}, "number: Input should be greater than or equal to 1"),
    "P08 coerced": ("P08", {"params": Sound, "check_params": {"number": "3"}}, "number: Input should be a valid integer"),
    "P08 drifting": ("P08", {"params": Drifting}, "became"),
    "P09 no schema": ("P09", {"params": Unlowered}, "Unlowered has no JSON Schema: Cannot generate a JsonSchema"),
    "P09 alias": ("P09", {"params": Aliased}, "the schema lacks odd; remove the fields' aliases"),
    "P10": ("P10", {"params": Lenient}, "an unknown key is accepted"),
    "P10 loose": ("P10", {"params": Loose}, "strict and frozen are off"),
    "P11": ("P11", {"params": Sound}, "TypeError: len() takes exactly one argument (2 given)"),
    "P12": ("P12", {"expected_failures": {"G01": "a loss has no such check"}}, "expected_failures names G01; a loss has: E01, L01"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_of_a_params_model_is_found(component, judged, fault):
    check, options, message = FAULTS[fault]
    options = {"factory": len, **options}

    outcome = judged(check, Kind.LOSS, options.pop("factory"), **options)

    assert outcome.state is CheckState.FAILED
    assert message in outcome.message


@pytest.mark.parametrize("check", ["P05", "P06", "P07", "P08", "P09", "P10", "P12"])
@pytest.mark.parametrize("kind", Kind)
def test_sound_params_pass(judged, kind, check):
    outcome = judged(check, kind, len, params=Sound, check_params={"sizes": [3], "inner": {"depth": 1}})

    assert outcome.state is CheckState.PASSED, outcome


IMPORTS = "from ganforge.plugin import hookimpl\n"
ANY = f"""
from typing import Any
{IMPORTS}
from ganforge.plugin import Params

class Open(Params):
    odd: Any = None

@hookimpl
def ganforge_register_generators(register):
    register("x", "acme_gan:build", params=Open, summary="s")
"""
PLUGINS = {
    "P01 heavy": ("P01", {"source": f"import numpy\n{IMPORTS}"}, "importing acme_gan imports numpy; name factories as"),
    "P01 alone": ("P01", {"source": f"{IMPORTS}import __main__\n__main__.torch_free_host\n"}, "it cannot be imported alone: "),
    "P02 broken": ("P02", {"source": "raise RuntimeError('no GPU here')\n"}, "it is broken: RuntimeError: no GPU here"),
    "P02 incompatible": ("P02", {"requires": ["ganforge>=99"]}, "it is incompatible: needs ganforge >=99"),
    "P02 empty": ("P02", {"source": IMPORTS}, "it registers nothing"),
    "P02 registration": ("P02", {"source": ANY}, "it is broken: generator 'acme-gan/x': its params are not plain data: odd (Any)"),
    "P03 thread": (
        "P03",
        {"source": f"import threading\n{IMPORTS}threading.Thread(target=threading.Event().wait, args=(3,), daemon=True).start()\n"},
        "importing acme_gan starts a thread",
    ),
    "P03 warning": (
        "P03",
        {"source": f"import sys, warnings\n{IMPORTS}'torch' in sys.modules or warnings.warn('old')\n"},
        "warns (old)",
    ),
    "P03 print": ("P03", {"source": f"{IMPORTS}print('hello')\n"}, "importing acme_gan prints"),
    "P03 random": ("P03", {"source": f"import random\n{IMPORTS}random.seed(3)\n"}, "moves Python's random stream"),
    "P03 environment": ("P03", {"source": f"import os\n{IMPORTS}os.environ['ACME'] = '1'\n"}, "changes the environment"),
    "P03 file": (
        "P03",
        {"source": f"from pathlib import Path\n{IMPORTS}Path(__file__ + '.log').write_text('x')\n"},
        "acme_gan.py.log",
    ),
    "P04": ("P04", {"requires": ["numpy"]}, "its dependencies do not name ganforge"),
}


def judged_plugin(check):
    registry = load_plugins(PluginSelection(allowed=frozenset({"acme-gan"})))
    return next(case for case in cases("acme-gan", registry=registry) if case.check.id == check).outcome()


@pytest.mark.parametrize("fault", PLUGINS)
def test_a_planted_fault_of_a_plugin_is_found(install, monkeypatch, fault):
    check, options, message = PLUGINS[fault]
    monkeypatch.setattr("__main__.torch_free_host", True, raising=False)
    install(**options)

    outcome = judged_plugin(check)

    assert outcome.state is CheckState.FAILED
    assert message in outcome.message


@pytest.mark.parametrize("check", ["P01", "P02", "P03", "P04"])
def test_a_sound_plugin_passes(install, check):
    install()

    assert judged_plugin(check).state is CheckState.PASSED


def test_a_broken_plugin_is_not_imported_once_more(install):
    install(source="raise RuntimeError\n")

    outcome = judged_plugin("P01")

    assert (outcome.state, outcome.message) == (CheckState.SKIPPED, "the plugin is broken")


def test_every_check_has_a_planted_fault():
    planted = {check for check, *_ in (*FAULTS.values(), *PLUGINS.values())}

    assert planted == {one.id for one in all_checks() if one.id.startswith("P")}
