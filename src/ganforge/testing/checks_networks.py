"""G and D checks: generators and discriminators. Most requirements are the same for both and have one function.

Gradients are taken of a random weighting of the outputs, because their plain sum is constant after some layers, such as batch
normalisation.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ganforge.core.records import DiscriminatorOutput, Samples
from ganforge.registry.component import Kind
from ganforge.testing.component_case import ComponentCase, require_finite, require_random_state_unchanged, without_gradient
from ganforge.testing.conformance import BUILDS, CheckFailedError, NotApplicableError, check, require

_BATCHES = (1, 2, 7)
_MANY = 32
_FEW = 2
_SHAPED = (*BUILDS, "G01", "D01")
_NOUNS = {Kind.GENERATOR: "samples", Kind.DISCRIMINATOR: "logits"}


@check("G01", Kind.GENERATOR)
def generator_output_matches_data(subject: ComponentCase) -> None:
    """Generated values have the data's shape and range and are finite."""
    values = _generate(subject, subject.build(), _MANY)
    require(values.dtype == torch.float32, f"values are {values.dtype}, not torch.float32")
    if subject.data.value_range is not None:
        low, high = subject.data.value_range
        least, most = values.detach().min().item(), values.detach().max().item()
        inside = low - 1e-5 <= least and most <= high + 1e-5
        require(inside, f"values lie in [{least:g}, {most:g}], the data in [{low:g}, {high:g}]")


@check("G02", Kind.GENERATOR, after=_SHAPED)
def generator_accepts_any_batch(subject: ComponentCase) -> None:
    """Batches of 1, 2 and 7 work in eval mode."""
    network = subject.build().eval()
    for count in _BATCHES:
        _generate(subject, network, count)


@check("D01", Kind.DISCRIMINATOR)
def logits_have_right_shape(subject: ComponentCase) -> None:
    """Logits have shape (n,) and are finite, for batches of 1, 2 and 7."""
    network = subject.build().eval()
    for count in _BATCHES:
        logits = _discriminate(network, _fakes(subject, count)).logits
        require(tuple(logits.shape) == (count,), f"logits of {count} samples have shape {tuple(logits.shape)}, not ({count},)")
        require_finite(logits, "the logits")


@check("D02", Kind.DISCRIMINATOR, after=_SHAPED)
def heads_are_as_declared(subject: ComponentCase) -> None:
    """Every declared head exists, with one row per sample."""
    declared = [word.removeprefix("head:") for word in subject.component.provides if word.startswith("head:")]
    heads = _discriminate(subject.build().eval(), _fakes(subject, 7)).heads
    undeclared = sorted(set(heads) - set(declared))
    require(not undeclared, f'it has undeclared heads: {", ".join(undeclared)}; add provides=("head:NAME",)')
    if not declared:
        raise NotApplicableError("it declares no heads")
    for name in declared:
        require(name in heads, f"it provides 'head:{name}', but its heads are: {', '.join(heads) or 'none'}")
        require(len(heads[name]) == 7, f"head '{name}' of 7 samples has shape {tuple(heads[name].shape)}")
        require_finite(heads[name], f"head '{name}'")


@check("D04", Kind.DISCRIMINATOR)
def supports_double_backward(subject: ComponentCase) -> None:
    """A penalty on its input gradient can be differentiated.

    Required of every discriminator, since a recipe may add such a penalty; one that cannot states why by an expected failure.
    """
    network = subject.build().train()
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


@check("G03", Kind.GENERATOR, after=_SHAPED)
@check("D05", Kind.DISCRIMINATOR, after=_SHAPED)
def network_is_deterministic(subject: ComponentCase) -> None:
    """A seed always gives the same network and output, and eval mode does not change global random states."""
    first, second = subject.build(seed=5).eval(), subject.build(seed=5).eval()
    with require_random_state_unchanged("a forward pass in eval mode"):
        one, two = _outputs(subject, first), _outputs(subject, second)
    require(_equal(one, two), f"two networks built with the same seed give different {_NOUNS[subject.kind]}")


@check("G04", Kind.GENERATOR, after=_SHAPED)
@check("D03", Kind.DISCRIMINATOR, after=_SHAPED)
def parameters_get_gradients(subject: ComponentCase) -> None:
    """Every parameter receives a gradient.

    In a discriminator, it may come from logits or heads.
    """
    network = subject.build().train()
    torch.autograd.backward(torch.stack([_weighted(part) for part in _outputs(subject, network).values()]).sum())
    missed = without_gradient(network.named_parameters())
    require(not missed, f"parameters without a gradient: {', '.join(missed)}")


