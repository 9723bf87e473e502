"""Built-in components, found and built the way the host does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganforge.builtin import builtin_plugin
from ganforge.plugin import BuildContext, Dataset, DatasetContext, DataSpec, LatentSpec, MetricContext, Registrar, SamplerContext
from ganforge.registry.component import Component, Kind, PluginRef


def announced() -> dict[tuple[str, str], Component]:
    """Every built-in component by kind and name."""
    found: list[Component] = []
    for kind in (Kind.LOSS, Kind.SAMPLER, Kind.DATASET, Kind.METRIC):
        staged: list[Component] = []
        getattr(builtin_plugin, f"ganforge_register_{kind.plural}")(
            Registrar(kind, PluginRef("builtin", "ganforge", "0.1.0"), staged)
        )
        found += staged
    return {(component.kind.value, component.name): component for component in found}


@pytest.fixture(scope="session")
def components() -> dict[tuple[str, str], Component]:
    return announced()


Build = Callable[..., Any]


@pytest.fixture
def loss(components: dict[tuple[str, str], Component]) -> Build:
    """``loss(name, **params)``."""
    return lambda name, **params: _built(components["loss", name], params, BuildContext(DataSpec((2,)), LatentSpec(2)))


@pytest.fixture
def sampler(components: dict[tuple[str, str], Component]) -> Build:
    """``sampler(name, data=DataSpec(…), **params)``."""

    def build(name: str, data: DataSpec = DataSpec((2,)), **params: Any) -> Any:  # noqa: B008  frozen
        return _built(components["sampler", name], params, SamplerContext(data))

    return build


@pytest.fixture
def dataset(components: dict[tuple[str, str], Component], tmp_path: Path) -> Build:
    """``dataset(name, seed=0, **params)``; relative files are meant from ``tmp_path``."""

    def build(name: str, seed: int = 0, **params: Any) -> Any:
        return _built(components["dataset", name], params, DatasetContext(seed, recipe_folder=tmp_path, data_folder=tmp_path))

    return build


@pytest.fixture
def metric(components: dict[tuple[str, str], Component], metric_context: Build) -> Build:
    """``metric(name, data, latent, **params)``; in place of ``data`` a data set, where the metric learns from one."""

    def build(name: str, data: DataSpec | Dataset, latent: LatentSpec = LatentSpec(2), **params: Any) -> Any:  # noqa: B008  frozen
        return _built(components["metric", name], params, metric_context(data, latent))

    return build


@pytest.fixture
def metric_context(tmp_path: Path) -> Build:
    """``metric_context(data, latent)``, with files meant from and kept in ``tmp_path``."""

    def context(data: DataSpec | Dataset, latent: LatentSpec = LatentSpec(2)) -> MetricContext:  # noqa: B008  frozen
        def dataset() -> Dataset:
            assert not isinstance(data, DataSpec), "the metric learns from data; give them"
            return data

        spec = data if isinstance(data, DataSpec) else data.spec
        return MetricContext(spec, latent, recipe_folder=tmp_path, cache_folder=tmp_path / "cache", dataset=dataset)

    return context


def _built(component: Component, params: dict[str, Any], context: object) -> Any:
    return component.load_factory()(component.load_params()(**params), context)
