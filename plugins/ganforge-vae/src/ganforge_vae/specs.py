"""What the games consist of, without torch."""

from __future__ import annotations

from collections.abc import Callable

from ganforge.plugin import BuildContext, EncoderContext, GameSpec, NetworkRole, NoParams

AUTOENCODER = "autoencoder"
"""The player that trains encoder and generator together."""
RECONSTRUCTION, POSTERIOR = "reconstruction", "posterior"
"""What losses can read in ``Turn.outputs``."""


def autoencoder_spec(_params: NoParams) -> GameSpec:
    """The encoder gives the latent."""
    return _spec(_encoder_sizes(1), (RECONSTRUCTION,))


def vae_spec(_params: NoParams) -> GameSpec:
    """The encoder gives mean and log variance of each dimension of the latent."""
    return _spec(_encoder_sizes(2), (RECONSTRUCTION, POSTERIOR))


def _spec(sizes: Callable[[BuildContext], EncoderContext], outputs: tuple[str, ...]) -> GameSpec:
    return GameSpec(
        networks={"encoder": NetworkRole("encoder", sizes), "generator": NetworkRole("generator")},
        players={AUTOENCODER: ("encoder", "generator")},
        encoder="encoder",
        averaged=("encoder",),
        outputs=outputs,
    )


def _encoder_sizes(times: int) -> Callable[[BuildContext], EncoderContext]:
    def sizes(context: BuildContext) -> EncoderContext:
        return EncoderContext(context.data, context.latent, (times * context.latent.noise,))

    return sizes
