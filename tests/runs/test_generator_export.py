"""Exports compared with their generators, each read back with the library that users read it with."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import ganforge
from ganforge.core.errors import PluginError, StorageError, UsageError
from ganforge.registry.component import Kind
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import FIRST_PARTY
from ganforge.runs import generator_export
from ganforge.runs.generator_export import FORMATS, TOLERANCE, TensorGenerator, export, named_tensors
from ganforge.train.random_streams import stream

CASES = {
    "mlp": ("vanilla_moons",),
    "mlp with codes": ("infogan_moons",),
    "mlp with batch norm": ("vanilla_moons", "generator.params.batch_norm=true", "generator.params.dropout=0.2"),
    "mlp that ignores labels": ("vanilla_moons", "sampler.use=labelled", "sampler.params.size=2"),
    "mlp of one number": ("gaussian_1d",),
    "mlp of images": ("maxout_digits",),
    "cgan-mlp": ("cgan_moons",),
    "cgan-conv": ("cgan_digits",),
    "infogan-mlp": ("infogan_moons", "generator.use=infogan-mlp"),
    "infogan-mlp of continuous codes": (
        "infogan_moons",
        "generator.use=infogan-mlp",
        "sampler.params.categorical=[]",
        "sampler.params.continuous=2",
        "metric=[]",
    ),
    "dcgan": ("dcgan_digits",),
    "dcgan by resizing": ("dcgan_digits", 'generator.params.upsample="resize"'),
    "dcgan with kernels of 5": ("dcgan_digits", "generator.params.kernel=5"),
    "dcgan with codes": ("infogan_digits",),
}
FEW = ("mlp with codes", "cgan-conv")
SOMETIMES = [pytest.param(case, id=name, marks=() if name in FEW else pytest.mark.slow) for name, case in CASES.items()]
"""All of them; those that are not among the few, where there is time."""


@pytest.fixture
def generator(bundle):
    def generator(recipe, *overrides):
        return ganforge.load(bundle(recipe, *overrides))

    return generator


def draw(generator, count, seed=7):
    latent = generator.sampler.draw(count, stream(seed, "test"))
    tensors = named_tensors(latent, generator.latent)
    return tensors, generator(latent).values


def test_every_generator_of_ours_is_a_case():
    named = {one.name for one in load_plugins().components(Kind.GENERATOR) if one.plugin.distribution in FIRST_PARTY}
    assert named == {name.split()[0] for name in CASES}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_tensors_by_name_make_what_latents_make(generator, case):
    made = generator(*case)
    tensors, values = draw(made, 6)
    torch.testing.assert_close(TensorGenerator(made)(**tensors), values)  # batches of another size round differently


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    SOMETIMES,
)
def test_onnx_gives_the_same_samples_in_onnxruntime(generator, tmp_path, case):
    import onnx
    import onnxruntime

    made = generator(*case)
    done = export(made, "onnx", tmp_path / "it.onnx", count=16)

    assert done.difference <= TOLERANCE
    session = onnxruntime.InferenceSession(tmp_path / "it.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 3, 40):
        tensors, values = draw(made, count)
        assert {one.name: one.shape[0] for one in session.get_inputs()} == dict.fromkeys(tensors, "n")
        (given,) = session.run(["values"], {name: tensor.numpy() for name, tensor in tensors.items()})
        torch.testing.assert_close(torch.from_numpy(given), values, rtol=1e-4, atol=1e-5)
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "it.onnx").metadata_props}["ganforge.json"]
    assert json.loads(metadata) == json.loads(json.dumps(done.metadata))


@pytest.mark.parametrize("case", SOMETIMES)
def test_a_program_gives_the_same_samples_in_torch(generator, tmp_path, case):
    made = generator(*case)
    export(made, "torch-export", tmp_path / "it.pt2", count=16)

    extra = {"ganforge.json": ""}
    module = torch.export.load(tmp_path / "it.pt2", extra_files=extra).module()
    for count in (1, 3, 40):
        tensors, values = draw(made, count)
        torch.testing.assert_close(module(**tensors), values)
    assert json.loads(extra["ganforge.json"])["inputs"].keys() == tensors.keys()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_safetensors_are_a_folder_that_ganforge_loads(generator, tmp_path, case):
    made = generator(*case)
    export(made, "safetensors", tmp_path / "it", count=3)

    again = ganforge.load(tmp_path / "it")
    assert (again.sample(5, seed=2)["values"] == made.sample(5, seed=2)["values"]).all()
    assert again.iteration == made.iteration


def test_what_was_loaded_is_exported_though_its_run_goes_on(generator, tmp_path):
    made = generator("vanilla_moons")
    for file in made.path.iterdir():
        if file.suffix == ".safetensors":
            file.write_bytes(b"another iteration's")

    assert export(made, "safetensors", tmp_path / "it").difference < 1e-6
    assert (ganforge.load(tmp_path / "it").sample(5)["values"] == made.sample(5)["values"]).all()


def test_the_metadata_says_what_goes_in_and_what_comes_out(generator, tmp_path):
    made = generator("infogan_moons")
    export(made, "safetensors", tmp_path / "it")

    metadata = json.loads((tmp_path / "it" / "ganforge.json").read_text())
    assert metadata["inputs"] == {
        "noise": {"shape": ["n", 3], "dtype": "float32"},
        "categorical": {"shape": ["n", 1], "dtype": "int64"},
        "continuous": {"shape": ["n", 1], "dtype": "float32"},
    }
    assert metadata["output"] == {"name": "values", "shape": ["n", 2], "dtype": "float32", "units": "the data's own"}
    assert metadata["data"]["normalization"] == {"offset": [0.5, 2.0], "scale": [3.0, 0.25]}
    assert metadata["latent"]["categorical"] == [2]
    assert metadata["recipe"]["sampler"]["use"] == "ganforge/structured@1"
    assert [one["id"] for one in metadata["components"]] == [
        "ganforge/two-player",
        "ganforge/structured",
        "ganforge-vanilla/mlp",
    ]
    assert (metadata["iteration"], metadata["ganforge"]) == (20, ganforge.__version__)


class Restless(nn.Module):
    """Never draws the same twice."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, latent):
        values = self.network(latent)
        return values + 0.01 * torch.randn_like(values)


