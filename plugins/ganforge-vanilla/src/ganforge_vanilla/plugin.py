"""Registers this plugin's components by name; imports no torch."""

from ganforge.plugin import Registrar, hookimpl

_PAPER = "Goodfellow et al. 2014, Generative Adversarial Nets, https://arxiv.org/abs/1406.2661"
_MAXOUT = "Goodfellow et al. 2013, Maxout Networks, https://arxiv.org/abs/1302.4389"


@hookimpl
def ganforge_register_generators(register: Registrar) -> None:
    """Register the fully connected generator."""
    register(
        "mlp",
        "ganforge_vanilla.networks:build_generator",
        params="ganforge_vanilla.params:MlpGeneratorParams",
        summary="Fully connected generator: noise and codes in, points or images out.",
        check_params={"hidden": [8, 8]},
        references=(_PAPER,),
    )


@hookimpl
def ganforge_register_discriminators(register: Registrar) -> None:
    """Register the fully connected discriminator and the maxout one."""
    register(
        "mlp",
        "ganforge_vanilla.networks:MlpDiscriminator",
        params="ganforge_vanilla.params:MlpDiscriminatorParams",
        summary="Fully connected discriminator.",
        check_params={"hidden": [8, 8]},
        references=(_PAPER,),
    )
    register(
        "maxout",
        "ganforge_vanilla.networks:MaxoutDiscriminator",
        params="ganforge_vanilla.params:MaxoutParams",
        summary="Maxout discriminator with dropout, as the 2014 paper trained it.",
        check_params={"units": [6, 6], "pieces": 3},
        references=(_PAPER, _MAXOUT),
    )
