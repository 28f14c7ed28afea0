"""A family in another installed package, as CONTRIBUTING.md shows it: found, under every contract test, and trained."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.installed_package import python, write_entry_points
from tests.contracts.source_code import ROOT
from videogan.config import ConfigurationError
from videogan.families.contract import AnyGAN
from videogan.families.installed import Families
from videogan.families.vgan import VideoGAN

CONTRACTS = ("convolutions", "families", "family_settings", "family_step", "spaces", "table_4")
PARTS = ("# pyproject.toml, under [project]:\n", "# toy_spaces/toy.yaml:\n")
COLLECTED = "--- collected ---"
# In one process, so that torch and the test files are imported once.
COLLECT_AND_RUN = f"""
import sys
import pytest
assert pytest.main(["--collect-only", *sys.argv[1:]]) == 0
print("{COLLECTED}")
sys.exit(pytest.main(["-k", "toy or every_family", "-rA", *sys.argv[1:]]))
"""
TRAIN = """
import sys
from pathlib import Path
from tests.builders import NoiseClips
from videogan.config import parse_config
from videogan.training.checkpoint import CheckpointFolder, generator_from
from videogan.training.loop import train
from videogan.training.run_config import RunConfig
config = parse_config(RunConfig, {
    "model": {"family": "toy", "resolution": 32, "n_classes": 3},
    "loop": {"n_steps": 1, "batch_size": 2},
    "evaluation": {"protocol": "s3_r3d18_smoke_v2", "objective": "-kvd"},
})
(progress,) = train(config, NoiseClips.of(config))
path = CheckpointFolder(Path(sys.argv[1])).save(progress.checkpoint())
generator, read = generator_from(path)
assert read == config
print(type(generator).__name__, progress.losses)
"""


def section() -> list[str]:
    """The lines of CONTRIBUTING.md that show a complete family."""
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    start = lines.index("## A complete new GAN family")
    end = next((i for i, line in enumerate(lines) if i > start and line.startswith("## ")), len(lines))
    return lines[start:end]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of CONTRIBUTING.md, laid out as an installer leaves it."""
    folder = tmp_path_factory.mktemp("site")
    block = re.search(r"```python\n(.*)```", "\n".join(section()), re.DOTALL)
    assert block
    python, _, rest = block[1].partition(PARTS[0])
    toml, _, space = rest.partition(PARTS[1])
    (folder / "toy.py").write_text(python)
    (folder / "toy_spaces").mkdir()
    (folder / "toy_spaces" / "toy.yaml").write_text(space)
    write_entry_points(folder, "toy-gan", tomllib.loads(toml)["entry-points"])
    return folder


def test_contributing_shows_a_complete_family_in_40_lines():
    lines = section()
    while not lines[-1]:
        lines.pop()
    assert len(lines) <= 40


def test_every_contract_test_runs_on_the_family_of_another_package(installed: Path):
    files = [f"tests/contracts/test_{name}.py" for name in CONTRACTS]
    printed = python(installed, "-c", COLLECT_AND_RUN, "-q", "-p", "no:cacheprovider", *files)
    collected, ran = printed.split(COLLECTED)
    passed = set(re.findall(r"^PASSED (\S+)", ran, re.MULTILINE))
    family_tests = {line.partition("[volume3d")[0] for line in collected.splitlines() if "[volume3d]" in line}
    assert family_tests
    for family_test in family_tests:
        assert any(name.startswith(f"{family_test}[toy") for name in passed), family_test
    assert not re.search(r"\d+ (failed|error|skipped)", ran)


def test_the_family_of_another_package_is_listed_and_trained(installed: Path, tmp_path: Path):
    spaces = json.loads(python(installed, "-c", "from vgsearch.cli import main; main()", "spaces", "--json"))
    assert "toy" in [space["name"] for space in spaces]
    assert python(installed, "-c", TRAIN, str(tmp_path)).startswith("ToyGenerator {'d_video': ")


@pytest.fixture
def families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Families]:
    """The families that exist beside an installed package "broken-gan": its entry point's name, its module's code."""

    def found(name: str, code: str) -> Families:
        module = tmp_path.name  # differs from test to test, because modules are imported once
        (tmp_path / f"{module}.py").write_text(code)
        write_entry_points(tmp_path, "broken-gan", {"videogan.families": {name: f"{module}:Broken"}})
        monkeypatch.syspath_prepend(str(tmp_path))
        own: dict[str, type[AnyGAN]] = {"vgan": VideoGAN}
        return Families(own)

    return found


WHOLE = "from videogan.families.vgan import VideoGAN as Broken\n"
LACKING = """
from videogan.families.contract import GAN, Fakes, FamilyConfig, Generator
class Config(FamilyConfig):
    family: str = "broken"
    resolution: int = 64
    n_classes: int
class Making(Generator):
    def forward(self, z, y, n_frames=None): ...
class Broken(GAN[Config, Fakes]):
    config_type, generator_type = Config, Making
    def draw(self, n, rng, label_counts, real_labels): ...
    def generate(self, generator, draws): ...
    def generator_losses(self, discriminators, fakes, draws): ...
    def realness(self, videos, labels): ...
"""


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("vgan", WHOLE, "broken-gan: its family 'vgan' is already in vgsearch."),
        ("broken", WHOLE, "must have the name of its configuration's field family, got 'vgan'."),
        ("broken", LACKING, "lacks build, discriminator_losses, facts, Config.n_frames, Making.sample_z; see videogan"),
        (
            "broken",
            "raise RuntimeError('no\\nlicence')",
            "cannot be imported: RuntimeError: no licence. Fix or uninstall",
        ),
        ("broken", "Broken = 3", "must be a subclass of videogan.families.contract.GAN, got 3."),
        ("broken", "", "cannot be imported: AttributeError: module"),
    ],
    ids=["two families of one name", "another name", "missing members", "raises on import", "no class", "no member"],
)
def test_a_broken_package_is_an_error_of_one_line_that_names_it(
    families: Callable[[str, str], Families], name: str, code: str, message: str
):
    with pytest.raises(ConfigurationError) as error:
        families(name, code)["vgan"]
    assert message in str(error.value)
    assert str(error.value).startswith("broken-gan: its family '")
    assert "\n" not in str(error.value)


def test_a_family_module_may_be_imported_before_the_list_of_families(installed: Path):
    code = "import toy; from videogan.families import FAMILIES; assert FAMILIES['toy'] is toy.Toy"
    python(installed, "-c", code)


def test_two_search_spaces_of_one_name_are_an_error_that_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from vgsearch.space.space import installed_spaces

    (tmp_path / "more_spaces").mkdir()
    (tmp_path / "more_spaces" / "vgan.yaml").write_text("name: vgan\n")
    write_entry_points(tmp_path, "more-spaces", {"vgsearch.search_spaces": {"more": "more_spaces"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"^more-spaces: its search space 'vgan' is already in vgsearch\."):
        installed_spaces()
