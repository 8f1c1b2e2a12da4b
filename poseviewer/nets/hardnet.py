"""HarDNet pose networks 68 and 85 of AlphaPose: harmonic dense blocks down and up again (Chao et al. 2019).

What the reference document does not say was read off the published names and shapes and checked against the
published outputs (reference/alphapose.md section 1.5).
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.nets.blocks import BN_EPS
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

GROWTH_FACTOR = 1.7
MOST_STAGES = 8
UPS = 3


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A harmonic dense block and what follows it.

    Attributes:
        growth: channels of every second layer; the others have 1.7, 1.7^2, .. times as many.
        layers: 3x3 convolutions.
        width: channels of the 1x1 convolution behind it, or before it on the way up; 0 is none.
        pooled: the resolution is halved behind it.
    """

    growth: int
    layers: int
    width: int = 0
    pooled: bool = False


class HarDNetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a HarDNet pose network is made of; the defaults are number 68.

    Attributes:
        joints: output channels.
        stem: channels of the two first convolutions.
        down: the blocks on the way down.
        bottom: the block at the lowest resolution; its width is that of the convolution before it.
        up: the blocks on the way up.
        kept: how many channels before each block on the way up go past it to the end.
        skips: at how many of the steps up the features from the way down are added.
        hidden: channels of the last convolution but one.
    """

    joints: int = 17
    stem: tuple[int, int] = (32, 64)
    down: tuple[Stage, ...] = (
        Stage(14, 8, 128, pooled=True),
        Stage(16, 16, 256),
        Stage(20, 16, 320, pooled=True),
        Stage(40, 16),
    )
    bottom: Stage = Stage(72, 8, 192)
    up: tuple[Stage, ...] = (Stage(48, 8, 256), Stage(32, 8, 128), Stage(20, 4, 64))
    kept: tuple[int, ...] = (32, 32, 0)
    skips: int = 2
    hidden: int = 128


class HarDNetPose(nn.Module):
    """Images (B, 3, H, W), H and W multiples of 32, to heatmaps (B, joints, H/4, W/4)."""

    def __init__(self, config: HarDNetConfig) -> None:
        super().__init__()
        self.config = config
        self.base, self._passing = _way_down(config)
        passed = [block_width(stage) for stage in _passed(config)]
        self.last_proj = Unit(block_width(config.down[-1]), config.bottom.width, 1)
        self.last_blk = HarDBlock(3 * config.bottom.width, config.bottom.growth, config.bottom.layers)
        width = block_width(config.bottom)
        self.denseBlocksUp = nn.ModuleList()
        self.conv1x1_up = nn.ModuleList()
        for number, (stage, kept) in enumerate(zip(config.up, config.kept, strict=True)):
            inputs = width + (passed[-1 - number] if number < config.skips else 0)
            self.conv1x1_up.append(Unit(inputs, stage.width, 1))
            self.denseBlocksUp.append(HarDBlock(3 * (stage.width - kept), stage.growth, stage.layers))
            width = block_width(stage)
        self.conv_out = nn.Sequential(
            nn.Conv2d(width + sum(config.kept), config.hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.hidden, config.joints, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        passed: list[Tensor] = []
        for number, layer in enumerate(self.base):
            x = layer(x)
            if number in self._passing:
                passed.append(x)
        x = F.avg_pool2d(self.last_proj(x), 2, 2)
        x = self.last_blk(tripled(x))
        kept: list[Tensor] = []
        for number, beside in enumerate(self.config.kept):
            skip = passed[-1 - number]
            x = enlarged(x, skip)
            x = self.conv1x1_up[number](torch.cat((x, skip), 1) if number < self.config.skips else x)
            if beside:
                kept.insert(0, x[:, x.shape[1] - beside :])
                x = x[:, : x.shape[1] - beside]
            x = self.denseBlocksUp[number](tripled(x))
        heatmaps: Tensor = self.conv_out(torch.cat([*(enlarged(each, x) for each in kept), x], 1))
        return heatmaps


def _passed(config: HarDNetConfig) -> list[Stage]:
    """The last block of every resolution on the way down: its features go across to the way up."""
    return [stage for stage in config.down if stage.pooled or stage is config.down[-1]]


def _way_down(config: HarDNetConfig) -> tuple[nn.ModuleList, list[int]]:
    """Stem and blocks, and the places in them whose features go across."""
    first, width = config.stem
    base: list[nn.Module] = [Unit(3, first, 3, 2), Unit(first, width, 3), nn.AvgPool2d(3, 2, 1)]
    passing: list[int] = []
    for stage in config.down:
        if any(stage is each for each in _passed(config)):
            passing.append(len(base))
        base.append(HarDBlock(width, stage.growth, stage.layers))
        width = block_width(stage)
        if stage.width:
            base.append(Unit(width, stage.width, 1))
            width = stage.width
        if stage.pooled:
            base.append(nn.AvgPool2d(2, 2))
    return nn.ModuleList(base), passing


def tripled(x: Tensor) -> Tensor:
    """Features, their means over 9x9 cells (those outside count as zero), and their shares of a channel's sum."""
    return torch.cat((x, F.avg_pool2d(x, 9, 1, 4), x / (x.sum((2, 3), keepdim=True) + 0.1)), 1)


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, corners on corners, to the size of another."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


