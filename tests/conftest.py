"""What every test may rely on: one thread, nobody's settings, nothing written to anybody's home."""

import getpass
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

# Set before anything imports torch or numpy, here and in the processes that tests start: two cores serve many tests at once.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

# matplotlib's font list takes seconds to build, so it is kept between sessions, but not in the home with its user's own style.
os.environ["MPLCONFIGDIR"] = str(Path(tempfile.gettempdir(), f"ganforge-tests-matplotlib-{getpass.getuser()}"))
os.environ["MPLBACKEND"] = "Agg"

_FOREIGN = ("GANFORGE_", "MLFLOW_", "XDG_")
_TERMINAL = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


@pytest.fixture(scope="session")
def _home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _nobodys_settings(_home, monkeypatch):
    """No test reads the settings, or writes to the home, of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name in _TERMINAL:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(_home))


@pytest.fixture
def growth():
    """How many times as long something takes for an input four times as large: 4 where time is linear, 16 where it is quadratic.

    In processor time of this process, the least of three, above a floor of a millisecond: no speed of a computer is tested.
    """

    def growth(act, small, large):
        def least(given):
            times = []
            for _ in range(3):
                begun = time.process_time()
                act(given)
                times.append(time.process_time() - begun)
            return 1e-3 + min(times)

        return least(large) / least(small)

    return growth


@pytest.fixture(autouse=True)
def _temporary_modules_forgotten(tmp_path_factory):
    """A plugin that one test wrote into a temporary folder is not what the next test imports under the same name."""
    before = set(sys.modules)
    yield
    # pytest's own folder, not all of /tmp: a clone of this repository, or its virtual environment, may lie there too.
    written = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(written):
            del sys.modules[name]


def pytest_collection_finish(session):  # by now the test modules have imported what they need
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
