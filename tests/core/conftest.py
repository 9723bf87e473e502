"""Patience: two cores may serve many at once, and an example that waits for its turn is not slow."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
