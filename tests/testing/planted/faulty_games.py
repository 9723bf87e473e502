"""Losses, each with one fault that fails one check."""

import math
from dataclasses import replace

import torch
from torch.nn.functional import softplus

from ganforge.plugin import LossTerms, TermInfo


class Sound:
    """The non-saturating loss, and the base of all faulty ones."""

    term_info = {
        "discriminator/game": TermInfo("cost of misjudging", 2 * math.log(2)),
        "generator/game": TermInfo("cost of being recognised", math.log(2)),
    }
    second_order = False

    def discriminator(self, turn):
        return LossTerms({"game": softplus(-turn.critic(turn.real).logits).mean() + softplus(turn.critic(turn.fake).logits).mean()})

    def generator(self, turn):
        return LossTerms({"game": softplus(-turn.critic(turn.fake).logits).mean()})


class Silent(Sound):
    term_info = {}

    def discriminator(self, _turn):
        return LossTerms({})

    def generator(self, _turn):
        return LossTerms({})


class Unlabelled(Sound):
    term_info = {**Sound.term_info, "generator/game": TermInfo(" ", math.log(2))}


class Deaf(Sound):
    """The discriminator's cost follows from no weight of it."""

    term_info = {"discriminator/game": TermInfo("cost of misjudging")}

    def discriminator(self, turn):
        logits = turn.critic(turn.real).logits
        return LossTerms({"game": softplus(-logits).mean().detach() + 0 * logits.sum()})

    def generator(self, _turn):
        return LossTerms({})


class Detached(Sound):
    """The generator's samples are cut off."""

    term_info = {"generator/game": TermInfo("cost of being recognised")}

    def discriminator(self, _turn):
        return LossTerms({})

    def generator(self, turn):
        return super().generator(replace(turn, fake=replace(turn.fake, values=turn.fake.values.detach())))


class Twice(Sound):
    """A gradient penalty that does not say so."""

    term_info = {**Sound.term_info, "discriminator/slope": TermInfo("slope at real samples", 0.0)}

    def discriminator(self, turn):
        leaf = turn.real.values.detach().requires_grad_()
        (slope,) = torch.autograd.grad(turn.critic(replace(turn.real, values=leaf)).logits.sum(), leaf, create_graph=True)
        return LossTerms({**super().discriminator(turn).values, "slope": slope.square().sum(1).mean()})


class Clamping(Sound):
    """Changes the samples in place."""

    def discriminator(self, turn):
        with torch.no_grad():
            turn.fake.values.clamp_(-0.9, 0.9)
        return super().discriminator(turn)


class Backwards(Sound):
    """The generator learns to be recognised."""

    term_info = {**Sound.term_info, "generator/game": TermInfo("cost of passing for real")}

    def generator(self, turn):
        return LossTerms({"game": softplus(turn.critic(turn.fake).logits).mean()})


class Overpromised(Sound):
    """What winning costs is more than it declares."""

    term_info = {**Sound.term_info, "discriminator/game": TermInfo("cost of misjudging", 2 * math.log(2), best=-1.0)}


class Misdeclared(Sound):
    term_info = {**Sound.term_info, "generator/game": TermInfo("cost of being recognised", 0.5)}


def build_l01(params, context):
    return Silent()


def build_l02(params, context):
    return Unlabelled()


def build_l03(params, context):
    return Deaf()


def build_l04(params, context):
    return Detached()


def build_l05(params, context):
    return Twice()


def build_l06(params, context):
    return Clamping()


def build_l07(params, context):
    return Backwards()


def build_l08(params, context):
    return Misdeclared()


def build_l09(params, context):
    return Overpromised()
