"""Helpers for tests of plugins: install one without pip in milliseconds, and train a recipe in memory."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ganforge.core.events import Finished
from ganforge.registry.hookspecs import ENTRY_POINT_GROUP

_WORKING = '''\
"""A plugin that works."""

from ganforge.plugin import hookimpl


@hookimpl
def ganforge_register_generators(register):
    register("linear", "ganforge.testing.stub_components:LinearGenerator", summary="One linear layer.")
'''


@dataclass(frozen=True, slots=True)
class FakePlugin:
    """What :func:`fake_plugin` wrote: a module in ``folder``, and the metadata folder ``info``; delete that to uninstall it."""

    name: str
    module: str
    folder: Path
    info: Path


def fake_plugin(
    folder: Path,
    *,
    name: str = "acme-gan",
    source: str = _WORKING,
    version: str = "1.0",
    requires: Iterable[str] = ("ganforge",),
    entry_point: str | None = None,
    module: str | None = None,
    direct_url: Mapping[str, object] | None = None,
) -> FakePlugin:
    """Write a plugin distribution, found by ``importlib.metadata`` as soon as ``folder`` is on ``sys.path``.

    Args:
        folder: where to write; created if missing.
        name: distribution name.
        source: text of the plugin's module, dedented. Default: a plugin with a generator ``linear``.
        version: the distribution's version.
        requires: its ``Requires-Dist`` lines.
        entry_point: entry-point name. Default: the distribution's name.
        module: name of the module. Default: the distribution's name with underscores.
        direct_url: content of ``direct_url.json`` (PEP 610), which states where a distribution comes from.
    """
    module = module or name.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath(f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")

    info = write_metadata(folder, name, version, requires, {entry_point or name: module}, direct_url)
    return FakePlugin(name=name, module=module, folder=folder, info=info)


def write_metadata(
    folder: Path,
    name: str,
    version: str,
    requires: Iterable[str],
    entry_points: Mapping[str, str],
    direct_url: Mapping[str, object] | None,
) -> Path:
    """Write the metadata folder of a distribution with plugins; arguments as for :func:`fake_plugin`."""
    # With a hyphen in the folder's name, importlib.metadata would cut it there and take two plugins for one.
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {line}" for line in requires)]
    info.joinpath("METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    entries = [f"[{ENTRY_POINT_GROUP}]", *(f"{entry} = {module}" for entry, module in entry_points.items())]
    info.joinpath("entry_points.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
    if direct_url is not None:
        info.joinpath("direct_url.json").write_text(json.dumps(direct_url), encoding="utf-8")
    return info


def trained(recipe: Path, *overrides: str) -> Finished:
    """Train a recipe on the CPU, without run folder and MLflow; return its last event, whose ``outcome`` should be ``"finished"``.

    Args:
        recipe: a TOML file.
        overrides: texts as for ``--set``, such as ``"train.iterations=20"``.

    Raises:
        GanforgeError: the recipe is wrong, or its parts do not fit each other.
    """
    import torch

    from ganforge.build.blueprint import resolve_recipe
    from ganforge.build.builder import Folders, build_trainer
    from ganforge.build.dry_run import dry_run
    from ganforge.recipe.reader import read_recipe
    from ganforge.registry.plugin_loader import load_plugins

    blueprint = resolve_recipe(read_recipe(recipe, overrides), load_plugins())
    folder = recipe.resolve().parent
    trainer = build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(folder, folder))
    dry_run(blueprint, trainer)
    return next(event for event in trainer.run() if isinstance(event, Finished))
