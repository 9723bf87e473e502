"""Parts that cannot work together are reported before training with the key to change; the others are left unchanged."""

import copy
import logging
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.build.dry_run import dry_run, find_known_bad_pairs
from ganforge.core.contracts import TermInfo
from ganforge.core.errors import IncompatiblePartsError, PluginError
from ganforge.core.records import DiscriminatorOutput, LossTerms

USED = {
    "generator": '[generator]\nuse = "mlp"\nparams = { hidden = [16, 16] }\n',
    "discriminator": '[discriminator]\nuse = "mlp"\n',
    "loss": '[[loss]]\nuse = "non-saturating"\n',
}


class Wide(nn.Module):
    """A generator of too many numbers."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(context.latent.noise, context.data.size + 1)

    def forward(self, latent):
        return self.layer(latent.noise)


class Forgetful(nn.Module):
    """A generator with a number of inputs of its own."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(64, context.data.size)

    def forward(self, latent):
        return self.layer(latent.noise)


class Growing(nn.Module):
    """A generator whose buffer grows; with ``resizes`` it can load a buffer of any size."""

    resizes = False

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(context.latent.noise, context.data.size)
        self.register_buffer("seen", torch.zeros(0))

    def forward(self, latent):
        if self.training:
            self.seen = torch.cat([self.seen, latent.noise[:, 0].detach()])
        return self.layer(latent.noise)

    def _load_from_state_dict(self, state_dict, prefix, *others):
        if self.resizes:
            self.seen = torch.zeros_like(state_dict[f"{prefix}seen"])
        super()._load_from_state_dict(state_dict, prefix, *others)


class Resizing(Growing):
    """A generator whose buffer grows, and which can load it."""

    resizes = True


class Detached(nn.Module):
    """A generator that no loss can reach."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(context.latent.noise, context.data.size)

    def forward(self, latent):
        return self.layer(latent.noise).detach()


class Counting(nn.Module):
    """A generator that looks at numbers, and keeps a count."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(context.latent.noise, context.data.size), nn.BatchNorm1d(context.data.size))

    def forward(self, latent):
        scale = 2.0 if latent.noise.abs().max() > 100 else 1.0
        return self.layer(latent.noise) * scale


