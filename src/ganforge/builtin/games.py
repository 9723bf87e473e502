"""What the built-in games consist of, without torch; the games themselves are in ganforge.games."""

from __future__ import annotations

from ganforge.plugin import GameSpec, NetworkRole, NoParams


def two_player_spec(_params: NoParams) -> GameSpec:
    """A discriminator against a generator (Goodfellow et al. 2014)."""
    return GameSpec(
        networks={"generator": NetworkRole("generator"), "discriminator": NetworkRole("discriminator")},
        players={"discriminator": ("discriminator",), "generator": ("generator",)},
        critic="discriminator",
    )
