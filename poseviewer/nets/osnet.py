"""OSNet-AIN: what a person looks like as a vector, for tracking (Zhou et al. 2021; reference/alphapose.md section 1.7).

Every block looks at four scales at once and weighs them by one gate; some blocks normalise each picture by
itself, so that lighting and camera matter less.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

SCALES = 4
REDUCTION = 4
GATE_REDUCTION = 16
STAGES = (2, 3, 4)
BLOCKS = 2


class OSNetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an OSNet is made of; the defaults are osnet_ain_x1_0.

    Attributes:
        features: length of the vector.
        widths: channels of the stem and of the three stages.
        normalised: which of the two blocks of each stage normalise each picture by itself.
        normalised_stem: whether the stem does.
        people: outputs of the classifier that only training needs.
    """

    features: int = 512
    widths: tuple[int, int, int, int] = (64, 256, 384, 512)
    normalised: tuple[tuple[bool, bool], ...] = ((True, True), (False, True), (True, False))
    normalised_stem: bool = True
    people: int = 1


class OSNet(nn.Module):
    """Pictures of persons (B, 3, H, W), published 256 x 128, to vectors (B, features), not normalised."""

    def __init__(self, config: OSNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.conv1 = Unit(3, widths[0], 7, 2, norm=_picture_norm if config.normalised_stem else _batch_norm)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = _stage(widths[0], widths[1], config.normalised[0])
        self.pool2 = nn.Sequential(Unit(widths[1], widths[1]), nn.AvgPool2d(2, 2))
        self.conv3 = _stage(widths[1], widths[2], config.normalised[1])
        self.pool3 = nn.Sequential(Unit(widths[2], widths[2]), nn.AvgPool2d(2, 2))
        self.conv4 = _stage(widths[2], widths[3], config.normalised[2])
        self.conv5 = Unit(widths[3], widths[3])
        self.fc = feature_head(widths[3], config.features)
        self.classifier = nn.Linear(config.features, config.people)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool2(self.conv2(self.maxpool(self.conv1(x))))
        x = self.conv5(self.conv4(self.pool3(self.conv3(x))))
        vectors: Tensor = self.fc(x.mean((2, 3)))
        return vectors


def feature_head(inputs: int, features: int) -> nn.Sequential:
    """Linear, BN, ReLU: from the mean features of a picture to its vector."""
    return nn.Sequential(nn.Linear(inputs, features), nn.BatchNorm1d(features, eps=BN_EPS), nn.ReLU(inplace=True))


def _batch_norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=BN_EPS)


def _picture_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, eps=BN_EPS, affine=True)


class Unit(nn.Module):
    """Convolution that keeps the size for stride 1, normalisation, ReLU; the last two where asked for."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        norm: Callable[[int], nn.Module] | None = _batch_norm,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = None if norm is None else norm(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        y = y if self.bn is None else self.bn(y)
        return torch.relu_(y) if self.relu else y


class LightUnit(nn.Module):
    """A 3x3 convolution taken apart: across channels, then within each; BN and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.bn(self.conv2(self.conv1(x))))


class Stream(nn.Module):
    """As many light units as the scale's number."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(LightUnit(width) for _ in range(units)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class Gate(nn.Module):
    """Weighs channels by what the whole picture has of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(width // GATE_REDUCTION, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc2(torch.relu_(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * weights.sigmoid()


class OSBlock(nn.Module):
    """Four scales, each through the one gate, summed; shortcut; ReLU."""

    def __init__(self, inputs: int, outputs: int, *, normalised: bool) -> None:
        super().__init__()
        width = outputs // REDUCTION
        self.conv1 = Unit(inputs, width)
        self.conv2 = nn.ModuleList(Stream(width, units) for units in range(1, SCALES + 1))
        self.gate = Gate(width)
        self.conv3 = Unit(width, outputs, norm=None if normalised else _batch_norm, relu=False)
        self.downsample = Unit(inputs, outputs, relu=False) if inputs != outputs else None
        self.IN = _picture_norm(outputs) if normalised else None

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(x)
        first, *others = self.conv2
        total = self.gate(first(narrow))
        for stream in others:
            total = total + self.gate(stream(narrow))
        y = self.conv3(total)
        y = y if self.IN is None else self.IN(y)
        return torch.relu_(y + (x if self.downsample is None else self.downsample(x)))


def _stage(inputs: int, outputs: int, normalised: tuple[bool, bool]) -> nn.Sequential:
    first, second = normalised
    return nn.Sequential(OSBlock(inputs, outputs, normalised=first), OSBlock(outputs, outputs, normalised=second))


def sniff(shapes: Shapes) -> OSNetConfig | None:
    """The network whose state dict has these names and shapes; None for any other."""
    stages = [f"conv{stage}" for stage in STAGES]
    widths = tuple(size(shapes, f"{stage}.0.conv3.conv.weight") for stage in stages)
    stem, features, people = (size(shapes, f"{key}.weight") for key in ("conv1.conv", "fc.0", "classifier"))
    scales = run_length(shapes, "conv2.0.conv2.", ".layers.0.conv1.weight")
    blocks = {run_length(shapes, f"{stage}.", ".conv3.conv.weight") for stage in stages}
    if not sane((stem, *widths, features, people), (scales,)) or scales != SCALES or blocks != {BLOCKS}:
        return None
    if min(widths) < REDUCTION * GATE_REDUCTION:
        return None
    return OSNetConfig(
        features=features,
        widths=(stem, widths[0], widths[1], widths[2]),
        normalised=tuple((f"{stage}.0.IN.weight" in shapes, f"{stage}.1.IN.weight" in shapes) for stage in stages),
        normalised_stem="conv1.bn.running_mean" not in shapes,
        people=people,
    )