class Column(nn.Module):
    """A discriminator whose logits are a column."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(context.data.size, 1)

    def forward(self, samples):
        return DiscriminatorOutput(self.layer(samples.values))


class Normalised(nn.Module):
    """A discriminator with batch normalisation and a sigmoid at its end."""

    def __init__(self, params, context):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(context.data.size, 4), nn.BatchNorm1d(4), nn.Linear(4, 1), nn.Sigmoid())

    def forward(self, samples):
        return DiscriminatorOutput(self.layers(samples.values).squeeze(1))


class Bare:
    """A discriminator that gives a tensor."""

    def __new__(cls, params, context):
        return nn.Sequential(nn.Linear(context.data.size, 1))


class Unsummed:
    """A loss that forgets the mean."""

    second_order = False

    def __init__(self, params, context):
        from ganforge.core.contracts import TermInfo

        self.term_info = {"discriminator/adversarial": TermInfo("d"), "generator/adversarial": TermInfo("g")}

    def discriminator(self, turn):
        return LossTerms({"adversarial": turn.critic(turn.fake).logits - turn.critic(turn.real).logits})

    def generator(self, turn):
        return LossTerms({"adversarial": -turn.critic(turn.fake).logits.mean()})


class Plain:
    """A loss like any other."""

    second_order = False
    term_info = {"discriminator/adversarial": TermInfo("nothing"), "generator/adversarial": TermInfo("nothing")}
    constant = None

    def __init__(self, params, context):
        self.start()

    def start(self):
        pass

    def see(self, samples):
        pass

    def discriminator(self, turn):
        self.see(turn.real)
        return LossTerms({"adversarial": (turn.critic(turn.fake).logits - turn.critic(turn.real).logits).mean()})

    def generator(self, turn):
        return LossTerms({"adversarial": -turn.critic(turn.fake).logits.mean()})


class Remembering(Plain):
    def start(self):
        self.seen = []

    def see(self, samples):
        self.seen.append(len(samples))


class Averaging(Plain):
    """A running mean, as path-length regularisation has one."""

    def start(self):
        self.mean = torch.zeros(())

    def see(self, samples):
        self.mean = 0.9 * self.mean + 0.1 * samples.values.mean()


class Caching(Plain):
    """Keeps what is always the same, and what it saw last."""

    def see(self, samples):
        self.constant = torch.eye(3) if self.constant is None else self.constant
        self.last = samples.values.mean()


class Logging(Plain):
    """Holds values that are not equal to themselves, and a logger, which is no state of the loss."""

    def start(self):
        self.best, self.weights = math.nan, torch.full((2,), math.nan)
        self.log = logging.getLogger("acme")
        self.me = self

    def see(self, samples):
        self.last = samples.values.mean()
        self.log.handlers.append(logging.NullHandler(len(self.log.handlers)))


class Frozen(Plain, nn.Module):
    """A network that does not learn, such as one that gives features."""

    def __init__(self, params, context):
        nn.Module.__init__(self)
        self.features = nn.Linear(2, 2).requires_grad_(False)


class Learning(Plain, nn.Module):
    def __init__(self, params, context):
        nn.Module.__init__(self)
        self.scale = nn.Parameter(torch.ones(()))


class GrowingLoss(Plain, nn.Module):
    def __init__(self, params, context):
        nn.Module.__init__(self)
        self.register_buffer("history", torch.zeros(0))

    def generator(self, turn):
        self.history = torch.cat([self.history, turn.fake.values.detach().mean()[None]])
        return super().generator(turn)


class Impatient(Plain):
    def generator(self, turn):
        loss = -turn.critic(turn.fake).logits.mean()
        loss.backward()
        return LossTerms({"adversarial": loss})


class Unnamed(Plain):
    def generator(self, turn):
        return -turn.critic(turn.fake).logits.mean()


class Simple(nn.Module):
    """A generator like any other."""

    def __init__(self, params, context):
        super().__init__()
        self.shape = context.data.shape
        self.layer = nn.Linear(context.latent.noise, context.data.size)

    def forward(self, latent):
        return self.layer(latent.noise).unflatten(1, self.shape)


class Double(Simple):
    def forward(self, latent):
        return super().forward(latent).double()


class WithExtraState(Simple):
    def get_extra_state(self):
        return {"version": 1}


class Lazy(Simple):
    def __init__(self, params, context):
        super().__init__(params, context)
        self.layer = nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(context.data.size))


class Counted(Simple):
    """A generator whose values depend on how often it was used."""

    uses = 0

    def forward(self, latent):
        self.uses += 1
        return super().forward(latent) * self.uses


class Weighted(Plain):
    """A loss with a weight, and no module."""

    def start(self):
        self.scale = nn.Parameter(torch.ones(()))


class Changing(Plain):
    def see(self, samples):
        samples.values.mul_(0.5)


class Detaching(Plain):
    """Switches gradients off for good."""

    def see(self, samples):
        torch.set_grad_enabled(False)


class Watching(Plain):
    """Looks at the discriminator without gradients, before it uses it with them."""

    def discriminator(self, turn):
        with torch.no_grad():
            turn.critic(turn.real)
        return super().discriminator(turn)


class Uncopied(Simple):
    """As a network with torch's old weight_norm, whose weights are computed."""

    def __deepcopy__(self, memo):
        raise RuntimeError("only graph leaves support the deepcopy protocol")


@pytest.fixture
def stage(tmp_path, source, component, beside):
    def stage(*changes, **parts):
        """A blueprint and a trainer; ``generator=Wide`` puts a third-party part into the recipe."""
        components = [component(kind, "theirs", factory=made) for kind, made in parts.items()]
        swaps = [(USED[kind], f'[{kind}]\nuse = "theirs"\n' if kind != "loss" else '[[loss]]\nuse = "theirs"\n') for kind in parts]
        blueprint = resolve_recipe(source(*swaps, *changes), beside(*components))
        return blueprint, build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(tmp_path, tmp_path))

    return stage


def test_parts_that_fit_are_left_as_they_were(stage):
    blueprint, trainer = stage(
        ('[discriminator]\nuse = "mlp"', '[discriminator]\nuse = "mlp"\nparams = { batch_norm = true, dropout = 0.5 }'),
        ('use = "non-saturating"', 'use = "non-saturating"\n[[loss]]\nuse = "r1"\n[[loss]]\nuse = "gradient-penalty"'),
    )
    before = {name: tensor.clone() for name, tensor in trainer.state().tensors.items()}

    dry_run(blueprint, trainer)

    after = trainer.state().tensors
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert all(weight.grad is None for network in trainer.networks.values() for weight in network.parameters())


