"""The files that describe a run before its first iteration: recipe, lock, specs, ``run.json``, and the journal's start record."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ganforge
from ganforge.build.lock import make_lock
from ganforge.core.errors import StorageError
from ganforge.core.redaction import mask, mask_data, mask_text
from ganforge.core.specs import network_key
from ganforge.recipe.config import GameTable, LossTable, MetricTable, NetworkTable, Recipe
from ganforge.recipe.toml_writer import fingerprint, flatten, to_plain, to_toml
from ganforge.registry.params_description import plain_value
from ganforge.registry.selection import next_command
from ganforge.session.run_plan import Options, RunPlan
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.run_metadata import UNCHECKED_TAGS, DatasetFacts, StartRecord

if TYPE_CHECKING:
    from ganforge.build.blueprint import Blueprint
    from ganforge.build.parts import Part
    from ganforge.train.trainer import Trainer

_TRAIN = ("iterations", "batch_size", "seed")
_SHORTENED = re.compile(rf"([^.]+|networks\.[^.]+)\.use|train\.({'|'.join(_TRAIN)})")
_COMMON = re.compile(r"train\..+|([^.]+|networks\.[^.]+)\.use|.+\.optimizer\.(use|lr.*)|loss\.[^.]+\.weight.*")
_UNLOGGED = re.compile(
    r"title$|description$|expect\.|requires\.|tracking\.|checkpoints\.|metric\.[^.]+\.(use|name)$|loss\.[^.]+\.use$"
)
_INDEXED = re.compile(r"^(loss|metric)\.\d+")
_INDEX = re.compile(r"\[(\d+)\]")


def write_run_files(plan: RunPlan, folder: RunFolder, trainer: Trainer, options: Options) -> None:
    """Write what describes a new run."""
    import torch

    folder.write_json(folder.lock, make_lock(plan.blueprint, plan.recipe_folder).to_plain())
    _copy_local_plugins(folder)
    folder.write_json(folder.path / "specs.json", {"data": asdict(trainer.evaluator.data), "latent": asdict(trainer.sampler.spec)})
    facts = {
        "seed": plan.blueprint.recipe.train.seed,
        "parent": options.parent,
        "recipe_folder": str(plan.source.path.resolve().parent),
        # Versions and machine explain why two runs differ.
        "ganforge": ganforge.__version__,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "numpy", "mlflow", "pluggy", "pydantic", "safetensors")},
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "folder": str(Path.cwd()),
    }
    write_recipe_files(plan, folder, facts)


def write_recipe_files(plan: RunPlan, folder: RunFolder, facts: Mapping[str, Any]) -> None:
    """Write the recipe, as written and as resolved, and add to ``run.json`` what identifies it, with other ``facts``."""
    atomic_files.write_text(folder.recipe, mask_text(plan.source.text))
    atomic_files.write_text(folder.resolved, to_toml(mask_data(to_plain(plan.blueprint.resolved))))
    named = {
        "title": plan.title,
        "recipe": str(plan.source.path.resolve()),
        "fingerprint": fingerprint(plan.blueprint.resolved),
        "command": command_line(),
    }
    folder.write_json(folder.identity, {**folder.read_identity(), **named, **facts})


def update_lock(plan: RunPlan, folder: RunFolder, trainer: Trainer) -> None:
    """Make the lock of a resumed run describe what it continues with; the former lock is kept beside it.

    Where no iteration remains the lock stays as it is, since the weights come from what it names.
    """
    if trainer.iteration >= trainer.config.iterations:
        return
    try:
        before = folder.read_json(folder.lock) or {}
    except StorageError:  # damaged, and accepted by --unlocked
        before = {}
    now = mask_data(make_lock(plan.blueprint, plan.recipe_folder).to_plain())
    now |= {"fingerprint": before.get("fingerprint", now["fingerprint"])}  # of the recipe that the run was created with
    if before == now:
        return
    if folder.lock.exists():
        _keep_former_lock(folder, trainer.iteration)
    folder.write_json(folder.lock, now)
    _copy_local_plugins(folder)


def start_record(plan: RunPlan, folder: RunFolder, trainer: Trainer) -> StartRecord:
    """The journal's start record of a run, which MLflow receives."""
    recipe, identity = plan.blueprint.recipe, folder.read_identity()
    plugins = [f"{folder.plugins.name}/{path.name}" for path in sorted(folder.plugins.glob("*.py"))]
    common = common_start_record(plan, folder, f"s{recipe.train.seed}", _tags(folder, identity))
    return replace(
        common,
        dataset=_dataset_facts(plan, trainer),
        artifacts={"recipe": [*common.artifacts["recipe"], folder.lock.name, folder.identity.name], "recipe/plugins": plugins},
        parent_run_id=identity.get("parent"),
        resolution=recipe.tracking.resolution,
    )


