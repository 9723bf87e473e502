"""Registers this plugin's components by name; imports no torch."""

from ganforge.plugin import Registrar, hookimpl

_PAPER = "Chen et al. 2016, InfoGAN, https://arxiv.org/abs/1606.03657"
_DCGAN = "Radford et al. 2015, Unsupervised Representation Learning with DCGAN, https://arxiv.org/abs/1511.06434"


@hookimpl
def ganforge_register_generators(register: Registrar) -> None:
    """Register the generator that takes codes."""
    register(
        "infogan-mlp",
        "ganforge_infogan.networks:InfoganGenerator",
        params="ganforge_infogan.params:GeneratorParams",
        summary="Fully connected generator of noise and structured codes.",
        requires=("codes",),
        check_params={"hidden": [8, 8]},
        references=(_PAPER,),
    )


@hookimpl
def ganforge_register_discriminators(register: Registrar) -> None:
    """Register the discriminators with a code reader."""
    register(
        "infogan-mlp",
        "ganforge_infogan.networks:InfoganDiscriminator",
        params="ganforge_infogan.params:DiscriminatorParams",
        summary="Fully connected discriminator with a second head that recovers the codes.",
        requires=("codes",),
        provides=("head:code",),
        check_params={"hidden": [8, 8]},
        references=(_PAPER,),
    )
    register(
        "infogan-conv",
        "ganforge_infogan.convolutions:InfoganConvDiscriminator",
        params="ganforge_infogan.params:ConvDiscriminatorParams",
        summary="Convolutional discriminator with a second head that recovers the codes.",
        requires=("codes", "images"),
        provides=("head:code",),
        check_params={"width": 2, "reader": [6]},
        tags=frozenset({"image"}),
        references=(_PAPER, _DCGAN),
    )


@hookimpl
def ganforge_register_losses(register: Registrar) -> None:
    """Register the information loss."""
    register(
        "mutual-information",
        "ganforge_infogan.losses:MutualInformation",
        params="ganforge_infogan.params:MutualInformationParams",
        summary="Makes codes readable from samples: the InfoGAN bound, in both turns.",
        requires=("head:code", "codes"),
        references=(_PAPER,),
    )
