"""Registers this plugin's components by name; imports no torch."""

from ganforge.plugin import Registrar, hookimpl

_PAPER = "Radford et al. 2015, Unsupervised Representation Learning with DCGAN, https://arxiv.org/abs/1511.06434"
_RESIZE = "Odena et al. 2016, Deconvolution and Checkerboard Artifacts, https://doi.org/10.23915/distill.00003"
_IMAGE = frozenset({"image"})


@hookimpl
def ganforge_register_generators(register: Registrar) -> None:
    """Register the convolutional generator."""
    register(
        "dcgan",
        "ganforge_dcgan.networks:DcganGenerator",
        params="ganforge_dcgan.params:GeneratorParams",
        summary="Convolutional generator: noise and codes in, square images out.",
        requires=("images",),
        check_params={"width": 2},
        tags=_IMAGE,
        references=(_PAPER, _RESIZE),
    )


@hookimpl
def ganforge_register_discriminators(register: Registrar) -> None:
    """Register the convolutional discriminator."""
    register(
        "dcgan",
        "ganforge_dcgan.networks:DcganDiscriminator",
        params="ganforge_dcgan.params:DiscriminatorParams",
        summary="Convolutional discriminator of square images.",
        requires=("images",),
        check_params={"width": 2},
        tags=_IMAGE,
        references=(_PAPER,),
    )
