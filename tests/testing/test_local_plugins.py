"""Plugins that are not installed are checked as installed ones, and leave nothing behind."""

import json
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.core.errors import UsageError
from ganforge.registry.component import Kind
from ganforge.scaffold import WRITTEN, write_plugin
from ganforge.testing import CheckState, check_path
from ganforge.testing.local_plugins import is_path, open_plugin

HOOKS = """
from ganforge.plugin import hookimpl

@hookimpl
def ganforge_register_generators(register):
    register("own", "acme_own.nets:build", summary="One linear layer.")
"""
NETS = "from ganforge.testing.stub_components import LinearGenerator as build\n"
PYPROJECT = """
[project]
name = "Acme_Own"
version = "0.3"
dependencies = ["ganforge>=0.1"]

[project.entry-points.ganforge]
own = "acme_own.plugin"
"""


@pytest.fixture
def project(tmp_path):
    """Write a project's folder."""

    def project(*, source="src", pyproject=PYPROJECT, hooks=HOOKS):
        package = tmp_path / "acme" / source / "acme_own"
        package.mkdir(parents=True)
        for name, text in (("__init__", ""), ("plugin", hooks), ("nets", NETS)):
            package.joinpath(f"{name}.py").write_text(text)
        tmp_path.joinpath("acme", "pyproject.toml").write_text(pyproject)
        return tmp_path / "acme"

    return project


@pytest.mark.parametrize("source", ["src", "."])
def test_a_project_is_checked_as_it_lies_there(project, source):
    folder, path = project(source=source), list(sys.path)

    report = check_path(folder)

    assert report.ok, str(report)
    assert (report.distribution, report.version) == ("acme-own", "0.3")
    assert {outcome.subject for outcome in report.outcomes} == {"plugin own", "generator own"}
    assert report.count(CheckState.SKIPPED) == 0
    assert sys.path == path
    assert not [name for name in sys.modules if name.startswith("acme_own")]


def test_an_edited_project_is_checked_as_it_is_now(project):
    folder = project()
    assert check_path(folder).ok
    folder.joinpath("src/acme_own/nets.py").write_text("def build(params, context):\n    raise ValueError('edited')\n")

    failed = [outcome for outcome in check_path(folder).outcomes if outcome.state is CheckState.FAILED]

    assert [(outcome.check, outcome.message) for outcome in failed] == [("P11", "ValueError: edited (nets.py:2)")]


def test_a_project_takes_the_place_of_its_installed_distribution(project, install):
    install("acme-own", source="raise RuntimeError('the installed one')\n", module="acme_other")

    with open_plugin(project()) as (registry, (record,)):
        assert (record.works, record.source) == (True, "folder")
        assert [one.distribution for one in registry.plugins].count("acme-own") == 1
        assert registry.find(Kind.GENERATOR, "acme-own/own")


def test_switches_do_not_keep_what_is_named_from_being_checked(project, monkeypatch):
    monkeypatch.setenv("GANFORGE_PLUGINS", "")

    assert check_path(project()).ok


