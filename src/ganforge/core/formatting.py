"""Numbers, names, durations and sizes as text, for terminal, pictures and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganforge.core.contracts import TermInfo
    from ganforge.core.specs import DataSpec

_LOGARITHMS = {math.log(count): f"log {count}" for count in (2, 4)}


def clean(text: str) -> str:
    """``text`` on one line without control characters, so that a recipe's title cannot control the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def number(value: float) -> str:
    """At most four significant digits, three below 1: ``0.0712``, ``1.386``, ``12,345``, ``1.2e-05``, ``nan``, ``inf``."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    size = abs(value)
    if size < 1e-3 or size >= 1e7:
        return f"{value:.1e}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if size >= 1 else f"{value:.3g}"


def fixed(value: float) -> str:
    """Like `number`, but with trailing zeros, so that values that are updated in place do not move."""
    if not math.isfinite(value) or not 1e-3 <= abs(value) < 1000:
        return number(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """``00:16``, ``1:02:03``, ``2 d 03:00:00``."""
    whole = max(0, round(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    clock = f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours or days else f"{rest // 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def speed(per_second: float) -> str:
    """``812 it/s``, ``3.2 it/s``, or ``12 s/it`` if an iteration takes more than a second."""
    if per_second <= 0:
        return "– it/s"
    if per_second < 1:
        return f"{1 / per_second:.3g} s/it"
    return f"{per_second:,.0f} it/s" if per_second >= 10 else f"{per_second:.1f} it/s"


def share(iteration: int, iterations: int) -> str:
    """``51 %``, rounded down, so that 100 % means finished."""
    return f"{100 * iteration // max(iterations, 1)} %"


def plural(number_of: int, noun: str) -> str:
    """``1 class``, ``2 classes``."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number_of:,} {noun if number_of == 1 else noun + ending}"


def data(spec: DataSpec) -> str:
    """``2-dimensional points, 2 classes`` or ``8×8 images, 1 channel, 10 classes``."""
    if spec.is_image:
        channels, height, width = spec.shape
        words = f"{height}×{width} images, {plural(channels, 'channel')}"
    else:
        words = f"{'×'.join(map(str, spec.shape))}-dimensional points"
    return f"{words}, {plural(spec.classes, 'class')}" if spec.classes else words


def parameters(counts: Mapping[str, int]) -> str:
    """``34,561 parameters (generator 17,282, discriminator 17,279)``."""
    parts = ", ".join(f"{clean(name)} {number_of:,}" for name, number_of in counts.items())
    return f"{plural(sum(counts.values()), 'parameter')} ({parts})" if parts else "no parameters"


def term(key: str) -> str:
    """``discriminator/total`` → ``discriminator total``."""
    return clean(key.replace("/", " "))


def level(value: float) -> str:
    """A value at equilibrium, with its symbolic name if it has one: ``log 4 = 1.386``."""
    name = symbolic_name(value)
    return name if name == number(value) else f"{name} = {value:.3f}"


def symbolic_name(value: float) -> str:
    """``log 2``, or the number if it has no symbolic name."""
    return next((name for known, name in _LOGARITHMS.items() if math.isclose(value, known, rel_tol=1e-6)), number(value))


def brief_terms(terms: Mapping[str, float], term_info: Mapping[str, TermInfo]) -> str:
    """Both networks' totals on one line, each with its value at equilibrium if it has one."""
    totals = []
    for player in ("discriminator", "generator"):
        if (key := f"{player}/total") in terms:
            info = term_info.get(key)
            reference = "" if info is None or info.equilibrium is None else f" (equilibrium {number(info.equilibrium)})"
            totals.append(f"{player} {fixed(terms[key])}{reference}")
    return "  ".join(totals)
