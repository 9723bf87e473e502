"""Do the parts fit each other? Asked before anything is built, of what the components say about themselves. Torch-free.

Each problem names the key to change. What a component does not tell (a data set whose sizes only its files know) is passed over
here and found when the parts are built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ganforge.build.parts import Candidate, PartSearch
from ganforge.core.errors import GanforgeError, PluginError, Problem
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.recipe.reader import RecipeSource
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import Registry
from ganforge.registry.reserved_names import FIRST_PARTY

_HEAD = "head:"
CAPABILITIES: Mapping[str, str] = {
    "labels": "labelled data; a generator is content with labels that the sampler draws",
    "codes": "a sampler that draws categorical or continuous codes",
    "categorical-codes": "a sampler that draws categorical codes",
    "continuous-codes": "a sampler that draws continuous codes",
    "points": "data of one axis: points rather than images",
    "images": "data of channels, height and width",
    "density": "data whose distribution is known",
    "head:NAME": "a discriminator that provides this output beside its logits",
}
"""What a component may require, and what fulfils it; a discriminator provides heads."""
_CODES = frozenset({"codes", "categorical-codes", "continuous-codes"})


@dataclass(frozen=True, slots=True)
class KnownSpecs:
    """What is known before building; ``None`` where nothing is.

    Attributes:
        data: the data's spec.
        latent: the latent's spec.
    """

    data: DataSpec | None = None
    latent: LatentSpec | None = None


@dataclass(frozen=True, slots=True)
class Compatibility:
    """What came of joining the parts.

    Attributes:
        problems: why they cannot be trained together.
        warnings: what is odd and stops nothing.
        facts: the sizes that the parts tell.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    facts: KnownSpecs


def check_compatibility(source: RecipeSource, found: PartSearch, registry: Registry) -> Compatibility:
    """Hold the parts against each other, as far as they were found.

    Raises:
        PluginError: the function that tells a component's spec failed in a way that is no user's mistake.
    """
    facts, problems = _facts(source, found)
    problems += _unlabelled(source, found, facts)
    problems += _undrawn(source, found, facts)
    problems += _wrong_data(source, found, facts)
    problems += _missing_heads(source, found, facts, registry)
    problems += _doubled(source, found)
    problems += _no_game(source, found)
    warnings = [
        *_untaught(source, found),
        *_no_rivalry(source, found),
        *_unknown_words(source, found),
        *_deprecated(source, found),
    ]
    return Compatibility(tuple(problems), tuple(warnings), facts)


def _facts(source: RecipeSource, found: PartSearch) -> tuple[KnownSpecs, list[Problem]]:
    """The specs that dataset and sampler tell from their params alone."""
    problems: list[Problem] = []
    facts = KnownSpecs()
    for dataset in found.of(Kind.DATASET):
        spec = _told(source, dataset, problems)
        facts = replace(facts, data=spec if isinstance(spec, DataSpec) else None)
    for sampler in found.of(Kind.SAMPLER):
        if facts.data is None or ("labels" in sampler.component.requires and facts.data.classes is None):
            continue
        spec = _told(source, sampler, problems, facts.data)
        facts = replace(facts, latent=spec if isinstance(spec, LatentSpec) else None)
    return facts, problems


def _told(source: RecipeSource, part: Candidate, problems: list[Problem], *context: DataSpec) -> object:
    """What a component's spec function says; its complaint becomes a problem."""
    function: Callable[..., Any] | None = part.component.load_spec()
    if function is None or part.params is None:
        return None
    try:
        return function(part.params, *context)
    except PluginError:
        raise
    except GanforgeError as error:
        problems.append(source.problem(f"{part.key}.params", error.message, error.remedy))
        return None
    except Exception as error:  # the boundary: a stranger's function may raise anything
        raise PluginError(
            f"{part.component.kind} '{part.component.id}': its spec function failed: {type(error).__name__}: {error}",
            remedy=f"report it to the authors of {part.component.plugin.distribution}",
        ) from error


