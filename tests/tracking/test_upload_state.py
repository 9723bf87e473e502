from dataclasses import replace

import pytest

from ganforge.tracking.upload_state import Acknowledgement


def test_it_comes_back_as_it_was_saved(tmp_path):
    ack = Acknowledgement("sqlite:///x", "1", "abc", True, 10, 8, 64, {"loss/total": 4}, {"images/samples": 0}, "KILLED", 5, 1, 0)

    ack.save(tmp_path / "acknowledged.json")

    assert Acknowledgement.load(tmp_path / "acknowledged.json") == ack


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"7", b"\xff\xfe", b'{"novelty": 1}'])
def test_a_missing_or_damaged_one_acknowledges_nothing(tmp_path, content):
    path = tmp_path / "acknowledged.json"
    if content is not None:
        path.write_bytes(content)

    assert Acknowledgement.load(path) == Acknowledgement()


def test_another_store_starts_again_with_the_same_windows():
    ack = Acknowledgement(store="sqlite:///x", run_id="abc", offset=10, width=64, highest={"loss": 4})

    assert ack.for_store("sqlite:///x") == ack
    assert ack.for_store("http://y") == Acknowledgement(store="http://y", width=64)
    assert Acknowledgement().for_store("http://y") == Acknowledgement(store="http://y")


def test_the_highest_iteration_never_sinks():
    ack = Acknowledgement(highest={"a": 10}).with_points({"a": 4, "b": 2}, 7)

    assert ack == replace(Acknowledgement(), highest={"a": 10, "b": 2}, points=7)
