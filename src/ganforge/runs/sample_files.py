"""Files made from a run: where they go, and samples as PNG to look at, NPZ and CSV to compute with."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.core.errors import StorageError, UsageError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.storage import atomic_files

if TYPE_CHECKING:
    import numpy as np

    from ganforge.figures import Pixels
    from ganforge.figures.mpl_style import LegendLayout
    from ganforge.figures.plot_data import Groups

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
    """Refuse paths that cannot become files of these formats.

    Raises:
        UsageError: another ending, or a folder of that name.
    """
    remedy = f"name a file that ends in {' or '.join(endings)}"
    for path in paths:
        if path.suffix.lower() not in endings:
            raise UsageError(f"{path.name or path} does not end in {' or '.join(endings)}", remedy=remedy)
        if path.is_dir():
            raise UsageError(f"{path} is a folder", remedy=remedy)


@contextmanager
def out_option_hint() -> Iterator[None]:
    """Name the option ``--out`` in the remedy where the disk or folder refuses.

    Raises:
        StorageError: as it was, with that remedy.
    """
    try:
        yield
    except StorageError as error:
        if error.remedy:
            error.remedy = error.remedy.replace(atomic_files.RUNS_DIR_HINT, " with --out")
        raise


def write_samples(path: Path, samples: Samples, data: DataSpec) -> None:
    """Write samples in the format of the path's ending.

    - ``.png``: images on one sheet, ``value_range`` mapped to black and white, a row for each label or code; points as a scatter;
      numbers as a histogram.
    - ``.npz``: ``values``, and ``labels``, ``noise`` and ``codes`` where there are any (:func:`arrays`).
    - ``.csv``: one row per sample, columns ``x0``, ``x1``, …, then ``label`` and ``code0``, ….

    Args:
        path: the file; an existing one is replaced.
        samples: ``(n, *shape)`` in the data's own units, on the CPU.
        data: the data's spec.

    Raises:
        UsageError: another ending, or a folder.
        StorageError: the disk or folder refused.
    """
    check_paths([path], FORMATS)
    writers = {".png": _png, ".npz": _npz, ".csv": _csv}
    content = writers[path.suffix.lower()](samples, data)
    with atomic_files.storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_bytes(path, content)


def arrays(samples: Samples) -> dict[str, np.ndarray[Any, Any]]:
    """The samples as numpy arrays.

    Returns:
        ``values (n, *shape)``; ``labels (n,)``, ``noise (n, z)`` and ``codes (n, k + c)``, categorical ones as class indices before
        continuous ones, where the samples have any.
    """
    import torch

    found = {"values": samples.values.numpy()}
    if samples.labels is not None:
        found["labels"] = samples.labels.numpy()
    if samples.latent is None:
        return found
    found["noise"] = samples.latent.noise.numpy()
    if (codes := samples.latent.codes) is not None:
        found["codes"] = torch.cat([codes.categorical.to(codes.continuous.dtype), codes.continuous], dim=1).numpy()
    return found


def groups(samples: Samples, data: DataSpec) -> Groups | None:
    """Groups by label, else by the first categorical code; ``None`` where samples have neither."""
    from ganforge.figures.plot_data import find_groups

    codes = samples.latent.codes if samples.latent else None
    counts = (int(codes.categorical[:, 0].max()) + 1,) if codes is not None and codes.categorical.numel() else ()
    return find_groups(samples, data, counts)


def _npz(samples: Samples, _data: DataSpec) -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.savez_compressed(file, **arrays(samples))  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return file.getvalue()


def _csv(samples: Samples, _data: DataSpec) -> bytes:
    import numpy as np

    found = arrays(samples)
    parts = {"x": found["values"].reshape(len(samples), -1)}
    parts |= {"label": found["labels"][:, None]} if "labels" in found else {}
    parts |= {"code": found["codes"]} if "codes" in found else {}
    names = [f"{name}{at}" if name != "label" else name for name, part in parts.items() for at in range(part.shape[1])]
    row = ",".join("%d" if name == "label" else "%.9g" for name in names)
    file = io.BytesIO()
    np.savetxt(file, np.column_stack(list(parts.values())), fmt=row, header=",".join(names), comments="")
    return file.getvalue()


def _png(samples: Samples, data: DataSpec) -> bytes:
    from ganforge.figures.images import encode_png

    return encode_png(_sheet(samples, data) if data.is_image else _scatter(samples, data))


def _sheet(samples: Samples, data: DataSpec) -> Pixels:
    """Images in rows of their labels or values of their first categorical code, else in the order given."""
    from ganforge.figures.images import arrange_by_group, draw_grid, value_range

    return draw_grid(samples, value_range(data, samples), arrange_by_group(groups(samples, data), len(samples)), _SIDE)


def _scatter(samples: Samples, data: DataSpec) -> Any:
    """Points on a plane, wider ones along their main directions, coloured by label or code; numbers as a histogram.

    Samples that are not finite are left out.
    """
    import numpy as np

    from ganforge.figures import mpl_style
    from ganforge.figures.plot_data import flatten

    values = flatten(samples)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    coloured = groups(samples, data) if data.size > 1 and finite.any() else None
    key = (
        None
        if coloured is None
        else mpl_style.layout_legend([coloured.names[index] for index in _shown(coloured, finite)], 0.85 * _WIDTH)
    )
    head = 0.45 + (key.height if key else 0.0)
    height = head + _WIDTH - 0.6
    page, axes = mpl_style.figure(_WIDTH, height)
    page.subplots_adjust(left=0.12, right=0.97, bottom=0.52 / height, top=1 - head / height)
    mpl_style.add_title(page, f"{len(samples):,} generated samples", left=0.12, right=0.97, top=1 - 0.21 / height)
    if data.size == 1:
        axes.hist(values[finite, 0], bins="auto", color=mpl_style.GENERATED)
        axes.set(xlabel="x", ylabel="samples")
    elif finite.any():
        _draw_points(axes, samples, finite, coloured, key)
    return mpl_style.render(page)


def _shown(coloured: Groups, finite: np.ndarray[Any, Any]) -> list[int]:
    """The groups that have samples to show."""
    found: list[int] = sorted(set(coloured.indices[finite].tolist()))
    return found


def _draw_points(
    axes: Any, samples: Samples, finite: np.ndarray[Any, Any], coloured: Groups | None, key: LegendLayout | None
) -> None:
    import torch

    from ganforge.figures import mpl_style
    from ganforge.figures.plot_data import fit_projection, flatten

    plane = fit_projection(Samples(samples.values[torch.from_numpy(finite)]))
    points = plane.project(flatten(samples)[finite])
    if coloured is None or key is None:
        axes.scatter(*points.T, s=8, color=mpl_style.GENERATED, linewidths=0)
    else:
        handles = []
        for index in _shown(coloured, finite):
            chosen = points[coloured.indices[finite] == index]
            handles.append(axes.scatter(*chosen.T, s=8, color=mpl_style.GROUPS[index % len(mpl_style.GROUPS)], linewidths=0))
        key.draw(axes, handles)
    axes.set(xlabel=plane.names[0], ylabel=plane.names[1])
    axes.set_aspect("equal", adjustable="datalim")
