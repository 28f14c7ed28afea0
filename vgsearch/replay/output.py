"""A replay as text in a terminal, and as JSON."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from vgsearch.experiment.objective import LABELS
from vgsearch.replay.prunings import MOST_LOST, Prunings
from vgsearch.replay.recorded import RecordedTrials
from vgsearch.replay.replay import Replay
from vgsearch.replay.searches import AnyOrder, Found, Searches, SearchSetting, Spread
from vgsearch.terminal.words import interval, number, percents, plain_table
from videogan.metrics.interval import Interval
from videogan.storage.json_values import json_values

MARK = "*"


def print_replay(replay: Replay, console: Console) -> None:
    """Print the trials, the notes on them, and the tables of samplers and of pruners with how to read them."""
    for part in _parts(replay):
        console.print(part)


def _parts(replay: Replay) -> Iterator[RenderableType]:
    yield Text(_header(replay))
    yield from (Text(f"note: {note}", style="yellow") for note in replay.notes)
    if replay.searches is not None:
        yield from _of_searches(replay.searches, len(replay.recorded.trials))
    if replay.prunings is not None:
        yield from _of_prunings(replay.prunings, LABELS[replay.recorded.objective.name])


def _header(replay: Replay) -> str:
    recorded = replay.recorded
    values = [recorded.objective.value_of(trial.scores) for trial in recorded.trials]
    best = values[int(recorded.losses.argmin())]
    papers = "".join(f", paper's point {_place(recorded, values, row)}" for row in recorded.paper_rows[:1])
    name = LABELS[recorded.objective.name]
    return f"{replay.name}   {len(values)} done trials   best {name} {number(best)}{papers}"


def _place(recorded: RecordedTrials, values: list[float], row: int) -> str:
    return f"{number(values[row])} (rank {recorded.ranks[row]})"


def _of_searches(searches: Searches, n: int) -> Iterator[RenderableType]:
    yield _title(f"Samplers: {searches.repeats} simulated searches of the {n} recorded trials for each")
    if searches.found:
        yield from _of_found(searches, n)
    if searches.spreads:
        yield from _of_spreads(searches, n)


def _of_found(searches: Searches, n: int) -> Iterator[RenderableType]:
    if len({each.setting.sampler for each in searches.found}) > 1:
        yield Text(_leaders(searches.found))
    yield Text(_neighbours(searches.neighbours), style="yellow" if not searches.neighbours.low > 0 else "")
    for at_once, found in groupby(_by_at_once(searches.found), key=lambda each: each.setting.at_once):
        yield Text(f"\n{'one trial at a time' if at_once == 1 else f'{at_once} trials at once'}:")
        yield _found_table(list(found), searches.any_order)
    yield Text(
        f"\nA search gets the recorded trial that is nearest to what its sampler proposes, each trial once: after {n} "
        f"trials all have found the same. tpe and gp draw their first {searches.n_startup_trials} trials at random. any "
        "order: exactly, if points did not matter; random differs from it because isolated trials are often nearest.\n"
        "after: trials of the search. best: median over the searches of the best score, with its 95 % interval by order "
        f"statistics. rank: mean rank of that best trial among the {n}; 1 is the best of all. {MARK}: a better rank than "
        "each other sampler's, by a paired 95 % bootstrap interval, and than any order's.\n"
        "The intervals are of chance in searches of these trials. Other trials may favour another sampler.",
        style="dim",
    )


def _of_spreads(searches: Searches, n: int) -> Iterator[RenderableType]:
    yield Text(f"\ndistance between proposals that run together, once the {n} trials are done:")
    yield _spread_table(searches.spreads)
    yield Text(
        f"\nMeans over pairs and {searches.spread_repeats} repeats; 1 is that of random points. told: each proposal "
        "knows of those that run, as in a sweep. not told: as if the sampler ignored them. Below 1 in both: it looks "
        "where good trials are. Lower when told: proposals cluster because they run together.",
        style="dim",
    )


def _leaders(found: Sequence[Found]) -> str:
    """Which sampler leads after how many trials, in the first kind of search: fewest at once, paper's point first."""
    first = min((each.setting for each in found), key=lambda each: (each.at_once, not each.paper_first))
    after = dict.fromkeys(each.after for each in found)
    leader = {each.after: each.setting.sampler for each in found if each.leads and _is_alike(each.setting, first)}
    who = {n: leader.get(n, "no sampler") for n in after}
    told = [
        f"{sampler} leads after {_listed(n for n in after if who[n] == sampler)} trials"
        for sampler in dict.fromkeys(who.values())
    ]
    at_once = "one trial at a time" if first.at_once == 1 else f"{first.at_once} trials at once"
    start = ", from the paper's point on" if first.paper_first else ""
    return f"With {at_once}{start}: {'; '.join(told)}."


