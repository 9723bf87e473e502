import pytest

from ganforge.core.errors import PluginError, UsageError
from ganforge.core.params import Params
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.discovery import PluginRecord, PluginStatus
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import FIRST_PARTY, Registry, new_name_error, owner_of, shadowed_package
from ganforge.registry.selection import command_line_selection
from ganforge.testing import fake_plugin


def component(identity, kind=Kind.GENERATOR, **options):
    distribution, name = identity.split("/")
    plugin = PluginRef(distribution, distribution, "1.0")
    return Component(kind, name, plugin, "a:b", "a:P", "A part.", **options)


def record(distribution, status, reason="ModuleNotFoundError: No module named 'einops'", **options):
    return PluginRecord(distribution, distribution, "1.0", status=status, reason=reason, **options)


def registry(*identities, plugins=(), kind=Kind.GENERATOR):
    return Registry(plugins, [component(identity, kind) for identity in identities])


@pytest.mark.parametrize("name", ["swirl", "acme-gan/swirl", "acme-gan/swirl@1", "swirl@1", "Acme_GAN/swirl"])
def test_a_component_is_found_by_each_form_of_its_name(name):
    assert registry("acme-gan/swirl", "other/curl").find(Kind.GENERATOR, name).id == "acme-gan/swirl"


@pytest.mark.parametrize("name", ["", "a/b/c", "swirl@", "swirl@x", "/swirl", "swirl@1@2", "a b"])
def test_what_is_no_name_is_reported(name):
    with pytest.raises(UsageError) as caught:
        registry("acme-gan/swirl").find(Kind.GENERATOR, name)

    assert caught.value.remedy


def test_an_unknown_name_gets_a_suggestion_and_the_whole_list():
    with pytest.raises(UsageError) as caught:
        registry("acme-gan/swirl", "other/curl").find(Kind.GENERATOR, "swril")

    assert caught.value.message == "no generator named 'swril'"
    assert caught.value.remedy == "did you mean 'swirl'? installed generators: curl, swirl"


def test_an_unknown_name_with_nothing_installed():
    with pytest.raises(UsageError, match="installed losses: none"):
        registry().find(Kind.LOSS, "hinge")


def test_a_name_of_another_kind_is_recognised():
    with pytest.raises(UsageError, match="'swirl' is a generator"):
        registry("acme-gan/swirl").find(Kind.LOSS, "swirl")


def test_first_party_names_are_reserved():
    both = registry("acme-gan/mlp", "ganforge-vanilla/mlp")

    assert both.find(Kind.GENERATOR, "mlp").id == "ganforge-vanilla/mlp"
    assert both.find(Kind.GENERATOR, "acme-gan/mlp").id == "acme-gan/mlp"
    assert [both.name_of(one) for one in both.components()] == ["acme-gan/mlp", "mlp"]


def test_first_party_names_are_reserved_even_where_the_plugin_is_not_installed():
    with pytest.raises(UsageError) as caught:
        registry("acme-gan/dcgan").find(Kind.GENERATOR, "dcgan")

    assert "install the plugin ganforge-dcgan, which provides it, or write 'acme-gan/dcgan'" in caught.value.remedy
    assert "installed generators: acme-gan/dcgan" in caught.value.remedy


def test_a_clash_of_third_parties_lists_the_full_ids():
    both = registry("acme-gan/swirl", "other/swirl")

    with pytest.raises(UsageError) as caught:
        both.find(Kind.GENERATOR, "swirl")

    assert caught.value.message == "generator 'swirl' is ambiguous"
    assert caught.value.remedy == "write one of: acme-gan/swirl, other/swirl"
    assert [both.name_of(one) for one in both.components()] == ["acme-gan/swirl", "other/swirl"]


def test_one_name_may_stand_for_two_kinds():
    two = Registry((), [component("acme-gan/swirl"), component("acme-gan/swirl", Kind.DATASET)])

    assert two.find(Kind.DATASET, "swirl").kind is Kind.DATASET
    assert two.components(Kind.GENERATOR) == (component("acme-gan/swirl"),)


def test_another_revision_is_refused():
    with pytest.raises(UsageError) as caught:
        registry("acme-gan/swirl").find(Kind.GENERATOR, "swirl@2")

    assert caught.value.message == "generator 'acme-gan/swirl' is installed in revision 1, not 2"
    assert "or write 'acme-gan/swirl@1'" in caught.value.remedy


def test_a_missing_module_is_named():
    needy = Registry((), [component("acme-gan/swirl", needs=("json", "einops_is_not_here.layers"))])

    with pytest.raises(PluginError, match=r"generator 'acme-gan/swirl' is unavailable: needs einops_is_not_here\.layers"):
        needy.find(Kind.GENERATOR, "swirl")
    assert needy.find(Kind.GENERATOR, "swirl", usable=False)


