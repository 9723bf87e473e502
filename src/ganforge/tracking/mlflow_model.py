"""The trained generator as an MLflow model: code that ganforge ships, weights as safetensors, nothing pickled."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

NAME = "generator"
CODE = Path(__file__).with_name("generator_model.py")
"""The model's code; MLflow keeps a copy of it with each model and runs that copy when the model is loaded."""

_MARK = "ganforge.model"
_LIBRARIES = ("mlflow", "numpy", "pandas", "safetensors", "torch")


def libraries() -> list[str]:
    """The libraries that sampling takes, pinned; beside them the model needs ganforge and the run's plugins."""
    return _pins(_LIBRARIES)


def pinned() -> list[str]:
    """What loading takes where the run does not tell: ganforge, the libraries, and every installed plugin distribution."""
    plugins = {entry.dist.name for entry in metadata.entry_points(group="ganforge") if entry.dist is not None}
    return _pins({*_LIBRARIES, "ganforge", *plugins})


def _pins(names: Iterable[str]) -> list[str]:
    installed = {name: version for name in names if (version := _version(name))}
    return [f"{name}=={version.partition('+')[0]}" for name, version in sorted(installed.items())]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def save(path: Path, folder: Path, *, requirements: Sequence[str], mlflow_model: Any = None) -> None:
    """Write the model as a folder that ``mlflow.pyfunc.load_model`` takes, with pickle forbidden too.

    ``predict`` ignores the input and takes the params ``n``, ``seed``, ``label`` (-1: any) and ``code`` (a list; NaN and missing
    ones: any); see ``generator_model.py``.

    Args:
        path: where to; must not exist.
        folder: what ``ganforge.runs.loaded_generator.load`` needs: the average's weights, the resolved recipe, sizes and versions.
        requirements: pip requirements.
        mlflow_model: the :class:`mlflow.models.Model` to fill; a new one unless given.
    """
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    params = ParamSchema(
        [
            ParamSpec("n", "long", 16),
            ParamSpec("seed", "long", 0),
            ParamSpec("label", "long", -1),
            ParamSpec("code", "double", [], shape=(-1,)),
        ]
    )
    pyfunc.save_model(
        path=str(path),
        python_model=str(CODE),
        artifacts={"run": str(folder)},
        signature=ModelSignature(params=params),
        pip_requirements=list(requirements),
        mlflow_model=mlflow_model,
    )


def log_generator(
    client: MlflowClient, *, experiment_id: str, run_id: str, folder: Path, iteration: int, requirements: Sequence[str] | None
) -> str:
    """Log the generator as the run's model of this iteration, unless that was done before; its model id.

    Raises:
        MlflowException: the store refused or did not answer.
    """
    mark = f"{run_id}@{iteration}"
    for earlier in client.search_logged_models([experiment_id], filter_string=f"tags.`{_MARK}` = '{mark}'"):
        if str(earlier.status) == "READY":
            return str(earlier.model_id)
        client.delete_logged_model(earlier.model_id)  # its shipper died half-way

    params = client.get_run(run_id).data.params
    model = client.create_logged_model(
        experiment_id, name=NAME, source_run_id=run_id, tags={_MARK: mark}, params=params, model_type="generator"
    )
    _fill(client, model, run_id=run_id, folder=folder, requirements=requirements)
    client.finalize_logged_model(model.model_id, "READY")
    _link(client, model, run_id=run_id, iteration=iteration)
    return str(model.model_id)


def _fill(client: MlflowClient, model: LoggedModel, *, run_id: str, folder: Path, requirements: Sequence[str] | None) -> None:
    from mlflow.models import Model

    description = Model(artifact_path=model.artifact_location, model_uuid=model.model_id, run_id=run_id, model_id=model.model_id)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "model")
        save(path, folder, requirements=requirements or pinned(), mlflow_model=description)
        client.log_model_artifacts(model.model_id, str(path))


def _link(client: MlflowClient, model: LoggedModel, *, run_id: str, iteration: int) -> None:
    """Show the model on the run's page, and what was measured at its iteration on the model's."""
    from mlflow.entities import LoggedModelOutput, Metric

    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=iteration)])
    measured = [
        Metric(metric.key, metric.value, metric.timestamp, metric.step, model_id=model.model_id, run_id=run_id)
        for key in client.get_run(run_id).data.metrics
        if key.startswith("eval/")
        for metric in client.get_metric_history(run_id, key)
        if metric.step == iteration
    ]
    if measured:
        client.log_batch(run_id, metrics=measured, synchronous=True)
