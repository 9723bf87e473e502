"""The built-in plugin: losses, samplers, data sets and metrics, registered by the same hooks as third-party components."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganforge.plugin import Registrar, hookimpl

_LOSSES = "ganforge.builtin.losses"
_SAMPLERS = "ganforge.builtin.samplers"
_DATA = "ganforge.builtin.datasets"
_METRICS = "ganforge.builtin.metrics"

_ARJOVSKY_2017 = "Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875"
_CHEN_2016 = "Chen et al. 2016, https://arxiv.org/abs/1606.03657"
_DIGITS = "Alpaydin & Kaynak 1998, https://archive.ics.uci.edu/dataset/80"
_GOODFELLOW_2014 = "Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661"
_GULRAJANI_2017 = "Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028"
_LIM_2017 = "Lim & Ye 2017, https://arxiv.org/abs/1705.02894"
_LIN_2018 = "Lin et al. 2018, https://arxiv.org/abs/1712.04086"
_MAO_2017 = "Mao et al. 2017, https://arxiv.org/abs/1611.04076"
_MESCHEDER_2018 = "Mescheder et al. 2018, https://arxiv.org/abs/1801.04406"
_METZ_2017 = "Metz et al. 2017, https://arxiv.org/abs/1611.02163"
_SRIVASTAVA_2017 = "Srivastava et al. 2017, https://arxiv.org/abs/1705.07761"
_ZHANG_2019 = "Zhang et al. 2019, https://arxiv.org/abs/1805.08318"

_Add = Callable[..., None]
_IMAGES = frozenset({"images", "labels"})


@hookimpl
def ganforge_register_games(register: Registrar) -> None:
    """The original game."""
    register(
        "two-player",
        "ganforge.games.two_player:TwoPlayerGame",
        spec="ganforge.builtin.games:two_player_spec",
        summary="A discriminator against a generator (Goodfellow et al., 2014).",
        references=(_GOODFELLOW_2014,),
    )


@hookimpl
def ganforge_register_losses(register: Registrar) -> None:
    """Six adversarial losses and three gradient penalties."""
    add = _adder(register, _LOSSES, None, tags=frozenset({"adversarial"}))
    add("minimax", "Zero-sum GAN loss (Goodfellow et al., 2014): the generator minimises log(1 - D(G(z))).", _GOODFELLOW_2014)
    add(
        "non-saturating",
        "Non-saturating GAN loss (Goodfellow et al., 2014): the generator maximises log D(G(z)).",
        _GOODFELLOW_2014,
    )
    add("least-squares", "Least-squares loss (LSGAN, Mao et al., 2017).", _MAO_2017, params="LeastSquaresParams")
    add("hinge", "Hinge loss with margin 1 (Lim & Ye, 2017), as in SAGAN and BigGAN.", _LIM_2017, _ZHANG_2019)
    add("wasserstein", "Wasserstein loss (WGAN, Arjovsky et al., 2017); combine it with a gradient penalty.", _ARJOVSKY_2017)
    add(
        "relativistic",
        "Relativistic pairing loss (RpGAN, Jolicoeur-Martineau, 2018); with r1 and r2: R3GAN.",
        "Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734",
        "Huang et al. 2025, https://arxiv.org/abs/2501.05441",
    )

    add = _adder(register, _LOSSES, None, tags=frozenset({"penalty"}))
    wgan_gp = "WGAN-GP gradient penalty between real and fake samples (Gulrajani et al., 2017); weight = λ."
    add("gradient-penalty", wgan_gp, _GULRAJANI_2017, params="GradientPenaltyParams")
    add("r1", "R1 gradient penalty on real samples (Mescheder et al., 2018); weight = γ.", _MESCHEDER_2018)
    add("r2", "R2 gradient penalty on generated samples (Mescheder et al., 2018); weight = γ.", _MESCHEDER_2018)


@hookimpl
def ganforge_register_samplers(register: Registrar) -> None:
    """Plain, labelled and structured noise."""
    add, size = _adder(register, _SAMPLERS, _SAMPLERS, has_spec=True), {"size": 3}
    add("normal", "Standard normal noise.", check_params=size)
    add("uniform", "Uniform noise.", check_params=size)
    add(
        "labelled",
        "Noise and a class label, drawn with the data's class frequencies (conditional GAN).",
        "Mirza & Osindero 2014, https://arxiv.org/abs/1411.1784",
        requires=("labels",),
        check_params=size,
        tags=frozenset({"conditional"}),
    )
    codes = {**size, "categorical": (2, 3), "continuous": 1}
    summary = "Noise with categorical and continuous latent codes (InfoGAN, Chen et al., 2016)."
    add("structured", summary, _CHEN_2016, check_params=codes, tags=frozenset({"codes"}))


@hookimpl
def ganforge_register_datasets(register: Registrar) -> None:
    """Points of known distributions, images, and the user's own files."""
    points, labelled, known = (frozenset({"points", *more}) for more in ((), ("labels",), ("density",)))
    add = _adder(register, f"{_DATA}.points", f"{_DATA}.dataset_specs", has_spec=True, check_params={"samples": 200}, tags=known)
    add("moons", "Two interleaved half circles, labelled.", tags=labelled)
    summary = "Numbers from one Gaussian, as in Figure 1 of the 2014 GAN paper."
    add("gaussian-1d", summary, _GOODFELLOW_2014, params="GaussianParams", factory="build_mixture")
    add("ring", "Ring of Gaussians, a test for mode collapse.", _SRIVASTAVA_2017, _LIN_2018, factory="build_mixture")
    add("grid", "Square grid of Gaussians, a test for mode collapse.", _SRIVASTAVA_2017, _LIN_2018, factory="build_mixture")
    add("swiss-roll", "Two-dimensional Swiss roll.", _GULRAJANI_2017, tags=points)

    _add_images(_adder(register, f"{_DATA}.image_datasets", f"{_DATA}.dataset_specs", has_spec=True, tags=_IMAGES))
    add = _adder(register, f"{_DATA}.image_folder", f"{_DATA}.dataset_specs", tags=_IMAGES)
    summary = "Your own images from a folder, cropped and resized; subfolders are classes."
    add("image-folder", summary, check_params={"folder": "images"})
    add = _adder(register, f"{_DATA}.user_arrays", f"{_DATA}.dataset_specs", tags=frozenset({"points", "images"}))
    summary = "Your own points or images from .npy, .npz or .csv files, with optional labels."
    add("arrays", summary, check_params={"file": "samples.npz"})


