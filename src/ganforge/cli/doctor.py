"""``ganforge doctor``: check the installation, one function for each part, and name a remedy for each problem."""

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

import typer

from ganforge import __version__
from ganforge.cli import options
from ganforge.cli.diagnosis import Diagnosis, print_diagnoses
from ganforge.core.errors import GanforgeError

_MIN_FREE_BYTES = 2**30
"""Free disk space below which a run with pictures and checkpoints may fail: 1 GiB."""


def doctor(*, as_json: options.Json = False) -> None:
    """Check Python, torch, MLflow, plugins, data and disk; name a remedy for each problem, and exit with 1 if there is one."""
    raise typer.Exit(print_diagnoses(diagnose(), as_json=as_json))


def diagnose(folder: Path | None = None) -> Iterator[Diagnosis]:
    """Check every part of the installation; a check that fails is a fault too.

    Args:
        folder: where runs would be written. Default: the current folder.
    """
    folder = Path.cwd() if folder is None else folder
    parts: dict[str, Callable[[], Iterable[Diagnosis]]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "mlflow": lambda: _mlflow(folder),
        "plugins": lambda: _plugins(folder),
        "data": _data,
        "disk": lambda: _disk(folder),
        "terminal": _terminal,
    }
    for name, check in parts.items():
        try:
            yield from check()
        except GanforgeError as error:
            yield Diagnosis(name, "fault", error.message, error.remedy)
        except Exception as error:  # noqa: BLE001 - one failing check must not hide the others
            yield Diagnosis(name, "fault", f"{type(error).__name__}: {error}")


