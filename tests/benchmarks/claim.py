"""Do searches beat the paper's point? `python -m tests.benchmarks.claim EXP EXP ...` prints the table of a report.

Each EXP is a search of the same space with another seed, confirmed by `vgsearch confirm EXP --top 1 --seeds N`: its
best point and the paper's, trained anew with seeds that the search did not use and scored on the test clips. A search
whose best is the paper's point counts as a difference of 0. The intervals over searches are Student's.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.objective import LABELS, Objective
from vgsearch.experiment.paths import Experiment, short_id
from vgsearch.space.sweep import load_sweep
from vgsearch.terminal.words import interval
from videogan.metrics.interval import Interval
from videogan.metrics.seed_interval import seed_interval


@dataclass(frozen=True)
class Search:
    """What one search found, and what it is worth on fresh seeds and test clips."""

    objective: Objective
    seed: int
    found: str
    in_search: float
    floor: Interval | None
    """The untrained generator's score on the clips of the search."""
    again: Interval
    paper: Interval
    n_trainings: int
    """Fresh trainings of the paper's point."""
    difference: Interval
    """By how much the found point is better than the paper's, over fresh seeds; 0 if they are one."""


def read_search(folder: Path) -> Search:
    """A confirmed search. Raises FileNotFoundError without confirm.json."""
    experiment = Experiment.at(folder)
    record = read_ledger(experiment.ledger)
    written: dict[str, Any] = json.loads((folder / "confirm.json").read_text())
    best, paper = written["points"][0], next(point for point in written["points"] if point["is_paper_point"])
    against = best["against_paper"]
    objective = record.objectives[0]
    floor = None if record.floor is None else record.floor.score.interval(objective.name)
    return Search(
        objective=objective,
        seed=load_sweep(experiment.sweep).seed,
        found=short_id(best["trial_id"]) + (" (paper)" if best["is_paper_point"] else ""),
        in_search=best["in_search"],
        floor=floor,
        again=Interval(**best["interval"]),
        paper=Interval(**paper["interval"]),
        n_trainings=len(paper["by_seed"]),
        difference=Interval(0, 0, 0) if against is None else Interval(*(against[part] for part in Interval._fields)),
    )


def table(searches: list[Search]) -> list[str]:
    """Markdown: a row for each search, then the mean difference with its interval."""
    objective = searches[0].objective
    score = LABELS[objective.name]
    better = "found minus paper" if objective.direction == "maximize" else "paper minus found"
    rows = [
        f"| seed | found | {score} then, on select | floor | {score} again, on test | paper's point again | {better} |",
        "|---|---|---|---|---|---|---|",
    ]
    for search in searches:
        floor = "-" if search.floor is None else interval(search.floor)
        rows.append(
            f"| {search.seed} | {search.found} | {search.in_search:.2f} | {floor} | {interval(search.again)} "
            f"| {interval(search.paper)} | {interval(search.difference, '+')} |"
        )
    differences = [search.difference.mean for search in searches]
    of_paper, n_trainings = [search.paper.mean for search in searches], sum(search.n_trainings for search in searches)
    floors = [search.floor.mean for search in searches if search.floor is not None]
    untrained = f" Untrained generators, mean of {len(floors)}: {interval(seed_interval(floors))}." if floors else ""
    n_better = sum(difference > 0 for difference in differences)
    return [
        *rows,
        "",
        f"{better.capitalize()}, mean of {len(searches)} searches: {interval(seed_interval(differences), '+')}; "
        f"positive in {n_better}. The paper's point, mean of {n_trainings} trainings: {interval(seed_interval(of_paper))}."
        + untrained,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    searches = [read_search(folder) for folder in parser.parse_args().experiments]
    print("\n".join(table(sorted(searches, key=lambda search: search.seed))))


if __name__ == "__main__":
    main()
