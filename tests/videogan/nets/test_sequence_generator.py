"""The sequence generator feeds its codes back, is free in length, and keeps samples apart in eval mode."""

import copy

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from videogan.nets.initialisation import initialise_
from videogan.nets.sequence_generator import SequenceGenerator
from videogan.nets.spectral_norm import normalise_spectrally


def sequence(feed: str = "auto", seq_bn: str = "none") -> SequenceGenerator:
    torch.manual_seed(0)
    return normalise_spectrally(initialise_(SequenceGenerator(6, 10, feed, seq_bn), "orthogonal"))


def test_each_code_is_the_next_input():
    net, z = sequence().eval(), torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    x, hidden = net.input(z), torch.zeros(3, 10)
    for code in net(z, 4).unbind(1):
        hidden = net.cell(x, hidden)
        x = net.projection(hidden)
        assert torch.allclose(code, x, atol=1e-6)


def test_repeat_feeds_the_first_input_again():
    net, z = sequence("repeat").eval(), torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    x, hidden = net.input(z), torch.zeros(3, 10)
    for code in net(z, 4).unbind(1):
        hidden = net.cell(x, hidden)
        assert torch.allclose(code, net.projection(hidden), atol=1e-6)


def test_a_longer_sequence_starts_with_the_shorter_one():
    net, z = sequence(seq_bn="per_step").eval(), torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(z, 20)[:, :16], net(z, 16))


def test_per_step_norm_standardises_each_step_over_the_batch_and_not_the_feedback():
    net, plain = sequence(seq_bn="per_step"), sequence()
    z = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    codes, raw = net(z, 3), plain(z, 3)
    assert torch.allclose(codes.mean(0), torch.zeros(3, 6), atol=1e-5)
    assert torch.allclose(codes, (raw - raw.mean(0)) / (raw.var(0, correction=0) + 1e-5).sqrt(), atol=1e-4)


def test_each_step_keeps_its_own_running_statistics_and_later_steps_use_the_last():
    net, plain = sequence(seq_bn="per_step"), sequence()
    z = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    for norm in net.norms:
        norm.momentum = 1.0  # the statistics of the last batch
    net(z, 16), plain(z, 16)
    raw = plain.eval()(z, 20)
    means, variances = raw.mean(0), raw.var(0)
    assert not torch.allclose(variances[0], variances[15], rtol=0.1), "the steps differ"
    step = torch.arange(20).clamp(max=15)
    assert torch.allclose(net.eval()(z, 20), (raw - means[step]) / (variances[step] + 1e-5).sqrt(), atol=1e-4)


def test_statistics_of_all_steps_have_no_parameters():
    assert [name for name, _ in sequence(seq_bn="per_step").named_parameters() if "norm" in name] == []


@pytest.mark.parametrize("wrapped", [copy.deepcopy, AveragedModel], ids=["copy", "average"])
def test_statistics_that_all_steps_shared_are_read_from_earlier_checkpoints(wrapped):
    original = sequence(seq_bn="per_step")
    net = wrapped(original)
    shared = {"running_mean": torch.full((6,), 0.25), "running_var": torch.full((6,), 4.0)}
    shared["num_batches_tracked"] = torch.tensor(3)
    prefix = "module." if wrapped is AveragedModel else ""
    old = {name: value for name, value in net.state_dict().items() if ".norms." not in f".{name}"}
    old |= {f"{prefix}norm.{name}": value for name, value in shared.items()}
    n_keys = len(old)
    net.load_state_dict(old)
    norms = (net.module if wrapped is AveragedModel else net).norms
    assert len(norms) == 16
    assert all(torch.equal(value, shared[name]) for norm in norms for name, value in norm.state_dict().items())
    assert torch.equal(original.norms[0].running_mean, torch.zeros(6)), "the copied network reads nothing"
    assert len(old) == n_keys, "the checkpoint in memory stays as it is"


def test_power_iteration_runs_once_per_forward_for_any_length():
    one, many = sequence(), sequence()
    z = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    one(z, 1), many(z, 9)
    u_one, u_many = (net.projection.parametrizations.weight[0]._u for net in (one, many))
    assert torch.equal(u_one, u_many)


def test_one_video_cannot_train_under_batch_statistics():
    net = sequence(seq_bn="per_step")
    with pytest.raises(ValueError, match="at least 2 videos"):
        net(torch.zeros(1, 6), 2)
    assert net.eval()(torch.zeros(1, 6), 2).shape == (1, 2, 6)
