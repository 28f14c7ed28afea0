"""The training loop: its results depend only on (seed, step), and it stops with the term that is not finite."""

import pytest
import torch

from tests.builders import NoiseClips
from videogan.config import ConfigurationError, parse_config
from videogan.divergence import TrainingDiverged
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder, generator_from
from videogan.training.loop import Training, train
from videogan.training.run_config import RunConfig

BATCH_SIZE, N_CLASSES = 4, 3


class PoisonedClips(NoiseClips):
    """Noise that is NaN from the fifth batch on."""

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        frames, labels = super().batch(index)
        return (frames.float() * torch.nan if index >= 4 else frames), labels


class RepeatedClips(NoiseClips):
    """Two batches of noise, repeated."""

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return super().batch(index // 2 % 2)


def run_config(**loop: object) -> RunConfig:
    model = {
        "family": "mvt",
        "n_classes": N_CLASSES,
        "resolution": 32,
        "channels": 4,
        "gru_hidden": 16,
        "n_frames_image": 4,
    }
    exact = (
        {"norm_g": "none", "seq_bn": "none", "d_video_norm": "none"} if loop.pop("without_batch_norm", False) else {}
    )
    values = {
        "model": {**model, **exact, **loop.pop("model", {})},
        "data": loop.pop("data", {}),
        "loop": {"n_steps": 4, "batch_size": BATCH_SIZE, **loop},
        # Adam without momentum moves by the sign of a gradient; a large eps keeps rounding from flipping one near zero.
        "optimiser": {"lr_g": 1e-3, "eps": 1e-2},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2"},
    }
    return parse_config(RunConfig, values)


def states(training: Training) -> dict[str, torch.Tensor]:
    networks = {"generator": training.generator, **training.discriminators}
    return {f"{n}.{k}": v.clone() for n, network in networks.items() for k, v in network.state_dict().items()}


def assert_bit_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_resume_from_a_checkpoint_is_bit_exact(tmp_path, ema_decay):
    config = run_config(ema_decay=ema_decay, model={"constraint_d_video": "svc", "n_clip": 2})
    folder = CheckpointFolder(tmp_path)
    uninterrupted = list(train(config, NoiseClips()))
    for progress in train(config, NoiseClips()):
        if progress.step == 2:
            folder.save(progress.checkpoint())
            break
    resumed = list(train(config, NoiseClips(), start=folder.newest()))
    assert [progress.step for progress in resumed] == [3, 4]
    assert [p.losses for p in resumed] == [p.losses for p in uninterrupted[2:]]
    assert_bit_equal(states(resumed[-1].training), states(uninterrupted[-1].training))
    if ema_decay:
        assert_bit_equal(resumed[-1].training.average.state_dict(), uninterrupted[-1].training.average.state_dict())


def test_resume_under_motion_constraint_is_bit_exact_with_an_empty_flow_cache(tmp_path):
    config = run_config(model={"variant": "mvt_mc"})
    folder = CheckpointFolder(tmp_path)
    uninterrupted = list(train(config, RepeatedClips()))
    for progress in train(config, RepeatedClips()):
        if progress.step == 2:
            folder.save(progress.checkpoint())
            break
    resumed = list(train(config, RepeatedClips(), start=folder.newest()))
    assert [p.losses for p in resumed] == [p.losses for p in uninterrupted[2:]]
    assert {"d_image", "d_video", "g_image", "g_video", "g_motion"} == resumed[-1].losses.keys()
    assert all(p.measures["motion_pairs"] >= BATCH_SIZE for p in uninterrupted)
    remembered = uninterrupted[-1].training.networks.motion.remembered
    assert (remembered.n_estimated, remembered.n_asked) == (2 * BATCH_SIZE, 4 * BATCH_SIZE)


def test_a_checkpoint_names_its_data_and_a_run_on_other_data_refuses_it():
    config = run_config(n_steps=2, n_d=1)
    start = next(iter(train(config, NoiseClips()))).checkpoint()
    assert start.trained_on == "noise"
    other = NoiseClips(manifest="bbbbbbbb")
    with pytest.raises(ConfigurationError, match="step 1 was trained on manifest noise, got bbbbbb"):
        next(iter(train(config, other, start=start)))
    assert next(iter(train(config, other))).checkpoint().trained_on == "bbbbbbbb"


def test_another_seed_is_another_run_and_the_global_generator_does_not_change():
    config = run_config(n_steps=1)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = next(iter(train(config, NoiseClips()))).losses
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert next(iter(train(config, NoiseClips()))).losses == first
    assert next(iter(train(config.model_copy(update={"seed": 1}), NoiseClips()))).losses != first


def test_a_loss_that_is_not_finite_ends_the_run_with_its_term_and_step():
    progresses = train(run_config(n_d=2), PoisonedClips())
    assert [next(progresses).step, next(progresses).step] == [1, 2]
    with pytest.raises(TrainingDiverged) as diverged:
        next(progresses)
    assert (diverged.value.step, diverged.value.term) == (3, "d_image")


def test_both_players_move_and_only_in_their_own_update():
    config = run_config(n_steps=1, n_d=1)
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    before = states(training)
    training.step_(1, NoiseClips())
    after = states(training)
    moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"generator", "image", "video"}
    assert all(p.requires_grad for network in training.discriminators.values() for p in network.parameters())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in training.generator.parameters())


