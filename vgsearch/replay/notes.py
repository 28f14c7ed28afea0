"""What a user must know of the recorded trials before reading a replay of them."""

from collections.abc import Iterator

from vgsearch.experiment.ledger import SweepRecord
from vgsearch.replay.recorded import RecordedTrials, listed
from vgsearch.space.sweep import Sweep


def notes_on_trials(sweep: Sweep, record: SweepRecord, recorded: RecordedTrials) -> list[str]:
    """Sentences on which trials the table has, and on what it can't show."""
    return list(_notes(sweep, record, recorded))


def _notes(sweep: Sweep, record: SweepRecord, recorded: RecordedTrials) -> Iterator[str]:
    if recorded.left_out:
        better = "; the space has worse points than the table" if "pruned" in recorded.left_out else ""
        yield f"not in the table: {listed(recorded.left_out)}{better}."
    if sweep.limits.sampler not in ("random", "grid"):
        yield f"the sweep's own sampler, {sweep.limits.sampler}, chose these trials: they are denser where it looked."
    if len(record.objectives) > 1:
        both = " and ".join(map(str, record.objectives))
        yield f"the sweep searched for {both}; the replay uses {recorded.objective} alone."
    if sweep.seeds_per_trial > 1:
        n = f"up to {sweep.seeds_per_trial}" if sweep.racing else str(sweep.seeds_per_trial)
        yield f"each score is the mean of {n} trainings; looks are those of the first."
    if recorded.known:
        yield f"each simulated study starts with the {len(recorded.known)} known trials of the sweep's own study."
    if not recorded.paper_rows:
        yield "the paper's point has no score here, so no search starts from it."
