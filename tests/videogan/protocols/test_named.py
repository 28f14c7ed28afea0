"""The named protocols: the papers' numbers under their names, the scaled ones under others."""

import pytest

from videogan.protocols import PROTOCOLS, SCALES, USUAL_CLASSIFIER, VERSION, FeatureProtocol, S3Protocol

PAPER = {name: protocol for name, protocol in PROTOCOLS.items() if "_laptop_" not in name and "_smoke_" not in name}
ON_TEST = {f"s3_{classifier}_paper_v2" for classifier in ("r3d18", "tsn", "eco_lite")}


def test_every_metric_has_a_protocol_of_its_name_for_every_classifier_at_every_scale():
    expected = {
        f"{metric}_{classifier}_{scale}{VERSION}"
        for metric in ("s3", "is", "fid", "fvd", "kvd")
        for classifier in ("r3d18", "tsn", "eco_lite", "c3d", "i3d")
        for scale in ("", "laptop_", "smoke_")
    }
    assert set(PROTOCOLS) == expected | {"is_c3d_tgan_v2", "is_c3d_tganv2_v2"} | ON_TEST
    for name, protocol in PROTOCOLS.items():
        metric = "s3" if isinstance(protocol, S3Protocol) else protocol.metric
        assert protocol.name == name
        assert name.startswith(f"{metric}_{protocol.classifier.classifier}_")


def test_each_metric_named_alone_selects_a_protocol_at_every_scale():
    assert all(f"{m}_{c}_{scale}{VERSION}" in PROTOCOLS for m, c in USUAL_CLASSIFIER.items() for scale in SCALES)


@pytest.mark.parametrize(
    ("name", "size", "dropout", "lr", "batch_size"),
    [("r3d18", 112, 0.6, 0.001, 32), ("tsn", 224, 0.8, 0.01, 14), ("eco_lite", 224, 0.6, 0.001, 14)],
)
def test_the_paper_size_s3_is_app_b1(name, size, dropout, lr, batch_size):
    protocol = PROTOCOLS[f"s3_{name}_v2"]
    classifier, recipe = protocol.classifier, protocol.classifier.recipe
    assert (classifier.width, classifier.size, classifier.n_frames, classifier.dropout) == (64, size, 16, dropout)
    assert (recipe.lr, recipe.batch_size, recipe.patience, recipe.n_drops, recipe.max_epochs) == (
        lr,
        batch_size,
        4,
        3,
        60,
    )
    assert (recipe.momentum, recipe.weight_decay, recipe.clip_norm) == (0.9, 5e-4, 50)
    assert not recipe.paper_protocol, "the paper schedules on test accuracy, which is a leak and so never the default"
    assert protocol.seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("name", "n_samples", "n_repeats"),
    [
        ("is_c3d_v2", 10_000, 10),
        ("is_c3d_tgan_v2", 48 * (10_000 // 48), 4),
        ("is_c3d_tganv2_v2", 2_048, 10),
        ("fid_tsn_v2", 4_000, 5),
        ("fvd_i3d_v2", 2_048, 1),
    ],
)
def test_samples_and_repeats_are_the_papers(name, n_samples, n_repeats):
    assert (PROTOCOLS[name].n_samples, PROTOCOLS[name].n_repeats) == (n_samples, n_repeats)


def test_the_two_papers_inception_scores_share_one_classifier():
    assert PROTOCOLS["is_c3d_v2"].classifier == PROTOCOLS["is_c3d_tgan_v2"].classifier


def test_c3d_sees_the_centre_112_of_128_px_and_under_tganv2_the_whole_frame_at_112():
    paths = {(p.classifier.size, p.classifier.crop) for p in PROTOCOLS.values() if p.classifier.classifier == "c3d"}
    straight = PROTOCOLS["is_c3d_tganv2_v2"].classifier
    assert (straight.size, straight.crop) == (112, None)
    assert paths == {(128, 112), (112, None)}
    assert {p.name for p in PROTOCOLS.values() if p.classifier == straight} == {"is_c3d_tganv2_v2"}
    assert straight == PROTOCOLS["is_c3d_tgan_v2"].classifier.model_copy(update={"size": 112, "crop": None})


def test_the_frechet_video_distance_compares_logits_is_takes_them_and_the_others_compare_penultimate_features():
    layers = {(p.metric, p.layer) for p in PROTOCOLS.values() if isinstance(p, FeatureProtocol)}
    assert layers == {("is", "logits"), ("fid", "penultimate"), ("fvd", "logits"), ("kvd", "penultimate")}


def test_distances_are_means_over_three_classifiers_and_the_papers_inception_scores_use_one():
    for protocol in PROTOCOLS.values():
        assert protocol.seeds == (
            (0,) if isinstance(protocol, FeatureProtocol) and protocol.metric == "is" else (0, 1, 2)
        )


def test_res_is_on_a_thousand_samples_and_five_hundred_at_the_smoke_scale():
    counts = {name: protocol.n_samples for name, protocol in PROTOCOLS.items() if isinstance(protocol, S3Protocol)}
    assert {n for name, n in counts.items() if "_smoke_" in name} == {500}
    assert {n for name, n in counts.items() if "_smoke_" not in name} == {1000}


def test_fits_see_eight_windows_of_each_clip_and_at_smoke_scale_four():
    windows = {name: protocol.classifier.recipe.n_windows for name, protocol in PROTOCOLS.items()}
    assert all(n == (4 if "_smoke_" in name else 8) for name, n in windows.items())


def test_only_protocols_named_laptop_or_smoke_are_scaled_down():
    assert {protocol.classifier.width for protocol in PAPER.values()} == {64}
    assert all(protocol.classifier.width < 64 for name, protocol in PROTOCOLS.items() if name not in PAPER)


def test_no_two_protocols_share_a_digest_and_metrics_share_a_classifier_but_for_s3_at_the_laptop_scale(facts):
    assert len({protocol.digest(facts, "test") for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)
    n_classifiers = len({protocol.classifier.digest(facts) for protocol in PROTOCOLS.values()})
    others = 1 + len(ON_TEST) + 5  # TGANv2's resize path, the paper's schedule, and S3's own recipe at the laptop scale
    assert n_classifiers == 5 * len(SCALES) + others
    assert PROTOCOLS["s3_r3d18_laptop_v2"].classifier.digest(facts) != PROTOCOLS[
        "kvd_r3d18_laptop_v2"
    ].classifier.digest(facts)
    assert PROTOCOLS["s3_r3d18_smoke_v2"].classifier == PROTOCOLS["kvd_r3d18_smoke_v2"].classifier


@pytest.mark.parametrize("name", sorted(ON_TEST))
def test_the_papers_schedule_alone_parts_its_protocol_from_ours_and_is_called_a_leak(name):
    own, paper = PROTOCOLS[name.replace("_paper_", "_")], PROTOCOLS[name]
    recipe = own.classifier.recipe.model_copy(update={"paper_protocol": True})
    assert paper.classifier == own.classifier.model_copy(update={"recipe": recipe})
    assert paper.leak.startswith("leak: ")
    assert "on the scored clips" in paper.leak


def test_no_other_protocol_lets_the_scored_clips_steer_its_classifiers():
    assert {name for name, protocol in PROTOCOLS.items() if protocol.classifier.recipe.paper_protocol} == ON_TEST
    assert {name for name, protocol in PROTOCOLS.items() if getattr(protocol, "leak", "")} == ON_TEST
