import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge import __version__
from ganforge.cli import app as cli
from ganforge.cli.app import main
from ganforge.core.errors import DataError, Problem, RecipeError, RunFolderError
from ganforge.testing import fake_plugin

HEAVY = ("torch", "mlflow", "numpy", "pluggy", "rich", "ganforge.registry", "ganforge.builtin", "ganforge_vanilla")


def ganforge(*arguments, path=None, **options):
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "-m", "ganforge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=240, **options)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["plugins", "--help"], ["describe", "--help"], ["list", "--help"]]
)
def test_help_imports_nothing_heavy(arguments):
    # Typer itself brings in pydantic for the help of one command, not for that of all.
    heavy = HEAVY if len(arguments) > 1 else (*HEAVY, "pydantic")
    code = (
        "import sys, json; from ganforge.cli.app import main; "
        f"code = main({arguments!r}); "
        f"print(json.dumps([code, [name for name in {heavy!r} if name in sys.modules]]))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(shown.stdout.splitlines()[-1]) == [0, []]


def test_help_takes_little_more_than_importing_typer():
    """Processor times side by side, the least of four; seconds are measured by benchmarks/startup.py."""

    def least(command):
        times = []
        for _ in range(4):
            before = os.times()
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return min(times)

    assert least(["-m", "ganforge", "--help"]) < 3 * least(["-c", "import typer"])


def test_help_lists_the_commands_and_offers_no_shell_installation(capsys):
    assert main(["--help"]) == 0

    shown = capsys.readouterr().out
    assert all(command in shown for command in ("list", "describe", "plugins", "doctor"))
    assert "completion" not in shown
    assert "\x1b" not in shown


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ganforge {__version__}\n"


def test_the_module_is_the_same_program():
    assert ganforge("--version").stdout == f"ganforge {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["list", "--nonsense"], ["describe"], ["plugins", "nonsense"]])
def test_wrong_usage_is_2_and_leaves_stdout_empty(capsys, arguments):
    assert main(arguments) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "error:" in shown.err.lower()


@pytest.fixture
def failing(monkeypatch):
    """A command that raises what it is given, beside the real ones."""

    def failing(error):
        def fail():
            raise error

        monkeypatch.setattr(cli.app, "registered_commands", [*cli.app.registered_commands])
        cli.app.command("fail")(fail)
        return main(["fail"])

    return failing


def test_an_error_of_the_users_is_reported_in_sentences(failing, capsys):
    assert failing(DataError("points.csv has no rows", remedy="export it again")) == 2
    assert capsys.readouterr() == ("", "error: points.csv has no rows\n  export it again\n")


def test_each_error_has_its_exit_code(failing, capsys):
    assert failing(RunFolderError("the run is in use by process 7")) == 4
    assert capsys.readouterr().err == "error: the run is in use by process 7\n"


def test_every_problem_of_a_recipe_is_reported_with_its_place(failing, capsys, tmp_path):
    file = tmp_path / "toy.toml"
    problems = [
        Problem("generator.params.widht", "no such parameter", file, 9, "did you mean 'width'?"),
        Problem("train", "this table is missing", file),
        Problem("seed", "must be an integer"),
    ]

    assert failing(RecipeError(problems)) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "error: 3 problems in the recipe\n"
        f"\n  {file}:9  generator.params.widht\n      no such parameter\n      did you mean 'width'?\n"
        f"\n  {file}  train\n      this table is missing\n"
        "\n  --set  seed\n      must be an integer\n"
    )


def test_ctrl_c_is_130(failing):
    assert failing(KeyboardInterrupt()) == 130


def test_a_bug_keeps_its_traceback(failing):
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError("bug"))


