"""``ganforge verify``: check that a recipe still reaches its expected values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options

if TYPE_CHECKING:
    from ganforge.session.sweep import Band, Verification


def verify(
    recipe: Annotated[Path, typer.Argument(help="A recipe with [[expect]] tables.")],
    *,
    overrides: options.Overrides = None,
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    runs_dir: options.RunsDir = Path("runs"),
    tracking_uri: options.TrackingUri = None,
    json: options.Json = False,
) -> None:
    """Run a recipe's seeds again and check its [[expect]] bands.

    Runs as many seeds as the bands require, starting at the recipe's seed, like `ganforge run --seeds`. Exits with 0 if every band
    is met and with 1 otherwise.
    """
    from rich.console import Console

    from ganforge.session.run_plan import Options
    from ganforge.session.sweep import verify as verify_recipe

    settings = Options(
        recipe=recipe,
        overrides=tuple(overrides or ()),
        device=device,
        runs_dir=runs_dir,
        tracking_uri=tracking_uri,
        plain=True,
    )
    found = verify_recipe(settings, jobs=jobs, console=Console(stderr=True))
    if json:
        console.json_out(found.to_plain())
    else:
        _print(found)
    raise typer.Exit(found.exit_code)


def _print(found: Verification) -> None:

    console.table(
        ("Metric", "Band", "Needed", "Inside", "Values by seed", "Verdict"),
        [
            (
                band.metric,
                _band(band),
                f"{band.needed} of {band.seeds}",
                f"{band.inside} of {band.seeds}",
                "  ".join(f"{seed}: {'–' if value is None else f'{value:.4g}'}" for seed, value in band.values.items()),
                band.verdict,
            )
            for band in found.bands
        ],
    )
    for one in found.sweep.seeds:
        if one.status != "finished":
            console.warning(f"seed {one.seed}: {one.status}: {one.reason or 'see its log'} ({one.folder})")


def _band(band: Band) -> str:
    if band.min is None:
        return f"≤ {band.max:g}"
    return f"≥ {band.min:g}" if band.max is None else f"{band.min:g} to {band.max:g}"
