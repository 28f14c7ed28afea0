"""Named protocols of scores: `<metric>_<classifier>_v2` at the papers' size, `_laptop_v2` and `_smoke_v2` scaled.

Import `PROTOCOLS` and any module here; they import classifiers, metrics, data and flow, never training or families.
"""

from videogan.classifiers.fit import Recipe
from videogan.metrics import VERSION
from videogan.protocols.classifier import ClassifierProtocol
from videogan.protocols.features import FeatureProtocol
from videogan.protocols.s3 import S3Protocol

SCALES = ("", "laptop_", "smoke_")

# App. B.1 for the 3-D ResNet-18, TSN and ECO. C3D and I3D have no published recipe and use the ResNet's, with a batch
# that fits them. Frames have the size that each network was designed for. C3D sees frames as TGAN's inception score
# does (its code, which MVT-GAN uses too): 128 px, then the centre 112. Its cubic resize and mean volume are not here:
# they belong to the Sports-1M weights.
_PAPER = {
    "r3d18": {"dropout": 0.6, "size": 112, "recipe": Recipe(lr=0.001, batch_size=32), "shortcut": "B"},
    "tsn": {"dropout": 0.8, "size": 224, "recipe": Recipe(lr=0.01, batch_size=14)},
    "eco_lite": {"dropout": 0.6, "size": 224, "recipe": Recipe(lr=0.001, batch_size=14)},
    "c3d": {"dropout": 0.5, "size": 128, "crop": 112, "recipe": Recipe(lr=0.001, batch_size=32)},
    "i3d": {"dropout": 0.5, "size": 224, "recipe": Recipe(lr=0.001, batch_size=14)},
}


def _scaled_recipe(max_epochs: int, patience: int, n_windows: int) -> Recipe:
    """The recipe of the scaled protocols (narrow networks, frames not resized), tuned on moving shapes at 32 px.

    The first gradients have norms near 70, and clipping at 5 instead of 50 makes the network learn motion much earlier;
    shifted crops make it generalise to new groups; without a minimum number of updates, 40 clips train nothing.
    """
    return Recipe(
        lr=0.01,
        batch_size=16,
        max_epochs=max_epochs,
        min_updates_per_epoch=20,
        patience=patience,
        clip_norm=5,
        crop_padding=4,
        n_windows=n_windows,
    )


# The smoke recipe is too short for a drop: its learning rate is constant.
_SCALED = {
    "laptop_": {"width": 16, "recipe": _scaled_recipe(max_epochs=20, patience=10, n_windows=8)},
    "smoke_": {"width": 8, "recipe": _scaled_recipe(max_epochs=8, patience=8, n_windows=4)},
}
# The classifiers of S3 at the laptop scale, by the ladders in reports/score-2026-11-29. Adam on a cosine recognises far
# more real clips of small data sets, and shifted crops hide the small motions of drawn figures. At 0.0004 every seed
# learns; at 0.002, or at 0.001 in batches of 8, some stay at chance. Distances keep the recipe above: features that fit
# the training clips perfectly put other real clips as far away as noise.
_LAPTOP_S3 = Recipe(
    optimiser="adam",
    schedule="cosine",
    lr=0.0004,
    weight_decay=0.01,
    batch_size=16,
    max_epochs=20,
    min_updates_per_epoch=20,
    clip_norm=5,
    n_windows=8,
)

# (samples, repeats). MVT-GAN: IS of 10,000 samples 10 times, FID of 4,000 samples 5 times. FVD and the kernel distance
# as in StyleGAN-V: 2,048 samples, once; the kernel distance 4 times, to measure its spread.
_COUNTS = {
    "": {"is": (10_000, 10), "fid": (4_000, 5), "fvd": (2_048, 1), "kvd": (2_048, 4)},
    "laptop_": {"is": (512, 3), "fid": (512, 3), "fvd": (512, 3), "kvd": (512, 3)},
    "smoke_": {"is": (128, 2), "fid": (128, 2), "fvd": (128, 2), "kvd": (128, 2)},
}


