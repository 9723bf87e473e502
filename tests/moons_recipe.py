"""The beginning of a valid recipe, up to its generator; the tests of recipes and of building add the rest."""

HEAD = """\
title = "Two moons"

[train]
iterations = 20

[dataset]
use = "moons"
params = { samples = 200 }

[sampler]
use = "normal"
params = { size = 3 }

[generator]
use = "mlp"
params = { hidden = [16, 16] }
"""