def _listed(numbers: Iterable[int]) -> str:
    """8, 16 and 32."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


def _neighbours(correlation: Interval) -> str:
    if correlation.low > 0:
        meaning = "a sampler can learn from this table."
    else:
        meaning = "this may be 0, and then a sampler learns nothing from this table. So none is said to lead."
    return f"A trial's score and that of the nearest other correlate by {interval(correlation)} (ranks): {meaning}"


def _is_alike(one: SearchSetting, other: SearchSetting) -> bool:
    return (one.paper_first, one.at_once) == (other.paper_first, other.at_once)


def _by_at_once(found: Iterable[Found]) -> list[Found]:
    return sorted(found, key=lambda each: each.setting.at_once)


def _found_table(found: list[Found], any_order: Iterable[AnyOrder]) -> Table:
    """A row for each number of trials and sampler, with and without the paper's point first."""
    starts = [start for start in (True, False) if any(each.setting.paper_first == start for each in found)]
    names = {True: "best, paper first", False: "best, without"}
    table = plain_table(">after", "sampler", *(head for start in starts for head in (names[start], ">rank")))
    cells = {(each.after, each.setting.sampler, each.setting.paper_first): each for each in found}
    chance = {(each.after, each.paper_first): each for each in any_order}
    for after in dict.fromkeys(each.after for each in found):
        for sampler in dict.fromkeys(each.setting.sampler for each in found):
            shown = [cells[after, sampler, start] for start in starts]
            table.add_row(str(after), sampler, *(text for each in shown for text in (interval(each.best), _rank(each))))
        exact = [chance[after, start] for start in starts]
        texts = [text for each in exact for text in (number(each.best), f"{number(each.rank, '.1f')} ")]
        table.add_row(str(after), "any order", *texts, style="dim")
    return table


def _rank(found: Found) -> str:
    return f"{number(found.rank.mean, '.1f')}{MARK if found.leads else ' '}"


def _spread_table(spreads: Iterable[Spread]) -> Table:
    table = plain_table(">at once", "sampler", "told", "not told")
    for spread in spreads:
        table.add_row(str(spread.at_once), spread.sampler, interval(spread.together), interval(spread.alone))
    return table


def _of_prunings(prunings: Prunings, name: str) -> Iterator[RenderableType]:
    trials = prunings.trials
    left_out = f" ({trials.n_left_out} lack looks)" if trials.n_left_out else ""
    yield _title(f"Pruners: {prunings.repeats} random orders of the {len(trials.losses)} trials{left_out}")
    yield Text(_advice(prunings))
    yield Text(f"\nhow well a look ranks the trials by their final {name}:")
    yield _correlation_table(prunings)
    yield Text("\nwhat each pruner would have done:")
    table = plain_table("pruner", ">warm-up", "steps saved, %", "best lost, %", f"regret, {name}")
    for each in prunings.pruned:
        mark = MARK if each.leads else ""
        row = (percents(each.saved), percents(each.lost), interval(each.regret))
        table.add_row(each.setting.pruner + mark, str(each.setting.warm_up), *row)
    yield table
    yield Text(
        f"\nTrials run one after the other for up to {trials.n_steps} steps, and are pruned by looks smoothed over "
        f"{prunings.smoothing}, as in a sweep. warm-up: steps before which none is pruned. best lost: share of the "
        f"orders in which the best trial is pruned. regret: best {name} of all trials less that of the trials kept. "
        f"Intervals: 95 %, by bootstrap over trials and orders. {MARK}: saves more than each other that keeps 'best "
        f"lost' within {100 * MOST_LOST:.0f} %, interval included.",
        style="dim",
    )


def _advice(prunings: Prunings) -> str:
    """The marked setting in words, or that there is none."""
    for each in prunings.pruned:
        if each.leads:
            return (
                f"{each.setting.pruner} from step {each.setting.warm_up} on saves {percents(each.saved)} % of the steps, "
                f"and prunes the best trial in {percents(each.lost)} % of the orders."
            )
    return "No pruner both saves steps and rarely loses the best trial, as far as these trials can tell."


def _correlation_table(prunings: Prunings) -> Table:
    table = plain_table(">step", ">share of run", "rank correlation", f"smoothed over {prunings.smoothing}")
    for each in prunings.correlations:
        share = f"{100 * each.step / prunings.trials.n_steps:.0f} %"
        table.add_row(str(each.step), share, interval(each.look), interval(each.smoothed))
    return table


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def as_json(replay: Replay) -> dict[str, Any]:
    """The replay as plain values, with null for what has none."""
    recorded = replay.recorded
    found: dict[str, Any] = {
        "experiment": replay.name,
        "objective": str(recorded.objective),
        "trials": [trial.trial_id for trial in recorded.trials],
        "left_out": dict(recorded.left_out),
        "notes": list(replay.notes),
        "samplers": None,
        "pruners": None,
    }
    if replay.searches is not None:
        found["samplers"] = asdict(replay.searches)
    if replay.prunings is not None:
        trials = replay.prunings.trials
        found["pruners"] = {
            "n_trials": len(trials.losses),
            "n_steps": trials.n_steps,
            "repeats": replay.prunings.repeats,
            "smoothing": replay.prunings.smoothing,
            "correlations": [asdict(each) for each in replay.prunings.correlations],
            "settings": [asdict(each) for each in replay.prunings.pruned],
        }
    return json_values(found)
