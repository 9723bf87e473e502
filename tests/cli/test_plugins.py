import json
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.session.preparing import Options, prepare
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
    assert lines["bad-gan"] == "bad-gan bad-gan 1.0 index broken RuntimeError: no GPU here –"
    assert lines["old-gan"].startswith("old-gan old-gan 1.0 index incompatible needs ganforge <0.1, this is")
    assert lines["off-gan"] == "off-gan off-gan 1.0 index disabled switched off by GANFORGE_DISABLE_PLUGINS –"
    assert lines["ganforge"].endswith(" ms")
    assert "1 disabled, 1 broken, 1 incompatible. Details: ganforge plugins info bad-gan" in shown.out.splitlines()[-1]


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


def test_an_unknown_plugin_gets_a_suggestion(several, capsys):
    assert main(["plugins", "info", "acme-gna"]) == 2
    assert "did you mean 'acme-gan'? installed: acme-gan, bad-gan, ganforge" in capsys.readouterr().err


def test_a_misspelt_switch_is_2(several, capsys, monkeypatch):
    monkeypatch.setenv("GANFORGE_DISABLE_PLUGINS", "of-gan")

    assert main(["plugins", "list"]) == 2
    assert "no plugin named 'of-gan' is installed" in capsys.readouterr().err


def test_strictness_makes_a_broken_plugin_3_with_its_traceback(several, capsys, monkeypatch):
    monkeypatch.setenv("GANFORGE_STRICT_PLUGINS", "1")

    assert main(["list"]) == 3
    assert "line 2, in f" in capsys.readouterr().err


def test_a_broken_plugin_costs_a_run_one_line(several):
    told = []

    plot = prepare(Options(recipe=RECIPE), told.append)

    assert plot.blueprint.parts
    assert [line for line in told if "plugin" in line] == [
        "warning: 2 plugins failed to load (bad-gan, old-gan); see: ganforge plugins list"
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


def test_freeze_as_json(several, capsys):
    assert main(["plugins", "freeze", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["local"]) == (1, [])
    assert "-e /src" in shown["requirements"]
