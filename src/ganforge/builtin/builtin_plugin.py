"""The built-in plugin: losses, samplers, data sets and metrics, registered by the same hooks as third-party components."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganforge.plugin import Registrar, hookimpl

_LOSSES = "ganforge.builtin.losses"
_SAMPLERS = "ganforge.builtin.samplers"
_DATA = "ganforge.builtin.datasets"
_REMOTE = "ganforge.builtin.datasets.remote_datasets"
_METRICS = "ganforge.builtin.metrics"

_GOODFELLOW_2014 = "Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661"
_CHEN_2016 = "Chen et al. 2016, https://arxiv.org/abs/1606.03657"
_THEIS_2016 = "Theis et al. 2016, https://arxiv.org/abs/1511.01844"
_GULRAJANI_2017 = "Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028"
_LIM_2017 = "Lim & Ye 2017, https://arxiv.org/abs/1705.02894"
_METZ_2017 = "Metz et al. 2017, https://arxiv.org/abs/1611.02163"
_VEEGAN = "Srivastava et al. 2017, https://arxiv.org/abs/1705.07761"
_MESCHEDER_2018 = "Mescheder et al. 2018, https://arxiv.org/abs/1801.04406"
_PACGAN = "Lin et al. 2018, https://arxiv.org/abs/1712.04086"
_RPGAN = "Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734"
_KYNKAANNIEMI_2019 = "Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991"
_SAGAN = "Zhang et al. 2019, https://arxiv.org/abs/1805.08318"
_MEEHAN_2020 = "Meehan et al. 2020, https://arxiv.org/abs/2004.05675"
_NAEEM_2020 = "Naeem et al. 2020, https://arxiv.org/abs/2002.09797"
_ALAA_2022 = "Alaa et al. 2022, https://arxiv.org/abs/2102.08921"
_R3GAN = "Huang et al. 2025, https://arxiv.org/abs/2501.05441"

_Add = Callable[..., None]


@hookimpl
def ganforge_register_losses(register: Registrar) -> None:
    """Six adversarial losses and three gradient penalties."""
    add = _adder(register, _LOSSES, tags=frozenset({"adversarial"}))
    add("minimax", "Original zero-sum game: the generator descends log(1 - D(G(z))).", _GOODFELLOW_2014)
    add("non-saturating", "Original game as played in practice: the generator descends -log D(G(z)).", _GOODFELLOW_2014)
    add(
        "least-squares",
        "LSGAN: halved squared distance of the logits from targets a, b and c.",
        "Mao et al. 2017, https://arxiv.org/abs/1611.04076",
        params="LeastSquaresParams",
    )
    add("hinge", "Hinge loss with margin 1, as in SAGAN.", _LIM_2017, _SAGAN)
    add(
        "wasserstein",
        "WGAN: difference of mean scores; add a gradient penalty to bound the slope.",
        "Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875",
    )
    add("relativistic", "RpGAN: compares each fake with a paired real sample; with r1 and r2 it is R3GAN's loss.", _RPGAN, _R3GAN)

    add = _adder(register, _LOSSES, tags=frozenset({"penalty"}))
    add(
        "gradient-penalty",
        "WGAN-GP: keeps the critic's slope near 1 between real and fake; the paper's λ is the weight.",
        _GULRAJANI_2017,
        params="GradientPenaltyParams",
    )
    add("r1", "R₁: half the squared slope at real samples; the paper's γ is the weight.", _MESCHEDER_2018)
    add("r2", "R₂: half the squared slope at generated samples; the paper's γ is the weight.", _MESCHEDER_2018)


@hookimpl
def ganforge_register_samplers(register: Registrar) -> None:
    """Plain, labelled and structured noise."""
    add, size = _adder(register, _SAMPLERS), {"size": 3}
    add("normal", "Standard normal noise.", params="NormalParams", spec="noise_spec", check_params=size)
    add("uniform", "Uniform noise.", params="UniformParams", spec="noise_spec", check_params=size)
    add(
        "labelled",
        "Noise with a label drawn from the data's class shares.",
        "Mirza & Osindero 2014, https://arxiv.org/abs/1411.1784",
        params="LabelledParams",
        spec="labelled_spec",
        requires=("labels",),
        check_params=size,
        tags=frozenset({"conditional"}),
    )
    add(
        "structured",
        "Noise with categorical and continuous codes.",
        _CHEN_2016,
        params="StructuredParams",
        spec="structured_spec",
        check_params={**size, "categorical": (2, 3), "continuous": 1},
        tags=frozenset({"codes"}),
    )


@hookimpl
def ganforge_register_datasets(register: Registrar) -> None:
    """Points of known distributions, images, and the user's own files."""
    specs, images = f"{_DATA}.dataset_specs", frozenset({"images", "labels"})
    _add_points(_adder(register, f"{_DATA}.points", specs, check_params={"samples": 200}))
    _add_digits(_adder(register, f"{_DATA}.mnist", specs, tags=images))
    _adder(register, f"{_DATA}.cifar10", specs, tags=images)(
        "cifar10",
        "60,000 photographs of ten classes, 32×32, labelled; download with `ganforge data prepare cifar10`.",
        "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",
        params="Cifar10Params",
        spec="cifar10_spec",
        checksums=f"{_REMOTE}:CIFAR10_CHECKSUMS",
    )
    _adder(register, f"{_DATA}.image_folder", specs, tags=images)(
        "image-folder",
        "Your own pictures from a folder, cropped and resized; its sub-folders are classes.",
        params="ImageFolderParams",
        check_params={"folder": "images"},
    )
    _adder(register, f"{_DATA}.user_arrays", specs, tags=frozenset({"points", "images"}))(
        "arrays",
        "Your own points or images from .npy, .npz or .csv files, with optional labels.",
        params="ArraysParams",
        check_params={"file": "samples.npz"},
    )


