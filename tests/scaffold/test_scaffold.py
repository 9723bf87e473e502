"""``ganforge plugins new``: whatever the kinds, what is written is whole, clean and registers what it says."""

import ast
import importlib.util
import subprocess
import sys
import tomllib
from itertools import chain, combinations

import pytest

from ganforge import __version__
from ganforge.cli.app import main
from ganforge.core.errors import StorageError, UsageError
from ganforge.registry.component import Kind
from ganforge.scaffold import WRITTEN, write_plugin

COMBINATIONS = list(chain.from_iterable(combinations(WRITTEN, size) for size in range(1, len(WRITTEN) + 1)))


def hooks_of(folder):
    tree = ast.parse((folder / "plugin.py").read_text())
    return {function.name for function in tree.body if isinstance(function, ast.FunctionDef)}


@pytest.mark.parametrize("kinds", COMBINATIONS, ids="+".join)
def test_every_combination_of_kinds_is_whole(kinds, tmp_path):
    folder = write_plugin("acme-gan", kinds, tmp_path)

    package = folder / "src" / "acme_gan"
    assert hooks_of(package) == {f"ganforge_register_{kind.plural}" for kind in kinds}
    assert {kind.value for kind in WRITTEN if (package / f"{kind}.py").exists()} == set(kinds)
    for path in folder.rglob("*.py"):
        compile(path.read_text(), path, "exec")
    assert not [path for path in folder.rglob("*") if path.is_file() and "$" in path.read_text()]

    recipe = tomllib.loads((folder / "recipes" / "acme.toml").read_text())
    own = {kind for kind in WRITTEN for table in [recipe[kind]] if "acme-gan/acme" in str(table)}
    assert own == set(kinds)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["ganforge"] == {"acme-gan": "acme_gan.plugin"}
    major, minor = __version__.split(".")[:2]
    assert project["dependencies"][0] == f"ganforge>={major}.{minor},<{major}.{int(minor) + 1}"


def test_what_is_written_passes_ruff(tmp_path):
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed here; `nox -s scaffold` asks the same")
    for number, kinds in enumerate(COMBINATIONS):
        write_plugin(f"acme{number}-gan", kinds, tmp_path)
    for name in ("a" * 40, "acme-progressive-growing-of-portraits-ab", "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q-r-s-t"):  # the longest
        for kinds in ([kind] for kind in WRITTEN):
            write_plugin(name, kinds, tmp_path / kinds[0])
        write_plugin(name, WRITTEN, tmp_path)
    for words in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", "-", "9lives", "3d-gan", "acme gan", "class", "ä-gan"])
def test_a_name_that_nothing_can_have(name, tmp_path):
    with pytest.raises(UsageError, match=r"is not a valid plugin name \(.*begin with a letter, and avoid keywords"):
        write_plugin(name, [Kind.LOSS], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vanilla", "the plugin name 'vanilla' is reserved for ganforge-vanilla"),
        ("Builtin", "the plugin name 'builtin' is reserved for ganforge"),
        ("local", "the name 'local' is reserved for files given by --plugin"),
        ("json", "'json' is a module of Python"),
        ("concurrent", "'concurrent' is a module of Python"),
        ("torch", "'torch' is a package that ganforge depends on"),
        ("scikit-learn", "'scikit_learn' is a package that ganforge depends on"),
        ("sklearn", "'sklearn' is a package that ganforge depends on"),
    ],
)
def test_a_name_whose_package_could_not_work(name, reason, tmp_path):
    with pytest.raises(UsageError, match=f"a plugin cannot be called '{name}': {reason}"):
        write_plugin(name, [Kind.LOSS], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ganforge-vanilla", "GanForge_new", "ganforge"])
def test_a_name_that_would_pass_for_ganforges_own(name, tmp_path):
    with pytest.raises(UsageError, match="looks like one of ganforge's own"):
        write_plugin(name, [Kind.LOSS], tmp_path)


def test_names_are_spelt_as_pip_spells_them(tmp_path):
    folder = write_plugin("Acme_Wave.GAN", [Kind.GENERATOR], tmp_path)
    assert folder.name == "acme-wave-gan"
    assert "class AcmeWaveGenerator(" in (folder / "src" / "acme_wave_gan" / "generator.py").read_text()


def test_nothing_is_overwritten(tmp_path):
    write_plugin("acme-gan", [Kind.LOSS], tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="already exists"):
        write_plugin("acme-gan", [Kind.GENERATOR], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_plugin("acme-gan", [Kind.LOSS], tmp_path / "file")


def test_a_folder_that_may_not_be_looked_into(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*: File name too long"):
        write_plugin("acme-gan", [Kind.LOSS], tmp_path / ("a" * 300) / "z")


@pytest.mark.parametrize("length", [41, 300])
def test_a_name_that_is_too_long(length, tmp_path):
    with pytest.raises(
        UsageError, match=rf"is too long for a plugin's name: {length} characters \(use at most 40, such as acme-gan"
    ):
        write_plugin("a" * length, [Kind.LOSS], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_and_says_what_next(tmp_path, capsys):
    assert main(["plugins", "new", "acme-gan", "--kinds", "losses, metric", "--into", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert f"ganforge run {tmp_path / 'acme-gan' / 'recipes' / 'acme.toml'}" in output.replace("\n", "")
    assert hooks_of(tmp_path / "acme-gan" / "src" / "acme_gan") == {"ganforge_register_losses", "ganforge_register_metrics"}


def test_an_unknown_kind_is_reported(tmp_path, capsys):
    assert main(["plugins", "new", "acme-gan", "--kinds", "los", "--into", str(tmp_path)]) == 2
    assert "did you mean 'loss'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_kind_is_no_plugin(tmp_path):
    with pytest.raises(UsageError, match="a plugin needs at least one component"):
        write_plugin("acme-gan", [], tmp_path)


def test_factories_annotate_the_context_that_their_kind_gets(tmp_path):
    package = write_plugin("acme-gan", WRITTEN, tmp_path) / "src" / "acme_gan"
    contexts = {}
    for kind in WRITTEN:
        tree = ast.parse((package / f"{kind}.py").read_text())
        factory = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == f"build_{kind}")
        contexts[kind] = ast.unparse(factory.args.args[1].annotation)
    built = "BuildContext"
    assert contexts == {
        Kind.GENERATOR: built,
        Kind.DISCRIMINATOR: built,
        Kind.LOSS: built,
        Kind.SAMPLER: "SamplerContext",
        Kind.DATASET: "DatasetContext",
        Kind.METRIC: "MetricContext",
    }
