"""Write docs/reference/, a page for each kind of component and one for records, from hooks and contracts.

Run ``python docs/reference.py``.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ganforge.build.compatibility import CAPABILITIES
from ganforge.core import contracts, records, specs
from ganforge.core.contracts import MetricInfo
from ganforge.core.errors import DataError, DataMissingError, GanforgeError, IncompatiblePartsError
from ganforge.core.params import Schedule
from ganforge.games import game
from ganforge.recipe.toml_writer import format_default
from ganforge.registry import hookspecs as hook_specs
from ganforge.registry.component import Component, Kind
from ganforge.registry.hookspecs import Registrar
from ganforge.registry.params_description import ParamInfo, describe_params
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import FIRST_PARTY, Registry
from ganforge.testing.component_case import ComponentCase

FOLDER = Path(__file__).resolve().parent / "reference"

_CONTEXT = {
    Kind.DATASET: contracts.DatasetContext,
    Kind.SAMPLER: contracts.SamplerContext,
    **dict.fromkeys((Kind.GENERATOR, Kind.DISCRIMINATOR, Kind.LOSS), contracts.BuildContext),
    Kind.ENCODER: contracts.EncoderContext,
    Kind.METRIC: contracts.MetricContext,
    Kind.GAME: game.GameContext,
}
_RECORDS: Mapping[Kind, tuple[type, ...]] = {
    Kind.GENERATOR: (records.Latent, records.Codes, specs.DataSpec, specs.LatentSpec),
    Kind.DISCRIMINATOR: (records.Samples, records.DiscriminatorOutput, specs.DataSpec, specs.LatentSpec),
    Kind.ENCODER: (records.Samples, specs.DataSpec, specs.LatentSpec),
    Kind.LOSS: (
        records.Turn,
        records.Step,
        records.Samples,
        records.DiscriminatorOutput,
        records.LossTerms,
        contracts.TermInfo,
        contracts.Divergence,
    ),
    Kind.SAMPLER: (records.Latent, records.Codes, specs.LatentSpec),
    Kind.DATASET: (records.Samples, specs.DataSpec),
    Kind.METRIC: (records.Evaluation, records.Samples, contracts.MetricInfo),
    Kind.GAME: (game.Player, game.Batch, records.Turn, records.Step, records.LossTerms, specs.GameSpec, specs.NetworkRole),
}
"""Records that the contract of each kind uses."""
_PUBLIC: Mapping[str, tuple[type, ...]] = {
    "Contexts: what a factory gets": (
        contracts.DatasetContext,
        contracts.SamplerContext,
        contracts.BuildContext,
        contracts.EncoderContext,
        contracts.MetricContext,
        game.GameContext,
    ),
    "Records: what parts get and return": (
        records.Latent,
        records.Codes,
        records.Samples,
        records.DiscriminatorOutput,
        records.Turn,
        records.Step,
        records.LossTerms,
        records.Evaluation,
        game.Batch,
        game.Player,
    ),
    "Specs: what data sets, samplers and games declare": (
        specs.DataSpec,
        specs.Normalization,
        specs.GaussianMixture,
        specs.LatentSpec,
        specs.GameSpec,
        specs.NetworkRole,
    ),
    "Descriptions: what losses and metrics declare": (contracts.TermInfo, contracts.Divergence, contracts.MetricInfo),
}
"""Classes with fields that plugins get, return or declare."""
_WRITTEN = "<!-- written by docs/reference.py from hooks, contracts and registrations: change those, then run it -->"
_ABILITIES: Mapping[Kind, tuple[type, ...]] = {
    **dict.fromkeys((Kind.GENERATOR, Kind.DISCRIMINATOR, Kind.ENCODER), (contracts.DataDependentInit,)),
    Kind.GAME: (),
    Kind.LOSS: (contracts.LogOddsLoss,),
    Kind.SAMPLER: (contracts.KnownNoiseMoments, contracts.BoundedNoise),
    Kind.DATASET: (
        contracts.ValidationSplit,
        contracts.FiniteHeldOut,
        contracts.StreamingDataset,
        contracts.SampleSource,
        contracts.ParallelSampleSource,
    ),
    Kind.METRIC: (
        contracts.EvaluationProtocol,
        contracts.TrainingDataMetric,
        contracts.MinimumSamples,
        contracts.ReliableSamples,
        contracts.DistinctRealSamples,
    ),
}
"""Optional protocols of each kind."""
_SAMPLES = 2000
"""A recipe's default number of evaluation samples; floors are given for it."""

_LOGARITHMS = {f"{sign * math.log(number):.6f}": f"{'-' if sign < 0 else ''}log {number}" for number in (2, 4) for sign in (1, -1)}


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    registry = load_plugins()
    texts = {f"{kind.plural}.md": _page(kind, registry) for kind in Kind} | {"records.md": _records()}
    return {name: "\n\n".join(text) + "\n" for name, text in texts.items()}


