"""What ``ganforge doctor`` looks at: one function for each part of the installation, each giving findings with their remedies."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from ganforge import __version__
from ganforge.cli.doctor_findings import Finding
from ganforge.cli.plugin_checks import examine_registry, unmet
from ganforge.core.errors import GanforgeError

_ENOUGH_DISK = 2**30
"""Free bytes below which a run with pictures and checkpoints may fail: 1 GiB."""


def examine(folder: Path | None = None) -> Iterator[Finding]:
    """Look at everything, one part after another; a part that cannot be looked at is a fault of its own.

    Args:
        folder: where runs would be made; the current folder unless given.
    """
    folder = Path.cwd() if folder is None else folder
    parts: dict[str, Callable[[], Iterable[Finding]]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "mlflow": lambda: _mlflow(folder),
        "plugins": lambda: _plugins(folder),
        "data": _data,
        "disk": lambda: _disk(folder),
        "terminal": _terminal,
    }
    for name, look in parts.items():
        try:
            yield from look()
        except GanforgeError as error:
            yield Finding(name, "fault", error.message, error.remedy)
        except Exception as error:  # noqa: BLE001 - a doctor that dies of the illness is no help
            yield Finding(name, "fault", f"{type(error).__name__}: {error}")


def _python() -> Iterator[Finding]:
    yield Finding("ganforge", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield Finding("python", "ok", f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")


def _packages() -> Iterator[Finding]:
    """The installed versions against what ganforge's own metadata asks for."""
    wrong = tuple(unmet(metadata.requires("ganforge") or ()))
    for requirement, version in wrong:
        found = f"{version} is installed" if version else "is not installed"
        text = f"{requirement.name} {found}, needed: {requirement.specifier or 'any version'}"
        yield Finding("packages", "fault", text, f"pip install '{requirement}'")
    if not wrong:
        yield Finding("packages", "ok", "all that ganforge needs, in versions that fit")


def _torch() -> Iterator[Finding]:
    started = time.perf_counter()
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of torch that does not load
        yield Finding("torch", "fault", f"cannot be imported: {error}", "pip install --force-reinstall torch")
        return
    seconds = time.perf_counter() - started
    yield Finding("torch", "ok", f"{torch.__version__}, imported in {seconds:.1f} s, {torch.get_num_threads()} threads")

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("device", "ok", f"cuda: {names}")
    elif torch.backends.mps.is_available():
        yield Finding("device", "ok", "mps: this computer's graphics processor")
    elif shutil.which("nvidia-smi"):
        remedy = "install the CUDA build of torch: https://pytorch.org/get-started/locally"
        yield Finding("device", "note", "cpu; there is an NVIDIA driver, which this torch does not use", remedy)
    else:
        yield Finding("device", "ok", f"cpu with {os.cpu_count()} cores")
    if shutil.which("c++") is None and shutil.which("g++") is None and shutil.which("clang++") is None:
        yield Finding("compiler", "note", "no C++ compiler, which torch.compile needs on a CPU", "nothing to do unless you compile")


def _mlflow(folder: Path) -> Iterator[Finding]:
    from ganforge.tracking import tracking_store

    if importlib.util.find_spec("mlflow") is None:
        yield Finding("mlflow", "fault", "not installed", "pip install mlflow")
    else:
        yield Finding("mlflow", "ok", metadata.version("mlflow"))

    where = tracking_store.resolve(folder=folder)
    said_by = f"{where.shown} (from {where.origin})"
    if where.is_http:
        yield _server(where.uri, said_by)
    elif where.database is not None and not _writable(where.database):
        yield Finding("store", "fault", f"{said_by} cannot be written", "set MLFLOW_TRACKING_URI to a place you may write to")
    else:
        yield Finding("store", "ok", said_by)


def _server(uri: str, said_by: str) -> Finding:
    """Ask an MLflow server whether it is well; two seconds are enough for one that is."""
    import urllib.error
    import urllib.request
    from urllib.parse import urlsplit

    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health").geturl()
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - is_http: http or https only
            well = answer.status == 200
    except urllib.error.HTTPError as error:
        return Finding("store", "note", f"{said_by} answers {error.code} when asked for its health", "see the server's log")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = "start the server, or unset MLFLOW_TRACKING_URI; runs go on without it and `ganforge sync` delivers them later"
        return Finding("store", "fault", f"{said_by} does not answer: {reason}", remedy)
    return Finding("store", "ok" if well else "note", f"{said_by} {'answers' if well else 'is unwell'}")


def _plugins(folder: Path) -> Iterator[Finding]:
    """The plugins that do not work, and in one line what ``ganforge plugins doctor`` thinks of all."""
    from ganforge.registry.plugin_loader import load_plugins

    registry = load_plugins(strict=False)
    told = list(examine_registry(registry, folder))
    shown = [one for one in told if one.part == "plugins" and one.state != "ok"]
    yield from shown

    active = [record.title for record in registry.plugins if record.works]
    text = f"{len(active)} active: {', '.join(active)}"
    others = [one for one in told if one.state != "ok" and one not in shown]
    if not others:
        yield Finding("plugins", "ok" if active else "fault", text)
        return
    state: Literal["note", "fault"] = "fault" if any(one.state == "fault" for one in others) else "note"
    yield Finding("plugins", state, f"{text}; {len(others)} more to look at", "ganforge plugins doctor")


def _data() -> Iterator[Finding]:
    from ganforge.storage.data_folders import data_folder

    folder = data_folder()
    said_by = "GANFORGE_DATA" if os.environ.get("GANFORGE_DATA") else "the default"
    if folder.exists() and not folder.is_dir():
        yield Finding("data", "fault", f"{folder} (from {said_by}) is a file", "set GANFORGE_DATA to a folder")
    elif not _writable(folder):
        yield Finding(
            "data", "fault", f"{folder} (from {said_by}) cannot be written", "set GANFORGE_DATA to a folder you may write to"
        )
    else:
        yield Finding("data", "ok", f"{folder} (from {said_by}{'' if folder.exists() else '; made when needed'})")


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free in {folder}"
    if free < _ENOUGH_DISK:
        yield Finding("disk", "fault", text, "make room, or give another --runs-dir")
    else:
        yield Finding("disk", "ok", text)
    if not _writable(folder / "runs"):
        yield Finding("runs", "fault", f"{folder / 'runs'} cannot be written", "work in another folder, or give --runs-dir")


def _terminal() -> Iterator[Finding]:
    encoding = (sys.stdout.encoding or "").lower()
    size = shutil.get_terminal_size()
    kind = f"{size.columns}×{size.lines}" if sys.stdout.isatty() else "none: output is piped, so runs print plain lines"
    colour = ", NO_COLOR is set" if os.environ.get("NO_COLOR") else ""
    if re.fullmatch(r"utf-?8", encoding):
        yield Finding("terminal", "ok", f"{kind}{colour}")
    else:
        remedy = "set PYTHONUTF8=1 to see Greek letters and the sample view"
        yield Finding("terminal", "note", f"{kind}{colour}, encoding {encoding or 'unknown'}", remedy)


def _writable(path: Path) -> bool:
    """Whether the file or folder can be written, or made where it is missing."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK)
