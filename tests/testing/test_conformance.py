import json
import random
import re
import subprocess
import sys
import unittest

import numpy as np
import pytest
import torch

from ganforge.cli.app import main
from ganforge.core.errors import UsageError
from ganforge.registry.component import Kind
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import PluginSelection
from ganforge.testing import (
    CheckFailedError,
    CheckState,
    Outcome,
    Report,
    cases,
    check_component,
    check_plugin,
    conformance_cases,
    stub_components,
)

HOOKS = """
from ganforge.plugin import hookimpl


@hookimpl
def ganforge_register_generators(register):
    register("sound", "acme_gan_nets:build", summary="Sound.")
    register("untaught", "acme_gan_nets:build_untaught", summary="Faulty.")
"""

PASSED = Report("acme-gan", "1.0", (Outcome("G01", "…", "generator x", CheckState.PASSED),))
NETS = """
from torch import nn

from ganforge.testing import stub_components


def build(params, context):
    return stub_components.LinearGenerator(params, context)


def build_untaught(params, context):
    network = build(params, context)
    network.forgotten = nn.Linear(2, 2)
    return network
"""


@pytest.fixture
def acme(install):
    """A plugin with a sound and a faulty generator."""
    install(source=HOOKS).folder.joinpath("acme_gan_nets.py").write_text(NETS)
    return load_plugins(PluginSelection(allowed=frozenset({"acme-gan"})))


def test_everything_registered_is_checked(acme):
    report = check_plugin("acme-gan", registry=acme)

    assert {outcome.subject for outcome in report.outcomes} == {"plugin acme-gan", "generator sound", "generator untaught"}
    assert {outcome.check for outcome in report.outcomes if outcome.subject == "generator sound"} == {
        *("P05", "P06", "P07", "P08", "P09", "P10", "P11", "P12"),
        *("G01", "G02", "G03", "G04", "G05", "G06", "G07", "G08", "E01"),
    }
    failed = [outcome for outcome in report.outcomes if outcome.state is CheckState.FAILED]
    assert [(outcome.check, outcome.subject) for outcome in failed] == [("G04", "generator untaught")]
    assert not report.ok

    text = str(report)
    assert text.startswith("acme-gan 1.0 from ")
    assert "  generator sound              17 passed\n" in text
    assert (
        "    G04 failed: Every parameter receives a gradient: parameters without a gradient: forgotten.weight, forgotten.bias\n"
        in text
    )
    assert "37 of 38 checks passed, 1 failed, 0 expected failure, 0 skipped." in text


def test_a_failure_may_be_expected_for_a_reason(acme):
    report = check_plugin("acme-gan", registry=acme, expected_failures={"G04:untaught": "a spare layer"})

    assert report.ok
    assert report.count(CheckState.EXPECTED) == 1
    assert (
        "G04 expected failure: Every parameter receives a gradient: a spare layer (parameters without a gradient: forgotten.weight"
        in str(report)
    )


def test_a_reason_may_stand_where_the_component_is_registered(install, capsys):
    source = HOOKS.replace('summary="Faulty."', 'summary="Faulty.", expected_failures={"G04": "a spare layer"}')
    install(source=source).folder.joinpath("acme_gan_nets.py").write_text(NETS)

    assert main(["plugins", "check", "acme-gan"]) == 0
    shown = capsys.readouterr().out
    assert (
        "G04 expected failure: Every parameter receives a gradient: a spare layer (parameters without a gradient: forgotten.weight"
        in shown
    )
    assert "37 of 38 checks passed, 0 failed, 1 expected failure, 0 skipped." in shown


def test_a_registered_reason_does_not_outlive_its_cause(install):
    source = HOOKS.replace('summary="Sound."', 'summary="Sound.", expected_failures={"G04": "once it was so"}')
    install(source=source).folder.joinpath("acme_gan_nets.py").write_text(NETS)

    report = check_plugin("acme-gan", registry=load_plugins(PluginSelection(allowed=frozenset({"acme-gan"}))))

    failed = [outcome for outcome in report.outcomes if outcome.state is CheckState.FAILED and outcome.subject == "generator sound"]
    assert [outcome.message for outcome in failed] == [
        "expected to fail (once it was so), but it passes: remove the expected failure"
    ]


def test_an_expected_failure_that_passes_is_a_failure(acme):
    found = cases("acme-gan", registry=acme, expected_failures={"G04:sound": "no reason any more"})

    outcome = next(case for case in found if str(case) == "G04:sound").outcome()

    assert outcome.state is CheckState.FAILED
    assert outcome.message == "expected to fail (no reason any more), but it passes: remove the expected failure"


def test_an_expected_failure_must_name_a_check(acme):
    with pytest.raises(UsageError, match="G04:untaugt") as caught:
        cases("acme-gan", registry=acme, expected_failures={"G04:untaugt": "…"})

    assert caught.value.remedy == "did you mean 'G04:untaught'?"


def test_a_plugin_that_is_not_installed_is_reported(acme):
    with pytest.raises(UsageError, match="did you mean 'acme-gan'"):
        check_plugin("acme-gna", registry=acme)


def test_a_report_of_nothing_is_no_success():
    report = Report("acme-gan", "1.0", ())

    assert not report.ok
    assert "No check ran." in str(report)


