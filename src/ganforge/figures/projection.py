"""Where points are drawn: the axes of one or two dimensions, fixed from the real samples for a whole run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ganforge.core.records import LogitGrid, Samples
from ganforge.core.specs import DataSpec
from ganforge.figures.history import Floats

_MARGIN = 0.15
"""Share of the real samples' extent that is left free on each side."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A fixed two-dimensional view of ``d``-dimensional points.

    Attributes:
        centre: ``(d,)`` point that is taken off first.
        axes: ``(d, 2)`` directions of the two axes.
        limits: ``(2, 2)`` lower and upper end of each axis.
        names: what the axes show.
    """

    centre: Floats
    axes: Floats
    limits: Floats
    names: tuple[str, str]

    def project(self, points: Floats) -> Floats:
        """``(n, d)`` points → ``(n, 2)`` coordinates."""
        return (points - self.centre) @ self.axes


def flat(samples: Samples) -> Floats:
    """The values as ``(n, d)`` doubles."""
    return samples.values.detach().flatten(1).double().numpy()


def plane_of(real: Samples) -> Plane:
    """The plane of two-dimensional data itself; for more dimensions, that of the real samples' two main directions (PCA).

    Samples that span no plane, be it that there is one or none, have some direction across as their second.
    """
    points = flat(real)
    points = points if len(points) else np.zeros((1, points.shape[1]))
    width = points.shape[1]
    if width == 2:
        return Plane(np.zeros(2), np.eye(2), limits_of(points), ("x₀", "x₁"))
    centre = points.mean(0)
    centred = np.pad(points - centre, ((0, max(0, 2 - len(points))), (0, 0)))  # one row would have one direction
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2].T  # (d, 2)
    names = ("first main direction of the data", "second main direction")
    return Plane(centre, directions, limits_of((points - centre) @ directions), names)


def limits_of(points: Floats) -> Floats:
    """``(d, 2)`` ends of each axis around ``(n, d)`` points, with a margin."""
    low, high = points.min(0), points.max(0)
    margin = _MARGIN * np.where(high > low, high - low, 1.0)
    limits: Floats = np.stack([low - margin, high + margin], axis=1)
    return limits


def field_grid(field: LogitGrid) -> tuple[Floats, Floats, Floats]:
    """A field over the plane as its axes ``(nx,)``, ``(ny,)`` and logits ``(ny, nx)``, however its points are ordered."""
    points = field.points.double().numpy()
    logits = field.logits.double().numpy()
    order = np.lexsort((points[:, 0], points[:, 1]))
    xs, ys = np.unique(points[:, 0]), np.unique(points[:, 1])
    return xs, ys, logits[order].reshape(len(ys), len(xs))


def field_line(field: LogitGrid) -> tuple[Floats, Floats]:
    """A field over the line as points ``(m,)`` in ascending order and logits ``(m,)``."""
    points = field.points.double().numpy()[:, 0]
    order = np.argsort(points)
    return points[order], field.logits.double().numpy()[order]


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each sample belongs to: its label, or else its first categorical code.

    Attributes:
        indices: ``(n,)`` group of each sample.
        names: name of each group.
    """

    indices: np.ndarray[tuple[int], np.dtype[np.int64]]
    names: tuple[str, ...]


def groups_of(samples: Samples, data: DataSpec, categorical: tuple[int, ...]) -> Groups | None:
    """Labels where samples have them, else the first categorical code, else ``None``."""
    if samples.labels is not None:
        names = data.class_names or tuple(f"class {label}" for label in range(data.classes or 0))
        return Groups(samples.labels.numpy(), names)
    codes = samples.latent.codes if samples.latent else None
    if codes is None or not categorical:
        return None
    return Groups(codes.categorical[:, 0].numpy(), tuple(f"code 0 = {value}" for value in range(categorical[0])))
