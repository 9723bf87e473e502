"""The health monitor: how long a problem must last, since when it is reported, and what a resumed run keeps."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from ganforge.core.contracts import MetricInfo
from ganforge.core.events import CheckUnavailable, Evaluated, Finished, HealthChecked, HealthSamples, Saved, Started, State, Stepped
from ganforge.core.findings import non_finite, report
from ganforge.core.health_config import Health
from ganforge.core.records import Evaluation, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.health.monitor import KEY, HealthMonitor, monitored


def started(iterations: int, at: int = 0) -> Started:
    roles = ("generator", "discriminator")
    return Started(at, iterations, "cpu", DataSpec((2,)), LatentSpec(2), {}, *roles, {}, {}, Samples(torch.zeros(1, 2)))


def step(iteration: int, **signals: float) -> Stepped:
    named = {"/".join(name.rsplit("_", 1)): torch.tensor(value) for name, value in signals.items()}
    return Stepped(iteration, {}, {}, named)


def odds(iteration: int, loss: float) -> Stepped:
    return step(iteration, dominance_loss=loss, dominance_accuracy=1.0, dominance_sign=1.0, dominance_rejected=0.0)


def examined(watch: HealthMonitor, events) -> list[HealthChecked]:
    return [event for event in monitored(iter(events), watch) if isinstance(event, HealthChecked)]


def test_dominance_is_reported_when_it_has_lasted_and_since_when_it_has_been_there():
    losses = [(at, 1.38 if at <= 2000 else 0.01) for at in range(10, 4010, 10)]
    messages = examined(HealthMonitor(Health()), [started(10_000), *(odds(at, loss) for at, loss in losses)])
    failing = [event for event in messages if report(event.findings)["verdict"] == "fail"]
    (finding,) = failing[0].findings
    assert (finding.check, finding.problem, finding.level) == ("dominance", "discriminator dominance", "fail")
    assert 2000 < finding.since <= 2160, "smoothed over 50 iterations, it takes some to pass both limits"
    assert 2200 < failing[0].iteration <= 2500
    assert {event.findings[0].since for event in failing} == {finding.since}
    assert failing[-1].iteration == 4000


def test_what_is_found_is_reported_however_often_states_are_saved():
    events = [started(10_000)]
    for at in range(10, 3010, 10):
        events += [odds(at, 0.01), Saved(at, State({}, {}))]
    assert report(examined(HealthMonitor(Health()), events)[-1].findings)["verdict"] == "fail"


def test_a_trouble_that_comes_and_goes_is_not_reported():
    losses = [(at, 0.01 if (at // 150) % 2 else 1.38) for at in range(10, 8010, 10)]
    assert not any(
        event.findings for event in examined(HealthMonitor(Health()), [started(10_000), *(odds(at, loss) for at, loss in losses)])
    )


def test_a_trouble_that_is_over_is_reported_no_more():
    losses = [(at, 0.01 if 2000 < at <= 3000 else 1.38) for at in range(10, 5010, 10)]
    messages = examined(HealthMonitor(Health()), [started(10_000), *(odds(at, loss) for at, loss in losses)])
    assert any(event.findings for event in messages)
    assert not messages[-1].findings


def test_short_runs_are_reported_in_time():
    messages = examined(HealthMonitor(Health()), [started(300), *(odds(at, 0.01) for at in range(10, 70, 10))])
    assert messages[-1].iteration == 60
    assert report(messages[-1].findings)["verdict"] == "fail"


def test_the_beginning_is_not_judged_by_what_is_not_learned_yet_but_by_its_gradients():
    messages = examined(HealthMonitor(Health()), [started(10_000), *(odds(at, 0.01) for at in range(10, 510, 10))])
    assert not any(event.findings for event in messages)
    messages = examined(
        HealthMonitor(Health()), [started(10_000), *(step(at, gradients_generator=1e6) for at in range(10, 510, 10))]
    )
    assert messages[-1].findings[0].problem == "exploding gradients"


def test_a_gradient_is_set_beside_its_median_at_first():
    norms = [(at, 2.0 if at <= 500 else 2e-3) for at in range(10, 2010, 10)]
    messages = examined(HealthMonitor(Health()), [started(10_000), *(step(at, gradients_generator=norm) for at, norm in norms)])
    assert messages[-1].values["vanishing"] == pytest.approx(1e-3, rel=1e-3)
    assert [finding.problem for finding in messages[-1].findings] == ["vanishing gradient"]


def test_the_worst_comes_first_and_a_cause_stands_for_its_symptoms():
    events = [started(10_000)]
    for at in range(10, 3010, 10):
        signals = {"dominance/loss": 0.01, "dominance/accuracy": 1.0, "input_gradient/real": 9.0, "input_gradient/fake": 1.0}
        events.append(Stepped(at, {}, {}, {name: torch.tensor(value) for name, value in signals.items()}))
    assert [(one.check, one.level) for one in examined(HealthMonitor(Health()), events)[-1].findings] == [
        ("dominance", "fail"),
        ("input_gradient", "warn"),
    ]

    events = [
        Stepped(event.iteration, {}, {}, {**event.diagnostics, "weights/generator": torch.tensor(1e3)})
        if isinstance(event, Stepped)
        else event
        for event in events
    ]
    assert [one.check for one in examined(HealthMonitor(Health()), events)[-1].findings] == ["weights", "input_gradient"]


def test_a_check_that_is_off_says_nothing():
    table = Health.model_validate({"dominance": {"enabled": False}})
    assert not any(
        event.findings for event in examined(HealthMonitor(table), [started(1000), *(odds(at, 0.01) for at in range(10, 1010, 10))])
    )


def test_divergence_is_reported_before_the_end():
    events = list(
        monitored(
            iter([started(100), Finished(7, "diverged", 1.0, "generator/total is nan at iteration 7")]), HealthMonitor(Health())
        )
    )
    assert [type(event).__name__ for event in events] == ["Started", "HealthChecked", "Finished"]
    (finding,) = events[1].findings
    assert (finding.problem, finding.level, finding.evidence) == (
        "non-finite values",
        "fail",
        "generator/total is nan at iteration 7",
    )


def test_a_resumed_run_is_watched_without_a_break():
    losses = [(at, 1.38 if at <= 2000 else 0.01) for at in range(10, 4010, 10)]
    steps = [odds(at, loss) for at, loss in losses]
    whole = examined(HealthMonitor(Health()), [started(10_000), *steps])

    saved = [
        *monitored(iter([started(10_000), *steps[:230], Saved(2300, State({}, {"iteration": 2300}))]), HealthMonitor(Health()))
    ][-1]
    kept = json.loads(json.dumps(saved.state.values))
    assert kept["iteration"] == 2300
    later = HealthMonitor(Health())
    later.restore(kept[KEY])
    rest = examined(later, [started(10_000, 2300), *steps[230:]])
    assert rest[-1].findings == whole[-1].findings
    assert rest[-1].values == whole[-1].values


def test_going_back_forgets_what_was_seen_since():
    watch = HealthMonitor(Health())
    examined(watch, [started(1000), *(odds(at, 0.01) for at in range(10, 510, 10))])
    assert watch.findings
    watch.roll_back(None)
    assert watch.findings == ()
    messages = [found for at in range(10, 110, 10) if (found := watch.handle(odds(at, 1.38)))]
    assert messages
    assert not any(event.findings for event in messages)


@pytest.mark.parametrize("plain", [None, "nothing", 3])
def test_a_state_of_a_run_that_was_not_watched_will_do(plain):
    watch = HealthMonitor(Health())
    watch.restore(plain)
    assert examined(watch, [started(100, 50), odds(60, 1.38)])


def probed(iteration: int, fake: torch.Tensor) -> HealthSamples:
    """A look at ``fake`` beside samples of a ring of eight modes."""
    real, training = ring(256, 2), ring(2000, 1)
    evaluation = Evaluation(Samples(real), Samples(fake), torch.Generator(), training=lambda most: Samples(training[:most]))
    return HealthSamples(iteration, evaluation, Samples(fake))


def ring(count: int, seed: int) -> torch.Tensor:
    stream = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (count,), generator=stream) * math.pi / 4
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(count, 2, generator=stream)


ONE_MODE = 0.05 * torch.randn(256, 2, generator=torch.Generator().manual_seed(4)) + torch.tensor([1.0, 0.0])


def test_a_resumed_run_still_has_the_failure_that_was_seen_in_samples():
    events = [started(1000), probed(500, ONE_MODE), probed(550, ONE_MODE), Saved(550, State({}, {}))]
    first = HealthMonitor(Health())
    saved = [*monitored(iter(events), first)][-1]
    assert report(first.findings)["verdict"] == "fail"
    later = HealthMonitor(Health())
    later.restore(json.loads(json.dumps(saved.state.values[KEY])))
    messages = examined(later, [started(1000, 550), *(odds(at, 1.38) for at in range(560, 660, 10))])
    assert messages[0].findings == first.findings, "the next look at samples comes later"
    assert {finding.since for finding in messages[0].findings} == {500}


def test_a_failure_is_dated_to_its_own_beginning_not_to_another_trouble_before_it():
    far = ring(256, 3) + 5
    looks = [probed(at, far if at < 600 else ONE_MODE) for at in range(100, 800, 50)]
    messages = {event.iteration: event.findings for event in examined(HealthMonitor(Health()), [started(1000), *looks])}
    assert {(one.problem, one.level, one.since) for one in messages[550] if one.check == "collapse"} == {
        ("samples unlike the data", "warn", 100)
    }
    assert {(one.problem, one.level, one.since) for one in messages[750] if one.check == "collapse"} == {
        ("mode collapse", "fail", 600)
    }


def test_a_failure_is_dated_to_when_it_became_one():
    losses = [(at, 1.38 if at <= 2000 else 0.2 if at <= 3000 else 0.01) for at in range(10, 4010, 10)]
    messages = examined(HealthMonitor(Health()), [started(10_000), *(odds(at, loss) for at, loss in losses)])
    levels = {event.findings[0].level: event.findings[0].since for event in messages if event.findings}
    assert 2000 < levels["warn"] < 2200
    assert 3000 < levels["fail"] < 3200


def test_samples_that_are_not_finite_are_a_failure_at_once_and_while_they_last():
    messages = examined(
        HealthMonitor(Health()), [started(1000), probed(50, torch.full((256, 2), math.nan)), probed(100, ring(256, 3))]
    )
    assert [[(one.check, one.problem, one.level) for one in event.findings] for event in messages] == [
        [("finite", "non-finite values", "fail")],
        [],
    ]


def test_a_slope_that_is_not_finite_once_does_not_stay():
    looks = [step(at, input_gradient_real=math.inf if at == 100 else 1.0, input_gradient_fake=1.0) for at in range(100, 1100, 100)]
    assert examined(HealthMonitor(Health()), [started(10_000), *looks])[-1].values["input_gradient"] == pytest.approx(1)


def test_a_gradient_that_is_not_finite_at_first_does_not_spoil_the_median():
    norms = [(at, math.nan if at % 20 else 2.0) for at in range(10, 510, 10)] + [(at, 2.0) for at in range(510, 2010, 10)]
    messages = examined(HealthMonitor(Health()), [started(10_000), *(step(at, gradients_generator=norm) for at, norm in norms)])
    assert messages[-1].values["vanishing"] == pytest.approx(1)


def test_what_cannot_be_watched_is_reported_once_and_the_rest_is_watched():
    losses = [odds(at, 0.01) for at in range(20, 4020, 10)]
    messages = examined(
        HealthMonitor(Health()),
        [started(10_000), odds(10, 0.01), CheckUnavailable(10, "input_gradient", "RuntimeError: no grad"), *losses],
    )
    assert [(one.check, one.problem, one.level, one.key) for one in messages[0].findings] == [
        ("input_gradient", "check unavailable", "warn", "health.input_gradient.enabled")
    ]
    assert "no grad" in messages[0].findings[0].evidence
    assert [(one.check, one.level) for one in messages[-1].findings] == [("dominance", "fail"), ("input_gradient", "warn")]
    off = Health.model_validate({"input_gradient": {"enabled": False}})
    assert examined(HealthMonitor(off), [started(10_000), CheckUnavailable(10, "input_gradient", "RuntimeError: no grad")]) == []


def test_a_check_that_is_lost_later_says_no_more_what_it_saw():
    watch = HealthMonitor(Health())
    examined(watch, [started(1000), probed(500, ONE_MODE), probed(550, ONE_MODE)])
    assert report(watch.findings)["verdict"] == "fail"
    examined(watch, [CheckUnavailable(600, "samples", "RuntimeError: out of memory")])
    assert [(one.check, one.problem) for one in watch.findings] == [("samples", "check unavailable")]


def test_a_watch_that_fails_itself_lets_training_go_on_and_says_so():
    odd = Stepped(20, {}, {}, {"dominance/loss": torch.zeros(2), "dominance/sign": torch.zeros(3)})
    watch = HealthMonitor(Health())
    events = list(
        monitored(
            iter([started(100), odd, odds(30, 1.0), odds(40, 1.0), Saved(40, State({}, {})), Finished(40, "finished", 1.0)]), watch
        )
    )
    messages = [event for event in events if isinstance(event, HealthChecked)]
    assert messages[-1].findings[0].problem == "check unavailable"
    assert messages[-1].findings[0].key == "health.enabled"
    assert type(events[-1]).__name__ == "Finished"
    later = HealthMonitor(Health())
    later.restore(next(event for event in events if isinstance(event, Saved)).state.values[KEY])
    assert not examined(later, [started(100, 40), odds(50, 1.0)])[-1].findings


@pytest.mark.parametrize(
    ("table", "events"),
    [
        ({"enabled": False}, [odds(10, 0.01)]),
        ({"enabled": False}, [odds(10, 0.01), probed(50, ONE_MODE), probed(100, ONE_MODE)]),
        ({}, []),
        ({"sample_checks": 0}, []),
    ],
)
def test_a_run_that_was_not_monitored_is_not_called_healthy(table, events):
    watch = HealthMonitor(Health.model_validate(table))
    assert examined(watch, [started(100), *events, Finished(100, "finished", 1.0)]) == []
    (diverged,) = examined(HealthMonitor(Health(enabled=False)), [started(100), Finished(3, "diverged", 1.0, "a loss is nan")])
    assert report(diverged.findings)["verdict"] == "fail"


def test_a_verdict_waits_for_the_checks_that_come_last():
    looks = [probed(at, ring(256, 3)) for at in range(50, 250, 50)]
    messages = examined(HealthMonitor(Health()), [started(1000), *looks])
    assert [(event.iteration, event.conclusive) for event in messages] == [(50, False), (100, True), (150, True), (200, True)]
    assert report(messages[0].findings, conclusive=messages[0].conclusive)["verdict"] == "not monitored"

    signals = [odds(at, 1.38) for at in range(10, 210, 10)]
    assert not any(event.conclusive for event in examined(HealthMonitor(Health()), [started(1000), *signals]))
    assert examined(HealthMonitor(Health(sample_checks=0)), [started(1000), *signals])[-1].conclusive


@pytest.mark.parametrize(
    ("iterations", "sample_checks", "apart"), [(200, 20, 50), (10, 20, 50), (1000, 20, 50), (20_000, 20, 1000), (200, 2, 100)]
)
def test_looks_at_samples_are_not_crowded_in_a_short_run(iterations, sample_checks, apart):
    assert Health(sample_checks=sample_checks).sample_interval(iterations) == apart


def test_a_divergence_is_one_finding_whoever_tells_it():
    (messages,) = examined(HealthMonitor(Health()), [started(100), Finished(7, "diverged", 1.0, "generator/total is nan")])
    assert messages.findings == (non_finite(7, "generator/total is nan"),)
    assert Health.model_fields.keys() >= {messages.findings[0].check}


def test_a_distance_of_nothing_is_no_oscillation():
    same = torch.ones(256, 2)
    evaluation = Evaluation(Samples(same + torch.arange(256)[:, None] % 2), Samples(same), torch.Generator())
    messages = examined(
        HealthMonitor(Health()), [started(1000), *(HealthSamples(at, evaluation, Samples(same)) for at in range(100, 800, 50))]
    )
    assert not any(one.problem == "check unavailable" for event in messages for one in event.findings)


def test_the_last_iteration_is_judged_at_once():
    messages = examined(HealthMonitor(Health()), [started(10_000), *(odds(at, 0.01) for at in range(9550, 10_001, 10))])
    assert messages[-1].iteration == 10_000, "six looks are held by then, and not ten"


def test_what_is_not_watched_is_reported_again_with_the_iteration_it_is_missing_since():
    watch = HealthMonitor(Health())
    missing = CheckUnavailable(30, "dominance", "RuntimeError: no logits")
    saved = [*monitored(iter([started(10_000), missing, Saved(40, State({}, {}))]), watch)][-1]
    assert watch.findings[0].evidence == "dominance, and overfitting: RuntimeError: no logits"

    later = HealthMonitor(Health())
    later.restore(json.loads(json.dumps(saved.state.values))[KEY])
    again = [*monitored(iter([started(10_000, 40), CheckUnavailable(50, "dominance", "RuntimeError: no logits")]), later)]
    assert (again[-1].findings[0].problem, again[-1].findings[0].since) == ("check unavailable", 30)
    assert later.to_plain()["unavailable"] == {"dominance": 30}

    mended = HealthMonitor(Health())
    mended.restore(json.loads(json.dumps(saved.state.values))[KEY])
    looks = [odds(at, 1.38) for at in range(1000, 1200, 10)]
    again = [
        *monitored(iter([started(10_000, 40), *looks, CheckUnavailable(1300, "dominance", "RuntimeError: no logits")]), mended)
    ]
    assert again[-1].findings[0].since == 1300, "it was watched in between"


def test_a_run_without_monitoring_can_be_rolled_back_after_a_divergence():
    watch = HealthMonitor(Health(enabled=False))
    assert examined(watch, [started(100), odds(10, 1.0)]) == []
    watch.roll_back({"values": {}})
    assert watch.to_plain() is None


@pytest.mark.parametrize("part", ["values", "smoother", "histories", "ratios", "run_once", "unavailable"])
def test_a_memory_of_another_form_is_ignored(part):
    """A checkpoint may come from anyone; what it says of the health of a run must not end its training."""
    first = HealthMonitor(Health())
    events = [started(100), *(odds(iteration, 0.5) for iteration in range(1, 60)), Saved(60, State({}, {}))]
    memory = next(event for event in monitored(events, first) if isinstance(event, Saved)).state.values[KEY]
    later = HealthMonitor(Health())

    later.restore({**memory, part: {"dominance": {"counts": {"warn": "x"}, "needed": None}}})

    assert later.to_plain() is None
    checked = [event for event in monitored([started(100), odds(61, 1.38)], later) if isinstance(event, HealthChecked)]
    assert [event.findings for event in checked] == [()]  # neither an error nor a check that is unavailable


FAR = ring(256, 3) + 5


def test_a_run_that_does_not_converge_fails_before_its_last_fifth_and_no_symptom_hides_it():
    events = [started(1000), *(probed(at, FAR) for at in range(50, 1001, 50))]
    messages = {event.iteration: event.findings for event in examined(HealthMonitor(Health()), events)}
    assert {one.problem for one in messages[700]} == {"samples unlike the data"}
    assert [(one.check, one.problem, one.level, one.since) for one in messages[800]] == [
        ("convergence", "convergence failure", "fail", 700)
    ]
    assert [one.problem for one in messages[1000]] == ["convergence failure"]


def test_a_late_start_is_no_convergence_failure():
    events = [started(1000), *(probed(at, FAR if at < 700 else ring(256, 3)) for at in range(50, 1001, 50))]
    assert not any(one.level == "fail" for event in examined(HealthMonitor(Health()), events) for one in event.findings)


RECOVERY = MetricInfo("share of matching codes", "higher", 1.0)


@pytest.mark.parametrize(
    ("info", "value", "far"),
    [
        (RECOVERY, 0.59, True),
        (RECOVERY, 0.85, False),
        (RECOVERY, 1.5, False),
        (MetricInfo("density", "nearer", 1.0), 1.5, True),
        (MetricInfo("a distance without a scale", "lower", 0.0), 1.5, False),
        (MetricInfo("no ideal", "higher"), 0.0, False),
    ],
)
def test_a_metric_that_ends_far_from_its_ideal_is_in_the_verdict(info, value, far):
    begun = replace(started(1000), value_info={"code": info, "left out at the end": RECOVERY})
    early = Evaluated(500, {"code": -9.0, "left out at the end": 0.0}, 0.1)
    events = [begun, early, *(odds(at, 1.38) for at in range(510, 1001, 10)), Evaluated(1000, {"code": value}, 0.1)]
    last = examined(HealthMonitor(Health(sample_checks=0)), [*events, Finished(1000, "finished", 1.0)])[-1]
    assert report(last.findings)["verdict"] == ("warn" if far else "healthy")
    if far:
        (finding,) = last.findings
        ideal = f"code is {value:g} at the end, and 1 for a perfect generator"
        assert (finding.check, finding.problem, finding.evidence) == ("metrics", "metric far from its ideal", ideal)

    off = Health.model_validate({"metrics": {"enabled": False}, "sample_checks": 0})
    assert examined(HealthMonitor(off), [*events, Finished(1000, "finished", 1.0)])[-1].findings == ()
    stopped = examined(HealthMonitor(Health(sample_checks=0)), [*events, Finished(1000, "stopped", 1.0)])[-1]
    assert stopped.findings == ()  # it may still come
