"""Resolve a recipe: find its parts, validate their parameters, and check them against each other. Nothing is built; no torch.

A finished run is resolved only as far as it is sampled or evaluated, whether or not its other components are still installed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from ganforge import __version__
from ganforge.build.compatibility import KnownSpecs, check_compatibility
from ganforge.build.parts import Part, PartSearch, find_parts
from ganforge.core.errors import GanforgeError, IncompatiblePartsError, PluginError, Problem, RecipeError, did_you_mean
from ganforge.core.specs import GameSpec, network_key
from ganforge.recipe.config import NETWORK_KINDS, SINGLE_KINDS, Recipe
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.toml_file import step_into
from ganforge.registry.component import Kind
from ganforge.registry.registry import FIRST_PARTY, Registry
from ganforge.registry.selection import normalize_name


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A resolved recipe, whose parts are installed, have valid parameters and fit each other.

    Optional metrics that are not available here are removed from the recipe, and in ``left_out`` with the reason.
    """

    source: RecipeSource
    recipe: Recipe
    game: Part
    spec: GameSpec
    dataset: Part
    sampler: Part
    networks: Mapping[str, Part]
    losses: tuple[Part, ...]
    metrics: tuple[Part, ...]
    specs: KnownSpecs
    left_out: Mapping[str, str]
    warnings: tuple[Problem, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, in the order of the recipe's schema."""
        return (self.game, self.dataset, self.sampler, *self.networks.values(), *self.losses, *self.metrics)

    @property
    def resolved(self) -> Recipe:
        """The recipe with every default, a name for every metric, and every component by its full id and revision."""
        recipe = self.recipe
        single = {kind.value: _filled(getattr(recipe, kind.value), getattr(self, kind.value)) for kind in SINGLE_KINDS}
        networks = {role: _filled(table, self.networks[role]) for role, table in recipe.network_tables.items()}
        single |= {role: networks.pop(role) for role in tuple(networks) if network_key(role) == role}
        losses = [_filled(table, part) for table, part in zip(recipe.loss, self.losses, strict=True)]
        metrics = [
            _filled(table, part).model_copy(update={"name": table.name or part.component.name})
            for table, part in zip(recipe.metric, self.metrics, strict=True)
        ]
        return recipe.model_copy(update={**single, "networks": networks, "loss": tuple(losses), "metric": tuple(metrics)})


@dataclass(frozen=True, slots=True)
class EvaluationParts:
    """The parts that a run is evaluated with: the data set; critic, encoder and each requested metric, or why not available.

    ``networks`` are the critic and the encoder by role, if the game has them.
    """

    dataset: Part
    game: GameSpec
    networks: Mapping[str, Part | GanforgeError]
    metrics: tuple[Part | GanforgeError, ...]


class SamplingParts(NamedTuple):
    """The parts that a run is sampled with."""

    game: GameSpec
    sampler: Part
    generator: Part


def resolve_recipe(source: RecipeSource, registry: Registry) -> Blueprint:
    """Find and check every part; a RecipeError with every problem, or a PluginError if only a plugin failed."""
    found = find_parts(source, registry)
    required, failures = _check_requirements(source, registry)
    left_out = [one for one in found.failures if source.value(one[0].removesuffix(".use") + ".optional") is True]
    failures = [*(one for one in found.failures if one not in left_out), *failures]
    problems = [*source.problems, *found.problems, *required, *_unmeasured_bands(source, found)]
    warnings: list[Problem] = []
    specs = KnownSpecs()
    try:
        misfits, warnings, specs = check_compatibility(source, found, registry)
        problems += misfits
    except PluginError as failure:
        failures.append(("", failure))

    if problems:
        problems += [source.problem(key, failure.message, failure.remedy) for key, failure in failures]
        raise RecipeError(source.sorted(problems))
    if failures:
        raise failures[0][1]
    warnings += [source.problem(key, f"left out: {failure.message}", failure.remedy) for key, failure in left_out]
    metrics = found.of(Kind.METRIC)
    keys = {part.key for part in metrics}
    tables = tuple(table for index, table in enumerate(source.recipe.metric) if f"metric[{index}]" in keys)
    game, dataset, sampler = (found.of(kind)[0] for kind in SINGLE_KINDS)
    assert found.game is not None  # noqa: S101 - a recipe without problems has a game
    return Blueprint(
        source=source,
        recipe=source.recipe.model_copy(update={"metric": tables}),
        game=game,
        spec=found.game,
        dataset=dataset,
        sampler=sampler,
        networks={str(part.role): part for part in found.parts if part.role is not None},
        losses=found.of(Kind.LOSS),
        metrics=metrics,
        specs=specs,
        left_out={_metric_name(source, key): str(failure) for key, failure in left_out},
        warnings=source.sorted(warnings),
    )


def resolve_sampling_parts(source: RecipeSource, registry: Registry) -> SamplingParts:
    """Find game, sampler and generator; no other table of the recipe matters, such as a loss that is no longer installed."""
    found = find_parts(source, registry, (Kind.GAME, Kind.SAMPLER, *NETWORK_KINDS))
    _available(_part(Kind.GAME.value, found, source))
    assert found.game is not None  # noqa: S101 - the part is available
    sampler, generator = (_available(_part(key, found, source)) for key in (Kind.SAMPLER.value, network_key(found.game.generator)))
    return SamplingParts(found.game, sampler, generator)


def resolve_evaluation_parts(source: RecipeSource, registry: Registry) -> EvaluationParts:
    """Find data set, discriminator and metrics; losses are ignored. Only the data set is required."""
    base = find_parts(source, registry, kinds=(*SINGLE_KINDS, *NETWORK_KINDS))
    dataset = _available(_part(Kind.DATASET.value, base, source, source.problems))
    metrics = find_parts(source, registry, kinds=(Kind.METRIC,))
    known = {problem.message for problem in check_compatibility(source, base, registry)[0]}

    def metric(index: int) -> Part | GanforgeError:
        part = _part(f"metric[{index}]", metrics, source, source.problems)
        if not isinstance(part, Part):
            return part
        whole = PartSearch((*base.parts, part), game=base.game)
        new = [problem for problem in check_compatibility(source, whole, registry)[0] if problem.message not in known]
        return IncompatiblePartsError(new[0].message) if new else part

    _available(_part(Kind.GAME.value, base, source))
    assert base.game is not None  # noqa: S101 - the part is available
    roles = filter(None, (base.game.critic, base.game.encoder))
    networks = {role: _part(network_key(role), base, source, source.problems) for role in roles}
    return EvaluationParts(dataset, base.game, networks, tuple(map(metric, range(len(source.tables("metric"))))))


def check_expectations(
    blueprint: Blueprint, measured: Collection[str], left_out: Mapping[str, str], *, required: bool = False
) -> None:
    """Raise a RecipeError unless every value with an expected band is measured; ``left_out`` are metrics that could not be built.

    Unless every band is required, as for ``ganforge verify``, metrics that were left out, or removed with ``--set``, are skipped.
    """
    source = blueprint.source
    reasons = {**blueprint.left_out, **left_out}
    metrics = {name.partition("/")[0] for name in measured}
    problems = []
    for index, band in enumerate(blueprint.recipe.expect):
        name, metric = band.metric, band.metric.partition("/")[0]
        if name in measured or not (required or metric in metrics - reasons.keys()):
            continue
        if metric in reasons:
            problems.append(source.problem(f"expect[{index}].metric", f"'{name[:60]}' cannot be measured here: {reasons[metric]}"))
        else:
            problems.append(_unmeasured(source, index, name, sorted(measured)))
    if problems:
        raise RecipeError(source.sorted(problems))


def _filled(table: Any, part: Part) -> Any:
    return table.model_copy(update={"use": part.identity, "params": part.filled})


def _check_requirements(source: RecipeSource, registry: Registry) -> tuple[list[Problem], list[tuple[str, PluginError]]]:
    """The unmet requirements of ``[requires]``; entries with schema problems are skipped."""
    own = source.value("requires.ganforge")
    wanted: dict[str, object] = {"requires.ganforge": f"ganforge {own}"} if isinstance(own, str) else {}
    wanted |= {f"requires.plugins[{index}]": text for index, text in enumerate(source.tables("requires.plugins"))}
    problems: list[Problem] = []
    failures: list[tuple[str, PluginError]] = []
    for key, text in wanted.items():
        try:
            if isinstance(text, str) and (issue := _requirement_issue(text, registry)):
                problems.append(source.problem(key, *issue))
        except PluginError as failure:
            failures.append((key, failure))
    return problems, failures


def _requirement_issue(text: str, registry: Registry) -> tuple[str, str] | None:
    """Message and hint if a required distribution is missing or has another version; a PluginError if it failed to load."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text[:60]!r} is not a requirement", 'such as ganforge = ">=0.1", plugins = ["ganforge-infogan>=0.1"]'
    if requirement.url or requirement.marker or requirement.extras:
        return f"{text[:60]!r}: only a name and versions are allowed", 'such as "ganforge-infogan>=0.1"'

    name = normalize_name(requirement.name)
    try:
        version = __version__ if name == "ganforge" else metadata.version(name)
    except metadata.PackageNotFoundError:
        is_own = name in FIRST_PARTY
        hint = f"it comes with ganforge: plugins/{name}" if is_own else "read its code before you install it: installing runs it"
        return f"the plugin {name} is not installed", hint
    if not requirement.specifier.contains(version, prereleases=True):
        return f"the recipe needs {name} {requirement.specifier}, installed is {version}", f"install another version of {name}"
    for record in registry.plugins:
        if record.distribution == name and record.failed:
            raise PluginError(f"the plugin {name} {version}, which the recipe requires, is {record.status}: {record.reason}")
    return None


def _unmeasured_bands(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """Expected bands of metrics that the recipe does not have, by the name before "/"; none if ``--set`` replaced the metrics."""
    given = source.place("metric")
    if given is not None and given.file is None:
        return
    components = {part.key: part.component.name for part in found.of(Kind.METRIC)}
    keys = [f"metric[{index}]" for index in range(len(source.tables("metric")))]
    names = [source.value(f"{key}.name") or components.get(key) for key in keys]
    if not all(isinstance(name, str) for name in names):  # a metric that was not found is a problem already
        return
    known = sorted(set(map(str, names)))
    for index, band in enumerate(source.tables("expect")):
        name = step_into(band, "metric")
        if isinstance(name, str) and name.partition("/")[0] not in known:
            yield _unmeasured(source, index, name, known)


def _unmeasured(source: RecipeSource, index: int, name: str, known: list[str]) -> Problem:
    listed = f"it measures {', '.join(known)}" if known else "it measures nothing: add a [[metric]] table"
    hint = did_you_mean(name, known) or listed
    return source.problem(f"expect[{index}].metric", f"the recipe does not measure '{name[:60]}'", hint)


def _metric_name(source: RecipeSource, key: str) -> str:
    """The name of a metric that was not found, by the key of its ``use``."""
    name = source.value(key.removesuffix(".use") + ".name")
    return str(name or str(source.value(key)).rpartition("/")[2].partition("@")[0])


def _available(part: Part | GanforgeError) -> Part:
    if isinstance(part, Part):
        return part
    raise part


def _part(key: str, found: PartSearch, source: RecipeSource, problems: Iterable[Problem] = ()) -> Part | GanforgeError:
    """The part of a table, or why it is not available: a failed plugin, or problems of the table."""
    for failed, failure in found.failures:
        if _is_below(failed, key):
            return failure
    wrong = [problem for problem in (*problems, *found.problems) if _is_below(problem.key, key)]
    if wrong:
        return RecipeError(dict.fromkeys(wrong))
    part = next((part for part in found.parts if part.key == key and part.valid), None)
    return part or RecipeError([source.problem(key, f"names no {key}", "restore the run's resolved.toml")])


def _is_below(key: str, table: str) -> bool:
    return key == table or key.startswith((f"{table}.", f"{table}["))
