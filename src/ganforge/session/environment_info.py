"""Which run this is and what it ran on: for ``run.json``, the journal's start record and MLflow's tags."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ganforge
from ganforge.core.redaction import mask, mask_text
from ganforge.tracking.run_metadata import DatasetFacts

if TYPE_CHECKING:
    from torch import Tensor

    from ganforge.build.blueprint import Blueprint
    from ganforge.core.records import Samples
    from ganforge.core.specs import DataSpec
    from ganforge.train.batches import Batches
    from ganforge.train.streamed_batches import StreamedBatches

_DIGESTED = 10_000
"""Samples that the data's digest covers; a hash of a whole image set would delay the start. Of streamed data they are fewer."""


def surroundings(device: str, threads: int) -> dict[str, Any]:
    """Versions, machine and command: what a reader needs who asks why two runs differ."""
    names = ("torch", "numpy", "mlflow", "pluggy", "pydantic", "safetensors")
    return {
        "ganforge": ganforge.__version__,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device": device,
        "threads": threads,
        "command": command(),
        "folder": str(Path.cwd()),
    }


def command() -> str:
    """The command line that this process was given, without secrets."""
    given = sys.argv[1:]
    masked = [_without_secrets(word, is_setting=before == "--set") for before, word in zip(["", *given], given, strict=False)]
    return shlex.join(["ganforge", *masked])


def _without_secrets(word: str, *, is_setting: bool) -> str:
    head = "" if is_setting else "--set="
    key, equals, value = word.removeprefix(head).partition("=")
    if not (is_setting or word.startswith(head)) or not equals:
        return mask_text(word)
    return f"{head}{key}={mask(key, value)}"


def git_facts(folder: Path) -> dict[str, str]:
    """Commit, branch and dirtiness of the repository that ``folder`` stands in, as MLflow's tags; empty outside of one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    facts = {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "mlflow.source.git.repoURL": _git(folder, "config", "--get", "remote.origin.url"),
        "mlflow.source.git.dirty": str(bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))).lower(),
    }
    return {key: value for key, value in facts.items() if value}


def digest(samples: Samples) -> str:
    """The beginning of a SHA-256 over the samples' values and labels."""
    hashed = hashlib.sha256()
    for part in (samples.values, samples.labels):
        if part is not None:
            hashed.update(_bytes(part))
    return hashed.hexdigest()[:32]


def dataset_facts(blueprint: Blueprint, spec: DataSpec, batches: Batches | StreamedBatches) -> DatasetFacts:
    """The data set as MLflow lists it."""
    classes = f", {spec.classes} classes" if spec.classes else ""
    return DatasetFacts(
        name=blueprint.dataset.component.name,
        digest=digest(batches.beginning(_DIGESTED)),
        source=blueprint.dataset.component.id,
        profile=f"{len(batches)} samples of shape {'×'.join(map(str, spec.shape))}{classes}",
    )


def tags(recipe_path: Path, run_folder: Path, facts: Mapping[str, Any], *, fingerprint: str, seed: int) -> dict[str, str]:
    """What MLflow's run list can be searched by."""
    return {
        "mlflow.source.name": str(recipe_path),
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        **git_facts(recipe_path.parent),
        "ganforge.version": str(facts["ganforge"]),
        "ganforge.recipe_sha256": fingerprint,
        "ganforge.seed": str(seed),
        "ganforge.run_dir": str(run_folder),
        "ganforge.host": str(facts["host"]),
        "ganforge.device": str(facts["device"]),
        "ganforge.torch": str(facts["versions"]["torch"]),
    }


def note(title: str, description: str | None, recipe_path: Path, run_folder: Path) -> str:
    """What MLflow shows on the run's page, as Markdown: what it is and how to do it again."""
    return "\n\n".join(
        part
        for part in (
            f"**{title}**",
            description,
            f"Again: `ganforge run {shlex.quote(str(recipe_path))}`",
            f"Samples: `ganforge sample {shlex.quote(str(run_folder))}`",
        )
        if part
    )


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().cpu().numpy().tobytes()


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
