"""The video GANs that can be trained and searched: one file = one paper's GAN."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from videogan.config import Config
from videogan.families import mocogan, mvt, vgan
from videogan.families.tgan import game as volume_gan
from videogan.families.tgan import tgan, volume3d
from videogan.families.tgan.game import VolumeGAN


@dataclass(frozen=True)
class Family:
    """A paper's GAN: the type of its configuration, and build(config), which returns its networks and their step.

    is_conditional(config): whether its generator makes clips of a class that is asked for.
    constrain_update_(networks): what follows each discriminator update, where constrain_ follows the last of a step.
    motion_loss(networks, real, real_labels, fake, draws, step, gathered): a term of the generator's loss that compares fakes
    with real clips, and the number of pairs compared; None where there is none.
    frozen(networks): networks that the step uses and does not train.
    losses_of_guessing(config): of each discriminator loss that is 0 where D is sure of everything, its value where D only
    guesses; none of Wasserstein losses, which have no floor.
    """

    config_type: type[Config]
    build: Callable[[Any], Any]
    is_conditional: Callable[[Any], bool] = lambda config: True
    constrain_update_: Callable[[Any], None] = lambda networks: None
    motion_loss: Callable[..., tuple[Tensor, Tensor] | None] = lambda networks, *step: None
    frozen: Callable[[Any], list[nn.Module]] = lambda networks: []
    losses_of_guessing: Callable[[Any], dict[str, float]] = lambda config: {}


FAMILIES: dict[str, Family] = {
    "mvt": Family(
        mvt.MVTConfig,
        mvt.build,
        motion_loss=mvt.MVTNetworks.motion_loss,
        frozen=lambda networks: [networks.motion.estimator] if networks.motion else [],
        losses_of_guessing=mvt.losses_of_guessing,
    ),
    "tgan": Family(
        tgan.TGANConfig,
        tgan.build,
        lambda config: config.is_conditional,
        VolumeGAN.constrain_update_,
        losses_of_guessing=volume_gan.losses_of_guessing,
    ),
    "volume3d": Family(
        volume3d.Volume3DConfig,
        volume3d.build,
        lambda config: False,
        VolumeGAN.constrain_update_,
        losses_of_guessing=volume_gan.losses_of_guessing,
    ),
    "vgan": Family(vgan.VGANConfig, vgan.build, lambda config: False, losses_of_guessing=vgan.losses_of_guessing),
    "mocogan": Family(
        mocogan.MoCoGANConfig,
        mocogan.build,
        lambda config: config.is_conditional,
        losses_of_guessing=mocogan.losses_of_guessing,
    ),
}