def _add_images(add: _Add) -> None:
    remote = f"{_DATA}.remote_datasets"
    add("digits", "Scikit-learn's 1,797 handwritten digits, 8×8, in [-1, 1], labelled.", _DIGITS)
    add(
        "mnist",
        "70,000 handwritten digits, 28×28, labelled; download with `ganforge data prepare mnist`.",
        "LeCun et al. 1998, https://doi.org/10.1109/5.726791",
        checksums=f"{remote}:MNIST.checksums",
    )
    add(
        "fashion-mnist",
        "70,000 images of clothing, 28×28, labelled; from Debian or `ganforge data prepare fashion-mnist`.",
        "Xiao et al. 2017, https://arxiv.org/abs/1708.07747",
        checksums=f"{remote}:FASHION_MNIST.checksums",
    )
    add(
        "stacked-mnist",
        "Three MNIST digits as the channels of one image: 1,000 modes (Metz et al., 2017).",
        _METZ_2017,
        _LIN_2018,
        checksums=f"{remote}:MNIST.checksums",
        check_params={"samples": 2_000},
    )
    add(
        "cifar10",
        "60,000 photographs of ten classes, 32×32, labelled; download with `ganforge data prepare cifar10`.",
        "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",
        checksums=f"{remote}:CIFAR10.checksums",
    )


@hookimpl
def ganforge_register_metrics(register: Registrar) -> None:
    """Comparisons with held-out real samples: of distributions, of labels and codes, and of densities."""
    modules = ("distribution_metrics", "label_metrics")
    distribution, label = (_adder(register, f"{_METRICS}.{module}", f"{_METRICS}.function_metric") for module in modules)
    _add_distribution_metrics(distribution)
    _add_label_metrics(label)
    _add_density_metrics(distribution)


