"""The published scores are the papers' tables, row by row; reports show them beside their metric and data set only."""

import math
from collections import Counter

import pytest

from tests.vgsearch.report.conftest import WriteSweep
from vgsearch.report import published
from vgsearch.report.beside_published import comparison, differences
from vgsearch.report.blocks import Table
from vgsearch.report.published import (
    JESTER,
    MOVING_MNIST,
    PUBLISHED,
    UCF101,
    WEIZMANN,
    PublishedScore,
    data_set_of,
    published_scores,
)
from vgsearch.runtime.sweep.reporting import subject_of
from videogan.metrics.s3 import s3_score
from videogan.protocols import PROTOCOLS, FeatureProtocol, S3Protocol


def row(where: str, data: str, model: str, conditional: bool | None = True, classifier: str = "") -> PublishedScore:
    [found] = [
        each
        for each in PUBLISHED
        if (each.where, each.data, each.model, each.conditional) == (where, data, model, conditional)
        and classifier in each.protocol.classifier
    ]
    return found


@pytest.mark.parametrize(
    ("table", "n_of_data"),
    [
        ("MVT_TABLE_1", {UCF101: 11, JESTER: 1}),
        ("MVT_TABLE_2", {WEIZMANN: 5, UCF101: 2, JESTER: 1}),
        ("MVT_TABLE_3", {UCF101: 4}),
        ("MVT_TABLE_4", {UCF101: 2, JESTER: 1}),
        ("TGAN_TABLE_3", {MOVING_MNIST: 3}),
        ("TGAN_TABLE_4", {UCF101: 9}),
        ("OTHERS", {UCF101: 10}),
    ],
)
def test_each_table_has_all_its_rows(table: str, n_of_data: dict[str, int]):
    rows = getattr(published, table)
    assert Counter(each.data for each in rows) == n_of_data
    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(PUBLISHED)


def test_rows_have_the_values_that_the_papers_print():
    printed = [
        (row("MVT-GAN Table 1", UCF101, "DVD-GAN", False), (27.38, 0.53)),
        (row("MVT-GAN Table 1", UCF101, "MVT-TSA"), (42.79, 0.63)),
        (row("MVT-GAN Table 1", JESTER, "MVT-TSA"), (11.90, 0.12)),
        (row("MVT-GAN Table 1", UCF101, "VGAN", False), (8.18, 0.09)),
        (row("TGAN Table 4", UCF101, "Video GAN, normal GAN", False), (8.18, 0.05)),
        (row("TGAN Table 4", UCF101, "real clips", None), (34.49, 0.03)),
        (row("TGAN Table 3", MOVING_MNIST, "TGAN against 3D model (GAN)", False), (1.70, None)),
        (row("MVT-GAN Table 4", UCF101, "MVT"), (3108.77, 0.04)),
        (row("MVT-GAN Table 4", JESTER, "MVT-TSA"), (841.08, 0.005)),
    ]
    assert [(each.mean, each.spread) for each, _ in printed] == [values for _, values in printed]
    s3 = row("MVT-GAN Table 3", UCF101, "MVT-TSA", classifier="3D ResNet-18")
    assert (s3.ser, s3.res, s3.rer, s3.mean) == (44.36, 29.61, 76.82, 0.47)


def test_protocols_have_the_counts_that_the_papers_print():
    counts = {(each.where, each.protocol.n_samples, each.protocol.n_repeats) for each in PUBLISHED}
    for expected in (
        ("MVT-GAN Table 1", 10_000, 10),
        ("MVT-GAN Table 4", 4_000, 5),
        ("TGAN Table 4", 10_000, 4),
        ("TGANv2 (arXiv 1811.09245)", 2_048, 10),
    ):
        assert expected in counts


def test_every_s3_follows_from_its_accuracies_but_the_one_that_says_so():
    for each in PUBLISHED:
        if each.metric == "s3":
            exact = s3_score(each.ser / 100, each.res / 100, each.rer / 100)
            assert (round(exact, 2) == each.mean) == ("printed accuracies" not in each.note)


