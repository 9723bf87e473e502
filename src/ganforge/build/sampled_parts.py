"""What a finished run is sampled with: its generator and sampler alone, whatever became of all else that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass

from ganforge.build.parts import Part, find_parts
from ganforge.core.errors import RecipeError
from ganforge.recipe.reader import RecipeSource
from ganforge.registry.component import Kind
from ganforge.registry.registry import Registry

_KINDS = (Kind.SAMPLER, Kind.GENERATOR)


@dataclass(frozen=True, slots=True)
class SamplingParts:
    """The parts that make samples.

    Attributes:
        sampler: the latents.
        generator: the generator.
    """

    sampler: Part
    generator: Part


def resolve_sampling_parts(source: RecipeSource, registry: Registry) -> SamplingParts:
    """Find and judge generator and sampler; no other table of the recipe is looked at.

    A loss that is not installed any more, data that are gone, or a word of training that this version does not know: none of them
    keeps a trained generator from drawing.

    Raises:
        RecipeError: one of the two is not installed, or its parameters are wrong.
        PluginError: its plugin failed.
    """
    found = find_parts(source, registry, kinds=_KINDS)
    if found.problems:
        raise RecipeError(source.sorted(found.problems))
    if found.failures:
        raise found.failures[0][1]

    parts = {
        candidate.component.kind: Part(candidate.component, candidate.params, candidate.key)
        for candidate in found.candidates
        if candidate.params is not None
    }
    missing = [kind.value for kind in _KINDS if kind not in parts]
    if missing:
        raise RecipeError(
            [problem for problem in source.problems if problem.key.partition(".")[0] in missing]
            or [source.problem(kind, f"names no {kind}", "restore the run's resolved.toml") for kind in missing]
        )
    return SamplingParts(sampler=parts[Kind.SAMPLER], generator=parts[Kind.GENERATOR])
