from __future__ import annotations

import re

import pytest

from ganforge.core.errors import UsageError
from ganforge.registry.component import Kind
from ganforge.registry.plugin_loader import load_plugins

WANTED = {
    "loss": ["minimax", "non-saturating", "least-squares", "hinge", "wasserstein", "gradient-penalty", "r1", "r2", "relativistic"],
    "sampler": ["normal", "uniform", "labelled", "structured"],
    "dataset": [
        "moons",
        "gaussian-1d",
        "ring",
        "grid",
        "swiss-roll",
        "digits",
        "arrays",
        "mnist",
        "fashion-mnist",
        "stacked-mnist",
        "cifar10",
        "image-folder",
    ],
    "metric": [
        "wasserstein",
        "modes",
        "code-recovery",
        "label-match",
        "frechet",
        "kernel",
        "class-modes",
        "precision-recall",
        "one-nearest-neighbour",
        "duplicates",
        "parzen",
        "information",
        "optimal-discriminator",
        "sliced-wasserstein",
        "mmd",
        "memorisation",
    ],
}


def test_everything_promised_is_announced(components) -> None:
    assert set(components) == {(kind, name) for kind, names in WANTED.items() for name in names}


def test_every_reference_leads_somewhere(components) -> None:
    for component in components.values():
        assert callable(component.load_factory()), component.id
        model = component.load_params()
        assert all(field.description for field in model.model_fields.values()), f"{component.id}: a field without description"
        assert component.missing == ()


def test_sizes_are_known_without_torch_but_for_the_users_files(components) -> None:
    without = {name for (kind, name), component in components.items() if kind in {"sampler", "dataset"} and component.spec is None}
    assert without == {"arrays", "image-folder"}


def test_summaries_are_one_sentence_and_papers_can_be_found(components) -> None:
    for component in components.values():
        assert component.summary.endswith((".", "?")), component.id
        assert len(component.summary) <= 110, component.id
        assert all(re.search(r"\d{4}, https://", reference) for reference in component.references), component.id


@pytest.mark.parametrize("name", WANTED["loss"])
def test_every_loss_names_its_paper(name: str, components) -> None:
    assert components["loss", name].references


@pytest.mark.parametrize("name", WANTED["metric"])
def test_every_metric_says_what_it_costs(name: str, components) -> None:
    assert re.search(r"time|pass", components["metric", name].cost)


@pytest.mark.parametrize(
    ("kind", "usual", "name"),
    [(Kind.METRIC, "fid", "frechet"), (Kind.METRIC, "kid", "kernel"), (Kind.LOSS, "lsgan", "least-squares")],
)
def test_names_of_the_field_lead_to_the_component(kind: Kind, usual: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{name}'"):
        load_plugins().find(kind, usual)
