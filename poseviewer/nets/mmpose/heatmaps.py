"""Top-down heatmaps of a ResNet with transposed convolutions (MMPose "td-hm_res50" and relatives).

"Simple Baselines for Human Pose Estimation and Tracking"; reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

import msgspec
from torch import Tensor, nn

from poseviewer.nets.mmpose import parts
from poseviewer.nets.se_resnet import ResidualConfig, residual
from poseviewer.nets.sniffing import Shapes, sane, size


class ResnetHeatmapsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of.

    Attributes:
        joints: K.
        backbone: the ResNet, ResNet-50 by default.
        deconvs: channels of the transposed convolutions.
    """

    joints: int = 17
    backbone: ResidualConfig = ResidualConfig()
    deconvs: tuple[int, ...] = (256, 256, 256)


class ResnetHeatmaps(nn.Module):
    """Images (B, 3, H, W), sides multiples of 32, to heatmaps (B, K, H/4, W/4) with three transposed convolutions."""

    def __init__(self, config: ResnetHeatmapsConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = residual(config.backbone)
        self.head = parts.HeatmapHead(self.backbone.widths[3], config.joints, config.deconvs)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.head(self.backbone(x)[-1])
        return heatmaps


def sniff(shapes: Shapes) -> ResnetHeatmapsConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family."""
    backbone, deconvs = parts.resnet_of(shapes), parts.deconv_widths(shapes, "head.")
    joints = size(shapes, "head.final_layer.weight")
    last = deconvs[-1] if deconvs else 0
    if backbone is None or not deconvs or not sane((joints,), (1,)):
        return None
    if shapes["head.final_layer.weight"] != (joints, last, 1, 1):
        return None
    return ResnetHeatmapsConfig(joints, backbone, deconvs)


def spec_of(config: ResnetHeatmapsConfig) -> parts.InputFacts:
    """The published configuration: 192x256, MSRA heatmaps, shifted flip test."""
    cells = 2 ** len(config.deconvs)
    return parts.InputFacts(config.joints, (192, 256), (6 * cells, 8 * cells), flip_shift=True)
