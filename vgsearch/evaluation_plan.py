"""What `vgsearch evaluate` was asked for, as what is judged by which protocols on which data; refused here if it can't be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from vgsearch.artifacts import Experiment, TrialFolder
from videogan.config import ConfigurationError, parse_config, suggestion
from videogan.data.clips import DataConfig
from videogan.data.manifest import Manifest, read_manifest
from videogan.protocols import PROTOCOLS, SCALES, USUAL_CLASSIFIER
from videogan.protocols.classifier import ClassifierProtocol, weights_file
from videogan.protocols.features import FeatureProtocol
from videogan.protocols.s3 import S3Protocol
from videogan.training.checkpoint import load_checkpoint
from videogan.training.run_config import RunConfig

SCALE_OF_BUDGET = {"paper": "", "laptop": "laptop_", "smoke": "smoke_"}
N_FRAMES = 16  # of every protocol


@dataclass(frozen=True)
class Opponent:
    """Model B of the generative adversarial metric: its checkpoint."""

    path: str

    @property
    def name(self) -> str:
        return "gam"


Measure = S3Protocol | FeatureProtocol | ClassifierProtocol | Opponent
"""A protocol, the classifier by which blind spots are looked at, or whom gam compares with."""


@dataclass(frozen=True)
class Request:
    """An evaluation as typed."""

    checkpoint: Path | None
    videos: Path | None
    ladder: Path | None
    data: Path | None
    metrics: str | None
    against: Path | None
    budget: str | None
    preprocessing: str | None
    classifier_weights: Path | None
    n_workers: int
    gpus_per_worker: float | None
    out: Path | None


@dataclass(frozen=True)
class Plan:
    """What is judged, by what, on which data set, and where the results go."""

    manifest: Manifest
    preprocessing: str
    data: DataConfig
    measures: tuple[Measure, ...]
    out: Path
    trial: TrialFolder | None = None
    """Whose records the scores are added to."""
    step: int = 0


def planned(request: Request) -> Plan:
    ways = {"CKPT": request.checkpoint, "--videos": request.videos, "--ladder": request.ladder}
    given = [name for name, path in ways.items() if path is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"give one of CKPT, --videos DIR and --ladder DATA, got {' and '.join(given) or 'none'}."
        )
    if request.checkpoint is not None:
        return _plan_of_checkpoint(request, request.checkpoint)
    if request.against is not None:
        raise ConfigurationError("--against compares two checkpoints; give CKPT, not --videos or --ladder.")
    folder = request.ladder or request.data
    if folder is None:
        raise ConfigurationError("--videos needs --data: the real clips to judge by.")
    if request.ladder is not None and request.data is not None:
        raise ConfigurationError("--ladder names its data set itself; leave out --data.")
    scale = _scale(request.budget or "laptop")
    manifest = read_manifest(folder)
    usual = "s3_r3d18,s3_tsn" if request.ladder else _usual_metrics(manifest)
    name = f"{manifest.folder.name}-ladder" if request.ladder else request.videos.absolute().name
    return Plan(
        manifest=manifest,
        preprocessing=request.preprocessing or ("plain_32" if scale else "plain_96"),
        data=DataConfig(),
        measures=_measures(request, request.metrics or usual, f"s3_r3d18_{scale}v1", manifest),
        out=request.out or Path("runs/evaluations") / name,
    )


def _plan_of_checkpoint(request: Request, path: Path) -> Plan:
    checkpoint = load_checkpoint(path)
    config = parse_config(RunConfig, checkpoint.config, source=str(path))
    for flag, given in (("--budget", request.budget), ("--preprocessing", request.preprocessing)):
        if given is not None:
            raise ConfigurationError(f"{flag}: a checkpoint brings its own; leave it out.")
    manifest = read_manifest(request.data or _data_of(path))
    if manifest.digest != checkpoint.trained_on:
        raise ConfigurationError(
            f"{path} was trained on the train split of manifest {checkpoint.trained_on[:6]}; {manifest.folder} is "
            f"{manifest.digest[:6]}, whose test clips it may have seen. Give --data the data set it was trained on."
        )
    trial = TrialFolder(path.absolute().parent.parent)
    return Plan(
        manifest=manifest,
        preprocessing=config.preprocessing,
        data=config.data,
        measures=_measures(request, request.metrics or _usual_metrics(manifest), config.evaluation.protocol, manifest),
        out=request.out or trial.evaluations / path.stem,
        trial=trial if trial.metrics.exists() else None,
        step=checkpoint.step,
    )


def _usual_metrics(manifest: Manifest) -> str:
    return "kvd,blind_spots" if len(manifest.classes) < 2 else "s3,kvd,blind_spots"


def _data_of(checkpoint: Path) -> Path:
    """The data set of the sweep that a checkpoint lies in."""
    sweep = Experiment(checkpoint.absolute().parents[3]).sweep if len(checkpoint.absolute().parents) > 3 else None
    if sweep is None or not sweep.exists():
        raise ConfigurationError(f"{checkpoint} lies in no experiment that names its data set; give --data.")
    return Path(yaml.safe_load(sweep.read_text())["data"])


def _measures(request: Request, metrics: str, s3: str, manifest: Manifest) -> tuple[Measure, ...]:
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    measures = tuple(_measure(name, s3, request) for name in dict.fromkeys(names))
    if not measures:
        raise ConfigurationError("--metrics names none; such as s3,kvd,blind_spots.")
    if len(manifest.classes) < 2:
        refused = [m.name for m in measures if isinstance(m, S3Protocol) or getattr(m, "metric", "") == "is"]
        if refused:
            raise ConfigurationError(f"{refused[0]} needs at least 2 classes, {manifest.folder} has one; use kvd.")
    return _with_weights(measures, request.classifier_weights) if request.classifier_weights else measures


def _measure(name: str, s3: str, request: Request) -> Measure:
    scale = next(scale for scale in reversed(SCALES) if f"_{scale}v1" in s3)
    if name == "gam":
        if request.checkpoint is None or request.against is None:
            raise ConfigurationError(
                "gam compares two checkpoints: vgsearch evaluate CKPT --metrics gam --against CKPT."
            )
        return Opponent(str(request.against.absolute()))
    if name == "blind_spots":
        return PROTOCOLS[s3].classifier
    if name == "s3":
        return PROTOCOLS[s3]
    for candidate in (name, f"{name}_{scale}v1", f"{name}_{USUAL_CLASSIFIER.get(name)}_{scale}v1"):
        if candidate in PROTOCOLS:
            return PROTOCOLS[candidate]
    known = [*USUAL_CLASSIFIER, "blind_spots", "gam", *PROTOCOLS]
    raise ConfigurationError(f"--metrics: '{name}' is unknown{suggestion(name, known)}")


def _with_weights(measures: Sequence[Measure], path: Path) -> tuple[Measure, ...]:
    """The measures on a classifier that starts from the user's weights: trained further where it must tell classes."""
    weights, changed = weights_file(path), []
    for measure in measures:
        if isinstance(measure, Opponent):
            changed.append(measure)
            continue
        classifier = measure if isinstance(measure, ClassifierProtocol) else measure.classifier
        tells_classes = isinstance(measure, S3Protocol | ClassifierProtocol) or measure.metric == "is"
        classifier = classifier.model_copy(update={"weights": weights, "trained": tells_classes})
        is_classifier = isinstance(measure, ClassifierProtocol)
        changed.append(classifier if is_classifier else measure.model_copy(update={"classifier": classifier}))
    kinds = {(c.classifier, c.width) for c, _ in classifiers_of(changed)}
    if len(kinds) > 1:
        raise ConfigurationError(
            f"--classifier-weights fits one network, the metrics take {sorted(kinds)}; name protocols of one classifier."
        )
    return tuple(changed)


def _scale(budget: str) -> str:
    if budget not in SCALE_OF_BUDGET:
        raise ConfigurationError(f"--budget '{budget}' is unknown{suggestion(budget, list(SCALE_OF_BUDGET))}")
    return SCALE_OF_BUDGET[budget]


def classifiers_of(measures: Sequence[Measure]) -> dict[ClassifierProtocol, tuple[int, ...]]:
    """The real-trained classifiers that the measures need, and of which seeds."""
    needed: dict[ClassifierProtocol, tuple[int, ...]] = {}
    for measure in measures:
        if isinstance(measure, S3Protocol):
            wanted, seeds = measure.classifier, measure.seeds
        elif isinstance(measure, FeatureProtocol):
            wanted, seeds = measure.classifier, (measure.seed,)
        elif isinstance(measure, ClassifierProtocol):
            wanted, seeds = measure, (0,)
        else:
            continue
        needed[wanted] = tuple(dict.fromkeys((*needed.get(wanted, ()), *seeds)))
    return needed
