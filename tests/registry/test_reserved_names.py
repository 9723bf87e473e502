"""Names that a plugin may not have."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ganforge.registry.reserved_names import DEPENDENCIES, new_name_error, shadowed_package
from ganforge.registry.selection import normalize_name


def test_every_dependency_of_ganforge_is_known():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {normalize_name(Requirement(line).name) for line in project["dependencies"]} == set(DEPENDENCIES)


@pytest.mark.parametrize("package", ["json", "torch", "PIL", "pil", "ganforge"])
def test_packages_that_others_have(package):
    assert shadowed_package(package)


def test_a_name_of_ones_own():
    assert shadowed_package("acme_gan") is None
    assert new_name_error("acme-gan") is None
    assert new_name_error("pillow")
