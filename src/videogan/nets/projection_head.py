"""The last layer of a conditional discriminator."""

from torch import Tensor, nn

from videogan.nets.precision import without_autocast


class ProjectionHead(nn.Module):
    """Projection discriminator's score: sum over positions h, then w^T h + b + <e(y), h> (Miyato & Koyama 2018, eq. 3).

    Without classes there is no e, and y has no effect.
    x: (B, C, ...) features, y: (B,) integer labels -> (B,) logits, in fp32 also under autocast: a bf16 logit has two
    digits.
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 1)
        self.embedding = nn.Embedding(n_classes, n_features) if n_classes else None

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        with without_autocast(x):
            pooled = x.flatten(2).sum(2, dtype=self.linear.bias.dtype)
            logits: Tensor = self.linear(pooled).squeeze(1)
            return logits if self.embedding is None else logits + (self.embedding(y) * pooled).sum(1)
