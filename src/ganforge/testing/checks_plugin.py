"""P checks: the plugin as a whole, its import in a fresh interpreter, and the declarations of its components."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import ValidationError
from torch import nn

from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.recipe.json_schema import export_schema
from ganforge.registry.component import Kind
from ganforge.registry.discovery import PluginRecord, PluginStatus
from ganforge.registry.params_description import iter_fields, non_plain_fields
from ganforge.registry.plugin_loader import HEAVY
from ganforge.testing.component_case import ComponentCase, forbid_network
from ganforge.testing.conformance import CHECKS, LOADS, CheckFailedError, NotApplicableError, Outcome, check, require

_PROBE = """
import sys
sys.dont_write_bytecode = True
import importlib, json, logging, os, random, tempfile, threading, warnings
path, module, heavy = json.loads(sys.argv[1])
sys.path[:] = path
import ganforge.plugin

did, looking = [], True
REACHING = ("socket.connect", "socket.getaddrinfo", "urllib.Request")
def look(event, arguments):
    if not looking:
        return
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        did.append(f"writes {arguments[0]}")
    elif event in REACHING:
        did.append("reaches for the network")
    elif event in ("subprocess.Popen", "os.system", "os.fork"):
        did.append("starts a process")
    elif event in ("os.putenv", "os.unsetenv"):  # comparing would miss what this process, the plugin's host, has inherited to it
        did.append(f"changes the environment ({os.fsdecode(arguments[0])})")

def state():
    root = logging.getLogger()
    return {
        "starts a thread": threading.active_count(),
        "moves Python's random stream": random.getstate(),
        "changes the working directory": os.getcwd(),
        "sets up logging": (len(root.handlers), root.level),
    }

sys.stdout = printed = tempfile.TemporaryFile("w+")
sys.addaudithook(look)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    before = state()
    importlib.import_module(module)
    after, looking = state(), False
did += [what for what in after if after[what] != before[what]]
did += [f"warns ({one.message})" for one in warned] + ["prints"] * bool(printed.tell())
sys.stderr.write("\\n" + json.dumps([[name for name in heavy if name in sys.modules], list(dict.fromkeys(did))]))
sys.stderr.flush()
os._exit(0)  # a thread that the module left running must not keep the probe
"""


class ImportReport(NamedTuple):
    """Why a module cannot be imported alone, the heavy modules that it imports, and its side effects, such as ``prints``."""

    failure: str | None
    heavy: Sequence[str] = ()
    effects: Sequence[str] = ()


def probe_import(module: str) -> ImportReport:
    """Import a module in a fresh interpreter with the same ``sys.path``."""
    command = [sys.executable, "-c", _PROBE, json.dumps([sys.path, module, HEAVY])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own probe
    except subprocess.TimeoutExpired:
        return ImportReport("the import takes more than two minutes")
    last = done.stderr.strip().rpartition("\n")[2]
    if done.returncode != 0 or not last.startswith("[["):
        return ImportReport(last or "the interpreter ended without a message")
    return ImportReport(None, *json.loads(last))


_MEMBERS: dict[Kind, tuple[str, ...]] = {
    Kind.DATASET: ("spec", "training", "held_out"),
    Kind.SAMPLER: ("spec", "draw"),
    Kind.LOSS: ("term_info", "second_order"),
    Kind.METRIC: ("value_info", "measure"),
}
_SPECS = {Kind.DATASET: DataSpec, Kind.SAMPLER: LatentSpec}
_UNKNOWN = "no_such_parameter_zz"
_LATER = ("$ref", "$defs", "const", "prefixItems", "unevaluatedProperties", "dependentRequired", "dependentSchemas")
"""JSON Schema keywords that are newer than draft-07 or that editors do not support."""


@dataclass(frozen=True)
class PluginCase:
    """One plugin as a whole, with the outcomes of the checks that have run on it, by id."""

    record: PluginRecord
    outcomes: dict[str, Outcome] = field(default_factory=dict, compare=False, repr=False)
    kind: None = None
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in reports."""
        return f"plugin {self.record.name}"

    @property
    def folder(self) -> Path | None:
        """Folder of its source, for locations in error messages."""
        return self.record.file and self.record.file.parent

    @cached_property
    def imported(self) -> ImportReport:
        """What importing the plugin's module alone does."""
        if self.record.status not in (PluginStatus.ACTIVE, PluginStatus.UNAVAILABLE):  # a local file may import torch
            raise NotApplicableError(f"the plugin is {self.record.status}")
        return probe_import(self.record.module)


