"""Which plugins may load; decided by their names, before any of them is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ganforge.core.errors import UsageError, did_you_mean

BUILTIN = "builtin"
"""Entry-point name of the components that ganforge itself ships."""

LOCAL = "local"
"""What stands for a distribution in the ids of components from files that the user names: ``local/my-gan``."""


def normalise(name: str) -> str:
    """A distribution's or plugin's name as all of its spellings share it (PEP 503): ``Acme_GAN`` → ``acme-gan``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def names_in(text: str) -> frozenset[str]:
    """The names of a text in which commas or blanks separate them, normalised."""
    return frozenset(normalise(part) for part in re.split(r"[,\s]+", text) if part)


@dataclass(frozen=True, slots=True)
class Switches:
    """What the user switched off, allowed or added; each name is an entry-point or a distribution name, normalised.

    Attributes:
        disabled: plugins that must not load.
        allowed: the only installed plugins that may load beside the built-in ones; ``None`` allows all.
        strict: whether a plugin that fails to load stops the command instead of costing a warning.
        local: Python files that are plugins by themselves.
        said_by: which switch it was: for each disabled name, and under ``""`` for the list of allowed ones.
    """

    disabled: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None
    strict: bool = False
    local: tuple[Path, ...] = ()
    said_by: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def said(
        cls,
        disabled: tuple[str, frozenset[str]],
        allowed: tuple[str, frozenset[str] | None],
        *,
        strict: bool = False,
        local: tuple[Path, ...] = (),
    ) -> Self:
        """Switches of one source; each list comes with the name of the switch that gave it. Its own local files are allowed.

        Raises:
            UsageError: two local files would be plugins of one name.
        """
        local = tuple(dict.fromkeys(local))
        _refuse_twins(local)
        named = None if allowed[1] is None else allowed[1] | _own_names(local)
        return cls(disabled[1], named, strict, local, {**dict.fromkeys(disabled[1], disabled[0]), "": allowed[0]})

    def over(self, lower: Switches) -> Switches:
        """These switches where they say something, ``lower`` where they do not.

        A list of allowed plugins replaces all that ``lower`` says of plugins; disabled ones are added to those of ``lower``. A
        local file takes the place of another one of its name.
        """
        local = (*self.local, *(file for file in lower.local if plugin_name(file) not in self.own_names))
        strict = self.strict or lower.strict
        if self.allowed is not None:
            return Switches(self.disabled, self.allowed, strict, local, self.said_by)
        allowed = None if lower.allowed is None else lower.allowed | _own_names(self.local)
        said_by = {**lower.said_by, **{name: switch for name, switch in self.said_by.items() if name}}
        return Switches(self.disabled | lower.disabled, allowed, strict, local, said_by)

    @property
    def own_names(self) -> frozenset[str]:
        """Names of the local files."""
        return _own_names(self.local)

    def refusal(self, name: str, distribution: str) -> str | None:
        """Why the plugin may not load, or ``None`` when it may."""
        names = {normalise(name), normalise(distribution)}
        if off := names & self.disabled:
            return f"switched off{self._by(' by ', min(off))}"
        if self.allowed is not None and not names & self.allowed:
            return f"not named by {self.said_by['']}" if "" in self.said_by else "not among the allowed plugins"
        return None

    def check(self, installed: Iterable[tuple[str, str]]) -> None:
        """Compare the names with what is there, so that a misspelt switch does not pass for a working one.

        Args:
            installed: (entry-point name, distribution name) of each plugin, local files included.

        Raises:
            UsageError: a name that no plugin has, or a switch that would disable the built-in components.
        """
        if own := self.disabled & {BUILTIN, "ganforge"}:
            where = self._by(" of ", min(own))
            raise UsageError(
                "the built-in components cannot be switched off", remedy=f"drop 'ganforge' from the disabled plugins{where}"
            )

        known = {normalise(name) for pair in installed for name in pair} | {BUILTIN, "ganforge"}
        for name in sorted(self.disabled | (self.allowed or frozenset())):
            if name not in known:
                where = self._by(" by ", name if name in self.disabled else "")
                plugins = ", ".join(sorted(known - {BUILTIN, "ganforge"})) or "none"
                hint = did_you_mean(name, known)
                raise UsageError(
                    f"no plugin named '{name}' is installed, so it can be neither disabled nor allowed{where}",
                    remedy=f"{hint} installed: {plugins}" if hint else f"installed: {plugins}",
                )

    def _by(self, word: str, name: str = "") -> str:
        switch = self.said_by.get(name)
        return f"{word}{switch}" if switch else ""


def plugin_name(file: Path) -> str:
    """The name of the plugin that a local file is: ``components/My_GAN.py`` → ``my-gan``."""
    return re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "unnamed"


def _refuse_twins(local: tuple[Path, ...]) -> None:
    files: dict[str, Path] = {}
    for file in local:
        other = files.setdefault(plugin_name(file), file)
        if other != file:
            raise UsageError(
                f"two local files would both be the plugin '{plugin_name(file)}': {other} and {file}",
                remedy="rename one of them, or name one of them only",
            )


def _own_names(local: tuple[Path, ...]) -> frozenset[str]:
    return frozenset(map(plugin_name, local))
