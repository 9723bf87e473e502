"""Files that are plugins: guarded as installed ones, known by their hash, never in the way of other names."""

import hashlib
import sys
from pathlib import Path

import pytest

from ganforge.core.errors import PluginError, UsageError
from ganforge.registry.component import Kind
from ganforge.registry.discovery import PluginStatus, find_copies

FILE = """
from pydantic import Field
from ganforge.plugin import Params, hookimpl
from ganforge.testing.stub_components import LinearGenerator as build_generator


class MineParams(Params):
    width: int = Field(8, ge=1)
    \"\"\"How wide.\"\"\"


def build(params, context):
    return build_generator(params, context)


@hookimpl
def ganforge_register_generators(register):
    register("mine", build, params=MineParams, summary="My own.")
    register("by-name", f"{__name__}:build", summary="Named as a plugin would.")
"""


@pytest.fixture
def local(tmp_path, load):
    """Writes files and loads them beside the built-in components."""

    def local(*names, text=FILE, **switches):
        paths = [tmp_path / name for name in names]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return load(*switches.pop("allowed", ("local",)), local=tuple(paths), **switches)

    return local


def record(registry, name="my-gan"):
    (found,) = [one for one in registry.plugins if (one.distribution, one.name) == ("local", name)]
    return found


def test_a_file_is_a_plugin(local, tmp_path):
    registry = local("My_GAN.py")

    mine = record(registry)
    digest = hashlib.sha256(FILE.encode()).hexdigest()
    assert (mine.status, mine.source, mine.sha256, mine.version) == (PluginStatus.LOCAL, "file", digest, digest[:12])
    assert mine.file == tmp_path / "My_GAN.py"
    assert mine.components == {Kind.GENERATOR: ("by-name", "mine")}
    assert registry.warning is None

    component = registry.find(Kind.GENERATOR, "mine")
    assert component is registry.find(Kind.GENERATOR, "local/mine@1")
    assert component.id == "local/mine"
    assert component.plugin.sha256 == digest
    assert component.load_params()().width == 8
    assert component.load_params().model_fields["width"].description == "How wide."
    assert component.source() == tmp_path / "My_GAN.py"
    by_name = registry.find(Kind.GENERATOR, "by-name")
    assert by_name.load_factory().__name__ == "build"
    assert by_name.source() == tmp_path / "My_GAN.py"


def test_a_file_leaves_the_import_path_and_its_folder_alone(local, tmp_path):
    before = list(sys.path)

    local("my_gan.py")

    assert sys.path == before
    assert "my_gan" not in sys.modules
    assert [path.name for path in tmp_path.iterdir()] == ["my_gan.py"]


def test_an_edited_file_is_another_module_and_an_equal_one_is_not_run_again(local, capsys):
    text = FILE + "print('it runs')\n"
    first = local("my_gan.py", text=text).find(Kind.GENERATOR, "mine")
    again = local("my_gan.py", text=text).find(Kind.GENERATOR, "mine")
    edited = local("my_gan.py", text=text.replace("ge=1", "ge=2")).find(Kind.GENERATOR, "mine")

    assert first.factory is again.factory
    assert first.plugin == again.plugin
    assert edited.plugin.sha256 != first.plugin.sha256
    assert capsys.readouterr().err == "it runs\n" * 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import einops_is_not_here\n", "ModuleNotFoundError: No module named 'einops_is_not_here'"),
        ("def broken(:\n", "SyntaxError: invalid syntax (my_gan.py, line 1)"),
        ("import sys\nsys.exit(3)\n", "it called sys.exit(3)"),
        ("def ganforge_register_losses(register): ...\n", "ganforge_register_losses lacks @hookimpl"),
        ("\0", "source code string cannot contain null bytes"),
    ],
)
def test_a_broken_file_is_one_line(local, text, reason):
    registry = local("my_gan.py", text=text)

    broken = record(registry)
    assert broken.status is PluginStatus.BROKEN
    assert reason in broken.reason
    assert "\n" not in broken.reason
    assert registry.warning == "1 plugin failed to load (my_gan.py); see: `ganforge plugins list`"
    assert {one.plugin.distribution for one in registry.components()} == {"ganforge"}
    with pytest.raises(PluginError, match=r"generator 'mine' comes from my_gan\.py .*, which is broken"):
        registry.find(Kind.GENERATOR, "local/mine")


