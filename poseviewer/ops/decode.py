"""From heatmaps to joints: the two AlphaPose arg-max decodings, integral regression and the flip test.

All functions are batched torch and stay on the device (reference/alphapose.md section 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

OLD_OFFSET = 0.2


def decode_heatmaps(heatmaps: Tensor, version: str = "master") -> tuple[Tensor, Tensor]:
    """Joints of a batch of heatmaps.

    Args:
        heatmaps: (B, K, h, w).
        version: "master" or "old" (arg-max with a quarter shift), or "integral" (sigmoid two-step).

    Returns:
        xy (B, K, 2) float32 in heatmap cells and scores (B, K), the map's maximum.

    Raises:
        ValueError: unknown version.
    """
    if version == "integral":
        return decode_integral(heatmaps, "sigmoid")
    if version not in ("master", "old"):
        raise ValueError(f"unknown decoding {version!r}")
    xy, scores = argmax_joints(heatmaps)
    shifted = xy + quarter_shift(heatmaps, xy, exclude_first=version == "master")
    return (shifted + OLD_OFFSET if version == "old" else shifted), scores


def argmax_joints(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """First maximum of every map in row order: xy (B, K, 2), (0, 0) where the maximum is not positive; values."""
    width = heatmaps.shape[-1]
    flat = heatmaps.float().flatten(2)
    scores, index = flat.max(2)
    # Ties: torch gives no promise which index max() returns, the reference takes the first.
    places = torch.arange(flat.shape[2], device=flat.device)
    index = torch.where(flat == scores[..., None], places, flat.shape[2]).amin(2).clamp_(max=flat.shape[2] - 1)
    xy = torch.stack((index % width, index // width), dim=-1).float()
    return xy * (scores > 0)[..., None], scores


def quarter_shift(heatmaps: Tensor, xy: Tensor, *, exclude_first: bool) -> Tensor:
    """A quarter cell towards the higher neighbour, (B, K, 2).

    Only where 1 < x < w - 1 and 1 < y < h - 1 in master (`exclude_first`), 0 < x and 0 < y in the old code.
    """
    height, width = heatmaps.shape[-2:]
    x, y = xy[..., 0].long(), xy[..., 1].long()
    low = 1 if exclude_first else 0
    inside = (x > low) & (x < width - 1) & (y > low) & (y < height - 1)
    flat = heatmaps.float().flatten(2)
    centre, last = (y * width + x)[..., None], flat.shape[2] - 1

    def at(step: int) -> Tensor:
        # What lies outside is not inside, and read somewhere else.
        return flat.gather(2, (centre + step).clamp(0, last))

    step = torch.cat((torch.sign(at(1) - at(-1)), torch.sign(at(width) - at(-width))), dim=2)
    return 0.25 * step * inside[..., None]


def decode_integral(heatmaps: Tensor, norm: str = "softmax") -> tuple[Tensor, Tensor]:
    """Expectation of every map.

    Args:
        heatmaps: (B, K, h, w) logits.
        norm: "softmax" (score 1), "sigmoid" (two-step: score = highest confidence) or "divide_sum" (score 1).

    Returns:
        xy (B, K, 2) in heatmap cells and scores (B, K).

    Raises:
        ValueError: unknown norm.
    """
    height, width = heatmaps.shape[-2:]
    share, scores = normalised_map(heatmaps, norm)
    grid_x = torch.arange(width, device=heatmaps.device, dtype=torch.float32)
    grid_y = torch.arange(height, device=heatmaps.device, dtype=torch.float32)
    x = (share.sum(2) * grid_x).sum(2)
    y = (share.sum(3) * grid_y).sum(2)
    return torch.stack((x, y), dim=-1), scores


def normalised_map(heatmaps: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Maps that sum to 1, (B, K, h, w), and scores (B, K); norms as `decode_integral`."""
    flat = heatmaps.float().flatten(2)
    scores = torch.ones(flat.shape[:2], device=flat.device)
    if norm == "softmax":
        share = flat.softmax(2)
    elif norm == "sigmoid":
        confidence = flat.sigmoid()
        scores = confidence.amax(2)
        share = confidence / confidence.sum(2, keepdim=True)
    elif norm == "divide_sum":
        share = flat / flat.sum(2, keepdim=True)
    else:
        raise ValueError(f"unknown normalisation {norm!r}")
    share = share / share.sum(2, keepdim=True)
    return share.view_as(heatmaps), scores


def flip_back(mirrored: Tensor, flip: Sequence[int], *, shift: bool = True) -> Tensor:
    """Heatmaps of mirrored pictures brought back: mirrored again, left and right joints exchanged.

    `shift` moves columns right by one, from an untouched copy; column 0 stays (reference section 0.1).
    """
    back = mirrored.flip(3)[:, list(flip)]
    return torch.cat((back[..., :1], back[..., :-1]), dim=3) if shift else back


def merge_flip(heatmaps: Tensor, mirrored: Tensor, flip: Sequence[int], *, shift: bool = True) -> Tensor:
    """Mean of the plain heatmaps and those of the mirrored pictures."""
    return (heatmaps + flip_back(mirrored, flip, shift=shift)) / 2
