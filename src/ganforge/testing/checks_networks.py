"""G and D checks: generators and discriminators.

Gradients are those of a random weighting of the outputs: their plain sum is constant behind some layers, such as batch
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
from ganforge.testing.check_registry import check
from ganforge.testing.check_results import CheckFailed, NotApplicable
from ganforge.testing.component_case import Bench, randomness_untouched, require, require_finite, untaught

_BATCHES = (1, 2, 7)
_MANY = 32
_FEW = 2


@check("G01", Kind.GENERATOR)
def generates(bench: Bench) -> None:
    """Values have the data's shape, are finite, and lie in its range."""
    values = _generate(bench, _module(bench), bench.latents(_MANY))
    _require_samples(bench, values, _MANY)
    if bench.data.value_range is not None:
        low, high = bench.data.value_range
        least, most = values.detach().min().item(), values.detach().max().item()
        require(
            low - 1e-5 <= least and most <= high + 1e-5, f"values lie in [{least:g}, {most:g}], the data in [{low:g}, {high:g}]"
        )


@check("G02", Kind.GENERATOR)
def generates_any_batch(bench: Bench) -> None:
    """Batches of 1, 2 and 7 work when sampling."""
    network = _module(bench).eval()
    for count in _BATCHES:
        _require_samples(bench, _generate(bench, network, bench.latents(count)), count)


@check("G03", Kind.GENERATOR)
def generates_the_same_again(bench: Bench) -> None:
    """One seed gives one network and one output, and sampling leaves the global random streams alone."""
    first, second = _module(bench, seed=5).eval(), _module(bench, seed=5).eval()
    latents = bench.latents(_MANY)
    with randomness_untouched("sampling in eval mode"):
        one, two = _generate(bench, first, latents), _generate(bench, second, latents)
    require(torch.equal(one, two), "two networks built with one seed give different samples")


@check("G04", Kind.GENERATOR)
def generator_learns(bench: Bench) -> None:
    """Gradients reach every parameter."""
    network = _module(bench).train()
    torch.autograd.backward(_weighted(_generate(bench, network, bench.latents(_MANY))))
    _require_taught(network)


@check("G05", Kind.GENERATOR)
def generator_survives_saving(bench: Bench) -> None:
    """Weights saved as safetensors and loaded into another network give the same samples."""
    one, two = _module(bench, seed=5).eval(), _module(bench, seed=6).eval()
    _transfer(one, two)
    latents = bench.latents(_MANY)
    require(
        torch.equal(_generate(bench, one, latents), _generate(bench, two, latents)),
        "the reloaded network gives other samples: something that it computes with is not in its state_dict",
    )


@check("G06", Kind.GENERATOR)
def generates_each_alone(bench: Bench) -> None:
    """When sampling, a sample does not depend on what else is in its batch."""
    network = _module(bench).eval()
    latents = bench.latents(_MANY)
    together = _generate(bench, network, latents)[:_FEW]
    alone = _generate(bench, network, latents[:_FEW])
    require(torch.allclose(together, alone, atol=1e-4), "in eval mode a latent gives another sample when its batch is another")


@check("G07", Kind.GENERATOR)
def generator_has_modes(bench: Bench) -> None:
    """train() and eval() reach every part, and sampling in eval mode changes nothing in the network."""
    network, latents = _module(bench), bench.latents(_MANY)
    _require_modes(network, lambda: _generate(bench, network, latents))


@check("G08", Kind.GENERATOR)
def generator_moves(bench: Bench) -> None:
    """Moved to another device it works there: the meta device, and the GPU where there is one."""
    for device in _devices():
        network, latents = _module(bench).to(device), bench.latents(_MANY).to(device)
        with _told_of(device):
            values = _generate(bench, network, latents)
        require(values.device.type == device, f"on the {device} device it gives values on {values.device}")


@check("D01", Kind.DISCRIMINATOR)
def judges(bench: Bench) -> None:
    """Logits are (n,) and finite, for batches of 1, 2 and 7."""
    network = _module(bench).eval()
    for count in _BATCHES:
        logits = _judge(network, _fakes(bench, count)).logits
        require(tuple(logits.shape) == (count,), f"logits of {count} samples have shape {tuple(logits.shape)}, not ({count},)")
        require_finite(logits, "the logits")


@check("D02", Kind.DISCRIMINATOR)
def has_its_heads(bench: Bench) -> None:
    """Every head that it says it provides is there, one row for each sample."""
    declared = [word.removeprefix("head:") for word in bench.component.provides if word.startswith("head:")]
    heads = _judge(_module(bench).eval(), _fakes(bench, 7)).heads
    undeclared = sorted(set(heads) - set(declared))
    require(not undeclared, f'it has heads that it does not declare: {", ".join(undeclared)}; add provides=("head:NAME",)')
    if not declared:
        raise NotApplicable("it declares no head")
    for name in declared:
        require(name in heads, f"it provides 'head:{name}', but its heads are: {', '.join(heads) or 'none'}")
        require(len(heads[name]) == 7, f"head '{name}' of 7 samples has shape {tuple(heads[name].shape)}")
        require_finite(heads[name], f"head '{name}'")


@check("D03", Kind.DISCRIMINATOR)
def discriminator_learns(bench: Bench) -> None:
    """Gradients of logits and heads reach every parameter."""
    network = _module(bench).train()
    verdict = _judge(network, _fakes(bench, _MANY))
    total = torch.stack([_weighted(part) for part in (verdict.logits, *verdict.heads.values())]).sum()
    torch.autograd.backward(total)
    _require_taught(network)


