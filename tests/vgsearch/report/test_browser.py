"""The report in a browser: no script fails, every chart is drawn, names stay text, light and dark."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from vgsearch.report.blocks import Chart, SmallCharts
from vgsearch.report.writing import write_html
from vgsearch.runtime.sweep.reporting import comparison_of, page_of, subject_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: make drills installs one"),
]
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
    blocks = [block for section in page.sections for block in section.blocks]
    n_charts = sum(isinstance(block, Chart) for block in blocks)
    n_charts += sum(len(block.charts) for block in blocks if isinstance(block, SmallCharts))
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


USE = """<script>
function act() {
  if (!document.documentElement.dataset.drawn) return setTimeout(act, 100);
  const place = document.getElementById("chart-parallel-coordinates"), drag = place.querySelector(".nsewdrag");
  const {xaxis, yaxis} = place._fullLayout, box = drag.getBoundingClientRect();
  const last = xaxis.tickvals.length - 1, x = box.left + xaxis.d2p(last);
  const fire = (on, type, right, y) => on.dispatchEvent(new MouseEvent(type,
    {clientX: x + right, clientY: box.top + yaxis.d2p(y), bubbles: true, cancelable: true, view: window,
     buttons: type === "mouseup" ? 0 : 1}));
  fire(drag, "mousemove", -10, 1.05);
  fire(drag, "mousedown", -10, 1.05);
  const cover = document.querySelector(".dragcover") || document;
  fire(cover, "mousemove", 0, 0.7);
  fire(cover, "mousemove", 10, 0.5);
  fire(cover, "mouseup", 10, 0.5);
  const button = [...document.querySelectorAll(".sortable th button")].find(head => head.textContent === "time");
  button.click();
  const column = button.parentElement.cellIndex, rows = [...document.querySelector(".sortable").tBodies[0].rows];
  document.documentElement.dataset.times = rows.map(row => row.cells[column].textContent).join(" ");
  setTimeout(() => document.documentElement.dataset.kept = place.dataset.kept, 1000);
}
act();
</script></body>"""


@pytest.mark.slow  # Chromium takes seconds
def test_a_drag_over_an_axis_keeps_the_trials_that_pass_there_and_a_click_sorts_the_trials(write_sweep):
    experiment = write_sweep("s", 12)
    path = experiment.folder / "report.html"
    write_html(page_of(experiment.folder), path)
    path.write_text(path.read_text().replace("</body>", USE))
    result = opened(path, "--window-size=1280,12000", "--dump-dom")
    assert console_messages(result) == []
    scores = [trial.scores["s3"] for trial in subject_of(experiment.folder).scored]
    middle = (min(scores) + max(scores)) / 2
    assert f'data-kept="{sum(score >= middle for score in scores)} of 12"' in result.stdout
    times = re.search('data-times="([^"]+)"', result.stdout)[1].split()
    parts = [re.fullmatch(r"(?:(\d+)m)?(\d+)s", text).groups() for text in times]
    seconds = [int(minutes or 0) * 60 + int(rest) for minutes, rest in parts]
    assert len(seconds) == 12
    assert seconds == sorted(seconds)
    assert len(set(seconds)) > 1


NARROW = """<script>
document.body.style.width = "390px";
document.querySelectorAll(".samples .row").forEach((row, at) => row.textContent = "a longer name " + at);
const rows = [...document.querySelectorAll(".samples .row")], slices = [...document.querySelectorAll(".small > *")];
document.documentElement.dataset.cut = rows.filter(row => row.scrollWidth > row.clientWidth).length + "/" + rows.length;
document.documentElement.dataset.slice = Math.round(slices[0].getBoundingClientRect().width);
</script>"""


def test_a_narrow_page_cuts_no_name_of_a_class_and_squeezes_no_slice(write_sweep):
    experiment = write_sweep("s", 15, ends=ENDS, samples=True)
    path = experiment.folder / "report.html"
    write_html(page_of(experiment.folder), path)
    path.write_text(path.read_text("utf-8") + NARROW, "utf-8")
    result = opened(path, "--dump-dom")
    cut, rows = map(int, re.search(r'data-cut="(\d+)/(\d+)"', result.stdout).groups())
    assert (cut, rows > 0) == (0, True)
    assert int(re.search(r'data-slice="(\d+)"', result.stdout)[1]) >= 200
