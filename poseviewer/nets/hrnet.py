"""HRNet-W32 as AlphaPose ships it (Sun et al. 2019; reference/alphapose.md section 1.5).

Four resolutions run beside one another and exchange their features after every module.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS, BasicBlock, Bottleneck, conv3x3

WIDTHS = (32, 64, 128, 256)
BLOCKS_PER_BRANCH = 4
# Modules in the stages with two, three and four branches.
MODULES = (1, 4, 3)


class HRNet(nn.Module):
    """Images (B, 3, H, W), H and W multiples of 32, to heatmaps (B, joints, H/4, W/4)."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv3x3(3, 64, 2), nn.BatchNorm2d(64, eps=BN_EPS)
        self.conv2, self.bn2 = conv3x3(64, 64, 2), nn.BatchNorm2d(64, eps=BN_EPS)
        shortcut = nn.Sequential(nn.Conv2d(64, 256, 1, bias=False), nn.BatchNorm2d(256, eps=BN_EPS))
        self.layer1 = nn.Sequential(Bottleneck(64, 64, 1, shortcut), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList([_unit(256, WIDTHS[0]), nn.Sequential(_unit(256, WIDTHS[1], 2))])
        self.stage2 = _stage(2, MODULES[0])
        self.transition2 = _new_branch(2)
        self.stage3 = _stage(3, MODULES[1])
        self.transition3 = _new_branch(3)
        self.stage4 = _stage(4, MODULES[2], last=True)
        self.final_layer = nn.Conv2d(WIDTHS[0], joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.layer1(torch.relu_(self.bn2(self.conv2(x))))
        branches = [transition(x) for transition in self.transition1]
        branches = self.stage2(branches)
        branches = [*branches, self.transition2[-1](branches[-1])]
        branches = self.stage3(branches)
        branches = [*branches, self.transition3[-1](branches[-1])]
        heatmaps: Tensor = self.final_layer(self.stage4(branches)[0])
        return heatmaps


class ExchangeModule(nn.Module):
    """Residual blocks on every branch, then each branch takes in all the others.

    `outputs` branches are formed; the network's last module forms only the highest resolution.
    """

    def __init__(self, branches: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(BLOCKS_PER_BRANCH))) for width in WIDTHS[:branches]
        )
        self.fuse_layers = nn.ModuleList(
            Fusion(_fuse(source, target) for source in range(branches)) for target in range(outputs)
        )

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        features = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return [fusion(features) for fusion in self.fuse_layers]


class Fusion(nn.ModuleList):
    """One way in for every branch; the sum of them, rectified, is a branch's new feature."""

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        ways = [way(x) for way, x in zip(self, features, strict=True)]
        return torch.relu(torch.stack(ways).sum(0))


def _stage(branches: int, modules: int, *, last: bool = False) -> nn.Sequential:
    made = [ExchangeModule(branches, branches) for _ in range(modules - 1)]
    return nn.Sequential(*made, ExchangeModule(branches, 1 if last else branches))


def _new_branch(branches: int) -> nn.ModuleList:
    """Existing branches go on as they are; a new one comes from the lowest resolution."""
    new = nn.Sequential(_unit(WIDTHS[branches - 1], WIDTHS[branches], 2))
    return nn.ModuleList([*(nn.Identity() for _ in range(branches)), new])


def _unit(inputs: int, outputs: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = [conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs, eps=BN_EPS)]
    return nn.Sequential(*parts, *([nn.ReLU()] if relu else []))


def _fuse(source: int, target: int) -> nn.Module:
    """The way of one branch's features into another."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(WIDTHS[source], WIDTHS[target], 1, bias=False),
            nn.BatchNorm2d(WIDTHS[target], eps=BN_EPS),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = [_unit(WIDTHS[source], WIDTHS[source], 2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, _unit(WIDTHS[source], WIDTHS[target], 2, relu=False))
