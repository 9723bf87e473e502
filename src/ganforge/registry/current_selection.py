"""The switches in force: the command line's over the environment's over those of the nearest ``pyproject.toml``.

``[tool.ganforge.plugins]`` of a ``pyproject.toml`` takes ``disable``, ``only`` and ``local``. The command line's switches travel in
an environment variable of ganforge's own while the command runs: so they reach every place that loads plugins, the processes of a
sweep and the shipper included, each of which then judges as its parent did.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganforge.core.errors import UsageError, did_you_mean
from ganforge.registry.selection import Switches, names_in, normalise

CARRIER = "GANFORGE_COMMAND_LINE"
"""Holds the command line's switches for this process and its children; nobody else should set it."""

_OFF = ("", "0", "false", "no", "off")
_KEYS = ("disable", "only", "local")


def in_force(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Switches:
    """The switches of the command line, the environment and the project, in this order.

    Args:
        environ: the environment; this process's unless given.
        folder: where to look for a project, upwards; the working directory unless given.

    Raises:
        UsageError: a ``pyproject.toml`` whose ``[tool.ganforge.plugins]`` makes no sense.
    """
    environ = os.environ if environ is None else environ
    try:
        project = from_project(folder or Path.cwd())
    except FileNotFoundError:  # somebody removed the working directory
        project = Switches()
    return from_command_line(environ).over(from_environment(environ)).over(project)


def from_environment(environ: Mapping[str, str]) -> Switches:
    """Read ``GANFORGE_DISABLE_PLUGINS``, ``GANFORGE_PLUGINS`` (empty: built-ins only) and ``GANFORGE_STRICT_PLUGINS``."""
    allowed = environ.get("GANFORGE_PLUGINS")
    return Switches.said(
        ("GANFORGE_DISABLE_PLUGINS", names_in(environ.get("GANFORGE_DISABLE_PLUGINS", ""))),
        ("GANFORGE_PLUGINS", None if allowed is None else names_in(allowed)),
        strict=environ.get("GANFORGE_STRICT_PLUGINS", "").strip().lower() not in _OFF,
    )


def from_project(folder: Path) -> Switches:
    """Read ``[tool.ganforge.plugins]`` of the first ``pyproject.toml`` in ``folder`` or above it.

    Raises:
        UsageError: it cannot be read, has a key that is none, or names files to run although it belongs to somebody else.
    """
    file = project_file(folder)
    table = _table(file) if file else {}
    if not file or not table:
        return Switches()

    for key, value in table.items():
        if key not in _KEYS:
            raise _fault(file, f"there is no key '{key}'", did_you_mean(key, _KEYS) or f"keys: {', '.join(_KEYS)}")
        if not (isinstance(value, list) and all(isinstance(item, str) and item for item in value)):
            raise _fault(
                file, f"'{key}' must be a list of names", f'such as {key} = ["{"my_gan.py" if key == "local" else "acme-gan"}"]'
            )
    local = tuple((file.parent / item).resolve() for item in table.get("local", ()))
    if local:
        _refuse_strangers(file, folder)
    only = table.get("only")
    return Switches.said(
        (f"{file} (disable)", frozenset(map(normalise, table.get("disable", ())))),
        (f"{file} (only)", None if only is None else frozenset(map(normalise, only))),
        local=local,
    )


def project_file(folder: Path) -> Path | None:
    """The ``pyproject.toml`` that counts in a folder: the first one in it or above it."""
    return next((path for place in (folder, *folder.parents) if (path := place / "pyproject.toml").is_file()), None)


def line_of(file: Path, key: str) -> int | None:
    """The line on which a ``pyproject.toml`` says a key of ``[tool.ganforge.plugins]``, where it is written in the usual way."""
    table = ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.\s-]+?)\s*\]", line):
            table = re.sub(r"\s", "", header[1])
        name = re.match(r"\s*([\w.-]+)\s*=", line)
        if name and f"{table}.{name[1]}".removeprefix(".") == f"tool.ganforge.plugins.{key}":
            return number
    return None


@contextmanager
def command_line(*, disabled: list[str], only: list[str] | None, local: list[Path], strict: bool = False) -> Iterator[None]:
    """Have the switches of a command line in force while the block runs, here and in every process started from it.

    Args:
        disabled: texts of ``--no-plugin``.
        only: texts of ``--only-plugins``, or ``None`` when it was not given.
        local: files of ``--plugin``.
        strict: whether ``--strict-plugins`` was given.
    """
    if not disabled and only is None and not local and not strict:
        yield
        return
    before = os.environ.get(CARRIER)
    files = [str(path.resolve()) for path in local]
    os.environ[CARRIER] = json.dumps({"disabled": disabled, "only": only, "local": files, "strict": strict})
    try:
        yield
    finally:
        if before is None:
            del os.environ[CARRIER]
        else:
            os.environ[CARRIER] = before


def from_command_line(environ: Mapping[str, str]) -> Switches:
    """The switches that :func:`command_line` holds in force."""
    text = environ.get(CARRIER)
    if not text:
        return Switches()
    try:
        said = json.loads(text)
        return Switches.said(
            ("--no-plugin", names_in(",".join(said["disabled"]))),
            ("--only-plugins", None if said["only"] is None else names_in(",".join(said["only"]))),
            strict=bool(said["strict"]),
            local=tuple(map(Path, said["local"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{CARRIER} is ganforge's own and holds {text[:60]!r}", remedy="unset it") from error


def words(environ: Mapping[str, str] | None = None) -> str:
    """The command line's switches as they would be written again, with a blank before them; empty where there are none."""
    said = from_command_line(os.environ if environ is None else environ)
    parts = [f"--no-plugin {name}" for name in sorted(said.disabled)]
    parts += [] if said.allowed is None else [f"--only-plugins {','.join(sorted(said.allowed - said.own_names))}"]
    parts += [f"--plugin {shlex.quote(str(file))}" for file in said.local]
    return "".join(f" {part}" for part in parts)


def _table(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
        if b"ganforge" not in content.replace(b"\0", b""):  # in UTF-8 and UTF-16 not a word about us: none of our business
            return {}
        tool = tomllib.loads(content.decode()).get("tool", {})
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8, as TOML must be" if isinstance(error, UnicodeDecodeError) else error
        raise UsageError(
            f"{file} cannot be read: {reason}", remedy="mend it; ganforge looks there for [tool.ganforge.plugins]"
        ) from error
    for key in ("ganforge", "plugins"):
        tool = tool.get(key, {}) if isinstance(tool, dict) else None
    if not isinstance(tool, dict):
        raise _fault(file, "it must be a table", "see docs/how-to/manage-plugins.md")
    return tool


def _refuse_strangers(file: Path, folder: Path) -> None:
    """Above a shared folder such as /tmp anybody may lay a ``pyproject.toml``; its files would run with this user's rights."""
    if file.stat().st_uid not in {os.geteuid(), 0, folder.stat().st_uid}:
        raise _fault(
            file, "the file belongs to another user, so its 'local' files are not run", "lay a pyproject.toml of your own here"
        )


def _fault(file: Path, message: str, remedy: str) -> UsageError:
    return UsageError(f"{file}: [tool.ganforge.plugins]: {message}", remedy=remedy)
