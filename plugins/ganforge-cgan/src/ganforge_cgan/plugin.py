"""Registers this plugin's components by name; imports no torch."""

from ganforge.plugin import Registrar, hookimpl

_PAPER = "Mirza & Osindero 2014, Conditional Generative Adversarial Nets, https://arxiv.org/abs/1411.1784"
_DCGAN = "Radford et al. 2015, Unsupervised Representation Learning with DCGAN, https://arxiv.org/abs/1511.06434"
_PROJECTION = "Miyato & Koyama 2018, cGANs with Projection Discriminator, https://arxiv.org/abs/1802.05637"
_ACGAN = "Odena, Olah & Shlens 2017, Conditional Image Synthesis with Auxiliary Classifier GANs, https://arxiv.org/abs/1610.09585"
_CONDITIONAL = frozenset({"conditional"})
_IMAGES = frozenset({"conditional", "image"})
_CONVOLUTIONS = "ganforge_cgan.convolutions"


@hookimpl
def ganforge_register_generators(register: Registrar) -> None:
    """Register the conditional generators."""
    register(
        "cgan-mlp",
        "ganforge_cgan.networks:ConditionalGenerator",
        params="ganforge_cgan.params:GeneratorParams",
        summary="Fully connected generator of samples of a given class.",
        requires=("labels",),
        check_params={"hidden": [8, 8]},
        tags=_CONDITIONAL,
        references=(_PAPER,),
    )
    register(
        "cgan-conv",
        f"{_CONVOLUTIONS}:ConvGenerator",
        params="ganforge_cgan.params:ConvGeneratorParams",
        summary="Convolutional generator of images of a given class.",
        requires=("labels", "images"),
        check_params={"width": 2},
        tags=_IMAGES,
        references=(_PAPER, _DCGAN),
    )


@hookimpl
def ganforge_register_discriminators(register: Registrar) -> None:
    """Register the conditional discriminators."""
    register(
        "cgan-mlp",
        "ganforge_cgan.networks:ConditionalDiscriminator",
        params="ganforge_cgan.params:DiscriminatorParams",
        summary="Fully connected discriminator of samples together with their class.",
        requires=("labels",),
        check_params={"hidden": [8, 8]},
        tags=_CONDITIONAL,
        references=(_PAPER,),
    )
    register(
        "cgan-conv",
        f"{_CONVOLUTIONS}:ConvDiscriminator",
        params="ganforge_cgan.params:ConvDiscriminatorParams",
        summary="Convolutional discriminator with an additional input map for each class.",
        requires=("labels", "images"),
        check_params={"width": 2},
        tags=_IMAGES,
        references=(_PAPER, _DCGAN),
    )
    register(
        "projection-conv",
        f"{_CONVOLUTIONS}:ProjectionDiscriminator",
        params="ganforge_cgan.params:ConvDiscriminatorParams",
        summary="Convolutional discriminator with an inner product of class embedding and features.",
        requires=("labels", "images"),
        check_params={"width": 2},
        tags=_IMAGES,
        references=(_PROJECTION, _DCGAN),
    )
    register(
        "acgan-conv",
        f"{_CONVOLUTIONS}:AcganDiscriminator",
        params="ganforge_cgan.params:ConvDiscriminatorParams",
        summary="Convolutional discriminator with a second head that predicts the class.",
        requires=("labels", "images"),
        provides=("head:class",),
        check_params={"width": 2},
        tags=_IMAGES,
        references=(_ACGAN, _DCGAN),
    )


@hookimpl
def ganforge_register_losses(register: Registrar) -> None:
    """Register AC-GAN's class term."""
    register(
        "auxiliary-classifier",
        "ganforge_cgan.losses:AuxiliaryClassifier",
        summary="Trains samples to have the requested class: cross-entropy of the discriminator's class head.",
        requires=("head:class", "labels"),
        tags=_CONDITIONAL,
        references=(_ACGAN,),
    )