def test_a_bug_shows_pythons_own_traceback_and_ends_with_1():
    code = (
        "from ganforge.cli import app\n"
        "@app.app.command('fail')\n"
        "def fail():\n    secret = 'hunter2'\n    raise ZeroDivisionError('bug')\n"
        "raise SystemExit(app.main(['fail']))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert shown.returncode == 1
    assert shown.stderr.startswith("Traceback (most recent call last):\n")
    assert shown.stderr.endswith("ZeroDivisionError: bug\n")
    assert "hunter2" not in shown.stderr


@pytest.mark.parametrize("group", [[], ["plugins"], ["data"]])
def test_no_summary_of_a_command_is_cut(group, capsys):
    assert main([*group, "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert listed.count("\n  ") >= 2
    assert "..." not in listed


def test_a_terminal_without_greek_letters_is_no_reason_to_fail():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = subprocess.run(
        [sys.executable, "-m", "ganforge", "list", "losses"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=240,
    )

    assert "gradient-penalty" in shown.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["list"], ["schema"]])
def test_an_output_that_is_full_is_5_and_two_lines(arguments, unbuffered):
    """Little of it fails when it is flushed, much of it when it is written."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        shown = subprocess.run(
            [sys.executable, "-m", "ganforge", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )

    assert shown.returncode == 5
    assert shown.stderr == (
        "error: cannot write to the standard output: No space left on device\n  free some space, or send the output elsewhere\n"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_had_enough_is_no_error(unbuffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        command = [sys.executable, "-m", "ganforge", "list"]
        shown = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, env=environment, check=False)

    assert (shown.returncode, shown.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "streams", "code"),
    [
        ("list losses", ">&- <&-", 0),
        ("list losses", "<&- >&- 2>&-", 0),
        ("describe loss nothing", "2>&-", 2),
        ("describe loss nothing", "2>/dev/full", 2),
        ("list --nothing", "2>/dev/full", 2),
    ],
)
def test_closed_streams_and_full_logs_change_no_exit_code(arguments, streams, code):
    shown = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m ganforge {arguments} {streams}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert (shown.returncode, "Traceback" in shown.stderr) == (code, False)


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path):
    """What a library prints must not end up in a file that happens to be stdout."""
    code = "import os; from ganforge.cli import app; app._open_standard_streams(); open('kept', 'w').write('x'); os.write(1, b'y')"
    subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{code}" <&- >&- 2>&-'], cwd=tmp_path, check=True, timeout=240)

    assert (tmp_path / "kept").read_text() == "x"


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["2>/dev/full", "<&- >&- 2>&-", "2>&1 | head -n 1"])
@pytest.mark.parametrize("seeds", ["", "--seeds 2"])
def test_a_run_ends_well_whoever_reads_its_messages(tmp_path, streams, seeds):
    recipe = Path(__file__).parents[2] / "recipes" / "smoke" / "vanilla_moons.toml"
    options = (
        "--set 'tracking.mode=\"off\"' --set pictures.report=false --set pictures.final_figures=false --set pictures.gif=false"
    )
    command = f"set -o pipefail; '{sys.executable}' -m ganforge run '{recipe}' {options} {seeds} {streams}"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=240)

    states = [json.loads(path.read_text())["status"] for path in tmp_path.glob("runs/*/*/status.json")]
    assert states == ["finished"] * (3 if seeds else 1)


def test_another_error_of_the_system_is_still_a_bug(failing):
    with pytest.raises(OSError, match="something else"):
        failing(OSError(5, "something else"))


BROKEN = {
    "import error": "import einops_is_not_here\n",
    "half registered": (
        "from ganforge.plugin import hookimpl\n@hookimpl\ndef ganforge_register_losses(register):\n"
        "    register('half', 'a:b', summary='Half.')\n    raise RuntimeError('and no more')\n"
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_costs_one_line_and_never_the_command(tmp_path, fault):
    fake_plugin(tmp_path, source=BROKEN[fault])

    shown = ganforge("list", "--json", path=tmp_path)

    assert shown.returncode == 0
    assert shown.stderr == "warning: 1 plugin failed to load (acme-gan); see: `ganforge plugins list`\n"
    distributions = {component["distribution"] for component in json.loads(shown.stdout)["components"]}
    assert "ganforge" in distributions
    assert "acme-gan" not in distributions


def test_a_plugin_that_prints_does_not_spoil_the_json(tmp_path):
    fake_plugin(tmp_path, source="print('hello')\nfrom ganforge.plugin import hookimpl\n")

    shown = ganforge("plugins", "list", "--json", path=tmp_path)

    assert shown.stderr == "hello\n"
    assert {plugin["name"] for plugin in json.loads(shown.stdout)["plugins"]} >= {"acme-gan", "builtin"}


def test_a_disabled_plugin_is_silent(tmp_path, monkeypatch):
    fake_plugin(tmp_path, source="raise RuntimeError\n")
    monkeypatch.setenv("GANFORGE_DISABLE_PLUGINS", "acme-gan")

    shown = ganforge("list", path=tmp_path)

    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        ("train", "ganforge run"),
        ("trian", "ganforge run"),
        ("smaple", "ganforge sample"),
        ("resume", "ganforge run --resume"),
        ("ls", "ganforge list"),
        ("tensorboard", "ganforge ui"),
        ("download", "ganforge data prepare"),
        ("plugins creat", "ganforge plugins new"),
        ("plugins lst", "ganforge plugins list"),
        ("data download", "ganforge data prepare"),
        ("version", "ganforge --version"),
    ],
)
def test_a_word_that_is_no_command_suggests_one(capsys, words, suggested):
    assert main(words.split()) == 2
    errors = capsys.readouterr().err
    assert f"did you mean '{suggested}'?" in errors

    command = re.search(r"did you mean '(.*?)'", errors)[1]  # what is suggested is a command
    assert main([*command.removesuffix(" --resume").split()[1:], "--help"]) == 0


def test_a_recipe_without_a_command_and_nonsense(capsys):
    assert main(["recipes/my moons.toml"]) == 2
    assert "to train a recipe: ganforge run 'recipes/my moons.toml'" in capsys.readouterr().err
    for word in ("x" * 5000, "\0", "qqqq"):
        assert main([word]) == 2
        assert "commands: run, check" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("run R --epochs 3", "--set train.iterations=…"),
        ("run R --seed 3", "--set train.seed=…"),
        ("check R --batch-size 3", "--set train.batch_size=…"),
        ("check R --lr 3", "--set generator.optimizer.lr=… --set discriminator.optimizer.lr=…"),
        ("run R --gpu", "use --device cuda"),
        ("run R --output-dir x", "use --runs-dir FOLDER"),
        ("sample R --output x", "use --runs-dir FOLDER or --out FILE"),
        ("sample R --num-samples 3", "use --count 64"),
    ],
)
def test_an_option_of_another_program_is_explained(capsys, words, remedy):
    recipe = str(Path(__file__).parents[2] / "recipes" / "vanilla_moons.toml")
    assert main([recipe if word == "R" else word for word in words.split()]) == 2
    errors = capsys.readouterr().err
    assert "there is no option --" in errors
    assert remedy in errors

    options = [word for text in re.findall(r"--set \S+", errors) for word in text.replace("…", "1").split()]
    if options:  # what is suggested is accepted
        assert main(["check", recipe, *options]) == 0


def test_an_unknown_option_of_no_program_is_left_to_typer(capsys):
    assert main(["sample", "x", "--lr", "3"]) == 2
    assert "No such option: --lr" in capsys.readouterr().err
