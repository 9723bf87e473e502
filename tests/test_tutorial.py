import importlib
import io
import itertools
import math
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from ganforge.build.blueprint import resolve_recipe
from ganforge.cli.app import app
from ganforge.core.errors import RecipeError
from ganforge.core.specs import GaussianMixture
from ganforge.metrics import gaussian_mixture_density
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "tutorial"
PAGES = sorted(FOLDER.glob("0*.md"))
TEXT = {page.name: page.read_text() for page in PAGES}
SMALL = 150_000
ALL = 1_500_000


def commands() -> list[tuple[str, list[str]]]:
    """Page and words of each command line of ganforge that a page tells."""
    blocks = [(name, block) for name, text in TEXT.items() for block in re.findall(r"```sh\n(.+?)```", text, flags=re.DOTALL)]
    return [(name, shlex.split(line)) for name, block in blocks for line in block.splitlines()]


def scripts() -> list[tuple[str, str, list[str]]]:
    """Page, script and names of each ``python …`` that a page tells."""
    found = [(name, *shlex.split(messages)) for name, text in TEXT.items() for messages in re.findall(r"`python ([^`]+)`", text)]
    return [(name, script, words) for name, script, *words in found]


def joined(words: tuple[str, list[str]]) -> str:
    return f"{words[0][:2]}: {' '.join(words[1])}"