def _page(kind: Kind, registry: Registry) -> Iterator[str]:
    hook = getattr(hook_specs, f"ganforge_register_{kind.plural}")
    contract = game.Game if kind is Kind.GAME else getattr(contracts, kind.value.capitalize())
    context = _CONTEXT[kind]
    yield _WRITTEN
    yield f"# {kind.plural.capitalize()}"
    yield (
        f"How a plugin registers {kind.plural.replace('datasets', 'data sets')}, their contract, "
        "and those that ganforge and its own plugins provide. "
        "[Write a plugin](../how-to/write-a-plugin.md) explains a whole plugin step by step. "
        f"`ganforge list {kind.plural}` shows what is installed."
    )

    yield "## The hook"
    yield f"```python\n@hookimpl\ndef {hook.__name__}(register: Registrar) -> None: ...\n```"
    yield _prose(hook)
    yield "Each call of `register` registers one component:"
    yield f"```python\n{_registrar()}\n```"
    yield _table(
        ("option", "meaning"),
        [(f"`{name}`", text) for name, text in _attributes(Component).items() if name not in ("kind", "plugin")],
    )

    yield "## The contract"
    yield f"The factory is called as `factory(params, context)`; `context` is a {_link(context)}:"
    yield _fields(context)
    if kind is Kind.GAME:
        yield "The component is a child of this class:"
    else:
        yield "The component must implement this; no base class is needed:"
    yield _source(contract)
    if abilities := _ABILITIES[kind]:
        yield "These abilities are optional. A component has one if it defines its member:"
        yield from map(_source, abilities)
    yield "It takes and returns these records:"
    yield "\n".join(f"- {_link(record)}: {_summary(record)}" for record in _RECORDS[kind])

    yield from _capabilities(kind, registry)
    yield "## Components"
    for component in _ours(kind, registry):
        yield from _component(component, registry)


def _records() -> Iterator[str]:
    yield _WRITTEN
    yield "# Contexts and records"
    yield (
        "What ganforge passes to the parts of a plugin, and what these return or declare. "
        "All are imported from `ganforge.plugin` and are frozen dataclasses, or errors. "
        "Shapes: n samples, z noise dimensions, k categorical and c continuous codes."
    )
    for heading, classes in _PUBLIC.items():
        yield f"## {heading}"
        for one in classes:
            yield f"### {one.__name__}"
            yield _summary(one)
            yield _fields(one)
            if members := _members(one):
                yield _table(("member", "meaning"), members)
    yield "## Parameters"
    yield (
        "Every component declares a model of its parameters, a child of `Params`. "
        "A parameter of the type `float | Schedule` may change during training:"
    )
    yield _table(("`Schedule`", "type", "default", "range", "meaning"), [_parameter(one) for one in describe_params(Schedule)])
    yield "## Errors"
    yield "What a part may raise. The message is printed without a traceback, and `remedy=` below it."
    public = (DataError, DataMissingError, IncompatiblePartsError, GanforgeError)
    yield _table(("error", "meaning", "exit code"), [(f"`{one.__name__}`", _summary(one), str(one.exit_code)) for one in public])


def _fields(record: type) -> str:
    """The fields of a dataclass with type, default and meaning, which every field must have."""
    meanings = {name: text for one in reversed(record.__mro__) for name, text in _attributes(one).items()}
    rows = [(f"`{one.name}`", f"`{one.type}`", _default(one), meanings[one.name]) for one in dataclasses.fields(record)]
    return _table(("field", "type", "default", "meaning"), rows)


def _default(one: dataclasses.Field[Any]) -> str:
    made = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
    return "required" if made is dataclasses.MISSING else f"`{made!r}`"


def _members(record: type) -> list[tuple[str, ...]]:
    """The public properties and methods of a class and its bases, with the first sentence about each."""
    found = {name: one for base in reversed(record.__mro__) for name, one in vars(base).items() if not name.startswith("_")}
    shown = {name: one for name, one in found.items() if isinstance(one, (property, classmethod)) or inspect.isfunction(one)}
    return [(f"`{name}`" if isinstance(one, property) else f"`{name}()`", _summary(one)) for name, one in shown.items()]


def _link(record: type) -> str:
    return f"[`{record.__name__}`](records.md#{record.__name__.lower()})"


def _source(contract: type) -> str:
    return f"```python\n{inspect.getsource(contract).replace('@runtime_checkable', '').strip()}\n```"


def _capabilities(kind: Kind, registry: Registry) -> Iterator[str]:
    """The capabilities that may be required and provided, and the components that do."""
    yield "## Requirements"
    if kind is Kind.DATASET:
        yield "A data set requires nothing. Its `DataSpec` provides what others require: labels, shape, range, a known density."
        return
    ours = _ours(kind, registry)
    users = {
        word: [one.name for one in ours if any(_matches(word, required) for required in one.requires)] for word in CAPABILITIES
    }
    yield "`requires` names what other parts must provide. A recipe whose other parts do not is rejected before anything is built."
    yield _table(
        ("word", "provided by", "required by"),
        [(f"`{word}`", text, _code(users[word])) for word, text in CAPABILITIES.items()],
    )
    if kind is Kind.DISCRIMINATOR:
        heads = [f"`{one.name}`: {_code(one.provides)}" for one in ours if one.provides]
        yield "`provides` names outputs beside the logits, as `head:NAME`, which losses may require: " + "; ".join(heads) + "."
    else:
        yield f"Only discriminators provide capabilities, their heads; a {kind.value} provides none."


