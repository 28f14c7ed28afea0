"""TSN: published sizes, torchvision's names, segment consensus."""

import pytest
import torch

from videogan.classifiers.tsn import TSN


@pytest.mark.parametrize(("n_classes", "expected"), [(10, 23_528_522), (27, 23_563_355), (101, 23_714_981)])
def test_parameter_counts_are_those_of_resnet_50(n_classes, expected):
    with torch.device("meta"):
        assert sum(p.numel() for p in TSN(n_classes).parameters()) == expected


def test_layers_are_named_as_in_torchvision():
    with torch.device("meta"):
        state = TSN(1000).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert len(shapes) == 320  # of torchvision's ResNet-50
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.2.bn3.running_var"] == (2048,)
    # A 1x1 reduction comes before the stride of a stage, as torchvision has it.
    with torch.device("meta"):
        block = TSN(2).layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


def test_logits_of_a_clip_are_the_mean_of_its_frames_logits():
    torch.manual_seed(0)
    tsn = TSN(5, width=4).eval()
    video = torch.rand(2, 6, 3, 48, 32) * 2 - 1
    with torch.no_grad():
        alone = torch.stack([tsn(video[:, t : t + 1]) for t in range(6)])
        torch.testing.assert_close(tsn(video), alone.mean(0), rtol=1e-4, atol=1e-5)


def test_frames_reach_the_first_layer_as_imagenet_weights_expect_them():
    tsn, seen = TSN(2, width=1), []
    tsn.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    grey = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    tsn.eval()(2 * (grey + torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)).expand(1, 2, 3, 32, 32) - 1)
    torch.testing.assert_close(seen[0], torch.ones(2, 3, 32, 32))


@pytest.mark.parametrize("size", [32, 112, 224])
def test_frames_from_32_pixels_up_fit(size):
    with torch.device("meta"):
        assert TSN(7).eval()(torch.empty(2, 16, 3, size, size)).shape == (2, 7)