def common_start_record(
    plan: RunPlan, folder: RunFolder, suffix: str, tags: Mapping[str, str], *, seeds: int | None = None
) -> StartRecord:
    """What the start records of a run and of a sweep have in common; ``suffix`` follows the recipe's name in the run's name."""
    identity, path, recipe = folder.read_identity(), plan.source.path.resolve(), plan.blueprint.recipe
    settings = [word for text in plan.overrides for word in ("--set", _without_secrets(text, is_setting=True))]
    settings += ["--seeds", str(seeds)] if seeds else []
    what, command = ("Compare", "compare") if seeds else ("Samples", "sample")
    note = (  # Markdown: what the run is and how to repeat it
        f"**{plan.title}**",
        recipe.description,
        f"Again: `{next_command('run', str(path), *settings)}`",
        f"{what}: `{next_command(command, str(folder.path.resolve()))}`",
    )
    params, settings_tags = logged_params(plan)
    return StartRecord(
        run_id=identity["id"],
        run_name=f"{plan.name} {suffix} {identity['id'][:8]}",
        experiment=plan.experiment,
        params=params,
        tags={
            "mlflow.user": _user(),
            "mlflow.source.name": str(path),
            "mlflow.source.type": "LOCAL",
            **_git_tags(path.parent),
            **settings_tags,
            **tags,
            **recipe.tracking.tags,
        },
        note="\n\n".join(filter(None, note)),
        artifacts={"recipe": [folder.recipe.name, folder.resolved.name]},
    )


def logged_params(plan: RunPlan) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters and tags for MLflow. Its image cards list all parameters above the picture, so there are few, with short names.

    The parameters are what every run has, and what the command line set. The tags, ``recipe.`` and a key of ``resolved.toml``, are
    everything that differs from the defaults. Losses and metrics have their names in the keys instead of their numbers.
    """
    blueprint, resolved = plan.blueprint, plan.blueprint.resolved
    named = _by_name(resolved.loss, "loss") | _by_name(resolved.metric, "metric")

    def renamed(recipe: Recipe) -> dict[str, str]:
        return {_INDEXED.sub(lambda found: named[found[0]], key): value for key, value in flatten(recipe).items()}

    everything, defaults = renamed(resolved), renamed(_with_defaults(blueprint))
    tags = {key: value for key, value in everything.items() if value != defaults.get(key) or _COMMON.fullmatch(key)}
    tags = {key: value for key, value in tags.items() if not _UNLOGGED.match(key)}

    tables = {"dataset": resolved.dataset, "sampler": resolved.sampler, **resolved.network_tables}
    params = {name: _name(table) for name, table in tables.items()}
    if _name(resolved.game) != GameTable().use:
        params = {"game": _name(resolved.game), **params}
    params["loss"] = " + ".join(key.removeprefix("loss.") for key in named.values() if key.startswith("loss."))
    params |= {name: str(getattr(resolved.train, name)) for name in _TRAIN}
    for text in plan.overrides:
        key = _INDEX.sub(r".\1", text.partition("=")[0].strip())
        key = _INDEXED.sub(lambda found: named.get(found[0], found[0]), key)
        params |= {one: value for one, value in tags.items() if f"{one}.".startswith(f"{key}.") and not _SHORTENED.fullmatch(one)}
    return params, {f"recipe.{key}": value for key, value in tags.items()}


def _by_name(tables: Sequence[LossTable | MetricTable], kind: str) -> dict[str, str]:
    """From ``loss.0`` to ``loss.hinge``; a second one of a name gets a number."""
    names: dict[str, str] = {}
    for index, table in enumerate(tables):
        name = getattr(table, "name", None) or _name(table)
        same = sum(one.split("~")[0] == f"{kind}.{name}" for one in names.values())
        names[f"{kind}.{index}"] = f"{kind}.{name}" + (f"~{same + 1}" if same else "")
    return names


def _name(table: Any) -> str:
    """The component's name, without plugin and revision."""
    return str(table.use).partition("@")[0].rpartition("/")[2]


def _with_defaults(blueprint: Blueprint) -> Recipe:
    """The resolved recipe with every default that does not depend on the recipe."""
    resolved = blueprint.resolved
    plain = type(resolved.health)(), type(resolved.pictures)()
    changed: dict[str, Any] = {"health": plain[0], "pictures": plain[1]}
    for name in ("game", "dataset", "sampler"):
        changed[name] = _default_table(getattr(resolved, name), getattr(blueprint, name))
    networks = {role: _default_table(table, blueprint.networks[role]) for role, table in resolved.network_tables.items()}
    changed |= {role: networks.pop(role) for role in tuple(networks) if network_key(role) == role}
    changed["networks"] = networks
    for name, parts in (("loss", blueprint.losses), ("metric", blueprint.metrics)):
        changed[name] = tuple(map(_default_table, getattr(resolved, name), parts))
    return resolved.model_copy(update=changed)


