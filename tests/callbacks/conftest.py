"""A test that does not ask for ``caplog`` expects no warnings."""

from __future__ import annotations

import inspect
import logging

import pytest


@pytest.fixture(autouse=True)
def no_unexpected_warnings(request, caplog):
    yield
    if "caplog" not in inspect.signature(request.function).parameters:
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