# Of each S3, over its three seeds.
_SAMPLES_OF_S3 = {"": 1000, "laptop_": 1000, "smoke_": 500}


def _classifier(name: str, scale: str) -> ClassifierProtocol:
    settings = {"classifier": name, **_PAPER[name]}
    if scale:
        # C3D's fully connected layers fit only one size.
        settings |= {"dropout": 0.0, "size": settings["size"] if name == "c3d" else None, **_SCALED[scale]}
    return ClassifierProtocol(**settings)


def _named() -> list[S3Protocol | FeatureProtocol]:
    protocols: list[S3Protocol | FeatureProtocol] = []
    for name in _PAPER:
        for scale in SCALES:
            classifier = _classifier(name, scale)
            n_samples = _SAMPLES_OF_S3[scale]
            recognising = classifier.model_copy(update={"recipe": _LAPTOP_S3}) if scale == "laptop_" else classifier
            s3 = S3Protocol(name=f"s3_{name}_{scale}{VERSION}", classifier=recognising, n_samples=n_samples)
            protocols.append(s3)
            for metric, (n_samples, n_repeats) in _COUNTS[scale].items():
                protocols.append(
                    FeatureProtocol(
                        name=f"{metric}_{name}_{scale}{VERSION}",
                        metric=metric,
                        classifier=classifier,
                        n_samples=n_samples,
                        n_repeats=n_repeats,
                        seeds=(0,) if metric == "is" else (0, 1, 2),
                    )
                )
    # The TGAN paper's official script: floor(10000 / 48) batches of 48, 4 times.
    c3d = _classifier("c3d", "")
    # TGANv2's own script: frames straight to 112 px, one split.
    straight = c3d.model_copy(update={"size": 112, "crop": None})
    return [
        *protocols,
        *_scheduled_as_the_paper(),
        FeatureProtocol(
            name=f"is_c3d_tgan_{VERSION}", metric="is", classifier=c3d, n_samples=9_984, n_repeats=4, seeds=(0,)
        ),
        FeatureProtocol(
            name=f"is_c3d_tganv2_{VERSION}", metric="is", classifier=straight, n_samples=2_048, n_repeats=10, seeds=(0,)
        ),
    ]


def _scheduled_as_the_paper() -> list[S3Protocol]:
    """S3 with the schedule of App. B.1, for the classifiers that it names; `S3Protocol.leak` says what is wrong."""
    protocols = []
    for name in ("r3d18", "tsn", "eco_lite"):
        classifier = _classifier(name, "")
        recipe = classifier.recipe.model_copy(update={"paper_protocol": True})
        classifier = classifier.model_copy(update={"recipe": recipe})
        named = f"s3_{name}_paper_{VERSION}"
        protocols.append(S3Protocol(name=named, classifier=classifier, n_samples=_SAMPLES_OF_S3[""]))
    return protocols


PROTOCOLS = {protocol.name: protocol for protocol in _named()}
# The classifier of a metric named without one: the papers' own, and I3D for the FVD-style distance.
USUAL_CLASSIFIER = {"s3": "r3d18", "is": "c3d", "fid": "tsn", "fvd": "i3d", "kvd": "r3d18"}


def protocol_named(name: str, s3: str) -> S3Protocol | FeatureProtocol | None:
    """The protocol of a metric's name, such as fid, fid_tsn or s3_tsn_laptop_v2; None if there is none.

    s3: the name of the protocol that "s3" means; names without a scale have its scale.
    """
    if name == "s3":
        return PROTOCOLS[s3]
    scale = next(scale for scale in reversed(SCALES) if f"_{scale}{VERSION}" in s3)
    written = (name, f"{name}_{scale}{VERSION}", f"{name}_{USUAL_CLASSIFIER.get(name)}_{scale}{VERSION}")
    return next((PROTOCOLS[each] for each in written if each in PROTOCOLS), None)
