import pytest

from ganforge.core.errors import UsageError
from ganforge.hooks.switches import Switches, normalise

INSTALLED = [("acme", "acme-gan"), ("other", "other-gan")]


@pytest.mark.parametrize("name", ["acme-gan", "Acme_GAN", "acme.gan", " acme--gan ", "ACME-_-GAN"])
def test_all_spellings_of_a_name_are_one(name):
    assert normalise(name) == "acme-gan"


def test_the_environment_may_say_nothing():
    assert Switches.from_environment({}) == Switches(frozenset(), None, strict=False)


@pytest.mark.parametrize("text", ["acme,Other_GAN", "acme other-gan", " acme , other.gan,"])
def test_names_are_separated_by_commas_or_blanks(text):
    assert Switches.from_environment({"GANFORGE_DISABLE_PLUGINS": text}).disabled == {"acme", "other-gan"}
    assert Switches.from_environment({"GANFORGE_PLUGINS": text}).allowed == {"acme", "other-gan"}


def test_an_empty_list_of_allowed_plugins_allows_none():
    switches = Switches.from_environment({"GANFORGE_PLUGINS": ""})

    assert switches.allowed == frozenset()
    assert switches.refusal("acme", "acme-gan") == "not among the allowed plugins"


@pytest.mark.parametrize(("text", "strict"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_strictness(text, strict):
    assert Switches.from_environment({"GANFORGE_STRICT_PLUGINS": text}).strict is strict


def test_disabling_wins_over_allowing():
    switches = Switches(frozenset({"acme"}), frozenset({"acme-gan"}))

    assert switches.refusal("acme", "acme-gan") == "switched off"


def test_a_misspelt_switch_is_an_error_with_a_suggestion():
    with pytest.raises(UsageError) as caught:
        Switches(disabled=frozenset({"acme-gna"})).check(INSTALLED)

    assert caught.value.message == "no plugin named 'acme-gna' is installed, so it can be neither disabled nor allowed"
    assert caught.value.remedy == "did you mean 'acme-gan'? installed: acme, acme-gan, other, other-gan"


def test_a_misspelt_allowance_is_an_error():
    with pytest.raises(UsageError, match="'zzz'"):
        Switches(allowed=frozenset({"zzz"})).check(INSTALLED)


@pytest.mark.parametrize("name", ["builtin", "ganforge"])
def test_built_in_components_cannot_be_switched_off(name):
    with pytest.raises(UsageError, match="cannot be switched off"):
        Switches(disabled=frozenset({name})).check(INSTALLED)


def test_built_in_components_may_be_allowed_by_name():
    Switches(allowed=frozenset({"builtin", "ganforge", "acme"})).check(INSTALLED)
