"""Where prepared data sets lie, and what is kept for later."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache: what can be had again, if only after a while."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganforge"


def data_folder() -> Path:
    """Where data sets are prepared: ``$GANFORGE_DATA``, else the user's cache."""
    return data_folders()[0]


def data_folders() -> tuple[Path, ...]:
    """Where they are looked for, in this order: ``$GANFORGE_DATA`` where it is set, and the user's cache."""
    given = os.environ.get("GANFORGE_DATA")
    cache = cache_folder() / "data"
    return (Path(given).expanduser(), cache) if given else (cache,)