class Unit(nn.Module):
    """Convolution that keeps the size for stride 1, BN, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.norm(self.conv(x)))


class HarDBlock(nn.Module):
    """Layer n sees the layers n - 1, n - 2, n - 4, .. as far as each power of two divides n; 0 is the input.

    The output is every odd layer and the last.
    """

    def __init__(self, inputs: int, growth: int, layers: int) -> None:
        super().__init__()
        self.links = [_links(layer) for layer in range(1, layers + 1)]
        widths = [inputs, *_widths(growth, layers)]
        self.layers = nn.ModuleList(
            Unit(sum(widths[link] for link in links), width, 3)
            for links, width in zip(self.links, widths[1:], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for links, layer in zip(self.links, self.layers, strict=True):
            made.append(layer(torch.cat([made[link] for link in links], 1)))
        return torch.cat([made[layer] for layer in _given(len(self.layers))], 1)


def _links(layer: int) -> list[int]:
    """The layers that a layer sees, the nearest first."""
    return [layer - (1 << n) for n in range(layer.bit_length()) if layer % (1 << n) == 0]


def _widths(growth: int, layers: int) -> list[int]:
    """Channels of every layer: even numbers nearest to growth times 1.7 to the number of links but one."""
    return [int(int(growth * GROWTH_FACTOR ** (len(_links(layer)) - 1) + 1) / 2) * 2 for layer in range(1, layers + 1)]


def _given(layers: int) -> list[int]:
    return [layer for layer in range(1, layers + 1) if layer % 2 or layer == layers]


def block_width(stage: Stage) -> int:
    """Channels that a block gives."""
    widths = _widths(stage.growth, stage.layers)
    return sum(widths[layer - 1] for layer in _given(stage.layers))


def sniff(shapes: Shapes) -> HarDNetConfig | None:
    """The network whose state dict has these names and shapes; None for any other."""
    down = _sniff_down(shapes)
    bottom = _sniff_block(shapes, "last_blk.", "last_proj.conv.weight")
    up = [_sniff_block(shapes, f"denseBlocksUp.{n}.", f"conv1x1_up.{n}.conv.weight") for n in range(UPS)]
    stem = size(shapes, "base.0.conv.weight"), size(shapes, "base.1.conv.weight")
    hidden, joints = size(shapes, "conv_out.0.weight"), size(shapes, "conv_out.2.weight")
    found = [stage for stage in (bottom, *up) if stage is not None]
    if not down or bottom is None or len(found) != 1 + UPS or not sane((*stem, hidden, joints), (1,)):
        return None
    inputs = [size(shapes, f"denseBlocksUp.{n}.layers.0.conv.weight", 1) for n in range(UPS)]
    kept = tuple(stage.width - wide // 3 for stage, wide in zip(found[1:], inputs, strict=True))
    arriving = [size(shapes, f"conv1x1_up.{n}.conv.weight", 1) for n in range(UPS)]
    skips = sum(wide > block_width(stage) for stage, wide in zip(found[:-1], arriving, strict=True))
    halvings = sum(stage.pooled for stage in down) + (not down[-1].pooled)
    if min(kept) < 0 or halvings != UPS:
        return None
    return HarDNetConfig(
        joints=joints, stem=stem, down=down, bottom=bottom, up=tuple(found[1:]), kept=kept, skips=skips, hidden=hidden
    )


def _sniff_down(shapes: Shapes) -> tuple[Stage, ...]:
    """The blocks on the way down; a number that no tensor has is where the resolution is halved."""
    stages: list[Stage] = []
    place = 3
    while len(stages) <= MOST_STAGES and f"base.{place}.layers.0.conv.weight" in shapes:
        last = f"base.{place + 1}.conv.weight" not in shapes
        stage = _sniff_block(shapes, f"base.{place}.", "" if last else f"base.{place + 1}.conv.weight")
        if stage is None:
            return ()
        if last:
            return (*stages, stage)
        pooled = f"base.{place + 2}.layers.0.conv.weight" not in shapes
        stages.append(msgspec.structs.replace(stage, pooled=pooled))
        place += 3 if pooled else 2
    return ()


def _sniff_block(shapes: Shapes, prefix: str, beside: str) -> Stage | None:
    """The block of a prefix with the 1x1 convolution of a name; None unless both are as this network has them."""
    growth, layers = (
        size(shapes, f"{prefix}layers.0.conv.weight"),
        run_length(shapes, f"{prefix}layers.", ".conv.weight"),
    )
    width = size(shapes, beside)
    if not sane((growth, width or 1), (layers,)) or (beside and not width):
        return None
    widths = [size(shapes, f"{prefix}layers.{layer}.conv.weight") for layer in range(layers)]
    return Stage(growth, layers, width) if widths == _widths(growth, layers) else None
