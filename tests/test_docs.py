import ast
import dataclasses
import re
import runpy
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from ganforge import plugin
from ganforge.build.blueprint import resolve_recipe
from ganforge.cli.app import app, main
from ganforge.core.errors import GanforgeError
from ganforge.recipe.reader import read_recipe
from ganforge.registry.component import Kind
from ganforge.registry.params_description import describe_params
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import FIRST_PARTY
from ganforge.storage.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "plugins").glob("*/README.md")])
NOT_OURS = {"shared"}
GLOBAL = ("--plugin", "--no-plugin", "--only-plugins")
OF_READERS = {
    "recipe.toml",
    "own.toml",
    "my.toml",
    "small_vae.toml",
    "rals-gan",
    "acme-drift",
}  # files and folders that readers of a guide have made


def commands() -> set[str]:
    found = typer.main.get_command(app)
    assert hasattr(found, "commands")
    return set(found.commands)


def test_readme_begins_with_the_two_commands_and_ci_calls_the_second():
    first, second, *_ = re.findall(r"```sh\n(.+?)```", README, flags=re.DOTALL)
    assert first == (
        "python -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/ganforge run recipes/infogan_moons.toml\n"
    )
    assert second.strip() in [line.strip() for line in (ROOT / ".ci/run").read_text().splitlines()]


@cache
def reference_pages() -> dict[str, str]:
    return runpy.run_path(str(ROOT / "docs" / "reference.py"))["pages"]()


def test_reference_pages_are_renewed():
    pages = reference_pages()
    on_disk = {name: (ROOT / "docs" / "reference" / name).read_text() for name in pages}
    assert on_disk == pages, "run: python docs/reference.py"


def test_reference_pages_tell_every_component_with_every_parameter():
    pages = reference_pages()
    for component in load_plugins().components():
        if component.plugin.distribution not in FIRST_PARTY:
            continue
        (section,) = re.findall(
            rf"^### {component.name}\n(.+?)(?=^### |\Z)", pages[f"{component.kind.plural}.md"], re.DOTALL | re.MULTILINE
        )
        assert f"`{component.id}@{component.revision}`" in section
        named = [*(one.name for one in describe_params(component.load_params())), *component.requires, *component.provides]
        assert [name for name in named if f"`{name}`" not in section] == []
        links = [link for text in component.references for link in re.findall(r"https?://\S+", text)]
        assert [link for link in links if link not in section] == []
    for kind in Kind:
        page = pages[f"{kind.plural}.md"]
        assert len(re.findall(r"^## ", page, re.MULTILINE)) == 4
        assert ("class Game(" if kind is Kind.GAME else "(Protocol):") in page


def test_reference_tells_every_field_of_the_records_that_plugins_get_and_return():
    page = reference_pages()["records.md"]
    public = {name: getattr(plugin, name) for name in plugin.__all__}
    records = {name: one for name, one in public.items() if dataclasses.is_dataclass(one) and name != "Registrar"}
    assert {"MetricContext", "Latent", "DataSpec", "TermInfo"} <= records.keys()
    for name, record in records.items():
        (section,) = re.findall(rf"^### {name}\n(.+?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
        rows = dict(re.findall(r"^\| `(\w+)` \| (`.+` \| .+ \| \S.+) \|$", section, re.MULTILINE))
        assert list(rows) == [one.name for one in dataclasses.fields(record)]
    errors = [name for name, one in public.items() if isinstance(one, type) and issubclass(one, GanforgeError)]
    assert [name for name in errors if f"| `{name}` |" not in page] == []
    linked = {anchor for text in reference_pages().values() for anchor in re.findall(r"\(records\.md#(\w+)\)", text)}
    assert linked == {name.lower() for name in records} - {"normalization", "gaussianmixture"}


def test_reference_tells_losses_with_their_equilibrium():
    losses = reference_pages()["losses.md"]
    assert "| `generator/adversarial` | how surely fakes are recognised, log(1 - D(G(z))) | -log 2 = -0.6931 |" in losses


def test_page_of_the_conformance_kit_is_renewed():
    renewed = runpy.run_path(str(ROOT / "docs" / "conformance.py"))["written"]()
    assert (ROOT / "docs/reference/conformance.md").read_text() == renewed, "run: python docs/conformance.py"


def test_every_module_states_its_purpose():
    files = [*(ROOT / "src").rglob("*.py")]
    assert [str(file) for file in files if not ast.get_docstring(ast.parse(file.read_text()))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in targets if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_code_exist(page):
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), flags=re.DOTALL))
    named = set(re.findall(r"(?:^|`|bin/)ganforge ([a-z]+)", code, flags=re.MULTILINE))
    assert named <= commands()


