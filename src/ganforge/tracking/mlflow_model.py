"""The trained generator as an MLflow model: code that ganforge ships, weights as safetensors, nothing pickled."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.core.redaction import mask_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

_CODE = Path(__file__).with_name("generator_model.py")  # MLflow stores a copy with each model, and runs that copy to load it
_MARK = "ganforge.model"
_TEXT_FILES = {".toml", ".json", ".jsonl", ".txt", ".log", ".md", ".csv", ".diff", ".yaml", ".yml", ".py"}


def library_requirements() -> list[str]:
    """The libraries that sampling needs, pinned; the model also needs ganforge and the run's plugins."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in ("mlflow", "numpy", "pandas", "safetensors", "torch")]


def masked_content(path: Path) -> bytes | None:
    """A text file's content without secrets; ``None`` if it holds none."""
    text = path.read_text("utf-8", errors="replace") if path.suffix in _TEXT_FILES else ""
    clean = mask_text(text)
    return None if clean == text else clean.encode()


def log_generator(
    client: MlflowClient, experiment_id: str, run_id: str, folder: Path, *, iteration: int, requirements: Sequence[str]
) -> None:
    """Log the generator as the run's model of this iteration unless it is there, with links to the run and its evaluations.

    The folder is what ``ganforge.runs.loaded_generator.load`` needs: the EMA's weights, the resolved recipe, sizes and versions.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    mark = f"{run_id}@{iteration}"
    for earlier in client.search_logged_models([experiment_id], filter_string=f"tags.`{_MARK}` = '{mark}'"):
        if str(earlier.status) == "READY":
            return
        client.delete_logged_model(earlier.model_id)  # its uploader died half-way

    params = client.get_run(run_id).data.params
    model = client.create_logged_model(
        experiment_id, name="generator", source_run_id=run_id, tags={_MARK: mark}, params=params, model_type="generator"
    )
    with tempfile.TemporaryDirectory() as temporary:
        path, source = Path(temporary, "model"), Path(temporary, "run")
        shutil.copytree(folder, source)  # MLflow decodes %2e%2e in a path, which would lead out of the folder
        _save(path, model, source, run_id=run_id, requirements=requirements)
        for file in path.rglob("*"):
            if file.is_file() and (clean := masked_content(file)) is not None:
                file.write_bytes(clean)
        client.log_model_artifacts(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, "READY")

    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=iteration)])
    measured = [
        Metric(metric.key, metric.value, metric.timestamp, metric.step, model_id=model.model_id, run_id=run_id)
        for key in client.get_run(run_id).data.metrics
        if key.startswith("2-eval/")
        for metric in client.get_metric_history(run_id, key)
        if metric.step == iteration
    ]
    if measured:
        client.log_batch(run_id, metrics=measured, synchronous=True)


def _save(path: Path, model: LoggedModel, folder: Path, *, run_id: str, requirements: Sequence[str]) -> None:
    """Write a folder for ``mlflow.pyfunc.load_model``, which loads it even where pickle is forbidden.

    ``predict`` ignores the input and takes the params ``n``, ``seed``, ``label`` (text; "": any) and ``code`` (a list; NaN and
    missing ones: any); see ``generator_model.py``.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    defaults = [ParamSpec("n", "long", 16), ParamSpec("seed", "long", 0), ParamSpec("label", "string", "")]
    pyfunc.save_model(
        path=str(path),
        python_model=str(_CODE),
        artifacts={"run": str(folder)},
        signature=ModelSignature(params=ParamSchema([*defaults, ParamSpec("code", "double", [], shape=(-1,))])),
        pip_requirements=list(requirements),
        mlflow_model=Model(
            artifact_path=model.artifact_location, model_uuid=model.model_id, run_id=run_id, model_id=model.model_id
        ),
    )
