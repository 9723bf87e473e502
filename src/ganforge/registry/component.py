"""A component as a plugin registers it: names and references. Nothing is imported or built until a recipe uses it."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, Field, StrictInt, StringConstraints
from pydantic.dataclasses import dataclass as validated_dataclass
from pydantic_core import PydanticCustomError

from ganforge.core.errors import PluginError, describe_error, isolated
from ganforge.core.params import Params
from ganforge.core.process_state import preserved_process
from ganforge.registry.params_description import non_plain_fields
from ganforge.registry.selection import normalize_name

Factory = Callable[[Any, Any], object]
"""``(params, context) -> component``; the context's type depends on the kind."""

InstallSource = Literal["index", "editable", "folder", "archive", "vcs", "url"]
"""How a distribution was installed: from PyPI or another index, a source folder, a wheel or source archive, a repository, a URL."""

_EXTRA = re.compile(r"""extra == ["']([^"']+)""")
_PIP_NAMES = {"PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image", "cv2": "opencv-python", "yaml": "pyyaml"}
"""Distributions of modules that have another name."""
_PLAIN_PATH = re.compile(r"[\w./@+-]+")


def _form(pattern: str, words: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError("form", "must be {words}", {"words": words})
        return text

    return AfterValidator(check)


Name = Annotated[str, _form(r"[a-z0-9]+(-[a-z0-9]+)*", "lower-case letters, digits and single hyphens")]
Reference = Annotated[str, _form(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "of the form 'module:attribute'")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Kind(StrEnum):
    """The kinds of components."""

    GENERATOR = "generator"
    DISCRIMINATOR = "discriminator"
    ENCODER = "encoder"
    LOSS = "loss"
    SAMPLER = "sampler"
    DATASET = "dataset"
    METRIC = "metric"
    GAME = "game"

    @property
    def plural(self) -> str:
        """The plural, as in ``ganforge list losses``."""
        return "losses" if self is Kind.LOSS else f"{self.value}s"


@dataclass(frozen=True, slots=True)
class PluginRef:
    """The identity of a plugin.

    Attributes:
        name: entry-point name, such as ``dcgan``.
        distribution: normalized name (PEP 503), such as ``ganforge-dcgan``.
        version: the distribution's version; for a local file the first digits of its SHA-256.
        source: how it was installed, an :data:`InstallSource`, or ``file`` for a local file.
        url: where from, in a form that pip accepts, unless it came from an index; for a local file its path.
        sha256: hash of a local file.
    """

    name: str
    distribution: str
    version: str
    source: str = "index"
    url: str | None = None
    sha256: str | None = None

    @property
    def ref(self) -> PluginRef:
        """The identity alone, without the fields of subclasses."""
        return PluginRef(self.name, self.distribution, self.version, self.source, self.url, self.sha256)

    @property
    def requirement(self) -> str | None:
        """What pip installs again: a pinned version or an address; ``None`` for a local file."""
        if self.source == "file":
            return None
        if self.source == "editable" and self.url:
            path = unquote(urlsplit(self.url).path)
            return f"-e {path if _PLAIN_PATH.fullmatch(path) else self.url}"  # pip ends a path at a blank
        return f"{self.distribution} @ {self.url}" if self.url else f"{self.distribution}=={self.version}"

    @property
    def requirement_line(self) -> str:
        """:attr:`requirement` as a line of a requirements file; a comment for local files, which pip cannot install."""
        line = self.requirement
        if line is None:
            return f"# {self.url} is a file of your own (sha256 {self.sha256}): --plugin {self.url}"
        return f"{line}  # {self.distribution} {self.version}" if self.url else line


@validated_dataclass(frozen=True, slots=True)
class Component:
    """One registered component.

    Attributes:
        name: short name, such as ``mlp``.
        factory: ``"module:attribute"`` or the function itself.
        params: ``"module:attribute"`` or the params model itself.
        summary: one-line description.
        revision: raised when the same params give a different result.
        requires: capabilities that other components must provide: ``labels`` (labelled data, and a sampler that draws labels),
            ``labelled-data`` (whatever the sampler draws), ``categorical-codes``, ``continuous-codes``, ``codes``, ``points``,
            ``images``, ``density``, or a head of the discriminator as ``head:NAME``.
        provides: capabilities that this component adds, such as ``head:code``.
        spec: data sets, samplers and games: ``"module:attribute"`` of a torch-free function giving the spec from the params
            (``params -> DataSpec``; ``(params, DataSpec) -> LatentSpec``; ``params -> GameSpec``), to check recipes without torch;
            it may be a method of the params model, as ``"module:Model.method"``. Games must have one.
        checksums: data sets with published files: ``"module:attribute"`` of a mapping from file names to checksums, or the mapping
            itself, for ``lock.json``.
        needs: what must be installed: modules such as ``sklearn``, distributions such as ``scikit-learn>=1.5``, or extras such as
            ``acme-gan[images]``; nothing is imported to find out.
        check_params: params that make the component small and fast for the conformance kit.
        expected_failures: conformance checks that may fail, with the reason: ``{"G06": "batch statistics are the point"}``.
        tags: words for filtering lists of components.
        references: papers, as text or URL.
        deprecated: what to use instead, or ``None``.
        cost: time and memory complexity of a metric for n samples of d numbers, such as ``time n²·d``.
    """

    kind: Kind
    name: Name
    plugin: PluginRef
    factory: Reference | Factory
    params: Reference | type[Params]
    summary: Text
    revision: Annotated[StrictInt, Field(ge=1)] = 1
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    spec: Reference | Callable[..., object] | None = None
    checksums: Reference | Mapping[str, str] | None = None
    needs: tuple[str, ...] = ()
    check_params: Mapping[str, Any] = field(default_factory=dict)
    expected_failures: Mapping[Text, Text] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    references: tuple[str, ...] = ()
    deprecated: Text | None = None
    cost: Text | None = None

    @property
    def id(self) -> str:
        """The full id, unique by construction: ``distribution/name``."""
        return f"{self.plugin.distribution}/{self.name}"

    @property
    def missing(self) -> tuple[str, ...]:
        """What it needs and is not installed."""
        return tuple(need for need in self.needs if not _is_installed(need))

    @property
    def install_hint(self) -> str:
        """How to install what is missing: pip's names, from the plugin's own requirements where they list it."""
        try:
            listed = [Requirement(line) for line in metadata.requires(self.plugin.distribution) or ()]
        except (metadata.PackageNotFoundError, InvalidRequirement):
            listed = []
        arguments = []
        for need in self.missing:
            name = _pip_name(need)
            own = next((one for one in listed if normalize_name(one.name) == name), None)
            if own and (found := _EXTRA.search(str(own.marker or ""))):
                arguments.append(f"{self.plugin.distribution}[{found[1]}]")
            else:
                arguments.append(f"{own.name}{own.specifier}" if own else name if need.partition(".")[0].isidentifier() else need)
        return f"pip install {' '.join(map(shlex.quote, dict.fromkeys(arguments)))}"

    def load_params(self) -> type[Params]:
        """The params model, imported if it was given by name.

        Raises:
            PluginError: it cannot be imported, is not a subclass of ``Params``, or has fields that are not plain data.
        """
        model = self.load_model()
        if faults := non_plain_fields(model):
            raise self._error(f"params are not plain data: {'; '.join(faults)}")
        return model

    def load_model(self) -> type[Params]:
        """Like :meth:`load_params` but without the check of fields; do not validate recipes with it."""
        model = self._load(self.params)
        if not (isinstance(model, type) and issubclass(model, Params)):
            raise self._error(f"params model {self.params!r} is not a subclass of ganforge.plugin.Params")
        return model

    def load_factory(self) -> Factory:
        """The factory, imported if it was given by name."""
        factory: Factory = self._load(self.factory)
        if not callable(factory):
            raise self._error(f"factory {self.factory!r} is not callable")
        return factory

    def load_spec(self) -> Callable[..., Any] | None:
        """The torch-free spec function, or ``None`` if the component has none."""
        return None if self.spec is None else self._load(self.spec)

    def load_checksums(self) -> Mapping[str, str]:
        """The checksums of the files that a data set reads, by file name; empty when it declares none."""
        return {} if self.checksums is None else dict(self._load(self.checksums))

    def source(self) -> Path | None:
        """The file that defines the factory; it is not imported to find out."""
        if not isinstance(self.factory, str):
            module = sys.modules.get(getattr(self.factory, "__module__", ""))
            file = getattr(module, "__file__", None)
            return Path(file) if file else None
        found = importlib.util.find_spec(self.factory.partition(":")[0])
        return Path(found.origin) if found and found.origin else None

    def _error(self, fault: str) -> PluginError:
        remedy = f"report it to the authors of {self.plugin.distribution}"
        return PluginError(f"{self.kind} '{self.id}': its {fault}", remedy=remedy)

    def _load(self, reference: Any) -> Any:
        if not isinstance(reference, str):
            return reference
        module, _, attribute = reference.partition(":")
        try:
            with isolated() if self.plugin.distribution == "ganforge" else preserved_process():
                return attrgetter(attribute)(importlib.import_module(module))
        except Exception as error:
            plugin = self.plugin
            remedy = f"fix {plugin.url}" if plugin.source == "file" else f"fix or reinstall {plugin.distribution} {plugin.version}"
            raise PluginError(
                f"{self.kind} '{self.id}': cannot load {reference}: {describe_error(error)}", remedy=remedy
            ) from error


def _pip_name(need: str) -> str:
    """The distribution that a need means, without extras and versions."""
    try:
        name = Requirement(need).name
    except InvalidRequirement:
        name = need
    return _PIP_NAMES.get(name.partition(".")[0], normalize_name(name.partition(".")[0]))


def _is_installed(need: str, extra: str = "") -> bool:
    """Whether a module, or a distribution with its extras, is installed, in a version that is allowed."""
    module = need.partition(".")[0]
    if module.isidentifier():
        with suppress(ValueError, ImportError):
            if module in sys.modules or importlib.util.find_spec(module):
                return True
    try:
        wanted = Requirement(need)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            return True
        found = metadata.distribution(wanted.name)
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False
    if not wanted.specifier.contains(found.version, prereleases=True):
        return False
    return all(_is_installed(line, name) for name in wanted.extras for line in found.requires or () if _EXTRA.search(line))
