"""Building blocks shared by the pose networks.

Every module keeps the attribute names of the published AlphaPose code, because the names are the keys of
its weight files (reference/alphapose.md section 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from poseviewer.nets.dcn import DeformConv, WrappedDeformConv, offset_conv

BN_EPS = 1e-5


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution with padding 1 and without bias."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class SqueezeExcite(nn.Module):
    """Channel attention: global average, two linear layers, sigmoid, scale (SE-Net, equations 2 to 4).

    The published FastPose uses reduction 1. Input and output are (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 1) -> None:
        super().__init__()
        hidden = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.fc(x.mean((2, 3)))
        return x * gate[:, :, None, None]


@dataclass(frozen=True, slots=True)
class Spatial:
    """How the 3x3 convolution of a bottleneck is done.

    Attributes:
        deform: read at displaced places; `groups` of channels have displacements of their own, and `modulated`
            readings are weighed as well.
        shuffle: halve the resolution by folding 2x2 pixels into channels, not by a stride. The deformable
            convolutions of such a backbone are spelled as wrapped ones.
        deform_strided: convolutions that carry a stride are deformable as well; otherwise they stay plain.
        stride_first: the stride sits on the 1x1 convolution before (the "Caffe" form; same keys and shapes).
    """

    deform: bool = False
    modulated: bool = False
    groups: int = 1
    shuffle: bool = False
    stride_first: bool = False
    deform_strided: bool = True

    def conv(self, planes: int, stride: int) -> nn.Module:
        """The convolution, `planes` to `planes` channels."""
        if not self.shuffle:
            if self.deform:
                return DeformConv(planes, planes, stride, modulated=self.modulated)
            return conv3x3(planes, planes, stride)
        inputs = planes * stride * stride
        made: nn.Module = conv3x3(inputs, planes)
        if self.deform:
            made = WrappedDeformConv(inputs, planes, modulated=self.modulated, groups=self.groups)
        return made if stride == 1 else nn.Sequential(nn.PixelUnshuffle(stride), made)

    def offsets(self, planes: int, stride: int) -> nn.Conv2d | None:
        """The convolution that predicts offsets, where it stands beside the deformable one."""
        if not self.deform or self.shuffle:
            return None
        return offset_conv(planes, stride, modulated=self.modulated, groups=self.groups)


PLAIN = Spatial()


class Bottleneck(nn.Module):
    """1x1, 3x3 (carries the stride), 1x1 to four times the planes, optional SE, shortcut, ReLU."""

    expansion = 4

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        se_reduction: int = 0,
        spatial: Spatial = PLAIN,
    ) -> None:
        super().__init__()
        outputs = planes * self.expansion
        first, stride = (stride, 1) if spatial.stride_first else (1, stride)
        self.conv1 = nn.Conv2d(inputs, planes, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(planes, eps=BN_EPS)
        self.conv2_offset = spatial.offsets(planes, stride)
        self.conv2 = spatial.conv(planes, stride)
        self.bn2 = nn.BatchNorm2d(planes, eps=BN_EPS)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=BN_EPS)
        self.se = SqueezeExcite(outputs, se_reduction) if se_reduction else None
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu_(self.bn1(self.conv1(x)))
        y = self.conv2(y) if self.conv2_offset is None else self.conv2(y, self.conv2_offset(y))
        y = self.bn3(self.conv3(torch.relu_(self.bn2(y))))
        if self.se is not None:
            y = self.se(y)
        return torch.relu_(y + shortcut)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (the first carries the stride), optional SE, shortcut, ReLU.

    Raises ValueError for a `spatial` form that only bottlenecks have.
    """

    expansion = 1

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        se_reduction: int = 0,
        spatial: Spatial = PLAIN,
    ) -> None:
        super().__init__()
        if spatial.deform or spatial.shuffle:
            raise ValueError("only bottlenecks deform or shuffle")
        self.conv1 = conv3x3(inputs, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes, eps=BN_EPS)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes, eps=BN_EPS)
        self.se = SqueezeExcite(planes, se_reduction) if se_reduction else None
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu_(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.se is not None:
            y = self.se(y)
        return torch.relu_(y + shortcut)


class DUC(nn.Module):
    """Dense upsampling convolution: 3x3 convolution, BN, ReLU, pixel shuffle by two.

    (B, inputs, H, W) to (B, planes / 4, 2H, 2W).
    """

    def __init__(self, inputs: int, planes: int) -> None:
        super().__init__()
        self.conv = conv3x3(inputs, planes)
        self.bn = nn.BatchNorm2d(planes, eps=BN_EPS)
        self.pixel_shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pixel_shuffle(torch.relu_(self.bn(self.conv(x))))
        return y


class Lateral(nn.Sequential):
    """1x1 convolution and BN that carry a backbone stage to the head at the same stride."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs, eps=BN_EPS))


class UpsampleHead(nn.Sequential):
    """Transposed 4x4 convolutions of stride 2, each with BN and ReLU; three of them in the published networks.

    (B, inputs, H, W) to (B, widths[-1], H 2^n, W 2^n).
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [
                nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width, eps=BN_EPS),
                nn.ReLU(inplace=True),
            ]
            inputs = width
        super().__init__(*layers)