@pytest.mark.parametrize(
    ("parts", "messages"),
    [
        (
            {"generator": Wide},
            r"^generator: generator 'acme-gan/theirs' returns \((\d+), 3\) for \1 latents, expected \(\1, 2\)",
        ),
        (
            {"generator": Forgetful},
            r"^generator: generator 'acme-gan/theirs' fails: RuntimeError: .*3.*64",
        ),
        ({"generator": Detached}, "^generator: generator 'acme-gan/theirs' returns values that are detached from its weights"),
        ({"discriminator": Column}, r"^discriminator: discriminator 'acme-gan/theirs' returns logits \((\d+), 1\) for \1 samples"),
        ({"discriminator": Bare}, "^discriminator: discriminator 'acme-gan/theirs' fails: TypeError"),
        (
            {"loss": Unsummed},
            r"^loss\[0\]: loss 'acme-gan/theirs' returns the discriminator term 'adversarial' as \(\d+,\), expected a scalar",
        ),
        ({"generator": Double}, "^generator: generator 'acme-gan/theirs' returns torch.float64 values, expected torch.float32"),
        ({"generator": WithExtraState}, "^generator: generator 'acme-gan/theirs' has the state '_extra_state' of type dict"),
        (
            {"generator": Growing},
            r"^generator: generator 'acme-gan/theirs' changes the size of 'seen' from \(0,\) to \(\d+,\) in its first iteration",
        ),
        ({"loss": Unnamed}, r"^loss\[0\]: loss 'acme-gan/theirs' returns \(\), expected LossTerms"),
        ({"loss": Impatient}, r"^loss\[0\]: loss 'acme-gan/theirs' calls backward\(\)"),
        ({"loss": GrowingLoss}, r"^loss\[0\]: loss 'acme-gan/theirs' changes the size of its buffer 'history'"),
        ({"loss": Weighted}, r"^loss\[0\]: loss 'acme-gan/theirs' has parameters of its own \('scale'\)"),
        ({"loss": Changing}, r"^loss\[0\]: loss 'acme-gan/theirs' changes the samples that it is given"),
        ({"loss": Detaching}, r"^loss\[0\]: loss 'acme-gan/theirs' switches gradients off"),
        ({"generator": Counted}, r"^generator: generator 'acme-gan/theirs' keeps state from one iteration to the next \(uses\)"),
        ({"loss": Remembering}, r"^loss\[0\]: loss 'acme-gan/theirs' keeps state from one iteration to the next \(seen\[\d\]\)"),
        ({"loss": Averaging}, r"^loss\[0\]: loss 'acme-gan/theirs' keeps state from one iteration to the next \(mean\)"),
    ],
    ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else "",
)
def test_a_part_that_does_not_fit_is_reported_with_its_key(stage, parts, messages):
    with pytest.raises(IncompatiblePartsError, match=messages) as caught:
        dry_run(*stage(**parts))
    assert caught.value.remedy


def test_statistics_and_random_streams_are_left_as_they_were(stage):
    blueprint, trainer = stage(generator=Counting)
    random = torch.get_rng_state()

    dry_run(blueprint, trainer)

    assert torch.equal(torch.get_rng_state(), random)
    assert trainer.networks["generator"].layer[1].num_batches_tracked == 0


def test_a_network_that_cannot_be_copied_is_tried_and_restored(stage):
    blueprint, trainer = stage(('[discriminator]\nuse = "mlp"', '[discriminator]\nuse = "mlp"\nparams = { batch_norm = true }'))
    discriminator = trainer.networks["discriminator"]
    with pytest.warns(FutureWarning, match="weight_norm"):
        torch.nn.utils.weight_norm(next(one for one in discriminator.modules() if isinstance(one, nn.Linear)))
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(discriminator)
    before = {name: tensor.clone() for name, tensor in discriminator.state_dict().items()}

    dry_run(blueprint, trainer)

    after = discriminator.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


@pytest.mark.parametrize("error", [MemoryError("no room"), torch.OutOfMemoryError("no room")])
def test_memory_that_runs_out_names_the_batch_size(stage, error):
    class Large(Counting):
        def forward(self, latent):
            raise error

    with pytest.raises(IncompatiblePartsError, match=r"out of memory with batches of \d+: .*no room") as caught:
        dry_run(*stage(generator=Large))
    assert caught.value.remedy == "lower train.batch_size or the networks' widths"


def test_a_loss_that_cannot_be_copied_is_no_mistake(stage):
    class Locked(Plain):
        def __deepcopy__(self, memo):
            raise TypeError("cannot copy a lock")

    dry_run(*stage(loss=Locked))


@pytest.mark.parametrize("loss", ["Caching", "Frozen", "Logging", "Watching"])
def test_a_loss_whose_state_does_not_depend_on_the_iteration_is_no_mistake(stage, loss):
    blueprint, trainer = stage(loss=globals()[loss])
    dry_run(blueprint, trainer)
    assert trainer.objective.losses[0].loss.constant is None


def test_lazy_modules_get_their_sizes_and_the_same_weights_each_time(stage):
    def weights():
        _, trainer = stage(generator=Lazy)
        return torch.cat([weight.flatten() for weight in trainer.networks["generator"].parameters()])

    assert torch.equal(weights(), weights())
    dry_run(*stage(generator=Lazy))


