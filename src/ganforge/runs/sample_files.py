"""Files made from a run: where they go, and samples as PNG to look at, NPZ and CSV to compute with."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.core.errors import UsageError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.storage import atomic_files

if TYPE_CHECKING:
    import numpy as np

    from ganforge.figures import Pixels

FORMATS = (".png", ".npz", ".csv")
_SIDE = 1024  # pixels that a sheet of images is enlarged to, at most
_WIDTH = 5.2  # inches of a scatter


def default_path(folder: Path, name: str) -> Path:
    """Where ``name`` is written by default: into a run's folder, but beside an exported one, which another export may replace."""
    if (folder / "run.json").is_file():
        return folder / name
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name}-{name}")


def check_paths(paths: Sequence[Path], endings: Sequence[str]) -> None:
    """Refuse paths that cannot become files of these formats."""
    remedy = f"name a file that ends in {' or '.join(endings)}"
    for path in paths:
        if path.suffix.lower() not in endings:
            raise UsageError(f"{path.name or path} does not end in {' or '.join(endings)}", remedy=remedy)
        if path.is_dir():
            raise UsageError(f"{path} is a folder", remedy=remedy)


def write_samples(path: Path, samples: Samples, data: DataSpec) -> None:
    """Write samples, as figures draw them, in the format of the path's ending.

    - ``.png``: images on one sheet, ``value_range`` mapped to black and white, a row for each label or code; points as a scatter;
      numbers as a histogram.
    - ``.npz``: ``values``, and ``labels``, ``noise`` and ``codes`` where there are any (:func:`arrays`).
    - ``.csv``: one row per sample, columns ``x0``, ``x1``, …, then ``label`` and ``code0``, ….
    """
    check_paths([path], FORMATS)
    encode = {".png": _png, ".npz": _npz, ".csv": _csv}[path.suffix.lower()]
    atomic_files.write_bytes(path, encode(samples, data))


def arrays(samples: Samples, data: DataSpec) -> dict[str, np.ndarray[Any, Any]]:
    """Samples as numpy arrays: ``values (n, *shape)``; ``labels (n,)``, ``noise (n, z)`` and ``codes (n, k + c)`` if any.

    Values are in the data's own units and type: bytes for images of bytes. Labels are those of the data, numbers or names.
    Categorical codes, as class indices, come before continuous ones.
    """
    import numpy as np
    import torch

    found = {"values": data.to_own_units(samples.values).numpy()}
    if samples.labels is not None:
        found["labels"] = np.array(data.labels)[samples.labels.numpy()]
    if samples.latent is None:
        return found
    found["noise"] = samples.latent.noise.numpy()
    if (codes := samples.latent.codes) is not None:
        found["codes"] = torch.cat([codes.categorical.to(codes.continuous.dtype), codes.continuous], dim=1).numpy()
    return found


def _npz(samples: Samples, data: DataSpec) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.savez_compressed(file, **arrays(samples, data))  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return file.getvalue()


def _csv(samples: Samples, data: DataSpec) -> bytes:
    found = arrays(samples, data)
    parts = {"x": found["values"].reshape(len(samples), -1)}
    parts |= {"label": found["labels"][:, None]} if "labels" in found else {}
    parts |= {"code": found["codes"]} if "codes" in found else {}
    names = [f"{name}{at}" if name != "label" else name for name, part in parts.items() for at in range(part.shape[1])]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for rows in zip(*parts.values(), strict=True):
        writer.writerow([f"{cell:.9g}" if isinstance(cell, float) else cell for row in rows for cell in row.tolist()])
    return file.getvalue().encode()


def _png(samples: Samples, data: DataSpec) -> bytes:
    """Images in rows of their labels or values of their first categorical code, else in the order given; points as a scatter."""
    from ganforge.figures.images import arrange_by_group, draw_grid, encode_png, value_range
    from ganforge.figures.plot_data import find_groups

    if not data.is_image:
        return encode_png(_scatter(samples, data))
    arrangement = arrange_by_group(find_groups(samples, data), len(samples))
    return encode_png(draw_grid(samples, value_range(data, samples), arrangement, _SIDE))


def _scatter(samples: Samples, data: DataSpec) -> Pixels:
    """Points on a plane, wider ones along their main directions, coloured by label or code; numbers as a histogram.

    Samples that are not finite are left out.
    """
    import numpy as np
    import torch

    from ganforge.figures import mpl_style
    from ganforge.figures.plot_data import find_groups, fit_projection, flatten

    values = flatten(samples)
    finite = np.isfinite(values).all(axis=1)
    coloured = find_groups(samples, data) if data.size > 1 else None
    kinds = [] if coloured is None else sorted(set(coloured.indices[finite].tolist()))
    names = [coloured.names[kind] for kind in kinds] if coloured else []
    axes, key = mpl_style.titled_axes(f"{len(samples):,} generated samples", names, _WIDTH, 4.0)
    if data.size == 1:
        axes.hist(values[finite, 0], bins="auto", color=mpl_style.GENERATED)
        axes.set(xlabel="x", ylabel="samples")
    elif finite.any():
        plane = fit_projection(Samples(samples.values[torch.from_numpy(finite)]))
        points, colours = plane.project(values[finite]), mpl_style.GROUPS
        parts = [(points[coloured.indices[finite] == kind], colours[kind % len(colours)]) for kind in kinds] if coloured else []
        handles = [
            axes.scatter(*part.T, s=8, color=colour, linewidths=0) for part, colour in parts or [(points, mpl_style.GENERATED)]
        ]
        if key is not None:
            key.draw(axes, handles)
        axes.set(xlabel=plane.names[0], ylabel=plane.names[1])
        axes.set_aspect("equal", adjustable="datalim")
    return mpl_style.render(axes.figure)
