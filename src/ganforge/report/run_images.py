"""Which pictures of a run its page shows, and what each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganforge.callbacks.picture_writer import sample_pictures
from ganforge.core import formatting
from ganforge.report.inline_images import Album, Picture
from ganforge.report.report_data import Facts
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status

_SHEETS = (
    ("interpolation.png", "Walks between latents", "each row goes from one random latent to another"),
    ("traversal.png", "One thing varied, all else held", "rows and columns vary labels, codes or noise"),
    ("neighbours.png", "Learnt by heart", "the yellow column holds the training image nearest to the sample beside it"),
)
_WALKS = (
    ("interpolation.gif", "Walks between latents, there and back", "the samples change as the latent moves"),
    ("traversal.gif", "One thing varied, there and back", "the samples change as a label, code or noise is varied"),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """The pictures of a page; each may be left out of it, with the reason.

    Attributes:
        samples: the newest samples, or ``None`` where nothing was drawn yet.
        sheets: walks, traversals and neighbours.
        training: the training as an animation, or ``None``.
        walks: animations of the walks.
    """

    samples: Picture | None
    sheets: Sequence[Picture]
    training: Picture | None
    walks: Sequence[Picture]


def shown(facts: Facts, album: Album) -> Shown:
    """Put the run's pictures in, the most telling first, so that it is animations that a page has no more room for."""
    folder = facts.folder.pictures
    samples = _samples(facts, album)
    sheets = _those_there(folder, _SHEETS, album)
    training = folder / "training.gif"
    told = f"{facts.title}: an animation of the samples during training"
    animation = album.add(training, "The training, from noise to samples", formatting.clean(told)) if training.is_file() else None
    return Shown(samples, sheets, animation, _those_there(folder, _WALKS, album))


def newest_samples(folder: RunFolder, status: Status | None) -> Path | None:
    """The picture of a run's newest samples; later ones are of a part that training gave up when it went back."""
    found = sample_pictures(folder)
    kept = {at: path for at, path in found.items() if at <= status.iteration} if status else found
    return kept[max(kept)] if kept else None


def _samples(facts: Facts, album: Album) -> Picture | None:
    path = newest_samples(facts.folder, facts.status)
    if path is None:
        return None
    when = f"iteration {int(path.stem.rpartition('-')[2]):,}"
    what = "Generated images" if facts.is_image else "Generated samples over real ones"
    return album.add(path, f"{what} at {when}", formatting.clean(f"{what} of the run “{facts.title}” at {when}"))


def _those_there(folder: Path, known: Sequence[tuple[str, str, str]], album: Album) -> list[Picture]:
    return [
        album.add(folder / name, f"{caption}: {told}", f"{caption}: {told}")
        for name, caption, told in known
        if (folder / name).is_file()
    ]
