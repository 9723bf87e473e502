"""The form of ``lock.json``, which may come from anybody and is judged as it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ganforge.core.params import Params
from ganforge.core.redaction import public_url
from ganforge.registry.component import PluginRef

Word = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f]+$", max_length=4096)]
"""One word: a lock may come from anybody, and parts of it are printed as a command."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LockedComponent(Params):
    """One component of the run."""

    key: Word
    """The recipe's table."""
    kind: Word
    """What it is."""
    id: Word
    """Its full id."""
    revision: int
    """Its revision."""
    distribution: Word
    """Whose it is."""
    version: Word
    """The distribution's version."""


class LockedDistribution(Params):
    """One distribution that components come from, or ganforge itself."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=200)
    """Its name, normalised; never to be taken for an option of pip."""
    version: Word
    """Its version."""
    source: Literal["index", "editable", "local", "vcs", "url"]
    """How it was installed."""
    url: Annotated[Word, AfterValidator(public_url)] | None = None
    """Where from, as pip takes it, unless that was an index."""

    @property
    def ref(self) -> PluginRef:
        """As the loader has it."""
        return PluginRef(self.name, self.name, self.version, self.source, self.url)


class LockedFile(Params):
    """A file whose content the result depends on: a local plugin, or data."""

    key: str = Field(max_length=500)
    """The plugin's name, or the recipe's key."""
    file: str = Field(max_length=4096)
    """Where it lay."""
    sha256: Hash
    """Its content."""
    covers: Literal["contents", "listing", "sums"] | None = None
    """What is hashed where it is no file: names, sizes and contents of a folder's files; their names, sizes and times of change,
    where they are more than 1 GiB; or the sums that a data set is known to have."""


class Lock(Params):
    """What ``lock.json`` of a run folder holds."""

    schema_version: Literal[1] = Field(1, alias="schema")
    """Of this form."""
    ganforge: Word
    """Version of ganforge."""
    fingerprint: Hash
    """Of the resolved recipe."""
    components: tuple[LockedComponent, ...]
    """In the order of the recipe."""
    distributions: tuple[LockedDistribution, ...]
    """ganforge, those that the components come from, and the plugins on which these build."""
    plugin_files: tuple[LockedFile, ...] = ()
    """Local plugins that components come from."""
    data_files: tuple[LockedFile, ...] = ()
    """Files and folders that the data set's parameters name, and known data sets."""

    def requirements(self) -> list[str]:
        """The distributions as an index or repository gives them; files and editable folders are on one computer only."""
        return [
            str(one.ref.requirement) if one.source in ("vcs", "url") else f"{one.name}=={one.version}" for one in self.distributions
        ]

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
