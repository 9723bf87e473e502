"""Run by test_fuzz.py in a process of its own: thousands of hostile recipes under an audit hook, which cannot be taken off again.

Prints one JSON object: how many recipes were judged, how many of them were right, and each thing that must not happen.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganforge.assembly.blueprint import resolve
from ganforge.core.errors import RecipeError, UsageError
from ganforge.hooks.loading import load_plugins
from ganforge.recipe.keys import step_into
from ganforge.recipe.reading import read
from ganforge.recipe.writing import to_toml, value

BAITS = ("antigravity", "turtle", "this", "ftplib", "wsgiref", "xmlrpc", "turtledemo")
"""Modules that nothing here needs: whoever imports one took its name from a recipe."""

FORBIDDEN = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename", "os.mkdir"),
    *("os.putenv", "os.chdir", "shutil.", "ctypes.", "urllib.", "http.", "ftplib.", "pty.", "exec", "compile"),
)
"""Beginnings of audit events that reading a recipe has no business with."""

WHOLE = {
    "title": "x",
    "train": {"iterations": 20},
    "dataset": {"use": "moons", "params": {"samples": 200}, "standardise": True},
    "sampler": {"use": "structured", "params": {"size": 3, "categorical": [2], "continuous": 1}},
    "generator": {"use": "mlp", "params": {"hidden": [16]}, "optimizer": {"use": "adam", "lr": 0.001}},
    "discriminator": {"use": "infogan-mlp", "params": {"hidden": [8]}, "optimizer": {"use": "sgd"}},
    "loss": [{"use": "non-saturating"}, {"use": "mutual-information", "weight": {"schedule": "linear", "start": 1.0, "end": 0.5}}],
    "metric": [{"use": "wasserstein", "every": 5}],
    "tracking": {"experiment": "e", "tags": {"a": "b"}},
    "requires": {"ganforge": ">=0.1", "plugins": ["ganforge-infogan>=0.1"]},
}

baits = st.sampled_from(
    [
        *BAITS,
        *(f"{name}:x" for name in BAITS),
        "os.system",
        "os:system",
        "subprocess:Popen",
        "__import__('antigravity')",
        "!!python/object:antigravity.x",
        "${antigravity}",
        "{{ antigravity }}",
        "https://127.0.0.1/x.toml",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../x.toml",
        "antigravity/mlp",
        "ganforge/../antigravity@1",
        "ganforge_vanilla.networks:build_generator",
        "antigravity @ https://127.0.0.1/x.whl",
        "antigravity; python_version > '3'",
        "\x1b[2J",
        "a" * 1000,
    ]
)
names = (
    st.sampled_from(["use", "params", "extends", "import", "_target_", "class_path", "factory", "__class__", "every", "name"])
    | baits
)
scalars = baits | st.text(max_size=8) | st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.dates().map(str)
junk = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3), max_leaves=6)


def places(value, at=()):
    for step, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, step)
        yield from places(item, (*at, step))


PLACES = sorted(places(WHOLE), key=str)
USES = [place for place in PLACES if place[-1] in ("use", "plugins", "experiment", "title")]


@st.composite
def mutated(draw):
    """The whole recipe with a few of its values, at any depth, replaced, dropped or joined by junk; names most of all."""
    table = json.loads(json.dumps(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        *way, last = draw(st.sampled_from(USES) | st.sampled_from(PLACES))
        here = table
        for step in way:
            here = step_into(here, step)
        if not isinstance(here, dict):
            continue
        match draw(st.sampled_from(["bait", "replace", "drop", "add"])):
            case "bait":
                here[last] = draw(baits)
            case "replace":
                here[last] = draw(junk)
            case "drop":
                here.pop(last, None)
            case "add":
                here[draw(names)] = draw(junk)
    return table


def written(table):
    lines = []
    for name, item in table.items():
        try:
            lines.append(f"{json.dumps(name)} = {value(item)}")
        except ValueError:
            lines.append(f"{json.dumps(name)} = nan")
    return "\n".join(lines).replace("\x7f", "")


recipes = (
    mutated().map(lambda table: written(table).encode("utf-8", "surrogatepass"))
    | st.lists(
        st.sampled_from(
            ["[", "]", "[[", "]]", "{", "}", "=", ",", ".", "\n", '"', "'", '"""', "a", "loss", "use", "1", "#", "\\", "é"]
        ),
        max_size=60,
    )
    .map("".join)
    .map(str.encode)
    | st.binary(max_size=200)
)
overrides = st.lists(
    st.builds(
        "{}={}".format,
        st.sampled_from(["train.seed", "loss[0].use", "generator", "loss.9", "a.b"]) | st.text(max_size=9),
        baits | st.text(max_size=9),
    ),
    max_size=2,
)


def main(examples):
    registry = load_plugins()
    folder = Path(tempfile.mkdtemp())
    path = folder / "recipe.toml"
    (folder / "base.toml").write_text('title = "base"\n')
    bad = []
    counts = {"judged": 0, "right": 0}
    watching = [False]

    def watch(event, arguments):
        if not watching[0]:
            return
        if event == "import" and str(arguments[0]).partition(".")[0] in (*BAITS, "torch", "mlflow", "numpy"):
            bad.append(f"import {arguments[0]}")
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            bad.append(f"opened to write: {arguments[0]}")
        elif event.startswith(FORBIDDEN) and not _is_import_machinery(event):
            bad.append(f"{event} {arguments!r:.80}")

    def judge(given_overrides):
        watching[0] = True
        try:
            blueprint = resolve(read(path, given_overrides), registry)
            to_toml(blueprint.resolved)
            counts["right"] += 1
        except RecipeError as error:
            str(error)
        finally:
            watching[0] = False
            counts["judged"] += 1

    # What is imported late but rightly is imported now: params models, and the libraries' own lazy modules.
    path.write_text(written(WHOLE))
    judge([])
    bad.clear()
    path.write_bytes(b"\xff")
    judge([])

    sys.addaudithook(watch)

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(recipes, overrides)
    def fuzz(text, given_overrides):
        path.write_bytes(text)
        try:
            judge(given_overrides)
        except UsageError as error:
            bad.append(f"no RecipeError: {error!r}")

    fuzz()
    bad.extend(f"imported {name}" for name in (*BAITS, "torch", "mlflow") if name in sys.modules)
    bad.extend(f"created {other}" for other in folder.iterdir() if other.name not in ("recipe.toml", "base.toml"))
    print(json.dumps({**counts, "bad": bad}))


def _is_import_machinery(event):
    """Loading a plugin's params model compiles or runs its module: late, but the plugin's own, which the import watch judges."""
    if event not in ("exec", "compile"):
        return False
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


if __name__ == "__main__":
    main(int(sys.argv[1]))
