"""Which installed plugins may load; decided before any of them is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ganforge.core.errors import UsageError, did_you_mean

BUILTIN = "builtin"
"""Entry-point name of the components that ganforge itself ships."""


def normalise(name: str) -> str:
    """A distribution's or plugin's name as all of its spellings share it (PEP 503): ``Acme_GAN`` → ``acme-gan``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@dataclass(frozen=True, slots=True)
class Switches:
    """What the user switched off or allowed; each name is an entry-point or a distribution name, normalised.

    Attributes:
        disabled: plugins that must not load.
        allowed: the only plugins that may load beside the built-in ones; ``None`` allows all.
        strict: whether a plugin that fails to load stops the command instead of costing a warning.
    """

    disabled: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None
    strict: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Switches:
        """Read ``GANFORGE_DISABLE_PLUGINS``, ``GANFORGE_PLUGINS`` (empty: built-ins only) and ``GANFORGE_STRICT_PLUGINS``."""
        environ = os.environ if environ is None else environ
        allowed = environ.get("GANFORGE_PLUGINS")
        return cls(
            disabled=_names(environ.get("GANFORGE_DISABLE_PLUGINS", "")),
            allowed=None if allowed is None else _names(allowed),
            strict=environ.get("GANFORGE_STRICT_PLUGINS", "") not in ("", "0"),
        )

    def refusal(self, name: str, distribution: str) -> str | None:
        """Why the plugin may not load, or ``None`` when it may."""
        names = {normalise(name), normalise(distribution)}
        if names & self.disabled:
            return "switched off"
        if self.allowed is not None and not names & self.allowed:
            return "not among the allowed plugins"
        return None

    def check(self, installed: Iterable[tuple[str, str]]) -> None:
        """Compare the names with what is installed, so that a misspelt switch does not pass for a working one.

        Args:
            installed: (entry-point name, distribution name) of each plugin.

        Raises:
            UsageError: a name that no plugin has, or a switch that would disable the built-in components.
        """
        if self.disabled & {BUILTIN, "ganforge"}:
            raise UsageError("the built-in components cannot be switched off", remedy="drop 'ganforge' from the disabled plugins")

        known = {normalise(name) for pair in installed for name in pair} | {BUILTIN, "ganforge"}
        for name in sorted(self.disabled | (self.allowed or frozenset())):
            if name not in known:
                plugins = ", ".join(sorted(known - {BUILTIN, "ganforge"})) or "none"
                hint = did_you_mean(name, known)
                raise UsageError(
                    f"no plugin named '{name}' is installed, so it can be neither disabled nor allowed",
                    remedy=f"{hint} installed: {plugins}" if hint else f"installed: {plugins}",
                )


def _names(text: str) -> frozenset[str]:
    return frozenset(normalise(part) for part in re.split(r"[,\s]+", text) if part)
