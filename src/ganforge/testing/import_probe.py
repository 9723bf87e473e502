"""What importing a plugin's module does, seen from a fresh interpreter: this one has long imported torch and all else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

HEAVY = ("torch", "torchvision", "numpy", "mlflow", "scipy", "sklearn", "matplotlib")
"""Modules that a plugin's own module should not bring in."""

_PROBE = """
import sys
sys.dont_write_bytecode = True
import importlib, json, logging, os, random, threading, warnings
path, module, heavy = json.loads(sys.argv[1])
sys.path[:] = path
import ganforge.plugin

did, looking = [], True
REACHING = ("socket.connect", "socket.getaddrinfo", "urllib.Request")
def look(event, arguments):
    if not looking:
        return
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        did.append(f"writes {arguments[0]}")
    elif event in REACHING:
        did.append("reaches for the network")
    elif event in ("subprocess.Popen", "os.system", "os.fork"):
        did.append("starts a process")
    elif event in ("os.putenv", "os.unsetenv"):  # comparing would miss what this process, the plugin's host, has inherited to it
        did.append(f"changes the environment ({os.fsdecode(arguments[0])})")

def state():
    root = logging.getLogger()
    return {
        "starts a thread": threading.active_count(),
        "moves Python's random stream": random.getstate(),
        "changes the working directory": os.getcwd(),
        "sets up logging": (len(root.handlers), root.level),
    }

class Written:
    def __init__(self, stream):
        self.stream, self.any = stream, False
    def write(self, text):
        self.any = True
        return self.stream.write(text)
    def __getattr__(self, name):
        return getattr(self.stream, name)

sys.addaudithook(look)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    before, out = state(), Written(sys.stdout)
    sys.stdout = out
    try:
        importlib.import_module(module)
    finally:
        sys.stdout = out.stream
    after, looking = state(), False
did += [what for what in after if after[what] != before[what]]
did += [f"warns ({one.message})" for one in warned] + ["prints"] * out.any
sys.stderr.write("\\n" + json.dumps([[name for name in heavy if name in sys.modules], list(dict.fromkeys(did))]))
sys.stderr.flush()
os._exit(0)  # a thread that the module left running must not keep the probe
"""


@dataclass(frozen=True, slots=True)
class Import:
    """What came of importing a module.

    Attributes:
        failure: why it cannot be imported by itself, or ``None``.
        brought: the heavy modules that came with it.
        did: what else it did, such as ``starts a thread``.
    """

    failure: str | None = None
    brought: tuple[str, ...] = ()
    did: tuple[str, ...] = ()


def imported(module: str) -> Import:
    """Import a module in a fresh interpreter that looks where this one does."""
    question = json.dumps([sys.path, module, HEAVY])
    command = [sys.executable, "-c", _PROBE, question]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own probe
    except subprocess.TimeoutExpired:
        return Import(failure="the import takes more than two minutes")
    last = answer.stderr.strip().rpartition("\n")[2]
    if answer.returncode != 0 or not last.startswith("[["):
        return Import(failure=last or "the interpreter ended without a word")
    brought, did = json.loads(last)
    return Import(None, tuple(brought), tuple(did))