@check("P01")
def imports_no_heavy_module(subject: PluginCase) -> None:
    """Importing the plugin's module does not import torch, numpy or MLflow.

    Tested in a fresh interpreter, since listing components imports every plugin.
    """
    report = subject.imported
    require(not report.failure, f"it cannot be imported alone: {report.failure}")
    heavy = ", ".join(report.heavy)
    require(not heavy, f"importing {subject.record.module} imports {heavy}; name factories as 'module:attribute'")


@check("P02")
def loads_and_registers(subject: PluginCase) -> None:
    """The plugin loads, its hooks exist and are marked, and it registers something."""
    record = subject.record
    if record.status is PluginStatus.DISABLED:
        raise NotApplicableError(f"it is {record.reason}")
    if not record.works and record.status is not PluginStatus.UNAVAILABLE:
        raise CheckFailedError(f"it is {record.status}: {record.reason}", traceback=record.traceback)
    require(record.components, "it registers nothing")


@check("P03")
def import_has_no_side_effects(subject: PluginCase) -> None:
    """Importing the plugin's module has no side effects.

    It does not print, warn, write files, start threads or processes, access the network, or change Python's random state, logging,
    environment or working directory.
    """
    report = subject.imported
    if report.failure or report.heavy:  # importing torch alone has such side effects
        raise NotApplicableError("P01 fails")
    require(not report.effects, f"importing {subject.record.module} {', '.join(report.effects)}")


@check("P04")
def requires_ganforge(subject: PluginCase) -> None:
    """The distribution's metadata requires ganforge, so that an incompatible version is rejected before import."""
    if subject.record.distribution == "ganforge":
        raise NotApplicableError("it is part of ganforge")
    if subject.record.status is PluginStatus.DISABLED:
        raise NotApplicableError(f"it is {subject.record.reason}")
    if subject.record.sha256:
        raise NotApplicableError("a local file has no metadata")
    names = [_required_name(line) for line in subject.record.requires]
    require("ganforge" in names, "its dependencies do not name ganforge; add one such as 'ganforge>=0.1,<1'")


@check("P05", *Kind, after=())
def references_resolve(subject: ComponentCase) -> None:
    """Factory, params model and spec function can be imported and have the right types."""
    component = subject.component
    component.load_model()
    component.load_factory()
    spec: Any = component.load_spec()
    require(spec is None or callable(spec), f"its spec {component.spec!r} is not callable")


@check("P06", *Kind, after=("P05",))
def params_are_plain_data(subject: ComponentCase) -> None:
    """Params are plain data: no Any, Callable, type or ImportString."""
    faults = non_plain_fields(subject.component.load_model())
    require(not faults, f"not plain data: {'; '.join(faults)}")


@check("P07", *Kind, after=LOADS)
def params_are_described(subject: ComponentCase) -> None:
    """Every parameter has a description."""
    fields = iter_fields(subject.component.load_params())
    undescribed = [name for name, info, _ in fields if not (info.description or "").strip()]
    require(not undescribed, f"without a description: {', '.join(undescribed)}; write a docstring below the field")


@check("P08", *Kind, after=LOADS)
def params_survive_json(subject: ComponentCase) -> None:
    """Defaults with check_params are valid and survive a JSON round trip."""
    try:
        params = subject.params()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckFailedError(f"check_params are not valid: {where}: {first['msg']}") from error
    again = type(params).model_validate_json(params.model_dump_json())
    require(again == params, f"{params!r} became {again!r}")