def _python() -> Iterator[Diagnosis]:
    yield Diagnosis("ganforge", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield Diagnosis("python", "ok", f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")


def _packages() -> Iterator[Diagnosis]:
    """Installed versions compared with the requirements in ganforge's metadata."""
    from ganforge.cli.plugin_doctor import unmet_requirements

    wrong = tuple(unmet_requirements(metadata.requires("ganforge") or ()))
    for requirement, version in wrong:
        found = f"{version} is installed" if version else "is not installed"
        text = f"{requirement.name} {found}, needed: {requirement.specifier or 'any version'}"
        yield Diagnosis("packages", "fault", text, f"pip install '{requirement}'")
    if not wrong:
        yield Diagnosis("packages", "ok", "all requirements are met")


def _torch() -> Iterator[Diagnosis]:
    started = time.perf_counter()
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of torch that does not load
        yield Diagnosis("torch", "fault", f"cannot be imported: {error}", "pip install --force-reinstall torch")
        return
    seconds = time.perf_counter() - started
    yield Diagnosis("torch", "ok", f"{torch.__version__}, imported in {seconds:.1f} s, {torch.get_num_threads()} threads")

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Diagnosis("device", "ok", f"cuda: {names}")
    elif torch.backends.mps.is_available():
        yield Diagnosis("device", "ok", "mps: Apple GPU")
    elif shutil.which("nvidia-smi"):
        remedy = "install the CUDA build of torch: https://pytorch.org/get-started/locally"
        yield Diagnosis("device", "note", "cpu; an NVIDIA driver is installed, but this torch build does not use it", remedy)
    else:
        yield Diagnosis("device", "ok", f"cpu with {os.cpu_count()} cores")
    if shutil.which("c++") is None and shutil.which("g++") is None and shutil.which("clang++") is None:
        yield Diagnosis("compiler", "note", "no C++ compiler", "needed only for torch.compile on a CPU")


def _mlflow(folder: Path) -> Iterator[Diagnosis]:
    from ganforge.tracking import tracking_store

    if importlib.util.find_spec("mlflow") is None:
        yield Diagnosis("mlflow", "fault", "not installed", "pip install mlflow")
    else:
        yield Diagnosis("mlflow", "ok", metadata.version("mlflow"))

    store = tracking_store.resolve_store(folder=folder)
    source = f"{store.shown} (from {store.origin})"
    if store.is_http:
        yield _server(store.uri, source)
    elif store.database is not None and not _writable(store.database):
        yield Diagnosis("store", "fault", f"{source} cannot be written", "set MLFLOW_TRACKING_URI to a writable location")
    else:
        yield Diagnosis("store", "ok", source)


def _server(uri: str, source: str) -> Diagnosis:
    """Query the health endpoint of an MLflow server; a healthy one answers within two seconds."""
    import urllib.error
    import urllib.request
    from urllib.parse import urlsplit

    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/health").geturl()
    try:
        with urllib.request.urlopen(address, timeout=2) as response:  # noqa: S310 - is_http: http or https only
            healthy = response.status == 200
    except urllib.error.HTTPError as error:
        return Diagnosis("store", "note", f"{source} answers its health check with status {error.code}", "see the server's log")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = "start the server, or unset MLFLOW_TRACKING_URI; runs work without it, and `ganforge sync` sends them later"
        return Diagnosis("store", "fault", f"{source} does not answer: {reason}", remedy)
    return Diagnosis("store", "ok" if healthy else "note", f"{source} {'answers' if healthy else 'is unhealthy'}")


def _plugins(folder: Path) -> Iterator[Diagnosis]:
    """The plugins that do not work, and a one-line summary of ``ganforge plugins doctor``."""
    from ganforge.cli.plugin_doctor import diagnose_registry
    from ganforge.registry.plugin_loader import load_plugins

    registry = load_plugins(strict=False)
    diagnoses = list(diagnose_registry(registry, folder))
    shown = [one for one in diagnoses if one.part == "plugins" and one.state != "ok"]
    yield from shown

    active = [record.title for record in registry.plugins if record.works]
    text = f"{len(active)} active: {', '.join(active)}"
    others = [one for one in diagnoses if one.state != "ok" and one not in shown]
    if not others:
        yield Diagnosis("plugins", "ok" if active else "fault", text)
        return
    state: Literal["note", "fault"] = "fault" if any(one.state == "fault" for one in others) else "note"
    yield Diagnosis("plugins", state, f"{text}; {len(others)} more to check", "ganforge plugins doctor")


def _data() -> Iterator[Diagnosis]:
    from ganforge.storage.data_folders import data_folder

    folder = data_folder()
    source = "GANFORGE_DATA" if os.environ.get("GANFORGE_DATA") else "the default"
    if folder.exists() and not folder.is_dir():
        yield Diagnosis("data", "fault", f"{folder} (from {source}) is a file", "set GANFORGE_DATA to a folder")
    elif not _writable(folder):
        yield Diagnosis("data", "fault", f"{folder} (from {source}) cannot be written", "set GANFORGE_DATA to a writable folder")
    else:
        yield Diagnosis("data", "ok", f"{folder} (from {source}{'' if folder.exists() else '; created when needed'})")


def _disk(folder: Path) -> Iterator[Diagnosis]:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free in {folder}"
    if free < _MIN_FREE_BYTES:
        yield Diagnosis("disk", "fault", text, "free some space, or use another --runs-dir")
    else:
        yield Diagnosis("disk", "ok", text)
    if not _writable(folder / "runs"):
        yield Diagnosis("runs", "fault", f"{folder / 'runs'} cannot be written", "work in another folder, or use --runs-dir")


def _terminal() -> Iterator[Diagnosis]:
    encoding = (sys.stdout.encoding or "").lower()
    size = shutil.get_terminal_size()
    kind = f"{size.columns}×{size.lines}" if sys.stdout.isatty() else "no terminal: runs print plain lines"
    colour = ", NO_COLOR is set" if os.environ.get("NO_COLOR") else ""
    if re.fullmatch(r"utf-?8", encoding):
        yield Diagnosis("terminal", "ok", f"{kind}{colour}")
    else:
        remedy = "set PYTHONUTF8=1 to see Greek letters and the sample preview"
        yield Diagnosis("terminal", "note", f"{kind}{colour}, encoding {encoding or 'unknown'}", remedy)


def _writable(path: Path) -> bool:
    """Whether the file or folder is writable, or can be created."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK)
