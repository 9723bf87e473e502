"""Sizes that follow from the parameters alone, so that a recipe is checked without torch."""

from __future__ import annotations

from ganforge.plugin import DataSpec

from acme_rings.params import ConcentricParams


def radii(circles: int) -> tuple[float, ...]:
    """Evenly spaced up to 1, the innermost first."""
    return tuple((index + 1) / circles for index in range(circles))


def concentric_spec(params: ConcentricParams) -> DataSpec:
    """Points in the plane; a circle's share is that of its length, so that all are equally dense."""
    if not params.labelled:
        return DataSpec((2,))
    length = sum(radii(params.circles))
    shares = tuple(radius / length for radius in radii(params.circles))
    names = tuple(f"circle {index + 1}" for index in range(params.circles))
    return DataSpec((2,), classes=params.circles, class_names=names, class_shares=shares)