@pytest.fixture(scope="module")
def tutorial():
    """The scripts beside the pages, imported as they import each other."""
    names = ("experiments", "figures", "tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        sys.modules.pop(name, None)


def test_pages_lead_from_one_to_the_next():
    overview = (FOLDER / "README.md").read_text()
    assert re.findall(r"\]\((0[^)]+\.md)\)", overview) == [page.name for page in PAGES]
    for page, following in itertools.pairwise(PAGES):
        assert re.search(rf"^Next: \[.+\]\({following.name}\)\.$", TEXT[page.name], flags=re.MULTILINE)


@pytest.mark.parametrize("messages", commands(), ids=joined)
def test_commands_of_the_pages_are_right(messages):
    _, (program, name, *arguments) = messages
    assert program == "ganforge"
    command = typer.main.get_command(app).commands[name]

    given = command.make_context(name, list(arguments)).params  # an option that is not there is an error

    if name == "run":
        blueprint = resolve_recipe(read_recipe(ROOT / given["recipe"], given["overrides"] or ()), load_plugins())
        assert blueprint.parts


def test_runs_that_are_sampled_were_trained_before():
    for name, words in commands():
        if words[1] not in ("run", "list", "describe", "data"):
            assert f"/{words[2]}.toml" in TEXT[name].partition(" ".join(words[:3]))[0]


@pytest.mark.parametrize("messages", scripts(), ids=lambda messages: " ".join([messages[1], *messages[2]]))
def test_scripts_of_the_pages_know_what_they_are_asked_for(tutorial, messages):
    _, script, names = messages
    assert (ROOT / script).is_file()
    known = {"figures.py": tutorial.figures.FIGURES, "tables.py": tutorial.tables.TABLES}
    if Path(script).name in known:
        assert len(names) == 1
        assert names[0] in known[Path(script).name]


def test_every_figure_is_shown_once_with_its_command_and_is_small(tutorial):
    text = "\n".join(TEXT.values())
    shown = re.findall(r"!\[.+?\]\(pictures/(.+?)\.png\)\n\n`python docs/tutorial/figures.py (.+?)`", text)
    assert sorted(shown) == sorted((name, name) for name in tutorial.figures.FIGURES)
    sizes = {name: (FOLDER / "pictures" / f"{name}.png").stat().st_size for name in tutorial.figures.FIGURES}
    assert {path.stem for path in (FOLDER / "pictures").iterdir()} == sizes.keys()
    assert max(sizes.values()) < SMALL
    assert sum(sizes.values()) < ALL


def test_every_table_is_written_with_its_command(tutorial):
    for name in tutorial.tables.TABLES:
        (table,) = re.findall(rf"<!-- table {name} -->\n(.+?)<!-- end of table -->", "\n".join(TEXT.values()), flags=re.DOTALL)
        rows = [line.split(" | ") for line in table.splitlines() if line.startswith("|")]
        assert len(rows) > 3
        assert {len(row) for row in rows} == {len(rows[0])}
        assert name in tutorial.tables.QUOTED or f"`python docs/tutorial/tables.py {name}`" in table


def test_a_table_goes_between_its_markers_and_nowhere_else(tutorial):
    page = "a\n<!-- table one -->\nold\n<!-- end of table -->\nb\n<!-- table two -->\n<!-- end of table -->\n"
    assert tutorial.tables.written(page, "one", "new\n") == page.replace("old", "new")
    with pytest.raises(SystemExit, match="'three'"):
        tutorial.tables.written(page, "three", "new\n")


def test_table_of_the_moons_is_the_one_of_the_results(tutorial):
    assert tutorial.tables.moons() in TEXT["04-moons.md"], "run: python docs/tutorial/tables.py moons"


def test_slopes_are_those_of_the_closed_forms(tutorial):
    logits = torch.linspace(-30, 30, 61, dtype=torch.float64)
    saturating, trick = (tutorial.experiments.slope(f"tutorial/{name}", logits) for name in ("saturating", "non_saturating"))
    torch.testing.assert_close(saturating, -logits.sigmoid())
    torch.testing.assert_close(trick, logits.sigmoid() - 1)


def test_page_two_tells_the_slopes_at_the_ends():
    for name, at_left, at_right in (("minimax", "nearly 0", "nearly −1"), ("non-saturating", "nearly −1", "nearly 0")):
        (row,) = re.findall(rf"^\| `{name}`: .+$", TEXT["02-the-non-saturating-trick.md"], flags=re.MULTILINE)
        assert [cell.strip() for cell in row.strip("|").split("|")][-2:] == [at_left, at_right]


def rows_of(name):
    """The cells of a page's table."""
    (table,) = re.findall(rf"<!-- table {name} -->\n(.+?)<!-- end of table -->", "\n".join(TEXT.values()), flags=re.DOTALL)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")][2:]


def test_page_two_tells_of_its_table_how_the_distance_costs_both_losses():
    taken = {row[0]: [int(number) for number in row[1].split(",")] for row in rows_of("saturation")}
    times = [far / near for near, far in zip(taken["2"], taken["8"], strict=True)]
    assert (min(times), max(times)) == (3, 8)
    assert "at 8 it took three to eight times as many iterations as at 2" in " ".join(
        TEXT["02-the-non-saturating-trick.md"].split()
    )


def test_page_seven_tells_of_its_table_which_runs_are_most_even():
    found = {row[0]: row[3] for row in rows_of("collapse") if row[1] == "8, 8, 8"}
    assert sorted(found.values()) == ["0.05", "0.11", "0.14", "0.33"]
    messages = TEXT["07-mode-collapse.md"].partition("Finding all modes is not covering them evenly")[2]
    for value, words in (
        (found["`ring_even`"], "more even: {} instead of "),
        (found["`ring_cured`"], "instead of {}"),
        (found["… `discriminator.params.hidden=[256,256]`"], "a larger D ({})"),
        (found["… `train.discriminator_steps=5`"], "k = 5 ({},"),
    ):
        assert words.format(value) in " ".join(messages.split())


def test_settings_that_page_one_says_cannot_be_combined_cannot():
    both = ("train.discriminator_steps=5", 'train.updates="simultaneous"')
    with pytest.raises(RecipeError, match="simultaneous updates allow one discriminator step"):
        resolve_recipe(read_recipe(ROOT / "recipes/gaussian_1d.toml", both), load_plugins())


def bells(tutorial, logits=None):
    points = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    data, generated = (
        gaussian_mixture_density(points[:, None], GaussianMixture(((mean,),), 1.0)).clamp_min(1e-300) for mean in (-0.5, 0.5)
    )
    best = -points  # log p_data - log p_g of two bells of spread 1, one apart
    return tutorial.experiments.DiscriminatorCurve(points, data, generated, best if logits is None else logits(best), (0.5, 1.0))


def test_value_of_the_best_discriminator_is_the_divergence(tutorial):
    best = bells(tutorial)
    assert best.gap < 1e-12
    assert best.value(best.logits) == pytest.approx(best.best_value, abs=1e-9)
    assert best.best_value == pytest.approx(2 * best.divergence - math.log(4), abs=1e-9)
    assert 0 < best.divergence < math.log(2)


def test_value_of_any_other_discriminator_is_lower(tutorial):
    undecided = bells(tutorial, torch.zeros_like)
    assert undecided.value(undecided.logits) == pytest.approx(-math.log(4))
    for other in (undecided, bells(tutorial, lambda best: 0.5 * best), bells(tutorial, lambda best: best + 0.3)):
        assert other.value(other.logits) < other.best_value - 1e-3
        assert other.gap > 0.01


def test_curves_take_the_generators_bell_from_its_weights(tutorial):
    trainer = tutorial.experiments.built("tutorial/optimal_discriminator", "dataset.params.samples=100")
    noise = trainer.sampler.draw(20_000, torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = trainer.networks["generator"](noise)
    curve = tutorial.experiments.discriminator_curve(trainer)
    assert curve.bell == pytest.approx((made.mean().item(), made.std().item()), abs=0.02)
    assert torch.trapezoid(curve.generated, curve.points).item() == pytest.approx(1)
    assert torch.trapezoid(curve.data, curve.points).item() == pytest.approx(1)


def test_generator_of_page_three_stands_still(tutorial):
    settings = ("dataset.params.samples=100", "train.iterations=3", "metric=[]")
    before = tutorial.experiments.discriminator_curve(tutorial.experiments.built("tutorial/optimal_discriminator", *settings)).bell
    run = tutorial.experiments.trained("tutorial/optimal_discriminator", *settings)
    assert tutorial.experiments.discriminator_curve(run.trainer).bell == before


def test_two_players_circle_until_a_penalty_stops_them(tutorial):
    settings = ("train.iterations=400", "metric=[]", "pictures.every=1_000")
    free, held = (
        tutorial.experiments.trained(f"tutorial/{name}", *settings, watch=tutorial.experiments.whereabouts)
        for name in ("circling", "circling_stopped")
    )
    left = tutorial.experiments.distance_left
    assert left(free, 0) > 0.3
    assert left(free, 2) < 0.6 * left(free, 0)
    assert left(held, 0) < 0.01


def test_a_run_ends_where_its_reader_has_seen_enough(tutorial):
    settings = ("train.iterations=100", "dataset.params.mean=1.0")
    run = tutorial.experiments.trained("tutorial/non_saturating", *settings, until=lambda values: values["wasserstein"] < 100)
    assert [at for at, _ in run.metrics] == [25]
    assert len(run.terms) == 25
    assert run.late("discriminator/total", 0.04) == run.terms[-1]["discriminator/total"]


def test_quick_figures_are_drawn(tutorial):
    picture = tutorial.figures.slopes()
    drawn = np.asarray(Image.open(io.BytesIO(tutorial.figures.png(picture))).convert("RGB"))
    assert drawn.shape == picture.shape
    assert np.abs(drawn.astype(int) - picture).max() < 40  # few colours, but the same figure
    colours = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert {(0xD9, 0x62, 0x2B), (0x1F, 0x6F, 0xB2)} <= colours
