"""HRNet (Sun et al. 2019; reference/hrnet_ae_mmpose.md section 1, reference/alphapose.md section 1.5).

Four resolutions run beside one another and exchange their features after every module. AlphaPose, the HRNet
repository and its tutorial re-implementation spell the network alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS, BasicBlock, Bottleneck, conv3x3
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

STEM_WIDTH = 64
STEM_BLOCKS = 4
STAGES = (2, 3, 4)


class TrunkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the part before the heads is made of.

    Attributes:
        width: channels of the highest resolution, 32 or 48 published; every next one has twice as many.
        modules: in the stages with two, three and four resolutions.
        blocks: residual blocks of every resolution between two exchanges.
    """

    width: int = 32
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four resolutions."""
        return self.width, 2 * self.width, 4 * self.width, 8 * self.width


class HRNetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an HRNet is made of.

    Attributes:
        joints: output channels.
        trunk: everything before the last convolution.
        final_kernel: side of the last convolution's kernel.
    """

    joints: int = 17
    trunk: TrunkConfig = TrunkConfig()
    final_kernel: int = 1


class HRTrunk(nn.Module):
    """The four resolutions; `features` of images (B, 3, H, W), sides multiples of 32, are (B, width, H/4, W/4).

    Its last module forms only the highest resolution.
    """

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        widths = config.widths
        stem, expanded = STEM_WIDTH, STEM_WIDTH * Bottleneck.expansion
        self.conv1, self.bn1 = conv3x3(3, stem, 2), nn.BatchNorm2d(stem, eps=BN_EPS)
        self.conv2, self.bn2 = conv3x3(stem, stem, 2), nn.BatchNorm2d(stem, eps=BN_EPS)
        shortcut = nn.Sequential(nn.Conv2d(stem, expanded, 1, bias=False), nn.BatchNorm2d(expanded, eps=BN_EPS))
        others = (Bottleneck(expanded, stem) for _ in range(STEM_BLOCKS - 1))
        self.layer1 = nn.Sequential(Bottleneck(stem, stem, 1, shortcut), *others)
        self.transition1 = nn.ModuleList([_unit(expanded, widths[0]), nn.Sequential(_unit(expanded, widths[1], 2))])
        self.stage2 = _stage(widths[:2], config.modules[0], config.blocks)
        self.transition2 = _new_branch(widths[:3])
        self.stage3 = _stage(widths[:3], config.modules[1], config.blocks)
        self.transition3 = _new_branch(widths)
        self.stage4 = _stage(widths, config.modules[2], config.blocks, last=True)

    def features(self, x: Tensor) -> Tensor:
        """The highest resolution after the last exchange."""
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.layer1(torch.relu_(self.bn2(self.conv2(x))))
        branches = [transition(x) for transition in self.transition1]
        branches = self.stage2(branches)
        branches = [*branches, self.transition2[-1](branches[-1])]
        branches = self.stage3(branches)
        branches = [*branches, self.transition3[-1](branches[-1])]
        best: Tensor = self.stage4(branches)[0]
        return best


class HRNet(HRTrunk):
    """Images (B, 3, H, W), H and W multiples of 32, to heatmaps (B, joints, H/4, W/4)."""

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__(config.trunk)
        self.config = config
        kernel = config.final_kernel
        self.final_layer = nn.Conv2d(config.trunk.width, config.joints, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(self.features(x))
        return heatmaps


class ExchangeModule(nn.Module):
    """Residual blocks on every branch, then each branch takes in all the others.

    `outputs` branches are formed; the network's last module forms only the highest resolution.
    """

    def __init__(self, widths: Sequence[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            Fusion(_fuse(widths, source, target) for source in range(len(widths))) for target in range(outputs)
        )

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        features = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return [fusion(features) for fusion in self.fuse_layers]


class Fusion(nn.ModuleList):
    """One way in for every branch; the sum of them, rectified, is a branch's new feature."""

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        ways = [way(x) for way, x in zip(self, features, strict=True)]
        total = ways[0] + ways[1]
        for way in ways[2:]:
            total = total + way
        return torch.relu_(total)


def _stage(widths: Sequence[int], modules: int, blocks: int, *, last: bool = False) -> nn.Sequential:
    made = [ExchangeModule(widths, blocks, len(widths)) for _ in range(modules - 1)]
    return nn.Sequential(*made, ExchangeModule(widths, blocks, 1 if last else len(widths)))


def _new_branch(widths: Sequence[int]) -> nn.ModuleList:
    """Existing branches go on as they are; a new one comes from the lowest resolution."""
    new = nn.Sequential(_unit(widths[-2], widths[-1], 2))
    return nn.ModuleList([*(nn.Identity() for _ in widths[:-1]), new])


def _unit(inputs: int, outputs: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = [conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs, eps=BN_EPS)]
    return nn.Sequential(*parts, *([nn.ReLU(inplace=True)] if relu else []))


def _fuse(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """The way of one branch's features into another."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[target], 1, bias=False),
            nn.BatchNorm2d(widths[target], eps=BN_EPS),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = [_unit(widths[source], widths[source], 2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, _unit(widths[source], widths[target], 2, relu=False))


def sniff_trunk(shapes: Shapes) -> TrunkConfig | None:
    """The trunk whose names and shapes are among these, or None."""
    width = size(shapes, "transition1.0.0.weight")
    modules = tuple(run_length(shapes, f"stage{stage}.", ".branches.0.0.conv1.weight") for stage in STAGES)
    blocks = run_length(shapes, "stage2.0.branches.0.", ".conv1.weight")
    stem = size(shapes, "conv2.weight"), run_length(shapes, "layer1.", ".conv3.weight")
    if not sane((width, 8 * width), modules) or not 0 < blocks <= STEM_BLOCKS or stem != (STEM_WIDTH, STEM_BLOCKS):
        return None
    if size(shapes, "transition3.3.0.0.weight") != 8 * width:
        return None
    return TrunkConfig(width=width, modules=(modules[0], modules[1], modules[2]), blocks=blocks)


def sniff(shapes: Shapes) -> HRNetConfig | None:
    """The network whose state dict has these names and shapes; None for any other."""
    trunk = sniff_trunk(shapes)
    joints, kernel = (size(shapes, "final_layer.weight", axis) for axis in (0, 2))
    if trunk is None or not sane((joints,), (1,)) or kernel not in (1, 3):
        return None
    return HRNetConfig(joints=joints, trunk=trunk, final_kernel=kernel)
