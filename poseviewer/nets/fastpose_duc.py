"""FastPose_DUC ("421"): convolutions between the pixel shuffles (reference/alphapose.md section 1.3).

Its dense form has a second head of the same make for points between the joints.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS, conv3x3
from poseviewer.nets.se_resnet import ResidualConfig, residual, sniff_residual
from poseviewer.nets.sniffing import Shapes, sane, size

STAGES = 3
MOST_CONVOLUTIONS = 16


class FastPoseDUCConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a FastPose_DUC network is made of.

    Attributes:
        joints: outputs of the first head.
        dense: outputs of the second head; 0 is the network without it.
        backbone: SE-ResNet, plain or pixel-unshuffling.
        convolutions: of each of the three stages.
        widths: channels that each stage's last convolution gives; the next stage gets a quarter of them.
    """

    joints: int = 17
    dense: int = 0
    backbone: ResidualConfig = ResidualConfig(se_reduction=1)
    convolutions: tuple[int, int, int] = (4, 2, 1)
    widths: tuple[int, int, int] = (1024, 512, 256)


class FastPoseDUC(nn.Module):
    """Images (B, 3, H, W), H and W multiples of 32, to heatmaps (B, joints + dense, H/4, W/4)."""

    def __init__(self, config: FastPoseDUCConfig) -> None:
        super().__init__()
        self.config = config
        self.preact = residual(config.backbone)
        stages = _stages(self.preact.widths[-1], config)
        if config.dense:
            self.duc = nn.Sequential(*stages)
            self.duc_dense = nn.Sequential(*_stages(self.preact.widths[-1], config))
        else:
            self.duc1, self.duc2, self.duc3 = stages
        self.conv_out = nn.Conv2d(config.widths[-1], config.joints, 3, padding=1)
        if config.dense:
            self.conv_out_dense = nn.Conv2d(config.widths[-1], config.dense, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.preact(x)[-1]
        if self.config.dense:
            heads = self.conv_out(self.duc(features)), self.conv_out_dense(self.duc_dense(features))
            return torch.cat(heads, 1)
        heatmaps: Tensor = self.conv_out(self.duc3(self.duc2(self.duc1(features))))
        return heatmaps


def _stages(inputs: int, config: FastPoseDUCConfig) -> list[nn.Sequential]:
    """Pixel shuffle by two, then 3x3 convolutions with BN and ReLU, of which the last changes the width."""
    made: list[nn.Sequential] = []
    for count, outputs in zip(config.convolutions, config.widths, strict=True):
        width = inputs // 4
        layers: list[nn.Module] = [nn.PixelShuffle(2)]
        for number in range(count):
            given = outputs if number == count - 1 else width
            layers += [conv3x3(width, given), nn.BatchNorm2d(given, eps=BN_EPS), nn.ReLU(inplace=True)]
        made.append(nn.Sequential(*layers))
        inputs = outputs
    return made


def sniff(shapes: Shapes) -> FastPoseDUCConfig | None:
    """The network whose state dict has these names and shapes; None for any other."""
    backbone = sniff_residual(shapes, "preact.")
    joints, dense = size(shapes, "conv_out.weight"), size(shapes, "conv_out_dense.weight")
    names = [f"duc.{stage}" if dense else f"duc{stage + 1}" for stage in range(STAGES)]
    counts = tuple(_convolutions(shapes, name) for name in names)
    widths = tuple(size(shapes, f"{name}.{3 * count - 2}.weight") for name, count in zip(names, counts, strict=True))
    if backbone is None or not sane((joints, joints + dense, *widths), counts):
        return None
    return FastPoseDUCConfig(
        joints=joints,
        dense=dense,
        backbone=backbone,
        convolutions=(counts[0], counts[1], counts[2]),
        widths=(widths[0], widths[1], widths[2]),
    )


def _convolutions(shapes: Shapes, name: str) -> int:
    """Convolutions of a stage: its layers 1, 4, 7, .. are four-dimensional."""
    return next((n for n in range(MOST_CONVOLUTIONS + 1) if not size(shapes, f"{name}.{3 * n + 1}.weight", 3)), 0)
