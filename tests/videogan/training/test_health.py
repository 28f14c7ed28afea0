"""Health: each state shows when it should, never for real clips, and stops a training only if configured."""

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from videogan.config import ConfigurationError, parse_config
from videogan.data.decode import decode
from videogan.data.preprocessing import preprocessing_named
from videogan.families import FAMILIES
from videogan.losses import hinge_discriminator_loss, non_saturating_discriminator_loss
from videogan.metrics.motion_health import repeat_single_frame
from videogan.training.health import (
    EXPLODED_GRADIENT,
    N_BEFORE,
    N_NEWEST,
    Course,
    HealthConfig,
    SampleCheck,
    State,
    Vitals,
    reason_to_stop,
    states,
)

T, SIZE, N_CLASSES = 16, 24, 3
LABELS = torch.arange(24) % N_CLASSES
HINGE = {"image": 2.0, "video": 4.0}
STEADY = {"gradient_g": 1.0, "gradient_d": 3.0, "weight_g": 10.0, "weight_d": 20.0}


def moving_squares(seed: int, speed: float = 1.0, period: int | None = None) -> Tensor:
    """A clip for each label, uint8 (n, T, H, W, 3): a square on grey, its direction is the class."""
    rng = torch.Generator().manual_seed(seed)
    clips = torch.full((len(LABELS), T, SIZE, SIZE, 3), 30, dtype=torch.uint8)
    for clip, label in zip(clips, LABELS.tolist(), strict=True):
        colour, place = torch.randint(60, 256, (3,), generator=rng), torch.randint(SIZE, (2,), generator=rng)
        steps = 1 + torch.rand(1, generator=rng).item()
        for t, frame in enumerate(clip):
            moved = round(speed * steps * (t if period is None else t % period))
            x, y = (int(place[axis]) + moved * ((1, 0), (0, 1), (1, 1))[label][axis] for axis in (0, 1))
            columns, rows = torch.arange(x, x + 7) % SIZE, torch.arange(y, y + 7) % SIZE
            frame[rows[:, None], columns] = colour.to(torch.uint8)
    return clips


def features_of(frames: Tensor) -> Tensor:
    """(n, d): the pixels of every fourth frame, row and column."""
    return frames[:, ::4, ::4, ::4].float().flatten(1)


def shown(frames: Tensor) -> dict[State, str]:
    """The states of samples compared with other real clips of the same kind, in a healthy training."""
    real = moving_squares(seed=0)
    check = SampleCheck(real, features_of(real), LABELS, N_CLASSES)
    return states(Course(HINGE).vitals(check(frames, features_of(frames))))


def course(guessing: dict[str, float] = HINGE, n: int = N_BEFORE + N_NEWEST) -> Course:
    trained = Course(guessing)
    for _ in range(n):
        trained.norms(STEADY)
    return trained


def test_real_clips_are_healthy():
    for seed in (1, 2, 3):
        assert shown(moving_squares(seed)) == {}


def test_clips_of_one_frame_are_frozen_and_nothing_else():
    found = shown(repeat_single_frame(moving_squares(1), seed=0))
    assert set(found) == {"frozen"}
    assert "100 % of the samples hardly move, 0 % of real clips" in found["frozen"]


def test_clips_that_return_every_four_frames_are_looping_and_nothing_else():
    assert set(shown(moving_squares(1, period=4))) == {"looping"}


def test_one_clip_for_each_class_is_a_mode_collapse_however_well_it_moves():
    clips = moving_squares(1)
    assert set(shown(clips[LABELS])) == {"mode collapse"}
    assert "0.00 times" in shown(clips[LABELS])["mode collapse"]


def test_one_or_two_collapsed_classes_among_many_do_not_change_the_median():
    clips = moving_squares(1)
    one, two = ((n > LABELS)[:, None, None, None, None] for n in (1, 2))
    assert shown(torch.where(one, clips[LABELS], clips)) == {}
    assert set(shown(torch.where(two, clips[LABELS], clips))) == {"mode collapse"}


