"""A generator for programs that know no latents: tensors by name in, values in the data's own units out.

Shapes: n samples, z noise dimensions, k categorical and c continuous codes.
"""

from __future__ import annotations

from torch import Tensor, nn

from ganforge.core.records import Codes, Latent
from ganforge.core.specs import LatentSpec
from ganforge.runs.loaded_generator import LoadedGenerator


class TensorGenerator(nn.Module):
    """The averaged generator, with the data's scaling folded in."""

    def __init__(self, generator: LoadedGenerator) -> None:
        super().__init__()
        self.network = generator.network
        self.data = generator.data
        self.latent = generator.latent
        self.eval()

    def forward(
        self, noise: Tensor, labels: Tensor | None = None, categorical: Tensor | None = None, continuous: Tensor | None = None
    ) -> Tensor:
        """``noise (n, z)``, and what else :func:`named_tensors` tells of this generator → values ``(n, *shape)``, as data are.

        Args:
            noise: ``(n, z)`` floats.
            labels: ``(n,)`` int64 classes, of a conditional generator.
            categorical: ``(n, k)`` int64 class indices, where there are such codes.
            continuous: ``(n, c)`` floats, where there are such codes.
        """
        codes = None
        if self.latent.has_codes:
            count = noise.shape[0]
            codes = Codes(
                categorical=noise.new_zeros((count, 0)).long() if categorical is None else categorical,
                continuous=noise.new_zeros((count, 0)) if continuous is None else continuous,
            )
        return self.data.to_own(self.network(Latent(noise, labels, codes)))


def named_tensors(latent: Latent, spec: LatentSpec) -> dict[str, Tensor]:
    """What :class:`TensorGenerator` is to be given for these latents: ``noise``, and what else they hold."""
    tensors = {"noise": latent.noise}
    if latent.labels is not None:
        tensors["labels"] = latent.labels
    if latent.codes is not None and spec.categorical:
        tensors["categorical"] = latent.codes.categorical
    if latent.codes is not None and spec.continuous:
        tensors["continuous"] = latent.codes.continuous
    return tensors
