"""The time that a sweep ran, without its pauses."""

from bisect import bisect_right

from vgsearch.experiment.ledger import SweepRecord


class SweepClock:
    """The time that a sweep had run at a moment; pauses between an interruption and a resume do not count."""

    def __init__(self, record: SweepRecord) -> None:
        self._spans: list[tuple[float, float, float]] = []
        total = 0.0
        for start, end in sorted(span for trial in record.trials.values() for span in trial.attempts):
            if self._spans and start <= self._spans[-1][1]:
                first, last, before = self._spans[-1]
                total += max(end - last, 0.0)
                self._spans[-1] = first, max(end, last), before
            else:
                self._spans.append((start, max(end, start), total))
                total += max(end - start, 0.0)
        self._starts = [start for start, _, _ in self._spans]
        self.total_hours = total / 3600
        self.unit = "hours of the sweep" if self.total_hours >= 2 else "minutes of the sweep"

    def ran(self, moment: float) -> float:
        """The time that the sweep had run at `moment`, in `unit`."""
        return self.hours(moment) * (1 if self.total_hours >= 2 else 60)

    def hours(self, moment: float) -> float:
        """Hours of the sweep until `moment` (seconds since 1970)."""
        at = bisect_right(self._starts, moment) - 1
        if at < 0:
            return 0.0
        start, end, before = self._spans[at]
        return (before + min(moment, end) - start) / 3600
