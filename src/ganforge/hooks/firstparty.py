"""ganforge's own distributions and the short names they hold, installed or not.

A recipe that says ``dcgan`` must mean the same on every computer. So these short names are reserved even where the distribution is
not installed: another package's ``dcgan`` is only found as ``acme-gan/dcgan``.
"""

from __future__ import annotations

from ganforge.hooks.component import Kind

FIRST_PARTY = frozenset({"ganforge", "ganforge-vanilla", "ganforge-dcgan", "ganforge-cgan", "ganforge-infogan"})
"""Distributions whose short names are reserved."""

_HOMES: dict[Kind, dict[str, str]] = {
    Kind.GENERATOR: {
        "mlp": "ganforge-vanilla",
        "dcgan": "ganforge-dcgan",
        "cgan-mlp": "ganforge-cgan",
        "infogan-mlp": "ganforge-infogan",
    },
    Kind.DISCRIMINATOR: {
        "mlp": "ganforge-vanilla",
        "maxout": "ganforge-vanilla",
        "dcgan": "ganforge-dcgan",
        "cgan-mlp": "ganforge-cgan",
        "infogan-mlp": "ganforge-infogan",
    },
    Kind.LOSS: {"mutual-information": "ganforge-infogan"},
}


def home_of(kind: Kind, name: str) -> str | None:
    """The first-party plugin that holds a short name, or ``None``; what ``ganforge`` itself ships is always installed."""
    return _HOMES.get(kind, {}).get(name)
