"""What imported code changes in the process is put back, and its output never reaches stdout."""

import contextlib
import json
import locale
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from ganforge.core.errors import ForeignExitError
from ganforge.core.process_state import preserved_process

NOISY = """
import atexit, logging, os, subprocess, sys, warnings, ctypes
print("noise")
sys.__stdout__.write("noise\\n")
os.write(1, b"noise\\n")
ctypes.CDLL(None).puts(b"noise")
subprocess.run(["echo", "noise"])
logging.warning("noise")
warnings.warn("noise")
atexit.register(lambda: print("noise"))
atexit.register(lambda: os.write(1, b"noise\\n"))
os.chdir("/")
raise KeyboardInterrupt
"""


def state():
    return (
        str(Path.cwd()),
        dict(os.environ),
        list(sys.path),
        sys.excepthook,
        sys.stdout,
        list(warnings.filters),
        signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGINT),
        locale.setlocale(locale.LC_ALL),
        random.getstate(),
        sys.getrecursionlimit(),
        list(logging.root.handlers),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )


def meddle():
    os.chdir("/")
    os.environ["MLFLOW_TRACKING_URI"] = "http://elsewhere"
    os.environ.pop("HOME")
    sys.path.insert(0, "/elsewhere")
    sys.excepthook = None
    sys.stdout = None
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C")
    random.seed(7)
    sys.setrecursionlimit(9999)
    logging.basicConfig(force=True)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)


@pytest.mark.parametrize("error", [None, ValueError, SystemExit, KeyboardInterrupt])
def test_all_that_foreign_code_changes_is_as_it_was(error):
    before = state()
    with contextlib.suppress(ValueError, ForeignExitError), preserved_process() as changes:
        meddle()
        if error:
            raise error

    assert state() == before
    assert {"changes the working directory", "changes os.environ", "changes signal handlers", "changes torch's defaults"} <= {
        *changes
    }


def test_ctrl_c_is_still_the_user_s():
    with pytest.raises(KeyboardInterrupt), preserved_process():
        os.kill(os.getpid(), signal.SIGINT)


def test_a_plugin_that_writes_by_every_means_leaves_one_json_object(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    command = [sys.executable, "-m", "ganforge", "--plugin", "noisy.py", "plugins", "list", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (noisy,) = [one for one in json.loads(done.stdout)["plugins"] if one["name"] == "noisy"]
    assert (noisy["status"], noisy["reason"]) == ("broken", "it raised KeyboardInterrupt (noisy.py:13)")
    assert done.stderr.count("noise") >= 8
