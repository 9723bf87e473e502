"""ganforge: a plugin-based framework for experiments with generative adversarial networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ganforge.runs.loaded_generator import LoadedGenerator

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def load(run: str | Path, *, device: str = "cpu", runs_dir: str | Path = "runs") -> LoadedGenerator:
    """The generator of a run, ready to be sampled: ``ganforge.load("infogan_moons").sample(1000)["values"]``.

    It is the moving average (EMA) of the newest intact checkpoint. The run folder is all that is needed: neither the data set, nor
    the plugins of losses, discriminators and metrics.

    Args:
        run: folder, name (of several, the newest) or beginning of the id of a run; or the folder of a generator by itself, such as
            a run's ``model``, or what ``ganforge export --format safetensors`` wrote.
        device: auto, cpu, cuda, cuda:1 or mps.
        runs_dir: where to look for names and ids.

    Raises:
        UsageError: no such run, a sweep, or a local plugin in another version.
        RecipeError: the generator or sampler is not installed, or does not take the run's parameters any more.
        RunFolderError: no intact checkpoint, or weights that do not fit the installed plugin.
        PluginError: the plugin of the generator or sampler is broken.
        IncompatiblePartsError: the device is not here.
    """
    from ganforge.runs.loaded_generator import load  # here, so that `import ganforge` stays light

    return load(run, device=device, runs_dir=runs_dir)