def _add_points(add: _Add) -> None:
    points = frozenset({"points"})
    add("moons", "Two interleaved half circles, labelled.", params="MoonsParams", spec="moons_spec", tags=points | {"labels"})
    add(
        "gaussian-1d",
        "Numbers from one Gaussian, as in Figure 1 of the 2014 paper.",
        _GOODFELLOW_2014,
        params="GaussianParams",
        spec="gaussian_spec",
        tags=points | {"density"},
    )
    add(
        "ring",
        "Narrow Gaussians on a circle: does the generator find every mode?",
        _VEEGAN,
        _PACGAN,
        params="RingParams",
        spec="ring_spec",
        tags=points | {"density"},
    )
    add(
        "grid",
        "Narrow Gaussians on a square grid.",
        _VEEGAN,
        _PACGAN,
        params="GridParams",
        spec="grid_spec",
        tags=points | {"density"},
    )
    add("swiss-roll", "A spiral in the plane.", _GULRAJANI_2017, params="SwissRollParams", spec="swiss_roll_spec", tags=points)


def _add_digits(add: _Add) -> None:
    add(
        "digits",
        "Scikit-learn's 1,797 handwritten digits, 8×8, in [-1, 1], labelled.",
        "Alpaydin & Kaynak 1998, https://archive.ics.uci.edu/dataset/80",
        params="DigitsParams",
        spec="digits_spec",
    )
    add(
        "mnist",
        "70,000 handwritten digits, 28×28, labelled; download with `ganforge data prepare mnist`.",
        "LeCun et al. 1998, https://doi.org/10.1109/5.726791",
        params="MnistParams",
        spec="mnist_spec",
        checksums=f"{_REMOTE}:MNIST_CHECKSUMS",
    )
    add(
        "fashion-mnist",
        "70,000 articles of clothing, 28×28, labelled; from Debian or `ganforge data prepare`.",
        "Xiao et al. 2017, https://arxiv.org/abs/1708.07747",
        params="MnistParams",
        spec="fashion_mnist_spec",
        checksums=f"{_REMOTE}:FASHION_MNIST_CHECKSUMS",
    )
    add(
        "stacked-mnist",
        "Three random digits of MNIST as red, green and blue: are all 1,000 modes found?",
        _METZ_2017,
        _PACGAN,
        params="StackedMnistParams",
        spec="stacked_mnist_spec",
        checksums=f"{_REMOTE}:MNIST_CHECKSUMS",
        check_params={"samples": 2_000},
    )


@hookimpl
def ganforge_register_metrics(register: Registrar) -> None:
    """Comparisons with held-out real samples: of distributions, of labels and codes, and of densities."""
    params = f"{_METRICS}.metric_params"
    _add_distribution_metrics(_adder(register, f"{_METRICS}.distribution_metrics", params))
    _add_label_metrics(_adder(register, f"{_METRICS}.label_metrics", params))
    _add_density_metrics(_adder(register, f"{_METRICS}.density_metrics", params))


