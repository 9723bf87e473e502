"""Sizes of the data sets of images that follow from params alone. Light: brings in no torch."""

from __future__ import annotations

from itertools import product

from ganforge.builtin.datasets.image_params import Cifar10Params, MnistParams, StackedMnistParams
from ganforge.plugin import DataSpec

DIGITS = tuple(map(str, range(10)))
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
"""As Xiao et al. 2017 number them."""
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""As Krizhevsky 2009 numbers them."""

_MNIST = {
    "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    "train-50k": (4932, 5678, 4968, 5101, 4859, 4506, 4951, 5175, 4842, 4988),
}
_FASHION = {
    "train": (6000,) * 10,
    "train-50k": (4977, 5012, 4992, 4979, 4950, 5004, 5030, 5045, 5032, 4979),
}
"""How often each class occurs in a split; counted."""


def mnist_spec(params: MnistParams) -> DataSpec:
    """Grey images of ten digits."""
    return DataSpec((1, 28, 28), 10, DIGITS, _shares(_MNIST[params.split]), params.value_range)


def fashion_mnist_spec(params: MnistParams) -> DataSpec:
    """Grey images of ten articles."""
    return DataSpec((1, 28, 28), 10, CLOTHES, _shares(_FASHION[params.split]), params.value_range)


def cifar10_spec(params: Cifar10Params) -> DataSpec:
    """Small photographs, as many of each kind."""
    return DataSpec((3, 32, 32), 10, THINGS, value_range=params.value_range)


def stacked_mnist_spec(params: StackedMnistParams) -> DataSpec:
    """Three digits in red, green and blue; the class 100 r + 10 g + b is a number of three digits."""
    digits = _shares(_MNIST["train"])
    shares = tuple(red * green * blue for red, green, blue in product(digits, repeat=3))
    return DataSpec((3, 28, 28), 1000, tuple(f"{number:03}" for number in range(1000)), shares, params.value_range)


def _shares(counts: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(count / sum(counts) for count in counts)
