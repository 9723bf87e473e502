"""For plugin authors: fake installations, stand-in components and the conformance kit. pytest is not needed.

- :func:`fake_plugin` installs a plugin without pip, for tests of what is found and loaded;
- :mod:`ganforge.testing.stub_components` are the smallest networks that honour labels and codes;
- :func:`trained` trains a recipe in memory;
- :func:`conformance_cases`, :func:`check_plugin`, :func:`check_path` and :func:`check_component` hold components to their
  contracts.
"""

from ganforge.testing.check_results import CheckFailed, Outcome, Report, State
from ganforge.testing.conformance import Case, cases, check_component, check_path, check_plugin, conformance_cases
from ganforge.testing.fake_plugin import FakePlugin, fake_plugin
from ganforge.testing.train_helper import trained

__all__ = [
    "Case",
    "CheckFailed",
    "FakePlugin",
    "Outcome",
    "Report",
    "State",
    "cases",
    "check_component",
    "check_path",
    "check_plugin",
    "conformance_cases",
    "fake_plugin",
    "trained",
]
