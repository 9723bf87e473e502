"""Test kit for plugin authors: fake installations, stub components and conformance checks. Does not need pytest.

- :func:`fake_plugin` installs a plugin without pip, for tests of discovery and loading;
- :mod:`ganforge.testing.stub_components` has minimal networks that use labels and codes;
- :func:`trained` trains a recipe in memory;
- :func:`conformance_cases`, :func:`check_plugin`, :func:`check_path` and :func:`check_component` check components
  against their contracts.
"""

from ganforge.testing.conformance import (
    Case,
    CheckFailedError,
    CheckState,
    Outcome,
    Report,
    cases,
    check_component,
    check_path,
    check_plugin,
    conformance_cases,
)
from ganforge.testing.fixtures import FakePlugin, fake_plugin, trained

__all__ = [
    "Case",
    "CheckFailedError",
    "CheckState",
    "FakePlugin",
    "Outcome",
    "Report",
    "cases",
    "check_component",
    "check_path",
    "check_plugin",
    "conformance_cases",
    "fake_plugin",
    "trained",
]
