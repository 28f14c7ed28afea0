"""The video GANs that can be trained and searched: one file is one paper's GAN, behind `contract.GAN`."""

from collections.abc import Mapping

from videogan.families.contract import AnyGAN
from videogan.families.dvdgan import DVDGAN
from videogan.families.installed import Families
from videogan.families.mocogan.mdp import MDP
from videogan.families.mocogan.mocogan import MoCoGAN
from videogan.families.mvt import MVTGAN
from videogan.families.pvgan import PVGAN
from videogan.families.tgan.tgan import TGAN
from videogan.families.tgan.volume3d import Volume3D
from videogan.families.tganv2 import TGANv2
from videogan.families.vgan import VideoGAN

FAMILIES: Mapping[str, type[AnyGAN]] = Families(
    {
        "mvt": MVTGAN,
        "tgan": TGAN,
        "volume3d": Volume3D,
        "vgan": VideoGAN,
        "mocogan": MoCoGAN,
        "mdp": MDP,
        "dvdgan": DVDGAN,
        "pvgan": PVGAN,
        "tganv2": TGANv2,
    }
)
"""Our own families, and those of installed packages."""
