"""A single frame of moving shapes does not reveal the class."""

import numpy as np
import torch
from torch import nn

from videogan.data.decode import decode
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes


def test_a_single_frame_classifier_stays_within_two_standard_errors_of_chance(tmp_path):
    manifest, plain = make_moving_shapes(tmp_path / "shapes", seed=0, n_clips_each=2), preprocessing_named("plain_32")
    rng = np.random.default_rng(0)
    sets = {}
    for part, splits in {"train": ["train"], "held back": ["select", "test"]}.items():
        rows = [row for split in splits for row in manifest.split(split).to_pylist()]
        files = [decode(manifest.location(row["path"]), plain) for row in rows]
        labels = torch.tensor([manifest.classes.index(row["label"]) for row in rows])
        sets[part] = torch.from_numpy(np.stack(files)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1, labels
    (videos, labels), (test_videos, test_labels) = sets["train"], sets["held back"]

    torch.manual_seed(0)
    classifier = nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 5, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 64, 4)
    )
    optimiser = torch.optim.Adam(classifier.parameters(), 2e-3)
    for _ in range(200):
        chosen = torch.from_numpy(rng.integers(len(videos), size=64))
        frames = videos[chosen, torch.from_numpy(rng.integers(videos.shape[1], size=64))]
        optimiser.zero_grad()
        nn.functional.cross_entropy(classifier(frames), labels[chosen]).backward()
        optimiser.step()
    with torch.no_grad():
        one_frame = test_videos[
            torch.arange(len(test_videos)), rng.integers(test_videos.shape[1], size=len(test_videos))
        ]
        accuracy = (classifier(one_frame).argmax(1) == test_labels).float().mean().item()
    chance = 1 / len(manifest.classes)
    standard_error = (chance * (1 - chance) / len(test_labels)) ** 0.5
    assert abs(accuracy - chance) <= 2 * standard_error, f"{accuracy:.3f} on {len(test_labels)} held-out clips"
