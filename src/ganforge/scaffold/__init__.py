"""Writes a plugin package from templates: shared files, and for each kind of component a module, its params and registration."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from string import Template

from ganforge import __version__
from ganforge.core.errors import StorageError, UsageError
from ganforge.registry.component import Kind
from ganforge.registry.registry import FIRST_PARTY, new_name_error
from ganforge.registry.selection import normalize_name

WRITTEN = tuple(kind for kind in Kind if kind not in (Kind.ENCODER, Kind.GAME))
"""Kinds that have a template; the others need each other, see docs/how-to/write-a-game.md."""
_RECIPE = (Kind.DATASET, Kind.SAMPLER, Kind.GENERATOR, Kind.DISCRIMINATOR, Kind.LOSS, Kind.METRIC)
_MAX_LENGTH, _MAX_CLASS_LENGTH = 40, 16
"""Characters of a plugin's name, and of the part that class names contain: more would make lines of the templates too long."""


def write_plugin(name: str, kinds: Iterable[Kind], into: Path) -> Path:
    """Write a package that can be installed, passes its tests and trains without changes; return its folder below ``into``.

    It has one component of each kind.

    Raises:
        UsageError: the name is invalid or reserved, there is no kind, or the folder exists.
        StorageError: the files cannot be written.
    """
    wanted = set(kinds)
    if unwritten := sorted(wanted.difference(WRITTEN)):
        raise UsageError(f"there is no template for {' and '.join(unwritten)}", remedy="write it after docs/how-to/write-a-game.md")
    chosen = tuple(kind for kind in WRITTEN if kind in wanted)
    words = _words(name, chosen)
    folder = into / words["distribution"]
    try:
        if folder.exists():
            raise UsageError(f"{folder} already exists", remedy="choose another name, or another folder with --into")
        for path, text in _files(chosen, words):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"cannot write {folder}: {error.strerror or error}", remedy="choose another folder with --into"
        ) from error
    return folder


def _words(name: str, kinds: Sequence[Kind]) -> dict[str, str]:
    """The values of the templates' placeholders."""
    distribution = _checked(name)
    if not kinds:
        raise UsageError("a plugin needs at least one component", remedy=f"choose from --kinds {','.join(WRITTEN)}")
    component = distribution.removesuffix("-gan") or distribution
    names = ["a data set" if kind is Kind.DATASET else f"a {kind}" for kind in kinds]
    class_name = _class_name(component)
    major, minor = __version__.split(".")[:2]
    return {
        "distribution": distribution,
        "package": distribution.replace("-", "_"),
        "component": component,
        "Class": class_name,
        "kinds_in_words": " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names),
        "components": "\n".join(f"| {kind} | `{component}` | describe it here |" for kind in kinds),
        "ganforge_range": f">={major}.{minor},<{major}.{int(minor) + 1}",
        "test_requirements": ", ".join(f'"{one}"' for one in ("pytest>=8.3", *_networks(kinds))),
        "spec_imports": "DataSpec, LatentSpec" if Kind.SAMPLER in kinds else "DataSpec",
        "spec_params": ", ".join(f"{class_name}{kind.capitalize()}Params" for kind in sorted(_with_specs(kinds))),
    }


def _class_name(component: str) -> str:
    """``AcmeWave`` for ``acme-wave``; of a long name the first words."""
    words = [part.capitalize() for part in component.split("-")]
    while len("".join(words)) > _MAX_CLASS_LENGTH and words[1:]:
        words.pop()
    return "".join(words)[:_MAX_CLASS_LENGTH]


def _networks(kinds: Sequence[Kind]) -> list[str]:
    """The requirement that has networks, unless the plugin has its own."""
    return [] if {Kind.GENERATOR, Kind.DISCRIMINATOR} <= set(kinds) else ["ganforge-vanilla>=0.1"]


def _with_specs(kinds: Sequence[Kind]) -> list[Kind]:
    return [kind for kind in kinds if kind in (Kind.SAMPLER, Kind.DATASET)]


def _checked(name: str) -> str:
    distribution = normalize_name(name)
    if len(distribution) > _MAX_LENGTH:
        raise UsageError(
            f"'{name[:20]}…' is too long for a plugin's name: {len(name)} characters",
            remedy=f"use at most {_MAX_LENGTH}, such as acme-gan",
        )
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", distribution) or keyword.iskeyword(distribution):
        form = "use letters, digits and single hyphens, begin with a letter, and avoid keywords of Python, such as acme-gan"
        raise UsageError(f"'{name}' is not a valid plugin name", remedy=form)
    if distribution in FIRST_PARTY or distribution.startswith("ganforge"):
        raise UsageError(f"'{name}' looks like one of ganforge's own plugins", remedy="choose another name, such as acme-gan")
    if fault := new_name_error(distribution):
        raise UsageError(f"a plugin cannot be called '{name}': {fault}", remedy=f"choose another name, such as my-{distribution}")
    return distribution


def _files(kinds: Sequence[Kind], words: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Path and text of each file."""
    package = f"src/{words['package']}"
    yield "pyproject.toml", _filled("pyproject.toml", words)
    yield "README.md", _filled("README.md", words)
    yield ".gitignore", _filled("gitignore", words)
    yield f"{package}/__init__.py", _filled("init.py", words)
    yield f"{package}/py.typed", ""
    yield f"{package}/plugin.py", _joined("plugin.py", kinds, "register.py", words)
    yield f"{package}/params.py", _joined("params.py", kinds, "params.py", words)
    if specified := _with_specs(kinds):
        yield f"{package}/specs.py", _joined("specs.py", specified, "spec.py", words)
    for kind in kinds:
        yield f"{package}/{kind}.py", _filled(f"{kind}/module.py", words)
    yield f"recipes/{words['component']}.toml", _recipe(kinds, words)
    yield f"tests/test_{words['package']}.py", _filled("test_plugin.py", words)


def _joined(head: str, kinds: Sequence[Kind], part: str, words: dict[str, str]) -> str:
    return _filled(head, words) + "".join(_filled(f"{kind}/{part}", words) for kind in kinds)


def _recipe(kinds: Sequence[Kind], words: dict[str, str]) -> str:
    """A recipe with the plugin's components, and ganforge's for the other kinds."""
    tables = "".join(_filled(f"{kind}/{'recipe' if kind in kinds else 'other'}.toml", words) for kind in _RECIPE)
    needed = ", ".join(f'"{one}"' for one in (f"{words['distribution']}>=0.1", *_networks(kinds)))
    return f"{_filled('recipe.toml', words)}{tables}\n[requires]\nplugins = [{needed}]\n"


def _filled(template: str, words: dict[str, str]) -> str:
    place = resources.files("ganforge.scaffold").joinpath("templates", *f"{template}.txt".split("/"))
    return Template(place.read_text(encoding="utf-8")).substitute(words)
