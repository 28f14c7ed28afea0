"""The progress of a fit of PWC-Net in a terminal: a bar, or one line per event if the output is not a terminal."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from vgsearch.terminal.console import Terminal
from vgsearch.terminal.words import duration, progress_bar, shown, typed
from videogan.flow.recipe import RECIPES, FlowRecipe

SECONDS_BETWEEN_LINES = 60.0  # if there is no bar
FITTED = "PWC-Net"


class FitView:
    """A bar on a terminal; otherwise, or as JSON, one line per event."""

    def __init__(self, console: Console, recipe: FlowRecipe, json_lines: bool) -> None:
        self.console, self._recipe, self._json_lines = console, recipe, json_lines
        # on the console of the lines, so that they are printed above the bar
        self._bar = progress_bar(Terminal(quiet=True) if json_lines else console)
        self._last_line = -math.inf

    @contextmanager
    def live(self, first: int) -> Iterator[None]:
        """Draw the bar, from step `first`, while the fit runs."""
        with self._bar:
            self._task = self._bar.add_task("fitting", total=self._recipe.n_steps, completed=first)
            yield

    def advance(self, step: int) -> None:
        self._bar.update(self._task, completed=step)

    def print_event(self, event: dict[str, Any]) -> None:
        if self._json_lines:
            print(json.dumps(event), flush=True)
        elif event["event"] != "step":
            self.console.print(_event_line(event, self._recipe), highlight=False, markup=False, soft_wrap=True)
        elif not self._bar.disable:
            self._bar.update(self._task, description=f"{event['endpoint_error']:.2f} px error")
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES or event["step"] == self._recipe.n_steps:
            self._last_line = time.monotonic()
            self.console.print(_event_line(event, self._recipe), highlight=False, soft_wrap=True)

    def print_result(self, out: Path, report: dict[str, Any]) -> None:
        """Print a line of errors for each kind of pair, their ratios to the other estimators, and the files."""
        if self._json_lines:
            print(json.dumps({"event": "fitted", "folder": str(out), **report}), flush=True)
            return
        for line in _result_lines(out, report):
            self.console.print(line, highlight=False, soft_wrap=True)


def _event_line(event: dict[str, Any], recipe: FlowRecipe) -> str:
    if event["event"] == "damaged":
        return event["reason"]
    if event["event"] == "judging":
        return f"judging on {event['n_held_out_pairs']} held-out pairs of each kind"
    if event["event"] == "started":
        width, step = f"PWC-Net of width {recipe.width:g}", event["step"]
        from_where = f" from step {step}" if step else ""
        return f"{width}{from_where} to step {recipe.n_steps} on {event['device']}   {shown(Path(event['folder']))}"
    return f"step {event['step']}/{recipe.n_steps}  {event['endpoint_error']:.2f} px error  loss {event['loss']:.4f}"


def _result_lines(out: Path, report: dict[str, Any]) -> Iterator[str]:
    errors = report["endpoint_errors_px"]
    width = max(map(len, errors))
    names = list(next(iter(errors.values())))
    n_pairs, seed = report["n_held_out_pairs"], report["recipe"]["seed"]
    yield f"\nendpoint error on {n_pairs} held-out pairs of each kind, seed {seed}, px"
    yield " " * width + "".join(f"  {name:>15}" for name in names)
    for kind, of_kind in errors.items():
        cells = [f"{of_kind[name]['mean']:.3f} ±{of_kind[name]['standard_error']:.3f}" for name in names]
        yield f"{kind:<{width}}" + "".join(f"  {cell:>15}" for cell in cells)
    fitted = {name: errors[kind][name]["mean"] for name in names}
    shares = ", ".join(f"{fitted[FITTED] / fitted[name]:.2f} of {name}'s" for name in names if name != FITTED)
    yield f"{kind}: {FITTED}'s error is {shares}"
    seconds, cpu_seconds = duration(report["seconds"]), duration(report["cpu_seconds"])
    yield f"{report['n_parameters']:,} parameters  fitted in {seconds}, CPU {cpu_seconds}"
    for name, file in (("weights", "flow.pt"), ("errors", "flow.json"), ("picture", "flow.png")):
        yield f"{name:<8} {shown(out / file)}"
    if worse_than := [name for name in names if name != FITTED and fitted[FITTED] >= fitted[name]]:
        yield f"note     this flow is no better than {' and '.join(worse_than)}: it would mislead the motion constraint"
        yield f"next     {_longer(report['recipe'])}; or, with Lucas-Kanade flow: vgsearch tune mvt_mc"
        return
    given = f"--set model.flow=pwc_net --set model.flow_weights={typed(out / 'flow.pt')}"
    yield f"next     vgsearch tune mvt_mc {given}"


def _longer(recipe: dict[str, Any]) -> str:
    """The command of a longer fit: the next larger budget, or more steps than the largest."""
    larger = [name for name, other in RECIPES.items() if other.n_steps > recipe["n_steps"]]
    if larger:
        return f"fit longer: vgsearch flow fit --budget {larger[0]}"
    return f"fit longer: vgsearch flow fit --budget paper --set n_steps={2 * recipe['n_steps']} --out DIR"
