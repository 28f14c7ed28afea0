"""`vgsearch report` writes one offline file and a folder of Markdown and pictures for every kind of sweep."""

import json
import math
import re
import shlex
import time
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from vgsearch.cli import app
from vgsearch.evaluation.confirmation import confirmed, points_to_confirm, save
from vgsearch.experiment.ledger import Ledger, read_events, read_ledger
from vgsearch.experiment.paths import Experiment, run_id, short_id
from vgsearch.report.clock import SweepClock
from vgsearch.report.experiment import training_command
from vgsearch.report.tables import trials_table
from vgsearch.runtime.sweep.reporting import page_of, subject_of
from vgsearch.space.space import parse_override
from vgsearch.space.sweep import load_sweep
from vgsearch.terminal.words import number

DONE, PRUNED = ("done", ""), ("pruned", "")
DIVERGED, FAILED = ("diverged", "g_image is not finite"), ("failed", "KeyError")
SECONDS_OF_STATUS, SECONDS_OF_REPORT = 1, 30  # for 1,000 trials


def written(experiment: Experiment, out: Path) -> tuple[str, str]:
    """The page and the Markdown of `vgsearch report`."""
    result = CliRunner().invoke(app, ["report", str(experiment.folder), "--out", str(out)])
    assert result.exit_code == 0, result.output + str(result.exception)
    html, markdown = map(Path, result.output.splitlines()[-2:])
    return html.read_text(), markdown.read_text()


def charts(html: str) -> dict[str, dict]:
    found = re.findall(r'<script type="application/json" data-chart="chart-([^"]+)">(.*?)</script>', html, re.DOTALL)
    return {name: json.loads(values) for name, values in found}


@pytest.mark.parametrize(
    ("n_trials", "ends", "objective", "finished"),
    [(12, [DONE, PRUNED, DIVERGED], "s3", True), (9, [DONE, FAILED], "-kvd", True), (1, [DONE], "s3", True),
     (4, [DIVERGED, FAILED], "s3", True), (3, [DONE, ("running", "")], "s3", False), (0, [DONE], "s3", False)],
)  # fmt: skip
def test_every_kind_of_sweep_has_a_report(write_sweep, tmp_path, n_trials, ends, objective, finished):
    experiment = write_sweep("s", n_trials, ends=ends, objective=objective, finished=finished, samples=n_trials == 12)
    html, markdown = written(experiment, tmp_path / "reports")
    record = read_ledger(experiment.ledger)
    for trial in record.trials:
        assert trial in html
    assert not re.search(r"\bnan\b", markdown.lower())
    assert f"trials used</span><b>{len(record.done)} of {n_trials}</b>" in html
    assert ("No trial was scored" in html) == (not record.done)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", markdown)
    assert {Path(name).suffix for name in pictures} <= {".png", ".gif"}
    for name in pictures:
        with Image.open(tmp_path / "reports" / "s" / name) as image:
            assert image.width > 100
    assert ("samples.gif" in pictures) == (n_trials == 12)


def test_the_page_loads_nothing_and_contains_plotly_once(write_sweep, tmp_path):
    html, _ = written(write_sweep("s", 3), tmp_path)
    assert html.count("* plotly.js v") == 1
    assert "default-src 'none'" in html
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)=\"(?!data:)", html)


def test_names_and_reasons_are_text_and_never_markup(write_sweep, tmp_path):
    evil = '<img src=x onerror="document.title=1"></script><b>\x1b[2J\u202e'
    experiment = write_sweep("a<b>&`|", 4, ends=[DONE, ("failed", evil)], samples=True)
    html, markdown = written(experiment, tmp_path / "reports")
    assert evil not in html
    assert "<b>&amp;`|" not in html
    assert "&lt;img src=x" in html
    assert "<img" not in markdown.replace("\\<img", "")
    assert "a\\<b\\>&\\`\\|" in markdown
    assert not {"\x1b", "\u202e"} & set(html + markdown)


