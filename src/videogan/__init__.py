"""The science: video GANs, their constraints, and the scores that judge them.

Everything here may be imported by vgsearch. It imports only torch, numpy, av, pydantic, pyarrow and Pillow; never ray,
optuna or vgsearch. For programs: `load` a trained model, `evaluate` it; they import torch when they are called.
"""

from typing import Any


def load(path: Any, device: str | None = None) -> Any:
    """A trained model to sample from, of a checkpoint file or of a folder that `vgsearch export` wrote.

    `load(path).sample(n, labels, seed)` returns clips, uint8 (n, T, H, W, 3); see `videogan.interface.model.Model`.
    """
    from videogan.interface.model import load as load_model

    return load_model(path, device)


def evaluate(model: Any, data: Any, metrics: Any = ("s3", "kvd"), **more: Any) -> Any:
    """The scores of a model, or of the one at a path, on an imported data set, by the names of their protocols.

    In this process, without Ray, and equal to those of `vgsearch evaluate`; see `videogan.interface.evaluation`.
    """
    from videogan.interface.evaluation import evaluate as evaluate_model

    return evaluate_model(model, data, metrics, **more)
