"""Detects network access by any library through Python's audit events, even if the error is swallowed."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import Any

from ganforge.testing.conformance_checks import CheckFailedError

_NETWORK_EVENTS = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_INTERNET = (socket.AF_INET, socket.AF_INET6)


class _Guard:
    """The audit hook of this process, which cannot be removed; inactive outside of :func:`forbid_network`."""

    def __init__(self) -> None:
        self.active = False
        self.addresses: list[str] = []
        self.installed = False

    def install(self) -> None:
        if not self.installed:
            sys.addaudithook(self.audit)
            self.installed = True

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active or event not in _NETWORK_EVENTS:
            return
        if isinstance(arguments[0], socket.socket):
            if arguments[0].family not in _INTERNET:  # a local socket, as libraries use between threads
                return
            arguments = arguments[1:]
        self.addresses.append(str(arguments[0]))
        raise CheckFailedError(_message(self.addresses[0]))


_GUARD = _Guard()


@contextlib.contextmanager
def forbid_network() -> Iterator[None]:
    """Refuse every connection in the block, and fail at the end even if the refusal was swallowed.

    Raises:
        CheckFailedError: names the first address.
    """
    _GUARD.install()
    _GUARD.addresses.clear()
    _GUARD.active = True
    try:
        yield
    finally:
        _GUARD.active = False
    if _GUARD.addresses:
        raise CheckFailedError(_message(_GUARD.addresses[0]))


def _message(address: str) -> str:
    return f"it accesses the network ({address}); a data set may download only if its params request it"