class Choosy(Restless):
    """Looks at its values to decide what to do, which no graph can hold."""

    def forward(self, latent):
        values = self.network(latent)
        return values if float(values.sum()) > 0 else -values


@pytest.mark.parametrize(("format_name", "file"), [("onnx", "it.onnx"), ("torch-export", "it.pt2")])
@pytest.mark.parametrize(("kind", "messages"), [(Restless, "gives other samples"), (Choosy, "Choosy cannot be exported")])
def test_what_cannot_be_exported_is_reported_and_nothing_is_left(generator, tmp_path, capfd, format_name, file, kind, messages):
    made = generator("vanilla_moons")
    odd = replace(made, network=kind(made.network).eval())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / file).write_bytes(b"from yesterday")

    with pytest.raises(PluginError, match=messages):
        export(odd, format_name, tmp_path / "out" / file)

    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [file]
    assert (tmp_path / "out" / file).read_bytes() == b"from yesterday"
    assert capfd.readouterr() == ("", "")


def test_the_check_sees_small_differences_and_other_shapes(generator, tmp_path, monkeypatch):
    made = generator("infogan_moons")
    write, read = FORMATS["safetensors"].write, FORMATS["safetensors"].read

    def spoilt(spoil):
        spoiled = generator_export.Format("", write, lambda path: lambda tensors: spoil(read(path)(tensors)))
        monkeypatch.setattr(generator_export, "FORMATS", {"safetensors": spoiled})
        return export(made, "safetensors", tmp_path / "it").difference

    assert spoilt(lambda values: values) < 1e-6
    assert 1e-6 < spoilt(lambda values: values * (1 + 1e-5)) < TOLERANCE
    one_of_many = torch.zeros(64, 2)
    one_of_many[63, 1] = 0.01
    for spoil in (
        lambda values: values * (1 + 1e-3),
        lambda values: values + one_of_many if len(values) == 64 else values,
        lambda values: values + 0.01 if len(values) == 1 else values,
        lambda values: values[:, :1],
        lambda values: values * float("nan"),
    ):
        with pytest.raises(PluginError, match="gives other samples"):
            spoilt(spoil)


def test_a_folder_that_is_no_export_is_never_replaced(generator, tmp_path):
    made = generator("vanilla_moons")
    export(made, "safetensors", tmp_path / "it")
    export(made, "safetensors", tmp_path / "it")  # an earlier export may be
    (tmp_path / "it" / "thesis.tex").write_text("")

    with pytest.raises(UsageError, match="contains other files"):
        export(made, "safetensors", tmp_path / "it")
    with pytest.raises(UsageError, match=r"are written into a folder.*name a new folder, such as"):
        export(made, "safetensors", tmp_path / "it.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot become one"):
        export(made, "safetensors", tmp_path / "file")
    with pytest.raises(UsageError, match=r"it\.onnx does not end in \.pt2"):
        export(made, "torch-export", tmp_path / "it.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        export(made, "onnx", tmp_path / "folder.onnx")
    for here in (".", ".."):
        with pytest.raises(UsageError, match="cannot become one"):
            export(made, "safetensors", Path(here))
    with pytest.raises(UsageError, match="there is no format 'tflite'"):
        export(made, "tflite", tmp_path / "it.tflite")
    with pytest.raises(StorageError, match="cannot write"):
        export(made, "safetensors", tmp_path / "file" / "below")


def test_a_missing_package_is_reported_with_the_line_for_pip(generator, tmp_path, monkeypatch):
    made = generator("vanilla_moons")
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(UsageError, match=r"needs onnxscript \(pip install .ganforge\[onnx\]"):
        export(made, "onnx", tmp_path / "it.onnx")
    assert list(tmp_path.glob("*.onnx")) == []


def test_a_package_that_is_too_old_for_torch_is_reported_with_the_line_for_pip(generator, tmp_path, monkeypatch):
    made = generator("vanilla_moons")

    def export_as_with_an_old_onnxscript(*_args, **_options):
        raise ModuleNotFoundError("No module named 'onnxscript._framework_apis.torch_2_11'")

    monkeypatch.setattr(torch.onnx, "export", export_as_with_an_old_onnxscript)
    with pytest.raises(UsageError, match=r"newer packages for ONNX.*torch_2_11.*pip install --upgrade .ganforge\[onnx\]"):
        export(made, "onnx", tmp_path / "it.onnx")