def _add_distribution_metrics(add: _Add) -> None:
    by_neighbours = "time 3·n²·f for f features; memory n·f"
    by_features = "for f features, and one pass of each sample through their network"
    add(
        "wasserstein",
        "Exact Wasserstein distance (optimal transport, W₁ or W₂) to held-out real samples.",
        cost="time about n²·d and, for the plan, more than n² log n; memory five times n²; on a line n log n",
    )
    add(
        "sliced-wasserstein",
        "Sliced Wasserstein distance (Bonneel et al., 2015): fast for many or high-dimensional samples.",
        "Bonneel et al. 2015, https://doi.org/10.1007/s10851-014-0506-3",
        cost="time directions·n·(d + log n); memory n·d",
    )
    add(
        "frechet",
        "Fréchet distance of features; with features = 'inception' it is FID (Heusel et al., 2017).",
        "Heusel et al. 2017, https://arxiv.org/abs/1706.08500",
        params="FeatureParams",
        cost=f"time n·f² + f³ {by_features}",
    )
    add(
        "kernel",
        "Kernel distance of features, unbiased; with features = 'inception' it is KID (Bińkowski et al., 2018).",
        "Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401",
        cost=f"time n²·f {by_features}",
    )
    add(
        "mmd",
        "Maximum mean discrepancy (MMD²) with Gaussian kernels, unbiased (Gretton et al., 2012).",
        "Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html",
        params="FeatureParams",
        cost=by_neighbours,
    )
    add(
        "precision-recall",
        "Precision, recall, density and coverage (Kynkäänniemi et al., 2019; Naeem et al., 2020).",
        "Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991",
        "Naeem et al. 2020, https://arxiv.org/abs/2002.09797",
        cost=by_neighbours,
    )
    add(
        "one-nearest-neighbour",
        "1-NN two-sample test: leave-one-out accuracy, 0.5 for equal distributions (Xu et al., 2018).",
        "Xu et al. 2018, https://arxiv.org/abs/1806.07755",
        params="FeatureParams",
        cost=by_neighbours,
    )
    add(
        "duplicates",
        "Birthday-paradox test for duplicates among generated samples (Arora & Zhang, 2017).",
        "Arora & Zhang 2017, https://arxiv.org/abs/1706.08224",
        params="FeatureParams",
        cost="time n²·f for f features; memory n·f",
    )
    add(
        "memorisation",
        "Data-copying test: nearest training neighbours of generated and held-out samples (Meehan et al., 2020).",
        "Meehan et al. 2020, https://arxiv.org/abs/2004.05675",
        "Alaa et al. 2022, https://arxiv.org/abs/2102.08921",
        cost="time 4·n·t·f for f features and t training samples; memory (n + t)·f",
    )


def _add_label_metrics(add: _Add) -> None:
    by_samples = "time n²·d by nearest samples, n passes by a classifier"
    add(
        "label-match",
        "Class accuracy of conditional samples, by nearest neighbour or a classifier of the data.",
        requires=("labels",),
        cost=by_samples,
    )
    add(
        "code-recovery",
        "Clustering accuracy of a categorical latent code under the best matching to classes (InfoGAN).",
        _CHEN_2016,
        requires=("categorical-codes", "labelled-data"),
        cost=by_samples,
    )
    add(
        "class-modes",
        "Captured classes and KL divergence by a classifier: the 1,000 modes of stacked MNIST.",
        _METZ_2017,
        _LIN_2018,
        requires=("labels",),
        cost="one pass of each sample through the classifier",
    )
    add(
        "information",
        "InfoGAN's lower bound on the mutual information of categorical codes and samples, in nats.",
        _CHEN_2016,
        requires=("categorical-codes", "head:code"),
        cost="one pass of each sample through the discriminator",
    )


def _add_density_metrics(add: _Add) -> None:
    add(
        "modes",
        "Captured modes, high-quality samples (within 3σ) and reverse KL (VEEGAN, PacGAN).",
        _SRIVASTAVA_2017,
        _LIN_2018,
        requires=("density",),
        params=None,
        cost="time n·m·d for m modes",
    )
    add(
        "optimal-discriminator",
        "Gap to the optimal discriminator D* = p/(p + q), and JS, KL and total variation, for a known density.",
        _GOODFELLOW_2014,
        requires=("density",),
        cost="time n and cells of the grid; one pass of each through the discriminator",
    )
    add(
        "parzen",
        "Parzen-window log-likelihood of the 2014 papers, for comparison with them; not a measure of quality.",
        _GOODFELLOW_2014,
        "Theis et al. 2016, https://arxiv.org/abs/1511.01844",
        cost="time n·(validation + test)·d; memory n·d",
    )


def _adder(register: Registrar, module: str, light: str | None, *, has_spec: bool = False, **common: Any) -> _Add:
    """``register`` in short: ``swiss-roll`` has the factory ``build_swiss_roll`` and the params ``SwissRollParams`` unless stated.

    The factories are in ``module``, the params models in ``light``, which must not import torch; if it is ``None``, components have
    no params unless stated. With ``has_spec`` each params model has a method ``spec``. All components share the ``common`` options.
    """

    def add(name: str, summary: str, *references: str, factory: str = "", params: str | None = "", **options: Any) -> None:
        if params or (light and params is not None):
            model = f"{light or module}:{params or name.title().replace('-', '') + 'Params'}"
            options |= {"params": model, "spec": f"{model}.spec"} if has_spec else {"params": model}
        factory = factory or f"build_{name.replace('-', '_')}"
        register(name, f"{module}:{factory}", summary=summary, references=references, **(common | options))

    return add
