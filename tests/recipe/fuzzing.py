"""Run by test_fuzz.py in a process of its own: thousands of hostile recipes under an audit hook, which cannot be taken off again.

Recipes are read, resolved against what is installed, a strange plugin and a local file included, and written out. Prints one JSON
object: how many recipes were judged, how many of them were right, how many met the strange plugin's failures, and each thing that
must not happen. A second argument plants such a thing, to prove that it is seen.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganforge.build.blueprint import resolve_recipe
from ganforge.core.errors import PluginError, RecipeError, UsageError
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_file import step_into
from ganforge.recipe.toml_writer import to_plain, to_toml, toml_value
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.selection import PluginSelection
from ganforge.testing import fake_plugin

_MANY = 1000
"""Examples from which on chance decides nothing; fewer are the same in every run."""

BAITS = ("antigravity", "turtle", "this", "ftplib", "wsgiref", "xmlrpc", "turtledemo")
"""Modules that nothing here needs: whoever imports one took its name from a recipe."""

FORBIDDEN = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename", "os.mkdir"),
    *("os.putenv", "os.chdir", "shutil.", "ctypes.", "urllib.", "http.", "ftplib.", "pty.", "exec", "compile"),
)
"""Beginnings of audit events that reading a recipe has no business with."""

STRANGE = '''
from pydantic import Field, field_validator

from ganforge.plugin import DataSpec, Params, hookimpl


class OddParams(Params):
    size: int = Field(3, ge=1)
    """Divides."""
    words: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Nested."""

    @field_validator("size")
    @classmethod
    def not_seven(cls, value: int) -> int:
        return value + 0 * (1 // (value - 7))


def spec(params: OddParams) -> DataSpec:
    if params.size == 5:
        raise RuntimeError("no five")
    return DataSpec(shape=(params.size,)) if params.size < 50 else "a text"


@hookimpl
def ganforge_register_datasets(register):
    register("odd", "nowhere_at_all:build", params=OddParams, spec=spec, summary="Odd.")


@hookimpl
def ganforge_register_losses(register):
    register("lost", "nowhere_at_all:build", params="nowhere_at_all:Params", summary="Lost.")
    register("far", "nowhere_at_all:build", summary="Far.", needs=("no_such_module",), requires=("a-word", "head:none"))
'''
"""A plugin that is active and whose components fail in several ways; the same file is a local plugin too."""

PLANTS = {
    "import": lambda folder: __import__("wsgiref"),
    "socket": lambda folder: socket.socket().close(),
    "process": lambda folder: subprocess.run(["true"], check=False),
    "write": lambda folder: (folder / "recipe.toml").open("a").close(),
    "remove": lambda folder: (folder / "base.toml").unlink(missing_ok=True),
    "create": lambda folder: os.close(os.open(folder / "left", os.O_CREAT)),
    "code": lambda folder: eval("1 + 1"),
    "traceback": lambda folder: 1 // 0,
    "plugin": lambda folder: (_ for _ in ()).throw(PluginError("ganforge-vanilla failed")),
}
"""What reading a recipe must never do, done after it was read."""

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
        *("acme-gan/odd", "odd", "local/odd@1", "local/lost", "acme-gan/far", "acme-gan/lost@2", "nowhere_at_all:build"),
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
scalars = (
    baits
    | st.text(max_size=8)
    | st.integers(-(2**70), 2**70)
    | st.integers(0, 9)
    | st.floats()
    | st.booleans()
    | st.dates().map(str)
)
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
        if not isinstance(here, dict) or not isinstance(last, str):
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


@st.composite
def strange(draw):
    """The whole recipe with a part of the strange plugin's, and parameters that it may or may not like."""
    table = json.loads(json.dumps(WHOLE))
    params = draw(st.fixed_dictionaries({}, optional={"size": st.integers(0, 60) | scalars, "words": junk}))
    name = draw(st.sampled_from(["acme-gan/odd", "local/odd", "acme-gan/far", "local/lost"]))
    slot = table["dataset"] if name.endswith("odd") else table["loss"][0]
    slot |= {"use": name, "params": params}
    return table


def written(table):
    lines = []
    for name, item in table.items():
        try:
            lines.append(f"{json.dumps(name)} = {toml_value(item)}")
        except ValueError:
            lines.append(f"{json.dumps(name)} = nan")
    return "\n".join(lines).replace("\x7f", "")


recipes = (
    (mutated() | strange()).map(lambda table: written(table).encode("utf-8", "surrogatepass"))
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


def registry_with_other_plugins(site):
    """What is installed here, and the strange plugin both as a distribution and as a file."""
    fake_plugin(site, source=STRANGE)
    (site / "my_gan.py").write_text(STRANGE)
    sys.path.insert(0, str(site))
    registry = load_plugins(PluginSelection(local=(site / "my_gan.py",)))
    status = {record.handle: record.status for record in registry.plugins}
    assert (status["acme-gan"], status["my-gan"]) == ("active", "local"), status
    return registry


class Watch:
    """An audit hook that writes down what must not happen while it looks."""

    def __init__(self):
        self.bad = []
        self.looking = False
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.looking and (messages := self._messages(event, arguments)):
            self.bad.append(messages)

    def _messages(self, event, arguments):
        if event == "import" and str(arguments[0]).partition(".")[0] in (*BAITS, "torch", "mlflow", "numpy"):
            return f"import {arguments[0]}"
        if event == "open" and _writes(*arguments[1:3]):
            return f"opened to write: {arguments[0]}"
        if event.startswith(FORBIDDEN) and not _is_import_machinery(event):
            return f"{event} {arguments!r:.80}"
        return None


class Judging:
    """Reads, resolves and writes out what lies in ``path``; counts how it ended."""

    def __init__(self, path):
        self.path = path
        self.registry = registry_with_other_plugins(Path(tempfile.mkdtemp()))
        self.watch = Watch()
        self.plant = None
        self.counts = {"judged": 0, "right": 0, "failed": 0}

    def __call__(self, overrides):
        self.watch.looking = True
        try:
            self._whole_way(overrides)
        except RecipeError as error:
            str(error)
        except PluginError as error:
            self.counts["failed"] += 1
            if not any(name in str(error) for name in ("acme-gan", "local/")):
                self.watch.bad.append(f"blames another plugin: {error}")
        except UsageError as error:
            self.watch.bad.append(f"no RecipeError: {error!r}")
        finally:
            self.watch.looking = False
            self.counts["judged"] += 1

    def _whole_way(self, overrides):
        to_toml(to_plain(resolve_recipe(read_recipe(self.path, overrides), self.registry).resolved))
        self.counts["right"] += 1
        if self.plant:
            self.plant(self.path.parent)


def main(examples, plant=None):
    folder = Path(tempfile.mkdtemp())
    path = folder / "recipe.toml"
    (folder / "base.toml").write_text('title = "base"\n')
    judge = Judging(path)

    # What is imported late but rightly is imported now: params models, and the libraries' own lazy modules.
    path.write_text(written(WHOLE))
    judge([])
    assert judge.counts["right"] == 1, "the recipe that all others are made of"
    path.write_bytes(b"\xff")
    judge([])
    judge.watch.bad.clear()
    judge.counts = dict.fromkeys(judge.counts, 0)
    judge.plant = PLANTS[plant] if plant else None

    @settings(
        max_examples=examples, derandomize=examples < _MANY, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(recipes, overrides)
    def fuzz(text, given_overrides):
        path.write_bytes(text)
        judge(given_overrides)

    fuzz()
    if plant:  # it comes with right recipes only, of which few examples may hold none
        path.write_text(written(WHOLE))
        judge([])
    bad = judge.watch.bad
    bad.extend(f"imported {name}" for name in (*BAITS, "torch", "mlflow") if name in sys.modules)
    bad.extend(f"created {other}" for other in folder.iterdir() if other.name not in ("recipe.toml", "base.toml"))
    print(json.dumps({**judge.counts, "bad": bad}))


def _writes(mode, flags):
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


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
    main(int(sys.argv[1]), *sys.argv[2:])
