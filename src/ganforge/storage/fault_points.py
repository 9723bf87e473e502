"""Places where a test may let the process die, to prove that what is on disk then is whole.

``GANFORGE_FAULT=kill@NAME`` kills the process (SIGKILL: nothing is tidied up) at the fault point of that name, ``kill@N`` at the
N-th one it comes to. Without the variable a point costs one look at the environment.
"""

from __future__ import annotations

import os
import signal
from itertools import count

VARIABLE = "GANFORGE_FAULT"

_numbers = count(1)


def fault_point(name: str) -> None:
    """Die here, if the environment says so."""
    wanted = os.environ.get(VARIABLE)
    if wanted and wanted in (f"kill@{name}", f"kill@{next(_numbers)}"):
        os.kill(os.getpid(), signal.SIGKILL)