def test_a_project_whose_import_fails_fails_its_check(project, capsys):
    folder = project(hooks="import einops_is_not_here\n")

    assert main(["plugins", "check", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert "it is broken: ModuleNotFoundError: No module named 'einops_is_not_here'" in shown
    assert "0 of 4 checks passed" not in shown
    assert "Traceback" not in shown


def test_a_project_without_a_word_of_ganforge_fails_that_check(project):
    report = check_path(project(pyproject=PYPROJECT.replace("ganforge>=0.1", "torch")))

    assert [outcome.check for outcome in report.outcomes if outcome.state is CheckState.FAILED] == ["P04"]


@pytest.mark.parametrize(
    ("name", "messages"), [("Local", "the name 'local' is reserved"), ("vanilla", "is reserved for ganforge-vanilla")]
)
def test_a_project_with_a_name_that_it_cannot_have_is_broken(project, capsys, name, messages):
    assert main(["plugins", "check", str(project(pyproject=PYPROJECT.replace("Acme_Own", name)))]) == 1
    assert messages in capsys.readouterr().out


NO_PLUGINS = {
    "a module of Python": (PYPROJECT.replace("acme_own.plugin", "json.plugin"), "'json' is a module of Python"),
    "a package of a dependency": (PYPROJECT.replace("acme_own", "torch"), "'torch' is a package that ganforge depends on"),
    "no entry point": ('[project]\nname = "a"\n', "declares no plugin"),
    "another group": ('[project]\nname = "a"\n[project.entry-points.other]\nx = "y"\n', "declares no plugin"),
    "a list": ('[project]\nname = "a"\nentry-points = []\n', "declares no plugin"),
    "no text": ('[project]\nname = "a"\n[project.entry-points.ganforge]\nx = 3\n', "declares no plugin"),
    "no project": ("[tool.ruff]\n", "declares no plugin"),
    "no name": ('[project.entry-points.ganforge]\nx = "acme_own"\n', "declares no plugin: project.name: Field required"),
    "no TOML": ("[project\n", "cannot be read: "),
    "no module": (
        PYPROJECT.replace("acme_own.plugin", "acme_gone.plugin"),
        "names 'acme_gone.plugin', but there is no 'acme_gone'",
    ),
}


@pytest.mark.parametrize("case", NO_PLUGINS)
def test_a_folder_that_is_no_plugin_is_reported_in_one_line(project, capsys, case):
    pyproject, message = NO_PLUGINS[case]

    assert main(["plugins", "check", str(project(pyproject=pyproject))]) == 2
    shown = capsys.readouterr()
    assert message in " ".join(shown.err.split())
    assert shown.out == ""


def test_paths_that_are_no_plugin_are_reported(tmp_path):
    for path, message in ((tmp_path / "gone.py", "does not exist"), (tmp_path, "it has no pyproject.toml")):
        with pytest.raises(UsageError, match=message):
            check_path(path)
    tmp_path.joinpath("recipe.toml").touch()
    with pytest.raises(UsageError, match="name a Python file"):
        check_path(tmp_path / "recipe.toml")


@pytest.mark.parametrize("text", ["~nobody-has-this-name/x.py", "a\0b.py", "a" * 300 + ".py"])
def test_paths_that_nothing_can_have_are_reported(capsys, text):
    assert main(["plugins", "check", text]) == 2
    assert "cannot be read: " in capsys.readouterr().err


def test_a_name_that_no_file_can_have_is_no_path():
    assert not is_path("a" * 300)
    assert not is_path("a\0b")


def test_a_file_is_checked_by_its_path(tmp_path, capsys):
    file = tmp_path / "my_gan.py"
    file.write_text(HOOKS.replace("acme_own.nets:build", "ganforge.testing.stub_components:LinearGenerator"))

    assert main(["plugins", "check", str(file), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert report["distribution"] == "my_gan.py"
    assert report["counts"]["passed"] == 18

    file.write_text("raise RuntimeError('no GPU here')\n")
    assert main(["plugins", "check", str(file)]) == 1
    assert "it is broken: RuntimeError: no GPU here" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["x/y", "./acme", "my_gan.py", ".", "there"])
def test_a_text_that_is_written_like_a_path_or_lies_there_is_one(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()

    assert is_path(text)


def test_a_name_is_no_path_even_where_a_folder_has_it(tmp_path, monkeypatch, install):
    install()
    monkeypatch.chdir(tmp_path)
    Path("acme-gan").mkdir()
    Path("ganforge").mkdir()

    assert not is_path("acme-gan")
    assert not is_path("ganforge")
    assert not is_path("nowhere")


def test_what_new_writes_passes_with_every_kind(tmp_path):
    report = check_path(write_plugin("acme-all", WRITTEN, tmp_path))

    assert report.ok, str(report)
    assert {outcome.subject.partition(" ")[0] for outcome in report.outcomes} == {"plugin", *WRITTEN}