def test_any_discriminator_is_saturated_below_a_hundredth_of_its_loss_of_guessing():
    for losses, expected in (
        ({"d_image": 1.3, "d_video": 2.5}, False),
        ({"d_image": 0.021, "d_video": 2.5}, False),
        ({"d_image": 0.019, "d_video": 2.5}, True),
        ({"d_image": 1.3, "d_video": 0.039}, True),
    ):
        trained = course()
        for _ in range(4):
            trained.step({**losses, "g_image": 0.0})
        assert ("D saturated" in states(trained.vitals({}))) == expected, losses


def test_only_losses_since_the_last_look_count():
    trained = course()
    trained.step({"d_image": 0.0, "d_video": 0.0})
    assert "D saturated" in states(trained.vitals({}))
    trained.step({"d_image": 1.0, "d_video": 1.0})
    assert states(trained.vitals({})) == {}
    assert math.isnan(trained.vitals({}).loss_share), "no step since the last look"


def test_a_wasserstein_loss_near_zero_is_healthy_but_a_vanishing_gradient_of_g_is_not():
    trained = course(guessing={})
    trained.step({"d_video": 0.0})
    assert states(trained.vitals({})) == {}
    for _ in range(N_NEWEST):
        trained.norms({**STEADY, "gradient_g": 0.009})
    assert states(trained.vitals({})) == {"D saturated": "G's gradient 0.9 % of the run's median"}


@pytest.mark.parametrize("player", ["g", "d"])
def test_norms_explode_against_the_run_itself(player: str):
    trained = course()
    trained.norms({**STEADY, f"gradient_{player}": 1e9})
    assert states(trained.vitals({})) == {}, "one spike is no trend"
    for _ in range(N_NEWEST):
        trained.norms({**STEADY, f"gradient_{player}": 1.01 * EXPLODED_GRADIENT * STEADY[f"gradient_{player}"]})
    assert states(trained.vitals({})) == {"exploding norms": "gradients 101 times as long as the run's median"}
    grown = course()
    grown.norms({**STEADY, f"weight_{player}": 11 * STEADY[f"weight_{player}"]})
    assert states(grown.vitals({})) == {"exploding norms": "weights 11 times as long as at the run's beginning"}


def test_too_short_a_run_has_no_usual_norm():
    trained = course(n=N_BEFORE - 1)
    for _ in range(N_NEWEST):
        trained.norms({**STEADY, "gradient_g": math.inf})
    assert math.isnan(trained.vitals({}).gradient_growth)
    trained.norms({**STEADY, "gradient_g": math.inf})
    assert trained.vitals({}).gradient_growth == math.inf


def test_states_are_ordered_worst_first_and_unknown_vitals_give_none():
    everything = Vitals(0.0, math.nan, 1e3, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0)
    assert tuple(states(everything)) == tuple(state for state in get_args(State) if state != "slow motion")
    slow = {
        "still_frames": 1.0,
        "still_frames_real": 0.0,
        "still_frames_at_pace": 0.0,
        "freezing_at_pace": 0.0,
        "flow_ratio": 0.25,
    }
    slow_too = replace(everything, freezing=0.0, **slow)
    assert tuple(states(slow_too)) == tuple(state for state in get_args(State) if state != "frozen")
    assert states(Vitals()) == {}


def test_the_vitals_of_an_older_record_are_read_and_what_it_lacks_is_unknown_and_never_zero():
    older = {"freezing": 0.9, "freezing_real": 0.1, "looping": 0.0, "looping_real": 0.0}
    vitals = Vitals.of(older)
    assert vitals.measured() == older
    assert math.isnan(vitals.still_frames)
    assert set(states(vitals)) == {"frozen"}
    assert states(Vitals.of({**older, "freezing": 0.1})) == {}


def test_vitals_are_restored_from_their_measured_values():
    vitals = Vitals(loss_share=0.3, class_diversity=0.7)
    assert vitals.measured() == {"loss_share": 0.3, "class_diversity": 0.7}
    assert states(Vitals.of({**Vitals(freezing=1.0, freezing_real=0.0).measured(), "look": 0.5}))


