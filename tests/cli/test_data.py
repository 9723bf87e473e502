import gzip
import json

import pytest

from ganforge.builtin.datasets.remote_datasets import MNIST
from ganforge.cli.app import main


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def listed(capsys):
    assert main(["data", "list", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    return {one["name"]: one for one in shown["datasets"]}


def test_mnist_is_prepared_from_a_folder_and_then_listed(data, mnist_files, capsys):
    assert listed(capsys)["mnist"]["state"] == "missing"

    assert main(["data", "prepare", "stacked-mnist", "--from", str(mnist_files)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"mnist, which stacked-mnist uses, is ready in {data / 'mnist'} (")
    assert "train-images-idx3-ubyte" in shown.err

    assert main(["data", "prepare", "mnist", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["changed"], again["folder"], len(again["files"])) == (False, str(data / "mnist"), 4)
    assert listed(capsys)["mnist"]["folder"] == str(data / "mnist")


def test_fashion_mnist_is_ready_where_debian_installs_it(data, fashion_files, capsys):
    assert main(["data", "prepare", "fashion-mnist"]) == 0
    assert f"fashion-mnist was already there in {fashion_files}" in capsys.readouterr().out
    assert not data.exists()


def test_the_table(data, capsys):
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr()
    assert "mnist          missing  –" in shown.out
    assert str(data) in shown.err


def idx_files(folder, *, packed=False, cut=0):
    """Files of MNIST's names and sizes that hold nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in MNIST.layouts[0]:
        content = bytes(file.size - cut)
        name = f"{file.name}.gz" if packed else file.name
        (folder / name).write_bytes(gzip.compress(content, compresslevel=1) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("cut", [0, 1])
def test_the_list_tells_damage_by_size(data, capsys, packed, cut):
    idx_files(data / "mnist", packed=packed, cut=cut)
    assert listed(capsys)["mnist"]["state"] == ("damaged" if cut else "ready")


def test_empty_files_are_no_data(data, capsys):
    idx_files(data / "mnist")
    for file in (data / "mnist").iterdir():
        file.write_bytes(b"")
    assert listed(capsys)["mnist"]["state"] == "damaged"
    main(["data", "list"])
    assert f"mnist          damaged  {data / 'mnist'}" in capsys.readouterr().out


def test_gzip_cut_short_and_gzip_in_parts(data, capsys):
    idx_files(data / "mnist", packed=True)
    file = MNIST.layouts[0][1]
    path = data / "mnist" / f"{file.name}.gz"
    path.write_bytes(path.read_bytes()[:-1])
    assert listed(capsys)["mnist"]["state"] == "damaged"
    path.write_bytes(gzip.compress(bytes(10)) + gzip.compress(bytes(file.size - 10)))
    assert listed(capsys)["mnist"]["state"] == "ready"


def test_an_empty_source(data, capsys):
    assert main(["data", "prepare", "mnist", "--from", ""]) == 2
    assert "--from is empty" in capsys.readouterr().err
    assert not data.exists()


def test_the_command_for_a_data_set_that_needs_no_preparation(data, capsys):
    assert main(["data", "prepare", "moons"]) == 2
    shown = capsys.readouterr().err
    assert main(shown.split("`")[1].split()[1:]) == 0
    assert "Two interleaved half circles" in capsys.readouterr().out
    assert not data.exists()


def test_wrong_data_is_a_mistake_of_the_user(data, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["data", "prepare", "mnist", "--from", str(tmp_path / "empty")]) == 2
    shown = capsys.readouterr()
    assert f"{tmp_path / 'empty'} lacks the files of mnist\n  it must hold train-images-idx3-ubyte, " in shown.err
    assert not data.exists()


def test_a_run_on_data_that_is_not_here_says_what_to_do(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(
        """
        [train]
        iterations = 2
        [dataset]
        use = "mnist"
        [sampler]
        use = "normal"
        params = { size = 4 }
        [generator]
        use = "mlp"
        params = { output = "tanh" }
        [discriminator]
        use = "mlp"
        [[loss]]
        use = "non-saturating"
        """
    )
    assert main(["run", "recipe.toml"]) == 2, capsys.readouterr().err
    assert "run `ganforge data prepare mnist`" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
