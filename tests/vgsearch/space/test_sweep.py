"""A proposal becomes a run's configuration; what cannot train is refused before anything starts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.builders import CONSTRAINT, N_CLIP, space_values, tiny_sweep
from vgsearch.cli import app
from vgsearch.experiment.paths import Experiment
from vgsearch.space.space import installed_spaces, load_space, parse_space
from vgsearch.space.sweep import Sweep, load_sweep, refuse_untrainable
from vgsearch.space.yaml_text import read_yaml
from videogan.config import ConfigurationError
from videogan.protocols import PROTOCOLS

PAPER = load_space("mvt_tsa").paper_points[0]


def a_sweep(space: str = "mvt_tsa", domains: dict[str, Any] | None = None, **settings: Any) -> Sweep:
    return tiny_sweep(space_values(space, domains), **settings)


def test_the_budget_overrides_the_base_the_proposal_the_budget_and_set_options_all_of_them():
    config = a_sweep(overrides={"model.channels": 4, "loop.n_steps": 7}).run_config({**PAPER, "model.sigma_a": 0.3}, 0)
    assert (config.model.variant, config.model.channels, config.model.gru_hidden) == ("mvt_tsa", 4, 256)
    assert (config.model.sigma_a, config.model.sigma_b, config.loop.n_steps) == (0.3, 1.0, 7)
    assert config.model.n_classes == 4


@pytest.mark.parametrize("space", [name for name in installed_spaces() if not load_space(name).is_of_program])
def test_networks_of_grey_data_are_grey_unless_the_user_sets_their_colours(space: str):
    def colours(**settings: Any) -> int:
        sweep = tiny_sweep(space, **settings)
        return sweep.run_config(sweep.paper_points[0], 0).model.colours

    assert colours() == 3
    assert colours(n_colours=1) == 1
    assert colours(n_colours=1, overrides={"model.n_colours": 3}) == 3


def test_each_trial_has_its_own_seed_unless_the_seed_is_set():
    assert [a_sweep(seed=10).run_config(PAPER, index).seed for index in range(3)] == [10, 11, 12]
    assert [a_sweep(overrides={"seed": 5}).run_config(PAPER, index).seed for index in range(3)] == [5, 5, 5]


def test_a_domain_that_is_set_is_not_searched_and_has_no_value_in_the_papers_point():
    sweep = a_sweep(overrides={"model.sigma_a": 0.3, "loop.n_steps": 7})
    assert set(load_space("mvt_tsa").domains) - set(sweep.domains) == {"model.sigma_a"}
    assert sweep.paper_points == [{path: value for path, value in PAPER.items() if path != "model.sigma_a"}]
    assert sweep.run_config(sweep.paper_points[0], 0).model.sigma_a == 0.3


def test_setting_a_condition_activates_its_domain_at_the_fields_default():
    sweep = a_sweep(overrides={CONSTRAINT: "svc"})
    sweep.refuse_impossible_domains()
    assert N_CLIP in sweep.domains
    assert sweep.paper_points[0][N_CLIP] == sweep.run_config({}, 0).model.n_clip == 5


def test_ruling_a_condition_out_removes_its_domain():
    sweep = a_sweep(overrides={CONSTRAINT: "spectral_norm"})
    sweep.refuse_impossible_domains()
    assert N_CLIP not in sweep.domains
    assert N_CLIP not in sweep.paper_points[0]


def test_a_paper_point_under_a_condition_does_not_refuse_the_other_choice():
    points = [{**PAPER, CONSTRAINT: "svc", N_CLIP: 1}]
    tiny_sweep(space_values(paper_points=points)).refuse_impossible_domains()


def test_a_trials_id_depends_only_on_its_configuration():
    sweep = a_sweep()
    same, again = sweep.run_config(PAPER, 3), sweep.run_config(dict(reversed(PAPER.items())), 3)
    other = sweep.run_config({**PAPER, "model.sigma_a": 0.51}, 3)
    assert re.fullmatch(r"t0003-[0-9a-f]{6}", sweep.trial_id(same, 3))
    assert sweep.trial_id(same, 3) == sweep.trial_id(again, 3)
    assert sweep.trial_id(same, 3) != sweep.trial_id(other, 3)


@pytest.mark.parametrize("space", ["mvt", "mvt_var", "mvt_tsa"])
def test_no_shipped_space_contains_a_point_that_cannot_train(space: str):
    a_sweep(space).refuse_impossible_domains()


def test_an_end_of_a_domain_that_cannot_train_is_refused_by_name():
    too_many = {"model.n_frames_image": {"type": "choice", "choices": [4, 8, 20]}}
    with pytest.raises(ConfigurationError) as caught:
        a_sweep(domains=too_many).refuse_impossible_domains()
    assert "domain model.n_frames_image contains 20, which cannot train" in str(caught.value)
    assert "n_frames_image (N) = 20 is more than the clip length T = 16." in str(caught.value)


def test_a_domain_over_an_unknown_field_is_refused_with_the_nearest_name():
    unknown = {"optimiser.lr_gen": {"type": "float", "low": 1e-5, "high": 1e-4, "log": True}}
    sweep = Sweep.model_construct(**{**a_sweep().__dict__, "space": a_sweep().space.model_copy(update={"domains": {}})})
    with pytest.raises(ConfigurationError, match=r"unknown key 'lr_gen' under optimiser; did you mean 'lr_g'\?"):
        sweep.run_config({**PAPER, **dict.fromkeys(unknown, 2e-5)}, 0)


def test_setting_an_unknown_key_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigurationError, match=r"unknown key 'sigmaa' under model; did you mean 'sigma_a'\?"):
        a_sweep(overrides={"model.sigmaa": 0.3}).refuse_impossible_domains()


def test_a_rate_typed_without_a_dot_is_a_number():
    config = a_sweep(overrides={"optimiser.lr_g": read_yaml("1e-5", "--set")}).run_config({}, 0)
    assert config.optimiser.lr_g == 1e-5


@pytest.mark.parametrize(
    ("written", "names"), [(None, ["s3"]), ("-kvd", ["-kvd"]), (["-fvd"], ["-fvd"]), (["s3", "-cost"], ["s3", "-cost"])]
)
def test_objectives_come_from_the_spaces_base_or_from_set_options(written: Any, names: list[str]):
    base = a_sweep().space.base | {"evaluation": {"objective": written or "s3"}}
    for sweep in (
        a_sweep(overrides={"evaluation.objective": written} if written else {}),
        tiny_sweep(space_values(base=base)),
    ):
        assert [str(objective) for objective in sweep.objectives()] == names
        sweep.refuse_impossible_domains()


def test_objectives_that_no_search_can_optimise_are_refused():
    for settings, message in (
        ({"overrides": {"evaluation.objective": "kvd"}}, "write -kvd"),
        ({"n_classes": 1}, "Use --set evaluation.objective=-kvd"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            a_sweep(**settings).refuse_impossible_domains()
    a_sweep(n_classes=1, overrides={"evaluation.objective": "-kvd"}).refuse_impossible_domains()


def test_a_saved_sweep_loads_unchanged(tmp_path: Path):
    overrides = {"model.sigma_a": 0.3, "evaluation.objective": ["s3", "-cost"]}
    sweep = a_sweep(overrides=overrides, seed=3, time_budget_hours=0.5)
    experiment = Experiment(tmp_path / "mvt_tsa-001")
    sweep.save(experiment.sweep)
    loaded = load_sweep(experiment.sweep)
    assert loaded == sweep
    assert list(loaded.domains) == list(sweep.domains)


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"contains no sweep \(sweep\.yaml is missing\)"):
        load_sweep(Experiment(tmp_path).sweep)


def test_set_options_must_leave_constraints_that_points_can_satisfy():
    space = load_space("mvt_var").model_copy(update={"constraints": ["model.sigma_a <= model.sigma_b"]})
    above = {"model.sigma_a": 2.5}
    with pytest.raises(ConfigurationError, match=r"0 do; model\.sigma_a <= model\.sigma_b is violated most often"):
        tiny_sweep(space, overrides=above, n_trials=2).refuse_impossible_domains()
    # A single run proposes nothing.
    tiny_sweep(space, overrides=above, n_trials=1).refuse_impossible_domains()


def test_a_saved_sweep_keeps_its_own_budgets_when_the_shared_ones_change(tmp_path: Path):
    values = a_sweep().model_dump(mode="json")
    values["space"]["budgets"] = {"smoke": {"purpose": "old", "n_trials": 3, "overrides": {"loop.n_steps": 9}}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(values))
    loaded = load_sweep(tmp_path / "sweep.yaml")
    assert list(loaded.space.budgets) == ["smoke"]
    assert (loaded.limits.n_trials, loaded.limits.overrides) == (3, {"loop.n_steps": 9})


def test_a_saved_sweep_without_its_own_budget_is_refused_by_name(tmp_path: Path):
    values = a_sweep().model_dump(mode="json")
    del values["space"]["budgets"]["smoke"]
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigurationError, match=r"sweep\.yaml: no budget 'smoke' in mvt_tsa"):
        load_sweep(tmp_path / "sweep.yaml")


def test_a_sweep_by_the_papers_leaky_schedule_is_refused_in_one_line():
    paper = next(name for name in PROTOCOLS if name.startswith("s3_r3d18_paper_"))
    with pytest.raises(ConfigurationError, match="lets the scored clips steer the classifiers") as caught:
        a_sweep(overrides={"evaluation.protocol": paper}).refuse_impossible_domains()
    assert "\n" not in str(caught.value)


def test_a_printed_space_is_one_that_a_sweep_takes(tmp_path: Path):
    def printed(**base: Any) -> Result:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump({"name": "mine", "extends": "mvt_tsa", "base": base}))
        return CliRunner().invoke(app, ["spaces", str(file)])

    assert printed().stdout.startswith("name: mine\n")
    for base, said in (
        ({"model": {"chanels": 3}}, "unknown key 'chanels' under model; did you mean 'channels'?"),
        ({"modell": {"channels": 3}}, "unknown key 'modell'; did you mean 'model'?"),
        ({"optimiser": {"name": "sgd"}}, "optimiser.name: "),
    ):
        refused = printed(**base)
        assert isinstance(refused.exception, ConfigurationError)
        assert said in str(refused.exception)


def test_the_space_of_the_documentation_is_one_that_a_sweep_takes():
    page = (Path(__file__).parents[3] / "docs" / "your-own-model.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    space = parse_space(block, "docs")
    refuse_untrainable(space)
    assert not {"model.sigma_a", "model.sigma_b", "model.sigma_c"} & set(space.domains)
    assert space.base["model"]["sigma_b"] == 1.0
