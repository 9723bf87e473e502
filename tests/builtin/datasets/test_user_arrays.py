"""The user's own files: every good form is read, every bad one is named with file and place."""

from __future__ import annotations

import io
import pickle
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganforge.plugin import DataError

POINTS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.arange(40) % 4


def everything(built) -> torch.Tensor:
    """Training and kept-back values as batches hold them, sorted by their first number."""
    values = built.spec.to_float(torch.cat([built.training().values, built.held.values]))
    return values[values.flatten(1)[:, 0].argsort()]


def test_npy_points_without_labels(dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", POINTS)
    built = dataset("arrays", file="points.npy")

    assert built.spec.shape == (3,)
    assert built.spec.classes is None
    assert built.spec.value_range is None
    assert (len(built.training()), len(built.held)) == (36, 4)
    assert torch.equal(everything(built), torch.from_numpy(POINTS[POINTS[:, 0].argsort()]))
    assert built.training().values.dtype == torch.float32


def test_npz_with_labels(dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", values=POINTS.astype(np.float64), labels=LABELS)
    built = dataset("arrays", file="points.npz", held_out=0.2)

    assert built.spec.classes == 4
    assert built.spec.class_names == ()
    assert built.spec.class_shares == (0.25,) * 4
    assert built.held.labels.bincount().tolist() == [2, 2, 2, 2]
    by_value = dict(zip(POINTS[:, 0].tolist(), LABELS.tolist(), strict=True))
    for part in (built.training(), built.held):
        assert [by_value[value] for value in part.values[:, 0].tolist()] == part.labels.tolist()


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_npz_without_labels(compress: Any, dataset, tmp_path: Path) -> None:
    compress(tmp_path / "points.npz", values=POINTS)
    assert dataset("arrays", file="points.npz").spec.classes is None


def test_labels_from_a_second_file(dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", POINTS)
    np.save(tmp_path / "labels.npy", LABELS.astype(np.float32)[:, None])
    built = dataset("arrays", file=str(tmp_path / "points.npy"), labels_file="labels.npy")
    assert built.spec.classes == 4


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS * 10 + 5, ("5", "15", "25", "35")),
        (np.array(["cat", "dog", "ant", "bee"])[LABELS], ("ant", "bee", "cat", "dog")),
        (LABELS % 2 == 1, ()),
    ],
)
def test_labels_are_numbered_in_order_and_keep_their_names(labels: np.ndarray, names: tuple, dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", values=POINTS, labels=labels)
    built = dataset("arrays", file="points.npz")
    kinds = np.unique(labels)

    assert built.spec.classes == len(kinds)
    assert built.spec.class_names == names
    found = dict(zip(built.training().values[:, 0].tolist(), built.training().labels.tolist(), strict=True))
    for value, label in zip(POINTS[:, 0].tolist(), labels.tolist(), strict=True):
        assert kinds[found.get(value, int(np.searchsorted(kinds, label)))] == label


CSV = "x,y,kind\n1.5,2,a\n2.5,3,b\n3.5,4,a\n4.5,5,b\n"


def test_csv_with_header_and_named_labels(dataset, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(CSV)
    built = dataset("arrays", file="points.csv", label_column="kind")
    assert built.spec.class_names == ("a", "b")
    assert everything(built).tolist() == [[1.5, 2], [2.5, 3], [3.5, 4], [4.5, 5]]


def test_csv_columns_are_chosen_and_ordered_by_name(dataset, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(CSV)
    built = dataset("arrays", file="points.csv", columns=("y", "x"))
    assert everything(built).tolist() == [[2, 1.5], [3, 2.5], [4, 3.5], [5, 4.5]]
    assert built.spec.classes is None


@pytest.mark.parametrize("label_column", [2, -1])
def test_csv_without_header(label_column: int, dataset, tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_text("5.1,3.5,setosa\n\n4.9,3.0,setosa\n6.0,2.2,virginica\n")
    built = dataset("arrays", file="iris.csv", label_column=label_column)
    assert built.spec.class_names == ("setosa", "virginica")
    assert len(everything(built)) == 3


def test_csv_header_of_numbers_must_be_reported(dataset, tmp_path: Path) -> None:
    (tmp_path / "years.csv").write_text("2001;2002\n1;2\n3;4\n")
    assert everything(dataset("arrays", file="years.csv", header=True, delimiter=";")).tolist() == [[1, 2], [3, 4]]


def test_csv_from_a_spreadsheet(dataset, tmp_path: Path) -> None:
    """A byte-order mark, Windows line ends, quotes, blanks and a last line without end."""
    (tmp_path / "sheet.csv").write_bytes('\ufeff"x", y\r\n"1", 2\r\n3 ,4'.encode())
    assert everything(dataset("arrays", file="sheet.csv", columns=("x", "y"))).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("shape", "seen"), [((6, 4, 5), (1, 4, 5)), ((6, 3, 4, 5), (3, 4, 5))])
def test_bytes_as_images_are_seen_between_minus_one_and_one(shape: tuple, seen: tuple, dataset, tmp_path: Path) -> None:
    images = np.linspace(0, 255, np.prod(shape)).astype(np.uint8).reshape(shape)
    np.save(tmp_path / "images.npy", images)
    built = dataset("arrays", file="images.npy")

    assert built.spec.shape == seen
    assert built.spec.value_range == (-1, 1)
    assert built.training().values.dtype == torch.uint8
    np.testing.assert_allclose(everything(built).flatten().numpy(), images.astype(float).flatten() / 127.5 - 1, atol=1e-6)


def test_image_range_is_rescaled_and_that_of_points_is_not(dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.linspace(-2, 6, 33, dtype=np.float32)[:-1].reshape(2, 4, 4))
    np.save(tmp_path / "points.npy", np.linspace(0, 1, 32, dtype=np.float32).reshape(8, 4))
    images = dataset("arrays", file="images.npy", value_range=(-2.0, 6.0))
    points = dataset("arrays", file="points.npy", value_range=(0.0, 1.0))

    assert images.spec.value_range == (-1, 1)
    assert everything(images).flatten().tolist() == np.linspace(-1, 1, 33)[:-1].tolist()
    assert (points.spec.value_range, everything(points).min(), everything(points).max()) == ((0, 1), 0, 1)


def test_images_of_unknown_range_stay_as_they_are(dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.linspace(-1, 7, 16).reshape(4, 2, 2))
    built = dataset("arrays", file="images.npy")
    assert built.spec.value_range is None
    assert everything(built).flatten().tolist() == pytest.approx(np.linspace(-1, 7, 16).tolist())


def test_a_list_of_numbers_is_one_dimensional_data(dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "numbers.npy", np.arange(10))
    assert dataset("arrays", file="numbers.npy").spec.shape == (1,)


def test_fortran_order_and_big_endian_files_are_read(dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.asfortranarray(POINTS.astype(">f8")))
    assert torch.equal(everything(dataset("arrays", file="points.npy")), torch.from_numpy(POINTS[POINTS[:, 0].argsort()]))


def npy(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def with_a_hole() -> np.ndarray:
    holed = POINTS.copy()
    holed[7, 2] = np.nan
    return holed


BAD: dict[str, tuple[str, bytes, dict, str]] = {
    "nobody's home": ("other.npy", b"", {"file": "~nobody-at-all/data.npy"}, r"there is no file .*~nobody-at-all"),
    "no such file": ("other.npy", b"", {"file": "data.npy"}, r"there is no file .*data\.npy"),
    "a folder": ("x.npy/inside", b"", {"file": "x.npy"}, "x.npy is a folder .*image-folder"),
    "unknown kind": ("data.odd", b"", {}, "files of kind '.odd' cannot be read"),
    "a spreadsheet": ("data.xlsx", b"", {}, "data.xlsx is a spreadsheet: save it as .csv"),
    "an archive": ("data.zip", b"", {}, "data.zip is an archive: unpack it"),
    "a compressed table": ("data.csv.gz", b"", {}, "data.csv.gz is compressed: unpack it"),
    "named fields": (
        "data.npy",
        npy(np.zeros(5, dtype=[("x", "f4"), ("y", "f4")])),
        {},
        r"named fields \(x, y\) .*structured_to_unstructured",
    ),
    "a single photo": ("data.npy", npy(np.zeros((16, 16, 3), dtype=np.uint8)), {}, "look like a single image"),
    "a label for each": ("data.npz", npz(values=POINTS, labels=np.arange(40)), {}, "each of the 40 samples has a label of its own"),
    "empty npy": ("data.npy", b"", {}, "cannot be read"),
    "text called npy": ("data.npy", b"1,2,3\n", {}, "cannot be read"),
    "npy cut short": ("data.npy", npy(POINTS)[:-9], {}, "cannot be read"),
    "npy that claims to be huge": ("data.npy", npy(POINTS).replace(b"(40, 3)", b"(40, 3000000000000)"), {}, "cannot be read"),
    "npy with a broken header": ("data.npy", npy(POINTS).replace(b"{'descr'", b"{'de(cr("), {}, "cannot be read"),
    "pickled objects": (
        "data.npy",
        npy(np.array([{}, []], dtype=object)),
        {},
        "contains pickled Python objects, which ganforge never loads",
    ),
    "a pickle": ("data.npy", pickle.dumps([1, 2, 3]), {}, "cannot be read"),
    "text values": ("data.npy", npy([["a", "b"]] * 5), {}, r"values are of type <U1, not numbers"),
    "complex values": ("data.npy", npy(POINTS + 1j), {}, "values are of type complex"),
    "one number": ("data.npy", npy(3.0), {}, r"values have shape \(\); expected one of"),
    "five axes": ("data.npy", npy(np.zeros((2, 2, 2, 2, 2))), {}, r"values have shape \(2, 2, 2, 2, 2\)"),
    "no samples": ("data.npy", npy(np.zeros((0, 3))), {}, "at least 2 samples"),
    "one sample": ("data.npy", npy(np.zeros((1, 3))), {}, "at least 2 samples"),
    "no numbers per sample": ("data.npy", npy(np.zeros((5, 0))), {}, "at least 2 samples of at least one number"),
    "a hole": ("data.npy", npy(with_a_hole()), {}, r"row 7, index \(2\): nan is not a finite number .*\(1 such values"),
    "too great": (
        "data.npy",
        npy(np.full((3, 2), 1e300)),
        {},
        r"row 0, index \(0\): 1e\+300 is not a finite number \(of float32\)",
    ),
    "channels last": ("data.npy", npy(np.zeros((5, 8, 8, 3))), {}, r"channels last.*transpose\(0, 3, 1, 2\)"),
    "out of range": (
        "data.npy",
        npy([[0.0], [0.5], [2.0]]),
        {"value_range": (0.0, 1.0)},
        r"row 2, index \(0\): 2.0 is outside value_range \[0, 1\]",
    ),
    "no archive": ("data.npz", b"PK nothing", {}, "cannot be read"),
    "archive cut short": ("data.npz", npz(values=POINTS)[:-40], {}, "cannot be read"),
    "no values": ("data.npz", npz(X=POINTS, Y=POINTS), {}, r"no array named 'values'; found: X, Y .*values_array"),
    "wrong name": ("data.npz", npz(X=POINTS), {"values_array": "x"}, "no array named 'x'; found: X"),
    "two axes": ("data.npz", npz(x=POINTS[:, 0], y=LABELS), {}, "no array named 'values'; found: x, y"),
    "split arrays": (
        "data.npz",
        npz(x_train=POINTS, y_train=LABELS, x_test=POINTS, y_test=LABELS),
        {},
        "found: x_test, x_train, y_test, y_train .*labels_array",
    ),
    "pickled labels": ("data.npz", npz(values=POINTS, labels=np.array([None] * 40)), {}, "contains pickled Python objects"),
    "too few labels": ("data.npz", npz(values=POINTS, labels=LABELS[:-1]), {}, r"labels have shape \(39,\) for 40 samples"),
    "several labels": ("data.npz", npz(values=POINTS, labels=np.ones((40, 4))), {}, r"labels have shape \(40, 4\) for 40 samples"),
    "labels between": (
        "data.npz",
        npz(values=POINTS, labels=LABELS / 2),
        {},
        "label 0.5 of sample 1 .* is neither an integer nor a name",
    ),
    "a missing label": ("data.npz", npz(values=POINTS, labels=np.where(LABELS == 2, np.nan, LABELS)), {}, "label nan of sample 2"),
    "dates as labels": ("data.npz", npz(values=POINTS, labels=LABELS.astype("datetime64[D]")), {}, "labels are of type datetime64"),
    "labels twice": ("data.npz", npz(values=POINTS, labels=LABELS), {"labels_file": "data.npz"}, "labels are given twice"),
    "no labels file": ("data.npy", npy(POINTS), {"labels_file": "labels.npy"}, r"there is no file .*labels\.npy"),
    "csv options for npy": ("data.npy", npy(POINTS), {"label_column": "kind"}, "'label_column' can be given for .csv files only"),
    "empty csv": ("data.csv", b"\n\n", {}, "the file is empty"),
    "header only": ("data.csv", b"x,y\n", {}, "line 1 names the columns, and no rows follow"),
    "ragged csv": ("data.csv", b"x,y\n1,2\n\n3\n", {}, "line 4: 1 cells, but line 1 has 2"),
    "text in csv": (
        "data.csv",
        CSV.encode(),
        {},
        r"line 2, column 'kind': 'a' is not a finite number: the column is text .*label_column = \"kind\"",
    ),
    "empty cell": ("data.csv", b"1,2\n3,\n", {}, "line 2, column '1': '' is not a finite number"),
    "nan in csv": ("data.csv", b"x,y\n1,2\nnan,4\n", {}, "line 3, column 'x': 'nan' is not a finite number"),
    "no such column": (
        "data.csv",
        CSV.encode(),
        {"label_column": "species"},
        "no column is named 'species'; the columns are: x, y, kind",
    ),
    "no such column number": ("data.csv", CSV.encode(), {"label_column": 3}, "there is no column 3; it has 3 columns"),
    "two columns of one name": ("data.csv", b"x,x\n1,2\n3,4\n", {"columns": ("x",)}, "several columns are named 'x'"),
    "label as value": (
        "data.csv",
        CSV.encode(),
        {"columns": ("x", "kind"), "label_column": "kind"},
        "'kind' is both label and value",
    ),
    "empty label": ("data.csv", b"x,kind\n1,a\n2,\n3,b\n", {"label_column": "kind"}, "line 3, column 'kind': the row has no label"),
    "binary csv": ("data.csv", b"1,2\x00\n3,4\n", {}, "not a readable .csv file"),
    "huge cell": ("data.csv", b"1," + b"2" * 200_000, {}, "not a readable .csv file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named_with_the_place(case: str, dataset, tmp_path: Path) -> None:
    name, content, params, message = BAD[case]
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        dataset("arrays", **{"file": name, **params})

    assert str(tmp_path) in str(caught.value), "the file is named in full"
    assert caught.value.exit_code == 2


def test_nothing_is_ever_unpickled(dataset, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "went-off",)

    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Bomb()))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.write(tmp_path / "bomb.npy", "values.npy")
        archive.write(tmp_path / "raw.npy", "labels.npy")
    np.save(tmp_path / "points.npy", POINTS)

    for params in (
        {"file": "bomb.npy"},
        {"file": "raw.npy"},
        {"file": "bomb.npz"},
        {"file": "points.npy", "labels_file": "bomb.npy"},
    ):
        with pytest.raises(DataError):
            dataset("arrays", **params)
    assert not (tmp_path / "went-off").exists()


def remedied(error: DataError) -> dict[str, Any]:
    """The params that an error's remedy sets."""
    found = dict(re.findall(r"dataset\.params\.(\w+) = (\[.*?\]|\"[^\"]*\"|\w+)", str(error)))
    read = {key: tomllib.loads(f"value = {text}")["value"] for key, text in found.items()}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in read.items()}


@pytest.mark.parametrize(
    ("images", "wrong", "own_type"),
    [
        (np.linspace(0, 255, 128).reshape(2, 8, 8), "networks do not learn such values", "float32"),
        (np.arange(128).reshape(2, 8, 8) * 2, "networks do not learn such values", "int64"),
        ((np.arange(128) * 500).astype(np.uint16).reshape(2, 8, 8), "networks do not learn such values", "uint16"),
        (np.linspace(-1000, 3000, 128).reshape(2, 8, 8), "networks do not learn such values", "float32"),
        ((np.arange(128) % 2).astype(np.uint8).reshape(2, 8, 8), "go from 0 to 1 only, in a value_range of [0, 255]", "uint8"),
    ],
)
def test_images_of_another_range_are_refused_with_their_range(images, wrong: str, own_type: str, dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images)
    with pytest.raises(DataError) as caught:
        dataset("arrays", file="images.npy")
    assert wrong in str(caught.value)

    spec = dataset("arrays", file="images.npy", **remedied(caught.value)).spec
    assert (spec.value_range, spec.own_type) == ((-1, 1), own_type)
    own = spec.to_own_units(torch.tensor([-1.0, 1.0])).tolist()
    assert own[0] <= images.min()
    assert images.max() <= own[1]


def test_images_beyond_the_given_range_are_refused_with_one_that_contains_them(dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.linspace(0, 200, 128).reshape(2, 8, 8))
    with pytest.raises(DataError, match=r"is outside value_range \[0, 1\]") as caught:
        dataset("arrays", file="images.npy", value_range=(0.0, 1.0))
    assert remedied(caught.value) == {"value_range": (0, 255)}


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float64])
def test_images_keep_their_units_and_type_on_the_way_out(dtype: Any, dataset, tmp_path: Path) -> None:
    top = {bool: 1.0, np.uint8: 255.0}.get(dtype, 100.0)
    images = (np.linspace(0, top, 128).reshape(2, 8, 8).round()).astype(dtype)
    np.save(tmp_path / "images.npy", images)
    bounds = {} if top != 100 else {"value_range": (0.0, 100.0)}
    built = dataset("arrays", file="images.npy", **bounds)

    values = built.spec.to_own_units(torch.cat([built.spec.to_float(part.values) for part in (built.training(), built.held)]))
    expected = np.float32 if dtype is np.float64 else dtype
    assert values.numpy().dtype == expected
    difference = np.sort(values.numpy().ravel()).astype(float) - np.sort(images.ravel())
    assert np.abs(difference).max() <= (1e-5 if expected is np.float32 else 0)


@pytest.mark.parametrize(
    ("arrays", "note"),
    [
        ({"arr_0": POINTS, "arr_1": LABELS}, "array 'arr_0' is read as values, 'arr_1' as labels"),
        ({"y": LABELS[:, None], "x": POINTS}, "array 'x' is read as values, 'y' as labels"),
        ({"features": POINTS, "labels": LABELS}, "array 'features' is read as values, 'labels' as labels"),
        ({"values": POINTS, "labels": np.eye(4)[LABELS]}, "labels are one-hot rows of 4 classes"),
        ({"values": POINTS, "labels": LABELS, "more": LABELS}, "not used: more"),
        ({"values": POINTS, "labels": np.array([b"a", b"b", b"c", b"d"])[LABELS]}, ""),
    ],
)
def test_what_is_recognised_in_an_archive_is_logged(arrays: dict, note: str, dataset, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", "ganforge")
    np.savez(tmp_path / "data.npz", **arrays)
    assert dataset("arrays", file="data.npz").spec.classes == 4
    assert note in caplog.text


def test_arrays_are_named_in_the_params(dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=POINTS, y_train=LABELS, x_test=POINTS)
    built = dataset("arrays", file="data.npz", values_array="x_train", labels_array="y_train")
    assert (built.spec.classes, len(built.training())) == (4, 36)
    assert dataset("arrays", file="data.npz", values_array="x_test").spec.classes is None


def test_a_name_that_begins_with_zero_stays_a_name(dataset, tmp_path: Path) -> None:
    (tmp_path / "zip.csv").write_text("x,code\n1.5,01067\n2.5,01069\n3.5,01067\n")
    assert dataset("arrays", file="zip.csv", label_column="code").spec.class_names == ("01067", "01069")


def test_unusual_channels_are_logged(dataset, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", "ganforge")
    for channels in (2, 4, 5):
        np.save(tmp_path / f"{channels}.npy", np.random.default_rng(0).uniform(-1, 1, (4, channels, 8, 8)))
        assert dataset("arrays", file=f"{channels}.npy").spec.shape == (channels, 8, 8)
    for text in ("as grey with transparency", "red, green and blue with transparency", "the 5 channels of an image side by side"):
        assert text in caplog.text


@pytest.mark.parametrize(
    ("labels", "own"),
    [
        (["9007199254740993", "9007199254740992"], (9007199254740992, 9007199254740993)),
        (["1e3", "2e3"], ("1e3", "2e3")),
        (["1_0", "10"], ("10", "1_0")),
        (["inf", "1"], ("1", "inf")),
        (["2.0", "1.0"], (1, 2)),
        (["9" * 30, "8" * 30], ("8" * 30, "9" * 30)),
        (["9" * 5000, "1"], ("1", "9" * 5000)),
        (np.array([2**63 + 1, 2**63], dtype=np.uint64), (str(2**63), str(2**63 + 1))),
        (np.array([-(2**62), 2**62]), None),
    ],
)
def test_labels_stay_exactly_as_the_data_has_them(labels: Any, own: tuple | None, dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", values=POINTS, labels=np.array(labels)[np.arange(40) % 2])
    spec = dataset("arrays", file="data.npz").spec
    assert spec.labels == (own or (-(2**62), 2**62))
    assert [spec.class_index(label) for label in spec.labels] == [0, 1]


@pytest.mark.parametrize("label", [1e300, 2.0**60, np.nan, 0.5])
def test_labels_of_floats_that_are_no_exact_integers_are_refused(label: float, dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", values=POINTS, labels=np.where(LABELS == 3, label, LABELS))
    with pytest.raises(DataError, match=r"of sample 3 .* is neither an integer nor a name"):
        dataset("arrays", file="data.npz")


@pytest.mark.parametrize(
    ("values", "least"),
    [
        (1.7e9 + POINTS.astype(np.float64), "1699999997"),
        ((np.arange(120).reshape(40, 3) % 7).astype(np.uint64) + np.uint64(2**63), "9223372036854775808"),
        (2**40 + np.arange(120).reshape(40, 3) % 7, "1099511627776"),
    ],
)
def test_values_that_32_bits_cannot_tell_apart_are_refused(values: np.ndarray, least: str, dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", values)
    with pytest.raises(DataError, match=rf"column 0 .* goes from {least}.*32 bits.*subtract {least}"):
        dataset("arrays", file="data.npy")

    np.save(tmp_path / "data.npy", values - values.min(axis=0))  # as the remedy says
    assert float(dataset("arrays", file="data.npy").training().values.max()) > 1


@pytest.mark.parametrize(
    ("shape", "problem"),
    [((32, 32, 3, 40), "look like 40 images along the last axis, as MATLAB"), ((3, 32, 32), "look like a single image")],
)
def test_images_along_another_axis_are_refused(shape: tuple, problem: str, dataset, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "data.npy", images)
    with pytest.raises(DataError, match=problem) as caught:
        dataset("arrays", file="data.npy")
    if len(shape) == 4:
        assert caught.value.remedy == "save array.transpose(3, 2, 0, 1)"
        np.save(tmp_path / "data.npy", images.transpose(3, 2, 0, 1))
        assert dataset("arrays", file="data.npy").spec.shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (np.random.default_rng(0).random((28, 28, 40)), "read as 28 images of 40×28; if they lie along the last axis"),
        (POINTS.T, "read as 3 samples of 40 numbers; if the samples are columns, save array.T"),
        (np.c_[np.arange(40), POINTS], "column 0 numbers the rows"),
        (np.c_[POINTS, np.arange(1, 41)], "column 3 numbers the rows"),
        (POINTS, ""),
    ],
)
def test_arrays_whose_axes_or_columns_may_mean_something_else_are_reported(
    values: np.ndarray, note: str, dataset, tmp_path: Path, caplog
) -> None:
    np.save(tmp_path / "data.npy", values)
    dataset("arrays", file="data.npy")
    found = [message for message in caplog.messages if "value_range" not in message]
    assert len(found) == bool(note)
    assert note in "".join(found)
