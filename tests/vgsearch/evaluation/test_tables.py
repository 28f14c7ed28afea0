"""Scores in tables, in JSON and in a trial's records."""

import io
import json
import math
import re
from typing import Any

from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vgsearch.evaluation.tables import Report, Scored, append_to_trial, model_name, print_scores
from vgsearch.experiment.paths import TrialFolder
from videogan.protocols.ladder import RUNGS


def of_s3(mean: float | None, subject: str = "step00000007", measure: str = "s3_r3d18_smoke_v2", **more: Any) -> Scored:
    part = {"mean": mean, "low": None if mean is None else mean - 0.1, "high": None if mean is None else mean + 0.1}
    found = {"digest": "abcdef0123", "split": "test", "covers": "4 groups of 32 clips, 3 classifier seeds"}
    found |= {"s3_of_guessing": 0.27, "bootstrap": {"s3": part}, "warnings": []}
    found |= dict.fromkeys(("s3", "ser", "res", "rer", "s3_chance_corrected"), part)
    return Scored(subject, measure, found | more)


def of_kvd(mean: float, subject: str = "step00000007", **more: Any) -> Scored:
    found = {"metric": "kvd", "digest": "987654aa", "split": "test", "mean": mean, "low": mean - 2, "high": mean + 3}
    found |= {"spread": 0.07, "per_seed": [mean - 1, mean, mean + 1], "n_repeats": 2, "n_samples": 128}
    found |= {"real": 0.84, "real_low": -0.5, "real_high": 2.1, "warnings": []}
    return Scored(subject, "kvd_r3d18_smoke_v2", found | more)


def of_blind_spots(subject: str = "step00000007", **more: Any) -> Scored:
    pairs = ("motion", "freezing_rate", "looping_rate", "repeats", "t_psnr", "t_dssim", "res", "res_of_shuffled_frames")
    found: dict[str, Any] = {name: {"synthetic": 0.2, "real": 0.9} for name in pairs}
    found |= {"memorisation_features": 4.5, "memorisation_pixels": None, "copies": 0.25, "flow_ratio": 0.6}
    found |= {"class_diversity": [0.7, None, 0.3]}
    return Scored(subject, "blind_spots", found | {"n_synthetic": 16, "warnings": []} | more)


GAM = Scored(
    "step00000007", "gam", {"score": 1.25, "r_test": 1.1, "against": "/x/t1/checkpoints/step9.pt", "warnings": []}
)
LADDER = ("held-back clips, other windows", "shuffled frames", "noise")


def report_of(*rows: Scored) -> Report:
    report = Report("/data", "f00d", "plain_32", ["bend", "jack"])
    for place, row in enumerate(rows):
        report.add((place, 0), row)
    return report


def printed(*rows: Scored, width: int = 100) -> str:
    console = Console(width=width, highlight=False, markup=False, record=True, file=io.StringIO())
    print_scores(rows, console)
    return console.export_text()


def test_rows_are_in_the_order_of_the_measures_not_of_completion():
    report = Report("/data", "f00d", "plain_32", ["a"])
    for place, row in ((2, GAM), (0, of_s3(0.5)), (1, of_kvd(3.0))):
        report.add(place, row)
    assert [row.measure for row in report.rows] == ["s3_r3d18_smoke_v2", "kvd_r3d18_smoke_v2", "gam"]


def test_json_holds_every_score_with_its_data_and_no_nan(tmp_path):
    report = report_of(of_s3(None), of_kvd(3.0), of_blind_spots())
    report.save(tmp_path / "new" / "folder")
    assert report.written == [tmp_path / "new" / "folder" / "scores.json"]

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(report.written[0].read_text(), parse_constant=refuse)
    assert (read["data"], read["manifest"], read["preprocessing"]) == ("/data", "f00d", "plain_32")
    assert read["classes"] == ["bend", "jack"]
    assert [row["measure"] for row in read["scores"]] == ["s3_r3d18_smoke_v2", "kvd_r3d18_smoke_v2", "blind_spots"]
    assert read["scores"][0]["found"]["s3"]["mean"] is None


def test_an_undefined_score_is_a_dash():
    assert math.isnan(of_s3(None).value)
    assert "0.00" not in printed(of_s3(None))
    assert "nan" not in printed(of_s3(None)).lower()


def columns(line: str) -> list[str]:
    """The cells of a line, which are at least two characters apart."""
    return re.split(r" {2,}", line.strip())


def test_a_table_has_score_digest_real_clips_with_intervals_and_the_better_direction():
    lines = printed(of_s3(0.62), of_kvd(28.7), GAM).splitlines()
    assert columns(lines[1]) == ["protocol", "digest", "score [95 %]", "real clips [95 %]", "better"]
    assert columns(lines[2]) == ["s3_r3d18_smoke_v2", "abcdef", "0.62 [0.52, 0.72]", "1.00", "higher"]
    kvd = ["kvd_r3d18_smoke_v2", "987654", "28.70 [26.70, 31.70]", "0.84 [-0.50, 2.10]", "lower"]
    assert columns(lines[3]) == kvd
    assert columns(lines[4]) == ["gam", "-", "1.25", "-", "above 1"]
    assert [line.strip() for line in lines[5:7]] == ["against t1-step9", "r_test 1.10"]
    parts = next(line for line in lines if "62.0 [52.0, 72.0]" in line)
    assert parts.split()[0] == "s3_r3d18_smoke_v2"
    assert "0.27" in parts


