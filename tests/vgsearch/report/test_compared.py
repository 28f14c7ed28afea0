"""Only scores by the same protocol share an axis."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vgsearch.cli import app
from vgsearch.report.blocks import Chart
from vgsearch.runtime.sweep.reporting import comparison_of
from videogan.config import ConfigurationError

DONE, FAILED = ("done", ""), ("failed", "KeyError")


def axes(page) -> dict[str, list[set[str]]]:
    """For each section, the names in each of its charts."""
    return {
        section.title: [
            {series.name for series in block.figure.series if getattr(series, "name", "")}
            for block in section.blocks
            if isinstance(block, Chart)
        ]
        for section in page.sections
    }


def test_searches_of_one_protocol_share_an_axis(write_sweep):
    folders = [write_sweep("one", 6).folder, write_sweep("two", 4, seed=1).folder]
    drawn = axes(comparison_of(folders))["S3 by s3_r3d18_smoke_v2 08ec25"]
    assert drawn[0] == {"mvt_tsa: one", "mvt_tsa: two"}


def test_searches_of_different_protocols_share_no_axis_and_a_warning_says_so(write_sweep):
    page = comparison_of([write_sweep("one", 6).folder, write_sweep("two", 6, objective="-kvd").folder])
    for names in (names for section in axes(page).values() for names in section):
        assert len({name for name in names if name.endswith(("one", "two"))}) <= 1
    assert any(
        "Only scores under the same protocol are comparable" in getattr(block, "text", "")
        for block in page.sections[0].blocks
    )


def test_a_search_without_a_score_is_listed_but_not_drawn(write_sweep):
    page = comparison_of([write_sweep("one", 6).folder, write_sweep("two", 3, ends=[FAILED]).folder])
    assert [row[0] for row in page.sections[0].blocks[0].rows] == ["one", "two"]
    assert not any("two" in name for names in axes(page).values() for group in names for name in group)


def test_one_experiment_or_the_same_twice_is_refused(write_sweep):
    folder = write_sweep("one", 2).folder
    for folders in ([folder], [folder, folder]):
        with pytest.raises(ConfigurationError, match="two or more different"):
            comparison_of(folders)


def test_the_command_writes_page_markdown_and_pictures(write_sweep, tmp_path):
    folders = [str(write_sweep(name, 5, samples=True).folder) for name in ("one", "two")]
    result = CliRunner().invoke(app, ["compare", *folders, "--out", str(tmp_path / "reports")])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "reports" / "compare-one-two"
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "README.md", "samples.gif", "compared-expected-best.png"} <= names
    assert all(Path(line).is_file() for line in result.output.splitlines())
