"""Where on a map a person's missing joint is: the cell of the highest value minus rounded tag distance.

Looking at every cell for every missing joint is what the published code does and what takes its time. Here maps are
cut into tiles. A tile's highest value and the span of its tags bound what any of its cells can reach, so that only
the tiles whose bound is not below what was found already are looked into. Each step of the bound is the same rounded
operation as for a cell and grows with its operand, so the bound holds exactly and the answer is the same cell.

Symbols: K joints, (h, w) cells, T tag dimensions, N missing joints, Q tiles of C cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 4
"""Of a tile, in cells."""
FIRST = 8
"""So many of the most promising tiles are looked into before the others are ruled out."""
MOST_CELLS = 1 << 23
"""So many cells are compared at once at most, which limits the memory where bounds do not help."""


class TagSearch:
    """Searches the maps of one picture.

    Args:
        heatmaps: ``(K, h, w)``.
        tag_maps: ``(K, h, w, T)``.
        weight: of the rounded tag distance against the value.
    """

    def __init__(self, heatmaps: Tensor, tag_maps: Tensor, *, weight: float = 1.0) -> None:
        joints, height, width = heatmaps.shape
        self._weight = weight
        self._width, self._cells = width, height * width
        border = (0, -width % SIDE, 0, -height % SIDE)
        values = F.pad(heatmaps, border, value=float("-inf"))
        tags = F.pad(tag_maps, (0, 0, *border))
        rows, self._columns = values.shape[1] // SIDE, values.shape[2] // SIDE
        grid = (joints, rows, SIDE, self._columns, SIDE)
        self._values = values.view(grid).transpose(2, 3).reshape(joints, -1, SIDE * SIDE)
        # One contiguous part for each dimension: every step below runs over cells.
        parts = tags.view(*grid, -1).permute(5, 0, 1, 3, 2, 4)
        self._tags = parts.reshape(parts.shape[0], joints, -1, SIDE * SIDE)
        self._highest = self._values.amax(dim=2)
        self._low, self._high = self._tags.amin(dim=3), self._tags.amax(dim=3)

    def best(self, joints: Tensor, means: Tensor) -> Tensor:
        """Find the best cell of each missing joint; of equal ones the first in row order.

        Args:
            joints: ``(N,)`` int64; means: ``(N, T)`` the persons' mean tags.

        Returns:
            ``(N,)`` int64 cells, counted row by row.
        """
        step = max(MOST_CELLS // self._cells, 1)
        parts = zip(torch.split(joints, step), torch.split(means, step), strict=True)
        return torch.cat([self._best(joint, mean) for joint, mean in parts])

    def _best(self, joints: Tensor, means: Tensor) -> Tensor:
        gaps = [
            torch.maximum(low[joints] - mean[:, None], mean[:, None] - high[joints]).clamp_(min=0)
            for low, high, mean in zip(self._low, self._high, means.t(), strict=True)
        ]
        bound = self._highest[joints] - self._weight * _rounded_length(gaps)
        first = bound.topk(min(FIRST, bound.shape[1]), dim=1).indices
        owner = torch.arange(len(joints), device=joints.device).repeat_interleave(first.shape[1])
        reached = self._reached(joints[owner], first.flatten(), means[owner]).view(len(joints), -1).amax(dim=1)
        who, tile = (bound >= reached[:, None]).nonzero(as_tuple=True)
        reach = self._reached(joints[who], tile, means[who])
        highest = reach.amax(dim=1)
        best = torch.full_like(reached, float("-inf")).scatter_reduce_(0, who, highest, "amax")
        equal = highest == best[who]
        who, tile, reach = who[equal], tile[equal], reach[equal]
        cell = torch.where(reach == best[who, None], self._places(tile), self._cells).amin(dim=1)
        return torch.full_like(joints, self._cells).scatter_reduce_(0, who, cell, "amin")

    def _reached(self, joints: Tensor, tiles: Tensor, means: Tensor) -> Tensor:
        """Value minus rounded tag distance of the cells ``(n, C)`` of one tile each."""
        gaps = [part[joints, tiles] - mean[:, None] for part, mean in zip(self._tags, means.t(), strict=True)]
        return self._values[joints, tiles] - self._weight * _rounded_length(gaps)

    def _places(self, tiles: Tensor) -> Tensor:
        """The cells ``(n, C)`` of tiles, counted row by row over the whole map."""
        inner = torch.arange(SIDE * SIDE, device=tiles.device)
        x = (tiles % self._columns * SIDE)[:, None] + inner % SIDE
        y = (tiles // self._columns * SIDE)[:, None] + inner // SIDE
        return y * self._width + x


def _rounded_length(gaps: list[Tensor]) -> Tensor:
    """The rounded length of ``gaps``, one tensor for each dimension, which are used up."""
    total = torch.zeros_like(gaps[0])
    for gap in gaps:
        total += gap.square_()
    return total.sqrt_().round_()
