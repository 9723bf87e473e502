"""Public API for plugins: everything a plugin may import from ganforge. Imports torch only for the base class of games."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.core.contracts import (
    BoundedNoise,
    BuildContext,
    DataDependentInit,
    Dataset,
    DatasetContext,
    Discriminator,
    DistinctRealSamples,
    Divergence,
    Encoder,
    EncoderContext,
    EvaluationProtocol,
    FiniteHeldOut,
    Generator,
    KnownNoiseMoments,
    LogOddsLoss,
    Loss,
    Metric,
    MetricContext,
    MetricInfo,
    MinimumSamples,
    ParallelSampleSource,
    ReliableSamples,
    Sampler,
    SamplerContext,
    SampleSource,
    StreamingDataset,
    TermInfo,
    TrainingDataMetric,
    ValidationSplit,
)
from ganforge.core.errors import DataError, DataMissingError, GanforgeError, IncompatiblePartsError
from ganforge.core.params import NoParams, Params, Schedule
from ganforge.core.records import Codes, Critic, DiscriminatorOutput, Evaluation, Latent, LossTerms, Samples, Step, Turn
from ganforge.core.specs import DataSpec, GameSpec, GaussianMixture, LatentSpec, NetworkRole, Normalization
from ganforge.registry.hookspecs import Registrar, hookimpl

if TYPE_CHECKING:
    from ganforge.games.game import Batch, Game, GameContext, Player

__all__ = [
    "Batch",
    "BoundedNoise",
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
    "DistinctRealSamples",
    "Divergence",
    "Encoder",
    "EncoderContext",
    "Evaluation",
    "EvaluationProtocol",
    "FiniteHeldOut",
    "Game",
    "GameContext",
    "GameSpec",
    "GanforgeError",
    "GaussianMixture",
    "Generator",
    "IncompatiblePartsError",
    "KnownNoiseMoments",
    "Latent",
    "LatentSpec",
    "LogOddsLoss",
    "Loss",
    "LossTerms",
    "Metric",
    "MetricContext",
    "MetricInfo",
    "MinimumSamples",
    "NetworkRole",
    "NoParams",
    "Normalization",
    "ParallelSampleSource",
    "Params",
    "Player",
    "Registrar",
    "ReliableSamples",
    "SampleSource",
    "Sampler",
    "SamplerContext",
    "Samples",
    "Schedule",
    "Step",
    "StreamingDataset",
    "TermInfo",
    "TrainingDataMetric",
    "Turn",
    "ValidationSplit",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    """The classes of games, which import torch."""
    if name not in ("Batch", "Game", "GameContext", "Player"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ganforge.games import game

    return getattr(game, name)