@pytest.mark.parametrize(("reuse_fakes", "n_passes"), [(False, 3), (True, 2)])
def test_the_generator_update_makes_new_fakes_unless_it_reuses_the_last(reuse_fakes, n_passes):
    training = Training(run_config(n_d=2, reuse_fakes=reuse_fakes), lambda m: m, Shard(), torch.device("cpu"))
    videos = []
    training.generator.register_forward_hook(lambda module, inputs, video: videos.append(video))
    training.step_(1, NoiseClips())
    assert [video.requires_grad for video in videos] == [False] * (n_passes - 1) + [True]


def test_bf16_changes_the_losses_a_little_and_the_weights_stay_fp32():
    exact = next(iter(train(run_config(n_steps=1), NoiseClips())))
    rounded = next(iter(train(run_config(n_steps=1, precision="bf16"), NoiseClips())))
    assert {p.dtype for p in rounded.training.generator.parameters()} == {torch.float32}
    assert rounded.losses != exact.losses
    # The first losses, after one update of the discriminators and before the generator's.
    assert rounded.losses["d_image"] == pytest.approx(exact.losses["d_image"], rel=0.05)
    assert rounded.losses["d_video"] == pytest.approx(exact.losses["d_video"], rel=0.05)


def test_channels_last_is_the_same_mathematics():
    plain = next(iter(train(run_config(n_steps=1, channels_last=False), NoiseClips()))).losses
    laid_out = next(iter(train(run_config(n_steps=1, channels_last=True), NoiseClips()))).losses
    assert laid_out == pytest.approx(plain, rel=1e-4, abs=1e-5)


def test_the_average_follows_the_generator_at_its_decay():
    config = run_config(n_steps=2, n_d=1, ema_decay=0.75)
    averages, generators = [], []
    for progress in train(config, NoiseClips()):
        averages.append([p.detach().clone() for p in progress.training.average.module.parameters()])
        generators.append([p.detach().clone() for p in progress.training.generator.parameters()])
    for first, second, generator in zip(averages[0], averages[1], generators[1], strict=True):
        torch.testing.assert_close(second, 0.75 * first + 0.25 * generator)


def test_the_generator_of_a_checkpoint_is_the_average_if_there_is_one(tmp_path):
    *_, last = train(run_config(n_steps=2, ema_decay=0.5), NoiseClips())
    path = CheckpointFolder(tmp_path).save(last.checkpoint())
    generator, config = generator_from(path)
    assert config == last.training.config
    assert_bit_equal(generator.state_dict(), last.training.average.module.state_dict())


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="multiple of the 3 workers"):
        next(iter(train(run_config(), NoiseClips(), shard=Shard(0, 3))))


