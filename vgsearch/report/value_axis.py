"""An axis of a searched value: where each value stands on it, with the scale of its domain."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from vgsearch.space.domains import ChoiceDomain, Domain, is_number
from vgsearch.terminal.words import value

ASIDE = 0.14
"""The distance from the scale, and from each other, of what stands below the scale."""
MOST_TICKS = 5
Places = list[float | None]


class ValueAxis(NamedTuple):
    """Where values stand, with the scale from 0 to 1, and the ticks (place, text)."""

    places: list[float]
    ticks: list[tuple[float, str]]

    @property
    def low(self) -> float:
        """The lowest place, of the scale or below it."""
        return min([0.0, *self.places])


def value_axis(values: Sequence[Any], domain: Domain | None) -> ValueAxis:
    """The axis over a domain and `values`, which may lie outside it; without a domain, over the values alone.

    Numbers stand on a scale, logarithmic if the domain is; choices at equal distances. Below the scale stand numbers
    that turn a setting off or have no logarithm, and None: not searched in that trial. Any: values of settings.
    """
    searched = [chosen for chosen in values if chosen is not None]
    if isinstance(domain, ChoiceDomain):
        return _with_rest(values, *_of_choices(values, [*domain.choices, *searched]))
    if not all(map(is_number, searched)):
        return _with_rest(values, *_of_choices(values, searched))
    return _with_rest(values, *_of_numbers(values, domain))


def _of_choices(values: Sequence[Any], choices: Sequence[Any]) -> tuple[Places, list[tuple[float, str]]]:
    names = {repr(choice): value(choice) for choice in choices}
    place = {name: (at + 0.5) / len(names) for at, name in enumerate(names)}
    ticks = [(place[name], shown) for name, shown in names.items()]
    return [None if chosen is None else place[repr(chosen)] for chosen in values], ticks


def _of_numbers(values: Sequence[Any], domain: Domain | None) -> tuple[Places, list[tuple[float, str]]]:
    log, off = (False, None) if domain is None else (getattr(domain, "log", False), getattr(domain, "or_off", None))

    def is_on_scale(chosen: Any) -> bool:
        return chosen is not None and chosen != off and (chosen > 0 or not log)

    ends = [chosen for chosen in values if is_on_scale(chosen)] + ([] if domain is None else domain.ends)
    ends = [end for end in ends if is_on_scale(end)]
    if not ends:
        return [None] * len(values), []
    low, high = min(ends), max(ends)
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    scaled = math.log if log else float
    span = scaled(high) - scaled(low)
    are_whole = all(isinstance(end, int) for end in ends)
    ticks = _log_ticks(low, high) if log else _linear_ticks(low, high, are_whole)
    places = [(scaled(chosen) - scaled(low)) / span if is_on_scale(chosen) else None for chosen in values]
    return places, [((scaled(tick) - scaled(low)) / span, f"{tick:.6g}") for tick in ticks]


def _with_rest(values: Sequence[Any], places: Places, ticks: list[tuple[float, str]]) -> ValueAxis:
    """The axis with what has no place yet below its scale: numbers first, what was not searched last."""
    rest = {chosen for chosen, place in zip(values, places, strict=True) if place is None}
    below = [*sorted(rest - {None}, reverse=True), *(rest & {None})]
    at = {chosen: -ASIDE * (number + 1) for number, chosen in enumerate(below)}
    names = [(at[chosen], value(chosen)) for chosen in below]
    whole = [at[chosen] if place is None else place for chosen, place in zip(values, places, strict=True)]
    return ValueAxis(whole, [*names, *ticks])


def _linear_ticks(low: float, high: float, are_whole: bool) -> list[float]:
    """Up to six round numbers at equal distances."""
    least = (high - low) / MOST_TICKS
    power = 10 ** math.floor(math.log10(least))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= least * (1 - 1e-9))
    step = max(step, 1) if are_whole else step
    return [at * step for at in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, and between them as many round numbers as are few; the two ends if there are none."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    shown: list[float] = []
    for times in ((1,), (1, 3), (1, 2, 5)):
        ticks = [t * 10.0**power for power in decades for t in times]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(shown) < 2 or len(ticks) < MOST_TICKS:
            shown = ticks
    return shown if len(shown) > 1 else [low, high]
