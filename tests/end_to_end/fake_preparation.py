"""What a sweep prepares, by the real tasks on tiny data, again and again.

python -m tests.end_to_end.fake_preparation FOLDER

Each round decodes clips, fits a classifier for one epoch and measures the floor, and must find what the first round
found. It ends when the file FOLDER/enough exists.
"""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tests.builders import tiny_sweep
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.prepare import FloorTask
from vgsearch.runtime.judging.real_classifiers import fit_real_classifiers
from vgsearch.runtime.sweep.launch import EXIT_INTERRUPTED
from vgsearch.space.sweep import Sweep
from videogan.data.cache import clip_cache_folder
from videogan.data.clips import DataConfig
from videogan.data.manifest import SPLITS, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols.classifier import load_real_classifier

PREPROCESSING, N_FRAMES = "plain_32", 16
SECONDS_OF_A_FLOOR, DONE = 3600.0, "done:"
TINY = {"model.channels": 2, "model.gru_hidden": 8, "evaluation.objective": ["-kvd"]}


def clips(manifest: Manifest) -> tuple[str, str]:
    """The folder of the decoded clips, decoded anew, and a digest of its shards."""
    shutil.rmtree(clip_cache_folder(manifest, preprocessing_named(PREPROCESSING)), ignore_errors=True)
    folder = build_cache(manifest, PREPROCESSING, DataConfig())
    shards = sorted(path for path in Path(str(folder)).iterdir() if path.suffix != ".json")
    print(DONE, "clips", flush=True)
    return str(folder), hashlib.sha256(b"".join(shard.read_bytes() for shard in shards)).hexdigest()


def one_round(inputs: Inputs, sweep: Sweep) -> tuple[Any, ...]:
    """Fits anew and measures the floor by that classifier; returns what both found."""
    config = sweep.run_config(sweep.paper_points[0], 0)
    protocol = config.evaluation.feature_protocol("kvd")
    recipe = protocol.classifier.recipe.model_copy(update={"max_epochs": 1, "min_updates_per_epoch": 1})
    short = protocol.classifier.model_copy(update={"recipe": recipe})
    shutil.rmtree(inputs.classifiers, ignore_errors=True)
    fit_real_classifiers(inputs, DataConfig(), N_FRAMES, {short: (0,)}, Progress(disable=True))
    print(DONE, "fit", flush=True)
    fitted = inputs.classifier_path(short, 0)
    for seed in protocol.seeds:  # in place of the protocol's own, which take minutes
        target = Path(str(inputs.classifier_path(protocol.classifier, seed)))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(fitted), target)
    floor = FloorTask(sweep, inputs).result(SECONDS_OF_A_FLOOR)
    assert floor is not None, "the floor was not measured"
    return load_real_classifier(fitted).rer, floor.means


def main(folder: Path) -> None:
    """Prepares until the file `enough` exists; fails if a round finds anything else than the first."""
    manifest = make_moving_shapes(folder / "shapes", n_clips_each=1, n_groups=16, n_frames=N_FRAMES)
    facts: dict[str, Any] = {
        "data": str(manifest.folder),
        "manifest_digest": manifest.digest,
        "n_classes": len(manifest.classes),
    }
    sweep, n_rounds = tiny_sweep(overrides=TINY, **facts), 0
    first: tuple[Any, ...] = ()
    n_clips = tuple((split, len(manifest.split(split))) for split in SPLITS)
    with connect():
        while not (folder / "enough").exists():
            cache, decoded = clips(manifest)
            inputs = Inputs(preprocessing=PREPROCESSING, cache=cache, classifiers=str(folder / "classifiers"),
                            n_clips=n_clips, **facts)  # fmt: skip
            found = decoded, *one_round(inputs, sweep)
            first = first or found
            if found != first:
                sys.exit(f"round {n_rounds} found {found}, the first {first}")
            n_rounds += 1
            print(DONE, f"floor, and round {n_rounds}", flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).absolute())
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
