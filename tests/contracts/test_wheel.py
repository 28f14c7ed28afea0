"""The wheel holds the platform, the science and the search spaces, and its command starts fast."""

import json
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "vgsearch", "search_spaces", "cluster", "pyproject.toml", "README.md", "LICENSE")
SLOW_IMPORTS = {"torch", "ray", "optuna", "av", "pyarrow", "tensorboardX", "matplotlib", "plotly"}


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command that must succeed; returns its standard output."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with only the wheel, which finds its dependencies in this one."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    for name in SOURCES:
        source = ROOT / name
        skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
        copied = (
            shutil.copytree(source, sources / name, ignore=skip) if source.is_dir() else shutil.copy2(source, sources)
        )
        assert Path(copied).exists()
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", sources, cwd=folder)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = (folder / "dist").glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    # After the install: pip would mistake the outer copy for this one. A .pth file in a folder that a .pth file adds is
    # not read, so the outer editable copy stays invisible.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "outside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def test_both_packages_come_from_the_wheel_and_every_module_is_in_it(installed: Path, tmp_path: Path):
    code = "import vgsearch, videogan; print(vgsearch.__path__[0], videogan.__path__[0], sep='\\n')"
    folders = [Path(line) for line in run(installed / "python", "-c", code, cwd=tmp_path).splitlines()]
    assert all(folder.is_relative_to(installed.parent) for folder in folders)
    for folder, source in zip(folders, (ROOT / "vgsearch", ROOT / "src" / "videogan"), strict=True):
        modules = {path.relative_to(source) for path in source.rglob("*.py")}
        assert {path.relative_to(folder) for path in folder.rglob("*.py")} >= modules


def test_the_image_copies_what_the_wheel_is_made_of():
    lines = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    assert {name for _, *names, _ in lines for name in names} == {*SOURCES, "constraints.txt"}


def test_the_search_spaces_are_found_from_any_folder(installed: Path, tmp_path: Path):
    shipped = sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))
    assert shipped
    output = json.loads(run(installed / "vgsearch", "spaces", "--json", cwd=tmp_path))
    assert [space["name"] for space in output] == shipped
    assert all(name in run(installed / "vgsearch", "spaces", cwd=tmp_path) for name in shipped)


def test_each_cluster_file_is_copied_from_the_wheel_unchanged(installed: Path, tmp_path: Path):
    files = [path for path in (ROOT / "cluster").iterdir() if path.is_file() and path.suffix != ".py"]
    assert {path.name for path in files} >= {
        "aws.yaml",
        "gcp.yaml",
        "on_premises.yaml",
        "kuberay.yaml",
        "slurm.sh",
        "Dockerfile",
    }
    for path in files:
        run(installed / "vgsearch", "cluster", "init", path.stem, cwd=tmp_path)
        assert (tmp_path / path.name).read_text() == path.read_text()


@pytest.mark.slow  # a bound on time; that --help imports nothing slow is tested below
def test_help_is_printed_in_less_than_a_second(installed: Path, tmp_path: Path):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert "spaces" in run(installed / "vgsearch", "--help", cwd=tmp_path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1


@pytest.mark.parametrize("arguments", [["--help"], ["tune", "--help"], ["spaces"]], ids=" ".join)
def test_commands_without_training_load_no_heavy_package(installed: Path, tmp_path: Path, arguments: list[str]):
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('MODULES', *{name.partition('.')[0] for name in sys.modules}))\n"
        "from vgsearch.cli import main\n"
        "main()"
    )
    output = run(installed / "python", "-c", code, *arguments, cwd=tmp_path)
    loaded = output.splitlines()[-1].split()
    assert loaded[0] == "MODULES"
    assert not SLOW_IMPORTS & set(loaded)
