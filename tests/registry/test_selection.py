from pathlib import Path

import pytest

from ganforge.core.errors import UsageError
from ganforge.registry.selection import Switches, normalise, plugin_name

INSTALLED = [("acme", "acme-gan"), ("other", "other-gan")]


@pytest.mark.parametrize("name", ["acme-gan", "Acme_GAN", "acme.gan", " acme--gan ", "ACME-_-GAN"])
def test_all_spellings_of_a_name_are_one(name):
    assert normalise(name) == "acme-gan"


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


def test_an_upper_list_of_allowed_plugins_replaces_all_below():
    upper = Switches(allowed=frozenset({"acme"}))
    lower = Switches(disabled=frozenset({"acme", "other"}), allowed=frozenset({"other"}))

    both = upper.over(lower)

    assert both.refusal("acme", "acme-gan") is None
    assert both.refusal("other", "other-gan") == "not among the allowed plugins"


def test_disabled_plugins_add_up_and_a_lower_list_of_allowed_ones_stays():
    both = Switches(disabled=frozenset({"acme"})).over(
        Switches(disabled=frozenset({"other"}), allowed=frozenset({"acme", "third"}))
    )

    assert [both.refusal(name, name) is None for name in ("acme", "other", "third", "fourth")] == [False, False, True, False]


def test_strictness_of_either_is_strictness():
    assert Switches(strict=True).over(Switches()).strict
    assert Switches().over(Switches(strict=True)).strict


def test_a_local_file_is_allowed_by_whoever_names_it():
    upper = Switches.said(("--no-plugin", frozenset()), ("--only-plugins", frozenset({"acme"})), local=(Path("/a/My_GAN.py"),))
    lower = Switches.said(("p (disable)", frozenset()), ("p (only)", None), local=(Path("/b/theirs.py"), Path("/a/My_GAN.py")))

    both = upper.over(lower)

    assert both.local == (Path("/a/My_GAN.py"), Path("/b/theirs.py"))
    assert both.refusal("my-gan", "local") is None
    assert both.refusal("theirs", "local") == "not named by --only-plugins"
    assert lower.over(Switches(allowed=frozenset())).refusal("theirs", "local") is None


def test_a_refusal_tells_the_switch():
    said = Switches.said(("--no-plugin", frozenset({"acme"})), ("GANFORGE_PLUGINS", frozenset({"acme"})))

    assert said.refusal("acme", "acme-gan") == "switched off by --no-plugin"
    assert said.refusal("other", "other-gan") == "not named by GANFORGE_PLUGINS"


@pytest.mark.parametrize(
    ("file", "name"), [("my_gan.py", "my-gan"), ("/a b/My GAN.v2.py", "my-gan-v2"), ("_.py", "unnamed"), ("ганс.py", "unnamed")]
)
def test_a_local_file_has_a_name_like_any_plugin(file, name):
    assert plugin_name(Path(file)) == name


def said(*files):
    return Switches.said(("--no-plugin", frozenset()), ("--only-plugins", None), local=tuple(map(Path, files)))


def test_a_local_file_that_is_named_twice_is_one():
    assert said("/a/good.py", "/b/other.py", "/a/good.py").local == (Path("/a/good.py"), Path("/b/other.py"))


def test_two_local_files_of_one_name_are_refused_with_both():
    with pytest.raises(UsageError, match=r"the plugin 'my-gan': /a/my_gan\.py and /b/My-GAN\.py") as caught:
        said("/a/my_gan.py", "/b/My-GAN.py")
    assert "rename one" in caught.value.remedy
