"""The papers' scores, shown beside ours for orientation, in separate tables."""

from typing import NamedTuple


class PublishedS3(NamedTuple):
    """A row of MVT-GAN (arXiv 2004.01823 v1), accuracies in percent; S3 as it is printed there."""

    data: str
    classifier: str
    model: str
    ser: float
    res: float
    rer: float
    s3: float
    where: str


_TABLE_2, _APPENDIX = "Table 2", "appendix"
PUBLISHED_S3 = (
    PublishedS3("Weizmann", "TSN", "MoCoGAN", 61.11, 32.83, 95.83, 0.47, _TABLE_2),
    PublishedS3("Weizmann", "TSN", "MVT", 80.31, 62.53, 95.83, 0.73, _TABLE_2),
    PublishedS3("Weizmann", "TSN", "MVT-MC", 86.11, 63.84, 95.83, 0.77, _TABLE_2),
    PublishedS3("Weizmann", "TSN", "MVT-VAR", 88.30, 64.29, 95.83, 0.79, _TABLE_2),
    PublishedS3("Weizmann", "TSN", "MVT-TSA", 88.10, 71.43, 95.83, 0.83, _TABLE_2),
    PublishedS3("UCF-101", "TSN", "MVT", 45.5, 46.8, 85.9, 0.54, _TABLE_2),
    PublishedS3("UCF-101", "TSN", "MVT-TSA", 48.55, 54.91, 85.9, 0.60, _TABLE_2),
    PublishedS3("Jester", "ECO", "MVT-TSA", 15.85, 13.86, 91.4, 0.16, _TABLE_2),
    PublishedS3("UCF-101", "3D ResNet-18", "MVT", 36.63, 28.83, 76.82, 0.42, _APPENDIX),
    PublishedS3("UCF-101", "3D ResNet-18", "MVT-TSA", 44.36, 29.61, 76.82, 0.47, _APPENDIX),
)
"""The paper prints 0.73 for MVT on Weizmann, although its accuracies give 0.74."""

PUBLISHED_IS = (
    ("3D model, weight clipping", "4.32 +- 0.01"),
    ("3D model, SVC", "4.78 +- 0.02"),
    ("Video GAN, normal GAN", "8.18 +- 0.05"),
    ("Video GAN, SVC", "8.31 +- 0.09"),
    ("TGAN, normal GAN", "9.18 +- 0.11"),
    ("TGAN, weight clipping", "11.77 +- 0.11"),
    ("TGAN, SVC", "11.85 +- 0.07"),
    ("Conditional TGAN, SVC", "15.83 +- 0.18"),
    ("real UCF-101", "34.49 +- 0.03"),
)
"""Inception scores on UCF-101 by C3D: TGAN (Saito et al., ICCV 2017) Table 4; `is` uses another classifier."""
