"""Video classifiers, which predict classes and give features for the scores, and how to fit them.

Import `CLASSIFIERS`, `contract.VideoClassifier`, `fit` and `weights`. This package imports `videogan.data.clips`,
`nets` and `storage`, no metric and no protocol.
"""

from collections.abc import Callable

from videogan.classifiers.c3d import C3D
from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.eco import ECOLite
from videogan.classifiers.i3d import I3D
from videogan.classifiers.resnet3d import ResNet3D18
from videogan.classifiers.tsn import TSN

CLASSIFIERS: dict[str, Callable[..., VideoClassifier]] = {  # called with (n_classes, width=..., dropout=...)
    "r3d18": ResNet3D18,
    "tsn": TSN,
    "eco_lite": ECOLite,
    "c3d": C3D,
    "i3d": I3D,
}