@check("D04", Kind.DISCRIMINATOR)
def differentiates_twice(bench: Bench) -> None:
    """A penalty on the gradient at its input can be descended.

    Every discriminator is asked, since a recipe may add such a penalty; one that cannot says why by an expected failure.
    """
    network = _module(bench).train()
    samples = _fakes(bench, _MANY)
    values = samples.values.clone().requires_grad_()
    logits = _judge(network, replace(samples, values=values)).logits
    (slope,) = torch.autograd.grad(_weighted(logits), values, create_graph=True, allow_unused=True)
    require(slope is not None, "the logits do not depend on the samples' values")
    require_finite(slope, "the gradient at the input")
    require(slope.requires_grad, "the gradient at the input has no graph: something in the network is not differentiable twice")
    torch.autograd.backward(slope.square().sum())
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    require(gradients, "the penalty's gradient reaches no parameter")
    for gradient in gradients:
        require_finite(gradient, "the penalty's gradient")


@check("D05", Kind.DISCRIMINATOR)
def judges_the_same_again(bench: Bench) -> None:
    """One seed gives one network and one verdict, and judging in eval mode leaves the global random streams alone."""
    first, second = _module(bench, seed=5).eval(), _module(bench, seed=5).eval()
    samples = _fakes(bench, _MANY)
    with randomness_untouched("judging in eval mode"):
        one, two = _judge(first, samples), _judge(second, samples)
    require(torch.equal(one.logits, two.logits), "two networks built with one seed give different logits")


@check("D06", Kind.DISCRIMINATOR)
def discriminator_survives_saving(bench: Bench) -> None:
    """Weights saved as safetensors and loaded into another network give the same logits."""
    one, two = _module(bench, seed=5).eval(), _module(bench, seed=6).eval()
    _transfer(one, two)
    samples = _fakes(bench, _MANY)
    require(
        torch.equal(_judge(one, samples).logits, _judge(two, samples).logits),
        "the reloaded network gives other logits: something that it computes with is not in its state_dict",
    )


@check("D07", Kind.DISCRIMINATOR)
def discriminator_has_modes(bench: Bench) -> None:
    """train() and eval() reach every part, and judging in eval mode changes nothing in the network."""
    network, samples = _module(bench), _fakes(bench, _MANY)
    _require_modes(network, lambda: _judge(network, samples))


@check("D08", Kind.DISCRIMINATOR)
def discriminator_moves(bench: Bench) -> None:
    """Moved to another device it works there: the meta device, and the GPU where there is one."""
    for device in _devices():
        network, samples = _module(bench).to(device), _fakes(bench, _MANY)
        with _told_of(device):
            verdict = _judge(network, samples.to(device))
        for name, part in (("logits", verdict.logits), *verdict.heads.items()):
            require(part.device.type == device, f"on the {device} device it gives '{name}' on {part.device}")


def _module(bench: Bench, seed: int = 0) -> nn.Module:
    network: nn.Module = bench.build(seed)
    return network


def _devices() -> tuple[str, ...]:
    return ("meta", "cuda") if torch.cuda.is_available() else ("meta",)


@contextlib.contextmanager
def _told_of(device: str) -> Iterator[None]:
    """Errors in words of what the author did, instead of what a kernel met with."""
    try:
        yield
    except CheckFailed:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        hint = "is a tensor that it computes with neither a parameter nor a buffer?"
        raise CheckFailed(f"moved to the {device} device it fails: {reason}; {hint}") from error


def _require_modes(network: nn.Module, use: Callable[[], object]) -> None:
    for training in (False, True):
        network.train(training)
        mode = "train" if training else "eval"
        deaf = [name or "the network itself" for name, part in network.named_modules() if part.training is not training]
        require(not deaf, f"after {mode}() these are not in that mode: {', '.join(deaf)}")
    use()
    require(network.training, "used in training mode, it leaves it")

    network.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    use()
    moved = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    require(not moved, f"used in eval mode, it changes {', '.join(moved)}")
    require(not network.training, "used in eval mode, it leaves it")


def _generate(bench: Bench, network: nn.Module, latents: Latent) -> Tensor:
    values = network(latents)
    if not isinstance(values, Tensor):
        raise CheckFailed(f"a generator gives a tensor of values, not a {type(values).__name__}")
    require(tuple(values.shape[1:]) == bench.data.shape, f"values have shape {tuple(values.shape)}, not (n, *{bench.data.shape})")
    return values


def _judge(network: nn.Module, samples: Samples) -> DiscriminatorOutput:
    verdict = network(samples)
    if not isinstance(verdict, DiscriminatorOutput):
        raise CheckFailed(f"a discriminator gives a Verdict, not a {type(verdict).__name__}")
    return verdict


def _fakes(bench: Bench, count: int) -> Samples:
    return bench.samples(count, latent=bench.latents(count))


def _require_samples(bench: Bench, values: Tensor, count: int) -> None:
    require(len(values) == count, f"{count} latents gave {len(values)} samples of {bench.data.shape}")
    require_finite(values, "the samples")


def _require_taught(network: nn.Module) -> None:
    missed = untaught(network.named_parameters())
    require(not missed, f"untaught: {', '.join(missed)}")


def _weighted(values: Tensor) -> Tensor:
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(3))
    return (weights * values).sum()


def _transfer(one: nn.Module, two: nn.Module) -> None:
    """Save and load as checkpoints do: tensors only, nothing pickled."""
    saved = save({name: tensor.contiguous() for name, tensor in one.state_dict().items()})
    two.load_state_dict(load(saved))
