"""The one door for plugin authors: everything a plugin may import from ganforge. Light: it brings in no torch."""

from ganforge.core.contracts import (
    BuildContext,
    Critic,
    Dataset,
    DatasetContext,
    Discriminator,
    Divergence,
    Generator,
    KeepsBack,
    Loss,
    Measure,
    Metric,
    MetricContext,
    Reading,
    Sampler,
    SamplerContext,
    Source,
    StartsFromData,
    Streaming,
    WithValidation,
)
from ganforge.core.errors import DataError, DataMissing, Disagreement, GanforgeError
from ganforge.core.params import NoParams, Params
from ganforge.core.records import Codes, Evaluation, Latent, Samples, Terms, Verdict
from ganforge.core.schedules import Schedule
from ganforge.core.specs import DataSpec, GaussianMixture, LatentSpec, Scaling
from ganforge.registry.hookspecs import hookimpl
from ganforge.registry.registrar import Registrar

__all__ = [
    "BuildContext",
    "Codes",
    "Critic",
    "DataError",
    "DataMissing",
    "DataSpec",
    "Dataset",
    "DatasetContext",
    "Disagreement",
    "Discriminator",
    "Divergence",
    "Evaluation",
    "GanforgeError",
    "GaussianMixture",
    "Generator",
    "KeepsBack",
    "Latent",
    "LatentSpec",
    "Loss",
    "Measure",
    "Metric",
    "MetricContext",
    "NoParams",
    "Params",
    "Reading",
    "Registrar",
    "Sampler",
    "SamplerContext",
    "Samples",
    "Scaling",
    "Schedule",
    "Source",
    "StartsFromData",
    "Streaming",
    "Terms",
    "Verdict",
    "WithValidation",
    "hookimpl",
]
