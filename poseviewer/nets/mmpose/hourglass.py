"""One stacked hourglass (MMPose "td-hm_hourglass52").

"Stacked Hourglass Networks for Human Pose Estimation" in CornerNet's form; reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

import msgspec
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.nets.blocks import BN_EPS, BasicBlock
from poseviewer.nets.mmpose import parts
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

PREFIX = "backbone.hourglass_modules.0."
BLOCK = ".conv1.weight"
MORE_STACKS = f"backbone.hourglass_modules.1.up1.0{BLOCK}"
MOST_LEVELS = 8
STEM_WIDTH = 128


class HourglassConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of; the defaults are Hourglass-52.

    Attributes:
        joints: K.
        widths: channels of every level, from the largest map down; one more than there are halvings.
        blocks: residual blocks of every level.
    """

    joints: int = 17
    widths: tuple[int, ...] = (256, 256, 384, 384, 384, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2, 2, 4)


class HourglassPose(nn.Module):
    """Images (B, 3, H, W), sides multiples of 4 2^levels (128), to heatmaps (B, K, H/4, W/4)."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = HourglassTrunk(config)
        self.head = HourglassHead(config)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.head(self.backbone(x))
        return heatmaps


class HourglassTrunk(nn.Module):
    """Stem of stride 4, the hourglass and a 3x3 convolution.

    ``inters`` would lead to the next stack. The published network of one stack carries it too, unused, so it is here
    for the sake of its keys.
    """

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        width = config.widths[0]
        self.stem = nn.Sequential(
            parts.ConvUnit(3, STEM_WIDTH, 7, 2), nn.Sequential(_residual(STEM_WIDTH, width, stride=2))
        )
        self.hourglass_modules = nn.ModuleList([Hourglass(config.widths, config.blocks)])
        self.inters = nn.Sequential(_residual(width, width))
        self.out_convs = nn.ModuleList([parts.ConvUnit(width, width, 3)])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out_convs[0](self.hourglass_modules[0](self.stem(x)))
        return y


class Hourglass(nn.Module):
    """Blocks at full size, beside them the smaller sizes; both added. (B, widths[0], h, w) to the same."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        width, below, count = widths[0], widths[1], blocks[0]
        self.up1 = _level(width, width, count)
        self.low1 = nn.Sequential(_residual(width, below, stride=2), *_level(below, below, count - 1))
        deepest = len(widths) == 2
        self.low2 = _level(below, below, blocks[1]) if deepest else Hourglass(widths[1:], blocks[1:])
        # The width changes in the last block on the way up, in the first on the way down.
        self.low3 = nn.Sequential(*_level(below, below, count - 1), _residual(below, width))

    def forward(self, x: Tensor) -> Tensor:
        small = self.low3(self.low2(self.low1(x)))
        y: Tensor = self.up1(x) + F.interpolate(small, scale_factor=2, mode="nearest")
        return y


class HourglassHead(nn.Module):
    """A 1x1 convolution."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.multi_final_layers = nn.ModuleList([nn.Conv2d(config.widths[0], config.joints, 1)])

    def forward(self, features: Tensor) -> Tensor:
        heatmaps: Tensor = self.multi_final_layers[0](features)
        return heatmaps


def sniff(shapes: Shapes) -> HourglassConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family or for several stacks."""
    joints = size(shapes, "head.multi_final_layers.0.weight")
    if MORE_STACKS in shapes or not sane((joints,), (1,)):
        return None
    widths: list[int] = []
    blocks: list[int] = []
    level = PREFIX
    while f"{level}up1.0{BLOCK}" in shapes and len(widths) < MOST_LEVELS:
        widths.append(size(shapes, f"{level}up1.0{BLOCK}"))
        blocks.append(run_length(shapes, f"{level}up1.", BLOCK))
        level += "low2."
    widths.append(size(shapes, f"{level}0{BLOCK}"))
    blocks.append(run_length(shapes, level, BLOCK))
    if len(widths) < 2 or not sane(widths, blocks):
        return None
    return HourglassConfig(joints, tuple(widths), tuple(blocks))


def spec_of(config: HourglassConfig) -> parts.InputFacts:
    """The published configuration: 256x256, MSRA heatmaps, shifted flip test."""
    return parts.InputFacts(config.joints, (256, 256), (64, 64), flip_shift=True)


def _level(inputs: int, outputs: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_residual(inputs, outputs) for _ in range(count)))


def _residual(inputs: int, outputs: int, *, stride: int = 1) -> BasicBlock:
    """A basic block with a 1x1 shortcut where size or width changes."""
    if stride == 1 and inputs == outputs:
        return BasicBlock(inputs, outputs)
    shortcut = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs, eps=BN_EPS)
    )
    return BasicBlock(inputs, outputs, stride, shortcut)
