"""TGAN (arXiv 1611.06624): a temporal generator makes a trajectory of codes, an image generator a frame from each."""

from itertools import pairwise
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import relu

from videogan.draws import draw_labels
from videogan.families.contract import Facts
from videogan.families.tgan.game import (
    OTHER_VALUES,
    PUBLISHED_RUN,
    VolumeGAN,
    VolumeGANConfig,
    VolumeGenerator,
    build_discriminator,
    label_vectors,
    refuse_other_lengths,
)
from videogan.nets.beta import without_beta_
from videogan.nets.chainer_initialisation import he_normal_, uniform_
from videogan.nets.width import scaled

_WIDTHS_G0 = (512, 256, 128, 128)
_WIDTHS_G1 = (256, 128, 64, 32)
_FIRST_SIDE = 4


class TGANConfig(VolumeGANConfig):
    """The settings of one TGAN.

    At 32 px the image generator has one doubling less (256, 128, 64 channels, then the frame), and the discriminator's
    four layers leave 2 x 2 positions.
    """

    family: Literal["tgan"] = "tgan"
    image_codes: Literal["z0_z1", "z1"] = Field("z0_z1", description="What G1 sees: z1 alone is Table 3's G1(z1)")
    conditional: bool = Field(False, description="Conditional TGAN: labels for all three networks (sec. 5.2)")
    label_route: Literal["branch", "concat"] = Field(
        "branch", description="Label into G1: by its own linear map (sec. 5.2), or concatenated with z0"
    )
    label_sampling: Literal["empirical", "uniform"] = Field(
        "empirical", description="Labels of fakes if conditional (sec. 6.5: the data's prior)"
    )

    @model_validator(mode="after")
    def _refuse_labels_without_effect(self) -> Self:
        problems = [
            f"{name} = {getattr(self, name)} has no effect without labels. Remove it or set model.conditional=true."
            for name in ("label_route", "label_sampling")
            if not self.conditional and getattr(self, name) != type(self).model_fields[name].default
        ]
        if self.label_route == "concat" and self.image_codes == "z1":
            problems.append(
                "label_route = concat needs z0 in the image generator, got image_codes = z1. "
                "Set model.label_route=branch."
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def is_conditional(self) -> bool:
        return self.conditional


class TemporalGenerator(nn.Module):
    """G0: deconvolutions in time, kernel, stride, padding (1, 1, 0) and four of (4, 2, 1); BN and ReLU, at last tanh.

    (K_in, 1) -> (512, 1) -> (256, 2) -> (128, 4) -> (128, 8) -> (K_1, 16) (Table 1; the text's padding 2 would give
    other sizes). forward: codes (B, K_in) -> z_1 (B, 16, K_1) in [-1, 1].
    """

    def __init__(self, dim_in: int, widths: tuple[int, ...], dim_out: int, beta: bool = False) -> None:
        super().__init__()
        shapes = [(1, 1, 0)] + [(4, 2, 1)] * len(widths)
        channels = pairwise((dim_in, *widths, dim_out))
        self.deconvolutions = nn.ModuleList(
            nn.ConvTranspose1d(i, o, *shape) for (i, o), shape in zip(channels, shapes, strict=True)
        )
        norms = (nn.BatchNorm1d(n) for n in widths)
        self.norms = nn.ModuleList(norm if beta else without_beta_(norm) for norm in norms)

    def forward(self, z0: Tensor) -> Tensor:
        x = z0.unsqueeze(2)
        for deconvolve, norm in zip(self.deconvolutions, self.norms, strict=False):
            x = relu(norm(deconvolve(x)))
        return self.deconvolutions[-1](x).tanh().transpose(1, 2)


class ImageGenerator(nn.Module):
    """G1: a linear map, BN and ReLU of each code to (256, 4, 4), concatenated, then doublings and a last convolution.

    Deconvolutions 256, 128, 64, 32, kernel 4, stride 2, padding 1, with BN and ReLU, then (3, 1, 1) and tanh (Table 1).
    As in the released code, the linear maps have BN and ReLU too, and only the last layer has a bias.
    forward: a code for each of `dims`, (B, dim) per video or (B, T, dim) per frame -> (B, T, n_colours, R, R) in
    [-1, 1].
    """

    def __init__(self, dims: tuple[int, ...], widths: tuple[int, ...], n_colours: int = 3) -> None:
        super().__init__()
        n_first = widths[0] * _FIRST_SIDE**2
        self.linears = nn.ModuleList(nn.Linear(dim, n_first, bias=False) for dim in dims)
        self.linear_norms = nn.ModuleList(nn.BatchNorm1d(n_first) for _ in dims)
        channels = list(pairwise((widths[0] * len(dims), *widths)))
        self.deconvolutions = nn.ModuleList(nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False) for i, o in channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o in channels)
        self.output = nn.ConvTranspose2d(widths[-1], n_colours, 3, 1, 1)

    def forward(self, codes: list[Tensor]) -> Tensor:
        n_frames = max(code.shape[1] for code in codes if code.ndim == 3)
        maps = [self._first_map(i, code, n_frames) for i, code in enumerate(codes)]
        x = torch.cat(maps, dim=1)
        for deconvolve, norm in zip(self.deconvolutions, self.norms, strict=True):
            x = relu(norm(deconvolve(x)))
        return self.output(x).tanh().unflatten(0, (-1, n_frames))

    def _first_map(self, i: int, code: Tensor, n_frames: int) -> Tensor:
        """(B T, 256, 4, 4); a code of a whole video is mapped once, which gives the same batch statistics."""
        x = relu(self.linear_norms[i](self.linears[i](code.flatten(0, -2))))
        x = x.unflatten(1, (-1, _FIRST_SIDE, _FIRST_SIDE))
        return x if code.ndim == 3 else x.repeat_interleave(n_frames, dim=0)


