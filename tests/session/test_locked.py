"""``run --locked`` and ``run --resume``: the same set trains again or goes on, another one is refused before anything is done."""

from __future__ import annotations

import json
import shutil

import pytest

from ganforge.build.lock import Lock, installed_differences
from ganforge.cli.app import main
from ganforge.core.errors import UsageError
from ganforge.registry.selection import command_line_selection
from ganforge.runs.loaded_generator import load
from ganforge.storage import journal

MINE = """
from ganforge.plugin import hookimpl
from ganforge.testing.stub_components import LinearGenerator as build_generator

@hookimpl
def ganforge_register_generators(register):
    register("mine", build_generator, summary="My own.")
"""


RECIPE = """
title = "A small run"
[train]
iterations = 2
batch_size = 16
[dataset]
use = "moons"
params = { samples = 200 }
[sampler]
use = "normal"
params = { size = 4 }
[generator]
use = "mine"
[discriminator]
use = "mlp"
params = { hidden = [8] }
[[loss]]
use = "non-saturating"
[pictures]
gif = false
final_figures = false
[tracking]
mode = "off"
"""


@pytest.fixture(scope="module")
def _once(tmp_path_factory):
    """A folder in which a recipe with a generator from a local file was trained, and a copy of it that stays as it is."""
    here = tmp_path_factory.mktemp("locked") / "here"
    here.mkdir()
    (here / "my_gan.py").write_text(MINE)
    (here / "small.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        assert main(["run", "small.toml", "--plugin", "my_gan.py"]) == 0
    return here, shutil.copytree(here, here.with_name("kept"))


@pytest.fixture
def tmp_path(_once):
    """That folder as it was after the training; its path stands in the run's own files."""
    here, kept = _once
    shutil.rmtree(here)
    return shutil.copytree(kept, here)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """The folder of the run."""
    monkeypatch.chdir(tmp_path)
    (folder,) = (tmp_path / "runs" / "small").iterdir()
    return folder


def test_a_run_keeps_its_lock_and_tells_mlflow(trained):
    lock = json.loads((trained / "lock.json").read_text())
    start = next(record for _, record in journal.read(trained / "events.jsonl"))

    (file,) = lock["plugin_files"]
    assert (file["key"], file["file"]) == ("my-gan", str(trained.parents[2] / "my_gan.py"))
    assert f"my_gan.py sha256:{file['sha256'][:12]}" in start["tags"]["ganforge.plugins"]
    assert "ganforge-vanilla 0.1.0" in start["tags"]["ganforge.plugins"]
    assert "lock.json" in start["artifacts"]["recipe"]


@pytest.mark.parametrize("named", ["folder", "file"])
def test_the_same_set_trains_again(trained, named, tmp_path):
    lock = trained if named == "folder" else trained / "lock.json"

    arguments = ["run", "small.toml", "--plugin", "my_gan.py", "--locked", str(lock), "--set", "train.seed=1"]
    assert main(arguments) == 0
    assert len(list((tmp_path / "runs" / "small").iterdir())) == 2


@pytest.mark.parametrize("more", [[], ["--seeds", "2"]])
def test_another_set_is_2_and_nothing_is_created(trained, tmp_path, capsys, more):
    (tmp_path / "my_gan.py").write_text(MINE + "# edited\n")
    lock = json.loads((trained / "lock.json").read_text())
    lock["distributions"][-1] |= {"version": "0.0.7", "source": "index"}
    del lock["distributions"][-1]["url"]
    (tmp_path / "old.json").write_text(json.dumps(lock))
    capsys.readouterr()

    arguments = ["run", "small.toml", "--plugin", "my_gan.py", "--locked", "old.json", "--runs-dir", "elsewhere", *more]
    assert main(arguments) == 2

    messages = capsys.readouterr().err
    assert "ganforge-vanilla 0.0.7 is locked, 0.1.0 is installed" in messages
    assert "my_gan.py is not the file that is locked" in messages
    assert "pip install ganforge-vanilla==0.0.7; restore" in messages
    assert not (tmp_path / "elsewhere").exists()


def test_another_recipe_is_2(trained, tmp_path, capsys):
    capsys.readouterr()
    arguments = ["run", "small.toml", "--plugin", "my_gan.py", "--locked", str(trained), "--runs-dir", "elsewhere"]

    assert main([*arguments, "--set", 'generator.use="mlp"']) == 2

    assert "generator: locked is local/mine@1, the recipe has ganforge-vanilla/mlp@1" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_is_not_there_is_2(trained, capsys):
    assert main(["run", "small.toml", "--locked", "nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err


@pytest.fixture
def stopped(trained, tmp_path):
    """A run that began with its lock and can go on: two of its four iterations are done."""
    for name in ("recipe.toml", "resolved.toml"):
        (trained / name).write_text((trained / name).read_text().replace("iterations = 2", "iterations = 4"))
    return trained


@pytest.fixture
def began_with(stopped):
    """Change what the run's lock says of a distribution; gives it back as text."""

    def began_with(name, **facts):
        lock = json.loads((stopped / "lock.json").read_text())
        one = next(one for one in lock["distributions"] if one["name"] == name)
        one |= {"source": "index", **facts}
        one.pop("url", None)
        (stopped / "lock.json").write_text(json.dumps(lock))

    return began_with


def resume(stopped, *more, plugin="my_gan.py"):
    return main(["run", "--resume", stopped.name, "--plugin", plugin, *more])


def iterations(folder):
    return max(int(path.name) for path in (folder / "checkpoints").iterdir())


def test_the_same_set_goes_on(stopped, capsys):
    capsys.readouterr()
    assert resume(stopped) == 0
    assert iterations(stopped) == 4
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("unlocked", [False, True])
def test_another_version_does_not_go_on_unless_asked(stopped, began_with, capsys, unlocked):
    began_with("ganforge-vanilla", version="0.0.7")
    capsys.readouterr()

    assert resume(stopped, *(["--unlocked"] if unlocked else [])) == (0 if unlocked else 2)

    messages = capsys.readouterr().err
    assert "ganforge-vanilla 0.0.7 is locked, 0.1.0 is installed" in messages
    assert "pip install ganforge-vanilla==0.0.7" in messages
    assert ("--unlocked to go on" in messages) is not unlocked
    assert iterations(stopped) == (4 if unlocked else 2)
    assert [path.name for path in stopped.glob("lock-*.json")] == (["lock-2.json"] if unlocked else [])
    versions = {one["name"]: one["version"] for one in json.loads((stopped / "lock.json").read_text())["distributions"]}
    assert versions["ganforge-vanilla"] == ("0.1.0" if unlocked else "0.0.7")


def test_a_version_from_which_nothing_comes_costs_a_warning(stopped, began_with, capsys):
    lock = json.loads((stopped / "lock.json").read_text())
    lock["distributions"].append({"name": "ganforge-infogan", "version": "0.0.3", "source": "index"})
    lock["components"].append(lock["components"][-1] | {"kind": "metric", "key": "metric[0]", "distribution": "ganforge-infogan"})
    differences = installed_differences(Lock.model_validate_json(json.dumps(lock)))
    assert [one.minor for one in differences if one.requirement == "ganforge-infogan==0.0.3"] == [True]

    lock["components"].pop()
    (stopped / "lock.json").write_text(json.dumps(lock))
    capsys.readouterr()
    assert resume(stopped) == 0
    assert (
        "ganforge-infogan 0.0.3 is locked, 0.1.0 is installed; to restore it: pip install ganforge-infogan==0.0.3"
        in capsys.readouterr().err
    )


def test_a_distribution_that_is_gone_is_reported_with_the_line_that_brings_it(stopped, capsys):
    lock = json.loads((stopped / "lock.json").read_text())
    lock["distributions"].append({"name": "acme-gan", "version": "1.2", "source": "vcs", "url": "git+https://x.org/a@0123"})
    (stopped / "lock.json").write_text(json.dumps(lock))

    assert resume(stopped) == 2
    messages = capsys.readouterr().err
    assert "acme-gan 1.2 is not installed" in messages
    assert "pip install 'acme-gan @ git+https://x.org/a@0123'" in messages


def test_an_edited_local_file_goes_on_only_as_it_was(stopped, tmp_path, capsys):
    (tmp_path / "my_gan.py").write_text(MINE + "# edited\n")
    assert resume(stopped) == 2
    messages = capsys.readouterr().err
    assert "my_gan.py is not the file that is locked" in messages
    kept = messages.partition("use the original file: --plugin ")[2].partition(";")[0]
    assert (tmp_path / kept).samefile(stopped / "plugins" / "my_gan.py")

    assert resume(stopped, plugin=kept) == 0
    assert iterations(stopped) == 4


def edit(tmp_path, comment):
    (tmp_path / "my_gan.py").write_text(f"{MINE}# {comment}\n")


def provenance(folder):
    """The locks and copies of local files, by their paths in the run folder."""
    files = [
        *folder.glob("lock*.json"),
        *folder.glob("plugins*/*"),
        *folder.glob("model/lock.json"),
        *folder.glob("model/plugins/*"),
    ]
    return {str(file.relative_to(folder)): file.read_text() for file in files}


@pytest.mark.parametrize("damage", [None, "lost", "damaged"])
def test_where_no_iteration_remains_nothing_is_written_anew(trained, tmp_path, capsys, damage):
    edit(tmp_path, "edited")
    if damage:
        (trained / "lock.json").write_text("{")
    if damage == "lost":
        (trained / "lock.json").unlink()
    before = provenance(trained)

    assert resume(trained, "--unlocked") == 0

    assert provenance(trained) == before
    assert ("no model for MLflow" in capsys.readouterr().err) is (damage is not None)


def test_every_former_lock_is_kept_with_its_local_files(stopped, tmp_path):
    began = provenance(stopped)
    shutil.copytree(stopped / "checkpoints", tmp_path / "saved")
    edit(tmp_path, "first")
    assert resume(stopped, "--unlocked") == 0
    first = provenance(stopped)
    assert (first["lock-2.json"], first["plugins-2/my_gan.py"]) == (began["lock.json"], MINE)
    assert first["plugins/my_gan.py"].endswith("# first\n")

    shutil.rmtree(stopped / "checkpoints")  # as if it had been killed before it saved
    shutil.copytree(tmp_path / "saved", stopped / "checkpoints")
    edit(tmp_path, "second")
    assert resume(stopped, "--unlocked") == 0
    second = provenance(stopped)
    assert (second["lock-2.json"], second["plugins-2/my_gan.py"]) == (began["lock.json"], MINE)
    assert (second["lock-2-2.json"], second["plugins-2-2/my_gan.py"]) == (first["lock.json"], first["plugins/my_gan.py"])
    assert second["plugins/my_gan.py"].endswith("# second\n")


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_lock_costs_a_warning_and_a_damaged_one_the_resumption(stopped, capsys, lost):
    (stopped / "lock.json").write_text("{")
    assert resume(stopped) == 4
    assert "lock.json is damaged" in capsys.readouterr().err

    if lost:
        (stopped / "lock.json").unlink()
    assert resume(stopped, *([] if lost else ["--unlocked"])) == 0
    assert ("has no lock.json" if lost else "lock.json is damaged") in capsys.readouterr().err
    assert Lock.model_validate_json((stopped / "lock.json").read_text()).components


def test_unlocked_is_for_runs_that_go_on(trained, capsys):
    assert main(["run", "small.toml", "--unlocked"]) == 2
    assert "--unlocked requires --resume" in capsys.readouterr().err


def test_a_run_with_a_local_component_is_sampled_later(trained, tmp_path, capsys):
    points = lambda name: (tmp_path / name).read_text()  # noqa: E731
    assert main(["sample", str(trained), "--out", "a.csv", "--plugin", "my_gan.py"]) == 0

    (tmp_path / "my_gan.py").write_text(MINE.replace('"My own."', '"Another one."'))
    capsys.readouterr()
    assert main(["sample", str(trained), "--out", "b.csv", "--plugin", "my_gan.py"]) == 2
    messages = capsys.readouterr().err
    assert "generator 'local/mine' was trained with sha256" in messages
    kept = trained / "plugins" / "my_gan.py"
    assert f"--plugin {kept} is the file as it was" in messages
    assert kept.read_text() == MINE
    assert not (tmp_path / "b.csv").exists()

    # The project names the edited file; the command line's own takes its place.
    (tmp_path / "pyproject.toml").write_text('[tool.ganforge.plugins]\nlocal = ["my_gan.py"]\n')
    assert main(["sample", str(trained), "--out", "b.csv", "--plugin", str(kept)]) == 0
    assert points("a.csv") == points("b.csv")


def test_nothing_runs_the_copy_by_itself(trained, tmp_path, capsys):
    assert main(["sample", str(trained), "--out", "a.csv"]) == 2
    assert "the local plugin 'my-gan' is not loaded" in capsys.readouterr().err


def test_the_model_for_mlflow_holds_the_file_and_asks_for_the_runs_plugins_alone(trained, tmp_path):
    records = [record for _, record in journal.read(trained / "events.jsonl")]
    model = next(record for record in records if record["kind"] == "model")
    names = [line.partition("==")[0] for line in model["requirements"]]
    assert (trained / "model" / "plugins" / "my_gan.py").read_text() == MINE
    assert {"torch", "safetensors", "ganforge", "ganforge-vanilla"} <= set(names)
    assert not {"ganforge-infogan", "ganforge-cgan", "local"} & set(names)
    start = records[0]
    assert start["artifacts"]["recipe/plugins"] == ["plugins/my_gan.py"]

    with command_line_selection(disabled=[], only=None, local=[trained / "model" / "plugins" / "my_gan.py"]):
        assert load(trained / "model").sample(3)["values"].shape == (3, 2)


@pytest.mark.parametrize(
    "command",
    ["sample RUN", "interpolate RUN", "traverse RUN", "export RUN --format safetensors", "evaluate RUN --metric wasserstein -n 20"],
)
def test_commands_print_the_option_and_the_pip_line_of_plugins_that_are_missing(trained, capsys, command):
    words = command.replace("RUN", trained.name).split()
    assert main(words) == 2
    messages = capsys.readouterr().err
    assert f"{trained.name} needs its plugins: the local plugin 'my-gan' is not loaded" in messages
    option = messages.strip().splitlines()[-1].split()
    assert main([*option, *words]) == 0

    lock = json.loads((trained / "lock.json").read_text())
    lock["distributions"].append({"name": "acme-gan", "version": "1.2", "source": "index"})
    (trained / "lock.json").write_text(json.dumps(lock))
    capsys.readouterr()
    assert main(words) == 2
    messages = capsys.readouterr().err
    assert "acme-gan 1.2 is not installed" in messages
    assert "pip install acme-gan==1.2; --plugin" in messages


def test_load_names_the_plugins_that_are_missing_and_report_needs_none(trained, capsys):
    with pytest.raises(UsageError, match="needs its plugins: the local plugin 'my-gan' is not loaded"):
        load(trained)
    assert main(["report", trained.name]) == 0
    assert main(["compare", trained.name, trained.name]) in (0, 2)
    assert "my-gan" not in capsys.readouterr().err
