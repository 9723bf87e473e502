"""The metrics that ganforge itself brings, announced for the built-in plugin."""

from __future__ import annotations

from ganforge.plugin import Registrar

_BASE_PARAMS = "ganforge.builtin.component_params"
_PARAMS = "ganforge.builtin.metrics.metric_params"
_SEEN_PARAMS = "ganforge.builtin.metrics.feature_params"
_MEASURES = "ganforge.builtin.metrics.basic_metrics"
_SEEN = "ganforge.builtin.metrics.feature_metrics"
_NEIGHBOURS = "ganforge.builtin.metrics.neighbour_metrics"
_DISTANCES = "ganforge.builtin.metrics.distance_metrics"
_DENSITY = "ganforge.builtin.metrics.density_metrics"
_CODES = "ganforge.builtin.metrics.information_metrics"
_PARZEN = "ganforge.builtin.metrics.parzen_metric"


def register_metrics(register: Registrar) -> None:
    """Transport, modes, classes, features, neighbours, densities, codes, and the table of 2014."""
    register(
        "wasserstein",
        f"{_MEASURES}:build_wasserstein",
        params=f"{_BASE_PARAMS}:WassersteinParams",
        summary="Exact optimal-transport distance to as many held-out real samples.",
        cost="time about n²·d and, for the plan, more than n² log n; memory five times n²; on a line n log n",
    )
    register(
        "modes",
        f"{_MEASURES}:build_modes",
        requires=("density",),
        summary="Captured modes, high-quality share (3σ) and reverse KL, as VEEGAN and PacGAN count them.",
        cost="time n·m·d for m modes",
        references=(
            "Srivastava et al. 2017, https://arxiv.org/abs/1705.07761",
            "Lin et al. 2018, https://arxiv.org/abs/1712.04086",
        ),
    )
    register(
        "code-recovery",
        f"{_MEASURES}:build_code_recovery",
        params=f"{_SEEN_PARAMS}:CodeRecoveryParams",
        requires=("categorical-codes", "labels"),
        summary="Does a categorical code mean a class? Accuracy under the best matching; classes by 1-NN or a classifier.",
        cost="time n²·d by nearest samples, n passes by a classifier",
        references=("Chen et al. 2016, https://arxiv.org/abs/1606.03657",),
    )
    register(
        "label-match",
        f"{_MEASURES}:build_label_match",
        params=f"{_SEEN_PARAMS}:LabelMatchParams",
        requires=("labels",),
        summary="Share of conditional samples that are of the class asked for, by 1-NN or by a classifier.",
        cost="time n²·d by nearest samples, n passes by a classifier",
    )
    register(
        "frechet",
        f"{_SEEN}:build_frechet",
        params=f"{_SEEN_PARAMS}:FeatureParams",
        summary="Fréchet distance of named features; of Inception's it is FID. Biased where samples are few.",
        cost="time n·f² + f³ for f features, and one pass of each sample through their network",
        references=("Heusel et al. 2017, https://arxiv.org/abs/1706.08500",),
    )
    register(
        "kernel",
        f"{_SEEN}:build_kernel",
        params=f"{_SEEN_PARAMS}:KernelParams",
        summary="Kernel distance of named features, without bias; of Inception's it is KID.",
        cost="time n²·f for f features, and one pass of each sample through their network",
        references=("Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401",),
    )
    register(
        "class-modes",
        f"{_SEEN}:build_class_modes",
        params=f"{_SEEN_PARAMS}:ClassModesParams",
        requires=("labels",),
        summary="Classes that a classifier finds, and KL of their shares: the 1,000 modes of stacked MNIST.",
        cost="one pass of each sample through the classifier",
        references=("Metz et al. 2017, https://arxiv.org/abs/1611.02163", "Lin et al. 2018, https://arxiv.org/abs/1712.04086"),
    )
    register(
        "precision-recall",
        f"{_NEIGHBOURS}:build_precision_recall",
        params=f"{_PARAMS}:PrecisionRecallParams",
        summary="Precision and recall, density and coverage: quality and diversity apart, on named features.",
        cost="time 3·n²·f for f features; memory n·f",
        references=(
            "Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991",
            "Naeem et al. 2020, https://arxiv.org/abs/2002.09797",
        ),
    )
    register(
        "one-nearest-neighbour",
        f"{_NEIGHBOURS}:build_one_nearest_neighbour",
        params=f"{_PARAMS}:OneNearestNeighbourParams",
        summary="Does the nearest other sample tell real from generated? 1 for sets apart, 0 for copies of real ones.",
        cost="time 3·n²·f for f features; memory n·f",
        references=("Xu et al. 2018, https://arxiv.org/abs/1806.07755",),
    )
    register(
        "duplicates",
        f"{_NEIGHBOURS}:build_duplicates",
        params=f"{_PARAMS}:DuplicatesParams",
        summary="The birthday test: near and exact repeats among generated samples, against those among real ones.",
        cost="time n²·f for f features; memory n·f",
        references=("Arora & Zhang 2017, https://arxiv.org/abs/1706.08224",),
    )
    register(
        "parzen",
        f"{_PARZEN}:build_parzen",
        params=f"{_PARAMS}:ParzenParams",
        summary="The 2014 papers' log-likelihood estimate; 10,000 samples by their protocol. No measure of quality.",
        cost="time n·(validation + test)·d; memory n·d",
        references=(
            "Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661",
            "Theis et al. 2016, https://arxiv.org/abs/1511.01844",
        ),
    )
    register(
        "information",
        f"{_CODES}:build_information",
        params=f"{_PARAMS}:InformationParams",
        requires=("categorical-codes", "head:code"),
        summary="InfoGAN's bound on the information between categorical codes and samples, in nats beside H(c).",
        cost="one pass of each sample through the discriminator",
        references=("Chen et al. 2016, https://arxiv.org/abs/1606.03657",),
    )
    register(
        "optimal-discriminator",
        f"{_DENSITY}:build_optimal_discriminator",
        params=f"{_PARAMS}:OptimalDiscriminatorParams",
        requires=("density",),
        summary="Gap of the discriminator to D* = p/(p + q), and divergences of the densities, where p is known.",
        cost="time n and cells of the grid; one pass of each through the discriminator",
        references=("Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661",),
    )
    register(
        "sliced-wasserstein",
        f"{_DISTANCES}:build_sliced_wasserstein",
        params=f"{_PARAMS}:SlicedWassersteinParams",
        summary="Wasserstein distance along random lines: cheap where the exact one is dear.",
        cost="time directions·n·(d + log n); memory n·d",
        references=("Bonneel et al. 2015, https://doi.org/10.1007/s10851-014-0506-3",),
    )
    register(
        "mmd",
        f"{_DISTANCES}:build_mmd",
        params=f"{_PARAMS}:MmdParams",
        summary="Unbiased squared maximum mean discrepancy of named features, under Gaussian kernels.",
        cost="time 3·n²·f for f features; memory n·f",
        references=("Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html",),
    )
    register(
        "memorisation",
        f"{_DISTANCES}:build_memorisation",
        params=f"{_PARAMS}:MemorisationParams",
        summary="Copies of training data: nearest training neighbours of generated against held-out samples.",
        cost="time 4·n·t·f for f features and t training samples; memory (n + t)·f",
        references=(
            "Meehan et al. 2020, https://arxiv.org/abs/2004.05675",
            "Alaa et al. 2022, https://arxiv.org/abs/2102.08921",
        ),
    )