def _unlabelled(source: RecipeSource, found: PartSearch, facts: KnownSpecs) -> Iterator[Problem]:
    """Parts that need labelled data, where the data has no labels. A generator is content with labels that a sampler makes up."""
    made_up = facts.latent is not None and facts.latent.classes is not None
    needing = [part for part in _requiring(found, "labels") if not (made_up and part.component.kind is Kind.GENERATOR)]
    if facts.data is None or facts.data.classes is not None or not needing:
        return
    for dataset in found.of(Kind.DATASET):
        hint = 'use labelled data such as "moons"'
        if dataset.params is not None and "labelled" in type(dataset.params).model_fields:
            hint = "set dataset.params.labelled = true"
        yield source.problem("dataset.use", f"{_needing(needing)} labels, and {dataset} has none", hint)


def _undrawn(source: RecipeSource, found: PartSearch, facts: KnownSpecs) -> Iterator[Problem]:
    """Parts that need labels or codes which the sampler does not draw; of unlabelled data, the data is the one to change."""
    latent = facts.latent
    if latent is None:
        return
    unlabelled = facts.data is not None and facts.data.classes is None
    drawn = {
        "labels": latent.classes is not None or unlabelled,
        "codes": latent.has_codes,
        "categorical-codes": bool(latent.categorical),
        "continuous-codes": latent.continuous > 0,
    }
    for sampler in found.of(Kind.SAMPLER):
        for word, is_drawn in drawn.items():
            needing = [part for part in _requiring(found, word) if _needs_drawn(part, word)]
            if needing and not is_drawn:
                yield source.problem(
                    "sampler.use", f"{_needing(needing)} {_plain(word)}, and {sampler} draws none", _draw_hint(sampler, word)
                )


def _needs_drawn(part: Candidate, word: str) -> bool:
    """Whether the sampler must draw it: a metric that matches codes with classes needs the data's labels only."""
    if part.component.kind is Kind.SAMPLER:
        return False
    return not (word == "labels" and part.component.kind is Kind.METRIC and _CODES & set(part.component.requires))


def _draw_hint(sampler: Candidate, word: str) -> str:
    fields = type(sampler.params).model_fields if sampler.params is not None else {}
    if word == "labels":
        return 'set sampler.use = "labelled"'
    if word == "continuous-codes":
        return (
            "set sampler.params.continuous = 1"
            if "continuous" in fields
            else 'set sampler.use = "structured" and sampler.params.continuous = 1'
        )
    return (
        "set sampler.params.categorical = [2]"
        if "categorical" in fields
        else 'set sampler.use = "structured" and sampler.params.categorical = [2]'
    )


def _wrong_data(source: RecipeSource, found: PartSearch, facts: KnownSpecs) -> Iterator[Problem]:
    """Parts made for another form of data."""
    data = facts.data
    if data is None:
        return
    given = {"points": len(data.shape) == 1, "images": data.is_image, "density": data.density is not None}
    told = {
        "points": f"works on points, and the samples of %s have the shape {data.shape}",
        "images": f"works on images, and the samples of %s have the shape {data.shape}",
        "density": "needs a known density, and that of %s is not known",
    }
    for dataset in found.of(Kind.DATASET):
        for word, is_given in given.items():
            for part in [] if is_given else _requiring(found, word):
                yield source.problem(
                    f"{part.key}.use", f"{part} {told[word] % dataset}", f"use another {part.component.kind}, or other data"
                )


def _missing_heads(source: RecipeSource, found: PartSearch, facts: KnownSpecs, registry: Registry) -> Iterator[Problem]:
    """Losses and metrics that read an output which the discriminator does not have."""
    for discriminator in found.of(Kind.DISCRIMINATOR):
        wanted = sorted({word for part in found.candidates for word in part.component.requires if word.startswith(_HEAD)})
        for head in (word for word in wanted if word not in discriminator.component.provides):
            having = [one for one in registry.components(Kind.DISCRIMINATOR) if head in one.provides]
            fitting = min(having, key=lambda one: _strangeness(one, facts), default=None)
            hint = f'set discriminator.use = "{registry.name_of(fitting)}"' if fitting else None
            message = f"{_needing(_requiring(found, head))} a head '{head.removeprefix(_HEAD)}', and {discriminator} has none"
            yield source.problem("discriminator.use", message, hint)