def test_a_file_that_is_not_there_or_no_python_is_one_line(load, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    registry = load("local", local=(tmp_path / "none.py", tmp_path / "notes.txt", tmp_path))

    reasons = [one.reason for one in registry.plugins if one.distribution == "local"]
    assert reasons[0] == f"cannot read {tmp_path / 'none.py'}: No such file or directory"
    assert reasons[1] == f"{tmp_path / 'notes.txt'} is not a Python file (.py)"
    assert "is not a Python file" in reasons[2]


def test_first_party_names_keep_their_meaning_and_the_list_says_so(local):
    registry = local("my_gan.py", text=FILE.replace('"mine"', '"mlp"'))

    assert registry.find(Kind.GENERATOR, "local/mlp").plugin.name == "my-gan"
    with pytest.raises(UsageError, match="comes from ganforge-vanilla"):  # which is not allowed here
        registry.find(Kind.GENERATOR, "mlp")
    assert record(registry).remarks == ("generator 'mlp' is a reserved name: write 'local/mlp'",)


def test_built_in_names_keep_their_meaning(local):
    text = FILE.replace("generators", "losses").replace('"mine"', '"hinge"')
    registry = local("my_gan.py", text=text)

    assert registry.find(Kind.LOSS, "hinge").id == "ganforge/hinge"
    assert record(registry).remarks == ("loss 'hinge' is a reserved name: write 'local/hinge'",)


def test_a_name_of_a_file_and_of_a_third_party_is_ambiguous(local, install):
    install(name="acme-gan")
    registry = local("my_gan.py", text=FILE.replace('"mine"', '"linear"'), allowed=("local", "acme-gan"))

    with pytest.raises(UsageError, match="'linear' is ambiguous") as caught:
        registry.find(Kind.GENERATOR, "linear")
    assert caught.value.remedy == "write one of: acme-gan/linear, local/linear"


def test_two_files_with_one_name_do_not_replace_each_other(local):
    registry = local("my_gan.py", "other.py")

    assert record(registry).status is PluginStatus.LOCAL
    assert record(registry, "other").reason == "generator 'local/mine' is already registered by entry point 'my-gan'"


@pytest.mark.parametrize("name", ["my-gan", "My_GAN", "local"])
def test_a_file_can_be_switched_off(local, name):
    registry = local("my_gan.py", disabled=frozenset({name.lower().replace("_", "-")}), text="raise SystemExit\n")

    assert record(registry).status is PluginStatus.DISABLED


def test_a_recipe_that_needs_a_file_which_no_one_named_is_reported_how(load):
    with pytest.raises(UsageError) as caught:
        load().find(Kind.GENERATOR, "local/mine")

    assert "name the file with --plugin FILE.py" in caught.value.remedy


def test_no_distribution_can_pass_for_a_file(install, load):
    fake = install(name="local")
    registry = load("local")

    assert record(registry, "local").status is PluginStatus.BROKEN
    assert fake.module not in sys.modules


def test_an_entry_point_called_builtin_can_be_switched_off(install, load):
    install(name="acme-gan", entry_point="builtin")

    (acme,) = [one for one in load().plugins if one.distribution == "acme-gan"]

    assert acme.status is PluginStatus.DISABLED
    assert Path(acme.file).name == "acme_gan.py"


@pytest.mark.parametrize(
    "line", ["from .helper import x", "from . import helper", "import helper_beside", "from helpers_beside.a import x"]
)
def test_an_import_from_the_files_folder_is_reported_with_the_reason(local, tmp_path, line):
    (tmp_path / "helper_beside.py").write_text("")
    (tmp_path / "helpers_beside").mkdir()
    reason = record(local("my_gan.py", text=f"{line}\n")).reason

    assert "a local plugin is a single file" in reason
    assert "ganforge plugins new" in reason


def test_another_missing_module_has_its_own_name(local):
    assert record(local("my_gan.py", text="import no_such_module\n")).reason.startswith("ModuleNotFoundError: No module named")


def test_copies_are_reported_in_the_order_of_the_import_path(install, tmp_path, monkeypatch):
    install(name="acme-gan", version="1.0")
    install(name="acme-gan", version="2.0", folder=tmp_path / "first", entry_point="acme")
    monkeypatch.syspath_prepend(tmp_path / "first")

    copies, unreadable = find_copies()

    assert [(one.version, one.folder, [entry.name for entry in one.entries]) for one in copies["acme-gan"]] == [
        ("2.0", tmp_path / "first", ["acme"]),
        ("1.0", tmp_path, ["acme-gan"]),
    ]
    assert unreadable == {}


def test_two_versions_in_one_folder_are_two_copies(install):
    install(version="1.0")
    install(version="2.0")
    assert sorted(one.version for one in find_copies()[0]["acme-gan"]) == ["1.0", "2.0"]


def test_metadata_without_a_name_is_unreadable(install):
    info = install().info
    (info / "METADATA").unlink()

    copies, unreadable = find_copies()
    assert "acme-gan" not in copies
    assert list(unreadable) == [info]
