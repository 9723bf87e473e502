"""Metrics, each with one fault that fails one check."""

import numpy as np

from ganforge.plugin import MetricInfo


class Sound:
    """Distance of the means, and the base of all faulty ones."""

    value_info = {"": MetricInfo("distance of the means", "lower", 0.0, symmetric=True)}

    def measure(self, evaluation):
        return {"": float((evaluation.real.values.mean(0) - evaluation.fake.values.mean(0)).norm())}


class Unlabelled(Sound):
    value_info = {"": MetricInfo("", "lower")}


class Drawing(Sound):
    value_info = {"": MetricInfo("distance, more or less", "lower")}

    def measure(self, evaluation):
        return {"": super().measure(evaluation)[""] + float(np.random.default_rng().normal())}


class Spoiling(Sound):
    value_info = {"": MetricInfo("distance of the means", "lower")}

    def measure(self, evaluation):
        evaluation.fake.values.zero_()
        return super().measure(evaluation)


class Unideal(Sound):
    value_info = {"": MetricInfo("distance of the means", "lower", 1.0)}


class Lopsided(Sound):
    value_info = {"": MetricInfo("lead of the mean", "lower", 0.0, symmetric=True)}

    def measure(self, evaluation):
        return {"": float((evaluation.real.values - evaluation.fake.values).mean())}


def build_m01(params, context):
    return Unlabelled()


def build_m02(params, context):
    return Drawing()


def build_m03(params, context):
    return Spoiling()


def build_m04(params, context):
    return Unideal()


def build_m05(params, context):
    return Lopsided()
