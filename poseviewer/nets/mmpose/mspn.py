"""One stage of MSPN: a ResNet down, 1x1 convolutions up, a prediction at every size (MMPose "td-hm_mspn50").

"Rethinking on Multi-Stage Networks for Human Pose Estimation"; reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.nets.blocks import Bottleneck
from poseviewer.nets.mmpose import parts
from poseviewer.nets.se_resnet import ResidualConfig
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

STAGE = "backbone.multi_stage_mspn.0."
SECOND_STAGE = "backbone.multi_stage_mspn.1.downsample.layer1.0.conv1.weight"
LEVELS = 4
PLANES = ResidualConfig().planes
STEM_WIDTH = 64


class MspnConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of; the defaults are MSPN-50 with one stage.

    Attributes:
        joints: K.
        blocks: bottlenecks per level on the way down.
        width: channels on the way up.
        map_wh: (w, h) of every output, whatever the input.
    """

    joints: int = 17
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = 256
    map_wh: tuple[int, int] = (48, 64)


class Mspn(nn.Module):
    """Images (B, 3, H, W), sides multiples of 32, to heatmaps (B, K, h, w)."""

    def __init__(self, config: MspnConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = MspnTrunk(config)
        self.head = MspnHead(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x)[-1]

    def outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """The heatmaps of every level, from the smallest up; the last are the result, the others train it."""
        maps: tuple[Tensor, ...] = self.head(self.backbone(x))
        return maps


class MspnTrunk(nn.Module):
    """(B, 3, H, W) to features at strides 32, 16, 8 and 4, each of `width` channels."""

    def __init__(self, config: MspnConfig) -> None:
        super().__init__()
        self.top = Top()
        self.multi_stage_mspn = nn.ModuleList([Stage(config)])

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.multi_stage_mspn[0](self.top(x))
        return features


class Top(nn.Module):
    """A 7x7 convolution and a max-pool, together of stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.top = nn.Sequential(parts.ConvUnit(3, STEM_WIDTH, 7, 2), nn.MaxPool2d(3, stride=2, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.top(x)
        return y


class Stage(nn.Module):
    """Down and up again."""

    def __init__(self, config: MspnConfig) -> None:
        super().__init__()
        self.downsample = Down(config.blocks)
        self.upsample = Up(config.width)

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.upsample(self.downsample(x))
        return features


class Down(nn.Module):
    """The four stages of a ResNet behind its stem; features from the largest map to the smallest."""

    def __init__(self, blocks: Sequence[int]) -> None:
        super().__init__()
        widths = [STEM_WIDTH, *(plane * Bottleneck.expansion for plane in PLANES)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _down_level(widths[level], PLANES[level], blocks[level], 1 if level == 0 else 2) for level in range(LEVELS)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            found.append(x)
        return found


class Up(nn.Module):
    """From the smallest map up, each level taking in the way down."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inputs = [plane * Bottleneck.expansion for plane in reversed(PLANES)]
        self.up1, self.up2, self.up3, self.up4 = (
            UpLevel(inputs[level], width, first=level == 0) for level in range(LEVELS)
        )

    def forward(self, down: Sequence[Tensor]) -> list[Tensor]:
        found: list[Tensor] = []
        for level, features in zip((self.up1, self.up2, self.up3, self.up4), reversed(down), strict=True):
            found.append(level(features, found[-1] if found else None))
        return found


class UpLevel(nn.Module):
    """A level's features by a 1x1 convolution, plus the enlarged level below by another; rectified."""

    def __init__(self, inputs: int, width: int, *, first: bool) -> None:
        super().__init__()
        self.in_skip = parts.ConvUnit(inputs, width, act="none")
        self.up_conv = None if first else parts.ConvUnit(width, width, act="none")

    def forward(self, features: Tensor, below: Tensor | None) -> Tensor:
        y: Tensor = self.in_skip(features)
        if self.up_conv is not None and below is not None:
            y = y + self.up_conv(_enlarged(below, (features.shape[2], features.shape[3])))
        return y.relu()


class MspnHead(nn.Module):
    """A prediction per level."""

    def __init__(self, config: MspnConfig) -> None:
        super().__init__()
        self.predict_layers = nn.ModuleList(Predict(config) for _ in range(LEVELS))

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(predict(level) for predict, level in zip(self.predict_layers, features, strict=True))


class Predict(nn.Module):
    """1x1 and 3x3 convolution to K maps, brought to the heatmaps' size."""

    def __init__(self, config: MspnConfig) -> None:
        super().__init__()
        self.size_hw = (config.map_wh[1], config.map_wh[0])
        self.conv_layers = nn.Sequential(
            parts.ConvUnit(config.width, config.width), parts.ConvUnit(config.width, config.joints, 3, act="none")
        )

    def forward(self, features: Tensor) -> Tensor:
        return _enlarged(self.conv_layers(features), self.size_hw)


def sniff(shapes: Shapes) -> MspnConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family or for several stages."""
    joints = size(shapes, f"head.predict_layers.{LEVELS - 1}.conv_layers.1.conv.weight")
    width = size(shapes, f"{STAGE}upsample.up1.in_skip.conv.weight")
    one, two, three, four = (
        run_length(shapes, f"{STAGE}downsample.layer{level}.", ".conv1.weight") for level in range(1, LEVELS + 1)
    )
    if SECOND_STAGE in shapes or not sane((joints, width), (one, two, three, four)):
        return None
    return MspnConfig(joints, (one, two, three, four), width)


def spec_of(config: MspnConfig) -> parts.InputFacts:
    """The published configuration: 192x256, Megvii heatmaps, no shift in the flip test."""
    width, height = config.map_wh
    return parts.InputFacts(config.joints, (width * 4, height * 4), config.map_wh, decode="megvii")


def _down_level(inputs: int, planes: int, count: int, stride: int) -> nn.Sequential:
    outputs = planes * Bottleneck.expansion
    first = Bottleneck(inputs, planes, stride, parts.ConvUnit(inputs, outputs, 1, stride, act="none"))
    return nn.Sequential(first, *(Bottleneck(outputs, planes) for _ in range(count - 1)))


def _enlarged(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size_hw, mode="bilinear", align_corners=True)
