"""A resume whose files are damaged ends as one without damage; only the ledger and sweep.yaml cannot be made again."""

import shutil
import signal
from collections.abc import Callable

import pytest

from tests.damages import DAMAGES
from tests.end_to_end.machine import BY_DISTANCE, TINY, Machine
from tests.waiting import wait_until
from vgsearch.experiment.ledger import TrialRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes
from videogan.training.checkpoint import CheckpointFolder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
N_STEPS, LOOK_EVERY = 40, 8
TRAIN = [*TINY, *BY_DISTANCE, "--set", "loop.precision=fp32", "--set", f"loop.n_steps={N_STEPS}",
         "--set", f"loop.look_every={LOOK_EVERY}"]  # fmt: skip


def trial_of(experiment: Experiment) -> TrialRecord:
    (trial,) = read_ledger(experiment.ledger).trials.values()
    return trial


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with an experiment `s` whose one trial was stopped after its second look."""
    machine = Machine(tmp_path_factory.mktemp("interrupted") / "machine", str(tmp_path_factory.mktemp("cache")))
    shapes = make_moving_shapes(machine.folder / "shapes", n_clips_each=1, n_groups=16).folder
    run = machine.start("train", "mvt_tsa", "--data", shapes, "--name", "s", *TRAIN)
    wait_until(lambda: run.poll() is not None or f"step {2 * LOOK_EVERY}/" in machine.log("train"),
               lambda: machine.log("train"))  # fmt: skip
    run.send_signal(signal.SIGTERM)
    assert run.wait(1500) == 130, machine.log("train")
    return machine


@pytest.fixture(scope="module")
def resumed(interrupted: Machine) -> Callable[[str], tuple[TrialRecord, str]]:
    """Damages all files but the ledger, sweep.yaml and the checkpoint before the newest in one way, and resumes.

    Returns the trial, and what the driver and the trial said.
    """

    def resume(how: str) -> tuple[TrialRecord, str]:
        experiment = Experiment(interrupted.folder / "runs" / how.replace(" ", "-"))
        shutil.copytree(interrupted.folder / "runs" / "s", experiment.folder)
        folder = experiment.trial(trial_of(experiment).trial_id)
        *older, _ = CheckpointFolder(folder.checkpoints).steps()
        kept = {experiment.ledger, experiment.sweep, experiment.folder / ".lock"}
        kept |= {folder.checkpoints / f"step{step:08d}.pt" for step in older}
        for path in sorted(experiment.folder.rglob("*")):
            if path.is_file() and path not in kept and experiment.ray not in path.parents:
                DAMAGES[how](path) if how in DAMAGES else None
        said = interrupted.run("resume", f"runs/{experiment.name}")
        return trial_of(experiment), said + folder.log.read_text("utf-8", errors="replace")

    return resume


@pytest.fixture(scope="module")
def undamaged(resumed: Callable[[str], tuple[TrialRecord, str]]) -> TrialRecord:
    return resumed("as it was")[0]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_resume_over_damaged_files_ends_with_the_same_score(
    resumed: Callable[[str], tuple[TrialRecord, str]], undamaged: TrialRecord, how: str
):
    trial, said = resumed(how)
    assert (undamaged.state, trial.state) == ("done", "done"), said
    assert trial.scores["kvd"] == undamaged.scores["kvd"]
    assert trial.looks == undamaged.looks
    assert "Traceback" not in said
    assert how == "missing" or ".pt" in said
    assert how in ("missing", "cut", "empty") or "metrics.jsonl" in said  # a cut or empty one may be that of a crash
