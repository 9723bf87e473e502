"""P checks: the plugin as a whole, and the params models of its components."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ImportString, ValidationError
from pydantic.fields import FieldInfo

from ganforge.core.params import Params
from ganforge.hooks.component import Kind
from ganforge.hooks.registry import PluginRecord, Status
from ganforge.testing.checking import check
from ganforge.testing.outcome import CheckFailed, NotApplicable
from ganforge.testing.workbench import Bench, require

_HEAVY = ("torch", "torchvision", "numpy", "mlflow", "scipy", "sklearn", "matplotlib")
_PLAIN = (bool, int, float, str, types.NoneType)
_IMPORT: Any = ImportString
_UNKNOWN = "no_such_parameter_zz"
_PROBE = """
import importlib, json, sys
path, module, heavy = json.loads(sys.argv[1])
sys.path[:] = path
importlib.import_module(module)
sys.stderr.write(json.dumps([name for name in heavy if name in sys.modules]))
"""


@dataclass(frozen=True, slots=True)
class PluginBench:
    """One plugin as a whole.

    Attributes:
        record: how it fared when it was loaded.
    """

    record: PluginRecord

    @property
    def name(self) -> str:
        """As reports show it."""
        return f"plugin {self.record.name}"


@check("P01")
def light(bench: PluginBench) -> None:
    """Importing the plugin's module brings in no torch, numpy or MLflow."""
    if bench.record.status not in (Status.ACTIVE, Status.UNAVAILABLE):  # a local file is loaded when its user asks, torch and all
        raise NotApplicable(f"the plugin is {bench.record.status}")
    question = json.dumps([sys.path, bench.record.module, _HEAVY])
    command = [sys.executable, "-c", _PROBE, question]  # a fresh interpreter, since this one has long imported all of them
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own probe
    last = answer.stderr.strip().rpartition("\n")[2]
    require(answer.returncode == 0, f"it cannot be imported by itself: {last}")
    brought = json.loads(last)
    require(not brought, f"importing {bench.record.module} brings in {', '.join(brought)}; name factories as 'module:attribute'")


@check("P02")
def registers(bench: PluginBench) -> None:
    """The plugin loads, its hooks are known and marked, and it registers something."""
    record = bench.record
    require(record.works or record.status is Status.UNAVAILABLE, f"it is {record.status}: {record.reason}")
    require(record.offers, "it registers nothing")


@check("P04")
def declares_its_host(bench: PluginBench) -> None:
    """The distribution's metadata requires ganforge, so that an unfit version is refused before import."""
    if bench.record.distribution == "ganforge":
        raise NotApplicable("these are the host's own components")
    if bench.record.sha256:
        raise NotApplicable("a local file has no metadata")
    from packaging.requirements import Requirement

    names = [Requirement(line).name for line in metadata.requires(bench.record.distribution) or ()]
    require("ganforge" in names, "its dependencies do not name ganforge; add one such as 'ganforge>=0.1,<1'")


@check("P05", *Kind)
def resolves(bench: Bench) -> None:
    """Factory, params model and spec function can be imported."""
    bench.component.load_params()
    bench.component.load_factory()
    bench.component.load_spec()


@check("P06", *Kind)
def plain_types(bench: Bench) -> None:
    """Params are plain data: no Any, Callable, type or ImportString."""
    faults = list(_faulty_fields(bench.component.load_params()))
    require(not faults, f"not plain data: {'; '.join(faults)}")


@check("P07", *Kind)
def described(bench: Bench) -> None:
    """Every parameter has a description."""
    silent = [name for name, info in _fields(bench.component.load_params()) if not (info.description or "").strip()]
    require(not silent, f"without a description: {', '.join(silent)}; write a docstring below the field")


@check("P08", *Kind)
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


@check("P10", *Kind)
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


def _fields(model: type[Params], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        yield prefix + name, info
        for inner in _nested(info.annotation):
            yield from _fields(inner, f"{prefix}{name}.")


def _nested(annotation: Any) -> Iterator[type[Params]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, Params):
            yield annotation
        return
    if get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from _nested(argument)


def _faulty_fields(model: type[Params]) -> Iterator[str]:
    for name, info in _fields(model):
        words = [*_imports(info.metadata), *_forbidden(info.annotation)]
        if words:
            yield f"{name} ({', '.join(dict.fromkeys(words))})"


def _imports(marks: Any) -> Iterator[str]:
    """``ImportString`` looks like text in a schema and yet imports whatever a recipe names."""
    if any(mark is _IMPORT or isinstance(mark, _IMPORT) for mark in marks):
        yield "ImportString"


def _forbidden(annotation: Any) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal or annotation is Ellipsis:
        return
    if origin is Annotated:
        yield from _imports(arguments[1:])
        yield from _forbidden(arguments[0])
    elif origin in (Union, types.UnionType, tuple, list, set, frozenset, dict):
        for argument in arguments:
            yield from _forbidden(argument)
    elif not _is_plain(annotation):
        yield getattr(annotation, "__name__", None) or str(annotation)


def _is_plain(annotation: Any) -> bool:
    if not isinstance(annotation, type) or get_origin(annotation) is not None:
        return False
    return annotation in _PLAIN or issubclass(annotation, (enum.Enum, PurePath, Params))