def _strangeness(component: Component, facts: KnownSpecs) -> tuple[bool, int]:
    """How ill a component suits the data: made for another form of it, else not made for this form in particular."""
    form = None if facts.data is None else "images" if facts.data.is_image else "points"
    forms = {"images", "points"} & set(component.requires)
    return bool(forms - {form}), -len(forms)


def _doubled(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """Losses whose terms share a name; metrics whose values would overwrite each other in logs."""
    losses = found.of(Kind.LOSS)
    for index, part in enumerate(losses):
        if part.component in [earlier.component for earlier in losses[:index]]:
            hint = "drop one, and give the other the weight of both"
            yield source.problem(f"{part.key}.use", f"{part} stands in two [[loss]] tables", hint)
        elif rival := next((earlier for earlier in losses[:index] if _is_adversarial(earlier) and _is_adversarial(part)), None):
            hint = "keep one adversarial loss; penalties and other terms may stand beside it"
            yield source.problem(f"{part.key}.use", f"{rival} and {part} give the generator one term, 'adversarial'", hint)

    seen: set[str] = set()
    for part in found.of(Kind.METRIC):
        name = _called(source, part)
        if name in seen:
            yield source.problem(
                f"{part.key}.use", f"two metrics are called '{name}' in logs", f'give this one a name = "{name} 2"'
            )
        seen.add(name)


def _called(source: RecipeSource, metric: Candidate) -> str:
    name = source.value(f"{metric.key}.name")
    return name if isinstance(name, str) else metric.component.name


def _is_adversarial(loss: Candidate) -> bool:
    """Of the losses that ganforge ships, whose terms are called alike."""
    return loss.component.plugin.distribution == "ganforge" and "adversarial" in loss.component.tags


def _no_game(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """Penalties alone leave the generator nothing to learn from."""
    losses = _all_losses(source, found)
    if losses and all("penalty" in part.component.tags for part in losses):
        message = f"there is only {_joined(map(str, losses))}: no loss teaches the generator"
        yield source.problem("loss", message, 'add a [[loss]] with use = "non-saturating" or another adversarial loss')


def _no_rivalry(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """No loss compares real with generated samples; said of ganforge's own losses only, whose tags are known to tell."""
    losses = _all_losses(source, found)
    known = all(part.component.plugin.distribution in FIRST_PARTY for part in losses)
    tags = {tag for part in losses for tag in part.component.tags}
    if losses and known and "adversarial" not in tags:
        yield source.problem("loss", "no loss is adversarial: nothing asks the generated samples to be like the real ones")


def _all_losses(source: RecipeSource, found: PartSearch) -> tuple[Candidate, ...]:
    """The losses, if all that the recipe names were found; of a part of them nothing can be said."""
    losses = found.of(Kind.LOSS)
    tables = source.value("loss")
    return losses if isinstance(tables, list) and len(losses) == len(tables) else ()


def _untaught(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """Heads that no loss reads: their weights would stay as they were drawn."""
    losses = _all_losses(source, found)
    read = {word for part in losses for word in part.component.requires}
    for discriminator in found.of(Kind.DISCRIMINATOR) if losses else ():
        for head in discriminator.component.provides:
            if head.startswith(_HEAD) and head not in read:
                yield source.problem(
                    "discriminator.use", f"no loss teaches the head '{head.removeprefix(_HEAD)}' of {discriminator}"
                )


def _unknown_words(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    for part in found.candidates:
        for word in part.component.requires:
            if word not in CAPABILITIES and not word.startswith(_HEAD):
                yield source.problem(f"{part.key}.use", f"{part} requires '{word}', which this version of ganforge does not know")


def _deprecated(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    for part in found.candidates:
        if part.component.deprecated:
            yield source.problem(f"{part.key}.use", f"{part} is deprecated", part.component.deprecated)


def _requiring(found: PartSearch, word: str) -> list[Candidate]:
    return [part for part in found.candidates if word in part.component.requires]


def _needing(parts: Iterable[Candidate]) -> str:
    """``loss 'a' and metric 'b' need``."""
    names = list(dict.fromkeys(map(str, parts)))
    return f"{_joined(names)} need{'s' if len(names) == 1 else ''}"


def _joined(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _plain(word: str) -> str:
    return word.replace("-", " ")
