"""CSPNeXt, the trunk of RTMPose: split stages of 3x3 and depth-wise 5x5 blocks with channel attention.

"RTMDet: An Empirical Study of Designing Real-Time Object Detectors"; reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poseviewer.nets.mmpose.parts import ConvUnit

POOLS = (5, 9, 13)
STAGES = 4


class CSPNeXt(nn.Module):
    """Images (B, 3, H, W), sides multiples of 32, to features (B, widths[4], H/32, W/32).

    Args:
        widths: channels of the stem and of the four stages.
        blocks: per stage.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        stem = widths[0]
        self.stem = nn.Sequential(
            ConvUnit(3, stem // 2, 3, 2, act="silu"),
            ConvUnit(stem // 2, stem // 2, 3, act="silu"),
            ConvUnit(stem // 2, stem, 3, act="silu"),
        )
        self.stage1 = _stage(widths[0], widths[1], blocks[0])
        self.stage2 = _stage(widths[1], widths[2], blocks[1])
        self.stage3 = _stage(widths[2], widths[3], blocks[2])
        self.stage4 = _stage(widths[3], widths[4], blocks[3], last=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return y


class PyramidPool(nn.Module):
    """Half the channels, their maxima over 5x5, 9x9 and 13x13 cells beside them, and back (SPP)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = ConvUnit(width, half, act="silu")
        self.pools = nn.ModuleList(nn.MaxPool2d(side, stride=1, padding=side // 2) for side in POOLS)
        self.conv2 = ConvUnit(half * (1 + len(POOLS)), width, act="silu")

    def forward(self, x: Tensor) -> Tensor:
        half = self.conv1(x)
        y: Tensor = self.conv2(torch.cat([half, *(pool(half) for pool in self.pools)], dim=1))
        return y


class SplitLayer(nn.Module):
    """Two 1x1 halves, blocks on one of them, both joined, weighted by channel and mixed."""

    def __init__(self, width: int, blocks: int, *, shortcut: bool) -> None:
        super().__init__()
        half = width // 2
        self.main_conv = ConvUnit(width, half, act="silu")
        self.short_conv = ConvUnit(width, half, act="silu")
        self.final_conv = ConvUnit(2 * half, width, act="silu")
        self.blocks = nn.Sequential(*(Block(half, shortcut=shortcut) for _ in range(blocks)))
        self.attention = ChannelAttention(2 * half)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), dim=1)
        y: Tensor = self.final_conv(self.attention(both))
        return y


class Block(nn.Module):
    """3x3 convolution, then depth-wise 5x5 and point-wise 1x1; added to its input with ``shortcut``."""

    def __init__(self, width: int, *, shortcut: bool) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.conv1 = ConvUnit(width, width, 3, act="silu")
        self.conv2 = DepthwisePair(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class DepthwisePair(nn.Module):
    """A 5x5 convolution per channel and a 1x1 convolution, each with BN and SiLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvUnit(width, width, 5, act="silu", groups=width)
        self.pointwise_conv = ConvUnit(width, width, act="silu")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


class ChannelAttention(nn.Module):
    """Channels weighted by a hard sigmoid of a linear map of their averages."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(width, width, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.gate(self.fc(x.mean(dim=(2, 3), keepdim=True)))
        return x * weight


def _stage(inputs: int, width: int, blocks: int, *, last: bool = False) -> nn.Sequential:
    """A strided convolution, in the last stage a pyramid pool, and a split layer (there without shortcuts)."""
    layers: list[nn.Module] = [ConvUnit(inputs, width, 3, 2, act="silu")]
    layers += [PyramidPool(width)] if last else []
    return nn.Sequential(*layers, SplitLayer(width, blocks, shortcut=not last))