class TGANGenerator(VolumeGenerator):
    """G: the temporal generator's trajectory z_1^1 .. z_1^T; the image generator makes each a frame (sec. 3.3)."""

    other_lengths = "with_frames_between makes frames between them"

    config: TGANConfig

    def __init__(self, config: TGANConfig) -> None:
        super().__init__()
        self.config = config
        n_labels = config.n_classes if config.conditional else 0
        widths_g0 = tuple(scaled(channels, config.width) for channels in _WIDTHS_G0)
        self.temporal = TemporalGenerator(config.dim_z + n_labels, widths_g0, config.dim_z, config.bn_beta)
        n_doublings = (config.resolution // _FIRST_SIDE).bit_length() - 1
        dims = [config.dim_z]
        if config.image_codes == "z0_z1":
            dims.insert(0, config.dim_z + (n_labels if config.label_route == "concat" else 0))
        if n_labels and config.label_route == "branch":
            dims.append(n_labels)
        widths_g1 = tuple(scaled(channels, config.width) for channels in _WIDTHS_G1[:n_doublings])
        self.image = ImageGenerator(tuple(dims), widths_g1, config.n_colours)

    makes_frames_between = True

    def forward(self, z: Tensor, y: Tensor | None = None, n_frames: int | None = None) -> Tensor:
        """Videos (B, 16, 3, R, R) in [-1, 1].

        z: (B, K_0) codes z_0; y: (B,) labels, or (B, V) mixtures of classes, which only a conditional TGAN reads.
        """
        refuse_other_lengths(n_frames, self.other_lengths)
        return self._drawn(z, self._trajectory(z, y), y)

    def with_frames_between(self, z: Tensor, y: Tensor | None, n_between: int) -> Tensor:
        """Videos (B, 15 (k + 1) + 1, 3, R, R) with k = `n_between` frames between any two (sec. 5.1).

        Neighbours of the trajectory z_1 are interpolated linearly; every (k + 1)-th frame equals one of forward's bit
        for bit. Raises ValueError in train mode, where frames depend on their batch, and for n_between < 1.
        """
        if self.training:
            raise ValueError("frames between need a generator in eval mode, got train mode; call eval() first.")
        if n_between < 1:
            raise ValueError(f"n_between must be at least 1, got {n_between}.")
        z1 = self._trajectory(z, y)
        s = torch.arange(1, n_between + 1, device=z.device)[:, None] / (n_between + 1)
        between = torch.lerp(z1[:, :-1, None], z1[:, 1:, None], s.to(z1.dtype))
        drawn = self._drawn(z, between.flatten(1, 2), y).unflatten(1, (-1, n_between))
        frames = self._drawn(z, z1, y)
        return torch.cat([torch.cat([frames[:, :-1, None], drawn], dim=2).flatten(1, 2), frames[:, -1:]], dim=1)

    def _trajectory(self, z: Tensor, y: Tensor | None) -> Tensor:
        """z_1 = G0(z_0, v), (B, 16, K_1)."""
        if not self.config.conditional:
            return self.temporal(z)
        return self.temporal(torch.cat([z, label_vectors(y, self.config.n_classes)], dim=1))

    def _drawn(self, z: Tensor, z1: Tensor, y: Tensor | None) -> Tensor:
        """The frames G1(z_0, z_1^t, v) of a trajectory z_1 (B, T, K_1)."""
        config = self.config
        labels = [label_vectors(y, config.n_classes)] if config.conditional else []
        branch = labels if config.label_route == "branch" else []
        if config.image_codes == "z1":
            return self.image([z1, *branch])
        z0 = torch.cat([z, *labels], dim=1) if labels and not branch else z
        return self.image([z0, z1, *branch])


_LABELS = {"conditional": True}


class TGAN(VolumeGAN[TGANConfig]):
    """The networks of one TGAN and its step."""

    generator: TGANGenerator

    config_type = TGANConfig
    generator_type = TGANGenerator
    facts = Facts(
        tiny={"resolution": 32, "width": 1 / 32, "dim_z": 6},
        n_parameters={"generator": 825_444 + 3_622_691, "video": 11_032_385},
        published_run=PUBLISHED_RUN,
        variants=({"conditional": True}, {"regulariser": "none"}, {"regulariser": "weight_clip"}),
        other_values={
            **OTHER_VALUES,
            "n_classes": (4, _LABELS),
            "label_route": ("concat", _LABELS),
            "label_sampling": ("uniform", _LABELS),
        },
    )

    @classmethod
    def build(cls, config: TGANConfig) -> Self:
        generator = TGANGenerator(config)
        he_normal_(generator.temporal) if config.init == "paper" else uniform_(generator.temporal)
        uniform_(generator.image)
        return cls(config, generator, {"video": build_discriminator(config)})

    def _draw_labels(
        self, n: int, rng: torch.Generator, label_counts: Tensor, real_labels: Tensor
    ) -> dict[str, Tensor]:
        config = self.config
        if not config.conditional:
            return {}
        return {"y": draw_labels(config.label_sampling, n, config.n_classes, rng, label_counts, real_labels)}
