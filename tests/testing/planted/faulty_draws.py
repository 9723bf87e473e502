"""Samplers and data sets, each with one fault that fails one check."""

import contextlib
import socket
from dataclasses import dataclass, replace

import torch

from ganforge.plugin import DataSpec, GaussianMixture, Latent, LatentSpec, Samples

LATENT = LatentSpec(noise=3)
DATA = DataSpec(shape=(2,), classes=2, class_shares=(0.25, 0.75))
MISJUDGED = replace(DATA, class_shares=(0.75, 0.25))
DENSE = DataSpec(shape=(2,), density=GaussianMixture(means=((0.0, 0.0),), std=0.5))


def tell_latent(params, data):
    return LATENT


def tell_another_latent(params, data):
    return LatentSpec(noise=9)


def fresh():
    stream = torch.Generator()
    stream.seed()
    return stream


@dataclass
class Sampler:
    """Standard normal noise, and the base of all faulty ones."""

    spec: LatentSpec = LATENT
    noise_moments = (0.0, 1.0)

    def draw(self, count, generator):
        return Latent(self.noise(count, generator))

    def noise(self, count, generator):
        return torch.randn(count, 3, generator=generator)


class Squeezing(Sampler):
    def noise(self, count, generator):
        return super().noise(count, generator).squeeze(0)


class Unseeded(Sampler):
    def noise(self, count, generator):
        return super().noise(count, fresh())


class Wide(Sampler):
    def noise(self, count, generator):
        return 2 * super().noise(count, generator)


def build_s01(params, context):
    return Squeezing()


def build_s02(params, context):
    return Unseeded()


def build_s03(params, context):
    return Sampler()


def build_s04(params, context):
    return Wide()


def tell_data(params):
    return DATA


def tell_misjudged_data(params):
    return MISJUDGED


def tell_another_data(params):
    return replace(DATA, class_shares=())


def tell_dense_data(params):
    return DENSE


class Dataset:
    """Normal points of two classes, and the base of all faulty ones."""

    spec = DATA

    def __init__(self, context):
        self.samples = self.made(torch.Generator().manual_seed(context.seed))

    def made(self, stream):
        return Samples(torch.randn(80, 2, generator=stream), (torch.arange(80) % 4 > 0).long())

    def training(self):
        return self.samples

    def held_out(self, count, generator):
        return self.samples[torch.randint(len(self.samples), (count,), generator=generator)]


class Misjudged(Dataset):
    spec = MISJUDGED


class UnseededData(Dataset):
    def made(self, stream):
        return super().made(fresh())


class Phoning(Dataset):
    """Tries the network, and goes on without it."""

    def training(self):
        with contextlib.suppress(Exception):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        return super().training()


class Dense(Dataset):
    """Twice as wide as its density."""

    spec = DENSE

    def made(self, stream):
        return Samples(torch.randn(80, 2, generator=stream))


def build_t01(params, context):
    return Misjudged(context)


def build_t02(params, context):
    return UnseededData(context)


def build_t03(params, context):
    return Dataset(context)


def build_t04(params, context):
    return Phoning(context)


def build_t05(params, context):
    return Dense(context)


class Streaming(Dataset):
    """Its source sorts the rows that it is asked for."""

    def streamed(self):
        return self

    def __len__(self):
        return len(self.samples)

    def read(self, rows):
        return Samples(self.samples.values[sorted(rows)], self.samples.labels[sorted(rows)])


def build_t06(params, context):
    return Streaming(context)
