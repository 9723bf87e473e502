"""Switches by source: command line over environment over pyproject.toml, and what may stand in the latter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.core.errors import UsageError
from ganforge.registry.selection import (
    COMMAND_LINE,
    PluginSelection,
    command_line_options,
    command_line_selection,
    current_selection,
    from_environment,
    from_project,
    local_plugin_name,
    normalize_name,
)

INSTALLED = [("acme", "acme-gan"), ("other", "other-gan")]


@pytest.mark.parametrize("name", ["acme-gan", "Acme_GAN", "acme.gan", " acme--gan ", "ACME-_-GAN"])
def test_all_spellings_of_a_name_are_one(name):
    assert normalize_name(name) == "acme-gan"


def test_disabling_wins_over_allowing():
    switches = PluginSelection(frozenset({"acme"}), frozenset({"acme-gan"}))

    assert switches.refusal("acme", "acme-gan") == "switched off"


def test_a_misspelt_switch_is_an_error_with_a_suggestion():
    with pytest.raises(UsageError) as caught:
        PluginSelection(disabled=frozenset({"acme-gna"})).check_names(INSTALLED)

    assert caught.value.message == "the plugin selection names 'acme-gna', but no such plugin is installed"
    assert caught.value.remedy == "did you mean 'acme-gan'? installed: acme, acme-gan, other, other-gan"


def test_a_misspelt_allowance_is_an_error():
    with pytest.raises(UsageError, match="'zzz'"):
        PluginSelection(allowed=frozenset({"zzz"})).check_names(INSTALLED)


@pytest.mark.parametrize("name", ["builtin", "ganforge"])
def test_built_in_components_cannot_be_switched_off(name):
    with pytest.raises(UsageError, match="cannot be disabled"):
        PluginSelection(disabled=frozenset({name})).check_names(INSTALLED)


def test_built_in_components_may_be_allowed_by_name():
    PluginSelection(allowed=frozenset({"builtin", "ganforge", "acme"})).check_names(INSTALLED)


def test_an_upper_list_of_allowed_plugins_replaces_all_below():
    upper = PluginSelection(allowed=frozenset({"acme"}))
    lower = PluginSelection(disabled=frozenset({"acme", "other"}), allowed=frozenset({"other"}))

    both = upper.over(lower)

    assert both.refusal("acme", "acme-gan") is None
    assert both.refusal("other", "other-gan") == "not among the allowed plugins"


def test_disabled_plugins_add_up_and_a_lower_list_of_allowed_ones_stays():
    both = PluginSelection(disabled=frozenset({"acme"})).over(
        PluginSelection(disabled=frozenset({"other"}), allowed=frozenset({"acme", "third"}))
    )

    assert [both.refusal(name, name) is None for name in ("acme", "other", "third", "fourth")] == [False, False, True, False]


def test_strictness_of_either_is_strictness():
    assert PluginSelection(strict=True).over(PluginSelection()).strict
    assert PluginSelection().over(PluginSelection(strict=True)).strict


def test_a_local_file_is_allowed_by_whoever_names_it():
    upper = PluginSelection.from_options(
        ("--no-plugin", frozenset()), ("--only-plugins", frozenset({"acme"})), local=(Path("/a/My_GAN.py"),)
    )
    lower = PluginSelection.from_options(
        ("p (disable)", frozenset()), ("p (only)", None), local=(Path("/b/theirs.py"), Path("/a/My_GAN.py"))
    )

    both = upper.over(lower)

    assert both.local == (Path("/a/My_GAN.py"), Path("/b/theirs.py"))
    assert both.refusal("my-gan", "local") is None
    assert both.refusal("theirs", "local") == "not named by --only-plugins"
    assert lower.over(PluginSelection(allowed=frozenset())).refusal("theirs", "local") is None


def test_a_refusal_tells_the_switch():
    output = PluginSelection.from_options(("--no-plugin", frozenset({"acme"})), ("GANFORGE_PLUGINS", frozenset({"acme"})))

    assert output.refusal("acme", "acme-gan") == "switched off by --no-plugin"
    assert output.refusal("other", "other-gan") == "not named by GANFORGE_PLUGINS"


@pytest.mark.parametrize(
    ("file", "name"), [("my_gan.py", "my-gan"), ("/a b/My GAN.v2.py", "my-gan-v2"), ("_.py", "unnamed"), ("ганс.py", "unnamed")]
)
def test_a_local_file_has_a_name_like_any_plugin(file, name):
    assert local_plugin_name(Path(file)) == name


def output(*files):
    return PluginSelection.from_options(("--no-plugin", frozenset()), ("--only-plugins", None), local=tuple(map(Path, files)))


def test_a_local_file_that_is_named_twice_is_one():
    assert output("/a/good.py", "/b/other.py", "/a/good.py").local == (Path("/a/good.py"), Path("/b/other.py"))


def test_two_local_files_of_one_name_are_refused_with_both():
    with pytest.raises(UsageError, match=r"the plugin 'my-gan': /a/my_gan\.py and /b/My-GAN\.py") as caught:
        output("/a/my_gan.py", "/b/My-GAN.py")
    assert "rename one" in caught.value.remedy


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
    assert from_environment({}) == PluginSelection(frozenset(), None, strict=False)


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

    assert found == PluginSelection(frozenset({"acme-gan"}), frozenset({"other", "my-gan"}), local=(tmp_path / "parts/my_gan.py",))
    assert found.refusal("acme", "acme-gan") == f"switched off by {file} (disable)"


def test_the_nearest_project_is_the_only_one(project, tmp_path):
    project('[tool.ganforge.plugins]\ndisable = ["acme"]\n')
    project("[project]\nname = 'inner'\n", tmp_path / "inner")

    assert from_project(tmp_path / "inner" / "src") == PluginSelection()


@pytest.mark.parametrize(
    "text", ["", "this is no TOML", "[tool.other]\nplugins = 3\n", "[tool.ganforge]\nx = 1\n", "[tool.ganforge.plugins]"]
)
def test_a_project_may_say_nothing(project, tmp_path, text):
    project(text)

    assert from_project(tmp_path) == PluginSelection()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[tool.ganforge.plugins", "cannot read"),
        ("[tool]\nganforge = 3\n", "it must be a table"),
        ('[tool.ganforge]\nplugins = ["acme"]\n', "it must be a table"),
        ('[tool.ganforge.plugins]\ndisabled = ["acme"]\n', r"unknown key 'disabled' \(did you mean 'disable'\?\)"),
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
    [("utf-16", "it is not UTF-8, as TOML must be"), ("utf-16-le", "cannot read"), ("utf-16-be", "cannot read")],
)
def test_a_project_in_another_encoding_is_not_passed_over(tmp_path, encoding, complaint):
    (tmp_path / "pyproject.toml").write_bytes('[tool.ganforge.plugins]\ndisable = ["acme"]\n'.encode(encoding))

    with pytest.raises(UsageError, match=complaint):
        from_project(tmp_path)


def test_a_project_in_another_encoding_that_does_not_name_us_is_none_of_our_business(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes("[tool.other]\n".encode("utf-16"))

    assert from_project(tmp_path) == PluginSelection()


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
    assert current_selection({}, tmp_path).allowed == {"a"}
    assert current_selection({"GANFORGE_PLUGINS": "b"}, tmp_path).allowed == {"b"}

    with command_line_selection(disabled=[], only=["c,d", "e"], local=[]):
        environ = {"GANFORGE_PLUGINS": "b", COMMAND_LINE: os.environ[COMMAND_LINE]}
        assert current_selection(environ, tmp_path).allowed == {"c", "d", "e"}


def test_a_command_line_holds_while_it_runs_and_for_its_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    question = "from ganforge.registry.selection import *; s = current_selection(); print(sorted(s.disabled), s.allowed, *s.local)"

    with command_line_selection(disabled=["Acme_GAN", "x,y"], only=None, local=[Path("my_gan.py")]):
        expected = PluginSelection(frozenset({"acme-gan", "x", "y"}), local=(tmp_path / "my_gan.py",))
        assert current_selection() == expected
        messages = subprocess.run([sys.executable, "-c", question], cwd="/", capture_output=True, text=True, check=True).stdout

    assert messages == f"['acme-gan', 'x', 'y'] None {tmp_path / 'my_gan.py'}\n"
    assert current_selection() == PluginSelection()
    assert COMMAND_LINE not in os.environ


def test_an_empty_list_on_the_command_line_allows_none():
    with command_line_selection(disabled=[], only=[""], local=[]):
        assert current_selection().allowed == frozenset()


@pytest.mark.parametrize("text", ["acme", "[]", '{"disabled": []}', '{"disabled": 3, "only": null, "local": []}'])
def test_the_carrier_is_not_for_users(monkeypatch, text):
    monkeypatch.setenv(COMMAND_LINE, text)

    with pytest.raises(UsageError, match=f"{COMMAND_LINE} is reserved for ganforge"):
        current_selection()


def test_a_working_directory_that_is_gone_is_no_project(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert current_selection() == PluginSelection()


def test_the_command_lines_switches_in_words(tmp_path):
    assert command_line_options({}) == ""
    with command_line_selection(disabled=["Acme_GAN"], only=["b,a"], local=[tmp_path / "my gan.py"], strict=True):
        assert command_line_options() == f" --no-plugin acme-gan --only-plugins a,b --plugin '{tmp_path / 'my gan.py'}'"
        assert current_selection().strict
