"""A request of `vgsearch evaluate` as a plan: subjects, protocols, data. Refuses what cannot be measured."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vgsearch.evaluation.initial_weights import notes_on_weights
from vgsearch.evaluation.measures import (
    N_FAKES,
    N_FRAMES,
    Measure,
    Opponent,
    classifiers_of,
    refuse_several_networks,
    with_classifier_weights,
    with_own_weights,
)
from vgsearch.evaluation.standard_fvd import STANDARD_FVD, FVDOptions, note_on_detector, refuse_without_effect
from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.space.yaml_text import read_yaml_file
from videogan.config import ConfigurationError, suggestion
from videogan.data.clips import DataConfig
from videogan.data.formats import plain_folders
from videogan.data.formats.contract import FoundVideo, ImportOptions
from videogan.data.manifest import DataError, Manifest, read_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import Selection, halves_by_group, select_clips
from videogan.metrics import VERSION
from videogan.protocols import PROTOCOLS, USUAL_CLASSIFIER, protocol_named
from videogan.protocols.classifier import weights_file
from videogan.protocols.features import FeatureProtocol
from videogan.protocols.initial_weights import predicts_classes
from videogan.protocols.ladder import RUNGS
from videogan.protocols.own_metric import METRICS, own_metric
from videogan.protocols.s3 import S3Protocol
from videogan.protocols.standard_fvd import StandardFVD
from videogan.storage.places import Place, place
from videogan.training.checkpoint import Checkpoint, load_checkpoint
from videogan.training.exported_model import GENERATOR

SCALE_OF_BUDGET = {"paper": "", "laptop": "laptop_", "smoke": "smoke_"}
EVALUATIONS = Path("runs/evaluations")
FEWEST_VIDEOS = 2  # per class: one to train and one to test on
UNLABELLED = ("videos",)
"""The classes of videos whose folders mean nothing."""


@dataclass(frozen=True)
class EvaluationRequest:
    """The options of `vgsearch evaluate`."""

    checkpoint: Path | None = None
    videos: Path | None = None
    ladder: Place | None = None
    rungs: tuple[str, ...] = ()
    """The rungs to score, each by the beginning of its name; all if there are none."""
    data: Place | None = None
    metrics: str | None = None
    against: tuple[Path, ...] = ()
    """The checkpoints that gam compares with, one after the other."""
    n_fakes: int = N_FAKES
    """Clips that each generator makes for gam."""
    budget: str | None = None
    preprocessing: str | None = None
    classifier_weights: Path | None = None
    fvd: FVDOptions = field(default_factory=FVDOptions)
    n_workers: int = 1
    gpus_per_worker: float | None = None
    out: Path | None = None


@dataclass(frozen=True)
class EvaluationPlan:
    """The subjects, measures, data set and output folder of an evaluation."""

    manifest: Manifest
    preprocessing: str
    data: DataConfig
    measures: tuple[Measure, ...]
    out: Path
    trial: TrialFolder | None = None
    """The trial of the checkpoint, whose metrics.jsonl and TensorBoard get the scores too."""
    step: int = 0
    videos: tuple[FoundVideo, ...] = ()
    """The clips of --videos, with the classes of `video_classes`."""
    rungs: tuple[str, ...] = ()
    """The names of the rungs to score of --ladder."""
    notes: tuple[str, ...] = ()
    """Notes for the user, printed before the evaluation starts."""
    n_frames: int = N_FRAMES
    """Of each clip."""

    @property
    def video_classes(self) -> Sequence[str]:
        """The classes of --videos: those of the data set, or one if no measure reads labels."""
        return self.manifest.classes if needs_labels(self.measures) else UNLABELLED


def planned(request: EvaluationRequest) -> EvaluationPlan:
    """The plan of a request; raises ConfigurationError, DataError or UnreadableCheckpoint if it cannot be measured."""
    ways = {"CKPT": request.checkpoint, "--videos": request.videos, "--ladder": request.ladder}
    given = [name for name, path in ways.items() if path is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"give one of CKPT, --videos DIR and --ladder DATA, got {' and '.join(given) or 'none'}."
        )
    if request.rungs and request.ladder is None:
        raise ConfigurationError("--rung names a rung of --ladder DATA; give --ladder, or leave out --rung.")
    plan = _plan_of_checkpoint(request, request.checkpoint) if request.checkpoint else _plan_of_clips(request)
    try:
        preprocessing_named(plan.preprocessing)
    except ValueError as error:
        raise ConfigurationError(f"--preprocessing: {error}") from None
    if request.ladder is not None:
        _refuse_undivided_groups(plan)
    if plan.out.exists() and not plan.out.is_dir():
        raise ConfigurationError(f"--out {plan.out} is a file; give a folder.")
    with_files = [classifier for classifier in classifiers_of(plan.measures) if classifier.weights is not None]
    # A file that does not fit is refused before anything starts.
    notes = notes_on_weights(with_files, len(plan.manifest.classes))
    leaks = [f"{m.name}: {m.leak}" for m in plan.measures if isinstance(m, S3Protocol) and m.leak]
    runs_code = [
        note_on_detector(m, plan.manifest, plan.preprocessing, plan.data)
        for m in plan.measures if isinstance(m, StandardFVD)
    ]  # fmt: skip
    return replace(plan, notes=(*notes, *leaks, *runs_code), n_frames=request.fvd.n_frames)


def _refuse_undivided_groups(plan: EvaluationPlan) -> None:
    """Raise DataError for a ladder on data whose groups of train and select have no two halves with every class."""
    named, data, folder = preprocessing_named(plan.preprocessing), plan.data, plan.manifest.folder
    both = [
        select_clips(plan.manifest, split, named, N_FRAMES, data.short_clips, every_nth=data.every_nth)
        for split in ("train", "select") if len(plan.manifest.split(split))
    ]  # fmt: skip
    try:
        halves_by_group(functools.reduce(Selection.joined, both))
    except DataError as error:
        raise DataError(
            f"--ladder {folder}: real classifiers are fitted on half of the groups of train and select, but {error}"
        ) from None


def _plan_of_clips(request: EvaluationRequest) -> EvaluationPlan:
    """The plan of --videos or --ladder."""
    if request.against:
        raise ConfigurationError("--against compares two checkpoints; give CKPT, not --videos or --ladder.")
    if request.ladder is not None and request.fvd.real == "all":
        raise ConfigurationError("--fvd-real all: a ladder's rungs are some of these clips; leave it out.")
    if request.ladder is not None and request.data is not None:
        raise ConfigurationError("--ladder names its data set itself; leave out --data.")
    scale = _scale(request.budget or "laptop")
    folder = request.ladder or request.data
    if folder is None:
        raise ConfigurationError("--videos needs --data: the real clips to judge by.")
    manifest = read_manifest(folder)
    usual = _usual_metrics(len(manifest.classes))
    if request.videos is not None:
        name = f"{request.videos.absolute().name}-on-{manifest.folder.name}"
    else:
        name = f"{manifest.folder.name}-ladder"
        usual = usual.replace("s3,", "s3,s3_tsn,")  # only one of the two sees the order of frames
    measures = _measures(request, usual, f"s3_r3d18_{scale}{VERSION}", manifest)
    if request.preprocessing is None and any(isinstance(measure, StandardFVD) for measure in measures):
        raise ConfigurationError(
            f"{STANDARD_FVD} depends on the resolution: give that of the samples, --preprocessing plain_128 or the like."
        )
    classes = manifest.classes if needs_labels(measures) else UNLABELLED
    return EvaluationPlan(
        manifest=manifest,
        preprocessing=request.preprocessing or ("plain_32" if scale else "plain_96"),
        data=DataConfig(),
        measures=measures if request.ladder is None else tuple(map(_for_half, measures)),
        out=request.out or EVALUATIONS / name,
        videos=_found_videos(request.videos, classes) if request.videos is not None else (),
        rungs=_rungs(request.rungs) if request.ladder is not None else (),
    )


def _for_half(measure: Measure) -> Measure:
    """The measure for the ladder; an S3's classifiers learn as much from half of the clips as a score's from all."""
    if not isinstance(measure, S3Protocol):
        return measure
    recipe = measure.classifier.recipe.for_half
    return measure.model_copy(update={"classifier": measure.classifier.model_copy(update={"recipe": recipe})})


def _rungs(wanted: Sequence[str]) -> tuple[str, ...]:
    """The names of the rungs, in the ladder's order, that begin with one of the `wanted` words; all if there are none.

    Raises ConfigurationError if a word is the beginning of no name, or of several.
    """
    chosen = []
    for word in wanted:
        found = [name for name in RUNGS if name.startswith(word)]
        if not word or not found:
            raise ConfigurationError(f"--rung '{word}' is unknown{suggestion(word, list(RUNGS))}")
        if len(found) > 1:
            raise ConfigurationError(f"--rung '{word}' could be {' or '.join(found)}; write more of its name.")
        chosen += found
    return tuple(name for name in RUNGS if not wanted or name in chosen)


def _plan_of_checkpoint(request: EvaluationRequest, path: Path) -> EvaluationPlan:
    for flag, given in (("--budget", request.budget), ("--preprocessing", request.preprocessing)):
        if given is not None:
            raise ConfigurationError(f"{flag}: a checkpoint has its own; leave it out.")
    checkpoint = load_checkpoint(path)
    config = checkpoint.run_config(path)
    if config.data.only_class is not None:
        raise ConfigurationError(
            f"{path} generates class {config.data.only_class} only: it is one of several generators that are scored "
            "together; scores.json of its trial has their scores."
        )
    manifest = read_manifest(request.data or data_of(path))
    if manifest.digest != checkpoint.trained_on:
        raise ConfigurationError(
            f"{path} was trained on the train split of manifest {checkpoint.trained_on[:6]}; {manifest.folder} is "
            f"{manifest.digest[:6]}, so it may have trained on those test clips. Give its own data set by --data."
        )
    for other in request.against:
        _refuse_unequal(path, checkpoint, other)
    usual = "gam" if request.against else _usual_metrics(config.n_conditions)
    measures = _measures(request, usual, config.evaluation.protocol, manifest)
    if request.classifier_weights is None:
        measures = with_own_weights(measures, config.evaluation)
    of_labels = [measure.name for measure in measures if isinstance(measure, S3Protocol)]
    if config.n_conditions < 2 and of_labels:
        raise ConfigurationError(
            f"{of_labels[0]} needs samples of each class, but the {config.model.family} of {path} generates without "
            "labels; use kvd, fid or is."
        )
    trial = TrialFolder.around(path)
    is_trial = trial.metrics.exists()
    return EvaluationPlan(
        manifest=manifest,
        preprocessing=config.preprocessing,
        data=config.data,
        measures=measures,
        out=request.out or (trial.evaluations if is_trial else EVALUATIONS) / _name_of(path),
        trial=trial if is_trial else None,
        step=checkpoint.step,
    )


def _name_of(checkpoint: Path) -> str:
    """The name of its folder of results: every exported model's file has the same, so there its folder's."""
    return checkpoint.absolute().parent.name if checkpoint.name == GENERATOR else checkpoint.stem


def _usual_metrics(n_classes: int) -> str:
    return "kvd,blind_spots" if n_classes < 2 else "s3,kvd,blind_spots"


def data_of(checkpoint: Path) -> Place:
    """The data set of the sweep that a checkpoint belongs to; raises ConfigurationError if there is none."""
    sweep = Experiment(checkpoint.absolute().parents[3]).sweep if len(checkpoint.absolute().parents) > 3 else None
    if sweep is None or not sweep.exists():
        raise ConfigurationError(f"{checkpoint} belongs to no experiment with a known data set; give --data.")
    settings = read_yaml_file(sweep)
    written = settings.get("data") if isinstance(settings, dict) else None
    if not isinstance(written, str):
        raise ConfigurationError(f"{sweep}: data must be the folder of a data set, got {written!r}; give --data.")
    folder = place(written)
    if not folder.exists():
        raise ConfigurationError(
            f"{checkpoint} was trained on {folder}, which does not exist; give its folder by --data."
        )
    return folder


def _refuse_unequal(path: Path, own: Checkpoint, against: Path) -> None:
    """Raise ConfigurationError unless both models generate the same kind of clips from the same train split."""
    other = load_checkpoint(against)
    configs = [model.run_config(against) for model in (own, other)]
    facts = {
        "train split": (own.trained_on[:6], other.trained_on[:6]),
        "preprocessing": tuple(config.preprocessing for config in configs),
        "frames per clip": tuple(config.model.n_frames for config in configs),
        "every_nth": tuple(config.data.every_nth for config in configs),
    }
    for name, (mine, theirs) in facts.items():
        if mine != theirs:
            raise ConfigurationError(
                f"--against {against}: both models must have the same {name}, got {theirs}, {path} has {mine}."
            )


def _found_videos(folder: Path, classes: Sequence[str]) -> tuple[FoundVideo, ...]:
    """The videos DIR/<class>/*, or DIR/* for one class; raises DataError if the classes do not match."""
    # By group, so that a split.csv of DIR is not read.
    videos = plain_folders.find(folder, ImportOptions(split_by="group")).videos
    if classes == UNLABELLED or {video.path.parent for video in videos} == {folder}:
        if len(classes) > 1:
            raise DataError(
                f"{folder}: its videos must be in one folder for each class of the data set: {', '.join(classes)}."
            )
        videos = tuple(replace(video, label=classes[0]) for video in videos)
    n_of_class = Counter(video.label for video in videos)
    for label in sorted(set(n_of_class) - set(classes)):
        raise DataError(f"{folder / label}: the data set has no class '{label}'{suggestion(label, list(classes))}")
    refuse_too_few(folder, classes, n_of_class, "videos")
    return tuple(replace(video, path=video.path.absolute()) for video in videos)


def refuse_too_few(folder: Path, classes: Sequence[str], n_of_class: Counter[str], what: str) -> None:
    """Raise DataError if one of the `classes` has fewer than 2 of DIR's videos."""
    if classes == UNLABELLED and n_of_class.total() < FEWEST_VIDEOS:
        raise DataError(f"{folder}: a distance needs at least {FEWEST_VIDEOS} {what}, got {n_of_class.total()}.")
    lacking = [label for label in classes if n_of_class[label] < FEWEST_VIDEOS]
    if lacking:
        counts = ", ".join(f"{n_of_class[label]} of {label}" for label in lacking)
        raise DataError(
            f"{folder}: each class of the data set needs at least {FEWEST_VIDEOS} {what}, one to train and one to "
            f"test; got {counts}."
        )


def _measures(request: EvaluationRequest, usual: str, s3: str, manifest: Manifest) -> tuple[Measure, ...]:
    usual = usual if request.fvd.detector is None else STANDARD_FVD
    names = [name.strip() for name in (usual if request.metrics is None else request.metrics).split(",")]
    measures = tuple(dict.fromkeys(measure for name in names if name for measure in _measures_of(name, s3, request)))
    if not measures:
        raise ConfigurationError("--metrics must name at least one metric, such as s3,kvd,blind_spots.")
    refuse_without_effect(request.fvd, measures)
    if request.against and not any(isinstance(measure, Opponent) for measure in measures):
        raise ConfigurationError(f"--against is for gam, which --metrics {request.metrics} does not name; add gam.")
    if len(manifest.classes) < 2:
        refused = [m.name for m in measures if isinstance(m, S3Protocol | FeatureProtocol) and predicts_classes(m)]
        if refused:
            raise ConfigurationError(f"{refused[0]} needs at least 2 classes, {manifest.folder} has one; use kvd.")
    if request.classifier_weights is None:
        return measures
    weights = weights_file(request.classifier_weights)
    refuse_several_networks(measures)
    return tuple(with_classifier_weights(measure, weights) for measure in measures)


def needs_labels(measures: Sequence[Measure]) -> bool:
    """Whether videos must have the classes of the data set."""
    return not all(isinstance(measure, StandardFVD) for measure in measures)


def _measures_of(name: str, s3: str, request: EvaluationRequest) -> list[Measure]:
    """What a name of --metrics means: one measure, and for gam one for each opponent."""
    if name == "gam":
        if request.checkpoint is None or not request.against:
            raise ConfigurationError(
                "gam compares two checkpoints: vgsearch evaluate CKPT --metrics gam --against CKPT."
            )
        return [Opponent(str(other.absolute()), request.n_fakes) for other in request.against]
    return [_measure(name, s3, request)]


def _measure(name: str, s3: str, request: EvaluationRequest) -> Measure:
    if name == "blind_spots":
        return PROTOCOLS[s3].classifier
    if name == STANDARD_FVD:
        return request.fvd.protocol
    if (named := protocol_named(name, s3)) is not None:
        return named
    if name in METRICS:
        return own_metric(name)
    short = [*USUAL_CLASSIFIER, STANDARD_FVD, "blind_spots", "gam", *METRICS]
    # The list of all PROTOCOLS would fill the screen.
    close = suggestion(name, [*short, *PROTOCOLS])
    raise ConfigurationError(
        f"--metrics: '{name}' is unknown"
        f"{close if 'did you mean' in close else suggestion(name, [*short, 's3_tsn_laptop_v2 and the like'])}"
    )


def _scale(budget: str) -> str:
    if budget not in SCALE_OF_BUDGET:
        raise ConfigurationError(f"--budget '{budget}' is unknown{suggestion(budget, list(SCALE_OF_BUDGET))}")
    return SCALE_OF_BUDGET[budget]
