"""Joints straight from a ResNet's average (MMPose "td-reg_res50", DeepPose).

"DeepPose: Human Pose Estimation via Deep Neural Networks"; reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

import msgspec
from torch import Tensor, nn

from poseviewer.nets.mmpose import parts
from poseviewer.nets.se_resnet import ResidualConfig, residual
from poseviewer.nets.sniffing import Shapes, sane, size


class RegressionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of.

    Attributes:
        joints: K.
        backbone: the ResNet, ResNet-50 by default.
    """

    joints: int = 17
    backbone: ResidualConfig = ResidualConfig()


class RegressionResnet(nn.Module):
    """Images (B, 3, H, W) to joints (B, K, 2), x and y as shares of the input's width and height."""

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = residual(config.backbone)
        self.head = RegressionHead(config)

    def forward(self, x: Tensor) -> Tensor:
        joints: Tensor = self.head(self.backbone(x)[-1].mean(dim=(2, 3)))
        return joints


class RegressionHead(nn.Module):
    """One linear layer from averaged features (B, C) to (B, K, 2)."""

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__()
        self.fc = nn.Linear(parts.RESNET_WIDTH, config.joints * 2)

    def forward(self, features: Tensor) -> Tensor:
        joints: Tensor = self.fc(features)
        return joints.view(len(features), -1, 2)


def sniff(shapes: Shapes) -> RegressionConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family.

    A likelihood head (RLE) has a flow model beside its linear layer and is another family.
    """
    backbone, values = parts.resnet_of(shapes), size(shapes, "head.fc.weight")
    flow = any(key.startswith("head.") and not key.startswith("head.fc.") for key in shapes)
    if backbone is None or flow or values % 2 or not sane((values,), (1,)):
        return None
    if shapes["head.fc.weight"] != (values, parts.RESNET_WIDTH):
        return None
    return RegressionConfig(values // 2, backbone)


def spec_of(config: RegressionConfig) -> parts.InputFacts:
    """The published configuration: 192x256; the flip test shifts by a pixel."""
    input_wh = (192, 256)
    return parts.InputFacts(
        config.joints, input_wh, input_wh, output="regression", decode="regression", flip_shift=True
    )
