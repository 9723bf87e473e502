"""Generators and discriminators, each with one fault that fails one check."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ganforge.testing import stub_components


def build(params, context):
    return stub_components.LinearGenerator(params, context)


def build_p11(params, context):
    return {"a network": None}


class Generator(stub_components.LinearGenerator):
    """The stand-in, whose values go through ``change``."""

    change = staticmethod(lambda network, values: values)

    def forward(self, latent):
        return self.change(self, super().forward(latent))


def generator(change):
    def factory(params, context):
        return type("Faulty", (Generator,), {"change": staticmethod(change)})(params, context)

    return factory


def unseeded(network, weight):
    with torch.no_grad():
        weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=tuple(weight.shape))))
    return network


def with_shift(network):
    network.shift = torch.rand(()).item()
    return network


def with_spare_layer(network):
    network.spare = nn.Linear(2, 2)
    return network


def with_plain_tensor(network):
    network.scale = torch.ones(1)
    return network


class Obstinate:
    """Its mode never changes."""

    def train(self, mode=True):
        return self


class ObstinateGenerator(Obstinate, Generator): ...


class Tiring(Generator):
    """Gives up after a dozen batches."""

    batches = 0

    def forward(self, latent):
        self.batches += 1
        if self.batches > 12:
            raise RuntimeError("out of breath")
        return super().forward(latent)


build_g01 = generator(lambda network, values: 3 * values)
build_g02 = generator(lambda network, values: values[: len(values) // 2 * 2])
build_g06 = generator(lambda network, values: values if network.training else values + values.mean(0))


def build_g03(params, context):
    network = build(params, context)
    return unseeded(network, network.layer.weight)


def build_g04(params, context):
    return with_spare_layer(build(params, context))


def build_g05(params, context):
    return with_shift(generator(lambda network, values: values + network.shift)(params, context))


def build_g07(params, context):
    return ObstinateGenerator(params, context)


def build_g08(params, context):
    return with_plain_tensor(generator(lambda network, values: values * network.scale)(params, context))


def build_e01(params, context):
    return Tiring(params, context)


class Discriminator(stub_components.LinearDiscriminator):
    """The stand-in, whose logits go through ``change``."""

    change = staticmethod(lambda network, logits: logits)

    def forward(self, samples):
        verdict = super().forward(samples)
        return replace(verdict, logits=self.change(self, verdict.logits))


def discriminator(change):
    def factory(params, context):
        return type("Faulty", (Discriminator,), {"change": staticmethod(change)})(params, context)

    return factory


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient.clone()


class ObstinateDiscriminator(Obstinate, Discriminator): ...


build_d01 = discriminator(lambda network, logits: logits.squeeze())
build_d02 = discriminator(lambda network, logits: logits)
build_d04 = discriminator(lambda network, logits: Once.apply(logits).square())


def build_d03(params, context):
    return with_spare_layer(stub_components.LinearDiscriminator(params, context))


def build_d05(params, context):
    network = stub_components.LinearDiscriminator(params, context)
    return unseeded(network, network.features.weight)


def build_d06(params, context):
    return with_shift(discriminator(lambda network, logits: logits + network.shift)(params, context))


def build_d07(params, context):
    return ObstinateDiscriminator(params, context)


def build_d08(params, context):
    return with_plain_tensor(discriminator(lambda network, logits: logits * network.scale)(params, context))
