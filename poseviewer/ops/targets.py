"""Training targets: heatmaps and integral coordinates, batched on the device (reference/alphapose.md section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

DRAWN_FROM = 0.5
# Body and foot joints count double in the published integral training of whole-body sets.
DOUBLED_JOINTS = {136: 26, 68: 26, 133: 23}
FOREGROUND = 8.0
"""How much more a cell under a peak weighs than one on the ground, so that zero is no resting place."""


def gaussian_heatmaps(
    joints: Tensor, weights: Tensor, heatmap_wh: tuple[int, int], *, sigma: float = 2.0, outside: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Heatmaps with a peak of 1 at the exact joint position, not rounded to a cell.

    Args:
        joints: (B, K, 2) in heatmap cells.
        weights: (B, K), 0 for joints that are not labelled.
        heatmap_wh: size of the maps.
        sigma: of the Gaussian, in cells.
        outside: weight, relative to the others, of labelled joints outside the map, whose target is an empty map:
            what teaches a network that a joint is not there. 0 leaves them out, as the published systems do.

    Returns:
        targets (B, K, h, w) float32 and weights (B, K).
    """
    width, height = heatmap_wh
    x, y = joints[..., 0:1].float(), joints[..., 1:2].float()
    column = torch.exp(-((_cells(width, joints) - x) ** 2) / (2 * sigma**2))
    row = torch.exp(-((_cells(height, joints) - y) ** 2) / (2 * sigma**2))
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    drawn = weights * inside[..., 0]
    kept = torch.where(inside[..., 0], weights, weights * outside)
    return row[..., :, None] * column[..., None, :] * (drawn > 0)[..., None, None], kept


def master_heatmaps(
    joints: Tensor, weights: Tensor, heatmap_wh: tuple[int, int], *, stride: int = 4, sigma: float = 2.0
) -> tuple[Tensor, Tensor]:
    """The heatmaps of AlphaPose master: centre rounded to a cell, window of +-3 sigma, peak 1.

    Args:
        joints: (B, K, 2) in network input pixels.
        weights: (B, K) visibility.
        heatmap_wh, stride, sigma: in cells, pixels a cell, cells.

    Returns:
        targets (B, K, h, w) and weights (B, K), zero where the window misses the map.
    """
    width, height = heatmap_wh
    radius = int(3 * sigma)
    centre = (joints.float() / stride + 0.5).trunc()
    x, y = centre[..., 0], centre[..., 1]
    missed = (x - radius >= width) | (y - radius >= height) | (x + radius + 1 < 0) | (y + radius + 1 < 0)
    kept = torch.where(missed, torch.zeros_like(weights), weights)
    maps = _windowed(centre, (width, height), radius, sigma)
    return maps * (kept > DRAWN_FROM)[..., None, None], kept


def old_heatmaps(centres: Tensor, heatmap_wh: tuple[int, int], *, sigma: int = 1) -> Tensor:
    """The heatmaps of the 2018 code for joints that are drawn: peak 1, a quarter of the window as sigma.

    Args:
        centres: (B, K, 2) whole cells.
        heatmap_wh: size of the maps.
        sigma: nominal; the window is 6 sigma + 1 cells, so the Gaussian's own sigma is 1.75 for 1.

    Returns:
        (B, K, h, w) float32; empty where the window misses the map.
    """
    return _windowed(centres.float(), heatmap_wh, 3 * sigma, (6 * sigma + 1) / 4)


def integral_targets(joints: Tensor, weights: Tensor, input_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Normalised coordinates for integral regression.

    Args:
        joints: (B, K, 2) in network input pixels; weights: (B, K).
        input_wh: network input size.

    Returns:
        targets (B, 2K) as x0, y0, x1, ... in -0.5..0.5 and weights (B, 2K), doubled for body and foot joints of
        the 68, 133 and 136 joint sets.
    """
    size = torch.tensor(input_wh, device=joints.device, dtype=torch.float32)
    factor = torch.ones(joints.shape[1], device=joints.device)
    factor[: DOUBLED_JOINTS.get(joints.shape[1], 0)] = 2.0
    doubled = (weights * factor)[..., None].expand(*weights.shape, 2)
    return (joints.float() / size - 0.5).flatten(1), doubled.flatten(1)


def cell_error(heatmaps: Tensor, targets: Tensor, *, foreground: float = FOREGROUND) -> Tensor:
    """Mean squared error (B, K) of maps (B, K, h, w), a cell weighing 1 + foreground * target."""
    return ((heatmaps - targets).square() * (1 + foreground * targets.clamp(min=0))).mean((2, 3))


def foreground_mse(heatmaps: Tensor, targets: Tensor, weights: Tensor, *, foreground: float = FOREGROUND) -> Tensor:
    """Mean squared error that weighs a cell by 1 + foreground * target, so that zero is no resting place.

    Args:
        heatmaps, targets: (B, K, h, w); weights: (B, K) per joint.

    Returns:
        the mean over the labelled joints' cells, a scalar.
    """
    per_joint = cell_error(heatmaps.float(), targets, foreground=foreground) * weights
    return per_joint.sum() / weights.sum().clamp(min=1.0)


def _windowed(centre: Tensor, heatmap_wh: tuple[int, int], radius: int, sigma: float) -> Tensor:
    width, height = heatmap_wh
    dx = _cells(width, centre) - centre[..., 0:1]
    dy = _cells(height, centre) - centre[..., 1:2]
    column = torch.exp(-(dx**2) / (2 * sigma**2)) * (dx.abs() <= radius)
    row = torch.exp(-(dy**2) / (2 * sigma**2)) * (dy.abs() <= radius)
    return row[..., :, None] * column[..., None, :]


def _cells(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, device=like.device, dtype=torch.float32)
