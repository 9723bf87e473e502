"""From a recipe's text to parts that are installed, rightly parametrised and fit each other. Nothing is built; torch stays away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ganforge import __version__
from ganforge.build.compatibility import KnownSpecs, check_compatibility
from ganforge.build.expectations import find_unmeasured
from ganforge.build.lock import lock
from ganforge.build.parts import MANY, SINGLE, Part, PartSearch, find_parts
from ganforge.core.errors import PluginError, Problem, RecipeError
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.tables import Recipe
from ganforge.registry.component import Kind
from ganforge.registry.registry import Registry
from ganforge.registry.reserved_names import FIRST_PARTY
from ganforge.registry.selection import normalize_name

__all__ = ["Blueprint", "Part", "resolve_recipe"]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A recipe whose parts are known to be there, to be rightly parametrised and to fit each other.

    Attributes:
        source: what was read.
        recipe: the recipe as given, without optional metrics that are not to be had here.
        dataset: the real samples.
        sampler: the latents.
        generator: the generator.
        discriminator: the discriminator.
        losses: one part for each ``[[loss]]``, in order.
        metrics: one part for each ``[[metric]]``, in order.
        facts: the specs that data set and sampler tell before they are built.
        warnings: what is odd and stops nothing.
    """

    source: RecipeSource
    recipe: Recipe
    dataset: Part
    sampler: Part
    generator: Part
    discriminator: Part
    losses: tuple[Part, ...]
    metrics: tuple[Part, ...]
    facts: KnownSpecs
    warnings: tuple[Problem, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, in the order of the recipe's schema."""
        return (self.dataset, self.sampler, self.generator, self.discriminator, *self.losses, *self.metrics)

    @property
    def resolved(self) -> Recipe:
        """The recipe with every default filled in and every component under its full id and revision: it means the same everywhere.

        Metrics get a name, so that their full id does not become part of it.
        """
        recipe = self.recipe
        single = {kind.value: _filled(getattr(recipe, kind.value), getattr(self, kind.value)) for kind in SINGLE}
        losses = [_filled(table, part) for table, part in zip(recipe.loss, self.losses, strict=True)]
        metrics = [
            _filled(table, part).model_copy(update={"name": table.name or part.component.name})
            for table, part in zip(recipe.metric, self.metrics, strict=True)
        ]
        return recipe.model_copy(update={**single, "loss": tuple(losses), "metric": tuple(metrics)})

    def lock(self, folder: Path | None = None) -> dict[str, Any]:
        """What this run is made of, as plain data; with the recipe's folder also the hash of the data's files."""
        return lock(self, folder).to_plain()


def resolve_recipe(source: RecipeSource, registry: Registry) -> Blueprint:
    """Find and judge every part of a recipe.

    Raises:
        RecipeError: with every problem of the recipe: its schema, unknown components, wrong parameters, missing plugins, parts that
            do not fit each other.
        PluginError: the recipe itself is right, and a plugin that it needs failed.
    """
    found = find_parts(source, registry)
    required, failures = _requirements(source, registry)
    left_out = [(key, failure) for key, failure in found.failures if _is_optional(source, key)]
    failures = [*(one for one in found.failures if one not in left_out), *failures]
    problems = [*source.problems, *found.problems, *required, *find_unmeasured(source, found)]
    warnings: Iterable[Problem] = ()
    facts = KnownSpecs()
    try:
        agreement = check_compatibility(source, found, registry)
    except PluginError as failure:
        failures.append(("", failure))
    else:
        problems += agreement.problems
        warnings, facts = agreement.warnings, agreement.facts

    if problems:
        told = [source.problem(key, failure.message, failure.remedy) for key, failure in failures]
        raise RecipeError(source.sorted([*problems, *told]))
    if failures:
        raise failures[0][1]
    told = [source.problem(key, f"left out: {failure.message}", failure.remedy) for key, failure in left_out]
    return _joined(source, found, facts, source.sorted([*warnings, *told]))


def _joined(source: RecipeSource, found: PartSearch, facts: KnownSpecs, warnings: tuple[Problem, ...]) -> Blueprint:
    parts: dict[Kind, tuple[Part, ...]] = {
        kind: tuple(Part(one.component, one.params, one.key) for one in found.of(kind) if one.params is not None)
        for kind in (*SINGLE, *MANY)
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
        facts=facts,
        warnings=warnings,
    )


def _is_optional(source: RecipeSource, key: str) -> bool:
    """Whether it is the component of a metric without which training goes on."""
    return key.startswith("metric[") and source.value(key.removesuffix(".use") + ".optional") is True


def _without_missing(recipe: Recipe, metrics: tuple[Part, ...]) -> Recipe:
    found = {part.key for part in metrics}
    kept = tuple(table for index, table in enumerate(recipe.metric) if f"metric[{index}]" in found)
    return recipe if len(kept) == len(recipe.metric) else recipe.model_copy(update={"metric": kept})


def _filled(table: Any, part: Part) -> Any:
    use = f"{part.component.id}@{part.component.revision}"
    return table.model_copy(update={"use": use, "params": part.filled})


def _requirements(source: RecipeSource, registry: Registry) -> tuple[list[Problem], list[tuple[str, PluginError]]]:
    """What ``[requires]`` asks for and is not there; tables with schema problems are passed over."""
    table = source.table.get("requires")
    table = table if isinstance(table, dict) else {}
    problems: list[Problem] = []
    failures: list[tuple[str, PluginError]] = []

    if isinstance(wanted := table.get("ganforge"), str) and (complaint := _ganforge_complaint(wanted)):
        problems.append(source.problem("requires.ganforge", *complaint))
    plugins = table.get("plugins")
    for index, text in enumerate(plugins if isinstance(plugins, list) else ()):
        key = f"requires.plugins[{index}]"
        if not isinstance(text, str):
            continue
        try:
            if complaint := _plugin_complaint(text, registry):
                problems.append(source.problem(key, *complaint))
        except PluginError as failure:
            failures.append((key, failure))
    return problems, failures


def _ganforge_complaint(wanted: str) -> tuple[str, str] | None:
    try:
        fits = SpecifierSet(wanted).contains(__version__, prereleases=True)
    except InvalidSpecifier:
        return f"{wanted[:60]!r} is no version specifier", 'write it as ">=0.1" or ">=0.1,<0.3"'
    return None if fits else (f"the recipe needs ganforge {wanted}, this is {__version__}", "install that version of ganforge")


def _plugin_complaint(text: str, registry: Registry) -> tuple[str, str] | None:
    """What is wrong with one required plugin.

    Raises:
        PluginError: it is installed and failed to load.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text[:60]!r} is no requirement", 'write a distribution\'s name, with or without versions: "ganforge-infogan>=0.1"'
    if requirement.url or requirement.marker or requirement.extras:
        return f"{text[:60]!r}: only a name and versions can be required", 'such as "ganforge-infogan>=0.1"'

    name = normalize_name(requirement.name)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        own = name in FIRST_PARTY
        return (
            f"the plugin {name} is not installed",
            f"it comes with ganforge: plugins/{name}" if own else "installing it runs its code: read it first",
        )
    if not requirement.specifier.contains(version, prereleases=True):
        return f"the recipe needs {name} {requirement.specifier}, installed is {version}", f"install a version of {name} that fits"
    for record in registry.plugins:
        if record.distribution == name and record.failed:
            raise PluginError(f"the plugin {name} {version}, which the recipe requires, is {record.status}: {record.reason}")
    return None
