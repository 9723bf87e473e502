"""Names that a plugin may not have."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ganforge.registry.reserved_names import DEPENDENCIES, fault_of_new, shadowed
from ganforge.registry.selection import normalise


def test_every_dependency_of_ganforge_is_known():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {normalise(Requirement(line).name) for line in project["dependencies"]} == set(DEPENDENCIES)


@pytest.mark.parametrize("package", ["json", "torch", "PIL", "pil", "ganforge"])
def test_packages_that_others_have(package):
    assert shadowed(package)


def test_a_name_of_ones_own():
    assert shadowed("acme_gan") is None
    assert fault_of_new("acme-gan") is None
    assert fault_of_new("pillow")
