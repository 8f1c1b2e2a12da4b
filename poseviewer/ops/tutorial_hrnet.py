"""The HRNet tutorial's variant of crops, heatmaps and loss.

Symbols: N boxes, B pictures, K joints, (W, H) network input pixels; a cell is 4 pixels wide.
Facts: reference/hrnet_ae_mmpose.md sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from poseviewer.ops import affine_hrnet
from poseviewer.ops.codec_hrnet import DRAWN_FROM, windowed
from poseviewer.ops.decode import argmax_joints

CELL = 4
"""Input pixels per cell, fixed in the published code."""


def adjusted_boxes(boxes: Tensor, size_wh: Tensor) -> Tensor:
    """Boxes ``(N, 4)`` x, y, width, height padded on both sides to the aspect of ``size_wh``, ``(N, 2)``; xyxy."""
    low, sides = boxes[:, :2].double(), boxes[:, 2:].double()
    ratio = size_wh[:, 1].double() / size_wh[:, 0].double()
    tall = sides[:, 1] / sides[:, 0] > ratio
    width = torch.where(tall, sides[:, 1] / ratio, sides[:, 0])
    height = torch.where(tall, sides[:, 1], sides[:, 0] * ratio)
    pad = (torch.stack((width, height), dim=1) - sides) / 2
    return torch.cat((low - pad, low + sides + pad), dim=1)


def crop_maps(
    boxes: Tensor, size_wh: Tensor, *, scale: Tensor | None = None, rotation: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The maps of adjusted boxes to the input, and of heatmap cells to the picture.

    A box's centre, top and right middle go to the centres of the input's outermost pixels (size minus one).

    Args:
        boxes: ``(N, 4)`` xyxy of :func:`adjusted_boxes`; size_wh: ``(N, 2)``.
        scale: ``(N,)`` factors on the box's sides; rotation: ``(N,)`` degrees.

    Returns:
        forward and reverse, ``(N, 2, 3)`` float64 each.
    """
    count = len(boxes)
    factor = torch.ones(count, dtype=torch.float64) if scale is None else scale.double()
    angle = torch.zeros(count, dtype=torch.float64) if rotation is None else torch.deg2rad(rotation.double())
    factor, angle = factor.to(boxes.device), angle.to(boxes.device)
    low, high = boxes[:, :2].double(), boxes[:, 2:].double()
    centre, half = (low + high) / 2, (high - low) * factor[:, None] / 2
    up = torch.stack((angle.sin(), -angle.cos()), dim=1) * half[:, 1:]
    right = torch.stack((angle.cos(), angle.sin()), dim=1) * half[:, :1]
    source = torch.stack((centre, centre + up, centre + right), dim=1).float()
    last = size_wh.double() - 1
    zero = torch.zeros_like(last[:, 0])
    top, side = torch.stack((last[:, 0] / 2, zero), dim=1), torch.stack((last[:, 0], last[:, 1] / 2), dim=1)
    target = torch.stack((last / 2, top, side), dim=1).float()
    return affine_hrnet.through_points(source, target), affine_hrnet.through_points(target / CELL, source)


def crop_joints(matrices: Tensor, joints: Tensor) -> Tensor:
    """Joints ``(N, K, 2)`` in the crop; as published, one with a coordinate of exactly 0 stays as it is.

    Whole-number joints stay whole numbers, truncated, where the tensor is of an integer type.
    """
    moved = affine_hrnet.apply(matrices, joints)
    labelled = (joints != 0).all(dim=2, keepdim=True)
    return torch.where(labelled, moved.to(joints.dtype), joints)


def heatmaps(
    joints: Tensor,
    visible: Tensor,
    size_wh: tuple[int, int],
    *,
    sigma: float = 2.0,
    joint_weights: Sequence[float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw joints; a window that only just misses the map counts as missed, one cell stricter than HRNet.

    Args:
        joints: ``(B, K, 2)`` input pixels; visible: ``(B, K)`` 0, 1 or 2: as published, 2 doubles the weight.
        size_wh: of the maps; sigma: in cells; joint_weights: K factors on the weights.

    Returns:
        maps ``(B, K, h, w)`` and weights ``(B, K)`` float32. The published code changes ``visible``; this does not.
    """
    centre = (joints.double() / CELL + 0.5).trunc()
    radius = int(sigma * 3)
    size = torch.tensor(size_wh, device=joints.device)
    missed = ((centre - radius > size - 1) | (centre + radius < 0)).any(dim=2)
    weights = torch.where(missed, 0.0, visible.float())
    maps = windowed(centre, size_wh, radius, sigma) * (weights > DRAWN_FROM)[..., None, None]
    return maps, weights if joint_weights is None else weights * weights.new_tensor(joint_weights)


def heatmap_loss(maps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean squared error of every map times its weight, summed over joints and averaged over pictures."""
    return ((maps - targets).square().mean(dim=(2, 3)) * weights).sum() / len(maps)


def stretched_joints(maps: Tensor, picture_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """First maxima of ``(B, K, h, w)`` on a picture that the maps cover: ``(B, K, 2)`` pixels, and the maxima."""
    xy, scores = argmax_joints(maps)
    cells = xy.new_tensor([maps.shape[3], maps.shape[2]])
    return xy * xy.new_tensor(picture_wh) / cells, scores
