"""PoseNet of associative embedding: stacked hourglasses (Newell et al. 2017).

reference/hrnet_ae_mmpose.md section 3. Here, unlike in most networks, ReLU comes before BN.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.nets.blocks import BN_EPS
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

LEVELS = 4
STEM_WIDTHS = (64, 128)
# The inner levels do not hear of the configured increase.
INNER_INCREASE = 128
# Of the published outputs: heatmaps, tags, and as many channels twice that nobody uses.
OUTPUTS_PER_JOINT = 4


class PoseNetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a PoseNet is made of.

    Attributes:
        stacks: hourglasses one behind the other.
        width: features of every hourglass.
        outputs: channels of every stack's maps, four times the joints.
        increase: features that the first level down adds; deeper ones add 128.
        bn: BN behind every ReLU; the published network has none.
    """

    stacks: int = 4
    width: int = 256
    outputs: int = 68
    increase: int = 128
    bn: bool = False

    @property
    def joints(self) -> int:
        """K: channels 0 .. K - 1 of the maps are heatmaps, K .. 2 K - 1 tags."""
        return self.outputs // OUTPUTS_PER_JOINT


class PoseNet(nn.Module):
    """Images (B, 3, H, W) in 0..1, H and W multiples of 64, to all stacks' maps (B, stacks, outputs, H/4, W/4).

    The last stack's maps are the result; the others served training.
    """

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        width, outputs, bn = config.width, config.outputs, config.bn
        stem, wide = STEM_WIDTHS
        self.pre = nn.Sequential(
            Unit(3, stem, 7, stride=2, bn=bn),
            Unit(stem, wide, 3, bn=bn),
            nn.MaxPool2d(2, 2),
            Unit(wide, wide, 3, bn=bn),
            Unit(wide, width, 3, bn=bn),
        )
        self.features = nn.ModuleList(
            nn.Sequential(
                Hourglass(LEVELS, width, config.increase, bn=bn), Unit(width, width, 3), Unit(width, width, 3)
            )
            for _ in range(config.stacks)
        )
        self.outs = nn.ModuleList(Unit(width, outputs, 1, relu=False) for _ in range(config.stacks))
        self.merge_features = nn.ModuleList(Merge(width, width) for _ in range(config.stacks - 1))
        self.merge_preds = nn.ModuleList(Merge(outputs, width) for _ in range(config.stacks - 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pre(x)
        maps: list[Tensor] = []
        for stack, (features, out) in enumerate(zip(self.features, self.outs, strict=True)):
            feature = features(x)
            maps.append(out(feature))
            if stack < self.config.stacks - 1:
                x = x + self.merge_preds[stack](maps[-1]) + self.merge_features[stack](feature)
        return torch.stack(maps, 1)


class Unit(nn.Module):
    """Convolution with bias that keeps the size for stride 1; then ReLU, then BN, where asked for."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True, bn: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2)
        self.relu = relu
        self.bn = nn.BatchNorm2d(outputs, eps=BN_EPS) if bn else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        y = torch.relu_(y) if self.relu else y
        return y if self.bn is None else self.bn(y)


class Merge(nn.Module):
    """A 1x1 convolution that carries one stack's result to the next."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Unit(inputs, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Hourglass(nn.Module):
    """Down by two, through a smaller hourglass, up again, and the way beside it added."""

    def __init__(self, levels: int, width: int, increase: int, *, bn: bool) -> None:
        super().__init__()
        wider = width + increase
        self.up1 = Unit(width, width, 3, bn=bn)
        self.low1 = Unit(width, wider, 3, bn=bn)
        inner: nn.Module = Unit(wider, wider, 3, bn=bn)
        self.low2 = Hourglass(levels - 1, wider, INNER_INCREASE, bn=bn) if levels > 1 else inner
        self.low3 = Unit(wider, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low3(self.low2(self.low1(F.max_pool2d(x, 2, 2))))
        y: Tensor = self.up1(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")
        return y


def sniff(shapes: Shapes) -> PoseNetConfig | None:
    """The network whose state dict has these names and shapes; None for any other."""
    stacks = run_length(shapes, "features.", ".0.up1.conv.weight")
    width, outputs = size(shapes, "pre.4.conv.weight"), size(shapes, "outs.0.conv.weight")
    wider = size(shapes, "features.0.0.low1.conv.weight")
    deepest = "features.0.0" + ".low2" * LEVELS
    if not sane((width, outputs, wider), (stacks,)) or wider < width or outputs % OUTPUTS_PER_JOINT:
        return None
    if size(shapes, f"{deepest}.conv.weight") != wider + (LEVELS - 1) * INNER_INCREASE:
        return None
    return PoseNetConfig(
        stacks=stacks, width=width, outputs=outputs, increase=wider - width, bn="pre.0.bn.weight" in shapes
    )
