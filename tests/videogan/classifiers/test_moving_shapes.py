"""The embedded data's classes are defined by motion: sixteen frames suffice to classify unseen groups."""

import pytest
import torch

from videogan.data.clip_set import LabelledClips
from videogan.data.decode import decode
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols import PROTOCOLS
from videogan.protocols.classifier import fit_on_real


@pytest.mark.slow
def test_a_3d_resnet18_reaches_90_percent_on_held_out_groups(tmp_path):
    manifest, plain = (
        make_moving_shapes(tmp_path / "shapes", n_clips_each=8, n_groups=16),
        preprocessing_named("plain_32"),
    )

    def clips(*splits: str) -> LabelledClips:
        rows = [row for row in manifest.usable.to_pylist() if row["split"] in splits]
        frames = [torch.from_numpy(decode(manifest.location(row["path"]), plain)[8:24]) for row in rows]
        labels = torch.tensor([manifest.classes.index(row["label"]) for row in rows])
        return LabelledClips(torch.stack(frames), labels, len(manifest.classes), tuple(row["group"] for row in rows))

    train, test = clips("train", "select"), clips("test")  # nothing is chosen here that select would judge
    assert not set(train.groups) & set(test.groups)
    protocol = PROTOCOLS["s3_r3d18_smoke_v2"].classifier
    recipe = protocol.recipe.model_copy(update={"precision": "fp32", "max_epochs": 14})
    protocol = protocol.model_copy(update={"recipe": recipe})
    assert fit_on_real(protocol, train, {"test": test}, seed=0).rer["test"] >= 0.9
