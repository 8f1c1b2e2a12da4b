"""Integral regression on a ResNet: the expectation of a softmax over each map (MMPose "ipr_res50").

"Integral Human Pose Regression"; reference/hrnet_ae_mmpose.md sections 5 and 7.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.mmpose import parts
from poseviewer.nets.se_resnet import ResidualConfig, residual
from poseviewer.nets.sniffing import Shapes, sane, size


class IntegralConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of.

    Attributes:
        joints: K.
        backbone: the ResNet, ResNet-50 by default.
        deconvs: channels of the transposed convolutions.
        map_wh: (w, h) cells; fixes the input size.
        beta: factor on the maps before the softmax.
    """

    joints: int = 17
    backbone: ResidualConfig = ResidualConfig()
    deconvs: tuple[int, ...] = (256, 256, 256)
    map_wh: tuple[int, int] = (64, 64)
    beta: float = 1.0


class IntegralResnet(nn.Module):
    """Images (B, 3, H, W) to joints (B, K, 2), x and y as shares of the input's width and height."""

    def __init__(self, config: IntegralConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = residual(config.backbone)
        self.head = IntegralHead(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x)[0]

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (B, K, 2) and the softmax of the maps (B, K, h, w), as the published head returns them."""
        found: tuple[Tensor, Tensor] = self.head(self.backbone(x)[-1])
        return found


class IntegralHead(nn.Module):
    """Softmax over all cells of a map; the expectation of the column and row shares, which are stored parameters."""

    def __init__(self, config: IntegralConfig) -> None:
        super().__init__()
        self.beta = config.beta
        width, height = config.map_wh
        self.linspace_x = nn.Parameter((torch.arange(width) / width).view(1, 1, 1, width), requires_grad=False)
        self.linspace_y = nn.Parameter((torch.arange(height) / height).view(1, 1, height, 1), requires_grad=False)
        self.simplebaseline_head = parts.HeatmapHead(parts.RESNET_WIDTH, config.joints, config.deconvs)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.simplebaseline_head(features)
        share = (maps.flatten(2) * self.beta).softmax(dim=2).view_as(maps)
        x, y = (share * self.linspace_x).sum(dim=(2, 3)), (share * self.linspace_y).sum(dim=(2, 3))
        return torch.stack((x, y), dim=2), share


def sniff(shapes: Shapes) -> IntegralConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family."""
    backbone, deconvs = parts.resnet_of(shapes), parts.deconv_widths(shapes, "head.simplebaseline_head.")
    joints = size(shapes, "head.simplebaseline_head.final_layer.weight")
    map_wh = size(shapes, "head.linspace_x", 3), size(shapes, "head.linspace_y", 2)
    if backbone is None or not deconvs or not sane((joints, *map_wh), (1,)):
        return None
    return IntegralConfig(joints, backbone, deconvs, map_wh)


def spec_of(config: IntegralConfig) -> parts.InputFacts:
    """The input is 32 / 2^n times the map for n transposed convolutions; the flip test shifts by a pixel."""
    stride = 32 // 2 ** len(config.deconvs)
    width, height = (side * stride for side in config.map_wh)
    return parts.InputFacts(
        config.joints, (width, height), (width, height), output="regression", decode="regression", flip_shift=True
    )
