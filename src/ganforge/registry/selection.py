"""Which plugins may load. Their names decide, before any plugin is imported.

Options on the command line override environment variables, which override ``[tool.ganforge.plugins]`` of the nearest
``pyproject.toml`` with its keys ``disable``, ``only`` and ``local``. While a command runs, an environment variable holds its
options, so that processes that it starts, such as the runs of a sweep, load the same plugins.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ganforge.core.errors import UsageError, did_you_mean, unknown_name

BUILTIN = "builtin"
"""Entry-point name of ganforge's own components."""
LOCAL = "local"
"""Distribution in the ids of components from local plugin files: ``local/my-gan``."""
COMMAND_LINE = "GANFORGE_COMMAND_LINE"
"""Environment variable with the command line's options; only ganforge sets it."""

_OFF = ("", "0", "false", "no", "off")
_KEYS = ("disable", "only", "local")
_NAMES = re.compile(r"[^,\s]+")


def normalize_name(name: str) -> str:
    """The normalized name of a distribution or plugin (PEP 503): ``Acme_GAN`` → ``acme-gan``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def local_plugin_name(file: Path) -> str:
    """The plugin name of a local file: ``components/My_GAN.py`` → ``my-gan``."""
    return re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-") or "unnamed"


@dataclass(frozen=True, slots=True)
class PluginSelection:
    """Plugins that the user disabled, allowed or added; names are normalized entry-point or distribution names.

    ``options`` holds the option that disabled each name; under ``""`` the option that gave the allowed names.
    """

    disabled: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None  # the only installed plugins that may load besides the built-in one; None allows all
    strict: bool = False  # whether a plugin that fails to load stops the command; else it causes a warning
    local: tuple[Path, ...] = ()  # Python files to load as plugins
    options: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_options(
        cls,
        disabled: tuple[str, Iterable[str]],
        allowed: tuple[str, Iterable[str] | None],
        *,
        strict: bool = False,
        local: Iterable[Path] = (),
    ) -> Self:
        """The selection of one source, from its options and their names. Its local files are always allowed."""
        files: dict[str, Path] = {}
        for file in local:
            name = local_plugin_name(file)
            if (first := files.setdefault(name, file)) != file:
                raise UsageError(f"two local files are both the plugin '{name}': {first} and {file}", remedy="rename one of them")
        off = frozenset(map(normalize_name, disabled[1]))
        only = None if allowed[1] is None else frozenset(map(normalize_name, allowed[1])) | files.keys()
        return cls(off, only, strict, tuple(files.values()), {**dict.fromkeys(off, disabled[0]), "": allowed[0]})

    def over(self, lower: PluginSelection) -> PluginSelection:
        """This selection, completed by one of lower priority.

        If this one has a list of allowed plugins, disabled and allowed names of ``lower`` are ignored; else disabled names add up.
        A local file replaces a file of ``lower`` with the same plugin name.
        """
        local = (*self.local, *(file for file in lower.local if local_plugin_name(file) not in self.local_names))
        strict = self.strict or lower.strict
        if self.allowed is not None:
            return PluginSelection(self.disabled, self.allowed, strict, local, self.options)
        allowed = None if lower.allowed is None else lower.allowed | self.local_names
        options = {**lower.options, **{name: option for name, option in self.options.items() if name}}
        return PluginSelection(self.disabled | lower.disabled, allowed, strict, local, options)

    @property
    def local_names(self) -> frozenset[str]:
        """Plugin names of the local files."""
        return frozenset(map(local_plugin_name, self.local))

    def refusal(self, name: str, distribution: str) -> str | None:
        """The reason why the plugin may not load, or ``None``."""
        names = {normalize_name(name), normalize_name(distribution)}
        if disabled := names & self.disabled:
            return f"switched off{self._by(min(disabled))}"
        if self.allowed is not None and not names & self.allowed:
            return f"not named by {self.options['']}" if "" in self.options else "not among the allowed plugins"
        return None

    def check_names(self, installed: Iterable[tuple[str, str]]) -> None:
        """Reject names that match no plugin, so that a misspelt option cannot pass unnoticed.

        ``installed`` has the entry-point name and the distribution name of each plugin, local files included.
        """
        own = {BUILTIN, "ganforge"}
        if disabled := self.disabled & own:
            where = self._by(min(disabled))
            raise UsageError(f"built-in components cannot be disabled{where}", remedy="remove 'ganforge' from the disabled plugins")

        known = {normalize_name(name) for pair in installed for name in pair}
        for name in sorted((self.disabled | (self.allowed or frozenset())) - known - own):
            option = self._by(name if name in self.disabled else "").removeprefix(" by ")
            message = f"{option or 'the plugin selection'} names '{name}', but no such plugin is installed"
            raise unknown_name(message, name, known | own, f"installed: {', '.join(sorted(known)) or 'none'}")

    def _by(self, name: str) -> str:
        return f" by {self.options[name]}" if self.options.get(name) else ""


def current_selection(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> PluginSelection:
    """The selection of the command line, the environment and the project, in this order of priority.

    The search for a ``pyproject.toml`` starts in ``folder``, upwards; default: the working directory.
    """
    environ = os.environ if environ is None else environ
    try:
        project = from_project(folder or Path.cwd())
    except FileNotFoundError:  # the working directory was deleted
        project = PluginSelection()
    return from_command_line(environ).over(from_environment(environ)).over(project)


def from_environment(environ: Mapping[str, str]) -> PluginSelection:
    """Read ``GANFORGE_DISABLE_PLUGINS``, ``GANFORGE_PLUGINS`` (empty: built-ins only) and ``GANFORGE_STRICT_PLUGINS``."""
    allowed = environ.get("GANFORGE_PLUGINS")
    return PluginSelection.from_options(
        ("GANFORGE_DISABLE_PLUGINS", _NAMES.findall(environ.get("GANFORGE_DISABLE_PLUGINS", ""))),
        ("GANFORGE_PLUGINS", None if allowed is None else _NAMES.findall(allowed)),
        strict=environ.get("GANFORGE_STRICT_PLUGINS", "").strip().lower() not in _OFF,
    )


@contextmanager
def command_line_selection(
    *, disabled: list[str], only: list[str] | None, local: list[Path], strict: bool = False
) -> Iterator[None]:
    """Apply the command line's options within the block, in this process and in those that it starts."""
    before = os.environ.get(COMMAND_LINE)
    files = [str(path.resolve()) for path in local]
    os.environ[COMMAND_LINE] = json.dumps({"disabled": disabled, "only": only, "local": files, "strict": strict})
    try:
        yield
    finally:
        del os.environ[COMMAND_LINE]
        if before is not None:
            os.environ[COMMAND_LINE] = before


