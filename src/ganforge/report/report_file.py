"""The page about a run, written to its file."""

from __future__ import annotations

import time
from pathlib import Path

from ganforge.report.page import render
from ganforge.report.report_data import gather
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder


def report(folder: RunFolder, target: Path | None = None) -> Path:
    """Write the page about a run, however it ended, or about a sweep; ``report.html`` in its folder unless said otherwise.

    Args:
        folder: the run's.
        target: where to write; a file there is replaced, as a whole.

    Raises:
        StorageError: the disk or folder refused.
    """
    page = target or folder.report
    html = render(gather(folder), page, now=time.time())
    # Half of a pair of UTF-16 may stand in JSON, but in no file.
    atomic_files.write_bytes(page, html.encode("utf-8", errors="replace"), durable=False)
    return page
