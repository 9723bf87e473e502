"""Switches by source: command line over environment over pyproject.toml, and what may stand in the latter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.core.errors import UsageError
from ganforge.registry.current_selection import CARRIER, command_line, from_environment, from_project, in_force, line_of, words
from ganforge.registry.selection import Switches


@pytest.fixture
def project(tmp_path):
    """Writes a pyproject.toml into the temporary folder."""

    def write(text: str, folder: Path = tmp_path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "pyproject.toml"
        file.write_text(text)
        return file

    return write


def test_the_environment_may_say_nothing():
    assert from_environment({}) == Switches(frozenset(), None, strict=False)


@pytest.mark.parametrize("text", ["acme,Other_GAN", "acme other-gan", " acme , other.gan,"])
def test_names_are_separated_by_commas_or_blanks(text):
    assert from_environment({"GANFORGE_DISABLE_PLUGINS": text}).disabled == {"acme", "other-gan"}
    assert from_environment({"GANFORGE_PLUGINS": text}).allowed == {"acme", "other-gan"}


def test_an_empty_list_of_allowed_plugins_allows_none():
    switches = from_environment({"GANFORGE_PLUGINS": ""})

    assert switches.allowed == frozenset()
    assert switches.refusal("acme", "acme-gan") == "not named by GANFORGE_PLUGINS"


@pytest.mark.parametrize(
    ("text", "strict"),
    [(text, False) for text in ("", "0", "false", "No", " OFF ")] + [(text, True) for text in ("1", "yes", "true", "on")],
)
def test_strictness(text, strict):
    assert from_environment({"GANFORGE_STRICT_PLUGINS": text}).strict is strict


def test_a_project_switches_and_adds(project, tmp_path):
    file = project('[tool.ganforge.plugins]\ndisable = ["Acme_GAN"]\nonly = ["other"]\nlocal = ["parts/my_gan.py"]\n')

    below = tmp_path / "deep" / "below"
    below.mkdir(parents=True)
    found = from_project(below)

    assert found == Switches(frozenset({"acme-gan"}), frozenset({"other", "my-gan"}), local=(tmp_path / "parts/my_gan.py",))
    assert found.refusal("acme", "acme-gan") == f"switched off by {file} (disable)"


def test_the_nearest_project_is_the_only_one(project, tmp_path):
    project('[tool.ganforge.plugins]\ndisable = ["acme"]\n')
    project("[project]\nname = 'inner'\n", tmp_path / "inner")

    assert from_project(tmp_path / "inner" / "src") == Switches()


@pytest.mark.parametrize(
    "text", ["", "this is no TOML", "[tool.other]\nplugins = 3\n", "[tool.ganforge]\nx = 1\n", "[tool.ganforge.plugins]"]
)
def test_a_project_may_say_nothing(project, tmp_path, text):
    project(text)

    assert from_project(tmp_path) == Switches()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[tool.ganforge.plugins", "cannot be read"),
        ("[tool]\nganforge = 3\n", "it must be a table"),
        ('[tool.ganforge]\nplugins = ["acme"]\n', "it must be a table"),
        ('[tool.ganforge.plugins]\ndisabled = ["acme"]\n', r"there is no key 'disabled' \(did you mean 'disable'\?\)"),
        ('[tool.ganforge.plugins]\nonly = "acme"\n', "'only' must be a list of names"),
        ("[tool.ganforge.plugins]\nlocal = [3]\n", "'local' must be a list of names"),
    ],
)
def test_a_project_that_makes_no_sense_is_one_line_with_the_file(project, tmp_path, text, complaint):
    file = project(text)

    with pytest.raises(UsageError, match=complaint) as caught:
        from_project(tmp_path)

    assert str(file) in caught.value.message


@pytest.mark.parametrize(
    ("encoding", "complaint"),
    [("utf-16", "it is not UTF-8, as TOML must be"), ("utf-16-le", "cannot be read"), ("utf-16-be", "cannot be read")],
)
def test_a_project_in_another_encoding_is_not_passed_over(tmp_path, encoding, complaint):
    (tmp_path / "pyproject.toml").write_bytes('[tool.ganforge.plugins]\ndisable = ["acme"]\n'.encode(encoding))

    with pytest.raises(UsageError, match=complaint):
        from_project(tmp_path)


def test_a_project_in_another_encoding_that_does_not_name_us_is_none_of_our_business(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes("[tool.other]\n".encode("utf-16"))

    assert from_project(tmp_path) == Switches()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_files_of_somebody_else_are_not_run(project, tmp_path):
    file = project('[tool.ganforge.plugins]\nlocal = ["my_gan.py"]\n')
    mine = tmp_path / "mine"
    mine.mkdir()
    os.chown(file, 4321, -1)

    with pytest.raises(UsageError, match="belongs to another user"):
        from_project(mine)


def test_the_command_line_wins_over_the_environment_which_wins_over_the_project(project, tmp_path):
    project('[tool.ganforge.plugins]\nonly = ["a"]\n')
    assert in_force({}, tmp_path).allowed == {"a"}
    assert in_force({"GANFORGE_PLUGINS": "b"}, tmp_path).allowed == {"b"}

    with command_line(disabled=[], only=["c,d", "e"], local=[]):
        environ = {"GANFORGE_PLUGINS": "b", CARRIER: os.environ[CARRIER]}
        assert in_force(environ, tmp_path).allowed == {"c", "d", "e"}


def test_a_command_line_holds_while_it_runs_and_for_its_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    question = (
        "from ganforge.registry.current_selection import in_force; s = in_force(); print(sorted(s.disabled), s.allowed, *s.local)"
    )

    with command_line(disabled=["Acme_GAN", "x,y"], only=None, local=[Path("my_gan.py")]):
        expected = Switches(frozenset({"acme-gan", "x", "y"}), local=(tmp_path / "my_gan.py",))
        assert in_force() == expected
        told = subprocess.run([sys.executable, "-c", question], cwd="/", capture_output=True, text=True, check=True).stdout

    assert told == f"['acme-gan', 'x', 'y'] None {tmp_path / 'my_gan.py'}\n"
    assert in_force() == Switches()
    assert CARRIER not in os.environ


def test_an_empty_list_on_the_command_line_allows_none():
    with command_line(disabled=[], only=[""], local=[]):
        assert in_force().allowed == frozenset()


@pytest.mark.parametrize("text", ["acme", "[]", '{"disabled": []}', '{"disabled": 3, "only": null, "local": []}'])
def test_the_carrier_is_not_for_users(monkeypatch, text):
    monkeypatch.setenv(CARRIER, text)

    with pytest.raises(UsageError, match=f"{CARRIER} is ganforge's own"):
        in_force()


def test_a_working_directory_that_is_gone_is_no_project(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert in_force() == Switches()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[tool.ganforge.plugins]\ndisable = ["a"]\n', 2),
        ('[project]\nname = "x"\n\n[ tool.ganforge.plugins ] # ours\n\n  disable=["a"]\n', 6),
        ('[tool.ganforge]\nplugins.disable = ["a"]\n', 2),
        ('[tool.other.plugins]\ndisable = ["a"]\n', None),
        ('[tool.ganforge]\nplugins = { disable = ["a"] }\n', None),
    ],
)
def test_the_line_that_says_a_switch(tmp_path, text, line):
    (tmp_path / "pyproject.toml").write_text(text)
    assert line_of(tmp_path / "pyproject.toml", "disable") == line


def test_the_command_lines_switches_in_words(tmp_path):
    assert words({}) == ""
    with command_line(disabled=["Acme_GAN"], only=["b,a"], local=[tmp_path / "my gan.py"], strict=True):
        assert words() == f" --no-plugin acme-gan --only-plugins a,b --plugin '{tmp_path / 'my gan.py'}'"
        assert in_force().strict
