"""PWC-Net (Sun et al., CVPR 2018, arXiv 1709.02371): optical flow from feature pyramids, warping and cost volumes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad

from videogan.flow.warping import warp
from videogan.nets.precision import without_autocast
from videogan.nets.width import scaled

FEATURES = (16, 32, 64, 96, 128, 196)
"""Channels of levels 1 to 6; level l has 1 / 2^l of the frame's resolution."""
GROWTH = (128, 128, 96, 64, 32)
"""Channels that each convolution of a decoder adds to its input (DenseNet connections)."""
CONTEXT = ((128, 1), (128, 2), (128, 4), (96, 8), (64, 16), (32, 1))
"""Channels and dilations of the context network."""
REACH = 4
"""Largest displacement of a cost volume in each direction, in pixels of its level."""
FLOW_UNIT = 20.0
"""Unit of the network's flow, in pixels of the frame."""
LEVELS = (6, 5, 4, 3, 2)
"""Levels whose flow is estimated; the last is the result."""
MULTIPLE = 64
SLOPE = 0.1
ORDINALS = ("One", "Two", "Thr", "Fou", "Fiv", "Six")
"""Module names of the widely used PyTorch reimplementation (sniklaus/pytorch-pwc), whose weights are public."""


class PWCNet(nn.Module):
    """Flow from a first frame to a second, estimated from level 6 down to level 2 and upsampled from there.

    9,374,274 parameters at width 1: feature extractor 1,665,804, decoders 6,577,204, context network 1,131,266. `width`
    scales all channels but those that the architecture fixes (cost volume, flow). Frames whose sides are not multiples
    of 64 are enlarged to multiples, as in the reimplementation, which also takes colours in the order blue, green, red.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        if not 0 < width <= 4:
            raise ValueError(f"width must be in (0, 4], got {width}; the published network has 1.")
        self.width = width
        features, growth = ([scaled(channels, width) for channels in published] for published in (FEATURES, GROWTH))
        self.netExtractor = Extractor(features)
        decoders: list[Decoder] = []
        for level in LEVELS:
            decoders.append(Decoder(level, features[level - 1], growth, coarser=decoders[-1] if decoders else None))
            self.add_module(_name(level), decoders[-1])
        self.netRefiner = Refiner(decoders[-1].n_out, width)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                # On the meta device torch's normal_ draws nothing, but takes seconds to import torch's compiler.
                if not layer.weight.is_meta:
                    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        # The initial flow is zero: a random one would warp away the matches of the cost volumes.
        for decoder in decoders:
            nn.init.zeros_(decoder.get_parameter("netSix.0.weight"))
        nn.init.zeros_(self.netRefiner.netMain.get_parameter(f"{len(self.netRefiner.netMain) - 1}.weight"))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Flow (B, 2, H, W) in pixels, u right, v down, from frames `first` to `second`, (B, 3, H, W) in [-1, 1]."""
        return self.between(self.features(first), self.features(second))

    def features(self, frames: Tensor) -> list[Tensor]:
        """The frames (N, 3, H, W) and their features of levels 1 to 6, the same for either frame of a pair."""
        height, width = frames.shape[-2:]
        size = tuple(-(-side // MULTIPLE) * MULTIPLE for side in (height, width))
        blue_green_red = (frames.flip(1) + 1) / 2
        if size != (height, width):
            blue_green_red = interpolate(blue_green_red, size, mode="bilinear", align_corners=False)
        return [frames, *self.netExtractor(blue_green_red)]

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Flow (N, 2, H, W) from frames with `features` `first` to those with `second`."""
        height, width = first[0].shape[-2:]
        flow = self.flows(first, second)[-1]
        flow = flow.to(torch.promote_types(flow.dtype, torch.float32))  # bf16 would round 4 px to steps of 1/32
        fine_height, fine_width = (side * 2 ** LEVELS[-1] for side in flow.shape[-2:])
        flow = interpolate(flow, (height, width), mode="bilinear", align_corners=False)
        return flow * (FLOW_UNIT * flow.new_tensor([width / fine_width, height / fine_height])[:, None, None])

    def flows(self, first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        """Flows (N, 2, ., .) at levels 6 to 2, in units of 20 pixels of the resized frame; the last one is refined."""
        flows: list[Tensor] = []
        coarser: tuple[Tensor, Tensor] | None = None
        for level in LEVELS:
            flow, dense = self.get_submodule(_name(level))(first[level], second[level], coarser)
            coarser = flow, dense
            flows.append(flow)
        flows[-1] = flows[-1] + self.netRefiner(dense)
        return flows


class Extractor(nn.Module):
    """Feature pyramid: at each level a convolution of stride 2 and two more."""

    def __init__(self, features: Sequence[int]) -> None:
        super().__init__()
        before = 3
        for level, channels in enumerate(features, start=1):
            layers = [_convolution(before, channels, stride=2)]
            layers += [_convolution(channels, channels) for _ in range(2)]
            # one flat Sequential, whose activations take the odd numbers
            self.add_module(_name(level), nn.Sequential(*(part for layer in layers for part in layer)))
            before = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of levels 1 to 6 of `images` (N, 3, H, W) in [0, 1]."""
        levels: list[Tensor] = []
        for block in self.children():
            levels.append(block(levels[-1] if levels else images))
        return levels


class Decoder(nn.Module):
    """Flow of one level: a cost volume of the warped features, then densely connected convolutions."""

    n_out: int

    def __init__(self, level: int, n_features: int, growth: Sequence[int], coarser: "Decoder | None") -> None:
        """n_features: of this level; coarser: the decoder of the level above, None at the top."""
        super().__init__()
        self.unit = FLOW_UNIT / 2**level
        channels = (2 * REACH + 1) ** 2
        if coarser is not None:
            channels += n_features + 4
            self.netUpflow = nn.ConvTranspose2d(2, 2, kernel_size=4, stride=2, padding=1)
            self.netUpfeat = nn.ConvTranspose2d(coarser.n_out, 2, kernel_size=4, stride=2, padding=1)
        for number, n_more in enumerate(growth, start=1):
            self.add_module(_name(number), _convolution(channels, n_more))
            channels += n_more
        self.n_out = channels
        self.add_module(_name(len(growth) + 1), nn.Sequential(nn.Conv2d(channels, 2, kernel_size=3, padding=1)))

    def forward(self, first: Tensor, second: Tensor, coarser: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """(flow, dense) of this level, (N, 2, h, w) and (N, n_out, h, w); `coarser`: those of the level above."""
        if coarser is None:
            dense = leaky_relu(correlation(first, second), SLOPE)
        else:
            flow, features = self.netUpflow(coarser[0]), self.netUpfeat(coarser[1])
            volume = leaky_relu(correlation(first, warped_features(second, self.unit * flow)), SLOPE)
            dense = torch.cat([volume, first, flow, features], dim=1)
        *convolutions, estimate = (part for name, part in self.named_children() if not name.startswith("netUp"))
        for convolution in convolutions:
            dense = torch.cat([convolution(dense), dense], dim=1)
        return estimate(dense), dense


class Refiner(nn.Module):
    """Context network: an increment of the finest flow by dilated convolutions."""

    def __init__(self, n_in: int, width: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, dilation in CONTEXT:
            layers += _convolution(n_in, scaled(channels, width), dilation=dilation)
            n_in = scaled(channels, width)
        self.netMain = nn.Sequential(*layers, nn.Conv2d(n_in, 2, kernel_size=3, padding=1))

    def forward(self, dense: Tensor) -> Tensor:
        """The increment (N, 2, h, w) of the flow, from the last decoder's `dense`."""
        return self.netMain(dense)


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Cost volume (N, 81, h, w): the channel mean of first(x) second(x + d), d up to 4 pixels each way, 0 outside.

    Displacements are ordered row by row, from (-4, -4) over (-4, -3), u first. Whole rows of `first` are multiplied by
    whole rows of `second` and the bands kept: more arithmetic than shifting 81 times, and 2 to 10 times faster.
    """
    (n_channels, height, width), side = first.shape[1:], 2 * REACH + 1
    second = pad(second, (REACH, REACH, REACH, REACH))
    rows = second.transpose(1, 2).unfold(1, height, 1).permute(0, 1, 4, 2, 3)  # (N, side, h, C, w + 2 reach)
    products = first.permute(0, 2, 3, 1)[:, None] @ rows  # (N, side, h, w, w + 2 reach)
    # Row x of the last two dimensions holds its band from column x on: rows one longer align the bands.
    bands = pad(products.flatten(-2), (0, width)).unflatten(-1, (width, width + side))[..., :side]
    return bands.permute(0, 1, 4, 2, 3).flatten(1, 2) / n_channels


def warped_features(features: Tensor, flow: Tensor) -> Tensor:
    """`features` (N, C, h, w) warped by `flow` (N, 2, h, w), 0 outside; in fp32: bf16 positions are too coarse."""
    with without_autocast(features):
        precise = torch.promote_types(features.dtype, torch.float32)
        warped, inside = warp(features.to(precise), flow.to(precise))
        return (warped * inside).to(features.dtype)


def _name(number: int) -> str:
    return f"net{ORDINALS[number - 1]}"


def _convolution(n_in: int, n_out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(n_in, n_out, kernel_size=3, stride=stride, padding=dilation, dilation=dilation)
    return nn.Sequential(convolution, nn.LeakyReLU(SLOPE))
