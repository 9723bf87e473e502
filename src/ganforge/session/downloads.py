"""A known data set's files from the web. Each is compared as it comes, and what one server has wrong the next one is asked for."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote, urlsplit, urlunsplit

from ganforge import __version__
from ganforge.builtin.datasets.remote_datasets import Known, KnownFile
from ganforge.core.errors import DataError, UsageError
from ganforge.session.data_checksums import archive_of, archives, insist, listed

Told = Callable[[str, int, int | None], None]
"""``(file, bytes so far, bytes in all)``, as they come."""

_PATIENCE = 30
"""Seconds without a byte until a server is given up."""
_CHUNK = 1 << 18
_WEB = ("http://", "https://")
_PACKED = (".tar.gz", ".tgz")
_NOT_THERE = (403, 404)

_Form = tuple[KnownFile, ...]
_Got = tuple[str, bytes]


def is_url(source: str) -> bool:
    """Whether a source is an address on the web."""
    return source.lower().startswith(_WEB)


def downloaded(known: Known, urls: Iterable[str], told: Told) -> Iterator[_Got]:
    """Name and content of each file of one form.

    Args:
        known: the data set.
        urls: folders on the web, or archives, which are asked one after the other.
        told: hears how it goes on.

    Raises:
        DataError: none has what is still needed; says why of each.
        UsageError: a URL is that of one file of several.
    """
    failures: list[str] = []
    left: list[KnownFile] | None = None
    for url in urls:
        try:
            if left is None:
                form, got = _begun(known, url, told)
                left = list(form[1:])
                yield got
            while left:
                yield _fetched(known, left[0], url, told)
                del left[0]
        except (OSError, http.client.HTTPException, ValueError, DataError) as error:  # ValueError: an address that is none
            failures.append(_failure(url, error))
            continue
        return
    raise DataError(f"{known.name} could not be downloaded: {'; '.join(failures)}", remedy=_without_network(known))


def _failure(url: str, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    return error.message if isinstance(error, DataError) else f"{url}: {getattr(error, 'reason', None) or error}"


def _begun(known: Known, url: str, told: Told) -> tuple[_Form, _Got]:
    """The form that a server has, and the first file of it."""
    last = unquote(urlsplit(url).path).rpartition("/")[2]
    candidates = archives(known)
    if candidates and last.lower().endswith(_PACKED):
        size = max((file.size or 0 for file in candidates), default=0)
        raw = _read(url, last, size or None, told)
        file = archive_of(known, raw, last, url)
        return (file,), (file.name, raw)
    if any(last in file.names for form in known.forms for file in form):
        raise UsageError(f"{url} is one of several files", remedy="name the folder on the web that holds them all")

    nowhere: urllib.error.HTTPError | None = None
    for form in known.forms:
        try:
            return form, _fetched(known, form[0], url, told)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _NOT_THERE:
                raise
            nowhere = nowhere or error
    raise nowhere or AssertionError("a data set has files")


def _fetched(known: Known, file: KnownFile, url: str, told: Told) -> _Got:
    """Name and content of a file from a folder on the web, packed where the server has it so; its sum is right."""
    *tried, last = reversed(file.names)
    for name in tried:
        try:
            return _right(known, file, url, name, told)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _NOT_THERE:
                raise
    return _right(known, file, url, last, told)


def _right(known: Known, file: KnownFile, url: str, name: str, told: Told) -> _Got:
    raw = _read(_below(url, name), name, file.size, told)
    insist(known, file, raw, f"{url}: {name}")
    return name, raw


def _below(url: str, name: str) -> str:
    """The address of a file in a folder; a query, such as a token, stays behind it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}", fragment=""))


def _read(url: str, name: str, size: int | None, told: Told) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": f"ganforge/{__version__}"})  # noqa: S310 - http(s) only, see _WEB
    pieces: list[bytes] = []
    done = 0
    with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310 - as above
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        while piece := response.read(_CHUNK):
            pieces.append(piece)
            done += len(piece)
            told(name, done, total)
            if size is not None and done > 2 * size + _CHUNK:
                raise http.client.HTTPException(f"{name} does not end where it should")
    if total is not None and done < total:
        raise http.client.HTTPException(f"{name} was cut short after {done:,} of {total:,} bytes")
    return b"".join(pieces)


def _without_network(known: Known) -> str:
    """What to do where there is none, to the letter."""
    packed = ", each with or without .gz," if known.forms[0][0].gzipped else ""
    steps = (
        f"without a network: get {listed(known.forms[0])}{packed} on a computer that has one, from {' or '.join(known.urls)}; "
        f"carry them here, and run `ganforge data prepare {known.name} --from FOLDER`"
    )
    return f"{steps}; or {known.otherwise}" if known.otherwise else steps
