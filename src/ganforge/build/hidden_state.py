"""State of built parts that no checkpoint and no moving average contains, found by using a part twice in the same situation."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.core.contracts import Dataset, Sampler, StreamingDataset
from ganforge.core.errors import DataError, PartError
from ganforge.core.records import Latent, LossTerms
from ganforge.core.specs import DataSpec
from ganforge.games.checked_calls import draw_latents
from ganforge.train.modules import evaluating, load_network, network_state
from ganforge.train.random_streams import seeded
from ganforge.train.real_samples import held_out_samples, read_samples, sample_source

_log = logging.getLogger(__name__)

_Use = tuple[Tensor, dict[str, str]]
"""What a part gave when it was used, and what it held afterwards."""
_UNSAVED = "which checkpoints and the moving average do not contain"
_REGISTER = "keep it in a buffer (register_buffer), and draw random numbers with torch's functions"


def check_network(key: str, network: nn.Module, use: Callable[[nn.Module], Tensor]) -> None:
    """Refuse a network whose values depend on more than its inputs, its saved state and torch's global random numbers.

    State that makes no difference to them yet, such as a counter, is a warning.

    Raises:
        PartError: it has weights that nothing trains or replaces one, keeps state elsewhere, or changes its state in eval mode.
    """
    parameters = dict(network.named_parameters())
    if name := unregistered(network, parameters.values()):
        remedy = "keep modules in nn.ModuleList or nn.ModuleDict, and freeze others with requires_grad_(False)"
        raise PartError(key, f"has the weights '{name}' outside of its registered modules, so nothing trains them", remedy=remedy)

    state, remembered = _copied_state(key, network), set[str]()
    for training in (True, False):
        uses: list[_Use] = []
        for _ in range(2):
            load_network(key, network, state)
            uses.append((_used(network, use, training=training), fingerprint(network)))
            if name := next((name for name, one in network.named_parameters() if parameters.get(name) is not one), None):
                remedy = "change it in place with torch.no_grad(), or keep it in a buffer"
                raise PartError(key, f"replaces its parameter '{name}' when it is used, so nothing trains it", remedy=remedy)
        remembered |= (changed := _changes(uses))
        _refuse_other_values(key, uses, changed, _REGISTER)
        after = network_state(key, network)
        if not training and (moved := [name for name, value in state.items() if not alike(value, after[name])]):
            name = moved[0].removeprefix(f"{key}/")
            fault = f"changes its state '{name}' in eval mode, so that looking at samples changes the network"
            raise PartError(key, fault, remedy="change it only if self.training")
    load_network(key, network, state)
    if remembered:
        names, remedy = _listed(remembered), "if its values ever depend on it, keep it in a buffer (register_buffer)"
        _log.warning("%s: its network keeps state (%s), %s; %s", key, names, _UNSAVED, remedy)


def check_loading(key: str, used: nn.Module, new: nn.Module, use: Callable[[nn.Module], Tensor]) -> None:
    """Refuse a network that does not take over all that another one of its kind has saved; ``new`` is changed.

    Raises:
        PartError: loading leaves weights as they were, or the loaded network gives other values.
    """
    state = _copied_state(key, used)
    names = [f"{key}/{name}" for name, weight in new.named_parameters(remove_duplicate=False) if weight.is_floating_point()]
    moved = {**state, **{name: state[name] * 1.01 + 0.01 for name in names if name in state}}
    load_network(key, new, moved)
    held = network_state(key, new)
    if name := next((name for name in names if name in state and not alike(held[name], moved[name])), None):
        fault = f"loads '{name.removeprefix(f'{key}/')}' from a checkpoint, but holds another value afterwards"
        raise PartError(key, fault, remedy="let its load_state_dict call that of nn.Module")

    load_network(key, new, state)
    if not alike(_used(used, use, training=False), _used(new, use, training=False)):
        raise PartError(key, f"gives other values after it was saved and loaded: it keeps state {_UNSAVED}", remedy=_REGISTER)


def check_loss(key: str, loss: object, call: Callable[[], LossTerms]) -> None:
    """Refuse a loss whose terms depend on more than networks, samples and torch's global random numbers.

    Raises:
        PartError: it keeps state between calls, which checkpoints do not contain.
    """
    uses: list[_Use] = []
    for _ in range(2):
        with seeded(0):
            values = call().values
        uses.append(
            (torch.stack([values[name].detach().double() for name in sorted(values)] or [torch.zeros(())]), fingerprint(loss))
        )
    changed = _changes(uses)
    remedy = (
        "make the loss a torch.nn.Module and keep it in a buffer (register_buffer), and draw random numbers with torch's functions"
    )
    _refuse_other_values(key, uses, changed, remedy)
    if changed:
        raise PartError(key, _keeps(changed), remedy=remedy)


def check_sampler(sampler: Sampler, count: int, device: torch.device) -> None:
    """Refuse a sampler whose latents depend on more than the generator that it is given.

    Raises:
        PartError: it draws other latents from a generator of the same state, into the same tensors each time, or codes beyond
            [-1, 1].
    """

    def draw(seed: int) -> Latent:
        return draw_latents(sampler, count, torch.Generator(device).manual_seed(seed))

    first = draw(0)
    kept = [tensor.clone() for tensor in _tensors(first)]
    if not all(map(torch.equal, kept, _tensors(draw(0)))):
        fault = "draws other latents from a generator of the same state, so that runs cannot be repeated or resumed"
        raise PartError("sampler", fault, remedy="draw with the generator that draw() is given, and keep no state")
    draw(1)
    if not all(map(torch.equal, kept, _tensors(first))):
        raise PartError("sampler", "draws into the same tensors each time", remedy="return new tensors")
    if first.codes is not None and bool((first.codes.continuous.abs() > 1.0001).any()):
        least, most = float(first.codes.continuous.min()), float(first.codes.continuous.max())
        raise PartError(
            "sampler", f"draws continuous codes from {least:g} to {most:g}, expected them in [-1, 1]", remedy="rescale them"
        )


def check_held_out(dataset: Dataset, count: int) -> None:
    """Refuse a data set whose held-out samples depend on more than the generator that it is given; raises a DataError."""
    first, second = (held_out_samples(dataset, count, torch.Generator().manual_seed(0)) for _ in range(2))
    if not torch.equal(first.values, second.values):
        raise DataError(
            f"{type(dataset).__name__}.held_out({count}) gives other samples for a generator of the same state, so that metrics "
            "cannot be repeated",
            remedy="choose them with the generator that held_out() is given",
        )


def check_source(dataset: StreamingDataset, spec: DataSpec, count: int) -> None:
    """Refuse a streamed data set whose samples depend on more than their row numbers; raises a DataError."""
    source = sample_source(dataset)
    rows = list(range(min(count, len(source))))
    first, reverse = (read_samples(source, spec, some).values for some in (rows, rows[::-1]))
    if not torch.equal(first, reverse.flip(0)):
        raise DataError(
            f"{type(source).__name__}.read(rows) gives other samples for the same rows, read again in another order, so that runs "
            "cannot be repeated or resumed",
            remedy="keep no state and draw no random numbers in read()",
        )


def unregistered(part: object, known: Iterable[Tensor]) -> str | None:
    """The name of a weight that a part refers to and that is not among the known ones, or ``None``."""
    ids = set(map(id, known))
    return next(
        (
            name
            for name, value in _reachable(part)
            if isinstance(value, Tensor) and value.requires_grad and value.is_leaf and id(value) not in ids
        ),
        None,
    )


def fingerprint(part: object) -> dict[str, str]:
    """What a part holds, by attribute: shape and sum of each tensor, numbers and strings as they are, random generators.

    This includes containers, modules, and objects of the part's own package, but not those of others, such as loggers.
    """
    return {name: text for name, value in _reachable(part) if (text := _text(value)) is not None}


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether tensors are equal up to the rounding that an accelerator may do differently each time."""
    if one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    return torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-6, equal_nan=True)