def _component(component: Component, registry: Registry) -> Iterator[str]:
    yield f"### {component.name}"
    yield component.summary + (f" Deprecated: {component.deprecated}" if component.deprecated else "")
    facts = {
        "id": f"`{component.id}@{component.revision}`",
        "requires": _code(component.requires),
        "provides": _code(component.provides),
        "tags": _code(sorted(component.tags)),
        "needs": _code(component.needs),
        "cost": component.cost,
        "paper": "; ".join(re.sub(r"(https?://\S+)", r"<\1>", text) for text in component.references),
    }
    yield "\n".join(f"- {name}: {text}" for name, text in facts.items() if text)
    parameters = describe_params(component.load_params())
    if parameters:
        yield _table(("parameter", "type", "default", "range", "meaning"), [_parameter(one) for one in parameters])
    else:
        yield "It takes no parameters."
    if component.kind is Kind.LOSS:
        yield from _term_info(ComponentCase(component, registry).build())
    if component.kind is Kind.METRIC:
        rows = [
            _metric_info(component.name, key, info) for key, info in ComponentCase(component, registry).build().value_info.items()
        ]
        yield _table(("value", "meaning", "better", "perfect generator"), rows)


def _term_info(loss: contracts.Loss) -> Iterator[str]:
    rows = [(f"`{term}`", info.label, _number(info.equilibrium), _number(info.best)) for term, info in loss.term_info.items()]
    yield _table(("term", "meaning", "at equilibrium", "when its player has won"), rows)
    divergences = {one.divergence.name: one.divergence.greatest for one in loss.term_info.values() if one.divergence}
    for name, greatest in divergences.items():
        yield f"With the best discriminator, the terms estimate: {name}" + (
            "." if math.isinf(greatest) else f", at most {_number(greatest)}."
        )
    if loss.second_order:
        yield "It differentiates through a gradient, so the discriminator must allow double backward."


def _metric_info(name: str, key: str, info: MetricInfo) -> tuple[str, ...]:
    perfect = _number(info.ideal)
    if info.floor is not None:
        perfect = f"{_number(info.floor(_SAMPLES))} with {_SAMPLES:,} samples"
    return f"`{name}/{key}`" if key else f"`{name}`", info.label, "–" if info.better == "none" else info.better, perfect


def _parameter(parameter: ParamInfo) -> tuple[str, ...]:
    default = "required" if parameter.required else "" if parameter.default is None else f"`{format_default(parameter.default)}`"
    return f"`{parameter.name}`", parameter.type, default, parameter.range, parameter.description


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if math.isinf(value):
        return "no bound"
    known = _LOGARITHMS.get(f"{value:.6f}")
    return f"{known} = {value:.4g}" if known else f"{value:.4g}"


def _registrar() -> str:
    """The registrar's call in its source, up to its docstring."""
    source = textwrap.dedent(inspect.getsource(Registrar.__call__))
    (docstring,) = (node.body[0] for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    head = "\n".join(source.splitlines()[: docstring.lineno - 1])
    return head.replace("def __call__(\n    self,\n", "register(\n").replace(") -> None:", ")")


def _ours(kind: Kind, registry: Registry) -> list[Component]:
    """The built-in and first-party components."""
    return [one for one in registry.components(kind) if one.plugin.distribution in FIRST_PARTY]


def _matches(word: str, required: str) -> bool:
    return word == required or (word == "head:NAME" and required.startswith("head:"))


def _summary(documented: object) -> str:
    return _plain((inspect.getdoc(documented) or "").partition("\n\n")[0])


def _prose(documented: object) -> str:
    """A docstring's paragraphs, with its literal blocks as code."""
    text = re.sub(
        r"::\n\n((?:    .*\n?|\n)+)",
        lambda block: f":\n\n```python\n{textwrap.dedent(block[1]).strip()}\n```\n",
        inspect.getdoc(documented) or "",
    )
    return re.sub(r"(?<!`)``(?!`)", "`", text).strip()


def _attributes(documented: type) -> dict[str, str]:
    """The section ``Attributes`` of a docstring: what each field is."""
    _, _, section = (inspect.getdoc(documented) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", section, flags=re.MULTILINE)
    return {name: _plain(text) for name, text in found}


def _plain(text: str) -> str:
    """A docstring's sentence as Markdown: one line, with simple backquotes."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split())).replace("``", "`")


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [headings, ["---"] * len(headings), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