def test_table_3_repeats_the_tsn_rows_of_table_2_and_both_are_shown_once():
    shown = published_scores("s3", UCF101)
    assert [(each.model, each.protocol.classifier) for each in shown] == [
        ("MVT", "TSN"), ("MVT-TSA", "TSN"), ("MVT", "3D ResNet-18"), ("MVT-TSA", "3D ResNet-18"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "n_classes", "data"),
    [
        ("/data/UCF-101", 101, UCF101),
        ("s3://bucket/ucf101/", 101, UCF101),
        ("/data/UCF-101", 10, None),  # ten of its classes
        ("/data/weizmann", 10, WEIZMANN),
        ("/data/weizmann4", 4, None),
        ("/data/20bn-jester-v1", 27, JESTER),
        ("/data/other", 101, None),
    ],
)
def test_a_data_set_is_the_papers_only_with_all_its_classes(folder: str, n_classes: int, data: str | None):
    assert data_set_of(folder, n_classes) == data


def test_nothing_of_other_data_or_another_metric_is_shown():
    assert published_scores("s3", None) == ()
    assert published_scores("kvd", UCF101) == ()
    assert {each.data for each in published_scores("s3", WEIZMANN)} == {WEIZMANN}
    assert {each.metric for each in published_scores("fid", UCF101)} == {"fid"}


def tables(write_sweep: WriteSweep, data: str, n_classes: int, objective: str = "s3") -> list[Table]:
    subject = subject_of(write_sweep("one", 3, objective=objective).folder)
    sweep = subject.sweep.model_copy(update={"data": data, "n_classes": n_classes})
    return [block for block in comparison(subject.record, subject.scored, sweep) if isinstance(block, Table)]


def test_a_report_shows_published_rows_only_beside_their_metric_and_data_set(write_sweep):
    ours, theirs = tables(write_sweep, "/data/weizmann", 10)
    assert ours.title == "This search"
    assert theirs.title == "Published S3 on Weizmann"
    assert [cells[0] for cells in theirs.rows] == ["MoCoGAN", "MVT", "MVT-MC", "MVT-VAR", "MVT-TSA"]
    for cells in theirs.rows:
        named = dict(zip(theirs.columns, cells, strict=True))
        assert "TSN, weights from ImageNet, schedule on test accuracy" in named["its protocol"]
        assert named["beside ours"].startswith("not comparable: frames of 32 px")


@pytest.mark.parametrize(("data", "n_classes", "objective"), [("/shapes", 5, "s3"), ("/data/UCF-101", 101, "-kvd")])
def test_a_report_shows_no_published_row_beside_another_score(write_sweep, data, n_classes, objective):
    assert not [table for table in tables(write_sweep, data, n_classes, objective) if "Published" in table.title]


def test_no_score_of_ours_compares_with_a_published_one_of_pretrained_weights():
    for each in PUBLISHED:
        for name, protocol in PROTOCOLS.items():
            if isinstance(protocol, S3Protocol | FeatureProtocol):
                assert "random initial weights" in differences(each, name, each.size or 64)


def test_a_difference_disappears_when_the_setting_is_the_papers():
    tsn = published_scores("s3", WEIZMANN)[1]
    laptop, paper = (next(n for n in PROTOCOLS if n.startswith(f"s3_tsn_{scale}v")) for scale in ("laptop_", ""))
    assert "of width 16 instead of 64" in differences(tsn, laptop, 96)
    assert differences(tsn, paper, 96) == ["another schedule", "random initial weights"]
    assert "frames of 64 px" in differences(tsn, paper, 64)
    assert "own initial weights" in differences(tsn, f"{paper}+abc123", 96)
    assert differences(tsn, paper.replace("s3_tsn_", "s3_tsn_paper_"), 96) == ["random initial weights"]
    assert differences(tsn, "s3_tsn_v0", 96) == ["protocol s3_tsn_v0 of another version"]


def test_rows_have_finite_numbers():
    assert all(math.isfinite(value) for each in PUBLISHED for value in each if isinstance(value, float))
