"""HRNet in MMPose's spelling: top-down heatmaps ("td-hm_hrnet-w32") and associative embedding ("ae_hrnet-w32").

The trunk is `poseviewer.nets.hrnet`; only the prefixes of the keys differ. Facts: reference/hrnet_ae_mmpose.md
sections 1 and 5.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.hrnet import HRTrunk, TrunkConfig, sniff_trunk
from poseviewer.nets.mmpose import parts
from poseviewer.nets.sniffing import Shapes, sane

# Twice as many outputs as one of these joint counts are heatmaps and tags: the published bottom-up joint sets.
BOTTOM_UP_JOINTS = (14, 17, 133)


class HrnetPoseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of.

    Attributes:
        joints: K.
        trunk: everything before the head.
        tags: the outputs are K heatmaps, then K tag maps.
    """

    joints: int = 17
    trunk: TrunkConfig = TrunkConfig()
    tags: bool = False


class HrnetPose(nn.Module):
    """Images (B, 3, H, W), sides multiples of 32, to heatmaps (B, K, H/4, W/4), or with `tags` to (B, 2 K, H/4, W/4).

    The first K of 2 K maps are heatmaps, the others tags.
    """

    def __init__(self, config: HrnetPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = HRTrunk(config.trunk)
        outputs = config.joints * (2 if config.tags else 1)
        self.head = parts.HeatmapHead(config.trunk.width, outputs, deconvs=())

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.head(self.backbone.features(x))
        return maps

    def outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """Heatmaps and, apart from them, tags, as the published head returns them."""
        maps: Tensor = self(x)
        return torch.split(maps, self.config.joints, dim=1)


def sniff(shapes: Shapes) -> HrnetPoseConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family."""
    backbone = {key.removeprefix(parts.BACKBONE): shape for key, shape in shapes.items() if parts.BACKBONE in key}
    trunk, last = sniff_trunk(backbone), shapes.get("head.final_layer.weight", ())
    if trunk is None or last[1:] != (trunk.width, 1, 1) or not sane((last[0],), (1,)):
        return None
    outputs = last[0]
    tags = outputs % 2 == 0 and outputs // 2 in BOTTOM_UP_JOINTS
    return HrnetPoseConfig(outputs // 2 if tags else outputs, trunk, tags)


def spec_of(config: HrnetPoseConfig) -> parts.InputFacts:
    """192x256 MSRA heatmaps with a shifted flip test; with tags 512x512 and no shift."""
    if config.tags:
        return parts.InputFacts(config.joints, (512, 512), (128, 128), output="tags", decode="mmpose_ae")
    return parts.InputFacts(config.joints, (192, 256), (48, 64), flip_shift=True)