@check("P09", *Kind, after=LOADS)
def params_have_json_schema(subject: ComponentCase) -> None:
    """Params have a JSON Schema that TOML editors support (draft-07)."""
    model = subject.component.load_params()
    try:
        schema = export_schema(model)
    except Exception as error:
        raise CheckFailedError(f"{model.__name__} has no JSON Schema: {str(error).strip().splitlines()[0]}") from error
    properties = schema.get("properties", {})
    silent = [name for name in model.model_fields if name not in properties]
    require(not silent, f"the schema lacks {', '.join(silent)}; remove the fields' aliases")
    later = sorted({word for word in _words(schema) if word in _LATER})
    require(not later, f"the schema uses {', '.join(later)}, which draft-07 does not have")
    json.dumps(schema)


@check("P10", *Kind, after=LOADS)
def params_are_strict(subject: ComponentCase) -> None:
    """Unknown keys are rejected, and params are strict and frozen."""
    model = subject.component.load_params()
    try:
        model.model_validate_json(json.dumps({**subject.component.check_params, _UNKNOWN: 1}))
    except ValidationError as error:
        rejected = any(part["type"] == "extra_forbidden" and part["loc"] == (_UNKNOWN,) for part in error.errors())
    else:
        rejected = False
    require(rejected, "an unknown key is accepted; keep extra='forbid' of ganforge.plugin.Params")
    loosened = [name for name in ("strict", "frozen") if model.model_config.get(name) is not True]
    verb = "is" if len(loosened) == 1 else "are"
    require(not loosened, f"{' and '.join(loosened)} {verb} off; keep the configuration of ganforge.plugin.Params")


@check("P11", *Kind, after=(*LOADS, "P08"))
def builds(subject: ComponentCase) -> None:
    """The factory builds a component of its kind from check_params.

    A network is a torch.nn.Module with parameters; the other kinds have the members of their protocol.
    """
    if subject.kind is Kind.DATASET:
        with forbid_network(), subject.built_dataset() as dataset:
            _require_members(dataset, Kind.DATASET)
        return
    built = subject.build()
    if subject.kind in _MEMBERS:
        _require_members(built, subject.kind)
        return
    require(isinstance(built, nn.Module), f"the factory returns a {type(built).__name__}, not a torch.nn.Module")
    require(next(built.parameters(), None) is not None, "the network has no parameters")


@check("P12", *Kind, after=())
def expected_failures_exist(subject: ComponentCase) -> None:
    """Every registered expected failure names a check of that kind."""
    mine = [one.id for one in CHECKS.values() if subject.kind in one.kinds]
    unknown = [name for name in subject.component.expected_failures if name not in mine]
    require(not unknown, f"expected_failures names {', '.join(unknown)}; a {subject.kind} has: {', '.join(sorted(mine))}")


def _required_name(line: str) -> str:
    try:
        return Requirement(line).name.lower()
    except InvalidRequirement as error:
        raise CheckFailedError(f"its requirement {line!r} cannot be read") from error


def _words(schema: Any) -> Iterator[str]:
    """The keywords of a schema and its sub-schemas, without field names."""
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


def _require_members(built: Any, kind: Kind) -> None:
    lacking = [name for name in _MEMBERS[kind] if not hasattr(built, name)]
    if kind is Kind.LOSS and not lacking:  # a method for each player that it has terms for
        players = sorted({key.partition("/")[0] for key in built.term_info})
        lacking = [player for player in players if not callable(getattr(built, player, None))]
    require(not lacking, f"the factory returns a {type(built).__name__} without {', '.join(lacking)}")
    if spec := _SPECS.get(kind):
        require(isinstance(built.spec, spec), f"its spec is a {type(built.spec).__name__}, not a {spec.__name__}")
