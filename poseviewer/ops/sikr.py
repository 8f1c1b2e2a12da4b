"""Symmetric integral keypoint regression (Fang et al., AlphaPose 2022, section 3.1; reference section 5).

The forward pass is the plain integral; the backward pass replaces the gradient by one of the same size on both
sides of the estimate, which the plain integral does not have.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poseviewer.ops.decode import normalised_map

AMPLITUDE = 2.0


class SymmetricIntegral(torch.autograd.Function):
    """Marginal times position, (..., n) to (..., n); the caller sums over the last axis.

    The gradient of an entry is the incoming one times AMPLITUDE, negative left of the estimate; where the
    estimate lies beyond the axis (an unnormalised input) it is positive throughout.
    """

    @staticmethod
    def forward(ctx: Any, marginal: Tensor) -> Tensor:
        positions = torch.arange(marginal.shape[-1], device=marginal.device, dtype=marginal.dtype)
        product = marginal * positions
        ctx.save_for_backward(positions, product.sum(-1, keepdim=True))
        return product

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        positions, estimate = ctx.saved_tensors
        length = positions.shape[0]
        left = (positions < estimate) & (estimate <= length)
        return gradients[0] * AMPLITUDE * torch.where(left, -1.0, 1.0)


def symmetric_integral(marginal: Tensor) -> Tensor:
    """Expected position of a marginal (..., n), with the symmetric gradient; (...,)."""
    product: Tensor = SymmetricIntegral.apply(marginal)  # type: ignore[no-untyped-call]
    return product.sum(-1)


def sikr_coordinates(heatmaps: Tensor, norm: str = "sigmoid") -> tuple[Tensor, Tensor]:
    """Normalised coordinates (B, 2K) as x0, y0, x1, ... in -0.5..0.5 and scores (B, K); norms as decode_integral."""
    height, width = heatmaps.shape[-2:]
    share, scores = normalised_map(heatmaps, norm)
    x = symmetric_integral(share.sum(2)) / width - 0.5
    y = symmetric_integral(share.sum(3)) / height - 0.5
    return torch.stack((x, y), dim=-1).flatten(1), scores


def sikr_loss(heatmaps: Tensor, targets: Tensor, weights: Tensor, norm: str = "sigmoid") -> Tensor:
    """Weighted L1 of the coordinates, summed and divided by the batch size.

    Args:
        heatmaps: (B, K, h, w) logits; targets, weights: (B, 2K) as `targets.integral_targets`.
    """
    coordinates, _ = sikr_coordinates(heatmaps, norm)
    return ((coordinates - targets).abs() * weights).sum() / len(heatmaps)
