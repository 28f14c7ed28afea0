"""Each vital is printed by a plain name with its unit; one that was not measured is a dash."""

from dataclasses import fields

from vgsearch.terminal.vitals import vitals_lines
from videogan.training.health import Vitals


def values_of(lines: list[str]) -> dict[str, str]:
    """The values by the vitals' plain names."""
    pairs = [line.split("  ", 1) for line in lines]
    return {called: value.strip() for called, value in pairs}


def test_every_vital_has_a_plain_name():
    lines = vitals_lines({field.name: 0.5 for field in fields(Vitals)})
    assert not [field.name for field in fields(Vitals) for line in lines if field.name in line]
    assert len(lines) == sum(not field.name.endswith("_real") for field in fields(Vitals))


def test_shares_are_percentages_ratios_are_multiples_and_real_clips_stand_beside():
    values = values_of(vitals_lines({"still_frames": 0.55, "still_frames_real": 0.01, "flow_ratio": 0.2}))
    assert values["frames that repeat the frame before"] == "55 %   real clips 1 %"
    assert values["speed by optical flow, against real clips"] == "0.2 times"


def test_what_an_older_look_did_not_measure_is_a_dash_and_not_zero():
    values = values_of(vitals_lines({"freezing": 0.0, "freezing_real": 0.0}))
    assert values["clips that hardly move"] == "0 %   real clips 0 %"
    assert values["frames that repeat the frame before"] == "-"
    assert values["speed by optical flow, against real clips"] == "-"


def test_a_vital_of_a_newer_version_is_printed_by_its_own_name():
    assert vitals_lines({"sharpness": 0.5})[-1] == "sharpness 0.5"
