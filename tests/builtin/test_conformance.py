import pytest

from ganforge.testing import cases

CASES = cases("ganforge")
REAL = ("mnist", "class-modes")
"""Parts of the names of components that read real images, or learn a classifier, which takes seconds."""


@pytest.mark.parametrize("case", [one for one in CASES if not any(name in str(one) for name in REAL)], ids=str)
def test_conformance(case) -> None:
    case.run()


@pytest.mark.slow
@pytest.mark.parametrize("case", [one for one in CASES if any(name in str(one) for name in REAL)], ids=str)
def test_conformance_of_what_reads_real_images(case, data_folder, mnist_files, fashion_files, monkeypatch) -> None:
    monkeypatch.setenv("GANFORGE_DATA", str(data_folder))
    case.run()
