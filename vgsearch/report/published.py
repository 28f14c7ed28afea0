"""Every score of both papers' tables, and other published scores on UCF-101, each with the protocol that it names.

The numbers are the papers' own, as they print them. None of ours is here.
"""

from typing import NamedTuple


class Protocol(NamedTuple):
    """How a printed score was measured; None where its source does not say."""

    classifier: str
    initial_weights: str | None = None
    n_samples: int | None = None
    n_repeats: int | None = None
    schedules_on_test: bool = False
    """Whether the classifier's learning rate follows the accuracy on the scored clips."""
    other: str = ""
    """Further settings, in words."""


class PublishedScore(NamedTuple):
    """A row of a printed table: `mean` +- `spread`; for S3 also its accuracies in percent."""

    where: str
    data: str
    model: str
    conditional: bool | None
    size: int | None
    """Side of the generated frames in pixels."""
    metric: str
    mean: float
    spread: float | None
    protocol: Protocol
    ser: float | None = None
    res: float | None = None
    rer: float | None = None
    note: str = ""


UCF101, WEIZMANN, JESTER, MOVING_MNIST = "UCF-101", "Weizmann", "Jester", "moving MNIST"
N_CLASSES = {UCF101: 101, WEIZMANN: 10, JESTER: 27}
"""Moving MNIST has no classes."""

# MVT-GAN, App. B.1: each network gets 16 frames, and its rate drops after 4 epochs without a better test accuracy.
_TSN = Protocol("TSN", "ImageNet", schedules_on_test=True, other="batch 14, rate 0.01")
_ECO = Protocol("ECO", None, schedules_on_test=True, other="batch 14, rate 0.001")
_R3D18 = Protocol("3D ResNet-18", None, schedules_on_test=True, other="batch 32, rate 0.001")
_MVT_2, _MVT_3 = "MVT-GAN Table 2", "MVT-GAN Table 3"
_SIZES = "sizes as the paper's 'respectively' reads: MVT at 96 px, MVT-TSA at 128 px"
_PRINTED_73 = "the printed accuracies give 0.74"


def _s3(
    where: str, data: str, protocol: Protocol, model: str, printed: tuple[float, float, float, float], note: str = ""
) -> PublishedScore:
    """A row of S3, printed as (SeR %, ReS %, ReR %, S3)."""
    ser, res, rer, s3 = printed
    size = 128 if (data, model) == (UCF101, "MVT-TSA") else 96
    conditional = None if model == "MoCoGAN" else True
    note = note or (_SIZES if data == UCF101 else "")
    return PublishedScore(where, data, model, conditional, size, "s3", s3, None, protocol, ser, res, rer, note)


MVT_TABLE_2 = (
    _s3(_MVT_2, WEIZMANN, _TSN, "MoCoGAN", (61.11, 32.83, 95.83, 0.47)),
    _s3(_MVT_2, WEIZMANN, _TSN, "MVT", (80.31, 62.53, 95.83, 0.73), _PRINTED_73),
    _s3(_MVT_2, WEIZMANN, _TSN, "MVT-MC", (86.11, 63.84, 95.83, 0.77)),
    _s3(_MVT_2, WEIZMANN, _TSN, "MVT-VAR", (88.30, 64.29, 95.83, 0.79)),
    _s3(_MVT_2, WEIZMANN, _TSN, "MVT-TSA", (88.10, 71.43, 95.83, 0.83)),
    _s3(_MVT_2, UCF101, _TSN, "MVT", (45.5, 46.8, 85.9, 0.54)),
    _s3(_MVT_2, UCF101, _TSN, "MVT-TSA", (48.55, 54.91, 85.9, 0.60)),
    _s3(_MVT_2, JESTER, _ECO, "MVT-TSA", (15.85, 13.86, 91.4, 0.16)),
)
"""S3 of MVT-GAN (Munoz et al., arXiv 2004.01823 v1)."""
MVT_TABLE_3 = (
    _s3(_MVT_3, UCF101, _TSN, "MVT", (45.5, 46.8, 85.9, 0.54)),
    _s3(_MVT_3, UCF101, _TSN, "MVT-TSA", (48.55, 54.91, 85.9, 0.60)),
    _s3(_MVT_3, UCF101, _R3D18, "MVT", (36.63, 28.83, 76.82, 0.42)),
    _s3(_MVT_3, UCF101, _R3D18, "MVT-TSA", (44.36, 29.61, 76.82, 0.47)),
)
"""S3 of two classifiers (App. B.1); the rows of TSN are those of Table 2."""

