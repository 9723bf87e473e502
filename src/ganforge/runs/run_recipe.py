"""The recipe that a run was begun with, from its folder. No torch."""

from __future__ import annotations

from ganforge.core.errors import RecipeError, RunFolderError
from ganforge.recipe.reader import RecipeSource, read_recipe
from ganforge.storage.run_folder import RunFolder

_ANOTHER = "name another run"


def resolved(folder: RunFolder) -> RecipeSource:
    """A run's ``resolved.toml``, which is without problems; parameters of components are not judged.

    Raises:
        RunFolderError: there is none, or it is damaged, or of another version of ganforge.
    """
    path = folder.resolved
    if not path.exists():
        raise RunFolderError(f"{folder.path} holds no resolved.toml: it never began", remedy=_ANOTHER)
    try:
        source = read_recipe(path)
    except RecipeError as error:
        raise _damaged(folder, error.problems[0].message) from error
    if source.problems:
        raise _damaged(folder, f"{source.problems[0].key}: {source.problems[0].message}")
    if source.value("train.seed") is None:  # every run writes it down, and no default stands for it
        raise _damaged(folder, "train.seed is missing")
    return source


def _damaged(folder: RunFolder, why: str) -> RunFolderError:
    return RunFolderError(f"{folder.resolved} is of another version of ganforge, or damaged: {why}", remedy=_ANOTHER)
