"""What real, damaged and repeated images get from the metrics, and what that costs: the tables of docs/explanation.

    python benchmarks/metrics.py [bias] [features] [neighbours] [repeats] [cost]

Each part is printed as a table. It reads MNIST and Fashion-MNIST from where ``ganforge data prepare`` put them; ``features`` needs
``ganforge[backbone]``, and ``repeats`` no data. On one thread of a CPU all five take about three minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.builtin.datasets.dataset_specs import FashionMnistParams, MnistParams
from ganforge.builtin.datasets.image_datasets import build_fashion_mnist, build_mnist
from ganforge.builtin.features.feature_extractors import build_features
from ganforge.builtin.metrics.function_metric import FeatureParams
from ganforge.metrics import (
    frechet_distance,
    kernel_distance,
    memorisation,
    mmd,
    near_duplicates,
    one_nearest_neighbour,
    parzen_log_likelihood,
    precision_recall,
    random_directions,
    sliced_wasserstein,
    wasserstein2,
)
from ganforge.plugin import Dataset, DatasetContext, LatentSpec, MetricContext
from ganforge.storage.run_folder import data_folders

SEEN = 600
NEIGHBOURS = 2_000
HELD, ASKED, REPEATS = 359, 1_500, 10
SIZES = (500, 2_000, 5_000)
HERE = Path.cwd()


def mnist(build: Callable[[Any, DatasetContext], Dataset], params: MnistParams) -> Dataset:
    """One of the two data sets."""
    folder, *others = data_folders()
    return build(params, DatasetContext(0, HERE, folder, tuple(others)))


def drawn(dataset: Dataset, count: int) -> tuple[Tensor, Tensor]:
    """Held-out images and their labels."""
    samples = dataset.held_out(count, torch.Generator().manual_seed(0))
    assert samples.labels is not None, "both are labelled"  # noqa: S101
    return samples.values, samples.labels


def damaged(values: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
    """600 images and what becomes of them; ``values`` are 3,000 with pixels from 0 to 255."""
    other, stream = values[SEEN : 2 * SEEN], torch.Generator().manual_seed(0)
    return {
        "other real ones": other,
        "blurred": functional.conv2d(other, torch.full((1, 1, 3, 3), 1 / 9), padding=1),
        "with noise of standard deviation 25 (of 255)": (other + 25 * torch.randn(other.shape, generator=stream)).clamp(0, 255),
        "of classes 0 to 4 alone": values[SEEN:][labels[SEEN:] < 5][:SEEN],
        "ten, each 60 times": other[:10].repeat(SEEN // 10, 1, 1, 1),
    }


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def measure_features() -> str:
    """Both distances of images of Fashion-MNIST, on features of the backbone."""
    dataset = mnist(build_fashion_mnist, FashionMnistParams(value_range=(0.0, 255.0)))
    values, labels = drawn(dataset, 5 * SEEN)
    seen = build_features(
        FeatureParams(features="imagenet"), MetricContext(dataset.spec, LatentSpec(2), HERE, HERE, lambda: dataset)
    )
    real = seen(values[:SEEN])
    found = {name: seen(part) for name, part in damaged(values, labels).items()}
    rows = ((name, f"{frechet_distance(real, part):,.0f}", f"{kernel_distance(real, part):.3f}") for name, part in found.items())
    return table((f"{SEEN} images", "Fréchet distance", "kernel distance"), rows)


def measure_bias() -> str:
    """Fréchet distance of real images to as many other real ones, on raw pixels of Fashion-MNIST from 0 to 1."""
    values, _ = drawn(mnist(build_fashion_mnist, FashionMnistParams(value_range=(0.0, 1.0))), 2 * max(SIZES))
    rows = ((f"{size:,}", f"{frechet_distance(values[:size], values[-size:]):.2f}") for size in SIZES)
    return table(("real samples", "Fréchet distance of raw pixels"), rows)


def measure_neighbours() -> str:
    """Metrics of neighbours of real and of repeated digits."""
    values, _ = drawn(mnist(build_mnist, MnistParams(value_range=(0.0, 1.0))), 2 * NEIGHBOURS)
    real, other = values.split(NEIGHBOURS)
    rows = []
    for name, made in (("other real ones", other), ("ten, each 200 times", other[:10].repeat(NEIGHBOURS // 10, 1, 1, 1))):
        found, neighbours = precision_recall(real, made), one_nearest_neighbour(real, made)
        shown = (found.precision, found.recall, found.density, found.coverage, neighbours.accuracy)
        rows.append((name, *(f"{value:.3f}" for value in shown)))
    return table((f"{NEIGHBOURS:,} images", "precision", "recall", "density", "coverage", "1-NN accuracy"), rows)


def measure_repeats() -> str:
    """What a perfect sampler of a normal in the plane gets where 359 held-out samples are drawn from until there are 1,500."""
    stream = torch.Generator().manual_seed(0)
    lines = random_directions(2, 200, stream)
    distances: Mapping[str, Callable[[Tensor, Tensor], float]] = {
        "`wasserstein`": wasserstein2,
        "`sliced-wasserstein`": lambda real, made: sliced_wasserstein(real, made, lines),
        "`frechet`": frechet_distance,
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in distances}
    for _ in range(REPEATS):
        held, fresh, made = (torch.randn(count, 2, generator=stream) for count in (HELD, ASKED, ASKED))
        repeated = held[torch.randint(HELD, (ASKED,), generator=stream)]
        for name, distance in distances.items():
            found[name].append((distance(repeated, made), distance(fresh, made)))
    rows = ((name, *(f"{sum(values) / REPEATS:.3g}" for values in zip(*pairs, strict=True))) for name, pairs in found.items())
    return table((f"mean of {REPEATS}", f"{ASKED:,} drawn from {HELD}", f"{ASKED:,} that differ"), rows)


def measure_cost() -> str:
    """Seconds that each metric takes for 2,000 digits, and ``parzen`` for its 10,000, on as many threads as torch has."""
    dataset = mnist(build_mnist, MnistParams(value_range=(0.0, 1.0)))
    values, _ = drawn(dataset, 10_000)
    training = dataset.training().values[:12_000] / 255
    real, made = values[:NEIGHBOURS], values[NEIGHBOURS : 2 * NEIGHBOURS]
    lines = random_directions(784, 200, torch.Generator().manual_seed(0))
    tasks: Mapping[str, Callable[[], object]] = {
        "`precision-recall`": lambda: precision_recall(real, made),
        "`one-nearest-neighbour`": lambda: one_nearest_neighbour(real, made),
        "`duplicates`": lambda: near_duplicates(real, made),
        "`mmd`": lambda: mmd(real, made),
        "`memorisation`, among 10,000 training images": lambda: memorisation(training[:10_000], real, made),
        "`sliced-wasserstein`": lambda: sliced_wasserstein(real, made, lines),
        "`parzen`, at its 10,000": lambda: parzen_log_likelihood(training[:10_000], training[-1000:], values),
    }
    rows = []
    for name, task in tasks.items():
        began = time.perf_counter()
        task()
        rows.append((name, f"{time.perf_counter() - began:.1f}"))
    return table((f"{NEIGHBOURS:,} MNIST images", f"seconds on {torch.get_num_threads()} thread(s)"), rows)


PARTS = {
    "bias": measure_bias,
    "features": measure_features,
    "neighbours": measure_neighbours,
    "repeats": measure_repeats,
    "cost": measure_cost,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        print(f"\n{part}: {(PARTS[part].__doc__ or '').strip()}\n\n{PARTS[part]()}", flush=True)