def test_one_note_says_what_the_intervals_cover():
    rows = [of_s3(0.6, rung, measure) for measure in ("s3_a_v2", "s3_b_v2") for rung in LADDER]
    lines = printed(*rows, *(of_kvd(3.0, rung) for rung in LADDER), width=200).splitlines()
    notes = [line for line in lines if "intervals cover" in line]
    assert notes == [
        "95 % intervals cover 4 groups of 32 test clips, 3 classifier seeds (s3_a_v2, s3_b_v2); "
        "3 classifier seeds (kvd_r3d18_smoke_v2)"
    ]
    assert "intervals cover" not in printed(GAM)


def test_the_ladder_of_seven_rungs_by_two_protocols_and_a_distance_is_one_table_of_100_columns():
    measures = ("s3_r3d18_laptop_v2", "s3_tsn_laptop_v2")
    rows = [of_s3(0.6, rung, measure) for measure in measures for rung in RUNGS]
    text = printed(*rows, *(of_kvd(310.25, rung) for rung in RUNGS))
    assert max(map(len, text.splitlines())) <= 100
    assert [line.split("  ")[0] for line in text.splitlines()[3:10]] == list(RUNGS)


def test_no_table_is_wider_than_100_columns_or_cut():
    longest = "s3_eco_lite_laptop_v2"
    text = printed(of_s3(0.62, measure=longest), of_kvd(1234.5), GAM, of_blind_spots())
    text += printed(*(of_s3(0.6, rung, f"{longest}+{i}") for rung in LADDER for i in range(5)))
    text += printed(*(of_blind_spots(rung) for rung in LADDER))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text


def test_several_subjects_are_rows_and_their_protocols_columns():
    scores = dict(zip(LADDER, (1, 0.5, 0.3), strict=True))
    rows = [of_s3(scores[rung], rung, measure) for measure in ("s3_a_v2", "s3_b_v2") for rung in LADDER]
    lines = printed(*rows, *(of_kvd(3.0, rung) for rung in LADDER)).splitlines()
    assert lines[1].split() == ["s3_a_v2", "s3_b_v2", "kvd_r3d18_smoke_v2"]
    s3 = "1.00 [0.90, 1.10]"
    assert columns(lines[3]) == [LADDER[0], s3, s3, "3.00 [1.00, 6.00]"]
    assert lines[5].startswith("noise")
    assert columns(lines[6]) == ["(real clips)", "-", "-", "0.84 [-0.50, 2.10]"]
    assert columns(lines[7]) == ["(guessing)", "0.27", "0.27", "-"]
    # Each table has as many columns as fit.
    assert sum(line.startswith("noise") for line in printed(*rows, width=60).splitlines()) == 2


def test_blind_spots_are_shown_beside_those_of_real_clips():
    text = printed(of_blind_spots())
    motion = next(line for line in text.splitlines() if line.startswith("motion"))
    assert motion.split()[1:3] == ["0.20", "0.90"]
    ratio = next(line for line in text.splitlines() if line.startswith("flow ratio"))
    assert ratio.split()[2:4] == ["0.60", "1.00"]
    diversity = next(line for line in text.splitlines() if line.startswith("diversity"))
    assert diversity.split()[1] == "0.30"  # the least; a class without a value has none
    many = printed(*(of_blind_spots(rung) for rung in LADDER))
    assert "(real test clips)" in many


def test_a_warning_is_printed_once_with_its_subjects_unless_it_is_about_all():
    rows = [of_kvd(1.0, rung, warnings=["biased."]) for rung in LADDER]
    rows[2].found["warnings"].append("frozen.")
    notes = [line for line in printed(*rows).splitlines() if line.startswith("note")]
    assert notes == ["note: kvd_r3d18_smoke_v2: biased.", "note: kvd_r3d18_smoke_v2 of noise: frozen."]


def test_scores_are_added_to_the_trials_records_at_the_step_of_the_checkpoint(tmp_path):
    folder = TrialFolder(tmp_path)
    folder.metrics.write_text('{"step": 50, "loss": 1.0}\n')
    append_to_trial(folder, 25, [of_s3(None), of_kvd(3.0), GAM, of_blind_spots()])
    before, line = map(json.loads, folder.metrics.read_text().splitlines())
    assert before == {"step": 50, "loss": 1.0}
    expected = {"kvd_r3d18_smoke_v2": 3.0, "gam/t1-step9": 1.25, "blind_spots/memorisation_features": 4.5}
    expected |= {f"blind_spots/{n}": 0.2 for n in ("motion", "freezing_rate", "looping_rate")}
    expected |= {f"blind_spots/{n}": 0.2 for n in ("repeats", "t_psnr", "t_dssim", "res")}
    expected |= {"blind_spots/res_of_shuffled_frames": 0.2, "blind_spots/flow_ratio": 0.6}
    expected |= {"blind_spots/copies": 0.25}
    assert line == {"step": 25} | {f"evaluation/{name}": value for name, value in expected.items()}
    events = EventAccumulator(str(folder.tensorboard)).Reload()
    point = events.Scalars("evaluation/kvd_r3d18_smoke_v2")[0]
    assert (point.step, point.value) == (25, 3.0)


def test_a_model_has_the_name_of_its_trial_and_checkpoint_or_of_its_file():
    assert model_name("/runs/a/trials/t0007-3fa9c1/checkpoints/step00000050.pt") == "t0007-3fa9c1-step00000050"
    assert model_name("/somewhere/generator.pt") == "generator"
