"""From a generator and a few latents to pictures of a walk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ganforge.core.contracts import Sampler
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec
from ganforge.figures.projection import groups_of
from ganforge.runs import latent_figures
from ganforge.runs.interpolation import How, Walk, interpolation, natural, through
from ganforge.runs.output_paths import check_targets
from ganforge.runs.traversal import Bases, traversal
from ganforge.storage import atomic_files
from ganforge.train.evaluator import generate

FORMATS = (".png", ".gif")
ROWS = 8
"""Walks in one picture, unless somebody says otherwise."""
_STEPS = {".png": 10, ".gif": 24}
"""Steps of each walk, unless somebody says otherwise."""
_SMOOTH = 100
"""Steps of a path that is drawn as a line."""
_LEGS = 5
"""Latents that a path of points goes to, one after another."""
_CLOUD = 1000
"""Samples that are drawn below paths."""


@dataclass(frozen=True, slots=True)
class Guide:
    """Draws walks through one generator's latent space.

    Attributes:
        network: the generator, wherever it lives; it is left as it was.
        sampler: what draws its latents.
        data: the data's spec, scaling included.
    """

    network: nn.Module
    sampler: Sampler
    data: DataSpec

    def interpolation(self, ends: Latent, ending: str, *, steps: int | None = None, how: How | None = None) -> bytes:
        """Walks from the first half of ``ends`` to the second, in order of their labels or first categorical codes.

        Args:
            ends: an even number of latents.
            ending: ``.png`` or ``.gif``.
            steps: latents on each walk, both ends included.
            how: the way that the noise goes; what is natural for the sampler unless given.
        """
        half = len(ends) // 2
        order, names = self._ordered(ends[:half])
        start, end = ends[order], ends[half + order]
        walk = interpolation(start, end, steps or self._steps(ending), how or natural(self.sampler), names)
        return self._drawn(walk, ending, "walks between latents")

    def traversal(
        self,
        drawn: Latent,
        ending: str,
        *,
        steps: int | None = None,
        rows: int = ROWS,
        code: int | None = None,
        noise: int | None = None,
        hold_label: bool = False,
    ) -> bytes:
        """One thing varied, all else held: :func:`ganforge.runs.traversal.traversal`.

        On a sheet of images, each column of labels and categorical codes is a latent of its own. In an animation, and where paths
        are drawn, the columns are steps of one walk: between two latents, or for paths through several.

        Args:
            drawn: at least two latents to hold; they come again where more are needed.
            ending: ``.png`` or ``.gif``.
            steps: latents in each row.
            rows: rows of a sweep, where neither labels nor codes make rows.
            code: which code is varied.
            noise: or which dimension of the noise.
            hold_label: whether labels stay as drawn and make no rows.

        Raises:
            UsageError: a code or dimension that this generator does not have.
        """
        columns = steps or self._steps(ending)
        if self.data.is_image and ending == ".png":
            across = drawn[torch.arange(columns) % len(drawn)]
        else:
            across = self._tour(drawn, columns)
        bases = Bases(across, drawn[torch.arange(rows) % len(drawn)])
        walk = traversal(bases, self.sampler, self.data, code=code, noise=noise, hold_label=hold_label)
        return self._drawn(walk, ending, "one thing varied, all else held")

    def samples(self, latent: Latent) -> Samples:
        """The samples of latents that lie anywhere, in the data's own units, on the CPU."""
        device = next((tensor.device for tensor in self.network.state_dict().values()), torch.device("cpu"))
        return generate(self.network, latent.to(device), self.data)

    def _drawn(self, walk: Walk, ending: str, title: str) -> bytes:
        cloud = None
        if self.data.size > 1 and not self.data.is_image:
            cloud = self.samples(self.sampler.draw(_CLOUD, torch.Generator().manual_seed(0)))
        draw = latent_figures.gif if ending == ".gif" else latent_figures.png
        return draw(walk, self.samples(walk.latent), self.data, cloud, title)

    def _tour(self, drawn: Latent, columns: int) -> Latent:
        """A walk of so many steps through the first latents, one after another."""
        legs = 1 if self.data.is_image else min(_LEGS, len(drawn) - 1)
        return through(drawn[: legs + 1], columns, natural(self.sampler))

    def _steps(self, ending: str) -> int:
        return _STEPS[ending] if self.data.is_image or ending == ".gif" else _SMOOTH

    def _ordered(self, latent: Latent) -> tuple[torch.Tensor, tuple[str, ...]]:
        """Indices in the order of labels or codes, and what each row is called where they differ."""
        groups = groups_of(Samples(latent.noise, latent.labels, latent), self.data, self.sampler.spec.categorical)
        if groups is None or len(np.unique(groups.indices)) < 2:
            return torch.arange(len(latent)), ("",) * len(latent)
        order = np.argsort(groups.indices, kind="stable")
        return torch.from_numpy(order), tuple(groups.names[group] for group in groups.indices[order])


def write(paths: Sequence[Path], drawn: Callable[[str], bytes]) -> None:
    """Write a picture in the format that each path's ending names; ``drawn`` is asked for ``".png"`` or ``".gif"``.

    Raises:
        UsageError: another ending or a folder, before anything is drawn.
        StorageError: the disk or folder refused.
    """
    check_targets(paths, FORMATS)
    for path in paths:
        atomic_files.write_bytes(path, drawn(path.suffix.lower()))
