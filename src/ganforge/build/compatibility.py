"""Check that the parts of a recipe fit each other, from what the components declare. Nothing is built; torch is not imported.

Each problem names the key to change. What a component does not declare is skipped here and checked when the parts are built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganforge.build.parts import Part, PartSearch, plugin_errors
from ganforge.core.errors import GanforgeError, PluginError, Problem
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.validation import missing_table
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import FIRST_PARTY, Registry

_HEAD, _OUTPUT = "head:", "output:"
CAPABILITIES: Mapping[str, str] = {
    "labels": "labelled data and a sampler that draws labels; for a generator, the sampler is enough",
    "labelled-data": "labelled data, whatever the sampler draws",
    "codes": "a sampler that draws categorical or continuous codes",
    "categorical-codes": "a sampler that draws categorical codes",
    "continuous-codes": "a sampler that draws continuous codes",
    "points": "data of one axis: points, not images",
    "images": "data of channels, height and width",
    "density": "data whose distribution is known",
    "head:NAME": "a discriminator with this output beside its logits",
    "output:NAME": "a game with this output",
}
"""What a component may require, and what provides it."""


@dataclass(frozen=True, slots=True)
class KnownSpecs:
    """The specs known before building; ``None`` if unknown."""

    data: DataSpec | None = None
    latent: LatentSpec | None = None


def check_compatibility(
    source: RecipeSource, found: PartSearch, registry: Registry
) -> tuple[list[Problem], list[Problem], KnownSpecs]:
    """Problems and warnings of the parts that were found, and the sizes they declare; a PluginError if a spec function fails."""
    specs, problems = _declared_specs(source, found)
    problems += _missing_labels(source, found, specs)
    problems += _undrawn_latents(source, found, specs)
    problems += _unsuitable_data(source, found, specs)
    problems += _missing_heads(source, found, specs, registry)
    problems += _missing_outputs(source, found, registry)
    problems += _steps_without_discriminator(source, found)
    problems += _conflicting_losses(source, found)
    problems += _conflicting_metric_names(source, found)
    losses = found.of(Kind.LOSS)
    all_losses = losses if len(losses) == len(source.tables("loss")) else ()  # some of them allow no conclusion
    problems += _only_penalties(source, found, all_losses)
    warnings = [
        *_untrained_heads(source, found, all_losses),
        *_no_adversarial_loss(source, found, all_losses),
        *_component_warnings(source, found),
    ]
    return problems, warnings, specs


def _declared_specs(source: RecipeSource, found: PartSearch) -> tuple[KnownSpecs, list[Problem]]:
    """The specs that data set and sampler declare for their params."""
    problems: list[Problem] = []
    data = latent = None
    for dataset in found.of(Kind.DATASET):
        data = _declared_spec(source, dataset, problems)
    if not isinstance(data, DataSpec):
        return KnownSpecs(), problems
    for sampler in found.of(Kind.SAMPLER):
        if not {"labels", "labelled-data"} & {*sampler.component.requires} or data.classes is not None:
            latent = _declared_spec(source, sampler, problems, data)
    return KnownSpecs(data, latent if isinstance(latent, LatentSpec) else None), problems


def _declared_spec(source: RecipeSource, part: Part, problems: list[Problem], *context: DataSpec) -> object:
    """The result of a component's spec function; a user's mistake is added to ``problems``."""
    function: Callable[..., Any] | None = part.component.load_spec()
    if function is None or not part.valid:
        return None
    try:
        with plugin_errors(part, f"{part.component.kind} '{part.component.id}': its spec function failed"):
            return function(part.params, *context)
    except GanforgeError as error:
        if isinstance(error, PluginError):
            raise
        problems.append(source.problem(f"{part.key}.params", error.message, error.remedy))
        return None


def _missing_labels(source: RecipeSource, found: PartSearch, specs: KnownSpecs) -> Iterator[Problem]:
    """Parts that need labels of unlabelled data. For a generator, labels drawn by the sampler are enough."""
    drawn = specs.latent is not None and specs.latent.classes is not None
    requiring = [part for part in _requiring(found, "labels") if not (drawn and part.component.kind is Kind.GENERATOR)]
    requiring += [part for part in _requiring(found, "labelled-data") if part not in requiring]
    for dataset in found.of(Kind.DATASET) if specs.data and specs.data.classes is None and requiring else ():
        is_optional = "labelled" in type(dataset.params).model_fields
        hint = "set dataset.params.labelled = true" if is_optional else 'use labelled data such as "moons"'
        yield source.problem("dataset.use", f"{_need(requiring)} labels, but {dataset} has none", hint)


def _undrawn_latents(source: RecipeSource, found: PartSearch, specs: KnownSpecs) -> Iterator[Problem]:
    """Parts that need labels or codes that the sampler does not draw. Missing labels of unlabelled data are the data's problem."""
    latent, is_unlabelled = specs.latent, specs.data is not None and specs.data.classes is None
    if latent is None:
        return
    drawn = {
        "labels": latent.classes is not None or is_unlabelled,
        "codes": latent.has_codes,
        "categorical-codes": bool(latent.categorical),
        "continuous-codes": latent.continuous > 0,
    }
    requiring = {
        word: parts
        for word in drawn
        if (parts := [one for one in _requiring(found, word) if one.component.kind is not Kind.SAMPLER])
    }
    needs_both = "labels" in requiring and len(requiring) > 1 and not is_unlabelled
    either = "the samplers of ganforge draw either labels or codes: replace the parts that need the one or the other"
    for sampler in found.of(Kind.SAMPLER):
        for word, parts in ((word, parts) for word, parts in requiring.items() if not drawn[word]):
            message = f"{_need(parts)} {word.replace('-', ' ')}, but {sampler} draws none"
            yield source.problem("sampler.use", message, either if needs_both else _sampler_hint(sampler, word))