_C3D = "Sports-1M, then UCF-101"
_C3D_MVT = Protocol("C3D", _C3D, 10_000, 10, other="frames of 128 x 128 into the code of TGAN")
_TSN_JESTER = Protocol("TSN", "ImageNet, then Jester", 10_000, 10)
_C3D_TGAN = Protocol("C3D", _C3D, 10_000, 4, other="its code: 9,984 samples, frames to 128 x 128, then crop 112")
_QUOTED_DVD = Protocol("C3D", _C3D, other="quoted from DVD-GAN's paper; each work has its own protocol")
_QUOTED_TGAN = _C3D_TGAN._replace(other="quoted from the TGAN paper")
_QUOTED_MDP = Protocol("C3D", _C3D, other="quoted from MDP's paper; TGAN's code")
_TSN_MVT = Protocol(
    "TSN", "ImageNet, then the data set", 4_000, 5, schedules_on_test=True, other="penultimate features"
)
_MVT_1, _MVT_4, _TGAN_3, _TGAN_4 = "MVT-GAN Table 1", "MVT-GAN Table 4", "TGAN Table 3", "TGAN Table 4"
_PRINTED_05 = "the TGAN paper's Table 4 prints 8.18 +- .05; .09 is its row with SVC"

MVT_TABLE_1 = (
    PublishedScore(_MVT_1, UCF101, "VGAN", False, 64, "is", 8.18, 0.09, _QUOTED_DVD, note=_PRINTED_05),
    PublishedScore(_MVT_1, UCF101, "TGAN", False, 64, "is", 11.85, 0.07, _QUOTED_TGAN),
    PublishedScore(_MVT_1, UCF101, "MDP", False, 64, "is", 11.86, 0.11, _QUOTED_MDP),
    PublishedScore(_MVT_1, UCF101, "MoCoGAN", False, 64, "is", 12.42, 0.03, _QUOTED_DVD),
    PublishedScore(_MVT_1, UCF101, "Progressive VGAN", False, 128, "is", 14.56, 0.05, _QUOTED_DVD),
    PublishedScore(_MVT_1, UCF101, "TGANv2", False, 192, "is", 24.34, 0.35, _QUOTED_DVD),
    PublishedScore(_MVT_1, UCF101, "DVD-GAN", False, 128, "is", 27.38, 0.53, _QUOTED_DVD),
    PublishedScore(_MVT_1, UCF101, "TGAN", True, 64, "is", 15.83, 0.18, _QUOTED_TGAN),
    PublishedScore(_MVT_1, UCF101, "DVD-GAN", True, 128, "is", 32.97, 1.7, _QUOTED_DVD),
    PublishedScore(_MVT_1, UCF101, "MVT", True, 96, "is", 31.91, 0.14, _C3D_MVT, note=_SIZES),
    PublishedScore(
        _MVT_1, UCF101, "MVT-TSA", True, 128, "is", 42.79, 0.63, _C3D_MVT,
        note=f"above the 34.49 of real clips in the TGAN paper; {_SIZES}",
    ),
    PublishedScore(_MVT_1, JESTER, "MVT-TSA", True, 96, "is", 11.90, 0.12, _TSN_JESTER),
)  # fmt: skip
"""Inception scores; MVT-GAN quotes all rows but its own."""
_NO_TARGET = "of features that are not normalised; no target"
_UNLIKELY = "not plausible as a sampling spread: features unnormalised or nearly constant; no target"
MVT_TABLE_4 = (
    PublishedScore(_MVT_4, UCF101, "MVT", True, 96, "fid", 3108.77, 0.04, _TSN_MVT, note=_UNLIKELY),
    PublishedScore(_MVT_4, UCF101, "MVT-TSA", True, 128, "fid", 3110.29, 0.10, _TSN_MVT, note=_UNLIKELY),
    PublishedScore(_MVT_4, JESTER, "MVT-TSA", True, 96, "fid", 841.08, 0.005, _TSN_MVT, note=_UNLIKELY),
)
"""FID (App. B.2)."""

