"""What pip is told to install the same distribution again, as ``pip freeze`` would say it."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from ganforge.registry.component import PluginRef

_PLAIN_PATH = re.compile(r"[\w./@+-]+")


def requirement(ref: PluginRef) -> str | None:
    """One requirement: a pinned version, or a direct reference to where the distribution came from; ``None`` for a local file."""
    if ref.source == "file":
        return None
    if ref.source == "editable" and ref.url:
        path = unquote(urlsplit(ref.url).path)
        return f"-e {path if _PLAIN_PATH.fullmatch(path) else ref.url}"  # a blank would end the path
    if ref.url:
        return f"{ref.distribution} @ {ref.url}"
    return f"{ref.distribution}=={ref.version}"


def requirement_line(ref: PluginRef) -> str:
    """The same as a line of a requirements file: versions and files that pip cannot be told stand in a comment."""
    line = requirement(ref)
    if line is None:
        return f"# {ref.url} is a file of your own (sha256 {ref.sha256}): --plugin {ref.url}"
    return f"{line}  # {ref.distribution} {ref.version}" if ref.url else line
