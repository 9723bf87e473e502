"""What ganforge itself brings: losses, samplers, data sets and metrics, announced by the same hooks as a stranger's."""

from __future__ import annotations

from ganforge.builtin.metrics.metric_registration import register_metrics
from ganforge.plugin import Registrar, hookimpl

_PARAMS = "ganforge.builtin.component_params"
_DATA = "ganforge.builtin.datasets.dataset_params"
_SPECS = "ganforge.builtin.component_specs"
_IMAGES = "ganforge.builtin.datasets.image_params"
_IMAGE_SPECS = "ganforge.builtin.datasets.image_specs"
_MNIST = "ganforge.builtin.datasets.mnist"
_REMOTE = "ganforge.builtin.datasets.remote_datasets"
_ADVERSARIAL = "ganforge.builtin.adversarial_losses"
_PENALTIES = "ganforge.builtin.gradient_penalties"
_SAMPLERS = "ganforge.builtin.samplers"
_POINTS = "ganforge.builtin.datasets.points"

_ADVERSARIAL_TAG = frozenset({"adversarial"})
_PENALTY_TAG = frozenset({"penalty"})


@hookimpl
def ganforge_register_losses(register: Registrar) -> None:
    """Six adversarial losses and three gradient penalties."""
    register(
        "minimax",
        f"{_ADVERSARIAL}:build_minimax",
        summary="Original zero-sum game: the generator descends log(1 - D(G(z))).",
        tags=_ADVERSARIAL_TAG,
        references=("Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661",),
    )
    register(
        "non-saturating",
        f"{_ADVERSARIAL}:build_non_saturating",
        summary="Original game as played in practice: the generator descends -log D(G(z)).",
        tags=_ADVERSARIAL_TAG,
        references=("Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661",),
    )
    register(
        "least-squares",
        f"{_ADVERSARIAL}:build_least_squares",
        params=f"{_PARAMS}:LeastSquaresParams",
        summary="LSGAN: halved squared distance of the logits from targets a, b and c.",
        tags=_ADVERSARIAL_TAG,
        references=("Mao et al. 2017, https://arxiv.org/abs/1611.04076",),
    )
    register(
        "hinge",
        f"{_ADVERSARIAL}:build_hinge",
        summary="Hinge loss with margin 1, as in SAGAN.",
        tags=_ADVERSARIAL_TAG,
        references=("Lim & Ye 2017, https://arxiv.org/abs/1705.02894", "Zhang et al. 2019, https://arxiv.org/abs/1805.08318"),
    )
    register(
        "wasserstein",
        f"{_ADVERSARIAL}:build_wasserstein",
        summary="WGAN: difference of mean scores; add a gradient penalty to bound the slope.",
        tags=_ADVERSARIAL_TAG,
        references=("Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875",),
    )
    register(
        "relativistic",
        f"{_ADVERSARIAL}:build_relativistic",
        summary="RpGAN: every fake is judged against a paired real sample; with r1 and r2 it is R3GAN's loss.",
        tags=_ADVERSARIAL_TAG,
        references=(
            "Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734",
            "Huang et al. 2025, https://arxiv.org/abs/2501.05441",
        ),
    )
    register(
        "gradient-penalty",
        f"{_PENALTIES}:build_gradient_penalty",
        params=f"{_PARAMS}:GradientPenaltyParams",
        summary="WGAN-GP: keeps the critic's slope near 1 between real and fake; the paper's λ is the weight.",
        tags=_PENALTY_TAG,
        references=("Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028",),
    )
    register(
        "r1",
        f"{_PENALTIES}:build_r1",
        summary="R₁: half the squared slope at real samples; the paper's γ is the weight.",
        tags=_PENALTY_TAG,
        references=("Mescheder et al. 2018, https://arxiv.org/abs/1801.04406",),
    )
    register(
        "r2",
        f"{_PENALTIES}:build_r2",
        summary="R₂: half the squared slope at generated samples; the paper's γ is the weight.",
        tags=_PENALTY_TAG,
        references=("Mescheder et al. 2018, https://arxiv.org/abs/1801.04406",),
    )


@hookimpl
def ganforge_register_samplers(register: Registrar) -> None:
    """Plain, labelled and structured noise."""
    register(
        "normal",
        f"{_SAMPLERS}:build_normal",
        params=f"{_PARAMS}:NormalParams",
        spec=f"{_SPECS}:noise_spec",
        summary="Standard normal noise.",
        check_params={"size": 3},
    )
    register(
        "uniform",
        f"{_SAMPLERS}:build_uniform",
        params=f"{_PARAMS}:UniformParams",
        spec=f"{_SPECS}:noise_spec",
        summary="Uniform noise.",
        check_params={"size": 3},
    )
    register(
        "labelled",
        f"{_SAMPLERS}:build_labelled",
        params=f"{_PARAMS}:LabelledParams",
        spec=f"{_SPECS}:labelled_spec",
        requires=("labels",),
        summary="Noise with a label drawn from the data's class shares.",
        check_params={"size": 3},
        tags=frozenset({"conditional"}),
        references=("Mirza & Osindero 2014, https://arxiv.org/abs/1411.1784",),
    )
    register(
        "structured",
        f"{_SAMPLERS}:build_structured",
        params=f"{_PARAMS}:StructuredParams",
        spec=f"{_SPECS}:structured_spec",
        summary="Noise with categorical and continuous codes.",
        check_params={"size": 3, "categorical": (2, 3), "continuous": 1},
        tags=frozenset({"codes"}),
        references=("Chen et al. 2016, https://arxiv.org/abs/1606.03657",),
    )


