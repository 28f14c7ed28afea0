"""A resumed sweep has its original settings and runs only its unfinished trials."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import tiny_sweep
from vgsearch.evaluation.comparable import protocol_digest
from vgsearch.experiment.end import ENDS
from vgsearch.experiment.ledger import Ledger, SweepRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.sweep import resuming
from vgsearch.runtime.sweep.launch import launch
from vgsearch.runtime.sweep.request import SweepRequest
from vgsearch.space.space import load_space
from vgsearch.space.sweep import Sweep, load_sweep
from videogan.config import ConfigurationError
from videogan.protocols.classifier import DataFacts

PAPER = load_space("mvt_tsa").paper_points[0]


def a_sweep(**settings: Any) -> Sweep:
    return tiny_sweep(**{"space_source": "mvt_tsa", **settings})


@pytest.fixture
def started(tmp_path: Path) -> tuple[Experiment, Ledger]:
    """A sweep of eight trials, two of which have started."""
    experiment, sweep = Experiment(tmp_path / "s"), a_sweep()
    ledger = Ledger(experiment.ledger)
    ledger.append("sweep_started", space="mvt_tsa", sweep=sweep.model_dump(mode="json"))
    sweep.save(experiment.sweep)
    trials(ledger, "done", "running")
    return experiment, ledger


def trials(ledger: Ledger, *states: str) -> None:
    for index, state in enumerate(states):
        facts = {"overrides": PAPER, "is_paper_point": index == 0, "n_steps": 300}
        name = f"t{index:04d}-aaaaaa"
        ledger.append("trial_started", trial=name, index=index, **facts)
        ledger.append("look", trial=name, step=50, look=0.1, losses={})
        if state != "running":
            ledger.append("trial_ended", trial=name, state=state, score={})


def edited(experiment: Experiment, *path: str, value: Any) -> None:
    content = yaml.safe_load(experiment.sweep.read_text())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    experiment.sweep.write_text(yaml.safe_dump(content))


def test_an_unedited_sweep_resumes_unchanged(started):
    experiment, ledger = started
    assert resuming.sweep_to_resume(experiment, ledger.record, None) == a_sweep()


def test_an_edited_space_is_refused_with_each_difference(started):
    experiment, ledger = started
    edited(experiment, "space", "domains", "model.sigma_a", "high", value=9.0)
    edited(experiment, "overrides", "model.n_heads", value=2)
    with pytest.raises(ConfigurationError) as refusal:
        resuming.sweep_to_resume(experiment, ledger.record, None)
    high = a_sweep().space.domains["model.sigma_a"].high
    assert f"  space.domains.model.sigma_a.high: {high}, now 9.0\n" in str(refusal.value)
    assert "  overrides.model.n_heads: absent, now 2\n" in str(refusal.value)
    assert "Restore these settings" in str(refusal.value)


@pytest.mark.parametrize(("setting", "value"), [("n_trials", 20), ("max_concurrent", 1), ("data", "moved")])
def test_settings_that_change_no_trial_may_be_edited(started, setting: str, value: Any):
    experiment, ledger = started
    edited(experiment, setting, value=value)
    assert getattr(resuming.sweep_to_resume(experiment, ledger.record, None), setting) == value


def test_a_lost_sweep_yaml_is_restored_from_the_ledger(started):
    experiment, ledger = started
    experiment.sweep.unlink()
    assert resuming.sweep_to_resume(experiment, ledger.record, None) == a_sweep()
    experiment.refuse_missing()
    with pytest.raises(ConfigurationError, match="contains no sweep"):
        Experiment(experiment.folder / "nowhere").refuse_missing()
    assert not (experiment.folder / "nowhere").exists()


def test_an_old_ledger_without_the_sweep_trusts_sweep_yaml(tmp_path: Path):
    experiment = Experiment(tmp_path)
    a_sweep().save(experiment.sweep)
    assert resuming.sweep_to_resume(experiment, SweepRecord(header={"space": "mvt_tsa"}), None) == load_sweep(
        experiment.sweep
    )


@pytest.mark.parametrize(("asked", "n_trials"), [("+16", 24), ("48", 48), ("2", 2)])
def test_a_number_of_trials_is_additional_with_a_plus_and_else_total(started, asked: str, n_trials: int):
    experiment, ledger = started
    assert resuming.sweep_to_resume(experiment, ledger.record, asked).n_trials == n_trials


@pytest.mark.parametrize(
    ("asked", "says"), [("1", "already started: 2 trials"), ("more", "must look like"), ("+0", "must look like")]
)
def test_impossible_numbers_of_trials_are_refused(started, asked: str, says: str):
    experiment, ledger = started
    with pytest.raises(ConfigurationError, match=says):
        resuming.sweep_to_resume(experiment, ledger.record, asked)


def test_a_changed_space_file_is_reported_and_not_used(tmp_path: Path):
    source = tmp_path / "mine.yaml"
    values = load_space("mvt_tsa").model_dump(mode="json")
    source.write_text(yaml.safe_dump(values))
    sweep = a_sweep(space_source=str(source))
    assert resuming.notes_of_space(sweep) == []
    values["domains"]["model.sigma_a"]["high"] = 9.0
    source.write_text(yaml.safe_dump(values))
    (note,) = resuming.notes_of_space(sweep)
    assert "has changed; the sweep continues with its own copy" in note
    assert "domains.model.sigma_a.high: " in note
    source.unlink()
    assert resuming.notes_of_space(sweep) == []


@pytest.mark.parametrize("layout", ["weizmann", "ucf101", "plain"])
def test_the_papers_settings_for_a_data_set_are_no_change_of_the_spaces_file(layout: str):
    for fixed in ((), ("model.resolution",)):
        space = load_space("mvt_tsa").on_data_set(layout, fixed)
        assert resuming.notes_of_space(tiny_sweep(space, space_source="mvt_tsa")) == []


def test_only_unfinished_trials_resume_and_only_requested_ends_are_retried(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    trials(ledger, *ENDS, "running")
    owed = {
        retry: {
            ledger.record.trials[f"t{p.index:04d}-aaaaaa"].state
            for p in resuming.left_to_do(ledger.record, a_sweep(), retry)
        }
        for retry in resuming.RETRIED
    }
    # Half the batch is owed to a trial that ran out of memory, unless it was tried.
    assert owed["none"] == {"interrupted", "running", "out_of_memory"}
    assert owed["failed"] - owed["none"] == {"failed", "stalled", "lost"}
    assert owed["diverged"] - owed["none"] == {"diverged"}
    assert not any({"done", "pruned", "unscored"} & states for states in owed.values())
    with pytest.raises(ConfigurationError, match="must be one of none, failed, diverged, got 'all'"):
        resuming.left_to_do(ledger.record, a_sweep(), "all")


def test_a_failed_trial_resumes_and_a_diverged_one_restarts_with_another_seed(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    trials(ledger, "failed", "diverged")
    (failed,) = resuming.left_to_do(ledger.record, a_sweep(), "failed")
    assert (failed.index, failed.anew, failed.looks, failed.changed) == (0, False, ((50, 0.1),), {})
    (diverged,) = resuming.left_to_do(ledger.record, a_sweep(), "diverged")
    assert (diverged.index, diverged.anew, diverged.looks, diverged.changed) == (1, True, (), {"seed": 1_000_001})
    assert diverged.overrides == failed.overrides
    ledger.append("trial_started", trial="t0001-aaaaaa", index=1, overrides=PAPER, is_paper_point=False, n_steps=300,
                  changed=diverged.changed, anew=True)  # fmt: skip
    assert ledger.record.trials["t0001-aaaaaa"].looks == {}
    ledger.append("trial_ended", trial="t0001-aaaaaa", state="diverged")
    (again,) = resuming.left_to_do(ledger.record, a_sweep(), "diverged")
    assert again.changed == {"seed": 2_000_001}


def test_a_trial_out_of_memory_is_retried_once_at_half_its_batch(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    trials(ledger, "out_of_memory")
    batch = a_sweep().run_config(PAPER, 0).loop.batch_size
    (half,) = resuming.left_to_do(ledger.record, a_sweep())
    assert (half.index, half.anew, half.looks, half.changed) == (0, True, (), {"loop.batch_size": batch // 2})
    record = ledger.record.trials["t0000-aaaaaa"]
    assert resuming.at_half_the_batch(record, a_sweep(overrides={"loop.batch_size": 3})) is None
    assert resuming.at_half_the_batch(record, a_sweep(overrides={"loop.batch_size": 2})) is None
    assert resuming.at_half_the_batch(record, a_sweep(n_workers=batch)) is None
    ledger.append("trial_started", trial="t0000-aaaaaa", index=0, overrides=PAPER, is_paper_point=True, n_steps=300,
                  changed=half.changed, anew=True)  # fmt: skip
    ledger.append("trial_ended", trial="t0000-aaaaaa", state="out_of_memory")
    assert resuming.left_to_do(ledger.record, a_sweep()) == []
    assert [p.changed for p in resuming.left_to_do(ledger.record, a_sweep(), "failed")] == [half.changed]


def test_a_papers_point_not_yet_started_comes_before_new_trials(started):
    _, ledger = started
    assert [p.index for p in resuming.left_to_do(ledger.record, a_sweep())] == [1]
    assert [(p.index, p.is_paper_point) for p in resuming.left_to_do(SweepRecord(), a_sweep())] == [(0, True)]


def test_a_sweep_is_over_when_no_trial_is_left_and_its_floor_is_known(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    trials(ledger, "done", "failed")
    over = [resuming.is_over(ledger.record, a_sweep(n_trials=2), [])]
    ledger.append("floor", score={})
    over += [resuming.is_over(ledger.record, a_sweep(n_trials=n), []) for n in (2, 3)]
    again = resuming.left_to_do(ledger.record, a_sweep(), "failed")
    assert [*over, resuming.is_over(ledger.record, a_sweep(n_trials=2), again)] == [False, True, False, False]


def test_a_leftover_ledger_is_not_adopted_by_another_search(started):
    experiment, ledger = started
    experiment.sweep.unlink()
    before = ledger.path.read_bytes()
    request = SweepRequest(space="vgan", budget="smoke", out=experiment.folder.parent, name=experiment.name)
    with pytest.raises(ConfigurationError, match=r"holds the ledger of a sweep of 'mvt_tsa' \(sweep.yaml is missing\)"):
        launch(request, address=None, dry_run=False, json_lines=False)
    assert (ledger.path.read_bytes(), list(experiment.folder.iterdir())) == (before, [ledger.path])


def test_a_ledger_of_another_search_beside_sweep_yaml_is_refused(started):
    experiment, ledger = started
    a_sweep(seed=7).save(experiment.sweep)
    with pytest.raises(ConfigurationError, match="seed: 0, now 7"):
        resuming.sweep_to_resume(experiment, ledger.record, None)


def test_a_search_is_continued_only_under_the_protocols_of_all_its_objectives():
    """Of S3 alone the digest is S3's own; a distance's changes it, and with it what a distance depends on."""
    facts = DataFacts("0" * 64, "plain_32", 4, (("train", 8), ("select", 4)))

    def digest(*objectives: str) -> str:
        return protocol_digest(a_sweep(overrides={"evaluation.objective": list(objectives)}), facts, "select")

    evaluation = a_sweep().run_config(PAPER, 0).evaluation
    assert digest("s3") == digest("s3", "-cost") == evaluation.s3_protocol.digest(facts, "select")
    others = [digest("-kvd"), digest("-fid"), digest("-kvd", "-fid")]
    assert len({digest("s3"), *others}) == 4
    assert digest("s3", "-kvd") == digest("-kvd")
