"""The page of a run that has ended, beside its pictures and in MLflow."""

from __future__ import annotations

from collections.abc import Callable

from ganforge.core.isolation import describe_error, isolated
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder


def keep_report(folder: RunFolder, journal: JournalWriter, *, warn: Callable[[str], None]) -> None:
    """Write ``report.html``, and record it for MLflow; a page that cannot be written is missing, with a warning.

    Args:
        folder: the run's folder.
        journal: its journal, which the page shows.
        warn: told why the page is missing.
    """
    journal.flush()
    try:
        with isolated():
            from ganforge.report.report_file import report

            page = report(folder)
    except Exception as error:  # noqa: BLE001 - a run that has ended must not fail for want of a page
        warn(f"{folder.report.name} is missing: {describe_error(error)}")
        return
    journal.record("file", path=page.name, folder="")
