"""The guides for plugin authors, followed word for word: their files written, their commands run, what they show compared.

Once in a virtual environment with nothing but wheels; and once quickly, with this interpreter and a pip that only writes down what
is installed, leaving out what needs the network.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from ganforge.cli.app import main
from ganforge.storage.checkpoints import load_newest
from ganforge.storage.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
PAGE, GAME_PAGE = (ROOT / "docs" / "how-to" / f"write-a-{what}.md" for what in ("plugin", "game"))

PIP = '''\
"""As much of pip as the guide needs: ``install -e FOLDER`` and ``uninstall --yes NAME``, in the folder SITE."""

import os, shutil, sys, tomllib
from pathlib import Path

site, (command, option, what) = Path(os.environ["SITE"]), sys.argv[1:]
stem = what.replace("-", "_")
assert (command, option) in {("install", "-e"), ("uninstall", "--yes")}
if command == "install":
    project = tomllib.loads(Path(what, "pyproject.toml").read_text())["project"]
    info = site / f"{stem}-{project['version']}.dist-info"
    info.mkdir()
    about = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    needs = [f"Requires-Dist: {one}" for one in project["dependencies"]]
    info.joinpath("METADATA").write_text("\\n".join([*about, *needs, ""]))
    points = [f"{name} = {module}" for name, module in project["entry-points"]["ganforge"].items()]
    info.joinpath("entry_points.txt").write_text("\\n".join(["[ganforge]", *points, ""]))
    for module in (Path(what, "src", stem), Path(what, f"{stem}.py")):
        if module.exists():
            site.joinpath(module.name).symlink_to(module.resolve())
else:
    shutil.rmtree(next(site.glob(f"{stem}-*.dist-info")))
    for module in (site / stem, site / f"{stem}.py"):
        module.unlink(missing_ok=True)
print("done")
'''


@dataclass(frozen=True)
class Block:
    """A fenced block: of commands, or of one file's text, or of text that is added to one."""

    language: str
    text: str
    file: str | None
    adds: bool = False

    @property
    def commands(self):
        """Each command with what it should print."""
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        assert parts[0] == "", f"the block does not begin with a command: {self.text}"
        return [tuple(part.split("\n", 1)) for part in parts[1:]]


