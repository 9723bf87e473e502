"""What this plugin offers. Light: names and references only, no torch."""

from ganforge.plugin import Registrar, hookimpl


@hookimpl
def ganforge_register_datasets(register: Registrar) -> None:
    """Announce the circles."""
    register(
        "concentric",
        "acme_rings.circles:build_concentric",
        params="acme_rings.params:ConcentricParams",
        spec="acme_rings.specs:concentric_spec",
        summary="Points on concentric circles, evenly dense along each of them.",
        check_params={"samples": 300},
        tags=frozenset({"points"}),
    )


@hookimpl
def ganforge_register_generators(register: Registrar) -> None:
    """Announce the Fourier-feature generator."""
    register(
        "fourier",
        "acme_rings.networks:build_fourier",
        params="acme_rings.params:FourierParams",
        summary="Random Fourier features of the latent, then residual layers.",
        check_params={"frequencies": 8, "width": 8},
        references=("Tancik et al. 2020, https://arxiv.org/abs/2006.10739",),
    )


@hookimpl
def ganforge_register_losses(register: Registrar) -> None:
    """Announce the f-GAN loss."""
    register(
        "f-gan",
        "acme_rings.losses:build_f_gan",
        params="acme_rings.params:FGanParams",
        summary="Variational bound of an f-divergence, such as Kullback and Leibler's.",
        tags=frozenset({"adversarial"}),
        references=("Nowozin et al. 2016, https://arxiv.org/abs/1606.00709",),
    )
