"""What `--dry-run` prints: the forecast, what a start would refuse, and the trials that a warm start would take."""

from collections.abc import Mapping

from rich.console import Console

from vgsearch.evaluation.comparable import protocol_digest
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster import preflight
from vgsearch.runtime.study.warm_start import known_trials
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.line import print_line
from videogan.data.manifest import SPLITS, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import select_clips
from videogan.protocols.classifier import DataFacts


def print_dry_run(
    sweep: Sweep,
    manifest: Manifest,
    experiment: Experiment,
    console: Console,
    json_lines: bool,
    prices: Mapping[str, float],
) -> None:
    """Print the forecast of a sweep, and as warnings what a start would refuse as far as no cluster is needed to tell.

    The forecast stays of use without fitting data. Raises ConfigurationError for a warm start that cannot be.
    """
    preflight.print_forecast(sweep, manifest, console, json_lines, prices)
    refusals = preflight.refusals(sweep, manifest, experiment)
    for refusal in refusals:
        print_line(f"warning: without --dry-run this is refused: {refusal}", error=True)
    if sweep.warm_start and not refusals:
        _, notes = known_trials(sweep, protocol_digest(sweep, _facts(sweep, manifest), sweep.scored_split(manifest)))
        for note in notes:
            print_line(note, error=json_lines)


def _facts(sweep: Sweep, manifest: Manifest) -> DataFacts:
    """The facts of the data that scores depend on, by the manifest: as if each clip can be decoded."""
    config = sweep.run_config(sweep.paper_points[0], 0)
    named, data = preprocessing_named(config.preprocessing), config.data
    n_clips = tuple(
        (split, len(select_clips(manifest, split, named, config.n_frames, data.short_clips, every_nth=data.every_nth)))
        for split in SPLITS
        if len(manifest.split(split))
    )
    return DataFacts(manifest.digest, config.preprocessing, len(manifest.classes), n_clips, data.every_nth)
