"""A plugin of faulty components: each is named after the one check that it fails."""

from ganforge.plugin import hookimpl

OPTIONS = {
    "p05": {"params": "faulty_params:Missing"},
    "p06": {"params": "faulty_params:Unplain"},
    "p07": {"params": "faulty_params:Undescribed"},
    "p08": {"params": "faulty_params:Required"},
    "p09": {"params": "faulty_params:Unlowered"},
    "p10": {"params": "faulty_params:Lenient"},
    "p12": {"expected_failures": {"L01": "a generator has no such check"}},
    "g01": {"requires": ("images",)},
    "d02": {"provides": ("head:style",)},
    "s01": {"spec": "faulty_draws:tell_latent"},
    "s02": {"spec": "faulty_draws:tell_latent"},
    "s03": {"spec": "faulty_draws:tell_another_latent"},
    "s04": {"spec": "faulty_draws:tell_latent"},
    "t01": {"spec": "faulty_draws:tell_misjudged_data"},
    "t02": {"spec": "faulty_draws:tell_data"},
    "t03": {"spec": "faulty_draws:tell_another_data"},
    "t04": {"spec": "faulty_draws:tell_data"},
    "t05": {"spec": "faulty_draws:tell_dense_data"},
    **{f"a0{number}": {"spec": "ganforge.builtin.games:two_player_spec"} for number in range(1, 5)},
    "t06": {"spec": "faulty_draws:tell_data"},
}


def announce(register, module, names):
    for name in names:
        factory = "build" if name in ("p05", "p06", "p07", "p08", "p09", "p10", "p12") else f"build_{name}"
        register(name, f"{module}:{factory}", summary=f"Fails {name}.", **OPTIONS.get(name, {}))


@hookimpl
def ganforge_register_generators(register):
    p = ["p05", "p06", "p07", "p08", "p09", "p10", "p11", "p12"]
    announce(register, "faulty_networks", [*p, *(f"g0{number}" for number in range(1, 9)), "e01"])


@hookimpl
def ganforge_register_discriminators(register):
    announce(register, "faulty_networks", [f"d0{number}" for number in range(1, 9)])


@hookimpl
def ganforge_register_losses(register):
    announce(register, "faulty_games", [f"l0{number}" for number in range(1, 10)])


@hookimpl
def ganforge_register_samplers(register):
    announce(register, "faulty_draws", [f"s0{number}" for number in range(1, 5)])


@hookimpl
def ganforge_register_datasets(register):
    announce(register, "faulty_draws", [f"t0{number}" for number in range(1, 7)])


@hookimpl
def ganforge_register_metrics(register):
    announce(register, "faulty_metrics", [f"m0{number}" for number in range(1, 6)])


@hookimpl
def ganforge_register_games(register):
    announce(register, "faulty_rounds", [f"a0{number}" for number in range(1, 5)])
