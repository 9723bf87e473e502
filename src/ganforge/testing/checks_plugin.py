"""P checks: the plugin as a whole, and what its components say about themselves before any is built."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import ValidationError
from torch import nn

from ganforge.core.contracts import Dataset, Loss, Metric, Sampler
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.recipe.json_schema import export_schema
from ganforge.registry.component import Kind
from ganforge.registry.params_description import iter_fields, non_plain_fields
from ganforge.registry.registry import PluginRecord, PluginStatus
from ganforge.testing.check_registry import CHECKS, LOADS, check
from ganforge.testing.check_results import CheckFailed, NotApplicable
from ganforge.testing.component_case import Bench, require
from ganforge.testing.import_probe import Import, imported
from ganforge.testing.network_guard import offline

_UNKNOWN = "no_such_parameter_zz"
_LATER = ("$ref", "$defs", "const", "prefixItems", "unevaluatedProperties", "dependentRequired", "dependentSchemas")
"""Words of JSON Schema that came after draft-07, or that editors do not follow."""


@dataclass(frozen=True, slots=True)
class PluginBench:
    """One plugin as a whole.

    Attributes:
        record: how it fared when it was loaded.
        imports: what importing its module did, once somebody asked.
    """

    record: PluginRecord
    imports: list[Import] = field(default_factory=list, compare=False, repr=False)

    @property
    def name(self) -> str:
        """As reports show it."""
        return f"plugin {self.record.name}"

    @property
    def folder(self) -> Path | None:
        """Where its source lies, for the places of errors."""
        return self.record.file and self.record.file.parent

    def imported(self) -> Import:
        """What importing the plugin's module by itself does."""
        if self.record.status not in (
            PluginStatus.ACTIVE,
            PluginStatus.UNAVAILABLE,
        ):  # a local file is run when its user asks, torch and all
            raise NotApplicable(f"the plugin is {self.record.status}")
        if not self.imports:
            self.imports.append(imported(self.record.module))
        return self.imports[0]


@check("P01")
def light(bench: PluginBench) -> None:
    """Importing the plugin's module brings in no torch, numpy or MLflow.

    In a fresh interpreter, since listing what is installed imports every plugin.
    """
    seen = bench.imported()
    require(not seen.failure, f"it cannot be imported by itself: {seen.failure}")
    brought = ", ".join(seen.brought)
    require(not brought, f"importing {bench.record.module} brings in {brought}; name factories as 'module:attribute'")


@check("P02")
def registers(bench: PluginBench) -> None:
    """The plugin loads, its hooks are known and marked, and it registers something."""
    record = bench.record
    if record.status is PluginStatus.DISABLED:
        raise NotApplicable(f"it is {record.reason}")
    if not record.works and record.status is not PluginStatus.UNAVAILABLE:
        raise CheckFailed(f"it is {record.status}: {record.reason}", traceback=record.traceback)
    require(record.components, "it registers nothing")


@check("P03")
def quiet(bench: PluginBench) -> None:
    """Importing the plugin's module does nothing else.

    It prints nothing, warns of nothing, writes no file, starts no thread or process, and leaves Python's random stream, logging,
    environment, working directory and network alone.
    """
    seen = bench.imported()
    if seen.failure or seen.brought:  # torch and its like do much of this at their own import
        raise NotApplicable("P01 fails")
    require(not seen.did, f"importing {bench.record.module} {', '.join(seen.did)}")


@check("P04")
def declares_its_host(bench: PluginBench) -> None:
    """The distribution's metadata requires ganforge, so that an unfit version is refused before import."""
    if bench.record.distribution == "ganforge":
        raise NotApplicable("these are the host's own components")
    if bench.record.status is PluginStatus.DISABLED:
        raise NotApplicable(f"it is {bench.record.reason}")
    if bench.record.sha256:
        raise NotApplicable("a local file has no metadata")
    names = list(_required(bench.record.requires))
    require("ganforge" in names, "its dependencies do not name ganforge; add one such as 'ganforge>=0.1,<1'")


@check("P05", *Kind, after=())
def resolves(bench: Bench) -> None:
    """Factory, params model and spec function can be imported, and are what their places ask for."""
    component = bench.component
    component.load_model()
    component.load_factory()
    spec: Any = component.load_spec()
    require(spec is None or callable(spec), f"its spec {component.spec!r} cannot be called")


@check("P06", *Kind, after=("P05",))
def plain_types(bench: Bench) -> None:
    """Params are plain data: no Any, Callable, type or ImportString."""
    faults = non_plain_fields(bench.component.load_model())
    require(not faults, f"not plain data: {'; '.join(faults)}")


@check("P07", *Kind, after=LOADS)
def described(bench: Bench) -> None:
    """Every parameter has a description."""
    silent = [name for name, info in iter_fields(bench.component.load_params()) if not (info.description or "").strip()]
    require(not silent, f"without a description: {', '.join(silent)}; write a docstring below the field")


