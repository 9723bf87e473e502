"""Parts that do not fit each other: one problem for each misfit, at the key to change."""

import pytest

from ganforge.build.blueprint import resolve_recipe
from ganforge.core.errors import IncompatiblePartsError, RecipeError
from ganforge.core.specs import DataSpec, LatentSpec

CGAN = ('use = "mlp"', 'use = "cgan-mlp"')
LABELLED = ('use = "normal"', 'use = "labelled"')
STRUCTURED = ('use = "normal"\nparams = { size = 3 }', 'use = "structured"\nparams = { size = 3, categorical = [2] }')
UNLABELLED = ('use = "moons"', 'use = "swiss-roll"')
DIGITS = ('use = "moons"\nparams = { samples = 200 }', 'use = "digits"')
RING = ('use = "moons"', 'use = "ring"')
INFOGAN = ('[discriminator]\nuse = "mlp"', '[discriminator]\nuse = "infogan-mlp"')
INFORMATION = '[[loss]]\nuse = "mutual-information"\n'


def metric(name):
    return ('use = "wasserstein"', f'use = "{name}"')


@pytest.fixture
def messages(source, registry):
    """The problems of the whole recipe with texts replaced, as (key, message, hint)."""

    def messages(*pairs, more="", registry=registry):
        with pytest.raises(RecipeError) as caught:
            resolve_recipe(source(*pairs, more=more), registry)
        return [(problem.key, problem.message, problem.hint) for problem in caught.value.problems]

    return messages


@pytest.fixture
def warned(source, registry):
    """The warnings of the whole recipe with texts replaced, as (key, message)."""

    def warned(*pairs, more="", registry=registry):
        return [(problem.key, problem.message) for problem in resolve_recipe(source(*pairs, more=more), registry).warnings]

    return warned


def test_labels_of_unlabelled_data_are_one_problem_of_the_data(messages):
    ((key, message, hint),) = messages(UNLABELLED, LABELLED, CGAN, CGAN)
    assert key == "dataset.use"
    assert message == (
        "sampler 'labelled', generator 'cgan-mlp' and discriminator 'cgan-mlp' need labels, but dataset 'swiss-roll' has none"
    )
    assert hint == 'use labelled data such as "moons"'


def test_data_that_can_be_labelled_says_how(messages):
    ((key, _, hint),) = messages(RING, LABELLED)
    assert (key, hint) == ("dataset.use", "set dataset.params.labelled = true")


def test_labels_that_no_sampler_draws_are_a_problem_of_the_sampler(messages):
    assert messages(CGAN) == [
        ("sampler.use", "generator 'cgan-mlp' needs labels, but sampler 'normal' draws none", 'set sampler.use = "labelled"')
    ]


def test_a_generator_may_have_labels_that_a_sampler_makes_up(source, beside, component):
    registry = beside(component("sampler", "made-up", spec=lambda params, data: LatentSpec(noise=2, classes=3)))
    assert resolve_recipe(source(UNLABELLED, CGAN, ('use = "normal"\nparams = { size = 3 }', 'use = "made-up"')), registry)


def test_codes_that_no_sampler_draws_are_a_problem_of_the_sampler(messages):
    ((key, message, hint),) = messages(INFOGAN, more=INFORMATION)
    assert key == "sampler.use"
    assert message == "discriminator 'infogan-mlp' and loss 'mutual-information' need codes, but sampler 'normal' draws none"
    assert hint == 'set sampler.use = "structured" and sampler.params.categorical = [2]'


@pytest.mark.parametrize("sampler", [("moons", "moons"), LABELLED, STRUCTURED], ids=["normal", "labelled", "structured"])
def test_labels_and_codes_are_not_asked_of_one_sampler(messages, sampler):
    """A remedy for one of the two would only cause the problem of the other."""
    found = messages(sampler, CGAN, INFOGAN, more=INFORMATION)
    assert {(key, hint.partition(":")[0]) for key, _, hint in found} == {
        ("sampler.use", "the samplers of ganforge draw either labels or codes")
    }