def _changes(uses: Sequence[_Use]) -> set[str]:
    """The names of what a part holds that differ after two equal uses."""
    (_, held), (_, after) = uses
    return {name for name, text in after.items() if text != held.get(name)}


def _refuse_other_values(key: str, uses: Sequence[_Use], changed: Collection[str], remedy: str) -> None:
    (first, _), (second, _) = uses
    if not alike(first, second):
        fault = f"gives other values for the same inputs, weights and random numbers: it keeps state {_UNSAVED}"
        raise PartError(key, _keeps(changed) if changed else f"{fault}, or draws numbers that no seed reaches", remedy=remedy)


def _keeps(changed: Collection[str]) -> str:
    return f"keeps state from one iteration to the next ({_listed(changed)}), {_UNSAVED}"


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:3])


def _used(network: nn.Module, use: Callable[[nn.Module], Tensor], *, training: bool) -> Tensor:
    with seeded(0):
        if training:
            return use(network).detach().clone()
        with evaluating(network):
            return use(network).clone()


def _copied_state(key: str, network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network_state(key, network).items()}


def _tensors(latent: Latent) -> list[Tensor]:
    codes = [] if latent.codes is None else [latent.codes.categorical, latent.codes.continuous]
    return [latent.noise, *([] if latent.labels is None else [latent.labels]), *codes]


