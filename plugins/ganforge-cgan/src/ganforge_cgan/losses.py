"""The class term of AC-GAN (Odena, Olah & Shlens 2017).

The paper's discriminator maximises L_S + L_C and its generator L_C − L_S, where L_S is the log-likelihood of the right source (any
adversarial loss) and L_C that of the right class, on real and generated samples alike. The classifier is one more output of the
discriminator. Here is −L_C, in nats: in the discriminator's turn both parts, and in the generator's the one that it can move.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from ganforge.plugin import BuildContext, Critic, IncompatiblePartsError, NoParams, Samples, TermInfo, Terms
from ganforge_cgan.convolutions import drawn_classes, known_classes


def build_auxiliary_classifier(_params: NoParams, context: BuildContext) -> AuxiliaryClassifier:
    """The ``auxiliary-classifier`` loss for the context's classes.

    Raises:
        IncompatiblePartsError: the data set has no classes, or the sampler draws no labels.
    """
    drawn_classes(context.latent, part="loss 'auxiliary-classifier'")
    return AuxiliaryClassifier(known_classes(context.data, part="loss 'auxiliary-classifier'"))


class AuxiliaryClassifier:
    """Cross-entropy of the discriminator's head ``class`` with the labels.

    Where classes do not overlap its least value is 0, but whether they do only the data know, so no equilibrium is declared.
    """

    second_order = False
    term_info: Mapping[str, TermInfo] = {
        "discriminator/class-real": TermInfo("cost of naming the class of real samples, in nats"),
        "discriminator/class-fake": TermInfo("cost of naming the class that was asked of generated samples, in nats"),
        "generator/class": TermInfo("cost of making samples whose class can be named, in nats"),
    }

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """What teaches the classifier to classify."""
        return Terms({"class-real": self._unnamed(critic, real), "class-fake": self._unnamed(critic, fake)})

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002 - real samples move no generator
        """What teaches the generator to make what it was asked for."""
        return Terms({"class": self._unnamed(critic, fake)})

    def _unnamed(self, critic: Critic, samples: Samples) -> Tensor:
        heads = critic(samples).heads
        if "class" not in heads:
            raise IncompatiblePartsError(
                "loss 'auxiliary-classifier' needs a discriminator with a head 'class'",
                remedy='set discriminator.use = "acgan-conv"',
            )
        asked = (len(samples), self.classes)
        if heads["class"].shape != asked:
            raise IncompatiblePartsError(
                f"the discriminator's head 'class' is {tuple(heads['class'].shape)}, the data ask for {asked}",
                remedy="give one logit for each class of the data",
            )
        if samples.labels is None:
            raise IncompatiblePartsError(
                "loss 'auxiliary-classifier' was given samples without labels",
                remedy='set sampler.use = "labelled" and choose labelled data',
            )
        return F.cross_entropy(heads["class"], samples.labels)
