"""The class term of AC-GAN (Odena, Olah & Shlens 2017).

The paper's discriminator maximises L_S + L_C and its generator L_C − L_S, where L_S is the log-likelihood of the right source (any
adversarial loss) and L_C that of the right class, on real and generated samples alike. The classifier is one more output of the
discriminator. This loss is −L_C, in nats: both parts in the discriminator's turn, in the generator's that of generated samples.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from ganforge.plugin import BuildContext, Critic, IncompatiblePartsError, LossTerms, NoParams, Samples, TermInfo, Turn
from ganforge_cgan.networks import drawn_classes, known_classes


class AuxiliaryClassifier:
    """Cross-entropy of the discriminator's head ``class`` with the labels.

    For classes that do not overlap its least value is 0; whether they overlap is unknown, so no equilibrium is declared.

    Raises:
        IncompatiblePartsError: the data set has no classes, or the sampler draws no labels.
    """

    second_order = False
    term_info: Mapping[str, TermInfo] = {
        "discriminator/class-real": TermInfo("cost of classifying real samples, in nats"),
        "discriminator/class-fake": TermInfo("cost of classifying generated samples as the requested class, in nats"),
        "generator/class": TermInfo("cost of samples that are not classified as the requested class, in nats"),
    }

    def __init__(self, _params: NoParams, context: BuildContext) -> None:
        drawn_classes(context.latent, part="loss 'auxiliary-classifier'")
        self.classes = known_classes(context.data, part="loss 'auxiliary-classifier'")

    def discriminator(self, turn: Turn) -> LossTerms:
        """The terms that train the classifier."""
        return LossTerms(
            {"class-real": self._class_cost(turn.critic, turn.real), "class-fake": self._class_cost(turn.critic, turn.fake)}
        )

    def generator(self, turn: Turn) -> LossTerms:
        """The term that trains the generator to make the requested class."""
        return LossTerms({"class": self._class_cost(turn.critic, turn.fake)})

    def _class_cost(self, critic: Critic, samples: Samples) -> Tensor:
        heads = critic(samples).heads
        if "class" not in heads:
            raise IncompatiblePartsError(
                "loss 'auxiliary-classifier' needs a discriminator with a head 'class'",
                remedy='set discriminator.use = "acgan-conv"',
            )
        expected = (len(samples), self.classes)
        if heads["class"].shape != expected:
            raise IncompatiblePartsError(
                f"the discriminator's head 'class' has the shape {tuple(heads['class'].shape)}, but the data need {expected}",
                remedy="return one logit for each class of the data",
            )
        if samples.labels is None:
            raise IncompatiblePartsError(
                "loss 'auxiliary-classifier' needs samples with labels, got none",
                remedy='set sampler.use = "labelled" and choose labelled data',
            )
        return F.cross_entropy(heads["class"], samples.labels)
