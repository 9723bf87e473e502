"""ganforge plugins doctor: each thing that can be wrong with plugins is planted, found, and reported with its place and remedy."""

import json
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.registry.discovery import installed_plugins
from ganforge.testing import fake_plugin

BOUND = ["ganforge>=0.1,<9"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of the import path to install into; the working directory is another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def doctor(capsys):
    """Findings as ``plugins doctor --json`` tells them, but for those of ganforge's own plugins."""

    def doctor(*more, part=None, faults=0):
        assert main(["plugins", "doctor", "--json", *map(str, more)]) == (1 if faults else 0)
        shown = json.loads(capsys.readouterr().out)
        assert shown["faults"] == faults == sum(one["state"] == "fault" for one in shown["diagnoses"])
        return [one for one in shown["diagnoses"] if part in (None, one["part"]) and not one["text"].startswith("ganforge")]

    return doctor


def test_all_is_well(site, doctor, capsys):
    fake_plugin(site, requires=BOUND)

    found = doctor()
    assert {one["state"] for one in found} == {"ok"}
    acme = next(one for one in found if one["text"].startswith("acme-gan"))
    assert acme["text"].startswith("acme-gan 1.0 is active: 1 generator, loaded in ")
    assert acme["where"] == str(site / "acme_gan.py")
    python = next(one for one in found if one["part"] == "python")
    assert python["where"] == sys.executable

    assert main(["plugins", "doctor"]) == 0
    assert capsys.readouterr().out.endswith("\nno problems found\n")


@pytest.mark.parametrize(
    ("options", "messages", "remedy"),
    [
        (
            {"source": "raise RuntimeError('no GPU')"},
            "broken: RuntimeError: no GPU",
            "pip install --force-reinstall --no-deps acme-gan",
        ),
        ({"requires": ["ganforge<0.1"]}, "incompatible: needs ganforge <0.1", "pip install --upgrade acme-gan"),
        (
            {"source": "import einopses", "requires": [*BOUND, "einopses>=2", "typer"]},
            "broken: ModuleNotFoundError",
            "pip install 'einopses>=2'; details",
        ),
        (
            {"source": "1/0", "direct_url": {"url": "file:///src", "dir_info": {"editable": True}}},
            "broken: ZeroDivisionError",
            "fix it in /src",
        ),
    ],
)
def test_a_plugin_that_fails_is_a_fault_with_the_line_that_mends_it(site, doctor, options, messages, remedy):
    fake_plugin(site, **{"requires": BOUND, **options})

    (found,) = doctor(part="plugins", faults=1)
    assert found["text"].startswith(f"acme-gan 1.0 is {messages}")
    assert found["where"] == str(site / "acme_gan.py")
    assert found["remedy"].startswith(remedy)
    assert "ganforge plugins info acme-gan" in found["remedy"]


def test_an_entry_point_that_leads_nowhere(site, doctor):
    fake_plugin(site, requires=BOUND)
    (site / "acme_gan.py").unlink()

    (found,) = doctor(part="plugins", faults=1)
    assert "No module named 'acme_gan'" in found["text"]
    assert found["remedy"].startswith("its entry point does not exist: pip install --force-reinstall")

    (found,) = doctor("--no-plugin", "acme-gan", part="plugins")
    assert (found["state"], found["text"].endswith("its entry point acme_gan does not exist")) == ("note", True)


def test_a_component_that_leads_nowhere(site, doctor):
    source = """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_losses(register):
            register("lost", "acme_gan_networks:build", summary="Nowhere.")
    """
    fake_plugin(site, requires=BOUND, source=source)

    (found,) = [one for one in doctor(faults=1) if one["state"] == "fault"]
    assert found["text"] == "loss 'acme-gan/lost' does not exist: acme_gan_networks:build: there is no module acme_gan_networks"
    assert "pip install --force-reinstall --no-deps acme-gan" in found["remedy"]


def test_a_file_that_imports_torch_is_reported_what_a_file_can_do(site, doctor, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "scipy", raising=False)
    (tmp_path / "my_gan.py").write_text("import sys, types\nsys.modules.setdefault('scipy', types.ModuleType('scipy'))\n")

    (found,) = [one for one in doctor("--plugin", tmp_path / "my_gan.py", part="plugins") if "my_gan.py" in one["text"]]
    assert found["text"].endswith("imports scipy")
    assert found["remedy"].startswith("a package can delay the import")


def test_a_plugin_without_what_it_needs_is_noted(site, doctor):
    source = """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_losses(register):
            register("far", "acme_gan:build", summary="Far.", needs=("einopses",))
    """
    fake_plugin(site, requires=BOUND, source=source)

    (found,) = doctor(part="plugins")
    assert (found["state"], found["text"]) == ("note", "acme-gan 1.0 is unavailable: needs einopses")
    assert found["remedy"] == "pip install einopses"


@pytest.mark.parametrize(
    ("requires", "messages"),
    [
        (["typer"], "does not require ganforge"),
        (["ganforge"], "sets no upper bound (ganforge)"),
        (["ganforge>=0.1"], "sets no upper"),
    ],
)
def test_a_plugin_that_says_too_little_of_ganforge_is_noted(site, doctor, requires, messages):
    fake_plugin(site, requires=requires)

    (found,) = doctor(part="bounds")
    assert (found["state"], messages in found["text"]) == ("note", True)
    assert "ganforge>=0.1,<0.2" in found["remedy"]


@pytest.mark.parametrize("bound", ["ganforge<9", "ganforge~=0.1", "ganforge==0.1.*", "ganforge>=0.1,<=0.9"])
def test_an_upper_bound_is_one_however_it_is_written(site, doctor, bound):
    fake_plugin(site, requires=[bound])
    assert doctor(part="bounds") == []


@pytest.mark.parametrize(("version", "state"), [("0.9", "fault"), ("1.0", "note")])
def test_a_distribution_that_is_there_twice(site, tmp_path, monkeypatch, doctor, version, state):
    fake_plugin(tmp_path / "older", requires=BOUND, version=version)
    monkeypatch.syspath_prepend(tmp_path / "older")
    fake_plugin(tmp_path / "newer", requires=BOUND)
    monkeypatch.syspath_prepend(tmp_path / "newer")
    assert [one.version for one in installed_plugins() if one.name == "acme-gan"] == ["1.0"]

    (found,) = doctor(part="copies", faults=state == "fault")
    assert (found["state"], found["where"]) == (state, str(tmp_path / "older"))
    assert found["text"] == f"acme-gan is installed twice: Python imports 1.0 in {tmp_path / 'newer'}, not {version}"
    assert "pip uninstall acme-gan" in found["remedy"]


def test_one_folder_that_is_on_the_path_twice_is_one_copy(site, monkeypatch, doctor):
    fake_plugin(site, requires=BOUND)
    monkeypatch.syspath_prepend(f"{site.parent}/./site")
    assert doctor(part="copies") == []


def test_metadata_that_cannot_be_read(site, doctor):
    info = fake_plugin(site, requires=BOUND).info
    (info / "entry_points.txt").write_bytes(b"[ganforge]\n\xff\xfe\n")

    (found,) = doctor(part="metadata", faults=1)
    assert found["text"].startswith("cannot be read: UnicodeDecodeError")
    assert found["where"] == str(info)


def test_names_that_mean_something_else_than_one_may_think(site, doctor):
    source = """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_generators(register):
            register("mlp", "ganforge.testing.stub_components:LinearGenerator", summary="Another mlp.")
            register("linear", "ganforge.testing.stub_components:LinearGenerator", summary="Another linear one.")
    """
    fake_plugin(site, requires=BOUND, entry_point="acme")
    fake_plugin(site, name="other-gan", requires=BOUND, entry_point="acme", source=source)

    assert [one["text"] for one in doctor(part="names")] == [
        "several plugins are called 'acme': acme-gan/acme, other-gan/acme",
        "generator 'linear' is ambiguous: acme-gan/linear, other-gan/linear",
        "other-gan: generator 'mlp' is a reserved name: write 'other-gan/mlp'",
    ]


def test_switches_are_reported_with_the_place_that_says_them(site, doctor, monkeypatch, tmp_path):
    fake_plugin(site, requires=BOUND)
    Path("my_gan.py").write_text("")
    Path("pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.ganforge.plugins]\n# ours\ndisable = ["acme-gan"]\nlocal = ["my_gan.py"]\n'
    )
    monkeypatch.setenv("GANFORGE_DISABLE_PLUGINS", "cgan")

    found = doctor("--no-plugin", "infogan")
    work = tmp_path / "work"
    assert [(one["text"], one["where"]) for one in found if one["part"] == "selection"] == [
        ("--no-plugin infogan", "the command line"),
        ("GANFORGE_DISABLE_PLUGINS = cgan", "the environment"),
        ("disable = acme-gan", f"{work / 'pyproject.toml'}:5"),
        (f"local = {work / 'my_gan.py'}", f"{work / 'pyproject.toml'}:6"),
    ]
    mine = next(one for one in found if one["text"].startswith("my_gan.py"))
    assert "sha256 e3b0c44298fc" in mine["text"]


def test_only_and_strict_switches_are_reported(site, doctor, monkeypatch):
    monkeypatch.setenv("GANFORGE_PLUGINS", "")
    messages = [one["text"] for one in doctor("--only-plugins", "vanilla", "--strict-plugins", part="selection")]
    assert messages == ["--only-plugins vanilla --strict-plugins", "GANFORGE_PLUGINS ="]


def test_a_switch_that_names_nothing_is_a_fault(site, doctor):
    found = doctor("--no-plugin", "acme-gna", part="selection", faults=1)
    assert "--no-plugin names 'acme-gna', but no such plugin is installed" in found[-1]["text"]


def test_a_broken_local_file_is_mended_by_hand(site, doctor):
    Path("my_gan.py").write_text("1/0\n")
    found = next(one for one in doctor("--plugin", "my_gan.py", faults=1) if one["state"] == "fault")
    assert found["remedy"].startswith(f"fix {Path('my_gan.py').resolve()}")


def test_a_schema_older_than_the_installed_set_is_noted(site, doctor, capsys):
    Path("one.toml").write_text('title = "One"\n')
    assert main(["schema", "one.toml"]) == 0
    capsys.readouterr()
    assert [one["state"] for one in doctor(part="schema")] == ["ok"]

    fake_plugin(site, requires=BOUND)
    (found,) = doctor(part="schema")
    schema = Path(".ganforge/recipe.schema.json").resolve()
    assert found["state"] == "note"
    assert "is out of date" in found["text"]
    assert found["where"] == str(schema)
    assert found["remedy"] == f"ganforge schema --out {schema}"


def test_the_general_doctor_mentions_the_verdict_in_one_line(site, capsys):
    fake_plugin(site, requires=["ganforge"])
    main(["doctor", "--json"])
    plugins = [one for one in json.loads(capsys.readouterr().out)["diagnoses"] if one["part"] == "plugins"]
    assert [(one["state"], one["remedy"]) for one in plugins] == [("note", "ganforge plugins doctor")]
    assert plugins[0]["text"].endswith("; 1 more to check")