def _sampler_hint(sampler: Part, word: str) -> str:
    if word == "labels":
        return 'set sampler.use = "labelled"'
    field, value = ("continuous", "1") if word == "continuous-codes" else ("categorical", "[2]")
    setting = f"sampler.params.{field} = {value}"
    is_structured = field in type(sampler.params).model_fields
    return f"set {setting}" if is_structured else f'set sampler.use = "structured" and {setting}'


def _unsuitable_data(source: RecipeSource, found: PartSearch, specs: KnownSpecs) -> Iterator[Problem]:
    """Parts made for another form of data."""
    data = specs.data
    if data is None:
        return
    reasons = {
        "points": (len(data.shape) == 1, f"works on points, but the samples of %s have shape {data.shape}"),
        "images": (data.is_image, f"works on images, but the samples of %s have shape {data.shape}"),
        "density": (data.density is not None, "needs a known density, but that of %s is unknown"),
    }
    for dataset in found.of(Kind.DATASET):
        for word, (is_given, reason) in reasons.items():
            for part in [] if is_given else _requiring(found, word):
                hint = f"use another {part.component.kind}, or other data"
                yield source.problem(f"{part.key}.use", f"{part} {reason % dataset}", hint)


def _missing_heads(source: RecipeSource, found: PartSearch, specs: KnownSpecs, registry: Registry) -> Iterator[Problem]:
    """Losses and metrics that read an output that the discriminator does not have."""
    required = sorted({word for part in found.parts for word in part.component.requires if word.startswith(_HEAD)})
    discriminator = found.critic
    if discriminator is not None:
        for head in (word for word in required if word not in discriminator.component.provides):
            providers = [one for one in registry.components(Kind.DISCRIMINATOR) if head in one.provides]
            best = min(providers, key=lambda one: _mismatch(one, specs), default=None)
            hint = f'set {discriminator.key}.use = "{registry.name_of(best)}"' if best else None
            message = f"{_need(_requiring(found, head))} a head '{head.removeprefix(_HEAD)}', but {discriminator} has none"
            yield source.problem(f"{discriminator.key}.use", message, hint)


def _missing_outputs(source: RecipeSource, found: PartSearch, registry: Registry) -> Iterator[Problem]:
    """Losses that read an output that the game does not have."""
    given = {f"{_OUTPUT}{name}" for name in found.game.outputs} if found.game is not None else set()
    for game in found.of(Kind.GAME) if found.game is not None else ():
        for part in found.parts:
            for word in sorted(one for one in part.component.requires if one.startswith(_OUTPUT) and one not in given):
                providers = [one for one in registry.components(Kind.GAME) if word in one.provides]
                hint = f'set game.use = "{registry.name_of(providers[0])}"' if providers else f"remove {part.key}"
                message = f"{part} reads the output '{word.removeprefix(_OUTPUT)}', but {game} has none"
                yield source.problem(f"{part.key}.use", message, hint)


