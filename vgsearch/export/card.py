"""The model card of an exported generator, in Markdown (Mitchell et al. 2019, "Model Cards for Model Reporting")."""

from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.scoring import split_of
from vgsearch.terminal.sweep_table import floor_line, trial_result
from vgsearch.terminal.trial import protocol_lines
from vgsearch.terminal.verdict import verdict
from videogan.training.run_config import RunConfig


@dataclass(frozen=True)
class Exported:
    """A trial and what is said of it."""

    experiment: Experiment
    record: SweepRecord
    trial: TrialRecord
    step: int
    n_parameters: int
    classes: Sequence[str]
    command: str


def model_card(exported: Exported, config: RunConfig) -> str:
    """What the model is, how it scores, what that rests on, and how to use and to train it."""
    record, trial, model = exported.record, exported.trial, config.model
    header = record.header
    scores = trial_result(trial, record.objectives) if trial.state == "done" else f"not scored: {trial.state}"
    split = split_of(record)
    lines = [
        f"# {exported.experiment.name} {trial.trial_id}",
        "",
        f"A video GAN of the family `{model.family}`: {exported.n_parameters:,} parameters, clips of {model.n_frames} "
        f"frames of {model.resolution} x {model.resolution} pixels.",
        "",
        f"- Trained: {exported.step} steps on the train split of `{header.get('data', 'unknown data')}`, manifest "
        f"{header.get('sweep', {}).get('manifest_digest', 'unknown')[:6]}, seed {config.seed}",
        f"- Classes, by label: {', '.join(exported.classes)}",
        f"- Scores{f' on {split}' if split else ''}: {scores}",
        *(f"- {line}" for line in protocol_lines(trial.score)),
        *([f"- {floor_line(record)}"] if record.floor is not None else []),
        *([f"- Of its search: {said}"] if (said := _said(exported)) else []),
        f"- Versions: {', '.join(f'{name} {version}' for name, version in header.get('versions', {}).items())}",
        "",
        "S3 does not see memorisation, frozen or looping clips, or too little diversity within a class; compare it only",
        "with scores of the same protocol and data.",
        "",
        "## Use",
        "",
        "```python",
        "import videogan",
        "",
        'model = videogan.load("generator.pt")',
        "clips = model.sample(4, labels=0, seed=0)  # uint8 (4, T, H, W, 3)",
        "```",
        "",
        "`clips/` holds samples, none picked by hand: lossless mp4, a folder for each class. `config.yaml` has every",
        "setting. `command.sh` trains the model again:",
        "",
        "```",
        exported.command,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _said(exported: Exported) -> str:
    """The verdict on the search, without the command that would tell more: its folder stays behind."""
    return verdict(exported.record, exported.experiment.place).partition("; vgsearch ")[0]