@check("G05", Kind.GENERATOR, after=_SHAPED)
@check("D06", Kind.DISCRIMINATOR, after=_SHAPED)
def state_dict_is_complete(subject: ComponentCase) -> None:
    """The state_dict, saved as safetensors and loaded into another network, gives the same output."""
    one, two = subject.build(seed=5).eval(), subject.build(seed=6).eval()
    saved = save({name: tensor.contiguous().clone() for name, tensor in one.state_dict().items()})
    two.load_state_dict(load(saved))
    same = _equal(_outputs(subject, one), _outputs(subject, two))
    require(same, f"the reloaded network gives different {_NOUNS[subject.kind]}: some state is not in its state_dict")


@check("G06", Kind.GENERATOR, after=_SHAPED)
def samples_are_independent_of_batch(subject: ComponentCase) -> None:
    """In eval mode, a sample does not depend on the rest of its batch."""
    network, latents = subject.build().eval(), subject.latents(_MANY)
    together, alone = network(latents)[:_FEW], network(latents[:_FEW])
    require(torch.allclose(together, alone, atol=1e-4), "in eval mode a sample depends on the rest of its batch")


@check("G07", Kind.GENERATOR, after=_SHAPED)
@check("D07", Kind.DISCRIMINATOR, after=_SHAPED)
def network_respects_train_and_eval(subject: ComponentCase) -> None:
    """train() and eval() reach every submodule, and eval mode does not change the network."""
    network = subject.build()
    for training in (False, True):
        network.train(training)
        mode = "train" if training else "eval"
        missed = [name or "the network itself" for name, part in network.named_modules() if part.training is not training]
        require(not missed, f"after {mode}() these submodules are not in that mode: {', '.join(missed)}")
    _outputs(subject, network)
    require(network.training, "a forward pass in training mode changes the mode")

    network.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    _outputs(subject, network)
    moved = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    require(not moved, f"a forward pass in eval mode changes {', '.join(moved)}")
    require(not network.training, "a forward pass in eval mode changes the mode")


@check("G08", Kind.GENERATOR, after=_SHAPED)
@check("D08", Kind.DISCRIMINATOR, after=_SHAPED)
def network_moves_to_device(subject: ComponentCase) -> None:
    """It works after moving to another device: the meta device, and the GPU if there is one."""
    for device in ("meta", "cuda") if torch.cuda.is_available() else ("meta",):
        network = subject.build().to(device)
        try:
            outputs = _outputs(subject, network, device)
        except CheckFailedError:
            raise
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            hint = "is a tensor neither a parameter nor a buffer?"
            raise CheckFailedError(f"it fails on the {device} device: {reason}; {hint}") from error
        for name, part in outputs.items():
            require(part.device.type == device, f"on the {device} device it returns '{name}' on {part.device}")


def _outputs(subject: ComponentCase, network: nn.Module, device: str = "cpu") -> dict[str, Tensor]:
    """The samples of a generator, or logits and heads of a discriminator, by name."""
    if subject.kind is Kind.GENERATOR:
        return {"samples": _generate(subject, network, _MANY, device)}
    output = _discriminate(network, _fakes(subject, _MANY).to(device))
    return {"logits": output.logits, **output.heads}


def _generate(subject: ComponentCase, network: nn.Module, count: int, device: str = "cpu") -> Tensor:
    """``count`` generated samples, checked for type, shape and, where they can be read, for finite values."""
    values = network(subject.latents(count).to(device))
    if not isinstance(values, Tensor):
        raise CheckFailedError(f"a generator returns a tensor, not a {type(values).__name__}")
    shape = subject.data.shape
    require(tuple(values.shape[1:]) == shape, f"values have shape {tuple(values.shape)}, not (n, *{shape})")
    require(len(values) == count, f"{count} latents give {len(values)} samples of {shape}")
    if values.device.type != "meta":
        require_finite(values, "the samples")
    return values


def _discriminate(network: nn.Module, samples: Samples) -> DiscriminatorOutput:
    output = network(samples)
    if not isinstance(output, DiscriminatorOutput):
        raise CheckFailedError(f"a discriminator returns a DiscriminatorOutput, not a {type(output).__name__}")
    return output


def _fakes(subject: ComponentCase, count: int) -> Samples:
    return subject.samples(count, latent=subject.latents(count))


def _weighted(values: Tensor) -> Tensor:
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(3))
    return (weights * values).sum()


def _equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(part, two[name]) for name, part in one.items())
