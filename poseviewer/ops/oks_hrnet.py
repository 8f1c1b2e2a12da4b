"""OKS, OKS-NMS and box NMS as HRNet's and MMPose's evaluations compute them.

Symbols: N poses, K joints. Facts: reference/hrnet_ae_mmpose.md section 10. The published
order is numpy's reversed ascending sort, which is not stable: of equal scores the later pose comes first in lists of
up to 16, and any of them in longer ones. The same sort is called here, as its ties decide what soft suppression keeps.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

MOST_SOFT = 20
"""The soft form keeps at most so many."""
Variant = Literal["hrnet", "mmpose"]


def oks_table(
    keypoints: Tensor,
    areas: Tensor,
    sigmas: Tensor,
    *,
    seen_from: float | None = None,
    variant: Variant = "hrnet",
) -> Tensor:
    """Similarity of every pose (row) to every other (column).

    OKS = mean over joints of exp(-d^2 / (2 (2 sigma)^2 a)), a the mean of both areas.

    Args:
        keypoints: ``(N, K, 3)`` x, y in pixels and score; areas: ``(N,)`` square pixels; sigmas: ``(K,)``.
        seen_from: only joints whose score exceeds it count. "hrnet" looks at the column's scores alone (in its code
            the row's test is lost), "mmpose" at both.
        variant: whose rule; "mmpose" also rounds to float32.

    Returns:
        ``(N, N)`` float64 or float32; 0 where no joint counts.
    """
    points, areas = keypoints[..., :2].double(), areas.double()
    squared = (points[:, None] - points[None]).square().sum(dim=3)
    area = (areas[:, None] + areas[None]) / 2 + torch.finfo(torch.float64).eps
    near = torch.exp(-squared / (2 * sigmas.double()).square() / area[..., None] / 2)
    counts = torch.ones_like(near, dtype=torch.bool)
    if seen_from is not None:
        seen = keypoints[..., 2] > seen_from
        counts = seen[None] & (counts if variant == "hrnet" else seen[:, None])
    table = (near * counts).sum(dim=2) / counts.sum(dim=2).clamp(min=1)
    return table.float() if variant == "mmpose" else table


def oks_nms(table: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Keep the best pose, drop those more similar to it than ``threshold``, repeat; kept indices, best first.

    Args:
        table: ``(N, N)`` of :func:`oks_table`; scores: ``(N,)``.
    """
    similar = (table > threshold).cpu().tolist()
    alive = best_first(scores).tolist()
    kept: list[int] = []
    while alive:
        best, *rest = alive
        kept.append(best)
        alive = [index for index in rest if not similar[best][index]]
    return torch.tensor(kept, dtype=torch.long, device=table.device)


def soft_oks_nms(table: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Decay the scores of similar poses instead of dropping them; the first 20 that come out, in that order.

    The decayed scores are not given back, as in the published code. Args as :func:`oks_nms`.
    """
    similar = table.cpu()
    order = best_first(scores).cpu()
    left = scores.double().cpu()[order]
    kept: list[int] = []
    while len(order) and len(kept) < MOST_SOFT:
        best = int(order[0])
        kept.append(best)
        order = order[1:]
        left = decayed(similar[best, order], left[1:], threshold)
        again = best_first(left)
        order, left = order[again], left[again]
    return torch.tensor(kept, dtype=torch.long, device=table.device)


def decayed(overlap: Tensor, scores: Tensor, threshold: float, *, linear: bool = False) -> Tensor:
    """Scores of soft NMS: times exp(-overlap^2 / threshold), or times 1 - overlap from the threshold on."""
    if linear:
        return torch.where(overlap >= threshold, scores * (1 - overlap), scores)
    return scores * torch.exp(-overlap.square() / threshold)


def box_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy box NMS with sides of x2 - x1 + 1 pixels; kept indices, best first.

    Args:
        boxes: ``(N, 4)`` xyxy; scores: ``(N,)``; threshold: highest overlap that stays.
    """
    low, high = boxes[:, :2].double(), boxes[:, 2:].double()
    shared = torch.minimum(high[:, None], high[None]) - torch.maximum(low[:, None], low[None]) + 1
    overlap = shared.clamp(min=0).prod(dim=2)
    area = (high - low + 1).prod(dim=1)
    return oks_nms(overlap / (area[:, None] + area[None] - overlap), scores, threshold)


def near_joints_nms(
    keypoints: Tensor, scores: Tensor, *, distance: float = 0.05, joints: int | None = None, most: int = 30
) -> Tensor:
    """Of poses that share many near joints keep the best, as DEKR's evaluation does.

    A pose is like another if more than ``joints`` joints are within ``distance`` of its own diagonal. Poses are met
    best first; the best of those alike is kept unless it was set aside before, and all of them are set aside.

    Args:
        keypoints: ``(N, K, 2)`` pixels; scores: ``(N,)``.
        distance: as a share of the pose's diagonal.
        joints: so many near joints are allowed; half of K unless given.
        most: poses that are kept.

    Returns:
        kept indices, best met first.
    """
    points = keypoints.double()
    diagonal = (points.amax(dim=1) - points.amin(dim=1)).square().sum(dim=1).sqrt()
    apart = (points[:, None] - points[None]).square().sum(dim=3).sqrt()
    near = (apart < (diagonal * distance)[:, None, None]).sum(dim=2)
    alike = (near > (keypoints.shape[1] // 2 if joints is None else joints)).cpu()
    values = scores.cpu()
    aside: set[int] = set()
    kept: list[int] = []
    for pose in best_first(values).tolist():
        if pose in aside:
            continue
        group = alike[pose].nonzero()[:, 0]
        if not len(group):
            continue
        best = int(group[int(values[group].argmax())])
        if best not in aside:
            kept.append(best)
            aside.update(group.tolist())
    chosen = torch.tensor(kept, dtype=torch.long)
    return (chosen[best_first(values[chosen])[:most]] if len(kept) > most else chosen).to(keypoints.device)


def best_first(scores: Tensor) -> Tensor:
    """Indices by falling score, ``(N,)``; ties as numpy's default sort leaves them."""
    order = np.argsort(scores.detach().cpu().numpy())[::-1]
    return torch.from_numpy(order.copy()).to(scores.device)
