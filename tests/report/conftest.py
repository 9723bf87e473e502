"""Run folders as runs leave them, made by hand: quick, and of every kind of ending."""

import math
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ganforge.core.contracts import MetricInfo, TermInfo
from ganforge.storage import value_info
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder, Status
from ganforge.storage.value_info import ValueInfo

RECIPE = """title = "Two moons"

[train]
iterations = 300  # a comment that explains

[[loss]]
use = "non-saturating"
"""
READINGS = {
    "discriminator/real": TermInfo("cost of taking real samples for fakes", math.log(2)),
    "discriminator/fake": TermInfo("cost of taking fakes for real", math.log(2)),
    "discriminator/total": TermInfo("what the discriminator descends", math.log(4)),
    "generator/adversarial": TermInfo("cost of fakes that are recognised", math.log(2)),
    "generator/total": TermInfo("what the generator descends", math.log(2)),
}
MEASURES = {
    "wasserstein": MetricInfo("exact W₂", "lower", floor=lambda samples: 10 / samples),
    "modes/captured": MetricInfo("modes that samples reach", "higher", ideal=8.0),
}


def draw(path, size=(40, 30), kind="PNG"):
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    frames = [Image.fromarray(noise), Image.fromarray(255 - noise)]
    frames[0].save(path, kind, **({"save_all": True, "append_images": frames[1:]} if kind == "GIF" else {}))


@pytest.fixture
def made(tmp_path):
    """``made(standing="diverged", title="<b>")`` → the folder of a run of 300 iterations."""

    def made(*, standing="finished", done=300, title="Two moons", seed=0, parent=None, health=None, pictures=True, **report):
        folder = RunFolder.create(tmp_path / "runs", "moons", "two")
        identity = folder.read_json(folder.identity)
        surroundings = {"ganforge": "0.1.0", "device": "cpu", "threads": 1, "versions": {"torch": "2.13.0"}, "host": "here"}
        command = "ganforge run moons.toml --set train.iterations=300 --set=tracking.token=canary-4711"
        own = {"title": title, "seed": seed, "parent": parent, "command": command, "recipe": "/tmp/my recipes/moons.toml"}
        folder.write_json(folder.identity, {**identity, **surroundings, **own})
        folder.recipe.write_text(RECIPE)
        folder.resolved.write_text(f'description = """What it is.\nAnd why."""\n{RECIPE}')
        component = {
            "key": "loss[0]",
            "id": "ganforge/non-saturating",
            "revision": 1,
            "distribution": "ganforge",
            "version": "0.1.0",
        }
        data = {"key": "dataset", "file": "/data/train.idx", "sha256": "ab" * 32}
        origin = {"name": "ganforge", "version": "0.1.0", "source": "vcs", "url": "git+https://me:canary@example.org/g"}
        folder.write_json(folder.lock, {"components": [component], "distributions": [origin], "data_files": [data]})
        value_info.write(folder, ValueInfo.resolve(READINGS, MEASURES, {"wasserstein": 2000, "modes": 500}))
        _journal(folder, done)
        metrics = {"wasserstein": 0.25, "modes/captured": 7.0}
        whole = Status(status=standing, iteration=done, iterations=300, seconds=20.0, metrics=metrics, health=health, **report)
        folder.write_status(whole)
        if pictures:
            draw(folder.pictures / "samples-00000000.png")
            draw(folder.pictures / "samples-00000300.png")
            for name in ("interpolation", "traversal", "neighbours"):
                draw(folder.pictures / f"{name}.png")
            for name in ("training", "interpolation"):
                draw(folder.pictures / f"{name}.gif", kind="GIF")
        return folder

    return made


def _journal(folder, done):
    with JournalWriter(folder.journal) as writer:
        tags = {
            "mlflow.source.git.commit": "0123456789abcdef" * 2,
            "mlflow.source.git.branch": "main",
            "mlflow.source.git.dirty": "true",
        }
        writer.record("start", run_id="0", run_name="two", experiment="moons", tags=tags)
        for iteration in range(1, done + 1):
            real, fake = 0.69 + 0.3 / iteration, 0.69 - 0.2 / iteration
            own = {"discriminator/real": real, "discriminator/fake": fake, "discriminator/total": real + fake}
            own |= {"generator/adversarial": 0.7 + 1 / iteration, "generator/total": 0.7 + 1 / iteration}
            writer.metrics(iteration, {f"loss/{key}": value for key, value in own.items()})
            if iteration % 100 == 0:
                values = {
                    "eval/wasserstein": 30 / iteration + (0.15 if iteration == 300 else 0),
                    "eval/modes/captured": iteration // 45,
                }
                writer.record("eval", iteration=iteration, values=values)


VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A page read as strictly as it should have been written: every element closed, in order."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.html, self.open, self.elements, self.pieces = html, [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), f"<{tag}> says an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style"} & set(self.open):
            self.pieces.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.pieces).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page_of():
    """``page_of(folder)`` → the page about a run, read; its file is ``report.html`` in the folder."""
    from ganforge.report.page import write_report

    def page_of(folder):
        return Page(write_report(folder).read_text("utf-8"))

    return page_of
