"""Deformable convolutions as layers, with the attribute names of the published files.

Two spellings exist (reference/alphapose.md section 1.1): beside each other, `conv2` and `conv2_offset`, in the
SE-ResNet; wrapped, `conv2.conv` and `conv2.conv_offset`, in the backbone that unshuffles pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poseviewer.ops.deform import deform_conv2d

TAPS = 9


class DeformConv(nn.Module):
    """A deformable 3x3 convolution without bias, padding 1; it holds the weight alone.

    `predicted` (N, 18 G, h, w) holds the offsets of G groups. A modulated one has 27 G channels: the last 9 G
    give, through a sigmoid, the masks.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, modulated: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.stride = stride
        self.modulated = modulated

    def forward(self, x: Tensor, predicted: Tensor) -> Tensor:
        if not self.modulated:
            return deform_conv2d(x, predicted, self.weight, stride=self.stride)
        masks = predicted.shape[1] // 3
        offsets, mask = predicted[:, : 2 * masks], predicted[:, 2 * masks :].sigmoid()
        return deform_conv2d(x, offsets, self.weight, mask=mask, stride=self.stride)


def offset_conv(inputs: int, stride: int = 1, *, modulated: bool = False, groups: int = 1) -> nn.Conv2d:
    """The ordinary convolution that predicts offsets, and masks where modulated; it starts at zero."""
    conv = nn.Conv2d(inputs, groups * TAPS * (3 if modulated else 2), 3, stride=stride, padding=1)
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class WrappedDeformConv(nn.Module):
    """A deformable convolution together with the one that predicts its offsets."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, modulated: bool = False, groups: int = 1) -> None:
        super().__init__()
        self.conv_offset = offset_conv(inputs, stride, modulated=modulated, groups=groups)
        self.conv = DeformConv(inputs, outputs, stride, modulated=modulated)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x, self.conv_offset(x))
        return y
