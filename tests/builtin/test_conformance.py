import pytest

from ganforge.testing import conformance_cases


@pytest.fixture(autouse=True)
def _with_real_data(data_folder, monkeypatch):
    monkeypatch.setenv("GANFORGE_DATA", str(data_folder))


@conformance_cases("ganforge")
def test_conformance(case) -> None:
    case.run()
