"""Metrics beyond those of modes, transport and labels, announced for the built-in plugin."""

from __future__ import annotations

from ganforge.plugin import Registrar

_PARAMS = "ganforge.builtin.params_metrics"
_NEIGHBOURS = "ganforge.builtin.measures_neighbours"
_DISTANCES = "ganforge.builtin.measures_distances"
_DENSITY = "ganforge.builtin.measures_density"
_CODES = "ganforge.builtin.measures_codes"
_PARZEN = "ganforge.builtin.measures_parzen"


def register_more_metrics(register: Registrar) -> None:
    """Neighbours, distances, densities, codes, and the table of 2014."""
    register(
        "precision-recall",
        f"{_NEIGHBOURS}:build_precision_recall",
        params=f"{_PARAMS}:PrecisionRecallParams",
        summary="Precision and recall, density and coverage: quality and diversity apart, on named features.",
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
        references=("Xu et al. 2018, https://arxiv.org/abs/1806.07755",),
    )
    register(
        "duplicates",
        f"{_NEIGHBOURS}:build_duplicates",
        params=f"{_PARAMS}:DuplicatesParams",
        summary="The birthday test: near and exact repeats among generated samples, against those among real ones.",
        references=("Arora & Zhang 2017, https://arxiv.org/abs/1706.08224",),
    )
    register(
        "parzen",
        f"{_PARZEN}:build_parzen",
        params=f"{_PARAMS}:ParzenParams",
        summary="The 2014 papers' log-likelihood estimate; 10,000 samples by their protocol. No measure of quality.",
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
        references=("Chen et al. 2016, https://arxiv.org/abs/1606.03657",),
    )
    register(
        "optimal-discriminator",
        f"{_DENSITY}:build_optimal_discriminator",
        params=f"{_PARAMS}:OptimalDiscriminatorParams",
        requires=("density",),
        summary="Gap of the discriminator to D* = p/(p + q), and divergences of the densities, where p is known.",
        references=("Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661",),
    )
    register(
        "sliced-wasserstein",
        f"{_DISTANCES}:build_sliced_wasserstein",
        params=f"{_PARAMS}:SlicedWassersteinParams",
        summary="Wasserstein distance along random lines: cheap where the exact one is dear.",
        references=("Bonneel et al. 2015, https://doi.org/10.1007/s10851-014-0506-3",),
    )
    register(
        "mmd",
        f"{_DISTANCES}:build_mmd",
        params=f"{_PARAMS}:MmdParams",
        summary="Unbiased squared maximum mean discrepancy of named features, under Gaussian kernels.",
        references=("Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html",),
    )
    register(
        "memorisation",
        f"{_DISTANCES}:build_memorisation",
        params=f"{_PARAMS}:MemorisationParams",
        summary="Copies of training data: nearest training neighbours of generated against held-out samples.",
        references=(
            "Meehan et al. 2020, https://arxiv.org/abs/2004.05675",
            "Alaa et al. 2022, https://arxiv.org/abs/2102.08921",
        ),
    )
