"""The folders outside runs: the user's cache, and where prepared data sets are."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache, for what can be obtained again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganforge"


def data_folder() -> Path:
    """Where data sets are prepared: ``$GANFORGE_DATA``, else the user's cache."""
    return data_folders()[0]


def data_folders() -> tuple[Path, ...]:
    """Where data sets are searched, in this order: ``$GANFORGE_DATA`` if it is set, then the user's cache."""
    given = os.environ.get("GANFORGE_DATA")
    cache = cache_folder() / "data"
    return (Path(given).expanduser(), cache) if given else (cache,)
