"""Registers this plugin's components by name; imports no torch."""

from ganforge.plugin import Registrar, hookimpl

_HINTON = (
    "Hinton & Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks, https://doi.org/10.1126/science.1127647"
)
_KINGMA = "Kingma & Welling 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114"
_HIGGINS = "Higgins et al. 2017, β-VAE, https://openreview.net/forum?id=Sy2fzU9gl"


@hookimpl
def ganforge_register_games(register: Registrar) -> None:
    """Register the two autoencoders."""
    register(
        "autoencoder",
        "ganforge_vae.games:Autoencoder",
        spec="ganforge_vae.specs:autoencoder_spec",
        summary="An encoder and a generator that reconstruct the data through a bottleneck.",
        provides=("output:reconstruction",),
        references=(_HINTON,),
    )
    register(
        "vae",
        "ganforge_vae.games:Vae",
        spec="ganforge_vae.specs:vae_spec",
        summary="Variational autoencoder: an encoder that gives the posterior of the latent, and a generator.",
        provides=("output:reconstruction", "output:posterior"),
        references=(_KINGMA,),
    )


@hookimpl
def ganforge_register_encoders(register: Registrar) -> None:
    """Register the encoder."""
    register(
        "mlp",
        "ganforge_vae.networks:MlpEncoder",
        params="ganforge_vae.params:MlpEncoderParams",
        summary="Fully connected encoder.",
        check_params={"hidden": [8, 8]},
        references=(_KINGMA,),
    )


@hookimpl
def ganforge_register_losses(register: Registrar) -> None:
    """Register the two parts of the evidence lower bound."""
    register(
        "reconstruction",
        "ganforge_vae.losses:Reconstruction",
        params="ganforge_vae.params:ReconstructionParams",
        summary="Negative log-likelihood of the data under their reconstruction, in nats, or the squared error.",
        requires=("output:reconstruction",),
        references=(_KINGMA,),
    )
    register(
        "kl",
        "ganforge_vae.losses:KlDivergence",
        params="ganforge_vae.params:KlDivergenceParams",
        summary="Divergence of the posterior from the standard normal prior, in nats; its weight is β.",
        requires=("output:posterior",),
        references=(_KINGMA, _HIGGINS),
    )
