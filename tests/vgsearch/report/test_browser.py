"""The report in a browser: no script fails, every chart is drawn, names stay text, light and dark."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from vgsearch.report.writing import write_html
from vgsearch.runtime.sweep.reporting import comparison_of, page_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: make drills installs one")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
         "--virtual-time-budget=30000"]  # fmt: skip
DONE, PRUNED, DIVERGED = ("done", ""), ("pruned", ""), ("diverged", "g_image is not finite")
EVIL = "<img src=x onerror=\"document.documentElement.dataset.evil='1'\">"
ENDS = [DONE, DONE, PRUNED, DIVERGED, ("failed", EVIL)]
WHITE, NIGHT, BEST = (255, 255, 255), (18, 22, 28), (0, 158, 115)


def opened(page: Path, *flags: str) -> subprocess.CompletedProcess:
    """Opens a page in Chromium, in a new profile that is removed afterwards."""
    profile = page.parent / "profile"
    address = page.absolute().as_uri()
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, address]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    shutil.rmtree(profile, ignore_errors=True)
    assert result.returncode == 0, result.stderr
    return result


def console_messages(result: subprocess.CompletedProcess) -> list[str]:
    """Errors of scripts and of the content policy."""
    return [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def colours(picture: Path) -> dict[tuple[int, ...], int]:
    with Image.open(picture) as image:
        found = image.convert("RGB").getcolors(1 << 24)
    return {colour: n for n, colour in found}


def test_a_failing_script_is_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<script>throw new Error('broken')</script>")
    assert any("broken" in line for line in console_messages(opened(page, "--dump-dom")))


def test_every_chart_is_drawn_no_script_fails_and_names_stay_text(write_sweep):
    experiment = write_sweep("a<b>&", 15, ends=ENDS, samples=True)
    page, path = page_of(experiment.folder), experiment.folder / "report.html"
    write_html(page, path)
    result = opened(path, "--dump-dom")
    assert console_messages(result) == []
    n_charts = sum(block.kind == "chart" for section in page.sections for block in section.blocks)
    assert re.search(rf'<html[^>]* data-drawn="{n_charts}"', result.stdout)
    assert result.stdout.count('class="main-svg"') >= n_charts
    assert "data-evil=" not in result.stdout.partition("<body>")[0]


@pytest.mark.parametrize(("flags", "paper"), [((), WHITE), (("--force-dark-mode",), NIGHT)])
def test_the_page_follows_the_light_or_dark_setting(write_sweep, flags, paper):
    experiment = write_sweep("s", 15, ends=ENDS, samples=True)
    path, picture = experiment.folder / "report.html", experiment.folder / "report.png"
    write_html(page_of(experiment.folder), path)
    result = opened(path, "--window-size=1280,6000", f"--screenshot={picture}", *flags)
    assert console_messages(result) == []
    seen = colours(picture)
    assert max(seen, key=seen.get) == paper
    assert seen.get(BEST, 0) > 500, "the best trial's line is drawn"


def test_every_chart_of_a_comparison_is_drawn(write_sweep, tmp_path):
    folders = [write_sweep(name, 10, ends=ENDS, seed=seed).folder for seed, name in enumerate(("one", "two"))]
    page = comparison_of(folders)
    write_html(page, tmp_path / "compared.html")
    result = opened(tmp_path / "compared.html", "--dump-dom")
    assert console_messages(result) == []
    assert 'data-drawn="3"' in result.stdout
