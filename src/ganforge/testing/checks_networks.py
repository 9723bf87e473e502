"""G and D checks: generators and discriminators.

Gradients are taken of a random weighting of the outputs, because their plain sum is constant after some layers, such as batch
normalisation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ganforge.core.records import DiscriminatorOutput, Latent, Samples
from ganforge.registry.component import Kind
from ganforge.testing.component_case import ComponentCase, require, require_finite, require_random_state_unchanged, without_gradient
from ganforge.testing.conformance_checks import CheckFailedError, NotApplicableError, check

_BATCHES = (1, 2, 7)
_MANY = 32
_FEW = 2


@check("G01", Kind.GENERATOR)
def generator_output_matches_data(subject: ComponentCase) -> None:
    """Generated values have the data's shape and range and are finite."""
    values = _generate(subject, _module(subject), subject.latents(_MANY))
    _require_samples(subject, values, _MANY)
    if subject.data.value_range is not None:
        low, high = subject.data.value_range
        least, most = values.detach().min().item(), values.detach().max().item()
        require(
            low - 1e-5 <= least and most <= high + 1e-5, f"values lie in [{least:g}, {most:g}], the data in [{low:g}, {high:g}]"
        )


@check("G02", Kind.GENERATOR)
def generator_accepts_any_batch(subject: ComponentCase) -> None:
    """Batches of 1, 2 and 7 work in eval mode."""
    network = _module(subject).eval()
    for count in _BATCHES:
        _require_samples(subject, _generate(subject, network, subject.latents(count)), count)


@check("G03", Kind.GENERATOR)
def generator_is_deterministic(subject: ComponentCase) -> None:
    """A seed always gives the same network and output, and sampling does not change global random states."""
    first, second = _module(subject, seed=5).eval(), _module(subject, seed=5).eval()
    latents = subject.latents(_MANY)
    with require_random_state_unchanged("sampling in eval mode"):
        one, two = _generate(subject, first, latents), _generate(subject, second, latents)
    require(torch.equal(one, two), "two networks built with the same seed give different samples")


@check("G04", Kind.GENERATOR)
def generator_parameters_get_gradients(subject: ComponentCase) -> None:
    """Every parameter receives a gradient."""
    network = _module(subject).train()
    torch.autograd.backward(_weighted(_generate(subject, network, subject.latents(_MANY))))
    _require_gradients(network)


@check("G05", Kind.GENERATOR)
def generator_state_dict_is_complete(subject: ComponentCase) -> None:
    """The state_dict, saved as safetensors and loaded into another network, gives the same samples."""
    one, two = _module(subject, seed=5).eval(), _module(subject, seed=6).eval()
    _transfer(one, two)
    latents = subject.latents(_MANY)
    require(
        torch.equal(_generate(subject, one, latents), _generate(subject, two, latents)),
        "the reloaded network gives different samples: some state is not in its state_dict",
    )


@check("G06", Kind.GENERATOR)
def samples_are_independent_of_batch(subject: ComponentCase) -> None:
    """In eval mode, a sample does not depend on the rest of its batch."""
    network = _module(subject).eval()
    latents = subject.latents(_MANY)
    together = _generate(subject, network, latents)[:_FEW]
    alone = _generate(subject, network, latents[:_FEW])
    require(torch.allclose(together, alone, atol=1e-4), "in eval mode a sample depends on the rest of its batch")


@check("G07", Kind.GENERATOR)
def generator_respects_train_and_eval(subject: ComponentCase) -> None:
    """train() and eval() reach every submodule, and sampling in eval mode does not change the network."""
    network, latents = _module(subject), subject.latents(_MANY)
    _require_modes(network, lambda: _generate(subject, network, latents))


