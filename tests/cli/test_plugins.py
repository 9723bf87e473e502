import json
import shlex
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.session.run_plan import Options, prepare
from ganforge.testing import fake_plugin

RECIPE = next(Path(__file__).parents[2].joinpath("recipes", "smoke").glob("*moons*.toml"))


@pytest.fixture
def several(tmp_path, monkeypatch):
    """A working, a broken, an incompatible and a disabled plugin."""
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("acme_gan", "bad_gan", "old_gan", "off_gan"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    fake_plugin(
        tmp_path,
        name="acme-gan",
        entry_point="acme",
        version="1.2",
        direct_url={"url": "file:///src", "dir_info": {"editable": True}},
    )
    fake_plugin(tmp_path, name="bad-gan", source="def f():\n    raise RuntimeError('no GPU here')\nf()\n")
    fake_plugin(tmp_path, name="old-gan", requires=["ganforge<0.1"])
    fake_plugin(tmp_path, name="off-gan")
    monkeypatch.setenv("GANFORGE_DISABLE_PLUGINS", "off-gan")
    return tmp_path


def test_the_list_shows_how_each_plugin_fared(several, capsys):
    assert main(["plugins", "list"]) == 0

    shown = capsys.readouterr()
    assert shown.err == ""  # the table itself says what is broken
    lines = {line.split()[1]: " ".join(line.split()) for line in shown.out.splitlines() if len(line.split()) > 5}
    assert lines["acme-gan"].startswith("acme acme-gan 1.2 editable active 1 generator")
    assert lines["bad-gan"] == "bad-gan bad-gan 1.0 index broken RuntimeError: no GPU here (bad_gan.py:2) –"
    assert lines["old-gan"].startswith("old-gan old-gan 1.0 index incompatible needs ganforge <0.1, this is")
    assert lines["off-gan"] == "off-gan off-gan 1.0 index disabled switched off by GANFORGE_DISABLE_PLUGINS –"
    assert lines["ganforge"].endswith(" ms")
    assert "1 disabled, 1 broken, 1 incompatible. Details: `ganforge plugins info bad-gan`" in shown.out.splitlines()[-1]


ALL_STATUSES = ["active", "local", "disabled", "broken", "incompatible", "unavailable"]
NEEDY = """
from ganforge.plugin import hookimpl


@hookimpl
def ganforge_register_generators(register):
    register("far", "needy_gan:build", summary="Out of reach.", needs=("no_such_module",))
"""


@pytest.fixture
def all_six(several):
    """A plugin in each of the six statuses; the options that name the local one."""
    fake_plugin(several, name="needy-gan", source=NEEDY)
    (several / "my_gan.py").write_text(NEEDY.replace(', needs=("no_such_module",)', "").replace('"far"', '"near"'))
    return ["--plugin", str(several / "my_gan.py")]


@pytest.mark.parametrize("status", ALL_STATUSES)
def test_each_status_is_listed_with_provenance_and_load_time(all_six, several, capsys, status):
    who = {"active": "acme", "local": "my-gan", "unavailable": "needy-gan"}
    who |= {"disabled": "off-gan", "broken": "bad-gan", "incompatible": "old-gan"}
    assert main(["plugins", "list", "--status", status, "--json", *all_six]) == 0
    records = {one["name"]: one for one in json.loads(capsys.readouterr().out)["plugins"]}
    record = records[who[status]]
    assert {one["status"] for one in records.values()} == {status}
    assert record["source"] == {"active": "editable", "local": "file"}.get(status, "index")
    assert record["version"] == {"active": "1.2", "local": (record["sha256"] or "")[:12]}.get(status, "1.0")
    assert record["file"] == str(several / f"{who[status].replace('acme', 'acme-gan').replace('-', '_')}.py")
    assert (record["load_ms"] is not None) is (status in ("active", "local", "unavailable"))
    assert (record["reason"] is None) is (status in ("active", "local"))

    assert main(["plugins", "list", "--status", status, *all_six]) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(f"{who[status]} ")]
    assert row[2:5] == [record["version"], record["source"], status]
    assert row[-1] == ("–" if record["load_ms"] is None else "ms")


