"""``ganforge doctor``: what this computer offers, and a remedy for each fault."""

from __future__ import annotations


def doctor() -> None:
    """Look for faults in the installation."""
    raise NotImplementedError
