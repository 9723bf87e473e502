"""Two games as a third party writes them in one file: AAE (Makhzani et al. 2015) and BiGAN (Donahue et al. 2017)."""

from dataclasses import replace

import torch
from torch import nn
from torch.nn.functional import softplus

from ganforge.plugin import (
    BuildContext,
    DataSpec,
    DiscriminatorOutput,
    EncoderContext,
    Game,
    GameSpec,
    Latent,
    LossTerms,
    NetworkRole,
    Player,
    Samples,
    TermInfo,
    hookimpl,
)


@hookimpl
def ganforge_register_games(register):
    register("aae", Aae, spec=aae_spec, summary="Autoencoder whose latents a discriminator compares with the prior.")
    register(
        "bigan", BiGan, spec=bigan_spec, summary="Encoder and generator against a discriminator of samples and latents together."
    )


@hookimpl
def ganforge_register_discriminators(register):
    register("joint", Joint, summary="Reads a sample and its latent.")


def encoder_sizes(context):
    return EncoderContext(context.data, context.latent, (context.latent.noise,))


def latent_sizes(context):
    return BuildContext(DataSpec((context.latent.noise,)), context.latent)


def aae_spec(_params):
    return GameSpec(
        networks={
            "encoder": NetworkRole("encoder", encoder_sizes),
            "generator": NetworkRole("generator"),
            "prior": NetworkRole("discriminator", latent_sizes),
        },
        players={"autoencoder": ("encoder", "generator"), "prior": ("prior",), "regulariser": ("encoder",)},
        encoder="encoder",
        needs_loss=False,
    )


def bigan_spec(_params):
    return GameSpec(
        networks={
            "encoder": NetworkRole("encoder", encoder_sizes),
            "generator": NetworkRole("generator"),
            "discriminator": NetworkRole("discriminator"),
        },
        players={"discriminator": ("discriminator",), "pair": ("encoder", "generator")},
        encoder="encoder",
        needs_loss=False,
    )


class Aae(Game):
    term_info = {
        "autoencoder/error": TermInfo("mean squared error of the reconstruction"),
        "prior/real": TermInfo("cost of taking drawn latents for encoded ones"),
        "prior/fake": TermInfo("cost of taking encoded latents for drawn ones"),
        "regulariser/adversarial": TermInfo("cost of encoded latents that are recognised"),
    }

    def __init__(self, _params, context):
        super().__init__(context)
        self.players = (
            Player("autoencoder", ("encoder", "generator"), self.reconstruct),
            Player("prior", ("prior",), self.judge),
            Player("regulariser", ("encoder",), self.regularise),
        )

    def reconstruct(self, batch, _step):
        made = self.generate(replace(batch.latent, noise=self.encode(batch.real)), tuple(batch.real.values.shape[1:]))
        return LossTerms({"error": (made.values - batch.real.values).square().mean()})

    def judge(self, batch, _step):
        critic = self.critic("prior")
        drawn, encoded = Samples(batch.latent.noise), Samples(self.encode(batch.real))
        return LossTerms({"real": softplus(-critic(drawn).logits).mean(), "fake": softplus(critic(encoded).logits).mean()})

    def regularise(self, batch, _step):
        encoded = Samples(self.encode(batch.real))
        return LossTerms({"adversarial": softplus(-self.critic("prior")(encoded).logits).mean()})


class BiGan(Game):
    term_info = {
        "discriminator/real": TermInfo("cost of taking encoded pairs for generated ones"),
        "discriminator/fake": TermInfo("cost of taking generated pairs for encoded ones"),
        "pair/real": TermInfo("cost of encoded pairs that are recognised"),
        "pair/fake": TermInfo("cost of generated pairs that are recognised"),
    }

    def __init__(self, _params, context):
        super().__init__(context)
        self.players = (
            Player("discriminator", ("discriminator",), self.judge),
            Player("pair", ("encoder", "generator"), self.deceive),
        )

    def judge(self, batch, _step):
        real, fake = self.logits(batch)
        return LossTerms({"real": softplus(-real).mean(), "fake": softplus(fake).mean()})

    def deceive(self, batch, _step):
        real, fake = self.logits(batch)
        return LossTerms({"real": softplus(real).mean(), "fake": softplus(-fake).mean()})

    def logits(self, batch):
        """Those of (x, E(x)) and of (G(z), z)."""
        critic = self.critic()
        real = Samples(batch.real.values, latent=Latent(self.encode(batch.real)))
        fake = self.generate(batch.latent, tuple(batch.real.values.shape[1:]))
        return critic(real).logits, critic(fake).logits


class Joint(nn.Module):
    def __init__(self, _params, context):
        super().__init__()
        width = context.data.size + context.latent.noise
        self.layers = nn.Sequential(nn.Linear(width, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, samples):
        both = torch.cat([samples.values.flatten(1), samples.latent.noise], dim=1)
        return DiscriminatorOutput(self.layers(both).squeeze(1))
