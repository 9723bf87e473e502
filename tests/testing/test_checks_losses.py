"""Each check of a loss passes on real losses and fails on the fault that is planted for it."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganforge.core.contracts import TermInfo
from ganforge.core.params import NoParams
from ganforge.core.records import DiscriminatorOutput, LossTerms
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import Registry
from ganforge.testing import CheckState, check_component, stub_components
from ganforge.testing.component_case import ComponentCase
from ganforge.testing.conformance import all_checks


class Sound:
    """The non-saturating loss, and the base of all faulty ones."""

    term_info = {"discriminator/game": TermInfo("Cost of misjudging."), "generator/game": TermInfo("Cost of being seen through.")}
    second_order = False

    def discriminator(self, turn):
        return LossTerms(
            {"game": F.softplus(-turn.critic(turn.real).logits).mean() + F.softplus(turn.critic(turn.fake).logits).mean()}
        )

    def generator(self, turn):
        return LossTerms({"game": F.softplus(-turn.critic(turn.fake).logits).mean()})


class Silent(Sound):
    def discriminator(self, _turn):
        return LossTerms({})

    generator = discriminator


class Vector(Sound):
    def generator(self, turn):
        return LossTerms({"game": turn.critic(turn.fake).logits})


class Infinite(Sound):
    def generator(self, turn):
        return LossTerms({"game": turn.critic(turn.fake).logits.sum() / 0})


class Bare(Sound):
    def generator(self, turn):
        return turn.critic(turn.fake).logits.mean()


class Unread(Sound):
    term_info = {"discriminator/game": TermInfo("Cost of misjudging.")}


class Overread(Sound):
    term_info = {**Sound.term_info, "generator/penalty": TermInfo("Never given.")}


class Unlabelled(Sound):
    term_info = {**Sound.term_info, "generator/game": TermInfo(" ")}


class DetachedJudge(Sound):
    def discriminator(self, turn):
        return LossTerms({"game": turn.critic(turn.real).logits.mean().detach() + turn.critic(turn.real).logits.sum() * 0})


class NoGraph(Sound):
    def discriminator(self, turn):
        return LossTerms({"game": super().discriminator(turn).total.detach()})


class DetachedFake(Sound):
    def generator(self, turn):
        return LossTerms(
            {"game": F.softplus(-turn.critic(type(turn.fake)(turn.fake.values.detach(), turn.fake.labels)).logits).mean()}
        )


class Twice(Sound):
    def discriminator(self, turn):
        leaf = turn.real.values.detach().requires_grad_()
        (slope,) = torch.autograd.grad(turn.critic(type(turn.real)(leaf)).logits.sum(), leaf, create_graph=True)
        return LossTerms({"game": slope.square().sum() + turn.critic(turn.real).logits.mean()})


class Descends(Sound):
    def generator(self, turn):
        terms = super().generator(turn)
        terms.total.backward(retain_graph=True)
        return terms


class Moves(Sound):
    def discriminator(self, turn):
        with torch.no_grad():
            turn.critic.realness.weight.mul_(0.9)
        return super().discriminator(turn)


class Switches(Sound):
    def discriminator(self, turn):
        turn.critic.eval()
        return super().discriminator(turn)


class Spoils(Sound):
    def discriminator(self, turn):
        terms = super().discriminator(turn)
        turn.fake.values.add_(1)
        return terms


class Backwards(Sound):
    def generator(self, turn):
        return LossTerms({"game": F.softplus(turn.critic(turn.fake).logits).mean()})


class HalfBackwards(Sound):
    """Takes generated samples for real; real ones as they are."""

    def discriminator(self, turn):
        return LossTerms(
            {"game": F.softplus(-turn.critic(turn.real).logits).mean() + F.softplus(-turn.critic(turn.fake).logits).mean()}
        )


class OtherwiseBackwards(Sound):
    def discriminator(self, turn):
        return LossTerms(
            {"game": F.softplus(turn.critic(turn.real).logits).mean() + F.softplus(turn.critic(turn.fake).logits).mean()}
        )


class Misdeclared(Sound):
    term_info = {**Sound.term_info, "generator/game": TermInfo("Cost of being seen through.", 0.5)}


class Overpromised(Sound):
    term_info = {**Sound.term_info, "discriminator/game": TermInfo("Cost of misjudging.", best=-1.0)}


class Boundless(Sound):
    term_info = {**Sound.term_info, "generator/game": TermInfo("Cost of being seen through.", best=-math.inf)}


class NoLoss:
    def discriminator(self, _turn): ...


FAULTS = {
    "L01 silent": ("L01", Silent, "it returns no terms for either turn"),
    "L01 vector": ("L01", Vector, "term generator/game is not a scalar tensor"),
    "L01 not finite": ("L01", Infinite, "term generator/game contains values that are not finite"),
    "L01 no terms": ("L01", Bare, "the generator's turn returns a Tensor, not LossTerms"),
    "P11 no loss": ("P11", NoLoss, "the factory returns a NoLoss without term_info, second_order"),
    "L02 missing": ("L02", Unread, "terms missing from term_info: generator/game"),
    "L02 spare": ("L02", Overread, "term_info entries without a term: generator/penalty"),
    "L02 unlabelled": ("L02", Unlabelled, "term_info entries without a label: generator/game"),
    "L03 zero": ("L03", DetachedJudge, "no parameter of the discriminator receives a gradient"),
    "L03 no graph": ("L03", NoGraph, "the terms have no graph"),
    "L04": ("L04", DetachedFake, "the generated values receive no gradient; are they detached?"),
    "L05": ("L05", Twice, "differentiated twice, but second_order is False"),
    "L07 generator": ("L07", Backwards, "the generator's gradient lowers the logits of its own samples"),
    "L07 fake": ("L07", HalfBackwards, "gradient raises the logits of generated samples"),
    "L07 real": ("L07", OtherwiseBackwards, "gradient lowers the logits of real samples"),
    "L08": ("L08", Misdeclared, "at equilibrium 'generator/game' is 0.6931, but term_info declares 0.5"),
    "L09": ("L09", Overpromised, "where its player has won 'discriminator/game' is 0.0005"),
    "L09 bound": ("L09", Boundless, "'generator/game' is 0.0002"),
    "L06 backward": ("L06", Descends, "after the generator's terms these parameters have gradients: features.weight"),
    "L06 weights": ("L06", Moves, "after the discriminator's terms these weights have changed: realness.weight"),
    "L06 mode": ("L06", Switches, "after the discriminator's terms the discriminator is in eval mode"),
    "L06 samples": ("L06", Spoils, "the discriminator's terms changed the samples in place"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(judged, fault):
    check, loss, message = FAULTS[fault]

    outcome = judged(check, Kind.LOSS, lambda params, context: loss())

    assert outcome.state is CheckState.FAILED
    assert message in outcome.message


@pytest.mark.parametrize("check", [f"L0{n}" for n in range(1, 8)])
def test_a_sound_loss_passes(judged, check):
    assert judged(check, Kind.LOSS, lambda params, context: Sound()).state is CheckState.PASSED


def shifted(by, **declared):
    """The least-squares game with targets at by ± 1, and readings of these values."""

    class Shifted(Sound):
        term_info = {key: TermInfo("Cost.", declared.get(key.partition("/")[0])) for key in Sound.term_info}

        def discriminator(self, turn):
            return LossTerms(
                {
                    "game": (turn.critic(turn.real).logits - by - 1).square().mean()
                    + (turn.critic(turn.fake).logits - by + 1).square().mean()
                }
            )

        def generator(self, turn):
            return LossTerms({"game": (turn.critic(turn.fake).logits - by - 1).square().mean()})

    return lambda params, context: Shifted()


@pytest.mark.parametrize("by", [-3.0, 0.0, 0.1, 2.5])
def test_the_equilibrium_is_found_wherever_it_lies(judged, by):
    assert judged("L08", Kind.LOSS, shifted(by, discriminator=2.0, generator=1.0)).state is CheckState.PASSED
    assert judged("L08", Kind.LOSS, shifted(by, discriminator=2.0, generator=1.1)).state is CheckState.FAILED
    assert judged("L08", Kind.LOSS, shifted(by, discriminator=1.9)).state is CheckState.FAILED


@pytest.mark.parametrize("by", [-3.0, 0.0, 2.5])
def test_what_winning_costs_is_found_wherever_it_lies(judged, by):
    def won(best):
        loss = shifted(by)(None, None)
        loss.term_info = {key: replace(reading, best=best) for key, reading in loss.term_info.items()}
        return judged("L09", Kind.LOSS, lambda params, context: loss).state

    assert won(0.0) is CheckState.PASSED
    assert won(0.1) is CheckState.FAILED
    assert won(None) is CheckState.SKIPPED


def test_a_loss_without_logits_or_equilibrium_has_nothing_to_look_at(judged):
    class Matching(Sound):
        def discriminator(self, _turn):
            return LossTerms({})

        def generator(self, turn):
            return LossTerms(
                {"game": (turn.critic(turn.real).features.mean(0) - turn.critic(turn.fake).features.mean(0)).square().sum()}
            )

    outcome = judged("L07", Kind.LOSS, lambda params, context: Matching())
    assert (outcome.state, outcome.message) == (CheckState.SKIPPED, "its terms do not depend on the logits")
    outcome = judged("L08", Kind.LOSS, lambda params, context: Matching())
    assert (outcome.state, outcome.message) == (CheckState.SKIPPED, "term_info declares no equilibrium")


def test_a_declared_second_order_is_no_fault(judged):
    twice = type("Declared", (Twice,), {"second_order": True})

    assert judged("L05", Kind.LOSS, lambda params, context: twice()).state is CheckState.SKIPPED
    assert judged("L03", Kind.LOSS, lambda params, context: twice()).state is CheckState.PASSED


def test_a_loss_for_one_turn_has_nothing_to_look_at_in_the_other(judged):
    one_sided = type("OneSided", (Sound,), {"generator": lambda self, turn: LossTerms({})})

    outcome = judged("L04", Kind.LOSS, lambda params, context: one_sided())

    assert (outcome.state, outcome.message) == (CheckState.SKIPPED, "it returns no terms for the generator's turn")


class Reads(Sound):
    """Reads a head of the discriminator."""

    head = "style"

    def generator(self, turn):
        return LossTerms({"game": turn.critic(turn.fake).heads[self.head].square().mean()})


class Styled(stub_components.LinearDiscriminator):
    def forward(self, samples):
        verdict = super().forward(samples)
        return DiscriminatorOutput(verdict.logits, {"style": verdict.features}, verdict.features)


def test_a_head_that_no_one_provides_is_reported(judged):
    outcome = judged("L01", Kind.LOSS, lambda params, context: Reads(), requires=("head:style",))

    assert (outcome.state, outcome.message) == (CheckState.SKIPPED, "no installed discriminator provides head:style")


class Imaging(Styled):
    def forward(self, samples):
        assert samples.values.dim() == 4
        return super().forward(samples)


class Normalised(Styled):
    def __init__(self, params, context):
        super().__init__(params, context)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, samples):
        return super().forward(replace(samples, values=self.norm(samples.values)))


def reader(network, name="styled", requires=()):
    """A third-party discriminator with a head ``style``."""
    plugin = PluginRef("other", "other-gan", "1.0")
    return Component(Kind.DISCRIMINATOR, name, plugin, network, NoParams, "Styled.", 1, requires, ("head:style",))


def reading(component):
    return component(Kind.LOSS, lambda params, context: Reads(), requires=("head:style",))


@pytest.mark.parametrize(
    "partner",
    [reader(Styled), reader(Imaging, requires=("images",)), reader(Normalised)],
    ids=["plain", "of images only", "with batch norm, whose statistics move when it is asked"],
)
def test_the_head_comes_from_an_installed_discriminator(partner, component):
    loss = reading(component)
    outcomes = check_component(loss, registry=Registry((), [partner, loss]), only=("L01", "L04", "L06", "E01"))
    assert [outcome.state for outcome in outcomes] == [CheckState.PASSED] * 4


def test_the_partner_that_asks_for_least_is_taken(component):
    loss = reading(component)
    subject = ComponentCase(loss, Registry((), [reader(Imaging, "imaging", ("images",)), reader(Styled), loss]))

    assert subject.partner.name == "styled"
    assert subject.data.shape == (2,)


def test_the_stand_in_has_heads_for_codes_and_classes(judged):
    for head, words in (("code", "codes"), ("class", "labels")):
        reads = type("ReadsOther", (Reads,), {"head": head})
        outcome = judged("L01", Kind.LOSS, lambda params, context, reads=reads: reads(), requires=(words, f"head:{head}"))
        assert outcome.state is CheckState.PASSED


@pytest.mark.slow  # tests/builtin and plugins run the same checks
@pytest.mark.parametrize("component", load_plugins().components(Kind.LOSS), ids=lambda one: one.id)
def test_every_installed_loss_passes(component):
    outcomes = check_component(component, registry=load_plugins())

    assert [outcome for outcome in outcomes if outcome.state is CheckState.FAILED] == []


def test_every_check_has_a_planted_fault():
    assert {check for check, *_ in FAULTS.values()} >= {one.id for one in all_checks() if one.id.startswith("L")}


class Weighted(Sound):
    """A loss that reads the labels of real samples and needs none of the sampler."""

    def discriminator(self, turn):
        assert turn.real.labels is not None
        assert turn.fake.labels is None
        weights = 1 + 0 * turn.real.labels
        return LossTerms(
            {
                "game": (F.softplus(-turn.critic(turn.real).logits) * weights).mean()
                + F.softplus(turn.critic(turn.fake).logits).mean()
            }
        )


def test_a_loss_that_requires_labelled_data_is_tried_without_drawn_labels(component):
    loss = component(Kind.LOSS, lambda params, context: Weighted(), requires=("labelled-data",))
    failed = {one.check: one.message for one in check_component(loss) if one.state is CheckState.FAILED}
    assert failed == {}