def _add_distribution_metrics(add: _Add) -> None:
    by_neighbours = "time 3·n²·f for f features; memory n·f"
    by_features = "for f features, and one pass of each sample through their network"
    add(
        "wasserstein",
        "Exact optimal-transport distance to as many held-out real samples.",
        params="WassersteinParams",
        cost="time about n²·d and, for the plan, more than n² log n; memory five times n²; on a line n log n",
    )
    add(
        "sliced-wasserstein",
        "Wasserstein distance along random lines: cheap where the exact one is expensive.",
        "Bonneel et al. 2015, https://doi.org/10.1007/s10851-014-0506-3",
        params="SlicedWassersteinParams",
        cost="time directions·n·(d + log n); memory n·d",
    )
    add(
        "frechet",
        "Fréchet distance of named features; with Inception features it is FID. Biased for few samples.",
        "Heusel et al. 2017, https://arxiv.org/abs/1706.08500",
        params="FeatureParams",
        cost=f"time n·f² + f³ {by_features}",
    )
    add(
        "kernel",
        "Kernel distance of named features, without bias; with Inception features it is KID.",
        "Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401",
        params="KernelParams",
        cost=f"time n²·f {by_features}",
    )
    add(
        "mmd",
        "Unbiased squared maximum mean discrepancy of named features, with Gaussian kernels.",
        "Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html",
        params="MmdParams",
        cost=by_neighbours,
    )
    add(
        "precision-recall",
        "Precision and recall, density and coverage: quality and diversity apart, on named features.",
        _KYNKAANNIEMI_2019,
        _NAEEM_2020,
        params="PrecisionRecallParams",
        cost=by_neighbours,
    )
    add(
        "one-nearest-neighbour",
        "Does the nearest other sample separate real from generated? 1: separate sets, 0: copies of real samples.",
        "Xu et al. 2018, https://arxiv.org/abs/1806.07755",
        params="OneNearestNeighbourParams",
        cost=by_neighbours,
    )
    add(
        "duplicates",
        "The birthday test: near and exact repeats among generated samples, compared with real ones.",
        "Arora & Zhang 2017, https://arxiv.org/abs/1706.08224",
        params="DuplicatesParams",
        cost="time n²·f for f features; memory n·f",
    )
    add(
        "memorisation",
        "Copies of training data: nearest training neighbours of generated compared with held-out samples.",
        _MEEHAN_2020,
        _ALAA_2022,
        params="MemorisationParams",
        cost="time 4·n·t·f for f features and t training samples; memory (n + t)·f",
    )


def _add_label_metrics(add: _Add) -> None:
    add(
        "label-match",
        "Share of conditional samples that have the requested class, by 1-NN or by a classifier.",
        params="LabelMatchParams",
        requires=("labels",),
        cost="time n²·d by nearest samples, n passes by a classifier",
    )
    add(
        "code-recovery",
        "Does a categorical code mean a class? Accuracy under the best matching; classes by 1-NN or a classifier.",
        _CHEN_2016,
        params="CodeRecoveryParams",
        requires=("categorical-codes", "labels"),
        cost="time n²·d by nearest samples, n passes by a classifier",
    )
    add(
        "class-modes",
        "Classes that a classifier finds, and KL of their shares: the 1,000 modes of stacked MNIST.",
        _METZ_2017,
        _PACGAN,
        params="ClassModesParams",
        requires=("labels",),
        cost="one pass of each sample through the classifier",
    )
    add(
        "information",
        "InfoGAN's bound on the information between categorical codes and samples, in nats beside H(c).",
        _CHEN_2016,
        params="InformationParams",
        requires=("categorical-codes", "head:code"),
        cost="one pass of each sample through the discriminator",
    )


def _add_density_metrics(add: _Add) -> None:
    add(
        "modes",
        "Captured modes, high-quality share (3σ) and reverse KL, as VEEGAN and PacGAN count them.",
        _VEEGAN,
        _PACGAN,
        requires=("density",),
        cost="time n·m·d for m modes",
    )
    add(
        "optimal-discriminator",
        "Gap of the discriminator to D* = p/(p + q), and divergences of the densities, where p is known.",
        _GOODFELLOW_2014,
        params="OptimalDiscriminatorParams",
        requires=("density",),
        cost="time n and cells of the grid; one pass of each through the discriminator",
    )
    add(
        "parzen",
        "Log-likelihood estimate of the 2014 papers; their protocol has 10,000 samples. Not a measure of quality.",
        _GOODFELLOW_2014,
        _THEIS_2016,
        params="ParzenParams",
        cost="time n·(validation + test)·d; memory n·d",
    )


def _adder(register: Registrar, module: str, light: str | None = None, **common: Any) -> _Add:
    """``register`` in short for the components of one module.

    Args:
        register: the registrar.
        module: module of the factories, which are called ``build_`` and the component's name.
        light: module of params and specs, which must not import torch; by default the same.
        common: options that all components share.
    """

    def add(name: str, summary: str, *references: str, params: str = "", spec: str = "", **options: Any) -> None:
        named = {"params": params, "spec": spec}
        options |= {key: f"{light or module}:{attribute}" for key, attribute in named.items() if attribute}
        factory = f"{module}:build_{name.replace('-', '_')}"
        register(name, factory, summary=summary, references=references, **(common | options))

    return add
