"""Recipes that fit PWC-Net on generated pairs: the paper's, which is the default, and cheaper ones."""

import math
from typing import Literal

from pydantic import Field, model_validator

from videogan.config import Config
from videogan.flow.generated_pairs import PairSettings
from videogan.seeds import LARGEST_SEED

HALVINGS = (1 / 3, 1 / 2, 2 / 3, 5 / 6)
"""Parts of the training after each of which the rate is halved: .4, .6, .8 and 1 of 1.2 million steps (S_long)."""


class FlowRecipe(Config):
    """PWC-Net's first training (sec. 4), on our pairs instead of FlyingChairs; lengths are counted in steps."""

    width: float = Field(1.0, gt=0, le=4, description="Scale of all channels; the published network has 1")
    n_steps: int = Field(1_200_000, ge=1, description="Updates (S_long)")
    batch_size: int = Field(8, ge=1, description="Pairs per step (sec. 4: 8)")
    lr: float = Field(1e-4, gt=0, description="Initial learning rate (S_long); with a warm-up, the highest")
    schedule: Literal["halved", "cosine"] = Field(
        "halved", description="halved: four times, as in S_long; cosine: falls to 0"
    )
    warm_up: int = Field(0, ge=0, description="Steps of linear increase to lr; the paper has none")
    weight_decay: float = Field(4e-4, ge=0, description="gamma of eq. 1, the weights' squared norm in the loss")
    clip_norm: float | None = Field(None, gt=0, description="Maximum norm of the whole gradient; the paper has none")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 is autocast; weights and the loss stay fp32")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="Seed of the initial weights and of the pairs")
    pairs: PairSettings = PairSettings()

    @model_validator(mode="after")
    def _some_steps_follow_the_warm_up(self) -> "FlowRecipe":
        if self.warm_up >= self.n_steps:
            raise ValueError(f"warm_up must be below n_steps = {self.n_steps}, got {self.warm_up}; lower it.")
        return self

    def lr_at(self, step: int) -> float:
        """The learning rate of update `step`, counted from 1."""
        if step <= self.warm_up:
            return self.lr * step / self.warm_up
        if self.schedule == "halved":
            return self.lr / 2 ** sum(step > part * self.n_steps for part in HALVINGS)
        done = (step - 1 - self.warm_up) / (self.n_steps - self.warm_up)
        return self.lr * (1 + math.cos(math.pi * done)) / 2


RECIPES = {
    # Checks that everything works; too short to find motion.
    "smoke": FlowRecipe(width=0.1, n_steps=60, batch_size=8, lr=1e-3, weight_decay=0.0),
    # For a CPU: half the channels and 1/150 of the paper's steps, so the learning rate is 20 times as high, after a
    # warm-up, with clipped gradients and without weight decay. At width 0.25 and 1500 steps, held-out errors were 2.88
    # px with 1e-3 halved four times and 2.51 px with a cosine from 3e-3; batches of 8 were worse in the same time.
    "laptop": FlowRecipe(
        width=0.5,
        n_steps=8000,
        batch_size=16,
        lr=2e-3,
        schedule="cosine",
        warm_up=400,
        weight_decay=0.0,
        clip_norm=1.0,
        precision="bf16",
    ),
    "paper": FlowRecipe(),
}
