"""Video classifiers: what tells classes and gives features for S3 and for scores of distributions; how they are fitted.

Each is built as C(n_classes, width=64, dropout=its paper's) and takes video (B, T, 3, H, W) in [-1, 1]; `features`
gives (B, n_features), and `classify`, its last linear layer, turns these into the logits (B, K) of `forward`.
"""

from torch import nn

from videogan.classifiers.c3d import C3D
from videogan.classifiers.eco import ECOLite
from videogan.classifiers.i3d import I3D
from videogan.classifiers.resnet3d import ResNet3D18
from videogan.classifiers.tsn import TSN

CLASSIFIERS: dict[str, type[nn.Module]] = {
    "r3d18": ResNet3D18,
    "tsn": TSN,
    "eco_lite": ECOLite,
    "c3d": C3D,
    "i3d": I3D,
}