def test_the_report_is_written_beside_the_experiment_and_opened_if_asked(write_sweep, tmp_path, monkeypatch):
    experiment, opened = write_sweep("s", 2), []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda page: opened.append(page) or True)
    result = CliRunner().invoke(app, ["report", "s", "--open"])
    assert result.output.splitlines() == ["s/report.html", "s/report/README.md"]
    assert opened == [experiment.report.as_uri()]
    assert {path.name for path in tmp_path.iterdir()} == {"s"}
    monkeypatch.setattr("webbrowser.open", lambda page: False)
    write_sweep("other", 2)
    result = CliRunner().invoke(app, ["compare", "s", "other", "--open"])
    assert result.stdout.splitlines() == ["compare-s-other/report.html", "compare-s-other/README.md"]
    assert "--open found no browser on this machine" in result.stderr


def test_the_trials_are_sortable_with_the_scored_ones_on_top_from_best_to_worst(write_sweep, tmp_path):
    experiment = write_sweep("s", 12, ends=[PRUNED, DONE, DIVERGED])
    subject = subject_of(experiment.folder)
    table = trials_table(subject.record, subject.scored)
    ids = [row[0].lstrip("*") for row in table.rows]
    rest = [trial for trial in subject.record.trials.values() if trial.state != "done"]
    assert ids == [short_id(trial.trial_id) for trial in [*subject.scored, *rest]]
    assert table.rows[0][0].startswith("*")
    html, _ = written(experiment, tmp_path / "reports")
    assert '<table class="sortable">' in html


def test_classes_have_names_while_data_and_cache_are_elsewhere(write_sweep, tmp_path):
    experiment = write_sweep("s", 2, samples=True)
    numbered, _ = written(experiment, tmp_path / "reports")
    assert 'title="class 3">' in numbered
    names = ["left", "right", "up", "<down>"]
    load_sweep(experiment.sweep).model_copy(update={"class_names": names}).save(experiment.sweep)
    html, markdown = written(experiment, tmp_path / "reports")
    assert all(f'title="{name}">' in html for name in ("left", "right", "up", "&lt;down&gt;"))
    assert "Rows: left, right, up, \\<down\\>." in markdown


def test_nan_is_drawn_as_a_gap(write_sweep, tmp_path):
    experiment = write_sweep("s", 2)
    ledger = Ledger(experiment.ledger)
    ledger.append("look", trial="t0001-000001", step=200, look=math.nan, losses={"d_image": math.nan})
    html, _ = written(experiment, tmp_path)
    curves = [trace for trace in charts(html)["looks"]["data"] if None in trace["y"]]
    drawn = {(x, y) for trace in curves for x, y in zip(trace["x"], trace["y"], strict=True)}
    assert (200, None) in drawn
    assert "NaN" not in json.dumps(charts(html))


def test_health_findings_are_shown_with_their_evidence(write_sweep, tmp_path):
    experiment = write_sweep("s", 2)
    health = {"states": {"mode collapse": "samples differ 0.05 times as much"}, "vitals": {}}
    Ledger(experiment.ledger).append("look", trial="t0001-000001", step=200, look=0.3, losses={}, health=health)
    for text in written(experiment, tmp_path):
        assert "Health at the newest look" in text
        assert "samples differ 0.05 times as much" in text


def test_only_scored_trials_are_drawn_as_scores(write_sweep, tmp_path):
    experiment = write_sweep("s", 12, ends=[DONE, PRUNED, DIVERGED, FAILED])
    html, _ = written(experiment, tmp_path)
    dots = [len(trace["x"]) for trace in charts(html)["score-against-time"]["data"] if trace["mode"] == "markers"]
    assert sum(dots) == len(read_ledger(experiment.ledger).done) == 3


def test_the_command_and_the_config_of_each_trial_are_shown(write_sweep, tmp_path):
    experiment = write_sweep("s", 3)
    html, markdown = written(experiment, tmp_path)
    assert "vgsearch tune mvt_tsa --name s" in html
    assert "vgsearch tune mvt_tsa --name s" in markdown
    for index in range(3):
        assert f"seed: {index}\nmodel: {{variant: mvt_tsa}}" in html


def test_the_command_to_retrain_a_trial_gives_the_same_config(write_sweep):
    subject = subject_of(write_sweep("s", 6).folder)
    for trial in subject.record.trials.values():
        trial.changed = {"loop.batch_size": 8} if trial.index == 3 else {}
        typed = shlex.split(training_command(subject.sweep, trial))
        overrides = dict(parse_override(text) for option, text in pairwise(typed) if option == "--set")
        seed = int(typed[typed.index("--seed") + 1])
        sweep = subject.sweep.model_copy(update={"overrides": overrides, "seed": seed})
        config = subject.sweep.run_config(trial.overrides | trial.changed, trial.index)
        assert sweep.run_config(sweep.paper_points[0], 0) == config