def test_a_training_is_stopped_by_a_named_state_at_enough_looks_in_a_row_and_by_nothing_else():
    config = HealthConfig(stop_on=("frozen", "mode collapse"), n_looks=2)
    frozen, collapsed, looping = ({state: "so"} for state in ("frozen", "mode collapse", "looping"))
    assert reason_to_stop([frozen], config) is None
    assert reason_to_stop([frozen, {}, frozen], config) is None
    assert reason_to_stop([frozen, collapsed], config) is None
    assert reason_to_stop([looping] * 9, config) is None
    assert reason_to_stop([{}, frozen, {**frozen, **collapsed}], config) == "frozen at 2 looks in a row: so"
    assert reason_to_stop([frozen] * 9, HealthConfig()) is None


def test_the_rule_is_off_by_default_and_refuses_settings_without_effect():
    assert HealthConfig().stop_on == ()
    with pytest.raises(ConfigurationError, match=r"n_looks = 2 has no effect without health.stop_on"):
        parse_config(HealthConfig, {"n_looks": 2})
    with pytest.raises(ConfigurationError, match="mode collapse"):
        parse_config(HealthConfig, {"stop_on": ["collapse"]})


@pytest.mark.parametrize(
    ("family", "settings", "expected"),
    [
        ("mvt", {"lambda_vid": 2}, {"image": 2.0, "video": 4.0}),
        ("mvt", {"lambda_img": 0}, {"video": 2.0}),
        ("mocogan", {}, {"image": 2 * math.log(2), "video": 2 * math.log(2)}),
        ("mdp", {}, {"image": 2 * math.log(2), "video": 2 * math.log(2)}),
        ("dvdgan", {"lambda_temporal": 0.5}, {"spatial": 2.0, "temporal": 1.0}),
        ("pvgan", {}, {}),
        ("tganv2", {"resolution": 32}, {f"level_{i}": 2 * math.log(2) / 3 for i in (1, 2, 3)}),
        ("vgan", {"n_frames": 16}, {"video": 2 * math.log(2)}),
        ("vgan", {"n_frames": 16, "loss": "wgan_svc"}, {}),
        ("tgan", {"regulariser": "none"}, {"video": 2 * math.log(2)}),
        ("tgan", {"regulariser": "svc"}, {}),
        ("volume3d", {"regulariser": "weight_clip"}, {}),
    ],
)
def test_families_give_the_losses_of_guessing_discriminators(family: str, settings: dict, expected: dict):
    config = FAMILIES[family].config_type(n_classes=3, **settings)
    assert FAMILIES[family].losses_of_guessing(config) == pytest.approx(expected)


def test_the_losses_of_guessing_are_the_losses_of_zeros():
    zeros = torch.zeros(5)
    assert hinge_discriminator_loss(zeros, zeros) == 2
    assert non_saturating_discriminator_loss(zeros, zeros).item() == pytest.approx(2 * math.log(2))


def test_real_clips_of_people_are_healthy_beside_those_of_other_people():
    folder = Path("/work/shared/data/weizmann4")
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    plain = preprocessing_named("plain_32")
    halves: list[list[Tensor]] = [[], []]
    labels = []
    for label, kind in enumerate(sorted(folder.iterdir())):
        clips = [torch.from_numpy(decode(path, plain, n_frames=T)) for path in sorted(kind.iterdir())]
        n = len(clips) // 2
        labels += [label] * n
        for half, shown in zip(halves, (clips[:n], clips[n : 2 * n]), strict=True):
            half += shown
    real, others = (torch.stack(half) for half in halves)
    check = SampleCheck(real, features_of(real), torch.tensor(labels), 4)
    assert states(Vitals(**check(others, features_of(others)))) == {}
    assert set(states(Vitals(**check(repeat_single_frame(others, 0), features_of(others))))) == {"frozen"}
