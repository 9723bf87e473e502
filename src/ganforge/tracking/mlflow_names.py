"""Names that MLflow accepts: one odd character in the name of a metric must not lose its values."""

from __future__ import annotations

import hashlib
import re

LONGEST_KEY = 250
LONGEST_PARAM = 6000
LONGEST_TAG = 8000
_CUT = " … (cut)"


def metric_key(name: str) -> str:
    """A key for a metric, parameter or tag: letters, digits and ``_ - . space : /``, a clean relative path, at most 250 characters.

    A name that has to change gets a digest of the original as its suffix, so that different names stay different.
    """
    return _clean(name, allowed=r"\w\-. :", longest=LONGEST_KEY, flags=0)


def image_key(name: str) -> str:
    """A key for ``MlflowClient.log_image``, which accepts fewer characters: ASCII letters, digits and ``_ - . space /``."""
    return _clean(name, allowed=r"\w\-. ", longest=120, flags=re.ASCII)  # it becomes part of a file name of at most 255


def artifact_folder(name: str) -> str:
    """A folder for artifacts inside the run: a clean relative path; "" is the top."""
    return _clean(name, allowed=r"\w\-. ", longest=200, flags=0) if name else ""


def slug(name: str) -> str:
    """A folder name that is safe on every system and differs for different names."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:40]
    return f"{readable}-{_digest(name)}" if readable else _digest(name)


def one_line(name: str, longest: int) -> str:
    """A name for display: control characters become spaces, and it is cut after ``longest`` characters."""
    return "".join(character if character.isprintable() else " " for character in name)[:longest]


def cut(text: str, longest: int) -> str:
    """Text of at most ``longest`` characters with a note where it was cut; MLflow itself cuts silently."""
    return text if len(text) <= longest else text[: longest - len(_CUT)] + _CUT


def _clean(name: str, *, allowed: str, longest: int, flags: int) -> str:
    parts = [re.sub(rf"[^{allowed}]", "_", part, flags=flags) for part in name.split("/")]
    parts = [part for part in parts if part not in {"", "."}]
    clean = "/".join("__" if part == ".." else part for part in parts)
    if clean and clean == name and len(clean) <= longest and not clean.startswith(".."):
        return clean
    clean = clean.lstrip(".")
    return f"{clean[: longest - 7]}-{_digest(name)}" if clean else _digest(name)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