def _text(value: object) -> str | None:
    if isinstance(value, bool | int | float | str | None):
        return repr(value)  # as text, in which NaN equals NaN
    if isinstance(value, Tensor):
        dtype = torch.complex128 if value.is_complex() else torch.float64
        total = 0 if value.is_meta else value.detach().to_dense().cpu().sum(dtype=dtype).item()
        return f"{tuple(value.shape)} {total:.6g}"
    if isinstance(value, np.ndarray):
        return f"{value.shape} {sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, set | frozenset):
        return f"{len(value)} {sorted(map(repr, value))}"
    if isinstance(value, torch.Generator):
        return sha256(value.get_state().numpy().tobytes()).hexdigest()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    return repr(value.getstate()) if isinstance(value, random.Random) else None


def _reachable(part: object) -> Iterator[tuple[str, object]]:
    """Everything that is no container in a part's attributes, by its name; each object once."""
    own = type(part).__module__.partition(".")[0]
    seen: set[int] = set()
    left: list[tuple[str, object]] = [("", part)]
    while left:
        name, value = left.pop()
        if isinstance(value, bool | int | float | str | None):
            yield name, value
        elif id(value) not in seen:
            seen.add(id(value))
            if (inner := _inside(value, own)) is None:
                yield name, value
            else:
                left += [(f"{name}{part}".lstrip("."), one) for part, one in inner]


def _inside(value: object, own: str) -> list[tuple[str, object]] | None:
    """What is in a container, a module or an object of the package ``own``, with the end of its name; else ``None``."""
    if isinstance(value, Mapping):
        return [(f".{key}", inner) for key, inner in value.items()]
    if isinstance(value, list | tuple | deque):
        return [(f"[{index}]", inner) for index, inner in enumerate(value)]
    if isinstance(value, nn.Module):
        registered = ("_modules", "_parameters", "_buffers")
        others = [(f".{key}", inner) for key, inner in vars(value).items() if key not in registered]
        return others + [(f".{key}", inner) for kind in registered for key, inner in vars(value)[kind].items()]
    if isinstance(value, Tensor) or type(value).__module__.partition(".")[0] != own or not hasattr(value, "__dict__"):
        return None
    return [(f".{key}", inner) for key, inner in vars(value).items()]