def test_the_command_to_retrain_a_trial_of_a_users_space_names_its_file(write_sweep):
    subject = subject_of(write_sweep("s", 1).folder)
    (trial,) = subject.record.trials.values()
    sweep = subject.sweep.model_copy(update={"space_source": "/home/me/my space.yaml"})
    assert shlex.split(training_command(sweep, trial))[2] == "/home/me/my space.yaml"


def headline(experiment: Experiment) -> dict[str, tuple[str, str]]:
    """Value and note of each number at the top of the report, by its name."""
    return {name: (value, note) for name, value, note in page_of(experiment.folder).headline}


def test_results_on_fresh_seeds_are_shown_beside_the_best(write_sweep, tmp_path):
    experiment, seeds = write_sweep("s", 6), [500_000, 500_001, 500_002]
    ledger = Ledger(experiment.ledger)
    points = points_to_confirm(ledger.record, 1)
    for at, point in enumerate(points):
        for seed in seeds:
            run = run_id(point.trial_id, seed)
            ledger.append("confirm_trial_started", trial=run, index=seed, overrides=point.overrides,
                          is_paper_point=point.is_paper_point, n_steps=9)  # fmt: skip
            s3 = 0.5 - 0.1 * at + 0.01 * (seed % 10)
            ledger.append("confirm_trial_ended", trial=run, state="done", scores={"s3": s3})
    before, _ = written(experiment, tmp_path)
    assert "The interval covers 3 groups of 16 clips, 3 classifier seeds, not trainings." in before
    assert "vgsearch confirm trains it again" in before
    assert headline(experiment)["S3 on test"] == ("-", "vgsearch confirm measures it")
    save(experiment.confirm, confirmed(ledger.record, 1, seeds), ledger.record, seeds)
    html, markdown = written(experiment, tmp_path)
    best = points[0].trial_id[:5]
    assert headline(experiment)["S3 on test"] == ("0.51", f"[0.49, 0.53] {best}, 3 of 3 fresh seeds")
    assert best in headline(experiment)["best S3 on select"][1]
    assert "Trained again on 3 fresh seeds" in html
    assert "0.51 \\[0.49, 0.53\\]" in markdown
    assert "vgsearch confirm trains it again" not in html
    assert "6 trainings of 2 points that confirm trained again" in html
    assert "This search scored 6 points with one seed: if all were equally good" in html
    assert "is unknown" not in html
    assert "trials used</span><b>6 of 6" in html, "runs of confirm are not trials of the search"


def train_with_several_seeds(experiment: Experiment, spreads: list[float]) -> None:
    """Make each trial's score one of trainings that differ from it by `spreads`, which have mean 0."""
    events = list(read_events(experiment.ledger))
    for event in events:
        if event["event"] == "trial_ended":
            for name, value in event["scores"].items():
                event["score"].setdefault("over_training_seeds", {})[name] = [value + spread for spread in spreads]
    experiment.ledger.write_text("".join(json.dumps(event) + "\n" for event in events))
    load_sweep(experiment.sweep).model_copy(update={"seeds_per_trial": len(spreads)}).save(experiment.sweep)


@pytest.mark.parametrize("objective", ["s3", "-kvd"])
def test_the_signal_of_several_seeds_is_shown_with_what_it_means_for_the_search(write_sweep, tmp_path, objective):
    experiment = write_sweep("s", 6, objective=objective)
    train_with_several_seeds(experiment, [-0.02, 0.03, -0.01])
    html, markdown = written(experiment, tmp_path)
    trials = read_ledger(experiment.ledger).done
    values = [trial.scores[objective.strip("-")] for trial in trials]
    # Each point's trainings have variance .0007. The largest of 6 normal values is expected 1.26721 above their mean.
    luck, mean = 1.26721 * math.sqrt(0.0007 / 3), sum(values) / 6
    lead, above = (max(values) - mean, "above") if objective == "s3" else (mean - min(values), "below")
    assert (
        f"This search scored 6 points with 3 seeds each: if all were equally good, retraining alone would put the best "
        f"{number(luck)} {above} their mean; the best of this search is {number(lead)} {above} the mean."
    ) in html
    assert "<dt>measured on</dt><dd>18 trainings of 6 points of this search</dd>" in html
    assert "<dd>the rest: a standard deviation of 0.026 a training</dd>" in html
    assert "tell two points 0.05 apart" in markdown or objective == "-kvd"
    assert "One trial, one seed" not in html
    assert "is unknown" not in html


