"""The error of a training whose loss is no longer finite."""


class TrainingDiverged(ArithmeticError):
    """The loss `term` became infinite or NaN at `step` (counted from 1; for a classifier, the epoch)."""

    def __init__(self, step: int, term: str) -> None:
        super().__init__(f"{term} is not finite at step {step}.")
        self.step, self.term = step, term

    def __reduce__(self) -> tuple:
        return type(self), (self.step, self.term)
