"""Measure runs on MNIST and stacked MNIST by the protocols of their papers, and write the table in docs/results.md.

    python benchmarks/mnist.py RUN … [--runs-dir runs] [--out docs/results.md]

- *Parzen* (Goodfellow et al. 2014, Mirza & Osindero 2014): 10,000 samples, 1,000 of each class where there are labels; σ chosen on
  the images 50,000 to 50,999 of the training files; mean and standard error over the 10,000 test images, in nats, pixels in [0, 1].
- *requested digit*: share of 10,000 samples that a classifier assigns to their label.
- *code is digit* (Chen et al. 2016): share of 10,000 samples whose first code matches the classifier's digit, best assignment.
- *information* (Chen et al. 2016): H(c) minus the code head's cross-entropy, mean of the last 100 iterations, in nats:
  a lower bound of the mutual information between sample and codes, at most log 10 = 2.303 for a code of ten values.
- *modes* (Metz et al. 2017): triples that the classifier finds in 26,000 samples, and KL(found ‖ uniform), whose floor is 0.019.
  The metric `class-modes` measures the same.

Rows of earlier calls are kept; a newer row replaces one of the same command. The classifier is that of the features 'classifier',
trained on the 60,000 real digits and cached; its accuracy on the test images stands beside the table.
Recipe, seed, device and seconds are read from the run folder.
"""

from __future__ import annotations

import argparse
import math
import re
import shlex
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.builtin.datasets.dataset_specs import MnistParams
from ganforge.builtin.datasets.image_datasets import build_mnist
from ganforge.builtin.features.classifier_features import classify, load_classifier
from ganforge.core.records import Samples
from ganforge.metrics import class_coverage, hungarian_accuracy, parzen_log_likelihood
from ganforge.plugin import Dataset, DatasetContext, LatentSpec, MetricContext
from ganforge.runs.loaded_generator import LoadedGenerator, load
from ganforge.runs.run_index import find
from ganforge.storage.journal import read
from ganforge.storage.run_folder import RunFolder, cache_folder, data_folders