def test_a_lead_that_luck_explains_is_said_to_be_one(write_sweep, tmp_path):
    experiment = write_sweep("s", 6)
    train_with_several_seeds(experiment, [-0.8, 0.8])
    assert "above the mean, which luck explains." in written(experiment, tmp_path)[0]


def test_a_search_of_one_seed_says_which_command_measures_its_signal(write_sweep, tmp_path):
    html, _ = written(write_sweep("s", 6), tmp_path)
    assert "is unknown, for each point was trained once: vgsearch confirm" in html
    unscored, _ = written(write_sweep("u", 2, ends=[FAILED]), tmp_path)
    assert "vgsearch confirm" not in unscored


def test_a_pause_does_not_count_as_time_of_the_sweep(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("vgsearch.experiment.ledger.time.time", lambda: now[0])
    ledger = Ledger(tmp_path / "ledger.jsonl")
    started = {"index": 0, "overrides": {}, "is_paper_point": True, "n_steps": 2}
    ledger.append("trial_started", trial="t0000-a", **started)
    now[0] = 1000.0 + 3600
    ledger.append("trial_ended", trial="t0000-a", state="interrupted", step=1)
    now[0] = 1000.0 + 10 * 3600
    ledger.append("trial_started", trial="t0000-a", **started)
    now[0] = 1000.0 + 12 * 3600
    ledger.append("trial_ended", trial="t0000-a", state="done", step=2)
    clock = SweepClock(ledger.record)
    assert clock.total_hours == 3
    at = [clock.hours(1000.0 + 3600 * hour) for hour in (-1, 0, 0.5, 1, 5, 10, 11, 12, 20)]
    assert at == [0, 0, 0.5, 1, 1, 1, 2, 3, 3]


def test_an_experiment_without_a_ledger_is_refused(write_sweep, tmp_path):
    experiment = write_sweep("s", 1)
    experiment.ledger.unlink()
    result = CliRunner().invoke(app, ["report", str(experiment.folder)])
    assert "no sweep has run there" in str(result.exception)


@pytest.mark.slow  # bounds on time
def test_a_thousand_trials_are_listed_and_drawn_in_time(write_sweep, tmp_path):
    """Measures CPU seconds of this process, which depend less on the machine's load than wall time."""
    experiment = write_sweep("s", 1000, ends=[DONE, DONE, PRUNED, DIVERGED, FAILED])
    began = time.process_time()
    shown = CliRunner().invoke(app, ["status", str(experiment.folder)])
    assert time.process_time() - began < SECONDS_OF_STATUS
    assert shown.output.count("\n") > 1000
    began = time.process_time()
    written(experiment, tmp_path)
    assert time.process_time() - began < SECONDS_OF_REPORT


def test_the_best_of_the_report_is_the_best_of_the_ledger(write_sweep):
    for objective in ("s3", "-kvd"):
        experiment = write_sweep(f"by{objective}", 9, objective=objective)
        subject = subject_of(experiment.folder)
        assert subject.scored[0] is subject.record.best
        assert subject.record.best.trial_id[:5] in page_of(experiment.folder).headline[0][2]


@pytest.mark.parametrize("n_done", [1, 2, 5])
def test_few_done_trials_have_no_chart_of_one_dot_and_a_floor_only_where_it_is_drawn(
    write_sweep, tmp_path, n_done: int
):
    experiment = write_sweep("s", n_done, ends=[DONE], finished=True)
    html, markdown = written(experiment, tmp_path / "reports")
    of_dots = {"score-against-time", "score-against-steps", "score-against-cost", "expected-best"}
    found = charts(html)
    assert (of_dots & set(found)) == (of_dots if n_done > 1 else set())
    assert ("too few for a chart" in html) == (n_done == 1)
    for values in found.values():
        for trace in values["data"]:
            if trace["showlegend"] and trace["name"] == "untrained generator":
                (low, high), floor = trace["x"], trace["y"]
                assert low < high
                assert None not in floor
    assert re.search("better than|worse than|not distinguishable|not compared", markdown.lower())
