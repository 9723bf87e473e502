"""Resolve a recipe: find its parts, validate their parameters, and check them against each other. Nothing is built; no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ganforge import __version__
from ganforge.build.compatibility import KnownSpecs, check_compatibility
from ganforge.build.parts import Part, PartSearch, find_parts
from ganforge.core.errors import PluginError, Problem, RecipeError, did_you_mean
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.tables import LIST_KINDS, SINGLE_KINDS, Recipe
from ganforge.registry.component import Kind
from ganforge.registry.registry import FIRST_PARTY, Registry
from ganforge.registry.selection import normalize_name


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A resolved recipe, whose parts are installed, have valid parameters and fit each other.

    Attributes:
        source: the recipe as it was read.
        recipe: the recipe as given, without optional metrics that are not available here.
        dataset: the data set.
        sampler: the sampler of latents.
        generator: the generator.
        discriminator: the discriminator.
        losses: one part for each ``[[loss]]``, in order.
        metrics: one part for each ``[[metric]]``, in order.
        specs: the specs that data set and sampler declare before they are built.
        warnings: oddities that do not prevent training.
    """

    source: RecipeSource
    recipe: Recipe
    dataset: Part
    sampler: Part
    generator: Part
    discriminator: Part
    losses: tuple[Part, ...]
    metrics: tuple[Part, ...]
    specs: KnownSpecs
    warnings: tuple[Problem, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, in the order of the recipe's schema."""
        return (self.dataset, self.sampler, self.generator, self.discriminator, *self.losses, *self.metrics)

    @property
    def resolved(self) -> Recipe:
        """The recipe with every default, and every component by its full id and revision: it means the same everywhere.

        Every metric gets a name, so that its full id does not become part of the name.
        """
        recipe = self.recipe
        single = {kind.value: _filled(getattr(recipe, kind.value), getattr(self, kind.value)) for kind in SINGLE_KINDS}
        losses = [_filled(table, part) for table, part in zip(recipe.loss, self.losses, strict=True)]
        metrics = [
            _filled(table, part).model_copy(update={"name": table.name or part.component.name})
            for table, part in zip(recipe.metric, self.metrics, strict=True)
        ]
        return recipe.model_copy(update={**single, "loss": tuple(losses), "metric": tuple(metrics)})


def resolve_recipe(source: RecipeSource, registry: Registry) -> Blueprint:
    """Find and check every part of a recipe.

    Raises:
        RecipeError: with every problem of the recipe: in its schema, unknown components, invalid parameters, missing plugins, parts
            that do not fit each other.
        PluginError: the recipe is right, but a plugin that it needs failed.
    """
    found = find_parts(source, registry)
    required, failures = _check_requirements(source, registry)
    left_out = [(key, failure) for key, failure in found.failures if _is_optional(source, key)]
    failures = [*(one for one in found.failures if one not in left_out), *failures]
    problems = [*source.problems, *found.problems, *required, *_unmeasured_bands(source, found)]
    warnings: tuple[Problem, ...] = ()
    specs = KnownSpecs()
    try:
        compatibility = check_compatibility(source, found, registry)
    except PluginError as failure:
        failures.append(("", failure))
    else:
        problems += compatibility.problems
        warnings, specs = compatibility.warnings, compatibility.specs

    if problems:
        problems += [source.problem(key, failure.message, failure.remedy) for key, failure in failures]
        raise RecipeError(source.sorted(problems))
    if failures:
        raise failures[0][1]
    missing = [source.problem(key, f"left out: {failure.message}", failure.remedy) for key, failure in left_out]
    return _blueprint(source, found, specs, source.sorted([*warnings, *missing]))


def check_expectations(
    blueprint: Blueprint, measured: Collection[str], left_out: Mapping[str, str], *, required: bool = False
) -> None:
    """Check that the built metrics return every value with an expected band.

    Args:
        blueprint: the recipe.
        measured: the names of the values, such as ``modes/captured``.
        left_out: optional metrics that could not be built, and why.
        required: whether every band must be measured, as for ``ganforge verify``; else metrics that were left out, or removed with
            ``--set``, are skipped.

    Raises:
        RecipeError: with each band that is not measured, at its place.
    """
    source = blueprint.source
    reasons = {**_unavailable_metrics(blueprint), **left_out}
    metrics = {name.partition("/")[0] for name in measured}
    problems = []
    for key, name in _expected_values(source):
        metric = name.partition("/")[0]
        if name in measured or not (required or metric in metrics - reasons.keys()):
            continue
        if metric in reasons:
            problems.append(source.problem(key, f"'{name[:60]}' cannot be measured here: {reasons[metric]}"))
        else:
            problems.append(_unmeasured(source, key, name, sorted(measured)))
    if problems:
        raise RecipeError(source.sorted(problems))


def _blueprint(source: RecipeSource, found: PartSearch, specs: KnownSpecs, warnings: tuple[Problem, ...]) -> Blueprint:
    parts: dict[Kind, tuple[Part, ...]] = {
        kind: tuple(one.part for one in found.of(kind) if one.part is not None) for kind in (*SINGLE_KINDS, *LIST_KINDS)
    }
    return Blueprint(
        source=source,
        recipe=_without_missing(source.recipe, parts[Kind.METRIC]),
        dataset=parts[Kind.DATASET][0],
        sampler=parts[Kind.SAMPLER][0],
        generator=parts[Kind.GENERATOR][0],
        discriminator=parts[Kind.DISCRIMINATOR][0],
        losses=parts[Kind.LOSS],
        metrics=parts[Kind.METRIC],
        specs=specs,
        warnings=warnings,
    )


def _is_optional(source: RecipeSource, key: str) -> bool:
    """Whether a key names the component of an optional metric."""
    return key.startswith("metric[") and source.value(key.removesuffix(".use") + ".optional") is True


def _without_missing(recipe: Recipe, metrics: tuple[Part, ...]) -> Recipe:
    found = {part.key for part in metrics}
    kept = tuple(table for index, table in enumerate(recipe.metric) if f"metric[{index}]" in found)
    return recipe if len(kept) == len(recipe.metric) else recipe.model_copy(update={"metric": kept})


def _filled(table: Any, part: Part) -> Any:
    return table.model_copy(update={"use": part.identity, "params": part.filled})


def _check_requirements(source: RecipeSource, registry: Registry) -> tuple[list[Problem], list[tuple[str, PluginError]]]:
    """The unmet requirements of ``[requires]``; entries with schema problems are skipped."""
    table = source.table.get("requires")
    table = table if isinstance(table, dict) else {}
    problems: list[Problem] = []
    failures: list[tuple[str, PluginError]] = []

    if isinstance(wanted := table.get("ganforge"), str) and (issue := _ganforge_issue(wanted)):
        problems.append(source.problem("requires.ganforge", *issue))
    plugins = table.get("plugins")
    for index, text in enumerate(plugins if isinstance(plugins, list) else ()):
        key = f"requires.plugins[{index}]"
        try:
            if isinstance(text, str) and (issue := _plugin_issue(text, registry)):
                problems.append(source.problem(key, *issue))
        except PluginError as failure:
            failures.append((key, failure))
    return problems, failures


def _ganforge_issue(wanted: str) -> tuple[str, str] | None:
    try:
        fits = SpecifierSet(wanted).contains(__version__, prereleases=True)
    except InvalidSpecifier:
        return f"{wanted[:60]!r} is not a version specifier", 'write it as ">=0.1" or ">=0.1,<0.3"'
    return None if fits else (f"the recipe needs ganforge {wanted}, this is {__version__}", "install that version of ganforge")


def _plugin_issue(text: str, registry: Registry) -> tuple[str, str] | None:
    """Message and hint if a required plugin is missing or has another version.

    Raises:
        PluginError: it is installed and failed to load.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text[:60]!r} is not a requirement", 'write a distribution with optional versions: "ganforge-infogan>=0.1"'
    if requirement.url or requirement.marker or requirement.extras:
        return f"{text[:60]!r}: only a name and versions are allowed", 'such as "ganforge-infogan>=0.1"'

    name = normalize_name(requirement.name)
    try:
        version = metadata.version(name)
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
    """Expected bands of metrics that the recipe does not have. Before building, only the name before "/" can be checked.

    Metrics that ``--set`` removed, for a quick try of the recipe, are skipped: only ``ganforge verify`` needs them.
    """
    given = source.place("metric")
    if given is not None and given.file is None:
        return
    tables = source.value("metric") or []
    if not isinstance(tables, list):
        return
    components = {one.key: one.component.name for one in found.of(Kind.METRIC)}
    names = [_metric_name(table) or components.get(f"metric[{index}]") for index, table in enumerate(tables)]
    known = sorted({name for name in names if name})
    for key, name in _expected_values(source) if all(names) else ():  # a metric that was not found is a problem already
        if name.partition("/")[0] not in known:
            yield _unmeasured(source, key, name, known)


def _metric_name(table: object) -> str | None:
    name = table.get("name") if isinstance(table, Mapping) else None
    return name if isinstance(name, str) else None


def _unavailable_metrics(blueprint: Blueprint) -> dict[str, str]:
    """Optional metrics that were left out when the recipe was resolved, and why."""
    reasons = {}
    for index, table in enumerate(blueprint.source.value("metric") or []):
        warning = next((one for one in blueprint.warnings if one.key == f"metric[{index}].use"), None)
        if warning is not None and isinstance(table, Mapping):
            name = table.get("name") or str(table.get("use")).rpartition("/")[2].partition("@")[0]
            reasons[str(name)] = f"{warning.message} ({warning.hint})" if warning.hint else warning.message
    return reasons


def _expected_values(source: RecipeSource) -> Iterator[tuple[str, str]]:
    """Key and value name of each expected band."""
    tables = source.value("expect")
    for index, table in enumerate(tables if isinstance(tables, list) else ()):
        if isinstance(table, Mapping) and isinstance(name := table.get("metric"), str):
            yield f"expect[{index}].metric", name


def _unmeasured(source: RecipeSource, key: str, name: str, known: list[str]) -> Problem:
    listed = f"it measures {', '.join(known)}" if known else "it measures nothing: add a [[metric]] table"
    return source.problem(key, f"the recipe does not measure '{name[:60]}'", did_you_mean(name[:100], known) or listed)
