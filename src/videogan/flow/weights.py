"""Load PWC-Net from a weights file: the published one, or one that `fit_flow` wrote."""

from pathlib import Path

import torch

from videogan.flow.pwc_net import PWCNet
from videogan.storage.weights_file import read_weights, refuse_other_weights


def pwc_net_from(path: Path | str) -> tuple[PWCNet, str]:
    """Load the network from the file at `path`, in eval mode and frozen; also return the file's sha256 (hex).

    torch.save wrote the file: a state dict, or a dict with "state_dict" and the network's "width", by default 1. Names
    are those of the PyTorch reimplementation, `netTwo...` as in its code or `moduleTwo...` as in its published file; a
    "module." prefix is dropped. Raises ConfigurationError if the file cannot be read or any tensor is missing,
    unexpected, of another shape or not finite.
    """
    stored = read_weights(path, "flow weights", "copy it again, or make one with: vgsearch flow fit")
    width = float(stored.beside.get("width", 1.0))
    state = {name.replace("module", "net"): value for name, value in stored.state.items()}
    with torch.device("meta"):
        network = PWCNet(width)
    refuse_other_weights(
        state,
        network.state_dict(),
        f"{path}: flow weights must be those of a PWC-Net of width {width:g}",
        "choose another file, or add the width it was fitted with to the file, under 'width'.",
    )
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return network.eval().requires_grad_(False), stored.sha256