def test_a_report_of_skips_is_no_success():
    assert not Report("acme-gan", "1.0", (Outcome("G01", "…", "generator x", CheckState.SKIPPED, "why"),)).ok


def test_what_needs_a_missing_module_is_skipped_with_the_reason(component):
    needy = component(Kind.GENERATOR, stub_components.LinearGenerator, needs=("einops_is_not_here",))

    outcomes = check_component(needy)

    assert {(outcome.state, outcome.message) for outcome in outcomes} == {(CheckState.SKIPPED, "needs einops_is_not_here")}
    assert len(outcomes) == 17


def test_an_exception_of_the_component_is_a_failure_with_its_traceback(judged):
    def build(params, context):
        raise ZeroDivisionError("planted")

    outcome = judged("P11", Kind.GENERATOR, build)

    assert outcome.state is CheckState.FAILED
    assert re.fullmatch(r"ZeroDivisionError: planted \(test_conformance.py:\d+\)", outcome.message)
    assert "in build" in outcome.traceback


def test_one_fault_is_reported_once(component):
    def build(params, context):
        raise ZeroDivisionError("planted")

    outcomes = check_component(component(Kind.GENERATOR, build))

    assert [outcome.check for outcome in outcomes if outcome.state is CheckState.FAILED] == ["P11"]
    assert {outcome.message for outcome in outcomes if outcome.check[0] in "GE"} == {"P11 fails"}


def test_checking_leaves_no_trace_in_the_callers_random_numbers(component):
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()

    check_component(component(Kind.GENERATOR, stub_components.LinearGenerator))

    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_cases_are_pytest_tests(acme):
    mark = conformance_cases("ganforge-vanilla")

    @mark
    def test_conformance(case): ...

    (parametrize,) = test_conformance.pytestmark
    ids = [str(case) for case in parametrize.args[1]]
    assert "G04:mlp" in ids
    assert "P08:discriminator/mlp" in ids
    assert len(ids) == len(set(ids))


def test_a_case_passes_fails_or_skips_like_a_test(acme):
    by_name = {str(case): case for case in cases("acme-gan", registry=acme, expected_failures={"G04:untaught": "a spare layer"})}
    faulty = {str(case): case for case in cases("acme-gan", registry=acme)}

    assert by_name["G04:sound"].run() is None
    with pytest.raises(
        CheckFailedError, match=r"G04: Every parameter receives a gradient: parameters without a gradient: forgotten\.weight"
    ):
        faulty["G04:untaught"].run()
    with pytest.raises(unittest.SkipTest, match=r"expected failure: a spare layer"):
        by_name["G04:untaught"].run()


@pytest.mark.slow
def test_the_kit_needs_no_pytest():
    code = (
        "import sys; from ganforge.testing import check_plugin; "
        "assert check_plugin('ganforge-vanilla').ok; assert 'pytest' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_kits_door_is_light():
    code = "import sys; import ganforge.testing; print([name for name in ('torch', 'numpy', 'mlflow') if name in sys.modules])"

    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=240)
    assert shown.stdout == "[]\n"


@pytest.mark.usefixtures("acme")
def test_the_command_ends_with_1_when_a_check_fails(capsys):
    assert main(["plugins", "check", "acme-gan", "--json"]) == 1

    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["ok"]) == (1, False)
    (report,) = shown["reports"]
    assert report["distribution"] == "acme-gan"
    assert report["counts"] == {"passed": 37, "failed": 1, "skipped": 0, "expected failure": 0}
    failed = [outcome for outcome in report["outcomes"] if outcome["state"] == "failed"]
    assert [(outcome["check"], outcome["subject"]) for outcome in failed] == [("G04", "generator untaught")]


def test_the_command_ends_with_0_when_all_is_well(capsys):
    assert main(["plugins", "check", "vanilla"]) == 0
    assert "checks passed, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--all"]])
def test_the_command_checks_all_that_is_not_switched_off(install, capsys, monkeypatch, arguments):
    install()
    install("other-gan", source="raise RuntimeError('planted')\n")
    monkeypatch.setenv("GANFORGE_PLUGINS", "acme-gan")
    checked = []
    monkeypatch.setattr("ganforge.testing.conformance.check_records", lambda records, registry: checked.append(records) or PASSED)

    assert main(["plugins", "check", *arguments, "--json"]) == 0

    shown = capsys.readouterr()
    assert [[one.distribution for one in records] for records in checked] == [["ganforge"], ["acme-gan"]]
    assert "other-gan is not checked: not named by GANFORGE_PLUGINS" in shown.err
    assert json.loads(shown.out)["ok"]


def test_a_plugin_that_is_switched_off_proves_nothing(install, capsys):
    install()

    assert main(["plugins", "check", "acme-gan", "--no-plugin", "acme-gan"]) == 1
    assert "P02 skipped: The plugin loads, its hooks exist and are marked, and it registers something: it is switched off by" in (
        capsys.readouterr().out
    )


def test_the_command_wants_one_name_or_all(capsys):
    assert main(["plugins", "check", "vanilla", "--all"]) == 2
    assert "a name and --all cannot be combined" in capsys.readouterr().err
