"""Deformable convolution, plain and modulated, in torch alone (Dai et al. 2017; Zhu et al. 2019).

Every tap of the kernel reads its picture at its own place: the regular one plus an offset that another
convolution has predicted. Reading is bilinear and done corner by corner, so that a place just outside the
picture still takes in the corners that lie inside (reference/alphapose.md section 1.1).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Convolve at displaced places.

    Args:
        x: (N, C, H, W).
        offset: (N, 2 G T, h, w) in cells, T taps in row order; channel 2 k is dy and 2 k + 1 is dx of tap k.
            G groups of C / G input channels have offsets of their own.
        weight: (O, C, kh, kw) with T = kh kw.
        bias: (O,) or None.
        mask: (N, G T, h, w), what each reading is multiplied by; None leaves it.
        stride, padding, dilation: as of an ordinary convolution, in cells.

    Returns:
        (N, O, h, w).

    Raises:
        ValueError: the offsets or the mask do not belong to this picture and kernel.
    """
    outputs, channels, kh, kw = weight.shape
    taps = kh * kw
    groups = offset.shape[1] // (2 * taps)
    if groups < 1 or offset.shape[1] != 2 * taps * groups or channels % groups or x.shape[1] != channels:
        raise ValueError(f"{offset.shape[1]} offset channels do not fit {taps} taps and {channels} channels")
    height, width = (
        (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for side, kernel in zip(x.shape[2:], (kh, kw), strict=True)
    )
    if offset.shape[2:] != (height, width):
        raise ValueError(f"offsets of {tuple(offset.shape[2:])} cells do not fit an output of {(height, width)}")
    if mask is not None and mask.shape != (x.shape[0], groups * taps, height, width):
        raise ValueError(f"a mask of shape {tuple(mask.shape)} does not fit the offsets")
    grid = _grid(offset, x.shape[2:], groups, (kh, kw), stride, padding, dilation)
    pictures = x.reshape(x.shape[0] * groups, channels // groups, *x.shape[2:]).to(grid.dtype)
    read = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    read = read.view(x.shape[0], groups, channels // groups, taps, height * width)
    if mask is not None:
        read = read * mask.reshape(x.shape[0], groups, 1, taps, height * width)
    columns = read.reshape(x.shape[0], channels * taps, height * width).to(weight.dtype)
    y = (weight.reshape(outputs, channels * taps) @ columns).view(x.shape[0], outputs, height, width)
    return y if bias is None else y + bias[:, None, None]


def _grid(
    offset: Tensor,
    sides: tuple[int, ...],
    groups: int,
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
) -> Tensor:
    """Where every tap reads: (N G, T h, w, 2) as x, y in the units of `grid_sample`, at least float32."""
    count, _, height, width = offset.shape
    places = offset.reshape(count * groups, kernel[0] * kernel[1], 2, height, width)
    places = places.to(torch.promote_types(offset.dtype, torch.float32))
    down, across, rows, columns = (
        torch.arange(size, device=offset.device, dtype=places.dtype) for size in (*kernel, height, width)
    )
    down, across, rows, columns = (
        down * dilation - padding,
        across * dilation - padding,
        rows * stride,
        columns * stride,
    )
    y = places[:, :, 0] + down.repeat_interleave(kernel[1])[:, None, None] + rows[:, None]
    x = places[:, :, 1] + across.repeat(kernel[0])[:, None, None] + columns
    scaled = [(2 * place + 1) / side - 1 for place, side in ((x, sides[1]), (y, sides[0]))]
    return torch.stack(scaled, -1).flatten(1, 2)
