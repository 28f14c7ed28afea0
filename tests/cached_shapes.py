"""Moving shapes with their clips in a cache, as a sweep prepares them, without Ray."""

from pathlib import Path

from vgsearch.runtime.feed.inputs import Inputs
from videogan.data.decode import Limits
from videogan.data.shard_decoding import decode_into_cache
from videogan.data.synthetic import make_moving_shapes


def cached_shapes(folder: Path, n_frames: int) -> Inputs:
    """Inputs of 4 classes in 16 groups, scored on select; classifiers will be in `folder`/classifiers."""
    manifest = make_moving_shapes(folder / "shapes", n_clips_each=1, n_groups=16, n_frames=n_frames)
    cache = decode_into_cache(manifest, "plain_32", Limits(), lambda done, total: None)
    n_clips = tuple((split, len(manifest.split(split))) for split in ("train", "select", "test"))
    return Inputs(
        str(manifest.folder), "plain_32", str(cache), classifiers=str(folder / "classifiers"),
        manifest_digest=manifest.digest, n_classes=4, n_clips=n_clips, scored="select",
    )  # fmt: skip