@check("G08", Kind.GENERATOR)
def generator_moves_to_device(subject: ComponentCase) -> None:
    """It works after moving to another device: the meta device, and the GPU if there is one."""
    for device in _devices():
        network, latents = _module(subject).to(device), subject.latents(_MANY).to(device)
        with _device_errors_explained(device):
            values = _generate(subject, network, latents)
        require(values.device.type == device, f"on the {device} device it returns values on {values.device}")


@check("D01", Kind.DISCRIMINATOR)
def logits_have_right_shape(subject: ComponentCase) -> None:
    """Logits have shape (n,) and are finite, for batches of 1, 2 and 7."""
    network = _module(subject).eval()
    for count in _BATCHES:
        logits = _discriminate(network, _fakes(subject, count)).logits
        require(tuple(logits.shape) == (count,), f"logits of {count} samples have shape {tuple(logits.shape)}, not ({count},)")
        require_finite(logits, "the logits")


@check("D02", Kind.DISCRIMINATOR)
def heads_are_as_declared(subject: ComponentCase) -> None:
    """Every declared head exists, with one row per sample."""
    declared = [word.removeprefix("head:") for word in subject.component.provides if word.startswith("head:")]
    heads = _discriminate(_module(subject).eval(), _fakes(subject, 7)).heads
    undeclared = sorted(set(heads) - set(declared))
    require(not undeclared, f'it has undeclared heads: {", ".join(undeclared)}; add provides=("head:NAME",)')
    if not declared:
        raise NotApplicableError("it declares no heads")
    for name in declared:
        require(name in heads, f"it provides 'head:{name}', but its heads are: {', '.join(heads) or 'none'}")
        require(len(heads[name]) == 7, f"head '{name}' of 7 samples has shape {tuple(heads[name].shape)}")
        require_finite(heads[name], f"head '{name}'")


@check("D03", Kind.DISCRIMINATOR)
def discriminator_parameters_get_gradients(subject: ComponentCase) -> None:
    """Every parameter receives a gradient from logits or heads."""
    network = _module(subject).train()
    output = _discriminate(network, _fakes(subject, _MANY))
    total = torch.stack([_weighted(part) for part in (output.logits, *output.heads.values())]).sum()
    torch.autograd.backward(total)
    _require_gradients(network)


@check("D04", Kind.DISCRIMINATOR)
def supports_double_backward(subject: ComponentCase) -> None:
    """A penalty on its input gradient can be differentiated.

    Required of every discriminator, since a recipe may add such a penalty; one that cannot states why by an expected failure.
    """
    network = _module(subject).train()
    samples = _fakes(subject, _MANY)
    values = samples.values.clone().requires_grad_()
    logits = _discriminate(network, replace(samples, values=values)).logits
    (slope,) = torch.autograd.grad(_weighted(logits), values, create_graph=True, allow_unused=True)
    require(slope is not None, "the logits do not depend on the samples' values")
    require_finite(slope, "the input gradient")
    require(slope.requires_grad, "the input gradient has no graph: some part of the network is not twice differentiable")
    torch.autograd.backward(slope.square().sum())
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    require(gradients, "no parameter receives a gradient from the penalty")
    for gradient in gradients:
        require_finite(gradient, "the penalty's gradient")


@check("D05", Kind.DISCRIMINATOR)
def discriminator_is_deterministic(subject: ComponentCase) -> None:
    """A seed always gives the same network and logits, and eval mode does not change global random states."""
    first, second = _module(subject, seed=5).eval(), _module(subject, seed=5).eval()
    samples = _fakes(subject, _MANY)
    with require_random_state_unchanged("a forward pass in eval mode"):
        one, two = _discriminate(first, samples), _discriminate(second, samples)
    require(torch.equal(one.logits, two.logits), "two networks built with the same seed give different logits")


@check("D06", Kind.DISCRIMINATOR)
def discriminator_state_dict_is_complete(subject: ComponentCase) -> None:
    """The state_dict, saved as safetensors and loaded into another network, gives the same logits."""
    one, two = _module(subject, seed=5).eval(), _module(subject, seed=6).eval()
    _transfer(one, two)
    samples = _fakes(subject, _MANY)
    require(
        torch.equal(_discriminate(one, samples).logits, _discriminate(two, samples).logits),
        "the reloaded network gives different logits: some state is not in its state_dict",
    )


