"""Recipes as text: a whole one, and a way to write any."""

import pytest
from hypothesis import settings

from moons_recipe import HEAD

# Two cores may serve many at once: an example that waits for its turn is not slow.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

_WHOLE = (
    HEAD
    + """\
optimizer = { use = "adam", lr = 1e-3 }

[discriminator]
use = "mlp"

[[loss]]
use = "non-saturating"

[[loss]]
use = "r1"
weight = { schedule = "exponential", start = 0.5, end = 0.01 }
"""
)


@pytest.fixture(scope="session")
def whole():
    """The text of a recipe with nothing wrong."""
    return _WHOLE


@pytest.fixture
def write(tmp_path):
    """Writes a file below the test's folder and gives its path."""

    def write(text, name="recipe.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
