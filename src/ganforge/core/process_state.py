"""The state of the process around foreign imports: what the imported code changes is put back, so that it affects nothing else.

Output to stdout, where ``--json`` promises one object, goes to stderr: that of ``print``, of C code and of child processes.
"""

from __future__ import annotations

import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ganforge.core.errors import ForeignExitError, isolated

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A part of the process's state: its name in remarks, how to read it, and how to set it again."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


@contextmanager
def preserved_process() -> Iterator[list[str]]:
    """Run foreign code that is imported; afterwards the list holds the state that it changed, which is as it was again.

    An exception that it raises passes, as :class:`ForeignExitError` if it is not an ``Exception``; Ctrl-C passes unchanged.
    """
    changes: list[str] = []
    before = [(kept, kept.read()) for kept in (*_KEPT, *_QUIET)]
    threads = threading.active_count()
    try:
        with stdout_to_stderr(), _interrupts_noted() as interrupts, isolated():
            try:
                yield changes
            except KeyboardInterrupt as error:
                if interrupts:
                    raise
                raise ForeignExitError("it raised KeyboardInterrupt") from error
    finally:
        for kept, value in before:
            if value is not None and kept.read() != value:
                with suppress(OSError, ValueError, locale.Error):
                    kept.restore(value)
                if kept in _KEPT:
                    changes.append(f"changes {kept.name}")
        if threading.active_count() > threads:
            changes.append("starts a thread")


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send what is written to file descriptor 1 to stderr, C code and child processes included."""
    try:
        saved = os.dup(1)
    except OSError:  # stdout is closed
        yield
        return
    with suppress(OSError):
        os.dup2(2, 1)
    try:
        yield
    finally:
        if "ctypes" in sys.modules:  # else hardly any C code has written; it buffers what it writes
            import ctypes

            with suppress(OSError, AttributeError, TypeError):
                ctypes.CDLL(None).fflush(None)
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def _interrupts_noted() -> Iterator[list[int]]:
    """The list is not empty once the user has pressed Ctrl-C: foreign code may raise KeyboardInterrupt without that."""
    noted: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        noted.append(0)  # unknown
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, handler)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a text, which may name a folder that is gone
    except OSError:
        return None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("KMP_")}  # scikit-learn sets these for OpenMP


def _restore_environment(before: dict[str, str]) -> None:
    for name in _environment().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _restore_signals(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        if handler is not None:  # None: not set by Python
            signal.signal(number, handler)


def _restore_hooks(before: tuple[Any, ...]) -> None:
    sys.excepthook, sys.stdout, sys.stderr, sys.stdin, warnings.showwarning = before


def _restore_logging(before: tuple[Any, ...]) -> None:
    logging.root.handlers[:], level, logging.root.manager.disable = before
    logging.root.setLevel(level)


def _restore_filters(before: list[Any]) -> None:
    filters: Any = warnings.filters
    filters[:] = before


def _torch_defaults() -> tuple[Any, ...]:
    """Default dtype and device, and the gradient mode; those that torch starts with if it is not imported yet."""
    if (torch := sys.modules.get("torch")) is None or not hasattr(torch, "get_default_device"):
        return "torch.float32", "cpu", True
    return str(torch.get_default_dtype()), str(torch.get_default_device()), torch.is_grad_enabled()


def _restore_torch(before: tuple[Any, ...]) -> None:
    import torch

    dtype, device, gradients = before
    torch.set_default_dtype(getattr(torch, dtype.removeprefix("torch.")))
    torch.set_default_device(None if device == "cpu" else device)
    torch.set_grad_enabled(gradients)


_KEPT = (
    _Kept("the working directory", _folder, os.chdir),
    _Kept("os.environ", _environment, _restore_environment),
    _Kept("sys.path", lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
    _Kept("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Kept("signal handlers", lambda: {number: signal.getsignal(number) for number in _SIGNALS}, _restore_signals),
    _Kept("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda value: locale.setlocale(locale.LC_ALL, value)),
    _Kept("Python's random numbers", random.getstate, random.setstate),
    _Kept("torch's defaults", _torch_defaults, _restore_torch),
)
"""What a plugin is remarked upon for."""
_QUIET = (
    _Kept("hooks", lambda: (sys.excepthook, sys.stdout, sys.stderr, sys.stdin, warnings.showwarning), _restore_hooks),
    _Kept("filters", lambda: [*warnings.filters], _restore_filters),
    _Kept("logging", lambda: ([*logging.root.handlers], logging.root.level, logging.root.manager.disable), _restore_logging),
)
"""What libraries such as torch change when a plugin imports them."""
