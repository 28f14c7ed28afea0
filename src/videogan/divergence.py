"""The one way a training ends that is nobody's fault: a term of it stopped being a number."""


class TrainingDiverged(ArithmeticError):
    """A loss became infinite or NaN; carries the `step` (counted from 1; a classifier's epoch) and the name of the `term`."""

    def __init__(self, step: int, term: str) -> None:
        super().__init__(f"{term} is not finite at step {step}.")
        self.step, self.term = step, term

    def __reduce__(self) -> tuple:
        return type(self), (self.step, self.term)