@check("P08", *Kind, after=LOADS)
def round_trip(bench: Bench) -> None:
    """Defaults with check_params are valid, and survive being written as JSON and read again."""
    try:
        params = bench.params()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckFailed(f"check_params do not make valid params: {where}: {first['msg']}") from error
    again = type(params).model_validate_json(params.model_dump_json())
    require(again == params, f"{params!r} became {again!r}")


@check("P09", *Kind, after=LOADS)
def lowers(bench: Bench) -> None:
    """Params have a JSON Schema in the form that TOML editors judge by (draft-07)."""
    model = bench.component.load_params()
    try:
        schema = export_schema(model)
    except Exception as error:
        raise CheckFailed(f"no schema can be made of {model.__name__}: {str(error).strip().splitlines()[0]}") from error
    told = schema.get("properties", {})
    silent = [name for name in model.model_fields if name not in told]
    require(not silent, f"the schema does not tell {', '.join(silent)}; drop the fields' aliases")
    later = sorted({word for word in _words(schema) if word in _LATER})
    require(not later, f"the schema holds {', '.join(later)}, which draft-07 does not know")
    json.dumps(schema)


@check("P10", *Kind, after=LOADS)
def strict(bench: Bench) -> None:
    """Unknown keys are refused, and params are strict and frozen."""
    model = bench.component.load_params()
    try:
        model.model_validate_json(json.dumps({**bench.component.check_params, _UNKNOWN: 1}))
    except ValidationError as error:
        refused = any(part["type"] == "extra_forbidden" and part["loc"] == (_UNKNOWN,) for part in error.errors())
    else:
        refused = False
    require(refused, "an unknown key is accepted; leave extra='forbid' as ganforge.plugin.Params has it")
    loosened = [name for name in ("strict", "frozen") if model.model_config.get(name) is not True]
    require(not loosened, f"{' and '.join(loosened)} switched off; leave the configuration as ganforge.plugin.Params has it")


@check("P11", *Kind, after=(*LOADS, "P08"))
def can_be_built(bench: Bench) -> None:
    """The factory makes of check_params what a component of its kind is.

    A network is a torch.nn.Module with parameters; the others have the attributes and methods of their protocol.
    """
    kind = bench.component.kind
    if kind is Kind.DATASET:
        with offline(), bench.built_dataset() as dataset:
            _require_members(dataset, Dataset, "spec", "training", "held_out")
            require(isinstance(dataset.spec, DataSpec), f"its spec is a {type(dataset.spec).__name__}, not a DataSpec")
        return
    made = bench.build()
    if kind in (Kind.GENERATOR, Kind.DISCRIMINATOR):
        require(isinstance(made, nn.Module), f"the factory gives a {type(made).__name__}, not a torch.nn.Module")
        require(next(made.parameters(), None) is not None, "the network has no parameters")
    elif kind is Kind.LOSS:
        _require_members(made, Loss, "term_info", "second_order", "discriminator", "generator")
    elif kind is Kind.SAMPLER:
        _require_members(made, Sampler, "spec", "draw")
        require(isinstance(made.spec, LatentSpec), f"its spec is a {type(made.spec).__name__}, not a LatentSpec")
    else:
        _require_members(made, Metric, "value_info", "measure")


@check("P12", *Kind, after=())
def excuses_what_exists(bench: Bench) -> None:
    """Each expected failure that is registered names a check of that kind."""
    mine = [one.id for one in CHECKS.values() if bench.component.kind in one.kinds]
    unknown = [name for name in bench.component.expected_failures if name not in mine]
    require(not unknown, f"expected_failures names {', '.join(unknown)}; a {bench.component.kind} has: {', '.join(sorted(mine))}")


def _required(lines: tuple[str, ...]) -> Iterator[str]:
    for line in lines:
        try:
            yield Requirement(line).name.lower()
        except InvalidRequirement as error:
            raise CheckFailed(f"its requirement {line!r} cannot be read") from error


def _words(schema: Any) -> Iterator[str]:
    """The keywords of a schema and of those in it; names of fields are none."""
    if isinstance(schema, list):
        for item in schema:
            yield from _words(item)
    elif isinstance(schema, dict):
        for word, inner in schema.items():
            yield word
            if word in ("properties", "patternProperties"):
                for field_schema in inner.values():
                    yield from _words(field_schema)
            elif word not in ("default", "enum", "examples"):
                yield from _words(inner)


def _require_members(made: object, protocol: type, *members: str) -> None:
    if not isinstance(made, protocol):
        lacking = [name for name in members if not hasattr(made, name)]
        raise CheckFailed(f"the factory gives a {type(made).__name__} without {', '.join(lacking)}")
