"""The code of a trained ganforge generator as an MLflow model, which MLflow copies and runs. ganforge never imports it.

``predict(None, params={"n": 64, "seed": 7})`` returns a DataFrame with one row per sample: the flattened values in the units of the
data, as columns ``x0``, ``x1``, …; then ``label`` for a conditional generator, and ``code0``, ``code1``, … for its codes.
"""

import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class GeneratorModel(PythonModel):
    """Samples from the generator's EMA, rebuilt from its resolved recipe and safetensors."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the generator from the model's artifacts."""
        # By name, because this file runs from the model's folder and belongs to no layer of the package.
        loading = import_module("ganforge.runs.loaded_generator")
        self.generator = loading.load(Path(context.artifacts["run"]))

    # MLflow warns at every import without this type hint; it derives no schema from a DataFrame.
    def predict(self, context, model_input: pd.DataFrame, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """Draw samples; context and input are ignored.

        The params are ``n`` samples; ``seed``: the same seed gives the same samples; ``label``: the class as the data names it, ""
        for any; ``code``: a list with one number per code, categorical ones (as class indices) first; NaN and missing ones are
        drawn at random.
        """
        wanted = {"n": 16, "seed": 0, "label": "", "code": [], **(params or {})}
        code = [None if math.isnan(value) else float(value) for value in wanted["code"]]
        samples = self.generator.sample(
            n=int(wanted["n"]),
            seed=int(wanted["seed"]),
            label=wanted["label"] or None,
            code=code or None,
        )
        return _table(samples)


def _table(samples: dict[str, np.ndarray | None]) -> pd.DataFrame:
    values = np.asarray(samples["values"])
    values = values.reshape(len(values), -1)
    table = pd.DataFrame(values, columns=[f"x{column}" for column in range(values.shape[1])])
    if samples.get("labels") is not None:
        table["label"] = np.asarray(samples["labels"])
    if samples.get("codes") is not None:
        codes = np.asarray(samples["codes"]).reshape(len(values), -1)
        table[[f"code{column}" for column in range(codes.shape[1])]] = codes
    return table


set_model(GeneratorModel())