ROOT = Path(__file__).resolve().parent.parent
_NOT_OF_THE_RECIPE = ("--runs-dir", "--tracking-uri", "--device")
_SECTION = re.compile(r"^## MNIST\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Digits:
    """The real digits, pixels in [0, 1].

    Attributes:
        train: the 60,000 training images.
        test: the 10,000 test images.
        dataset: what both are from.
    """

    train: Samples
    test: Samples
    dataset: Dataset


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder, name or beginning of the id of a run")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    options = parser.parse_args()

    digits = real_digits()
    reader = load_classifier(MetricContext(digits.dataset.spec, LatentSpec(1), ROOT, cache_folder(), lambda: digits.dataset))
    rows = [row(find(run, options.runs_dir), reader.network, digits) for run in options.runs]
    page = options.out.read_text() if options.out.exists() else ""
    text = section(joined(earlier(page), rows), right=reader.accuracy)
    print(text)
    options.out.write_text(replaced(page, text))


def real_digits() -> Digits:
    """MNIST from the data folder.

    Raises:
        DataMissingError: it was never prepared.
    """
    first, *others = data_folders()
    dataset = build_mnist(MnistParams(value_range=(0.0, 1.0)), DatasetContext(0, ROOT, first, tuple(others)))
    train, spec = dataset.training(), dataset.spec
    test = dataset.held_out(10_000, torch.Generator().manual_seed(0))
    return Digits(Samples(spec.to_float(train.values), train.labels), test, dataset)


def row(folder: RunFolder, network: nn.Module, digits: Digits) -> dict[str, str]:
    """One run's cells."""
    generator = load(folder.path)
    facts, status = folder.read_json(folder.identity) or {}, folder.read_json(folder.status) or {}
    seconds, iterations = float(status["seconds"]), int(status["iteration"])
    return {
        "run": f"`{_typed(facts)}`",
        "iterations": f"{iterations:,}",
        "seconds": f"{seconds:,.0f}",
        "device": f"{facts['device']}, {facts['threads']} thread{'s' if facts['threads'] != 1 else ''}",
        **dict(measured(generator, network, digits)),
        **dict(information(folder, generator)),
    }


def _typed(facts: dict[str, Any]) -> str:
    """The command of a run, without what says only where files go."""
    words, kept = iter(shlex.split(facts["command"])), []
    for word in words:
        if word in _NOT_OF_THE_RECIPE:
            next(words, None)
        elif word == "--set":
            setting = next(words)
            kept += [] if setting.startswith(("tracking.", "checkpoints.", "pictures.")) else [word, shlex.quote(setting)]
        else:
            kept.append(word)
    return " ".join(kept)


def measured(generator: LoadedGenerator, network: nn.Module, digits: Digits) -> Iterator[tuple[str, str]]:
    """What the generator's data, labels and codes allow to be measured."""
    if generator.data.shape == (3, 28, 28):
        yield "modes", modes(_unit(generator.draw(26_000, seed=0).values, generator), network)
        return

    samples = drawn(generator, 10_000)
    values = _unit(samples.values, generator)
    found = parzen_log_likelihood(values, digits.train.values[50_000:51_000], digits.test.values)
    yield "Parzen", f"{found.mean:.1f} ± {found.standard_error:.1f} (σ {found.width:.3f})"
    read = classify(network, values)
    if samples.labels is not None:
        yield "requested digit", f"{float((read == samples.labels).double().mean()):.2%}"
    if samples.latent is not None and samples.latent.codes is not None:
        yield "code is digit", f"{hungarian_accuracy(samples.latent.codes.categorical[:, 0], read):.2%}"


def information(folder: RunFolder, generator: LoadedGenerator) -> Iterator[tuple[str, str]]:
    """The bound on the mutual information of samples and categorical codes, from the losses in the journal."""
    costs: list[float] = []
    for _, record in read(folder.journal):
        if record["kind"] == "metrics":
            costs += record["values"].get("loss/generator/categorical", [])
    if costs:
        entropy = sum(math.log(values) for values in generator.latent.categorical)
        yield "information", f"{entropy - statistics.fmean(costs[-100:]):.2f} of {entropy:.2f}"


def drawn(generator: LoadedGenerator, count: int) -> Samples:
    """Samples of seed 0; equally many of each class where the generator takes labels."""
    kinds = generator.latent.classes
    if kinds is None:
        return generator.draw(count, seed=0)
    parts = [generator.draw(count // kinds, seed=label, label=label) for label in range(kinds)]
    return Samples(torch.cat([part.values for part in parts]), torch.arange(kinds).repeat_interleave(count // kinds))


def modes(values: Tensor, network: nn.Module) -> str:
    """Triples found, and KL(found ‖ uniform) in nats."""
    found = class_coverage(classify(network, values, channels=3), [1e-3] * 1000)
    return f"{found.captured:,} of 1,000, KL {found.reverse_kl:.3f}"


def _unit(values: Tensor, generator: LoadedGenerator) -> Tensor:
    low, high = generator.data.value_range or (0.0, 1.0)
    return (values - low) / (high - low)


def earlier(page: str) -> list[dict[str, str]]:
    """The rows that the page has."""
    found = _SECTION.search(page)
    table = [line for line in found[0].splitlines() if line.startswith("| ")] if found else []
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def joined(older: list[dict[str, str]], newer: list[dict[str, str]]) -> list[dict[str, str]]:
    """All rows; of one command the newer."""
    return list({row["run"]: row for row in (*older, *newer)}.values())


def section(rows: list[dict[str, str]], *, right: float) -> str:
    """The table as Markdown."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    accuracy = f"the classifier recognises {right:.2%} of the real test digits"
    lines = [
        "## MNIST",
        "",
        f"`python benchmarks/mnist.py RUN …` · {accuracy} · torch {torch.__version__}",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(f"| {' | '.join(row.get(head, '–') for head in heads)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def replaced(page: str, text: str) -> str:
    """The page with this section in place of an older one, or before what was not measured, or at its end."""
    if _SECTION.search(page):
        return _SECTION.sub(lambda _: text + "\n", page).rstrip() + "\n"
    before, mark, after = page.partition("## Not measured")
    return f"{before.rstrip()}\n\n{text}\n{mark}{after}".strip() + "\n"


if __name__ == "__main__":
    main()