def from_command_line(environ: Mapping[str, str]) -> PluginSelection:
    """The options that :func:`command_line_selection` applies."""
    text = environ.get(COMMAND_LINE)
    if not text:
        return PluginSelection()
    try:
        options = json.loads(text)
        return PluginSelection.from_options(
            ("--no-plugin", _NAMES.findall(",".join(options["disabled"]))),
            ("--only-plugins", None if options["only"] is None else _NAMES.findall(",".join(options["only"]))),
            strict=options["strict"],
            local=map(Path, options["local"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{COMMAND_LINE} is reserved for ganforge and holds {text[:60]!r}", remedy="unset it") from error


def command_line_options(environ: Mapping[str, str] | None = None) -> str:
    """The command line's options as you would type them again, each after a blank; empty if there are none."""
    chosen = from_command_line(os.environ if environ is None else environ)
    parts = [f"--no-plugin {name}" for name in sorted(chosen.disabled)]
    if chosen.allowed is not None:
        parts.append(f"--only-plugins {shlex.quote(','.join(sorted(chosen.allowed - chosen.local_names)))}")
    parts += [f"--plugin {shlex.quote(str(file))}" for file in chosen.local]
    return "".join(f" {part}" for part in parts)


def next_command(*words: str) -> str:
    """``ganforge …`` to be copied: quoted for a shell, with the options of :func:`command_line_options`."""
    return f"{shlex.join(['ganforge', *words])}{command_line_options()}"


def from_project(folder: Path) -> PluginSelection:
    """Read ``[tool.ganforge.plugins]`` of the first ``pyproject.toml`` in ``folder`` or above it."""
    file = project_file(folder)
    table = project_table(file, "plugins") if file else {}
    if not file or not table:
        return PluginSelection()

    for key, value in table.items():
        if key not in _KEYS:
            raise _invalid(file, "plugins", f"unknown key '{key}'", did_you_mean(key, _KEYS) or f"keys: {', '.join(_KEYS)}")
        if not (isinstance(value, list) and all(isinstance(item, str) and item for item in value)):
            example = "my_gan.py" if key == "local" else "acme-gan"
            raise _invalid(file, "plugins", f"'{key}' must be a list of names", f'such as {key} = ["{example}"]')
    if table.get("local"):
        check_owner(file, folder, "plugins", "its 'local' files are not run")
    local = [(file.parent / item).resolve() for item in table.get("local", ())]
    return PluginSelection.from_options(
        (f"{file} (disable)", table.get("disable", ())), (f"{file} (only)", table.get("only")), local=local
    )


def project_file(folder: Path) -> Path | None:
    """The first ``pyproject.toml`` in the folder or above it, but none in a run's folder, which may come from anyone."""
    places = [folder, *folder.parents]
    runs = [at for at, place in enumerate(places) if (place / "run.json").exists()]
    return next((path for place in places[max(runs, default=-1) + 1 :] if (path := place / "pyproject.toml").is_file()), None)


def project_table(file: Path, name: str) -> dict[str, Any]:
    """The table ``[tool.ganforge.<name>]`` of a ``pyproject.toml``; raises a :class:`UsageError` if it cannot be read."""
    try:
        content = file.read_bytes()
        if b"ganforge" not in content.replace(b"\0", b""):  # neither in UTF-8 nor in UTF-16: a broken file need not stop us
            return {}
        tool = tomllib.loads(content.decode()).get("tool", {})
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8, as TOML must be" if isinstance(error, UnicodeDecodeError) else error
        remedy = f"fix it; ganforge looks there for [tool.ganforge.{name}]"
        raise UsageError(f"cannot read {file}: {reason}", remedy=remedy) from error
    for key in ("ganforge", name):
        tool = tool.get(key, {}) if isinstance(tool, dict) else None
    if not isinstance(tool, dict):
        raise _invalid(file, name, "it must be a table", f"write [tool.ganforge.{name}]")
    return tool


def check_owner(file: Path, folder: Path, name: str, consequence: str) -> None:
    """Anyone can put a ``pyproject.toml`` above a shared folder such as /tmp; it must not act with your rights."""
    if file.stat().st_uid not in {os.geteuid(), 0, folder.stat().st_uid}:
        message = f"the file belongs to another user, so {consequence}"
        raise _invalid(file, name, message, "create a pyproject.toml of your own here")


def _invalid(file: Path, name: str, message: str, remedy: str) -> UsageError:
    return UsageError(f"{file}: [tool.ganforge.{name}]: {message}", remedy=remedy)
