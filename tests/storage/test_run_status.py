from __future__ import annotations

import math
import os
import socket
import time

import pytest

from ganforge.core.errors import StorageError
from ganforge.storage import run_status, strict_json
from ganforge.storage.run_status import Status


def test_what_is_written_is_read(folder):
    assert run_status.read(folder) is None

    run_status.write(folder, Status(status="running", iteration=3, iterations=9, metrics={"wasserstein": math.inf}))
    known = run_status.read(folder)

    assert (known.status, known.iteration, known.iterations) == ("running", 3, 9)
    assert known.metrics == {"wasserstein": math.inf}
    assert (known.pid, known.host) == (os.getpid(), socket.gethostname())
    assert abs(known.heartbeat - time.time()) < 5


def test_the_end_keeps_what_was_known(folder):
    run_status.write(folder, Status(status="running", iteration=3, heartbeat=1.0, metrics={"modes": 8.0}))

    run_status.finish(folder, "failed", error="ValueError: no", health={"verdict": "ill", "findings": []})
    known = run_status.finish(folder, "failed", reason="late")

    assert known == run_status.read(folder)
    assert (known.status, known.iteration, known.metrics) == ("failed", 3, {"modes": 8.0})
    assert (known.error, known.reason, known.health["verdict"]) == ("ValueError: no", "late", "ill")
    assert known.heartbeat > 1.0


def test_an_end_without_a_beginning(folder):
    assert run_status.finish(folder, "killed").iteration == 0


def test_keys_of_a_newer_version_are_passed_over(folder):
    folder.write_json(folder.status, {"status": "finished", "iteration": 4, "mood": "good"})

    assert run_status.read(folder).iteration == 4


@pytest.mark.parametrize("text", ["[]", "{}", "3"])
def test_what_is_no_report_is_none(folder, text):
    folder.status.write_text(text)

    assert run_status.read(folder) is None


def test_a_damaged_report_is_an_error(folder):
    folder.status.write_text("{")

    with pytest.raises(StorageError, match=r"status\.json is damaged"):
        run_status.read(folder)


def test_it_is_plain_json_with_stable_keys(folder):
    run_status.write(folder, Status(status="running"))

    assert list(strict_json.loads(folder.status.read_bytes())) == [
        "status",
        "iteration",
        "iterations",
        "seconds",
        "iterations_per_second",
        "pid",
        "host",
        "heartbeat",
        "metrics",
        "health",
        "reason",
        "error",
    ]
