"""D_Image: BigGAN's residual discriminator, on single frames."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from videogan.nets.projection_head import ProjectionHead
from videogan.nets.recomputation import Recomputing
from videogan.nets.resblocks import DownBlock
from videogan.nets.self_attention import SelfAttention


class ImageDiscriminator(Recomputing):
    """D_Image: six residual blocks of a, 2a, 4a, 8a, 16a, 16a channels, five halving the side (MVT-GAN sec. 4.2).

    forward: frames (B, N, n_colours, H, W) in [-1, 1], H and W multiples of 32, y (B,) integer labels -> (B * N,)
    logits, one per frame.
    """

    def __init__(self, channels: int, n_classes: int, attention_after: int, n_colours: int = 3) -> None:
        super().__init__()
        widths = [n_colours] + [channels * multiple for multiple in (1, 2, 4, 8, 16, 16)]
        blocks: list[nn.Module] = [
            DownBlock(n_in, n_out, preactivation=i > 0, down=i < 5) for i, (n_in, n_out) in enumerate(pairwise(widths))
        ]
        blocks.insert(attention_after, SelfAttention(widths[attention_after]))
        self.blocks = nn.Sequential(*blocks)
        self.head = ProjectionHead(widths[-1], n_classes)

    def forward(self, frames: Tensor, y: Tensor) -> Tensor:
        x = frames.flatten(0, 1)
        for block in self.blocks:
            x = self.run(block, x)
        return self.head(relu(x), y.repeat_interleave(frames.shape[1]))
