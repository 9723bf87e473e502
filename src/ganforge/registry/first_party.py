"""ganforge's own distributions and the short names they hold, installed or not.

A recipe that says ``dcgan`` must mean the same on every computer. So these short names are reserved even where the distribution is
not installed: another package's ``dcgan`` is only found as ``acme-gan/dcgan``.
"""

from __future__ import annotations

from ganforge.registry.component import Kind
from ganforge.registry.selection import BUILTIN, LOCAL, normalise

FIRST_PARTY = frozenset({"ganforge", "ganforge-vanilla", "ganforge-dcgan", "ganforge-cgan", "ganforge-infogan"})
"""Distributions whose short names are reserved."""

_PLUGINS = {BUILTIN: "ganforge", "ganforge": "ganforge"} | {
    name: distribution
    for distribution in FIRST_PARTY - {"ganforge"}
    for name in (distribution, distribution.removeprefix("ganforge-"))
}
"""Whose the names of plugins are by which switches and commands mean a first-party one."""

_HOMES: dict[Kind, dict[str, str]] = {
    Kind.GENERATOR: {
        "mlp": "ganforge-vanilla",
        "dcgan": "ganforge-dcgan",
        "cgan-mlp": "ganforge-cgan",
        "cgan-conv": "ganforge-cgan",
        "infogan-mlp": "ganforge-infogan",
    },
    Kind.DISCRIMINATOR: {
        "mlp": "ganforge-vanilla",
        "maxout": "ganforge-vanilla",
        "dcgan": "ganforge-dcgan",
        "cgan-mlp": "ganforge-cgan",
        "cgan-conv": "ganforge-cgan",
        "projection-conv": "ganforge-cgan",
        "acgan-conv": "ganforge-cgan",
        "infogan-mlp": "ganforge-infogan",
        "infogan-conv": "ganforge-infogan",
    },
    Kind.LOSS: {"auxiliary-classifier": "ganforge-cgan", "mutual-information": "ganforge-infogan"},
}


def home_of(kind: Kind, name: str) -> str | None:
    """The first-party plugin that holds a short name, or ``None``; what ``ganforge`` itself ships is always installed."""
    return _HOMES.get(kind, {}).get(name)


def reserved_plugin(name: str, distribution: str) -> str | None:
    """Why a plugin may not have its name, or ``None``: ``--only-plugins vanilla`` must not let a stranger's ``vanilla`` in."""
    taken = [word for word in (name, distribution) if normalise(word) in _PLUGINS]
    if not taken or distribution in FIRST_PARTY:
        return None
    remedy = "rename the file" if distribution == LOCAL else "its authors must give it another one"
    return f"the plugin name '{taken[0]}' is reserved for {_PLUGINS[normalise(taken[0])]}; {remedy}"