@pytest.mark.parametrize(
    ("need", "missing", "hint"),
    [
        ("sklearn", False, None),
        ("scikit-learn", False, None),
        ("scikit-learn>=0.1", False, None),
        ("scikit-learn>=99", True, "pip install 'scikit-learn>=99'"),
        ("einops_is_not_here.layers", True, "pip install einops-is-not-here"),
        ("needy-gan[images]", True, "pip install 'needy-gan[images]'"),
        ("needy-gan[tables]", False, None),
        ("absent_images", True, "pip install 'needy-gan[images]'"),
        ("absent_always", True, "pip install 'absent-always>=2'"),
    ],
)
def test_needs_are_modules_distributions_or_extras_with_pip_s_names(tmp_path, monkeypatch, need, missing, hint):
    requires = ("ganforge", "absent-images; extra == 'images'", "pytest; extra == 'tables'", "absent-always>=2")
    fake_plugin(tmp_path, name="needy-gan", requires=requires)
    monkeypatch.syspath_prepend(tmp_path)
    needy = component("needy-gan/swirl", needs=(need,))

    assert needy.missing == ((need,) if missing else ())
    if hint:
        with pytest.raises(PluginError) as caught:
            Registry((), [needy]).find(Kind.GENERATOR, "swirl")
        assert caught.value.remedy == hint


def test_a_component_of_a_broken_plugin_gives_the_original_error():
    broken = registry(plugins=[record("acme-gan", PluginStatus.BROKEN)])

    with pytest.raises(PluginError) as caught:
        broken.find(Kind.GENERATOR, "acme-gan/swirl")

    expected = "generator 'swirl' comes from acme-gan 1.0, which is broken: ModuleNotFoundError: No module named 'einops'"
    assert caught.value.message == expected
    assert caught.value.exit_code == 3


def test_a_reserved_name_of_a_broken_plugin_gives_the_original_error():
    broken = registry(plugins=[record("ganforge-dcgan", PluginStatus.BROKEN)])

    with pytest.raises(PluginError, match="comes from ganforge-dcgan"):
        broken.find(Kind.GENERATOR, "dcgan")


def test_an_unknown_name_mentions_the_plugins_that_failed():
    broken = registry("other/curl", plugins=[record("acme-gan", PluginStatus.BROKEN)])

    with pytest.raises(UsageError) as caught:
        broken.find(Kind.GENERATOR, "swirl")

    assert caught.value.remedy.endswith("failed to load: acme-gan (ModuleNotFoundError: No module named 'einops')")


def test_a_wrong_name_of_an_active_plugin_is_the_users_mistake():
    healthy = registry("acme-gan/swirl", plugins=[record("acme-gan", PluginStatus.ACTIVE, None)])

    with pytest.raises(UsageError, match="no generator named 'acme-gan/curl'"):
        healthy.find(Kind.GENERATOR, "acme-gan/curl")


def test_the_warning_counts_what_failed():
    statuses = {
        "a": PluginStatus.BROKEN,
        "b": PluginStatus.INCOMPATIBLE,
        "c": PluginStatus.DISABLED,
        "d": PluginStatus.UNAVAILABLE,
        "e": PluginStatus.ACTIVE,
    }
    many = Registry([record(name, status) for name, status in statuses.items()], ())

    assert many.warning == "2 plugins failed to load (a, b); see: `ganforge plugins list`"
    assert registry().warning is None


def test_every_first_party_component_installed_has_its_short_name_reserved():
    """A new component of a first-party plugin belongs in ``ganforge.registry.registry``."""
    installed = load_plugins().components()

    ours = [one for one in installed if one.plugin.distribution in FIRST_PARTY - {"ganforge"}]
    assert {one.id: owner_of(one.kind, one.name) for one in ours} == {one.id: one.plugin.distribution for one in ours}


def test_no_two_first_party_components_share_a_short_name():
    names = [(one.kind, one.name) for one in load_plugins().components() if one.plugin.distribution in FIRST_PARTY]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("ref", "remedy"),
    [
        (PluginRef("a", "acme-gan", "1.2"), "fix or reinstall acme-gan 1.2"),
        (PluginRef("my-gan", "local", "0123", "file", "/src/my_gan.py", "0123"), "fix /src/my_gan.py"),
    ],
)
def test_a_factory_that_leads_nowhere_is_mended_where_it_stands(ref, remedy):
    lost = Component(kind=Kind.LOSS, name="lost", plugin=ref, factory="ganforge:no_such", params=Params, summary="Lost.")

    with pytest.raises(PluginError) as caught:
        lost.load_factory()
    assert caught.value.remedy == remedy


@pytest.mark.parametrize("package", ["json", "torch", "PIL", "pil", "ganforge"])
def test_packages_that_others_have(package):
    assert shadowed_package(package)


def test_a_name_of_ones_own():
    assert shadowed_package("acme_gan") is None
    assert new_name_error("acme-gan") is None
    assert new_name_error("pillow")


def test_a_plugin_that_is_not_installed_is_named_before_any_guess():
    with pytest.raises(UsageError) as caught:
        registry("other/moon").find(Kind.GENERATOR, "acme/moons")

    assert caught.value.remedy.startswith("the plugin acme is not installed: install it; installed generators: moon")


def test_a_name_of_another_kind_is_named_before_any_guess():
    parts = Registry((), [component("acme-gan/swirl", Kind.DISCRIMINATOR), component("acme-gan/swirls")])
    with pytest.raises(UsageError, match="'swirl' is a discriminator, not a generator"):
        parts.find(Kind.GENERATOR, "swirl")


def test_the_suggested_command_has_the_options_of_this_one(tmp_path):
    broken = registry(plugins=[record("acme-gan", PluginStatus.BROKEN)])
    with command_line_selection(disabled=[], only=None, local=[tmp_path / "my_gan.py"]):
        assert broken.warning.endswith(f"see: `ganforge plugins list --plugin {tmp_path / 'my_gan.py'}`")
        with pytest.raises(PluginError, match="plugins list --status broken --plugin"):
            broken.find(Kind.GENERATOR, "acme-gan/swirl")
