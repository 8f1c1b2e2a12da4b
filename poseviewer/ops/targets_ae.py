"""Training targets and losses of associative embedding: heatmaps of many people, tag references, push and pull.

Symbols: B pictures, P people (rows that may be empty), K joints, R the side of a square map in cells, T tag
dimensions. Facts: reference/hrnet_ae_mmpose.md section 13. "Associative Embedding: End-to-End Learning for Joint
Detection and Grouping", equations 1 and 2. Two published forms differ: "ae" (pose-ae-train) and "higher".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Form = Literal["ae", "higher"]
NATURAL_SIGMA = 64.0
"""Sigma is R / 64 unless it is given."""


def group_heatmaps(joints: Tensor, side: int, *, sigma: float | Tensor | None = None, form: Form = "higher") -> Tensor:
    """Heatmaps of all people of one picture, their maximum where they overlap.

    A Gaussian sits on the truncated cell. Its window's corner is truncated in "ae" and rounded in "higher", so that
    for a sigma that is no integer the blob is off by a part of a cell and its peak stays below 1, as published.

    Args:
        joints: ``(P, K, 3)`` x, y in cells and visibility.
        side: R.
        sigma: in cells, one for all or ``(P,)``; R / 64 unless given.
        form: whose code.

    Returns:
        ``(K, R, R)`` float32.
    """
    people, count = joints.shape[:2]
    if not people:
        return torch.zeros(count, side, side, device=joints.device)
    natural = side / NATURAL_SIGMA if sigma is None else sigma
    width = torch.as_tensor(natural, dtype=torch.float64, device=joints.device).expand(people)[:, None, None]
    cells = joints[..., :2].double().trunc()
    drawn = (joints[..., 2] > 0) & ((cells >= 0) & (cells < side)).all(dim=2)
    first, end = cells - 3 * width - 1, cells + 3 * width + 2
    first, end = (first.trunc(), end.trunc()) if form == "ae" else (first.round(), end.round())
    grid = torch.arange(side, device=joints.device, dtype=torch.float64)
    curves = []
    for axis in (0, 1):
        start, stop = first[..., axis : axis + 1], end[..., axis : axis + 1]
        away = grid - start - (3 * width + 1)
        curves.append(torch.exp(-(away**2) / (2 * width**2)) * ((grid >= start) & (grid < stop)))
    maps = curves[1][..., :, None] * curves[0][..., None, :] * drawn[..., None, None]
    return maps.amax(dim=0).float()


def placed_heatmaps(joints: Tensor, side: int, sigma: float) -> Tensor:
    """Heatmaps of all people of one picture with each Gaussian at its joint's very place, not on the truncated cell.

    Cell i holds places from i to i + 1, so its middle is i + 0.5: what the published decoding adds. A sigma that is no
    integer does no harm here, whereas it moves the Gaussians of :func:`group_heatmaps` by half a cell.

    Args:
        joints: ``(P, K, 3)`` x, y in cells and visibility.
        side: R.
        sigma: in cells.

    Returns:
        ``(K, R, R)`` float32.
    """
    people, count = joints.shape[:2]
    if not people:
        return torch.zeros(count, side, side, device=joints.device)
    middles = torch.arange(side, device=joints.device) + 0.5
    columns, rows = (torch.exp(-((middles - joints[..., axis, None]) ** 2) / (2 * sigma**2)) for axis in (0, 1))
    inside = ((joints[..., :2] >= 0) & (joints[..., :2] < side)).all(dim=2) & (joints[..., 2] > 0)
    return ((rows * inside[..., None])[..., :, None] * columns[..., None, :]).amax(dim=0).float()


def tag_references(joints: Tensor, side: int, *, most: int = 30, shared: bool = False) -> Tensor:
    """Where the tags of every person are read: ``(most, K, 2)`` int64 of place and 1, visible joints first.

    Args:
        joints: ``(P, K, 3)`` x, y in cells and visibility.
        side: R; a place is (joint R^2 +) y R + x.
        most: rows.
        shared: all joints share one tag map, so a place has no joint term.

    Raises:
        ValueError: more people than rows.
    """
    people, count = joints.shape[:2]
    if people > most:
        raise ValueError(f"{people} people do not fit into {most} rows")
    cells = joints[..., :2].double().trunc().long()
    seen = (joints[..., 2] > 0) & ((cells >= 0) & (cells < side)).all(dim=2)
    offset = torch.arange(count, device=joints.device) * (0 if shared else side * side)
    places = offset + cells[..., 1] * side + cells[..., 0]
    packed = torch.sort(seen.int(), dim=1, descending=True, stable=True).indices
    entries = torch.stack((places * seen, seen.long()), dim=2)
    table = torch.zeros(most, count, 2, dtype=torch.long, device=joints.device)
    table[:people] = entries.gather(1, packed[..., None].expand(-1, -1, 2))
    return table


def masked_mse(maps: Tensor, targets: Tensor, mask: Tensor, *, foreground: float = 0.0) -> Tensor:
    """Squared error of ``(B, K, h, w)`` where ``mask`` ``(B, h, w)`` is 1, averaged over all cells; ``(B,)``.

    A cell weighs 1 + foreground * target; 0 is published.
    """
    weights = mask[:, None] * (1 + foreground * targets) if foreground else mask[:, None]
    return ((maps - targets).square() * weights).mean(dim=(1, 2, 3))


def read_tags(tag_maps: Tensor, references: Tensor) -> Tensor:
    """Tags at the references.

    Args:
        tag_maps: ``(B, N, T)``, maps flattened in the order of the places; references: ``(B, P, K, 2)``.

    Returns:
        ``(B, P, K, T)``.
    """
    places = references[..., 0].long().flatten(1)[..., None].expand(-1, -1, tag_maps.shape[2])
    return tag_maps.gather(1, places).view(*references.shape[:3], tag_maps.shape[2])


def push_pull(
    tags: Tensor, present: Tensor, *, kind: Literal["exp", "max"] = "exp", guard: float = 0.0
) -> tuple[Tensor, Tensor]:
    """How much different people's tags are alike, and how much one person's tags differ.

    With N people of at least one joint and mean tags m: pull is the mean over people of the mean squared distance to
    m; push is half the sum over ordered pairs of exp(-|m_a - m_b|^2), or of max(0, 1 - |m_a - m_b|), over N (N - 1).

    Args:
        tags: ``(B, P, K, T)``; present: ``(B, P, K)`` which joints count.
        kind: of push.
        guard: added to both divisors; pose-ae-train's Python form has 1e-6, its C form, which trains, has none.

    Returns:
        push ``(B,)``, 0 for fewer than two people, and pull ``(B,)``, 0 for none.
    """
    mean, there, count, pull = _pull(tags, present)
    if kind == "exp":
        alike = torch.exp(-(mean[:, :, None] - mean[:, None]).square().sum(dim=3))
    else:
        alike = (1 - (mean[:, :, None] - mean[:, None]).abs().sum(dim=3)).clamp(min=0)
    pairs = there[:, :, None] & there[:, None]
    push = 0.5 * ((alike * pairs).sum(dim=(1, 2)) - count) / ((count * (count - 1)).clamp(min=1) + guard)
    return torch.where(count > 1, push, 0.0), pull * count / (count + guard).clamp(min=1)


def push_pull_mmpose(tags: Tensor, present: Tensor, *, push_factor: float = 0.5) -> tuple[Tensor, Tensor]:
    """MMPose's form, summed over the batch: push counts each tag dimension apart and every person with itself.

    Args:
        tags, present: as :func:`push_pull`.
        push_factor: on push.

    Returns:
        push and pull, scalars.
    """
    mean, there, count, pull = _pull(tags, present)
    alike = torch.exp(-(mean[:, :, None] - mean[:, None]).square()).sum(dim=3)
    pairs = there[:, :, None] & there[:, None]
    push = push_factor * (alike * pairs).sum(dim=(1, 2)) / (count * (count - 1)).clamp(min=1)
    return torch.where(count > 1, push, 0.0).sum(), pull.sum()


def _pull(tags: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean tags ``(B, P, T)``, who is there ``(B, P)``, how many ``(B,)``, and pull ``(B,)``."""
    weight = present.to(tags.dtype)[..., None]
    joints = weight.sum(dim=2)
    mean = (tags * weight).sum(dim=2) / joints.clamp(min=1)
    there = joints[..., 0] > 0
    count = there.sum(dim=1)
    spread = ((tags - mean[:, :, None]).square() * weight).mean(dim=3).sum(dim=2) / joints[..., 0].clamp(min=1)
    return mean, there, count, (spread * there).sum(dim=1) / count.clamp(min=1)
