"""The one door for plugin authors: everything a plugin may import from ganforge. Light: it brings in no torch."""

from ganforge.core.contracts import (
    BuildContext,
    Critic,
    DataDependentInit,
    Dataset,
    DatasetContext,
    Discriminator,
    Divergence,
    FiniteHeldOut,
    Generator,
    Loss,
    Metric,
    MetricContext,
    MetricInfo,
    Sampler,
    SamplerContext,
    SampleSource,
    StreamingDataset,
    TermInfo,
    ValidationSplit,
)
from ganforge.core.errors import DataError, DataMissingError, GanforgeError, IncompatiblePartsError
from ganforge.core.params import NoParams, Params
from ganforge.core.records import Codes, DiscriminatorOutput, Evaluation, Latent, Samples, Terms
from ganforge.core.schedules import Schedule
from ganforge.core.specs import DataSpec, GaussianMixture, LatentSpec, Scaling
from ganforge.registry.hookspecs import hookimpl
from ganforge.registry.registrar import Registrar

__all__ = [
    "BuildContext",
    "Codes",
    "Critic",
    "DataDependentInit",
    "DataError",
    "DataMissingError",
    "DataSpec",
    "Dataset",
    "DatasetContext",
    "Discriminator",
    "DiscriminatorOutput",
    "Divergence",
    "Evaluation",
    "FiniteHeldOut",
    "GanforgeError",
    "GaussianMixture",
    "Generator",
    "IncompatiblePartsError",
    "Latent",
    "LatentSpec",
    "Loss",
    "Metric",
    "MetricContext",
    "MetricInfo",
    "NoParams",
    "Params",
    "Registrar",
    "SampleSource",
    "Sampler",
    "SamplerContext",
    "Samples",
    "Scaling",
    "Schedule",
    "StreamingDataset",
    "TermInfo",
    "Terms",
    "ValidationSplit",
    "hookimpl",
]