def test_codes_of_the_wrong_kind_are_reported(messages):
    continuous = (STRUCTURED[0], STRUCTURED[1].replace("categorical = [2]", "continuous = 1"))
    ((key, message, hint),) = messages(continuous, INFOGAN, metric("code-recovery"), more=INFORMATION)
    assert (key, hint) == ("sampler.use", "set sampler.params.categorical = [2]")
    assert message == "metric 'code-recovery' needs categorical codes, but sampler 'structured' draws none"


def test_continuous_codes_are_reported(messages, beside, component):
    registry = beside(component("metric", "smooth", requires=("continuous-codes",)))
    ((_, message, hint),) = messages(STRUCTURED, INFOGAN, metric("smooth"), more=INFORMATION, registry=registry)
    assert "continuous codes" in message
    assert hint == "set sampler.params.continuous = 1"


def test_code_recovery_needs_labels_of_the_data_and_none_of_the_sampler(source, registry, messages):
    assert resolve_recipe(source(STRUCTURED, INFOGAN, metric("code-recovery"), more=INFORMATION), registry)
    ((key, message, _),) = messages(UNLABELLED, STRUCTURED, INFOGAN, metric("code-recovery"), more=INFORMATION)
    assert (key, message) == ("dataset.use", "metric 'code-recovery' needs labels, but dataset 'swiss-roll' has none")


def test_labelled_data_need_no_labelled_sampler(source, messages, beside, component):
    registry = beside(component("generator", "reader", requires=("labelled-data",)))
    reading = ('use = "mlp"\nparams = { hidden = [16, 16] }', 'use = "reader"')
    assert resolve_recipe(source(reading), registry)
    assert messages(reading, UNLABELLED, registry=registry)[0][:2] == (
        "dataset.use",
        "generator 'reader' needs labels, but dataset 'swiss-roll' has none",
    )


def test_label_match_needs_labels_of_both(messages):
    assert messages(metric("label-match"))[0][0] == "sampler.use"
    assert messages(metric("label-match"), UNLABELLED)[0][0] == "dataset.use"


def test_a_loss_that_reads_a_missing_head_names_a_discriminator_that_has_it(messages):
    assert messages(STRUCTURED, more=INFORMATION) == [
        (
            "discriminator.use",
            "loss 'mutual-information' needs a head 'code', but discriminator 'mlp' has none",
            'set discriminator.use = "infogan-mlp"',
        )
    ]


def test_the_discriminator_named_for_images_is_one_made_for_images(messages):
    hints = [hint for key, _, hint in messages(DIGITS, STRUCTURED, more=INFORMATION) if key == "discriminator.use"]
    assert hints == ['set discriminator.use = "infogan-conv"']


def test_a_head_that_no_one_has_gets_no_hint(messages, beside, component):
    registry = beside(component("loss", "auxiliary", requires=("head:classes",)))
    ((key, message, hint),) = messages(more='[[loss]]\nuse = "auxiliary"\n', registry=registry)
    assert (key, hint) == ("discriminator.use", None)
    assert "head 'classes'" in message


def test_a_head_that_no_loss_teaches_is_a_warning(warned):
    assert warned(STRUCTURED, INFOGAN) == [("discriminator.use", "no loss trains the head 'code' of discriminator 'infogan-mlp'")]
    assert warned(STRUCTURED, INFOGAN, more=INFORMATION) == []


def test_a_metric_of_a_known_density_on_other_data(messages, source, registry):
    ((key, message, _),) = messages(metric("modes"))
    assert (key, message) == ("metric[0].use", "metric 'modes' needs a known density, but that of dataset 'moons' is unknown")
    assert resolve_recipe(source(RING, metric("modes")), registry)


def test_networks_for_points_and_for_images(messages, beside, component):
    registry = beside(
        component("generator", "images", requires=("images",)), component("generator", "points", requires=("points",))
    )
    images = ('use = "mlp"\nparams = { hidden = [16, 16] }', 'use = "images"')
    points = ('use = "mlp"\nparams = { hidden = [16, 16] }', 'use = "points"')
    digits = ('use = "moons"\nparams = { samples = 200 }', 'use = "digits"')
    ((key, message, _),) = messages(images, registry=registry)
    assert (key, message) == (
        "generator.use",
        "generator 'images' works on images, but the samples of dataset 'moons' have shape (2,)",
    )
    ((key, message, _),) = messages(points, digits, registry=registry)
    assert (key, message) == (
        "generator.use",
        "generator 'points' works on points, but the samples of dataset 'digits' have shape (1, 8, 8)",
    )