def test_the_list_by_status(several, capsys):
    assert main(["plugins", "list", "--status", "broken", "--json"]) == 0
    assert [plugin["name"] for plugin in json.loads(capsys.readouterr().out)["plugins"]] == ["bad-gan"]


def test_an_unknown_status_gets_a_suggestion(capsys):
    assert main(["plugins", "list", "--status", "borken"]) == 2
    assert "did you mean 'broken'?" in capsys.readouterr().err


def test_the_list_as_json(several, capsys):
    assert main(["plugins", "list", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["schema"] == 1
    records = {plugin["distribution"]: plugin for plugin in shown["plugins"]}
    acme = records["acme-gan"]
    assert acme.pop("load_ms") > 0
    assert acme == {
        "name": "acme",
        "distribution": "acme-gan",
        "version": "1.2",
        "status": "active",
        "reason": None,
        "source": "editable",
        "origin": "/src",
        "module": "acme_gan",
        "file": str(several / "acme_gan.py"),
        "offers": {"generator": ["linear"]},
        "remarks": [],
        "sha256": None,
        "traceback": None,
    }
    assert records["bad-gan"]["traceback"].endswith("RuntimeError: no GPU here\n")
    assert records["off-gan"]["load_ms"] is None


@pytest.mark.parametrize("name", ["acme", "acme-gan", "Acme_GAN"])
def test_one_plugin_by_either_name(several, capsys, name):
    assert main(["plugins", "info", name]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith(
        "acme-gan 1.2\n  status         active\n  entry          acme = acme_gan\n  source         editable /src\n"
    )
    assert "generators     linear" in shown


def test_a_broken_plugin_with_its_traceback(several, capsys):
    assert main(["plugins", "info", "bad-gan"]) == 0

    shown = capsys.readouterr().out
    assert "status         broken: RuntimeError: no GPU here" in shown
    assert "line 2, in f" in shown


def test_one_plugin_as_json(several, capsys):
    assert main(["plugins", "info", "old-gan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "incompatible"


def test_a_plugins_page_tells_each_component_with_its_parameters_and_papers(several, capsys):
    assert main(["plugins", "info", "infogan"]) == 0
    shown = capsys.readouterr().out
    assert "\nloss mutual-information@1\n" in shown
    assert "paper     Chen et al. 2016, InfoGAN, https://arxiv.org/abs/1606.03657" in shown
    assert "continuous_std     float  1.0      > 0" in shown

    assert main(["plugins", "info", "infogan", "--json"]) == 0
    messages = json.loads(capsys.readouterr().out)
    loss = next(one for one in messages["components"] if one["kind"] == "loss")
    assert (loss["use"], loss["revision"], loss["requires"]) == ("mutual-information", 1, ["head:code", "codes"])
    assert [one["name"] for one in loss["parameters"]] == ["continuous_std", "continuous_weight"]


def test_a_page_is_shown_though_a_params_model_cannot_be_loaded(several, capsys):
    fake_plugin(several, name="lost-gan", source=NEEDY.replace('needs=("no_such_module",)', 'params="lost_gan:NoSuch"'))

    assert main(["plugins", "info", "lost-gan"]) == 0
    assert "params    generator 'lost-gan/far': cannot load lost_gan:NoSuch" in capsys.readouterr().out
    assert main(["plugins", "info", "lost-gan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["components"][0]["parameters"] is None


def test_a_name_that_two_distributions_have_is_an_error_with_full_ids(several, capsys):
    fake_plugin(several, name="other-gan", entry_point="acme")

    assert main(["plugins", "info", "acme"]) == 2
    messages = capsys.readouterr().err
    assert "plugin 'acme' is ambiguous" in messages
    assert "use one of: acme-gan/acme, other-gan/acme" in messages
    for name in ("other-gan", "other-gan/acme", "Other_GAN/Acme"):
        assert main(["plugins", "info", name]) == 0
        assert capsys.readouterr().out.startswith("other-gan 1.0\n")

    assert main(["describe", "generator", "linear"]) == 2
    assert "write one of: acme-gan/linear, other-gan/linear" in capsys.readouterr().err


def test_all_plugins_of_a_distribution_are_shown(several, capsys):
    plugin = fake_plugin(several, name="twin-gan")
    (several / "twin_b.py").write_text(NEEDY)
    (plugin.info / "entry_points.txt").write_text("[ganforge]\none = twin_gan\ntwo = twin_b\n")

    assert main(["plugins", "info", "twin-gan"]) == 0
    shown = capsys.readouterr().out
    assert "entry          one = twin_gan" in shown
    assert "entry          two = twin_b" in shown
    assert main(["plugins", "info", "twin-gan", "--json"]) == 0
    messages = json.loads(capsys.readouterr().out)
    assert (messages["name"], [one["name"] for one in messages["also"]]) == ("one", ["two"])


@pytest.mark.parametrize("name", ["vanilla", "Builtin", "ganforge-dcgan"])
def test_names_of_first_party_plugins_are_refused(several, capsys, name):
    fake_plugin(several, name="sly-gan", entry_point=name)

    assert main(["plugins", "list", "--status", "broken", "--json"]) == 0
    sly = next(one for one in json.loads(capsys.readouterr().out)["plugins"] if one["distribution"] == "sly-gan")
    assert f"the plugin name '{name}' is reserved for ganforge" in sly["reason"]
    assert "sly_gan" not in sys.modules


def test_a_local_file_cannot_pass_for_a_first_party_plugin(several, capsys):
    (several / "vanilla.py").write_text(NEEDY)

    assert main(["plugins", "list", "--status", "broken", "--plugin", str(several / "vanilla.py")]) == 0
    assert "the plugin name 'vanilla' is reserved for ganforge-vanilla; rename the file" in capsys.readouterr().out


def test_the_hint_at_a_broken_file_leads_to_it_though_an_installed_plugin_has_its_name(several, capsys):
    (several / "vanilla.py").write_text(NEEDY)
    named = ["--plugin", str(several / "vanilla.py"), "--only-plugins", "vanilla"]

    assert main(["plugins", "list", *named]) == 0
    hint = capsys.readouterr().out.splitlines()[-1].partition("Details: `ganforge ")[2].rstrip("`")
    assert hint == f"plugins info local/vanilla --only-plugins '' --plugin {several / 'vanilla.py'}"
    assert main(["plugins", "doctor", *named]) == 1
    assert f"ganforge {hint}" in capsys.readouterr().out
    assert main(shlex.split(hint)) == 0
    assert "is reserved for ganforge-vanilla" in capsys.readouterr().out


def test_an_unknown_plugin_gets_a_suggestion(several, capsys):
    assert main(["plugins", "info", "acme-gna"]) == 2
    assert "did you mean 'acme-gan'? installed: acme-gan, bad-gan, ganforge" in capsys.readouterr().err


def test_a_misspelt_switch_is_2(several, capsys, monkeypatch):
    monkeypatch.setenv("GANFORGE_DISABLE_PLUGINS", "of-gan")

    assert main(["plugins", "list"]) == 2
    assert "names 'of-gan', but no such plugin is installed" in capsys.readouterr().err


def test_strictness_makes_a_broken_plugin_3_with_its_place(several, capsys, monkeypatch):
    monkeypatch.setenv("GANFORGE_STRICT_PLUGINS", "1")

    assert main(["list"]) == 3
    assert "bad-gan 1.0 is broken: RuntimeError: no GPU here (bad_gan.py:2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["list"], ["check", str(RECIPE)], ["explain", str(RECIPE)], ["schema"], ["run", str(RECIPE)], ["plugins", "freeze"]]
)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_strict_plugins_is_a_switch_of_every_command(several, capsys, monkeypatch, tmp_path, command, place):
    monkeypatch.chdir(tmp_path)

    assert main(["--strict-plugins", *command] if place == "before" else [*command, "--strict-plugins"]) == 3

    messages = capsys.readouterr().err
    assert "bad-gan 1.0 is broken: RuntimeError: no GPU here" in messages
    assert "old-gan 1.0 is incompatible: needs ganforge <0.1" in messages
    assert "ganforge plugins doctor" in messages
    assert not (tmp_path / "runs").exists()


def test_strictness_lets_what_is_switched_off_be(several):
    assert main(["list", "--strict-plugins", "--no-plugin", "bad-gan", "--no-plugin", "old-gan"]) == 0


@pytest.mark.parametrize("command", [["list"], ["info", "acme"]])
def test_strictness_shows_before_it_fails(several, capsys, command):
    assert main(["plugins", *command, "--strict-plugins"]) == 3

    shown = capsys.readouterr()
    assert "acme-gan" in shown.out
    assert "bad-gan 1.0 is broken" in shown.err


def test_broken_plugins_take_one_line_of_a_run(several, caplog):
    plan = prepare(Options(recipe=RECIPE))

    assert plan.blueprint.parts
    assert [record.message for record in caplog.records if "plugin" in record.message] == [
        "2 plugins failed to load (bad-gan, old-gan); see: `ganforge plugins list`"
    ]


def test_freeze_prints_what_is_in_use_for_pip(several, capsys):
    (several / "my_gan.py").write_text("")
    assert main(["plugins", "freeze", "--plugin", str(several / "my_gan.py")]) == 0

    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert "-e /src  # acme-gan 1.2" in lines
    assert any(line.startswith(("ganforge==", "-e ", "ganforge @")) and "ganforge" in line for line in lines)
    assert not [line for line in lines if "bad-gan" in line or "old-gan" in line or "off-gan" in line]
    assert lines[-1].startswith(f"# {several / 'my_gan.py'} is a file of your own (sha256 e3b0c44298fc")
    assert shown.err.startswith("warning: 2 plugins failed to load")


def test_freeze_keeps_a_distribution_and_a_file_of_one_name_apart(several, capsys):
    (several / "acme_gan.py").rename(several / "acme_module.py")
    (several / "acme_gan-1.2.dist-info" / "entry_points.txt").write_text("[ganforge]\nacme = acme_module\n")
    (several / "acme_gan.py").write_text("")
    assert main(["plugins", "freeze", "--plugin", str(several / "acme_gan.py")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "-e /src  # acme-gan 1.2" in lines
    assert any("acme_gan.py is a file of your own" in line for line in lines)


def test_freeze_as_json(several, capsys):
    assert main(["plugins", "freeze", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["local"]) == (1, [])
    assert "-e /src" in shown["requirements"]


def test_check_prints_where_the_code_comes_from_and_the_command_for_a_folder_of_that_name(several, capsys, monkeypatch):
    (several / "elsewhere").mkdir()
    monkeypatch.chdir(several / "elsewhere")
    (several / "elsewhere" / "acme-gan").mkdir()
    assert main(["plugins", "check", "acme-gan"]) in (0, 1)
    shown = capsys.readouterr()
    assert shown.out.startswith(f"acme-gan 1.2 from {several / 'acme_gan.py'}\n")
    command = shown.err.partition("for the folder of this name: `ganforge ")[2].partition("`")[0].split()
    assert command == ["plugins", "check", "./acme-gan"]
    (several / "elsewhere" / "acme-gan" / "pyproject.toml").write_text('[project]\nname = "acme-gan"\nversion = "7"\n')
    assert main(command) != 0  # it has no entry point
    assert "acme-gan" in capsys.readouterr().err
