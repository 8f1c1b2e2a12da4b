"""Residual backbone: the published SE-ResNet and compact relatives with a cheaper stem.

Keys follow the published files: conv1, bn1, layer1 .. layer4 (reference/alphapose.md section 1.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS, BasicBlock, Bottleneck, conv3x3

BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}
STRIDES = (1, 2, 2, 2)


class SEResNet(nn.Module):
    """Residual stages, four in the published network, behind a stem of stride 4.

    `stem` "pool" is the published 7x7 convolution of stride 2 with a max pool; "strided" is two strided
    3x3 convolutions, which cost a fifth of it. `se_reduction` 0 leaves SE out; otherwise the first block
    of every stage carries it.

    Input (B, 3, H, W), H and W multiples of the last stride; output the stages at strides 4, 8, 16 and 32.
    """

    def __init__(
        self,
        stem: str,
        stem_width: int,
        block: str,
        depths: Sequence[int],
        planes: Sequence[int],
        se_reduction: int,
    ) -> None:
        super().__init__()
        kind = BLOCKS[block]
        self.stem = stem
        if stem == "pool":
            self.conv1 = nn.Conv2d(3, stem_width, 7, stride=2, padding=3, bias=False)
            width = stem_width
        elif stem == "strided":
            self.conv1 = conv3x3(3, stem_width, 2)
            width = planes[0]
            self.conv2 = conv3x3(stem_width, width, 2)
            self.bn2 = nn.BatchNorm2d(width, eps=BN_EPS)
        else:
            raise ValueError(f"unknown stem {stem!r}")
        self.bn1 = nn.BatchNorm2d(stem_width, eps=BN_EPS)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.widths = [plane * kind.expansion for plane in planes]
        for number, (plane, depth) in enumerate(zip(planes, depths, strict=True), start=1):
            stage = _stage(kind, width, plane, depth, STRIDES[number - 1], se_reduction)
            self.add_module(f"layer{number}", stage)
            width = self.widths[number - 1]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.maxpool(x) if self.stem == "pool" else torch.relu_(self.bn2(self.conv2(x)))
        stages: list[Tensor] = []
        for number in range(1, len(self.widths) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            stages.append(x)
        return tuple(stages)


def _stage(
    kind: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, depth: int, stride: int, se: int
) -> nn.Sequential:
    """One stage; only its first block changes width or stride, and only that one carries SE."""
    outputs = planes * kind.expansion
    downsample = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs, eps=BN_EPS)
    )
    first = kind(inputs, planes, stride, downsample, se)
    return nn.Sequential(first, *(kind(outputs, planes) for _ in range(depth - 1)))