def _default_table(table: Any, part: Part) -> Any:
    fields = part.component.load_params().model_fields
    params = {
        name: plain_value(field.default)
        for name, field in fields.items()
        if not field.is_required() and field.default_factory is None
    }
    fixed = {
        name: field.default
        for name, field in type(table).model_fields.items()
        if name not in {"use", "params", "name", "optimizer"}
    }
    if isinstance(table, NetworkTable):
        fixed["optimizer"] = type(table.optimizer).model_validate({"use": table.optimizer.use})
    return table.model_copy(update={"params": params, **fixed})


def command_line() -> str:
    """This process's command line, without secrets."""
    words = sys.argv[1:]
    masked = [_without_secrets(word, is_setting=before == "--set") for before, word in zip(["", *words], words, strict=False)]
    return shlex.join(["ganforge", *masked])


def _without_secrets(word: str, *, is_setting: bool) -> str:
    head = "" if is_setting else "--set="
    key, equals, value = word.removeprefix(head).partition("=")
    if not (is_setting or word.startswith(head)) or not equals:
        return mask_text(word)
    return f"{head}{key}={mask(key, value)}"


def _tags(folder: RunFolder, identity: Mapping[str, Any]) -> dict[str, str]:
    """The tags by which MLflow's run list can be searched."""
    lock = folder.read_json(folder.lock)
    plugins = [f"{one['name']} {one['version']}" for one in lock["distributions"]]
    plugins += [f"{Path(one['file']).name} sha256:{one['sha256'][:12]}" for one in lock["plugin_files"]]
    return {
        "ganforge.version": str(identity["ganforge"]),
        "ganforge.recipe_sha256": identity["fingerprint"],
        "ganforge.seed": str(identity["seed"]),
        "ganforge.run_dir": str(folder.path.resolve()),
        "ganforge.host": str(identity["host"]),
        "ganforge.device": str(identity["device"]),
        "ganforge.torch": str(identity["versions"]["torch"]),
        "ganforge.plugins": ", ".join(plugins),
        **UNCHECKED_TAGS,
    }


def _dataset_facts(plan: RunPlan, trainer: Trainer) -> DatasetFacts:
    component, spec = plan.blueprint.dataset.component, trainer.evaluator.data
    head = trainer.batches.head(10_000)  # hashing a whole image set would delay the start
    digest = hashlib.sha256()
    for tensor in (head.values, head.labels):
        if tensor is not None:
            digest.update(tensor.contiguous().cpu().numpy().tobytes())
    classes = f", {spec.classes} classes" if spec.classes else ""
    profile = f"{len(trainer.batches):,} samples of shape {'×'.join(map(str, spec.shape))}{classes}"
    return DatasetFacts(name=component.name, digest=digest.hexdigest()[:32], source=component.id, profile=profile)


def _copy_local_plugins(folder: RunFolder) -> None:
    """Copy each local plugin file, so that the run can be sampled after its author has edited the file."""
    for file in folder.read_json(folder.lock)["plugin_files"]:
        content = Path(file["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() == file["sha256"]:  # else it was edited just now, and is not what runs
            folder.plugins.mkdir(exist_ok=True)
            atomic_files.write_bytes(folder.plugins / f"{file['key'].replace('-', '_')}.py", content)


def _keep_former_lock(folder: RunFolder, iteration: int) -> None:
    """Copy the lock, and before it the local plugins that it names, under names that are free."""
    numbers = chain([f"{iteration}"], (f"{iteration}-{times}" for times in count(2)))
    places = ((folder.path / f"lock-{number}.json", folder.path / f"plugins-{number}") for number in numbers)
    lock, plugins = next(place for place in places if not any(path.exists() for path in place))
    for file in sorted(folder.plugins.glob("*.py")):
        atomic_files.write_bytes(plugins / file.name, file.read_bytes())
    atomic_files.write_bytes(lock, folder.lock.read_bytes())


def _git_tags(folder: Path) -> dict[str, str]:
    """Commit, branch, remote and dirtiness of the repository that contains ``folder``; empty outside of one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    facts = {
        "commit": commit,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "repoURL": _git(folder, "config", "--get", "remote.origin.url"),
        "dirty": str(bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))).lower(),
    }
    return {f"mlflow.source.git.{key}": value for key, value in facts.items() if value}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603, S607 - the user's own git, with words of ours
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