@hookimpl
def ganforge_register_datasets(register: Registrar) -> None:
    """Points with a known truth, images, and the user's own arrays."""
    register(
        "moons",
        f"{_POINTS}:build_moons",
        params=f"{_DATA}:MoonsParams",
        spec=f"{_SPECS}:moons_spec",
        summary="Two interleaved half circles, labelled.",
        check_params={"samples": 200},
        tags=frozenset({"points", "labels"}),
    )
    register(
        "gaussian-1d",
        f"{_POINTS}:build_gaussian",
        params=f"{_DATA}:GaussianParams",
        spec=f"{_SPECS}:gaussian_spec",
        summary="Numbers under one bell, as in Figure 1 of the 2014 paper.",
        check_params={"samples": 200},
        tags=frozenset({"points", "density"}),
        references=("Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661",),
    )
    register(
        "ring",
        f"{_POINTS}:build_ring",
        params=f"{_DATA}:RingParams",
        spec=f"{_SPECS}:ring_spec",
        summary="Narrow Gaussians on a circle: does the generator find every mode?",
        check_params={"samples": 200},
        tags=frozenset({"points", "density"}),
        references=(
            "Srivastava et al. 2017, https://arxiv.org/abs/1705.07761",
            "Lin et al. 2018, https://arxiv.org/abs/1712.04086",
        ),
    )
    register(
        "grid",
        f"{_POINTS}:build_grid",
        params=f"{_DATA}:GridParams",
        spec=f"{_SPECS}:grid_spec",
        summary="Narrow Gaussians on a square grid.",
        check_params={"samples": 200},
        tags=frozenset({"points", "density"}),
        references=(
            "Srivastava et al. 2017, https://arxiv.org/abs/1705.07761",
            "Lin et al. 2018, https://arxiv.org/abs/1712.04086",
        ),
    )
    register(
        "swiss-roll",
        f"{_POINTS}:build_swiss_roll",
        params=f"{_DATA}:SwissRollParams",
        spec=f"{_SPECS}:swiss_roll_spec",
        summary="A spiral in the plane.",
        check_params={"samples": 200},
        tags=frozenset({"points"}),
        references=("Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028",),
    )
    register(
        "digits",
        "ganforge.builtin.datasets.digits:build_digits",
        params=f"{_DATA}:DigitsParams",
        spec=f"{_SPECS}:digits_spec",
        summary="Scikit-learn's 1,797 handwritten digits, 8×8, in [-1, 1], labelled.",
        tags=frozenset({"images", "labels"}),
        references=("Alpaydin & Kaynak 1998, https://archive.ics.uci.edu/dataset/80",),
    )
    register(
        "mnist",
        f"{_MNIST}:build_mnist",
        params=f"{_IMAGES}:MnistParams",
        spec=f"{_IMAGE_SPECS}:mnist_spec",
        checksums=f"{_REMOTE}:MNIST_CHECKSUMS",
        summary="70,000 handwritten digits, 28×28, labelled; `ganforge data prepare mnist` gets them.",
        tags=frozenset({"images", "labels"}),
        references=("LeCun et al. 1998, https://doi.org/10.1109/5.726791",),
    )
    register(
        "fashion-mnist",
        f"{_MNIST}:build_fashion_mnist",
        params=f"{_IMAGES}:MnistParams",
        spec=f"{_IMAGE_SPECS}:fashion_mnist_spec",
        checksums=f"{_REMOTE}:FASHION_MNIST_CHECKSUMS",
        summary="70,000 articles of clothing, 28×28, labelled; from Debian or `ganforge data prepare`.",
        tags=frozenset({"images", "labels"}),
        references=("Xiao et al. 2017, https://arxiv.org/abs/1708.07747",),
    )
    register(
        "stacked-mnist",
        f"{_MNIST}:build_stacked_mnist",
        params=f"{_IMAGES}:StackedMnistParams",
        spec=f"{_IMAGE_SPECS}:stacked_mnist_spec",
        checksums=f"{_REMOTE}:MNIST_CHECKSUMS",
        summary="Three random digits of MNIST as red, green and blue: are all 1,000 modes found?",
        check_params={"samples": 2_000},
        tags=frozenset({"images", "labels"}),
        references=("Metz et al. 2017, https://arxiv.org/abs/1611.02163", "Lin et al. 2018, https://arxiv.org/abs/1712.04086"),
    )
    register(
        "cifar10",
        "ganforge.builtin.datasets.cifar10:build_cifar10",
        params=f"{_IMAGES}:Cifar10Params",
        spec=f"{_IMAGE_SPECS}:cifar10_spec",
        checksums=f"{_REMOTE}:CIFAR10_CHECKSUMS",
        summary="60,000 photographs of ten kinds, 32×32, labelled; `ganforge data prepare cifar10` gets them.",
        tags=frozenset({"images", "labels"}),
        references=("Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",),
    )
    register(
        "image-folder",
        "ganforge.builtin.datasets.image_folder:build_image_folder",
        params=f"{_IMAGES}:ImageFolderParams",
        summary="Your own pictures from a folder, cropped and resized; its sub-folders are classes.",
        check_params={"folder": "images"},
        tags=frozenset({"images", "labels"}),
    )
    register(
        "arrays",
        "ganforge.builtin.datasets.user_arrays:build_arrays",
        params=f"{_DATA}:ArraysParams",
        summary="Your own points or images from .npy, .npz or .csv, with labels if there are any.",
        check_params={"file": "samples.npz"},
        tags=frozenset({"points", "images"}),
    )


@hookimpl
def ganforge_register_metrics(register: Registrar) -> None:
    """Measures against held-out real samples."""
    register_metrics(register)
