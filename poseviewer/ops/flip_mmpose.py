"""MMPose's flip test for every kind of output, and joining outputs of several sizes.

Symbols: B pictures, K joints. ``flip`` is :attr:`poseviewer.core.skeleton.Skeleton.flip`; every function takes the
output for the mirrored picture and returns it as if the picture were not. The plain heatmaps' form is
:func:`poseviewer.ops.decode.flip_back`. Facts: reference/hrnet_ae_mmpose.md section 9.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def flip_vectors(x: Tensor, y: Tensor, flip: Sequence[int]) -> tuple[Tensor, Tensor]:
    """SimCC's ``(B, K, bins)`` per axis: sides exchanged, only x reversed."""
    order = list(flip)
    return x[:, order].flip(2), y[:, order]


def flip_coordinates(joints: Tensor, flip: Sequence[int], *, pixel: float = 0.0) -> Tensor:
    """Coordinates ``(B, K, 2)`` in 0..1: x becomes 1 - x - ``pixel`` (1 / input width to shift by one pixel)."""
    swapped = joints[:, list(flip)]
    return torch.cat((1 - swapped[..., :1] - pixel, swapped[..., 1:]), dim=2)


def flip_udp_combined(maps: Tensor, flip: Sequence[int]) -> Tensor:
    """Maps ``(B, 3 K, h, w)`` of disc, x offset and y offset; the x offset changes its sign."""
    return _flip_groups(maps, flip, (1, -1, 1))


def flip_offsets(maps: Tensor, flip: Sequence[int]) -> Tensor:
    """Maps ``(B, 2 K, h, w)`` of x and y offsets; x changes its sign."""
    return _flip_groups(maps, flip, (-1, 1))


def aggregate(outputs: Sequence[Tensor], size_wh: tuple[int, int], *, align_corners: bool = False) -> list[Tensor]:
    """Maps ``(B, C, h, w)`` of several sizes resized bilinearly to one."""
    target = (size_wh[1], size_wh[0])
    return [
        maps
        if maps.shape[2:] == target
        else F.interpolate(maps, size=target, mode="bilinear", align_corners=align_corners)
        for maps in outputs
    ]


def keep_peaks(maps: Tensor, kernel: int = 5) -> Tensor:
    """Maps with everything zeroed that is not the maximum of its window of ``kernel`` cells; plateaus stay."""
    highest = F.max_pool2d(maps, kernel, stride=1, padding=(kernel - 1) // 2)
    return maps * (highest == maps)


def _flip_groups(maps: Tensor, flip: Sequence[int], signs: tuple[int, ...]) -> Tensor:
    batch, channels, height, width = maps.shape
    groups = maps.view(batch, channels // len(signs), len(signs), height, width)[:, list(flip)].flip(4)
    factor = torch.tensor(signs, device=maps.device, dtype=maps.dtype)
    return (groups * factor[:, None, None]).reshape(maps.shape)
