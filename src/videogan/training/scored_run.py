"""What a score must know of a run, whether a family of this library was trained or another program made the videos."""

from typing import Any, Protocol

from videogan.data.clips import DataConfig
from videogan.training.health import HealthConfig
from videogan.training.run_config import EvaluationConfig


class ScoredRun(Protocol):
    """A run whose clips are judged against real ones; `RunConfig` is one, of a family."""

    @property
    def data(self) -> DataConfig: ...

    @property
    def evaluation(self) -> EvaluationConfig: ...

    @property
    def health(self) -> HealthConfig: ...

    @property
    def seed(self) -> int: ...

    @property
    def n_steps(self) -> int:
        """The last step, in the run's own unit."""
        ...

    @property
    def n_frames(self) -> int:
        """T of the clips that are judged."""
        ...

    @property
    def n_conditions(self) -> int:
        """Number of classes whose clips can be made on request; 1 without labels."""
        ...

    @property
    def resolution(self) -> int:
        """Height and width, in pixels, of the clips that are judged."""
        ...

    @property
    def preprocessing(self) -> str:
        """The named preprocessing of every real clip."""
        ...

    def setting(self, path: str) -> Any:
        """The value at the dotted path of a domain; raises AttributeError if there is none. Any: values of settings."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """The configuration as plain values, as pydantic writes it."""
        ...
