"""OKS-NMS, greedy and soft, as AlphaPose master's evaluation helpers have it (reference/alphapose.md section 6.5).

Two poses are the same person if their object keypoint similarity, with the mean of both areas, exceeds a threshold.
Equal scores are met in numpy's order, as in the evaluation code that these helpers come from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from poseviewer.ops.oks_hrnet import best_first

MOST_SOFT = 20
"""The soft form keeps at most so many."""
SURE = 0.2
"""Joint scores above it count in the rescoring."""

COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035),
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
HALPE_26_SIGMAS = COCO_SIGMAS + (0.08,) * 3 + (0.089,) * 6
HALPE_136_SIGMAS = HALPE_26_SIGMAS + (0.025,) * 110


def oks_matrix(keypoints: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Object keypoint similarity of all pairs, ``(N, N)`` float64.

    OKS = mean over joints of exp(-d^2 / (2 (2 sigma)^2 a)), a the mean of both areas.

    Args:
        keypoints: ``(N, K, 2)`` pixels.
        areas: ``(N,)`` square pixels.
        sigmas: ``(K,)``.
    """
    points, areas = keypoints.double(), areas.double()
    variance = (2 * sigmas.double()) ** 2
    squared = (points[:, None] - points[None]).square().sum(dim=3)
    area = (areas[:, None] + areas[None]) / 2 + torch.finfo(torch.float64).eps
    return torch.exp(-squared / variance / area[..., None] / 2).mean(dim=2)


def oks_nms(keypoints: Tensor, scores: Tensor, areas: Tensor, sigmas: Tensor, threshold: float = 0.9) -> Tensor:
    """Keep the best pose, drop what is more similar to it than ``threshold``, repeat.

    Args:
        keypoints: ``(N, K, 2)``; scores, areas: ``(N,)``; sigmas: ``(K,)``.

    Returns:
        kept indices, int64, best first.
    """
    similar = (oks_matrix(keypoints, areas, sigmas) > threshold).cpu()
    alive = best_first(scores).tolist()
    kept = []
    while alive:
        best, *rest = alive
        kept.append(best)
        alive = [index for index in rest if not similar[best, index]]
    return torch.tensor(kept, dtype=torch.long, device=keypoints.device)


def soft_oks_nms(keypoints: Tensor, scores: Tensor, areas: Tensor, sigmas: Tensor, threshold: float = 0.9) -> Tensor:
    """Instead of dropping, multiply the scores of similar poses by exp(-OKS^2 / threshold); at most 20 are kept.

    Args and returns as :func:`oks_nms`.
    """
    decay = torch.exp(-oks_matrix(keypoints, areas, sigmas).square() / threshold).cpu()
    order = best_first(scores).cpu()
    left = scores.double().cpu()[order]
    kept: list[int] = []
    while len(order) and len(kept) < MOST_SOFT:
        best = int(order[0])
        kept.append(best)
        order, left = order[1:], left[1:] * decay[best, order[1:]]
        again = best_first(left)
        order, left = order[again], left[again]
    return torch.tensor(kept, dtype=torch.long, device=keypoints.device)


def rescored(box_scores: Tensor, joint_scores: Tensor, *, sure: float = SURE) -> Tensor:
    """Box score ``(N,)`` times the mean of the joint scores ``(N, K)`` above ``sure`` (0 where none is), ``(N,)``."""
    joint_scores = joint_scores.double()
    counts = joint_scores > sure
    mean = (joint_scores * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
    return box_scores.double() * mean
