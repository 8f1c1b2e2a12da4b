"""Where on a map a person's missing joint is: the cell of the highest value minus rounded tag distance.

Looking at every cell for every missing joint is what the published code does and what takes its time. Here maps are
cut into tiles. A tile's highest value and the span of its tags bound what any of its cells can reach, so that only
the tiles whose bound is not below what was found already are looked into. Each step of the bound is the same rounded
operation as for a cell and grows with its operand, so the bound holds exactly and the answer is the same cell.

Symbols: K joints, (h, w) cells, T tag dimensions, N missing joints, Q tiles of C cells.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 4
"""Of a tile, in cells."""
FIRST = 8
"""So many of the most promising tiles are looked into before the others are ruled out."""
MANY = 6000
"""Tiles looked into at once from which on it pays to lay the maps out tile by tile."""
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
        height, width = heatmaps.shape[1:]
        self._weight = weight
        self._width, self._cells = width, height * width
        border = (0, -width % SIDE, 0, -height % SIDE)
        if any(border):
            heatmaps = F.pad(heatmaps, border, value=float("-inf"))
            tag_maps = F.pad(tag_maps, (0, 0, *border))
        self._columns = heatmaps.shape[2] // SIDE
        self._row = heatmaps.shape[2]
        # One contiguous part for each dimension: every step below runs over cells.
        parts = tag_maps.permute(3, 0, 1, 2).contiguous()
        self._values, self._tags = heatmaps.reshape(-1), parts.flatten(1)
        self._shape = heatmaps.shape
        self._by_tile: tuple[Tensor, Tensor] | None = None
        self._size = heatmaps[0].numel()
        self._highest = _of_tiles(heatmaps, torch.Tensor.amax)
        self._low = [_of_tiles(part, torch.Tensor.amin) for part in parts]
        self._high = [_of_tiles(part, torch.Tensor.amax) for part in parts]
        inner = torch.arange(SIDE * SIDE, device=heatmaps.device)
        self._x, self._y = inner % SIDE, inner // SIDE
        self._inner = self._y * self._row + self._x

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
        if len(tiles) > MANY or self._by_tile is not None:
            values, tags = self._tile_rows()
            rows = joints * values.shape[1] + tiles
            own, parts = values.flatten(0, 1)[rows], [part.flatten(0, 1)[rows] for part in tags]
        else:
            x, y = self._corners(tiles)
            cells = (joints * self._size)[:, None] + y * self._row + x + self._inner
            own, parts = self._values.take(cells), [part.take(cells) for part in self._tags]
        gaps = [part - mean[:, None] for part, mean in zip(parts, means.t(), strict=True)]
        return own - self._weight * _rounded_length(gaps)

    def _tile_rows(self) -> tuple[Tensor, Tensor]:
        """Values ``(K, Q, C)`` and tags ``(T, K, Q, C)`` tile by tile, which pays where many are looked into."""
        if self._by_tile is None:
            joints, height, width = self._shape
            grid = (joints, height // SIDE, SIDE, width // SIDE, SIDE)
            self._by_tile = (
                self._values.view(grid).transpose(2, 3).reshape(joints, -1, SIDE * SIDE),
                self._tags.view(-1, *grid).transpose(3, 4).reshape(len(self._tags), joints, -1, SIDE * SIDE),
            )
        return self._by_tile

    def _places(self, tiles: Tensor) -> Tensor:
        """The cells ``(n, C)`` of tiles, counted row by row over the whole map."""
        x, y = self._corners(tiles)
        return (y + self._y) * self._width + x + self._x

    def _corners(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Column and row ``(n, 1)`` of the first cell of tiles."""
        x = (tiles % self._columns * SIDE)[:, None]
        y = (torch.div(tiles, self._columns, rounding_mode="floor") * SIDE)[:, None]
        return x, y


def _of_tiles(maps: Tensor, extreme: Callable[..., Tensor]) -> Tensor:
    """The highest or lowest of each tile ``(K, Q)`` of maps ``(K, h, w)``: rows first, which is quick."""
    joints, height, width = maps.shape
    rows = extreme(maps.reshape(joints, height // SIDE, SIDE, width), 2)
    return extreme(rows.view(joints, -1, SIDE), 2)


def _rounded_length(gaps: list[Tensor]) -> Tensor:
    """The rounded length of ``gaps``, one tensor for each dimension, which are used up."""
    total = torch.zeros_like(gaps[0])
    for gap in gaps:
        total += gap.square_()
    return total.sqrt_().round_()