def blocks(page=PAGE):
    """The page's blocks in order; a file's name is the last path in the paragraph before it."""
    found, end = [], 0
    text = page.read_text()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```\n", text, flags=re.DOTALL | re.MULTILINE):
        before = text[end : match.start()].strip().rpartition("\n\n")[2]
        names = re.findall(r"`([\w.-]+/[\w./-]+\.\w+)`", before)
        found.append(Block(match[1], match[2], names[-1] if names and match[1] != "console" else None, "Add to" in before))
        end = match.end()
    return found


def pattern(shown):
    """What output is as shown, ``…`` standing for any text, and for any lines where it has a line of its own."""
    lines = [r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in shown.splitlines()]
    return "".join(lines)


def follow(folder, run, page=PAGE, *, leave_out=()):
    """Do all that the page says.

    Args:
        folder: where.
        run: runs a command line there; gives its exit code and what it printed.
        page: the guide.
        leave_out: words of commands whose whole block is left out.
    """
    done = []
    for block in blocks(page):
        if block.language != "console":
            assert block.file, f"which file is this?\n{block.text}"
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(f"{target.read_text()}\n\n{block.text}" if block.adds else block.text)
        elif not any(word in block.text for word in leave_out):
            for command, shown in block.commands:
                code, printed = run(command)
                message = f"$ {command}\n{printed}\nended with {code}; the page shows:\n{shown}"
                assert re.fullmatch(pattern(shown), printed.rstrip("\n") + "\n"), message
                assert (code != 0) == shown.startswith("error:"), message
                done.append(command)
    return done


@pytest.fixture
def with_this_interpreter(tmp_path):
    """Runs command lines with this interpreter's ganforge and pytest, and a pip that only writes down what is installed."""
    tools, site = tmp_path / "tools", tmp_path / "site"
    tools.mkdir()
    site.mkdir()
    (tools / "fake_pip.py").write_text(PIP)
    for name, words in {"ganforge": "-m ganforge", "pytest": "-m pytest", "pip": str(tools / "fake_pip.py")}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (tools / name).chmod(stat.S_IRWXU)
    environ = dict(os.environ, SITE=str(site), PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    environ["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return shell(tmp_path / "work", environ)


def shell(folder, environ):
    """Runs command lines in a folder, as a person at a prompt would."""
    folder.mkdir()

    def run(command):
        together = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(["bash", "-c", command], cwd=folder, env=environ, check=False, timeout=600, **together)
        return done.returncode, done.stdout

    run.folder = folder
    return run


@pytest.mark.parametrize("page", [PAGE, GAME_PAGE])
def test_the_page_holds_files_and_commands(page):
    assert {block.language for block in blocks(page)} == {"console", "python", "toml"}
    assert all(block.file for block in blocks(page) if block.language != "console")


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nd\n", True),
        ("a\n…\nd\n", "a\nb\n", False),
        ("… 0 failed, …\n", "14 of 14 passed, 0 failed, 2 s\n", True),
        ("… 0 failed, …\n", "13 of 14 passed, 1 failed, 2 s\n", False),
    ],
)
def test_what_is_shown_is_compared(shown, printed, same):
    assert bool(re.fullmatch(pattern(shown), printed)) == same


@pytest.mark.slow
def test_the_page_is_right(with_this_interpreter):
    folder = with_this_interpreter.folder
    done = follow(folder, with_this_interpreter, leave_out=["python -m build"])

    assert {command.split()[0] for command in done} == {"ganforge", "pip", "pytest"}
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check"], ["format", "--check"]):
        subprocess.run([*ruff, *words, "--no-cache", str(folder / "rals-gan")], check=True)


@pytest.mark.slow
def test_the_page_about_games_is_right(with_this_interpreter):
    done = follow(with_this_interpreter.folder, with_this_interpreter, GAME_PAGE)
    assert [command.split()[1] for command in done] == ["run", "sample", "plugins"]


def test_the_game_of_the_page_resumes_bit_for_bit_and_is_evaluated(tmp_path, monkeypatch, capsys):
    """What games share: checkpoints, moving averages, health checks without a critic, sampling, evaluation and export."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(GAME_PAGE):
        if block.file:
            target = tmp_path / Path(block.file).name
            target.write_text(f"{target.read_text()}\n\n{block.text}" if block.adds else block.text)
    settings = [
        "train.iterations=20",
        "checkpoints.every=10",
        'tracking.mode="off"',
        "pictures.report=false",
        "metric[0].samples=50",
    ]
    given = ["--plain", "--plugin", "small_vae.py", *(word for one in settings for word in ("--set", one))]
    assert main(["run", "small_vae.toml", *given]) == 0
    assert main(["run", "small_vae.toml", *given]) == 0
    whole, half = sorted(Path("runs/small_vae").iterdir(), key=lambda path: path.stat().st_mtime)
    shutil.rmtree(half / "checkpoints" / "00000020")
    assert main(["run", "--resume", str(half), "--plain", "--plugin", "small_vae.py"]) == 0
    states = [load_newest(RunFolder(path))[1].tensors for path in (whole, half)]
    assert states[0].keys() == states[1].keys()
    assert {name.partition("/")[0] for name in states[0]} == {"encoder", "generator", "ema", "optimizers", "random"}
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())

    assert "the game has no discriminator, so that health checks of one do not apply" in capsys.readouterr().err
    named = [str(whole), "--plugin", "small_vae.py"]
    assert main(["evaluate", *named, "--weights", "raw"]) == 0
    assert main(["sample", *named, "-n", "5", "--out", "samples.npz"]) == 0
    assert main(["interpolate", *named, "--out", "walk.png"]) == 0
    assert main(["export", *named, "--format", "safetensors"]) == 0
    assert main(["report", str(whole)]) == 0
    assert np.load("samples.npz")["values"].shape == (5, 2)
    assert main(["evaluate", *named, "--metric", "optimal-discriminator"]) != 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_is_right_with_pip_and_wheels(clean_virtualenv, tmp_path):
    before = clean_virtualenv.files()
    follow(tmp_path / "work", shell(tmp_path / "work", clean_virtualenv.environ))
    assert {path for path in clean_virtualenv.files() - before if re.search(r"rals.gan|acme.drift", str(path))} == set()
