"""Without a network: Python's audit events tell every attempt to reach one, whatever library makes it and whoever swallows it."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import Any

from ganforge.testing.check_results import CheckFailed

_REACHING = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_INTERNET = (socket.AF_INET, socket.AF_INET6)


class _Guard:
    """The one audit hook of this process, which Python cannot take back: it sleeps outside of :func:`offline`."""

    def __init__(self) -> None:
        self.on_duty = False
        self.tried: list[str] = []
        self.installed = False

    def install(self) -> None:
        if not self.installed:
            sys.addaudithook(self.look)
            self.installed = True

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on_duty or event not in _REACHING:
            return
        if isinstance(arguments[0], socket.socket):
            if arguments[0].family not in _INTERNET:  # a socket of this computer's own, as libraries use among threads
                return
            arguments = arguments[1:]
        self.tried.append(str(arguments[0]))
        raise CheckFailed(_told(self.tried[0]))


_GUARD = _Guard()


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Refuse every connection inside, and fail at the end even where the refusal was swallowed.

    Raises:
        CheckFailed: naming what was to be reached first.
    """
    _GUARD.install()
    _GUARD.tried.clear()
    _GUARD.on_duty = True
    try:
        yield
    finally:
        _GUARD.on_duty = False
    if _GUARD.tried:
        raise CheckFailed(_told(_GUARD.tried[0]))


def _told(address: str) -> str:
    return f"it reaches for the network ({address}); a data set downloads only when its params ask for it"