def _rank(rank: int, n_ranks: int, rendezvous: str, loop: dict[str, object], results: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=n_ranks)
    shard = Shard(rank, n_ranks)
    config = run_config(**loop)
    *_, last = train(config, NoiseClips(shard=shard), shard=shard, wrap=torch.nn.parallel.DistributedDataParallel)
    parameters = {k: v for k, v in states(last.training).items() if "running" not in k and "num_batches" not in k}
    torch.save({"losses": last.losses, "parameters": parameters}, f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


def _two_ranks(tmp_path, **loop: object) -> list[dict]:
    arguments = (2, str(tmp_path / "rendezvous"), loop, str(tmp_path))
    torch.multiprocessing.spawn(_rank, arguments, nprocs=2)
    return [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]


# Estimated flow magnifies rounding, so the motion constraint is compared after its first step.
MOTION = {"n_steps": 1, "reuse_fakes": True, "model": {"variant": "mvt_mc"}}


@pytest.mark.parametrize("settings", [{"n_steps": 3}, MOTION])
def test_two_ranks_on_half_batches_equal_one_process_on_the_whole_batch(tmp_path, settings):
    first, second = _two_ranks(tmp_path, without_batch_norm=True, **settings)
    *_, whole = train(run_config(without_batch_norm=True, **settings), NoiseClips())
    assert first["losses"] == pytest.approx(whole.losses, rel=1e-4, abs=1e-5)
    reference = states(whole.training)
    for name, parameter in first["parameters"].items():
        torch.testing.assert_close(parameter, reference[name], rtol=1e-4, atol=2e-5, msg=name)
        assert torch.equal(parameter, second["parameters"][name]), name


def test_ranks_stay_equal_under_singular_value_clipping_of_weights_and_gammas(tmp_path):
    svc = {"constraint_d_video": "svc", "n_clip": 2}
    first, second = (rank["parameters"] for rank in _two_ranks(tmp_path, n_steps=3, model=svc))
    weights = [name for name in first if not name.endswith(("_u", "_v"))]
    assert [name for name in weights if not torch.equal(first[name], second[name])] == []
    clipped = {name: w for name, w in first.items() if name.startswith("video.") and name.endswith("weight")}
    norms = [torch.linalg.matrix_norm(w.flatten(1), 2) for w in clipped.values() if w.ndim > 1]
    assert max(norms) <= 1 + 2e-5
    # Batch norms saw different clips on each rank; gammas are equal because all ranks use rank 0's statistics.
    gammas = torch.cat([w for w in clipped.values() if w.ndim == 1])
    assert gammas.max() < 1 - 1e-3


def test_a_batch_is_mirrored_by_a_coin_a_clip_that_depends_on_seed_and_batch_and_is_shared_by_ranks():
    def training(shard: Shard = Shard(), flip: bool = True) -> Training:
        config = run_config(batch_size=8, data={"flip": flip}, model={"channels": 1, "gru_hidden": 1})
        return Training(config, lambda module: module, shard, torch.device("cpu"))

    frames, whole = NoiseClips(batch_size=8).batch(0)[0], training()
    shown = [whole.as_trained_on(frames, index) for index in range(4)]
    for batch in shown:
        assert all(torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(batch, frames, strict=True))
    kept = [[torch.equal(a, b) for a, b in zip(batch, frames, strict=True)] for batch in shown]
    assert 8 < sum(map(sum, kept)) < 24, "half of 32 coins, within 3 standard deviations"
    assert len({tuple(row) for row in kept}) == 4
    assert torch.equal(whole.as_trained_on(frames, 1), shown[1])
    ranks = [Shard(rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.cat([training(rank).as_trained_on(rank.of(frames), 1) for rank in ranks]), shown[1])
    assert torch.equal(training(flip=False).as_trained_on(frames, 1), frames)


def test_grey_networks_train_on_grey_clips_and_refuse_clips_in_colour():
    class GreyClips(NoiseClips):
        def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            frames, labels = super().batch(index)
            return frames[..., :1], labels

    config = run_config(n_steps=1, model={"n_colours": 1})
    (progress,) = train(config, GreyClips())
    assert progress.training.generator.image.output.weight.shape[0] == 1
    with pytest.raises(ValueError, match=r"networks of 1 colour have 3"):
        list(train(config, NoiseClips()))


def test_norms_are_those_of_all_weights_and_of_the_last_updates_gradients():
    training = Training(run_config(), lambda module: module, Shard(), torch.device("cpu"))
    training.step_(1, NoiseClips())
    norms = training.norms()
    for player, networks in (("g", [training.generator]), ("d", training.discriminators.values())):
        weights = [parameter for network in networks for parameter in network.parameters()]
        by_hand = [torch.cat([t.detach().double().flatten() for t in ts]).norm().item() for ts in (
            weights, [weight.grad for weight in weights if weight.grad is not None]
        )]  # fmt: skip
        assert [norms[f"weight_{player}"], norms[f"gradient_{player}"]] == pytest.approx(by_hand, rel=1e-4)
    assert all(norms.values())
