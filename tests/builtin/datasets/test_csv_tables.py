"""Text tables of other programs: what is recognised is logged, what is ambiguous is an error that names the key that decides."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganforge.builtin.datasets.csv_tables import read_csv
from ganforge.builtin.datasets.dataset_specs import ArraysParams
from ganforge.plugin import DataError

TWO = [[1.5, 2], [3.5, 4], [5.5, 7]]
PANDAS = ",x,y\n0,1.5,2\n1,3.5,4\n2,5.5,7\n"


def read(path: Path, content: str | bytes, **params: Any) -> tuple[list, Any]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    values, labels = read_csv(path, ArraysParams(file=path, **params))
    return values.tolist(), None if labels is None else labels.tolist()


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("x,y\n1.5,2\n3.5,4\n5.5,7\n", ""),
        ("x;y\r\n1.5;2\r\n3.5;4\r\n5.5;7\r\n\r\n\r\n", "separated by semicolons"),
        ("x\ty\n1.5\t2\n3.5\t4\n5.5\t7\n", "separated by tabs"),
        ("x|y\n1.5|2\n3.5|4\n5.5|7\n", "separated by bars"),
        ("  1.5   2\n  3.5   4\n  5.5   7\n", "separated by spaces"),
        ("x;y\n1,5;2\n3,5;4\n5,5;7\n", "decimal comma"),
        ("1,5;2\n3,5;4\n5,5;7\n", "decimal comma"),
        ('"x","y"\n"1,5","2"\n"3,5","4"\n"5,5","7"\n', "decimal comma"),
        ("sep=;\nx;y\n1,5;2\n3,5;4\n5,5;7\n", "decimal comma"),
        ("# made by a program\n# x y\n1.5 2\n3.5 4\n5.5 7\n", "2 lines that begin with # are left out, from line 1"),
        (PANDAS, "row numbers"),
        ("Unnamed: 0,x,y\n7,1.5,2\n1,3.5,4\n2,5.5,7\n", "row numbers"),
        (",0,1\n0,1.5,2\n1,3.5,4\n2,5.5,7\n", "row numbers"),
        ("x,y,\n1.5,2,\n3.5,4,\n5.5,7,\n", ""),
        ("x,y\n1.5,2,\n3.5,4,\n5.5,7,\n", ""),
        (",x,y\n0,1.5,2\n1,3.5,4\n0,5.5,7\n", "row numbers"),  # of joined tables
        ("x y\n1 1.5 2\n2 3.5 4\n3 5.5 7\n", "row numbers"),  # R
        ('"x","y"\n"a",1.5,2\n"b",3.5,4\n"c",5.5,7\n', "row numbers"),  # R
        ("\ufeffx,y\r1.5,2\r3.5,4\r5.5,7", ""),
        ("x,y\n1.5,2\n3.5,4\n5.5,7\n".encode("utf-16"), ""),
        ("x,y\n1.5,2\n3.5,4\n5.5,7\n".encode("utf-32"), ""),
        ("größe,y\n1.5,2\n3.5,4\n5.5,7\n".encode("cp1252"), "read as Windows-1252"),
    ],
)
def test_forms_of_other_programs(content: str | bytes, note: str, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", "ganforge")
    assert read(tmp_path / "data.csv", content)[0] == TWO
    assert note in caplog.text
    assert bool(caplog.text) == bool(note)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ('x,y\n"1,234.5",2\n"12,000.0",3\n', [[1234.5, 2], [12000, 3]]),
        ("x;y\n1.234,5;2\n12.000,0;3\n", [[1234.5, 2], [12000, 3]]),
        ('x,y\n"1,234,567",2\n"2,000",3\n', [[1234567, 2], [2000, 3]]),
        ("x;y\n1\u00a0234,5;2\n12\u202f000;3\n", [[1234.5, 2], [12000, 3]]),
        ("x;y\n1'234.5;2\n12'000;3\n", [[1234.5, 2], [12000, 3]]),
        ("x,ok\n1.5,True\n2.5,False\n", [[1.5, 1], [2.5, 0]]),
        ("x,ok\n1.5,TRUE\n2.5,TRUE\n", [[1.5, 1], [2.5, 1]]),
        ("1e3,2\n-.5,+3E-1\n", [[1000, 2], [-0.5, 0.3]]),
        ("x;y\n1.234.567;2\n2.000;3\n", [[1234567, 2], [2000, 3]]),
        ("x;y\n1.500;2.5\n2.000;3.5\n", [[1.5, 2.5], [2, 3.5]]),
        ("0.123\t0.5\n0.456\t0.125\n", [[0.123, 0.5], [0.456, 0.125]]),
        ("x,y\n1.500,1.250\n2.000,3.125\n", [[1.5, 1.25], [2, 3.125]]),
    ],
)
def test_notations_of_numbers(content: str, values: list, tmp_path: Path) -> None:
    assert read(tmp_path / "data.csv", content)[0] == values


def test_what_numpy_writes_is_read_back(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(20, 3))
    for options in ({}, {"delimiter": ","}, {"delimiter": ";", "header": "a;b;c"}, {"delimiter": "\t", "fmt": "%.18e"}):
        np.savetxt(tmp_path / "data.txt", points, **options)
        np.testing.assert_array_equal(read_csv(tmp_path / "data.txt", ArraysParams(file=tmp_path / "data.txt"))[0], points)


def test_labels_as_text_beside_row_numbers(tmp_path: Path) -> None:
    content = ",x,kind\n0,1.5,red\n1,2.5,blue\n2,3.5,red\n"
    assert read(tmp_path / "data.csv", content, label_column="kind") == ([[1.5], [2.5], [3.5]], ["red", "blue", "red"])


ASKED = {
    "row numbers with a name": ("id,x,y\n1,1.5,2\n2,3.5,4\n3,5.5,7\n", "column 'id' may number the rows", {}),
    "identities": ("id,x,y\n907,1.5,2\n12,3.5,4\n55,5.5,7\n", "column 'id' may number the rows", {}),
    "row numbers without header": ("0,1.5,2\n1,3.5,4\n2,5.5,7\n", "column '0' may number the rows", {}),
    "row numbers at the end": ("x,y,n\n1.5,2,0\n3.5,4,1\n5.5,7,2\n", "column 'n' may number the rows", {}),
    "row numbers as floats": ("n,x,y\n0.0,1.5,2\n1.0,3.5,4\n2.0,5.5,7\n", "column 'n' may number the rows", {}),
    "an unnamed column of numbers": (",x,y\n0.5,1.5,2\n0.7,3.5,4\n0.7,5.5,7\n", "column '' may number the rows", {}),
    "numbers with a quote in their name": ('id,"x""1",y\n1,1.5,2\n2,3.5,4\n3,5.5,7\n', "column 'id' may number the rows", {}),
    "years": ("2001,2002\n1.5,2.0\n3.5,4.0\n5.5,7.0\n".replace("2.0", "2.00").replace("4.0", "4.00"), "line 1: 2001, 2002 may", {}),
    "labels": ("x,y,label\n1.5,2,0\n3.5,4,1\n5.5,7,0\n", "column 'label' may contain labels or values", {}),
    "text": ("x,y,kind\n1.5,2,a\n3.5,4,b\n5.5,7,a\n", "line 2, column 'kind': 'a' is not a finite number: the column is text", {}),
    "numbered columns": ("0,1\n1.5,2\n3.5,4\n5.5,7\n", "line 1: 0, 1 may name the columns", {}),
    "a year as name": ("x,2019\n1.5,2\n3.5,4\n5.5,7\n", "line 1: 'x' is text above a column of numbers", {}),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_may_mean_two_things_asks_for_the_key_that_decides(case: str, tmp_path: Path) -> None:
    content, problem, given = ASKED[case]
    with pytest.raises(DataError, match=re.escape(problem)) as caught:
        read(tmp_path / "data.csv", content, **given)

    key, text = re.search(r"(?:dataset\.params\.)(\w+) = (\[.*?\]|\"[^\"]*\"|\w+)", str(caught.value)).groups()
    value = tomllib.loads(f"value = {text}")["value"]
    assert read(tmp_path / "data.csv", content, **{key: tuple(value) if isinstance(value, list) else value})[0] == TWO


@pytest.mark.parametrize("name", ["target", "z"])
def test_a_column_of_few_integers_beside_fractions_may_be_labels(name: str, tmp_path: Path) -> None:
    content = f"x,y,{name}\n" + "".join(f"{row}.5,{row}.25,{row % 3}\n" for row in range(20))
    with pytest.raises(DataError, match=f"column '{name}' may contain labels or values") as caught:
        read(tmp_path / "data.csv", content)
    assert f'label_column = "{name}"' in str(caught.value)
    values, labels = read(tmp_path / "data.csv", content, label_column=name)
    assert (values[1], labels[:4]) == ([1.5, 1.25], ["0", "1", "2", "0"])
    assert read(tmp_path / "data.csv", content, columns=("x", name))[0][1] == [1.5, 1]


def test_rows_that_are_numbered_with_gaps_are_asked(tmp_path: Path) -> None:
    content = "".join(f"{row * row},{row % 7}\n" for row in range(12))
    with pytest.raises(DataError, match=r"column '0' may number the rows \(0, 1, 4, …\)"):
        read(tmp_path / "data.csv", content)
    assert read(tmp_path / "data.csv", content, columns=("0", "1"))[0][3] == [9, 3]


def test_a_point_of_thousands_or_decimals_is_asked_where_a_comma_can_be_decimal(tmp_path: Path) -> None:
    content = "x;y\n1.500;2\n3.500;4\n"
    with pytest.raises(DataError, match=r"'1.500' may be .*decimal = \"\.\" or \",\""):
        read(tmp_path / "data.csv", content)
    assert read(tmp_path / "data.csv", content, decimal=".")[0] == [[1.5, 2], [3.5, 4]]
    assert read(tmp_path / "data.csv", content, decimal=",")[0] == [[1500, 2], [3500, 4]]


def test_decimal_commas_between_commas_are_asked(tmp_path: Path) -> None:
    content = "0,1257,-0,1321\n1,304,0,9470\n0,0321,1,5\n"
    with pytest.raises(DataError, match=r"line 1: 0,1257,-0,1321 may be numbers with a decimal comma.*delimiter = \",\""):
        read(tmp_path / "data.csv", content)
    assert read(tmp_path / "data.csv", content, delimiter=",")[0][2] == [0, 321, 1, 5]


def test_a_title_above_the_rows_is_no_header_of_r(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: 2 cells, but line 1 has 1"):
        read(tmp_path / "data.csv", "Measured in May\n1,2.5\n2,3.5\n")


def test_a_comma_of_thousands_or_decimals_is_asked(tmp_path: Path) -> None:
    content = "x;y\n1,500;2\n3,500;4\n"
    with pytest.raises(DataError, match=r"'1,500' may be .*decimal = \"\.\" or \",\""):
        read(tmp_path / "data.csv", content)
    assert read(tmp_path / "data.csv", content, decimal=",")[0] == [[1.5, 2], [3.5, 4]]
    assert read(tmp_path / "data.csv", content, decimal=".")[0] == [[1500, 2], [3500, 4]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("x,y\n1.5,2\n,4\n5.5,NA\n", "line 3, column 'x': '' is not a finite number: 1 of 3 rows lack a value"),
        ("x,y\n1.5,2\n3.5,4\n5.5,seven\n6.5,8\n", "line 4, column 'y': 'seven' is not a finite number (1 such cells)"),
        (
            "x,when\n1.5,2024-01-02\n3.5,2024-01-03\n",
            "line 2, column 'when': '2024-01-02' is not a finite number: the column is text",
        ),
        ("x,y\n1.5,12%\n3.5,2%\n", "line 2, column 'y': '12%' is not a finite number"),
        ("x,y\n1.5,1_0\n3.5,2\n", "line 2, column 'y': '1_0' is not a finite number"),
        ("#a\n#b\n", "all lines begin with #, which marks comments"),
        ("x,y\n1.5,1e999\n3.5,2\n", "line 2, column 'y': '1e999' is not a finite number"),
    ],
)
def test_cells_that_are_no_numbers_are_named(content: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(problem)):
        read(tmp_path / "data.csv", content)