@check("D07", Kind.DISCRIMINATOR)
def discriminator_respects_train_and_eval(subject: ComponentCase) -> None:
    """train() and eval() reach every submodule, and eval mode does not change the network."""
    network, samples = _module(subject), _fakes(subject, _MANY)
    _require_modes(network, lambda: _discriminate(network, samples))


@check("D08", Kind.DISCRIMINATOR)
def discriminator_moves_to_device(subject: ComponentCase) -> None:
    """It works after moving to another device: the meta device, and the GPU if there is one."""
    for device in _devices():
        network, samples = _module(subject).to(device), _fakes(subject, _MANY)
        with _device_errors_explained(device):
            output = _discriminate(network, samples.to(device))
        for name, part in (("logits", output.logits), *output.heads.items()):
            require(part.device.type == device, f"on the {device} device it returns '{name}' on {part.device}")


def _module(subject: ComponentCase, seed: int = 0) -> nn.Module:
    network: nn.Module = subject.build(seed)
    return network


def _devices() -> tuple[str, ...]:
    return ("meta", "cuda") if torch.cuda.is_available() else ("meta",)


@contextlib.contextmanager
def _device_errors_explained(device: str) -> Iterator[None]:
    """Turn errors on another device into a message about the likely cause."""
    try:
        yield
    except CheckFailedError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        hint = "is a tensor neither a parameter nor a buffer?"
        raise CheckFailedError(f"it fails on the {device} device: {reason}; {hint}") from error


def _require_modes(network: nn.Module, use: Callable[[], object]) -> None:
    for training in (False, True):
        network.train(training)
        mode = "train" if training else "eval"
        missed = [name or "the network itself" for name, part in network.named_modules() if part.training is not training]
        require(not missed, f"after {mode}() these submodules are not in that mode: {', '.join(missed)}")
    use()
    require(network.training, "a forward pass in training mode changes the mode")

    network.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    use()
    moved = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    require(not moved, f"a forward pass in eval mode changes {', '.join(moved)}")
    require(not network.training, "a forward pass in eval mode changes the mode")


def _generate(subject: ComponentCase, network: nn.Module, latents: Latent) -> Tensor:
    values = network(latents)
    if not isinstance(values, Tensor):
        raise CheckFailedError(f"a generator returns a tensor, not a {type(values).__name__}")
    require(
        tuple(values.shape[1:]) == subject.data.shape, f"values have shape {tuple(values.shape)}, not (n, *{subject.data.shape})"
    )
    return values


def _discriminate(network: nn.Module, samples: Samples) -> DiscriminatorOutput:
    output = network(samples)
    if not isinstance(output, DiscriminatorOutput):
        raise CheckFailedError(f"a discriminator returns a DiscriminatorOutput, not a {type(output).__name__}")
    return output


def _fakes(subject: ComponentCase, count: int) -> Samples:
    return subject.samples(count, latent=subject.latents(count))


def _require_samples(subject: ComponentCase, values: Tensor, count: int) -> None:
    require(len(values) == count, f"{count} latents give {len(values)} samples of {subject.data.shape}")
    require_finite(values, "the samples")


def _require_gradients(network: nn.Module) -> None:
    missed = without_gradient(network.named_parameters())
    require(not missed, f"parameters without a gradient: {', '.join(missed)}")


def _weighted(values: Tensor) -> Tensor:
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(3))
    return (weights * values).sum()


def _transfer(one: nn.Module, two: nn.Module) -> None:
    """Save and load tensors as checkpoints do."""
    saved = save({name: tensor.contiguous() for name, tensor in one.state_dict().items()})
    two.load_state_dict(load(saved))
