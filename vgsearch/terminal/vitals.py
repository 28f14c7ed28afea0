"""What a look measures, in plain words and with units, beside real clips."""

from collections.abc import Mapping

from vgsearch.terminal.words import number

_PERCENT = "%"
_NAMES = {
    "loss_share": ("D's loss, of that of guessing", _PERCENT),
    "signal_share": ("G's gradient, of the run's median", _PERCENT),
    "gradient_growth": ("gradients, against the run's median", "times"),
    "weight_growth": ("weights, against the run's first", "times"),
    "class_diversity": ("diversity of the median class, against real clips", "times"),
    "freezing": ("clips that hardly move", _PERCENT),
    "freezing_at_pace": ("clips that hardly move, at the pace of real ones", _PERCENT),
    "looping": ("clips that loop", _PERCENT),
    "still_frames": ("frames that repeat the frame before", _PERCENT),
    "still_frames_at_pace": ("frames that repeat it, at the pace of real clips", _PERCENT),
    "returning_frames": ("frames that repeat an older frame", _PERCENT),
    "flow_ratio": ("speed by optical flow, against real clips", "times"),
}
"""Of each measurement of `videogan.training.health.Vitals`; those that end in _REAL stand beside it."""
_REAL = "_real"
_WIDTH = max(len(called) for called, _ in _NAMES.values())


def vitals_lines(measured: Mapping[str, float]) -> list[str]:
    """A line for each vital, a dash for one that was not measured or that an older version did not know."""
    lines = []
    for name, (called, unit) in _NAMES.items():
        real = f"   real clips {_shown(measured[name + _REAL], unit)}" if name + _REAL in measured else ""
        lines.append(f"{called:<{_WIDTH}}  {_shown(measured.get(name), unit)}{real}")
    known = {*_NAMES, *(name + _REAL for name in _NAMES)}
    return lines + [f"{name} {number(vital, '.3g')}" for name, vital in measured.items() if name not in known]


def _shown(vital: float | None, unit: str) -> str:
    if vital is None:
        return "-"
    return f"{number(100 * vital if unit == _PERCENT else vital, '.3g')} {unit}"
