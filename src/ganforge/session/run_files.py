"""What is written down of a run before its first iteration: recipe, sizes, identity, and the journal's start record."""

from __future__ import annotations

import hashlib
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.core.errors import StorageError
from ganforge.core.redaction import mask
from ganforge.recipe.toml_writer import fingerprint, flatten, to_toml
from ganforge.session.environment_info import dataset_facts, note, surroundings, tags
from ganforge.session.run_plan import Options, Plot
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking import health_tags
from ganforge.tracking.run_metadata import Artifact, StartRecord

if TYPE_CHECKING:
    from ganforge.train.trainer import Trainer


def introduce(plot: Plot, folder: RunFolder, trainer: Trainer, options: Options) -> None:
    """Write down what this run is, before its first iteration."""
    import torch

    from ganforge.runs.loaded_generator import plain_specs

    atomic_files.write_text(folder.recipe, plot.source.text)
    atomic_files.write_text(folder.resolved, to_toml(plot.blueprint.resolved))
    folder.write_json(folder.lock, plot.blueprint.lock(plot.recipe_folder))
    _keep_local_files(folder)
    folder.write_json(folder.path / "specs.json", plain_specs(trainer.observer.data, trainer.sampler.spec))
    identity = folder.read_json(folder.identity)
    folder.write_json(
        folder.identity,
        {
            **identity,
            "title": plot.title,
            "seed": plot.blueprint.recipe.train.seed,
            "parent": options.parent,
            "recipe": str(plot.source.path.resolve()),
            "recipe_folder": str(plot.source.path.resolve().parent),
            "fingerprint": fingerprint(plot.blueprint.resolved),
            **surroundings(str(trainer.device), torch.get_num_threads()),
        },
    )


def lock_again(plot: Plot, folder: RunFolder, trainer: Trainer) -> None:
    """Let the lock of a run that goes on tell what it goes on with; what it began with stays beside it.

    Where no iteration remains nothing goes on: the weights were made by what the lock names, and it stays as it is.
    """
    if trainer.iteration >= trainer.plan.iterations:
        return
    try:
        before = folder.read_json(folder.lock) or {}
    except StorageError:  # damaged, and let be by --unlocked
        before = {}
    now = plot.blueprint.lock(plot.recipe_folder)
    now |= {"fingerprint": before.get("fingerprint", now["fingerprint"])}  # of the recipe that it began with
    if before == now:
        return
    if folder.lock.exists():
        _put_aside(folder, trainer.iteration)
    folder.write_json(folder.lock, now)
    _keep_local_files(folder)


def _put_aside(folder: RunFolder, iteration: int) -> None:
    """Copy the lock, and before it the local files that it names, under names that nothing has yet."""
    numbers = chain([f"{iteration}"], (f"{iteration}-{times}" for times in count(2)))
    places = ((folder.path / f"lock-{number}.json", folder.path / f"plugins-{number}") for number in numbers)
    lock, plugins = next(place for place in places if not any(path.exists() for path in place))
    for file in sorted(folder.plugins.glob("*.py")):
        atomic_files.write_bytes(plugins / file.name, file.read_bytes())
    atomic_files.write_bytes(lock, folder.lock.read_bytes())


def start_record(plot: Plot, folder: RunFolder, trainer: Trainer) -> StartRecord:
    """What the journal, and so MLflow, is told once."""
    recipe, identity = plot.blueprint.resolved, folder.read_json(folder.identity)
    seed = recipe.train.seed
    own_tags = tags(plot.source.path.resolve(), folder.path.resolve(), identity, fingerprint=identity["fingerprint"], seed=seed)
    return StartRecord(
        run_id=identity["id"],
        run_name=f"{plot.name} s{seed} {identity['id'][:8]}",
        experiment=plot.experiment,
        params=flatten(recipe),
        tags={**own_tags, **health_tags.AT_FIRST, "ganforge.plugins": _plugins(folder), **recipe.tracking.tags},
        dataset=dataset_facts(plot.blueprint, trainer.observer.data, trainer.batches),
        note=note(plot.title, recipe.description, plot.source.path, folder.path),
        artifacts=(
            *(Artifact(path.name, "recipe") for path in (folder.recipe, folder.resolved, folder.lock, folder.identity)),
            *(Artifact(f"{folder.plugins.name}/{path.name}", "recipe/plugins") for path in sorted(folder.plugins.glob("*.py"))),
        ),
        parent_run_id=identity.get("parent"),
        resolution=recipe.tracking.resolution,
        experiment_tags={"mlflow.experimentKind": "custom_model_development"},
    )


def changes(plot: Plot) -> dict[str, list[str]]:
    """What a resumed run changes of its recipe, for the journal: by key the value before and the value now, without secrets."""
    return {key: [text and mask(key, text) for text in values] for key, values in plot.changed.items()}


def _keep_local_files(folder: RunFolder) -> None:
    """Copy each local plugin as it was run, so that the run can be sampled after its author has gone on with the file."""
    for file in folder.read_json(folder.lock)["plugin_files"]:
        content = Path(file["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() == file["sha256"]:  # else it was edited a moment ago: this is not what runs
            folder.plugins.mkdir(exist_ok=True)
            atomic_files.write_bytes(folder.plugins / f"{file['key'].replace('-', '_')}.py", content)


def _plugins(folder: RunFolder) -> str:
    """Distributions with their versions, and local files with the beginning of their hash."""
    lock = folder.read_json(folder.lock)
    found = [f"{one['name']} {one['version']}" for one in lock["distributions"]]
    return ", ".join([*found, *(f"{Path(one['file']).name} sha256:{one['sha256'][:12]}" for one in lock["plugin_files"])])
