"""Trains a recipe in memory, for a plugin's own tests: no run folder, no MLflow."""

from __future__ import annotations

from pathlib import Path

from ganforge.core.events import Finished


def trained(recipe: Path, *overrides: str) -> Finished:
    """Train a recipe on the CPU and give its last event, whose ``outcome`` should be ``"finished"``.

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
