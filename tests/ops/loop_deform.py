"""Deformable convolution one output at a time: the definition, to test and to measure the fast form against."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def deform_conv2d_by_loops(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    *,
    mask: Tensor | None = None,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Tensor:
    """As ``poseviewer.ops.deform.deform_conv2d`` without bias."""
    outputs, channels, kh, kw = weight.shape
    groups = offset.shape[1] // (2 * kh * kw)
    y = torch.zeros(len(x), outputs, *offset.shape[2:], dtype=x.dtype)
    for n, row, column in torch.cartesian_prod(*(torch.arange(y.shape[axis]) for axis in (0, 2, 3))).tolist():
        for group in range(groups):
            own = slice(group * channels // groups, (group + 1) * channels // groups)
            for tap in range(kh * kw):
                number = group * kh * kw + tap
                down, right = offset[n, 2 * number : 2 * number + 2, row, column].tolist()
                place_y = row * stride - padding + tap // kw * dilation + down
                place_x = column * stride - padding + tap % kw * dilation + right
                read = bilinear(x[n, own], place_y, place_x)
                if mask is not None:
                    read = read * mask[n, number, row, column]
                y[n, :, row, column] += weight[:, own, tap // kw, tap % kw] @ read
    return y


def bilinear(picture: Tensor, y: float, x: float) -> Tensor:
    """The value at a place, corner by corner; a corner outside the picture counts as zero."""
    total = torch.zeros(len(picture), dtype=picture.dtype)
    top, left = math.floor(y), math.floor(x)
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= row < picture.shape[1] and 0 <= column < picture.shape[2]:
            total += picture[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total
