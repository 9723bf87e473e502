"""Plugins without packaging: Python files that the command line or the project names, never a recipe.

They go through the same guarded loader as installed plugins. What is run is exactly what was hashed: the file is read once, and
neither its folder nor the working directory gets onto the import path.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

from ganforge.core.errors import PluginError
from ganforge.registry.discovery import Found
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.selection import LOCAL, plugin_name


@dataclass(frozen=True, slots=True)
class LocalFile(Found):
    """A file that is a plugin; its module's name holds its hash, so that an edited file is another module.

    Attributes:
        content: what was read.
    """

    content: bytes = b""

    @property
    def file(self) -> Path | None:
        """The file itself."""
        return Path(self.url) if self.url else None

    def load(self) -> object:
        """Run the file, unless this process did so before."""
        name = (
            f"ganforge_local_{self.name.replace('-', '_')}_{hashlib.sha256(f'{self.url}:{self.sha256}'.encode()).hexdigest()[:8]}"
        )
        if name in sys.modules:
            return sys.modules[name]
        module = importlib.util.module_from_spec(ModuleSpec(name, None, origin=self.url))
        module.__file__ = self.url
        sys.modules[name] = module  # before it runs: pydantic looks a class's module up there
        try:
            exec(compile(self.content, str(self.url), "exec"), module.__dict__)  # noqa: S102 - the user named this file to be run
        except BaseException as error:
            del sys.modules[name]
            if isinstance(error, ImportError) and self._is_beside(error):
                raise PluginError(
                    f"{error}: a local plugin is one file, and its folder is not on the import path",
                    remedy="put all into the file, or write a package: ganforge plugins new",
                ) from error
            raise
        return module

    def _is_beside(self, error: ImportError) -> bool:
        """Whether what could not be imported lies in the file's folder, or was meant to."""
        beside = self.file and error.name and self.file.parent / error.name.partition(".")[0]
        return "relative import" in str(error) or bool(beside and (beside.is_dir() or beside.with_suffix(".py").is_file()))


def local_file(path: Path) -> LocalFile:
    """Read a file that is to be a plugin; what is wrong with it becomes its fault. Nothing is run."""
    fault, content = None, b""
    try:
        content = path.read_bytes()
    except OSError as error:
        fault = f"cannot read {path}: {error.strerror or error}"
    if path.suffix != ".py":
        fault = f"{path} is no Python file (.py)"
    digest = hashlib.sha256(content).hexdigest()
    return LocalFile(
        name=plugin_name(path),
        distribution=LOCAL,
        version="?" if fault else digest[:12],
        entry_point=metadata.EntryPoint(plugin_name(path), str(path), ENTRY_POINT_GROUP),
        source="file",
        origin=str(path),
        url=str(path),
        fault=fault,
        sha256=None if fault else digest,
        content=content,
    )