_GAM = Protocol("each model's discriminator", None, other="a threshold parts fakes from real clips; no counts printed")
TGAN_TABLE_3 = (
    PublishedScore(_TGAN_3, MOVING_MNIST, "TGAN against 3D model (GAN)", False, 64, "gam", 1.70, None, _GAM),
    PublishedScore(_TGAN_3, MOVING_MNIST, "TGAN against 3D model (SVC)", False, 64, "gam", 1.27, None, _GAM),
    PublishedScore(_TGAN_3, MOVING_MNIST, "TGAN against TGAN (G1 of z1 only)", False, 64, "gam", 1.03, None, _GAM),
)
"""Generative adversarial metric of TGAN (Saito et al., ICCV 2017); above 1 the first model wins."""
TGAN_TABLE_4 = (
    PublishedScore(_TGAN_4, UCF101, "3D model, weight clipping", False, 64, "is", 4.32, 0.01, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "3D model, SVC", False, 64, "is", 4.78, 0.02, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "Video GAN, normal GAN", False, 64, "is", 8.18, 0.05, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "Video GAN, SVC", False, 64, "is", 8.31, 0.09, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "TGAN, normal GAN", False, 64, "is", 9.18, 0.11, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "TGAN, weight clipping", False, 64, "is", 11.77, 0.11, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "TGAN, SVC", False, 64, "is", 11.85, 0.07, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "Conditional TGAN, SVC", True, 64, "is", 15.83, 0.18, _C3D_TGAN),
    PublishedScore(_TGAN_4, UCF101, "real clips", None, None, "is", 34.49, 0.03, _C3D_TGAN),
)
"""Inception scores of TGAN."""

_PVGAN = Protocol("C3D", _C3D, other="TGAN's code, as far as known")
_MDP = Protocol("C3D", _C3D, other="TGAN's code")
_V2 = Protocol("C3D", _C3D, 2_048, 10, other="one split; frames straight to 112 x 112, mean volume cropped")
_V2_FC7 = _V2._replace(other="fc7 features, real statistics of 95,370 clips")
_DVD = Protocol("C3D", _C3D, other="all 13,320 clips in training; numbers as MVT-GAN's table has them")
_PVGAN_PAPER, _MDP_PAPER = "Progressive VGAN (arXiv 1810.02419)", "MDP (arXiv 1909.12400)"
_V2_PAPER, _DVD_PAPER = "TGANv2 (arXiv 1811.09245)", "DVD-GAN (arXiv 1907.06571)"
OTHERS = (
    PublishedScore(_PVGAN_PAPER, UCF101, "Progressive VGAN", False, 128, "is", 14.56, 0.05, _PVGAN, note="abstract: 14.57"),
    PublishedScore(_MDP_PAPER, UCF101, "MDP", False, 64, "is", 11.86, 0.11, _MDP),
    PublishedScore(_V2_PAPER, UCF101, "TGANv2, first version", False, 192, "is", 24.34, 0.35, _V2),
    PublishedScore(_V2_PAPER, UCF101, "TGANv2, README of its code", False, 192, "is", 25.07, 0.47, _V2),
    PublishedScore(
        _V2_PAPER, UCF101, "TGANv2, final", False, 192, "is", 28.87, 0.67, _V2, note="the spread is from VideoGPT's table"
    ),
    PublishedScore(_V2_PAPER, UCF101, "TGANv2, one GPU", False, 192, "is", 21.45, None, _V2),
    PublishedScore(_V2_PAPER, UCF101, "TGANv2", False, 192, "fid", 3457.42, 26.81, _V2_FC7, note=_NO_TARGET),
    PublishedScore(
        _V2_PAPER, UCF101, "TGANv2", False, 192, "fvd", 1210.0, None, Protocol("I3D", other="not known"),
        note="about; quoted by a site that collects scores",
    ),
    PublishedScore(_DVD_PAPER, UCF101, "DVD-GAN", False, 128, "is", 27.38, 0.53, _DVD),
    PublishedScore(_DVD_PAPER, UCF101, "DVD-GAN", True, 128, "is", 32.97, 1.7, _DVD, note="memorises in part"),
)  # fmt: skip
"""Other works, each with its own protocol. Scores from different resize paths do not compare."""

PUBLISHED = (*MVT_TABLE_1, *MVT_TABLE_2, *MVT_TABLE_3, *MVT_TABLE_4, *TGAN_TABLE_3, *TGAN_TABLE_4, *OTHERS)


def data_set_of(folder: str, n_classes: int) -> str | None:
    """The papers' data set that a folder holds, by its name and number of classes; None if it is another.

    A part of a data set, such as 4 of Weizmann's 10 actions, is another data set.
    """
    words = "".join(letter for letter in folder.lower() if letter.isalnum())
    names = {UCF101: "ucf101", WEIZMANN: "weizmann", JESTER: "jester"}
    return next((data for data, name in names.items() if name in words and N_CLASSES[data] == n_classes), None)


def published_scores(metric: str, data: str | None) -> tuple[PublishedScore, ...]:
    """The rows of one metric on one data set, each once although Table 3 repeats rows of Table 2."""
    rows = [row for row in PUBLISHED if row.metric == metric and row.data == data]
    first = {row._replace(where=""): row for row in reversed(rows)}
    return tuple(row for row in rows if first[row._replace(where="")] is row)
