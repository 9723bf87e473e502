"""What this plugin offers. Light: names and references only, no torch."""

from ganforge.plugin import Registrar, hookimpl

_PAPER = "Mirza & Osindero 2014, Conditional Generative Adversarial Nets, https://arxiv.org/abs/1411.1784"


@hookimpl
def ganforge_register_generators(register: Registrar) -> None:
    """Announce the conditional generator."""
    register(
        "cgan-mlp",
        "ganforge_cgan.networks:build_generator",
        params="ganforge_cgan.params:GeneratorParams",
        summary="Fully connected generator that is told which class to make.",
        requires=("labels",),
        check_params={"hidden": [8, 8]},
        tags=frozenset({"conditional"}),
        references=(_PAPER,),
    )


@hookimpl
def ganforge_register_discriminators(register: Registrar) -> None:
    """Announce the conditional discriminator."""
    register(
        "cgan-mlp",
        "ganforge_cgan.networks:build_discriminator",
        params="ganforge_cgan.params:DiscriminatorParams",
        summary="Fully connected discriminator that judges samples together with their class.",
        requires=("labels",),
        check_params={"hidden": [8, 8]},
        tags=frozenset({"conditional"}),
        references=(_PAPER,),
    )