def test_one_loss_twice_and_two_adversarial_losses(messages, source, registry):
    ((key, message, _),) = messages(more='[[loss]]\nuse = "ganforge/non-saturating"\n')
    assert (key, message) == ("loss[1].use", "loss 'non-saturating' is used in two [[loss]] tables")
    ((key, message, _),) = messages(more='[[loss]]\nuse = "hinge"\n')
    assert (key, message) == (
        "loss[1].use",
        "loss 'non-saturating' and loss 'hinge' both define the generator's term 'adversarial'",
    )
    assert resolve_recipe(source(more='[[loss]]\nuse = "r1"\n[[loss]]\nuse = "r2"\n'), registry)


def test_penalties_alone_teach_nothing(messages):
    ((key, message, hint),) = messages(('use = "non-saturating"', 'use = "r1"'), more='[[loss]]\nuse = "r2"\n')
    assert (key, message) == ("loss", "no loss trains the generator: there is only loss 'r1' and loss 'r2'")
    assert "non-saturating" in hint


def test_no_adversarial_loss_is_a_warning_where_it_is_known(warned, beside, component):
    assert warned(STRUCTURED, INFOGAN, ('use = "non-saturating"', 'use = "mutual-information"')) == [
        ("loss", "no loss is adversarial: none makes generated samples resemble real ones")
    ]
    assert warned(('use = "non-saturating"', 'use = "theirs"'), registry=beside(component("loss", "theirs"))) == []


def test_two_metrics_of_one_name(messages, source, registry):
    again = '[[metric]]\nuse = "ganforge/wasserstein"\n'
    assert messages(more=again) == [
        ("metric[1].use", "two metrics are named 'wasserstein'", 'give this one a name = "wasserstein 2"')
    ]
    assert messages(more=again + 'name = "wasserstein"\n')[0][0] == "metric[1].use"
    assert resolve_recipe(source(more=again + 'name = "first order"\nparams = { order = 1 }\n'), registry)


def test_what_a_spec_function_complains_of_is_reported_at_the_params(messages, beside, component):
    def spec(params):
        raise IncompatiblePartsError("the folder is empty", remedy="put files into it")

    registry = beside(component("dataset", "folder", spec=spec))
    messages = messages(('use = "moons"\nparams = { samples = 200 }', 'use = "folder"'), registry=registry)
    assert messages == [("dataset.params", "the folder is empty", "put files into it")]


def test_what_is_not_known_is_passed_over(source, beside, component):
    registry = beside(component("dataset", "files"))
    blueprint = resolve_recipe(
        source(('use = "moons"\nparams = { samples = 200 }', 'use = "files"'), LABELLED, CGAN, CGAN), registry
    )
    assert blueprint.specs.data is None
    assert blueprint.specs.latent is None


def test_a_spec_of_the_wrong_type_is_passed_over(source, beside, component):
    registry = beside(component("sampler", "odd", spec=lambda params, data: DataSpec((2,))))
    assert resolve_recipe(source(('use = "normal"\nparams = { size = 3 }', 'use = "odd"')), registry).specs.latent is None


def test_a_word_from_the_future_is_a_warning(warned, beside, component):
    registry = beside(component("loss", "new", requires=("telepathy",), tags=frozenset({"adversarial"})))
    ((key, message),) = warned(('use = "non-saturating"', 'use = "new"'), registry=registry)
    assert key == "loss[0].use"
    assert "'telepathy'" in message


def test_parts_that_were_not_found_hide_no_misfit_of_the_others(messages):
    found = messages(CGAN, ("hidden = [16, 16]", "hiden = [16, 16]"), metric("nonsense"))
    assert [key for key, _, _ in found] == ["sampler.use", "generator.params.hiden", "metric[0].use"]