def test_a_buffer_that_grows_and_can_be_loaded_is_no_mistake(stage):
    dry_run(*stage(generator=Resizing))


def test_a_generator_that_cannot_be_averaged_is_named(stage):
    with pytest.raises(
        PluginError, match=r"^generator: generator 'acme-gan/theirs' cannot be copied, which its moving average"
    ) as caught:
        stage(generator=Uncopied)
    assert "parametrizations.weight_norm" in caught.value.remedy


@pytest.mark.parametrize(
    ("raised", "messages"), [(SystemExit(0), r"it called sys.exit\(0\)"), (ValueError("no"), "ValueError: no")]
)
def test_a_factory_that_fails_is_reported_with_its_key_and_place(stage, raised, messages):
    def build(params, context):
        raise raised

    with pytest.raises(
        PluginError, match=rf"^generator: generator 'acme-gan/theirs' 1.2.0 cannot be built: {messages} \(test_dry_run.py:\d+\)"
    ):
        stage(generator=build)


def test_the_compiler_is_not_imported(tmp_path):
    """It takes longer than all the rest before the first iteration."""
    recipe = Path(__file__).parents[2] / "recipes" / "infogan_moons.toml"
    code = (
        "import sys; from ganforge.cli.app import main; "
        f"code = main(['check', '--shapes', {str(recipe)!r}]); print(code, 'torch._dynamo' in sys.modules)"
    )
    messages = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert messages.stdout.splitlines()[-1] == "0 False"


def test_pairs_that_train_badly_are_warned_of(stage):
    penalty = ('use = "non-saturating"', 'use = "non-saturating"\n[[loss]]\nuse = "gradient-penalty"\nweight = 10.0')
    messages = list(find_known_bad_pairs(*stage(penalty, discriminator=Normalised)))

    assert [text.partition(":")[0] for text in messages] == ["loss[1]", "discriminator"]
    assert "batch normalisation" in messages[0]
    assert messages[1] == "discriminator: its output ends with a sigmoid, but losses expect logits; remove it"


def test_pairs_that_train_well_are_not(stage):
    penalty = ('use = "non-saturating"', 'use = "non-saturating"\n[[loss]]\nuse = "gradient-penalty"\nweight = 10.0')
    assert list(find_known_bad_pairs(*stage(penalty))) == []


def test_a_batch_of_one_has_no_statistics(stage):
    one = ("iterations = 20", "iterations = 20\nbatch_size = 1")
    assert [text.partition(":")[0] for text in find_known_bad_pairs(*stage(one, generator=Counting))] == ["train.batch_size"]


class Squashed(nn.Module):
    """A discriminator with a function at its end, which is no module."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(context.data.size, 1)

    def forward(self, samples):
        return DiscriminatorOutput(self.squash(self.layer(samples.values.flatten(1)).squeeze(1)))

    squash = staticmethod(torch.sigmoid)


class SquashedByTanh(Squashed):
    squash = staticmethod(torch.tanh)


class Positive(Squashed):
    squash = staticmethod(torch.relu)


@pytest.mark.parametrize(("kind", "end"), [(Squashed, "a sigmoid"), (SquashedByTanh, "tanh"), (Positive, None)])
def test_a_function_at_the_end_of_a_discriminator_is_recognised_by_its_range(stage, kind, end):
    expected = [f"discriminator: its output ends with {end}, but losses expect logits; remove it"] if end else []
    assert list(find_known_bad_pairs(*stage(discriminator=kind))) == expected


@pytest.mark.parametrize(
    ("last", "function", "warned"),
    [(nn.Tanh, None, False), (nn.Sigmoid, None, True), (nn.Identity, torch.tanh, False), (nn.Identity, torch.sigmoid, True)],
)
def test_an_output_that_does_not_reach_the_data(stage, last, function, warned):
    def generator(params, context):
        class Made(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(context.latent.noise, context.data.size), last())

            def forward(self, latent):
                values = self.layers(latent.noise).reshape(-1, *context.data.shape)
                return values if function is None else function(values)

        return Made()

    digits = ('use = "moons"\nparams = { samples = 200 }', 'use = "digits"')
    messages = list(find_known_bad_pairs(*stage(digits, generator=generator)))
    assert [text.partition(":")[0] for text in messages] == (["generator"] if warned else [])


def test_parameters_of_a_loss_for_two_players_are_refused(stage):
    with pytest.raises(PluginError, match=r"^loss\[0\]: .* has parameters and terms for discriminator and generator"):
        stage(loss=Learning)
