"""Features on real images: worse sets have greater distances, and real digits reach the reported floors."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ganforge.builtin.datasets.dataset_specs import FashionMnistParams, StackedMnistParams
from ganforge.builtin.datasets.image_datasets import build_fashion_mnist, build_stacked_mnist
from ganforge.builtin.features import classifier_features
from ganforge.builtin.features.feature_extractors import build_features
from ganforge.builtin.metrics.function_metric import FeatureParams
from ganforge.metrics import frechet_distance, kernel_distance
from ganforge.plugin import DatasetContext, Evaluation, LatentSpec, MetricContext, Samples

pytestmark = pytest.mark.slow
COUNT = 400


@pytest.fixture(scope="module")
def distances(fashion_files, tmp_path_factory):
    """FD and KD of the backbone's features from 400 real articles of clothing to as many other images."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    data = build_fashion_mnist(FashionMnistParams(value_range=(0.0, 255.0)), DatasetContext(0, nowhere, nowhere))
    stream = torch.Generator().manual_seed(0)
    drawn = data.held_out(4 * COUNT, stream)
    real, other = drawn.values[:COUNT], drawn.values[COUNT : 2 * COUNT]
    blurred = functional.conv2d(other, torch.full((1, 1, 3, 3), 1 / 9), padding=1)
    sets = {
        "other real": other,
        "blurred": blurred,
        "noisy": (other + 25 * torch.randn(other.shape, generator=stream)).clamp(0, 255),
        "half the classes": drawn.values[drawn.labels < 5][-COUNT:],
        "ten repeated": other[:10].repeat(COUNT // 10, 1, 1, 1),
    }
    seen = build_features(
        FeatureParams(features="imagenet"), MetricContext(data.spec, LatentSpec(2), nowhere, nowhere, lambda: data)
    )
    reference = seen(real)
    found = {name: seen(values) for name, values in sets.items()}
    return {name: (frechet_distance(reference, rows), kernel_distance(reference, rows)) for name, rows in found.items()}


def test_every_damage_to_real_images_is_seen(distances) -> None:
    real = distances.pop("other real")
    for name, (frechet, kernel) in distances.items():
        assert frechet > 1.5 * real[0], name
        assert kernel > 0.2, name
    assert abs(real[1]) < 0.02  # where the Fréchet distance has hundreds, for want of samples
    assert real[0] > 100


def test_real_stacked_digits_reach_the_floor_of_their_modes(mnist_files, tmp_path, components, monkeypatch) -> None:
    monkeypatch.setattr(classifier_features, "_MOST_STEPS", 1000)
    data = build_stacked_mnist(StackedMnistParams(samples=30_000), DatasetContext(0, tmp_path, mnist_files.parent))
    context = MetricContext(data.spec, LatentSpec(2), tmp_path, tmp_path, lambda: data)
    component = components["metric", "class-modes"]
    metric = component.load_factory()(component.load_params()(), context)
    assert classifier_features.load_classifier(context).accuracy > 0.93

    real = data.held_out(26_000, torch.Generator().manual_seed(1))
    found = metric.measure(Evaluation(Samples(real.values[:2]), real, torch.Generator()))
    assert found["captured"] == 1000
    floor = metric.value_info["reverse-kl"].floor(26_000)
    assert 0.019 < floor < 0.026
    assert found["reverse-kl"] == pytest.approx(floor, abs=0.006)
