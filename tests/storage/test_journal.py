from __future__ import annotations

import base64
import math
import os
import stat
import struct
import sys
import threading
import zlib
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganforge.core.errors import StorageError
from ganforge.storage import journal
from ganforge.storage.journal import JournalWriter, read


def records(path, offset=0):
    return [record for _, record in read(path, offset)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


@pytest.fixture
def written(path):
    """A journal with records of several kinds, and the offset of each one's end."""
    with JournalWriter(path) as writer:
        writer.record("start", id="7f3a", params={"train.seed": "0"})
        for iteration in range(1, 100):
            writer.metrics(iteration, {"loss/a": torch.tensor(iteration / 3), "rate/lr": 1e-3})
        writer.record("eval", iteration=99, values={"eval/wasserstein": math.nan})
        writer.record("end", status="FINISHED")
    return [end for end, _ in read(path)]


def test_what_is_logged_can_be_read(path, written):
    start, first, second, evaluated, end = records(path)

    assert (start["kind"], start["id"], start["params"]) == ("start", "7f3a", {"train.seed": "0"})
    assert first["iterations"] + second["iterations"] == list(range(1, 100))
    assert first["values"]["loss/a"] == [torch.tensor(iteration / 3).item() for iteration in first["iterations"]]
    assert second["values"]["rate/lr"] == [1e-3] * len(second["iterations"])
    assert math.isnan(evaluated["values"]["eval/wasserstein"])
    assert end["status"] == "FINISHED"
    assert start["ms"] <= first["ms"][0] <= first["ms"][-1] <= second["ms"][0] <= evaluated["ms"] <= end["ms"]
    assert written[-1] == path.stat().st_size


def test_the_format_is_one_checked_line_for_each_record(path, written):
    for line in path.read_bytes().splitlines():
        checksum, _, text = line.partition(b" ")
        assert int(checksum, 16) == zlib.crc32(text)
        assert len(checksum) == 8


def test_only_the_user_may_read_it(path, written):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reading_goes_on_where_it_stopped(path, written):
    for index, offset in enumerate([0, *written]):
        assert len(records(path, offset)) == len(written) - index
    assert records(path, written[-1] + 100) == []
    assert records(path.with_name("none")) == []


def test_a_journal_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(StorageError, match=f"cannot read the journal {tmp_path}"):
        records(tmp_path)


@settings(deadline=None)
@given(st.lists(st.floats() | st.floats(width=32), min_size=1, max_size=70))
def test_numbers_come_back_bit_for_bit(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("journal") / "a"

    with JournalWriter(path) as writer:
        for iteration, number in enumerate(numbers):
            writer.metrics(iteration, {"float": number, "tensor": torch.tensor(number, dtype=torch.float64)})

    for key in ("float", "tensor"):
        back = [value for record in records(path) for value in record["values"][key]]
        assert list(map(repr, back)) == list(map(repr, numbers))


def test_every_set_of_keys_has_records_of_its_own(path):
    with JournalWriter(path) as writer:
        writer.flush()
        for iteration in range(6):
            writer.metrics(iteration, {"a": 1.0} if iteration % 3 else {"a": 2.0, "b": torch.tensor(3)})
        writer.metrics(6, {})

    found = {tuple(record["values"]): record for record in records(path)}
    assert found["a", "b"]["iterations"] == [0, 3]
    assert found["a", "b"]["values"] == {"a": [2.0, 2.0], "b": [3.0, 3.0]}
    assert found[("a",)]["iterations"] == [1, 2, 4, 5]


DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]


def test_dtypes_may_be_mixed(path):
    with JournalWriter(path) as writer:
        writer.metrics(
            0, {str(dtype): torch.tensor(1, dtype=dtype) for dtype in DTYPES} | {"big": torch.tensor(2**40 + 1), "int": 7}
        )

    assert records(path)[0]["values"] == {str(dtype): [1.0] for dtype in DTYPES} | {"big": [2**40 + 1.0], "int": [7.0]}


def test_a_row_is_written_after_64_or_half_a_second(path, monkeypatch):
    now = [10_000.0]
    monkeypatch.setattr(journal.time, "time_ns", lambda: int(now[0] * 1e9))
    with JournalWriter(path) as writer:
        writer.metrics(0, {"a": 0.0})  # the first at once: somebody waits to see life
        assert len(records(path)) == 1
        for iteration in range(1, 64):
            writer.metrics(iteration, {"a": 0.0})
        assert len(records(path)) == 1
        writer.metrics(64, {"a": 0.0})
        assert records(path)[-1]["iterations"] == list(range(1, 65))
        now[0] += 0.4
        writer.metrics(65, {"a": 0.0})
        assert len(records(path)) == 2
        now[0] += 0.2
        writer.metrics(66, {"a": 0.0})
        assert records(path)[-1]["iterations"] == [65, 66]


def test_a_clock_set_back_does_not_turn_the_journal_around(path, monkeypatch):
    now = iter([5.0, 6.0, 3.0, 4.0] + [2.0] * 100)
    monkeypatch.setattr(journal.time, "time_ns", lambda: int(next(now) * 1e9))
    with JournalWriter(path) as writer:
        for iteration in range(10):
            writer.metrics(iteration, {"a": 0.0})
        writer.record("end", status="FINISHED")

    times = [ms for record in records(path) for ms in (record["ms"] if record["kind"] == "metrics" else [record["ms"]])]
    assert times == sorted(times)
    assert len(times) == 11


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_journal_cut_anywhere_goes_on_whole(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "a"
    with JournalWriter(path) as writer:
        for iteration in data.draw(st.lists(st.integers(0, 999), min_size=1, max_size=8)):
            writer.record("event", text="ü" * iteration)
    content, ends = path.read_bytes(), [0] + [end for end, _ in read(path)]
    junk = data.draw(st.binary(max_size=40) | st.just(b"\0" * 4096) | st.just(b'deadbeef {"kind":"metrics"\n'))
    cut = data.draw(st.integers(0, len(content)))

    path.write_bytes(content[:cut] + junk)
    whole = max(end for end in ends if end <= cut)
    before = list(read(path))
    with JournalWriter(path) as writer:
        writer.record("resume", iteration=3)

    assert [end for end, _ in before] == [end for end in ends[1:] if end <= whole]
    assert path.read_bytes()[:whole] == content[:whole]
    assert [record["kind"] for record in records(path)] == ["event"] * len(before) + ["resume"]


def test_every_cut_keeps_all_whole_records(path):
    with JournalWriter(path) as writer:
        writer.record("start", id="7f3a")
        for iteration in range(3):
            writer.metrics(iteration, {"loss/a": torch.tensor(iteration / 3)})
        writer.record("end", status="FINISHED")
    content, written = path.read_bytes(), [end for end, _ in read(path)]
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        whole = [end for end in written if end <= cut]
        assert [end for end, _ in read(path)] == whole
        JournalWriter(path).close()
        assert path.stat().st_size == max(whole, default=0)


def test_a_torn_tail_longer_than_a_window_is_cut_too(path, written):
    content = path.read_bytes()
    path.write_bytes(content + b"x" * 300_000)

    JournalWriter(path).close()

    assert path.read_bytes() == content


def test_a_damaged_record_costs_itself_only(path, written):
    content = bytearray(path.read_bytes())
    content[written[0] + 30] ^= 1
    path.write_bytes(content)

    assert [end for end, _ in read(path)] == [written[0], *written[2:]]
    JournalWriter(path).close()
    assert path.read_bytes() == bytes(content)


def test_a_reader_beside_the_writer_sees_each_record_once(path):
    seen, done = [], threading.Event()

    def follow():
        offset = 0
        while True:
            last = done.is_set()
            for end, record in read(path, offset):
                seen.append(record["number"])
                offset = end
            if last:
                return

    reader = threading.Thread(target=follow)
    reader.start()
    with JournalWriter(path) as writer:
        for number in range(500):
            writer.record("event", number=number, text="x" * (number * 37 % 5000))
    done.set()
    reader.join()

    assert seen == list(range(500))


def test_closing_twice_is_fine_and_writes_what_is_kept(path):
    writer = JournalWriter(path)
    writer.flush()
    writer.metrics(1, {"a": 1.0})
    writer.close()
    writer.close()

    assert records(path)[0]["iterations"] == [1]


@pytest.mark.parametrize("where", ["/proc/events.jsonl", "FILE/events.jsonl"])
def test_a_folder_that_refuses_is_named(where, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="cannot open the journal"):
        JournalWriter(tmp_path / where.replace("FILE", "file"))


FULL = """
import logging, resource, sys
from pathlib import Path
from ganforge.core.errors import StorageError
from ganforge.storage.journal import JournalWriter, read
path, printed = Path(sys.argv[1]), []
class Handler(logging.Handler):
    def emit(self, record):
        printed.append(record.getMessage())
logging.getLogger("ganforge").addHandler(Handler())
writer = JournalWriter(path, keep_going=sys.argv[2] == "warn")
writer.record("event", number=0)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
try:
    for number in range(1, 40):
        writer.record("event", number=number)
        writer.metrics(number, {"a": 0.0})
except StorageError as error:
    print("raised", error, flush=True)
sizes = [path.stat().st_size, len(list(read(path)))]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.record("end", status="FINISHED")
writer.close()
print(len(printed), *printed, *sizes, sep="\\n")
"""


def test_a_full_disk_causes_one_warning_and_loses_nothing_that_memory_can_hold(path, python):
    warnings, text, size, whole = python(FULL, path, "warn").stdout.splitlines()

    assert (warnings, text) == ("1", f"cannot write the journal {path}: File too large (free some space); training continues")
    assert int(size) <= 1000
    assert 0 < int(whole) < 40
    assert [record["number"] for record in records(path) if record["kind"] == "event"] == list(range(40))
    assert sum(len(record["iterations"]) for record in records(path) if record["kind"] == "metrics") == 39
    assert records(path)[-1]["kind"] == "end"


def test_a_full_disk_raises_without_keep_going(path, python):
    output = python(FULL, path, "raise").stdout

    assert f"raised cannot write the journal {path}" in output
    assert all(record["kind"] in {"event", "metrics", "end"} for record in records(path))


def test_what_memory_keeps_for_a_full_disk_is_bounded(path, monkeypatch, caplog):
    monkeypatch.setattr(journal, "BACKLOG", 10_000)
    writer = JournalWriter(path, keep_going=True)
    real, writer._file = writer._file, os.open("/dev/full", os.O_WRONLY)
    for iteration in range(10_000):
        writer.metrics(iteration, {"a": 0.0})
    writer.flush(sync=True)

    assert len(caplog.records) == 1
    assert len(writer._unwritten) <= 10_000
    os.close(writer._file)
    writer._file = real
    writer.close()
    assert 0 < len(records(path)) < 10


DIE = """
import os, signal, sys
from pathlib import Path
from ganforge.storage.journal import JournalWriter
writer = JournalWriter(Path(sys.argv[1]))
for iteration in range(1000):
    writer.metrics(iteration, {"a": float(iteration)})
    if iteration == 500:
        writer.record("eval", iteration=500, values={})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_loses_less_than_64_rows(path, python):
    python(DIE, path, check=False)

    found = [iteration for record in records(path) if record["kind"] == "metrics" for iteration in record["iterations"]]
    assert found == list(range(len(found)))
    assert len(found) > 1000 - 64


def test_logging_makes_few_calls(path):
    """A guard that no busy machine can trip: calls made for 640 rows of four values, flushes included."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in {"call", "c_call"}

    values = {"a": torch.tensor(1.0), "b": torch.tensor(2.0), "c": torch.tensor(3.0), "d": 4.0}
    with JournalWriter(path) as writer:
        writer.metrics(0, values)
        before = sys.getprofile()
        sys.setprofile(count)
        for iteration in range(640):
            writer.metrics(iteration, values)
        sys.setprofile(before)

    assert calls / 640 < 20


@given(st.lists(st.floats()))
def test_floats_are_little_endian_doubles(values):
    text = journal._pack_column("d", values)

    assert base64.b64decode(text) == struct.pack(f"<{len(values)}d", *values)
    assert list(map(repr, journal._unpack("d", text))) == list(map(repr, values))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_come_back(values):
    assert journal._unpack("q", journal._pack_column("q", values)) == values


def test_numbers_and_tensors_keep_their_order():
    values = [1.0, torch.tensor(2.0), 3, torch.tensor(math.inf, dtype=torch.float16), torch.tensor([5.0])]

    assert journal.to_floats(values) == [1.0, 2.0, 3.0, math.inf, 5.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_tensors_of_an_accelerator_are_fetched_together():
    there = [
        torch.tensor(number, dtype=dtype, device="cuda")
        for number in range(3)
        for dtype in (torch.float32, torch.int64, torch.bfloat16)
    ]

    assert journal.to_floats([9.0, *there, torch.tensor(4)]) == [9.0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 4]


def test_what_is_fetched_together_keeps_its_order_and_precision():
    """The way of an accelerator's tensors, taken by the CPU's."""

    class Remote(torch.Tensor):
        is_cpu = False

    def remote(number):
        return torch.tensor(number).as_subclass(Remote)

    values = [9.0, remote(2**40 + 1), remote(0.5), remote(2**40 + 3), 8.0, remote(True), torch.tensor([1.5])]
    with patch.object(torch, "stack", wraps=torch.stack) as stack:
        assert journal.to_floats(values) == [9.0, 2**40 + 1, 0.5, 2**40 + 3, 8.0, 1.0, 1.5]
    assert stack.call_count == 3  # one per dtype
    assert journal.to_floats([remote([1.5])]) == [1.5]


def test_more_than_one_number_is_an_error():
    with pytest.raises(ValueError, match="only one element"):
        journal.to_floats([torch.zeros(2)])


def test_a_line_is_checksum_space_payload():
    assert journal._to_line(b"123456789") == b"cbf43926 123456789\n"  # CRC-32's own check value


@given(st.binary(max_size=30).filter(lambda payload: b"\n" not in payload), st.data())
def test_no_flipped_bit_passes(payload, data):
    line = bytearray(journal._to_line(payload))
    place = data.draw(st.integers(0, len(line) * 8 - 1))
    line[place // 8] ^= 1 << place % 8

    assert not journal._is_intact(bytes(line))
    assert journal._is_intact(journal._to_line(payload))


@pytest.mark.parametrize("window", [1, 7, 64, 1 << 16])
def test_the_length_is_found_through_any_window(tmp_path, window):
    whole = journal._to_line(b"a" * 100) * 5
    (tmp_path / "a").write_bytes(whole + b"torn" * 50)
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)

    assert journal._intact_length(descriptor, window=window) == len(whole)
    os.close(descriptor)
