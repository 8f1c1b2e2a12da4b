"""Training targets: heatmaps and integral coordinates, batched on the device (reference/alphapose.md section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

MASTER_RADIUS_SIGMAS = 3


def gaussian_heatmaps(
    joints: Tensor, weights: Tensor, heatmap_wh: tuple[int, int], *, sigma: float = 2.0
) -> tuple[Tensor, Tensor]:
    """Heatmaps with a peak of 1 at the exact joint position, not rounded to a cell.

    Args:
        joints: (B, K, 2) in heatmap cells.
        weights: (B, K), 0 for joints that are not labelled.
        heatmap_wh: size of the maps.
        sigma: of the Gaussian, in cells.

    Returns:
        targets (B, K, h, w) float32 and weights (B, K), zero for joints outside the map.
    """
    width, height = heatmap_wh
    grid_x = torch.arange(width, device=joints.device, dtype=torch.float32)
    grid_y = torch.arange(height, device=joints.device, dtype=torch.float32)
    x, y = joints[..., 0:1].float(), joints[..., 1:2].float()
    column = torch.exp(-((grid_x - x) ** 2) / (2 * sigma**2))
    row = torch.exp(-((grid_y - y) ** 2) / (2 * sigma**2))
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    kept = weights * inside[..., 0]
    return row[..., :, None] * column[..., None, :] * (kept > 0)[..., None, None], kept


def foreground_mse(heatmaps: Tensor, targets: Tensor, weights: Tensor, *, foreground: float = 8.0) -> Tensor:
    """Mean squared error that weighs a cell by 1 + foreground * target, so that zero is no resting place.

    Args:
        heatmaps, targets: (B, K, h, w); weights: (B, K) per joint.

    Returns:
        the mean over the labelled joints' cells, a scalar.
    """
    error = (heatmaps.float() - targets) ** 2 * (1 + foreground * targets)
    per_joint = error.mean((2, 3)) * weights
    return per_joint.sum() / weights.sum().clamp(min=1.0)