def shown_commands(page: Path) -> list[list[str]]:
    """The words of each command that can be copied as it is: lines of blocks, and commands in the text that name a file."""
    text = page.read_text()
    blocks = re.findall(r"```(?:sh|console|text)\n(.+?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [one for one in re.findall(r"`(ganforge [^`\n]+)`", text) if ".toml" in one or " recipes/" in one]
    found = [
        re.sub(r"^(\$ |\.venv/bin/)?ganforge ", "", line) for line in lines if re.match(r"(\$ |\.venv/bin/)?ganforge [a-z-]", line)
    ]
    return [shlex.split(line.partition(" > ")[0], comments=True) for line in found if not re.search("…|1a2b3c4d|RUN", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_can_be_copied(page, monkeypatch):
    """Options, recipes, keys and values exist, and runs are those of a recipe."""
    monkeypatch.chdir(ROOT)
    names = {path.stem for path in (ROOT / "recipes").rglob("*.toml")}
    names |= {f"{name}-seeds" for name in names} | {Path(name).stem for name in OF_READERS}
    problems = []
    for words in shown_commands(page):
        command: Any = typer.main.get_command(app)
        own = [word for at, word in enumerate(words) if word not in GLOBAL and (at == 0 or words[at - 1] not in GLOBAL)]
        while hasattr(command, "commands"):
            command, own = command.commands[own[0]], own[1:]
        values = command.make_context(command.name, list(own)).params  # options and values are checked here
        recipes = [values["recipe"]] if values.get("recipe") else values.get("recipes") or []
        for recipe in map(Path, recipes):
            if recipe.is_file():
                problems += read_recipe(recipe, values.get("overrides") or ()).problems
                if command.name == "run":
                    resolve_recipe(read_recipe(recipe, values.get("overrides") or ()), load_plugins())
            elif not ({recipe.name, recipe.parts[0]} & OF_READERS):
                problems.append(f"{shlex.join(words)}: there is no {recipe}")
        runs = values.get("runs") or [values[key] for key in ("run", "resume") if isinstance(values.get(key), str)]
        problems += [f"{shlex.join(words)}: {run} is no run" for run in runs if "/" not in run and run not in names]
    assert problems == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_toml_that_is_shown_can_be_read(page):
    for block in re.findall(r"```toml\n(.+?)```", page.read_text(), flags=re.DOTALL):
        tomllib.loads(block)


def test_readme_lists_every_recipe():
    linked = set(re.findall(r"\(recipes/(\w+)\.toml\)", README))
    assert linked == {path.stem for path in (ROOT / "recipes").glob("*.toml")}


def test_contributing_lists_every_session():
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    sessions = re.findall(r"^@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(), flags=re.MULTILINE)
    assert table == sessions


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugins_readme_names_components_parameters_and_paper(plugin):
    text = (plugin / "README.md").read_text()
    module = plugin / "src" / plugin.name.replace("-", "_")
    components = re.findall(r'register\(\s*"([a-z0-9-]+)"', (module / "plugin.py").read_text())
    parameters = re.findall(r"^    (\w+): ", (module / "params.py").read_text(), flags=re.MULTILINE)

    assert components
    assert [name for name in {*components, *parameters} if f"`{name}`" not in text] == []
    assert "arxiv.org/abs/" in text


def test_architecture_tells_the_layers_that_are_enforced():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (enforced,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    (table,) = re.findall(r"\| layer \| holds \|\n\|---\|---\|\n(.+?)\n\n", text, flags=re.DOTALL)

    messages = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines()]
    assert messages == [[name.strip().removeprefix("ganforge.") for name in row.split("|")] for row in enforced]


def test_architecture_tells_every_file_of_a_run_folder():
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    folder = RunFolder(Path("run"))
    paths = [value for name in dir(folder) if not name.startswith("_") and isinstance(value := getattr(folder, name), Path)]
    names = {path.name for path in paths if path.parent == folder.path}
    assert {"recipe.toml", "lock.json"} <= names
    assert {name for name in names if f"`{name}" not in text} == set()


def test_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, flags=re.MULTILINE)


def test_local_file_of_the_guide_trains_and_keeps_its_contracts(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs/how-to/manage-plugins.md").read_text()
    (code,) = re.findall(r"`my_gan\.py`.+?```python\n(.+?)```", text, flags=re.DOTALL)
    (tmp_path / "my_gan.py").write_text(code)
    smoke = (ROOT / "recipes/smoke/vanilla_moons.toml").read_text()
    (tmp_path / "recipe.toml").write_text(smoke.replace('"mlp"\nparams = { hidden = [16, 16] }', '"swirl"', 1))
    monkeypatch.chdir(tmp_path)

    assert main(["plugins", "check", "my-gan", "--plugin", "my_gan.py"]) == 0, capsys.readouterr().out
    assert main(["run", "recipe.toml", "--set", 'tracking.mode="off"', "--plugin", "my_gan.py"]) == 0
    (run,) = (tmp_path / "runs" / "smoke").iterdir()
    assert main(["sample", str(run), "--out", "points.csv", "--plugin", "my_gan.py"]) == 0
    capsys.readouterr()
    assert main(["sample", str(run), "--out", "more.csv"]) == 2
    assert "the local plugin 'my-gan' is not loaded" in capsys.readouterr().err


def test_recipe_of_the_guide_is_right(tmp_path):
    text = (ROOT / "docs/how-to/run-a-recipe.md").read_text()
    extension, schedule = re.findall(r"```toml\n(.+?)```", text, flags=re.DOTALL)
    (tmp_path / "vanilla_moons.toml").write_text((ROOT / "recipes/vanilla_moons.toml").read_text())
    (tmp_path / "own.toml").write_text(extension + schedule)

    blueprint = resolve_recipe(read_recipe(tmp_path / "own.toml"), load_plugins())

    assert [part.component.name for part in blueprint.losses] == ["least-squares"]
    assert blueprint.recipe.generator.optimizer.lr.until == 0.8