def _steps_without_discriminator(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    key = "train.discriminator_steps"
    for game in found.of(Kind.GAME) if found.game is not None and "discriminator" not in found.game.players else ():
        if source.value(key) not in (None, 1):
            yield source.problem(key, f"{game} has no player 'discriminator'", "remove it; a game's own steps are in game.params")


def _mismatch(component: Component, specs: KnownSpecs) -> tuple[bool, int]:
    """How badly a component suits the data: first whether it needs another form, then whether it is not made for this form."""
    form = None if specs.data is None else "images" if specs.data.is_image else "points"
    forms = {"images", "points"} & set(component.requires)
    return bool(forms - {form}), -len(forms)


def _conflicting_losses(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """A loss that is used twice, and two adversarial losses of one distribution, whose generator terms have the same name."""
    losses = found.of(Kind.LOSS)
    for index, part in enumerate(losses):
        rivals = [one for one in losses[:index] if one.component.plugin.distribution == part.component.plugin.distribution]
        if part.component in [one.component for one in rivals]:
            hint = "drop one, and give the other the weight of both"
            yield source.problem(f"{part.key}.use", f"{part} is used in two [[loss]] tables", hint)
        elif rival := next((one for one in rivals if "adversarial" in one.component.tags & part.component.tags), None):
            hint = "keep one adversarial loss; it can be combined with penalties and other terms"
            yield source.problem(f"{part.key}.use", f"{rival} and {part} both define the generator's term 'adversarial'", hint)


def _conflicting_metric_names(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """Metrics that would overwrite each other's values in logs."""
    seen: set[str] = set()
    for part in found.of(Kind.METRIC):
        given = source.value(f"{part.key}.name")
        name = given if isinstance(given, str) else part.component.name
        if name in seen:
            yield source.problem(f"{part.key}.use", f"two metrics are named '{name}'", f'give this one a name = "{name} 2"')
        seen.add(name)


def _only_penalties(source: RecipeSource, found: PartSearch, losses: Sequence[Part]) -> Iterator[Problem]:
    if not source.tables("loss") and found.game is not None and found.game.needs_loss:
        yield source.problem("loss", *missing_table("loss"))
    if losses and all("penalty" in part.component.tags for part in losses):
        message = f"no loss trains the generator: there is only {_join(map(str, losses))}"
        yield source.problem("loss", message, 'add a [[loss]] with use = "non-saturating" or another adversarial loss')


def _no_adversarial_loss(source: RecipeSource, found: PartSearch, losses: Sequence[Part]) -> Iterator[Problem]:
    """A warning if no loss compares real with generated samples; only for first-party losses, whose tags are complete."""
    is_tagged = all(part.component.plugin.distribution in FIRST_PARTY for part in losses)
    has_critic = found.game is None or found.game.critic is not None
    if losses and is_tagged and has_critic and not any("adversarial" in part.component.tags for part in losses):
        yield source.problem("loss", "no loss is adversarial: none makes generated samples resemble real ones")


def _untrained_heads(source: RecipeSource, found: PartSearch, losses: Sequence[Part]) -> Iterator[Problem]:
    """Heads that no loss reads, whose weights keep their initial values."""
    read = {word for part in losses for word in part.component.requires}
    discriminator = found.critic
    if discriminator is not None and losses:
        for head in discriminator.component.provides:
            if head.startswith(_HEAD) and head not in read:
                message = f"no loss trains the head '{head.removeprefix(_HEAD)}' of {discriminator}"
                yield source.problem(f"{discriminator.key}.use", message)


def _component_warnings(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    for part in found.parts:
        for word in part.component.requires:
            if word not in CAPABILITIES and not word.startswith((_HEAD, _OUTPUT)):
                yield source.problem(f"{part.key}.use", f"{part} requires '{word}', which this version of ganforge does not know")
        if part.component.deprecated:
            yield source.problem(f"{part.key}.use", f"{part} is deprecated", part.component.deprecated)


def _requiring(found: PartSearch, word: str) -> list[Part]:
    return [part for part in found.parts if word in part.component.requires]


def _need(parts: Iterable[Part]) -> str:
    """``loss 'a' and metric 'b' need``."""
    names = list(dict.fromkeys(map(str, parts)))
    return f"{_join(names)} need{'s' if len(names) == 1 else ''}"


def _join(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
