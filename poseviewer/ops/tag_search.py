"""Where on a map a person's missing joint is: the cell of the highest value minus rounded tag distance.

Looking at every cell for every missing joint is what the published code does and what takes its time. Here maps are
cut into tiles, these into quarters, and so on down to 4 x 4 cells. A tile's highest value and the span of its tags
bound what any of its cells can reach, so that only the tiles whose bound is not below what is surely reached are looked
into: by one of the map's peaks, or where these are all far away in tags, by the cells of the most promising tiles. Each
step of the bound is the same rounded operation as for a cell and grows with its operand, so the bound holds exactly and
the answer is the same cell.

Symbols: K joints, (h, w) cells, T tag dimensions, N missing joints, Q tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.ops.refinement import divide

SIDE = 4
"""Of the smallest tiles, in cells."""
MOST_TILES = 300
"""The largest tiles double their side until a map has no more than so many."""
PEAKS = 128
"""So many of the smallest tiles, those with the highest values, tell beforehand what can be reached."""
BEAM = 16
"""So many tiles of each size, those of the highest bound, tell beforehand what can be reached."""
AT_ONCE = 1 << 17
"""So many tiles are compared at once: a table of them fits a processor's cache."""


class _Level(NamedTuple):
    """Tiles of one size, as they lie on the maps: ``highest`` values and the span ``low`` to ``high`` of each tag
    dimension, all ``(K, rows, columns)``."""

    highest: Tensor
    low: list[Tensor]
    high: list[Tensor]


class TagSearch:
    """Searches the maps of one picture.

    Args:
        heatmaps: ``(K, h, w)``, finite.
        tag_maps: ``(K, h, w, T)``.
        weight: of the rounded tag distance against the value.
    """

    def __init__(self, heatmaps: Tensor, tag_maps: Tensor, *, weight: float = 1.0) -> None:
        height, width = heatmaps.shape[1:]
        self._weight, self._width, self._cells = weight, width, height * width
        side = SIDE
        while -(-height // side) * -(-width // side) > MOST_TILES:
            side *= 2
        # One contiguous part for each dimension: every step below runs over cells.
        parts = tag_maps.permute(3, 0, 1, 2).contiguous()
        border = (0, -width % side, 0, -height % side)
        if any(border):
            heatmaps = F.pad(heatmaps, border, value=float("-inf"))
            parts = F.pad(parts, border, mode="replicate")
        level = _Level(
            _of_tiles(heatmaps, torch.Tensor.amax, SIDE),
            [_of_tiles(part, torch.Tensor.amin, SIDE) for part in parts],
            [_of_tiles(part, torch.Tensor.amax, SIDE) for part in parts],
        )
        # The largest tiles first.
        self._levels = [level]
        for _ in range((side // SIDE).bit_length() - 1):
            level = _halved(level)
            self._levels.insert(0, level)
        self._row = heatmaps.shape[2]
        # Rows of SIDE cells are read together.
        self._values, self._tags = heatmaps.reshape(-1, SIDE), [part.reshape(-1, SIDE) for part in parts]
        steps = torch.arange(2, device=heatmaps.device)
        self._steps = steps.repeat_interleave(2), steps.repeat(2)
        self._inner = torch.arange(SIDE, device=heatmaps.device)
        self._peaks = self._find_peaks()

    def best(self, joints: Tensor, means: Tensor) -> Tensor:
        """Find the best cell of each missing joint; of equal ones the first in row order.

        Args:
            joints: ``(N,)`` int64; means: ``(N, T)`` the persons' mean tags.

        Returns:
            ``(N,)`` int64 cells, counted row by row.
        """
        step = max(AT_ONCE // max(self._levels[0].highest[0].numel(), PEAKS), 1)
        parts = zip(torch.split(joints, step), torch.split(means, step), strict=True)
        return torch.cat([self._best(joint, mean.t().contiguous()) for joint, mean in parts])

    def _best(self, joints: Tensor, means: Tensor) -> Tensor:
        """As :meth:`best`, for means ``(T, N)``."""
        values, tags = self._peaks
        gaps = [part.index_select(0, joints).sub_(mean[:, None]) for part, mean in zip(tags, means, strict=True)]
        reached = (values.index_select(0, joints) - self._weight * _rounded_length(gaps)).amax(dim=1)
        bounds = self._first_bounds(joints, means)
        far = (reached <= 0).nonzero()[:, 0]
        if len(far):
            promised = self._promised(joints.take(far), means.index_select(1, far), bounds.index_select(0, far))
            reached[far] = torch.maximum(reached.take(far), promised)
        who, rows, columns = self._tiles(joints, means, bounds, reached)
        reach = self._reached(joints.take(who), rows, columns, [mean.take(who) for mean in means])
        highest = reach.amax(dim=1)
        best = reached.scatter_reduce(0, who, highest, "amax")
        equal = (highest == best.take(who)).nonzero()[:, 0]
        who, rows, columns, reach = (part.index_select(0, equal) for part in (who, rows, columns, reach))
        lines = rows[:, None] * SIDE + self._inner
        places = lines[:, :, None] * self._width + (columns[:, None] * SIDE + self._inner)[:, None]
        cell = torch.where(reach == best.take(who)[:, None], places.flatten(1), self._cells).amin(dim=1)
        return torch.full_like(joints, self._cells).scatter_reduce_(0, who, cell, "amin")

    def _first_bounds(self, joints: Tensor, means: Tensor) -> Tensor:
        """What the largest tiles ``(N, Q)`` can reach."""
        first = self._levels[0]
        highest, *spans = (part.flatten(1).index_select(0, joints) for part in (first.highest, *first.low, *first.high))
        gaps = [_gap(low, high, mean) for low, high, mean in zip(*_halves(spans), means[:, :, None], strict=True)]
        return highest.sub_(_rounded_length(gaps), alpha=self._weight)

    def _bounds(self, level: _Level, joints: Tensor, rows: Tensor, columns: Tensor, means: list[Tensor]) -> Tensor:
        """What tiles of one size can reach, each for the joint and the mean beside it."""
        down, across = level.highest.shape[1:]
        place = (joints * down + rows) * across + columns
        spans = [part.take(place) for part in (*level.low, *level.high)]
        gaps = [_gap(low, high, mean) for low, high, mean in zip(*_halves(spans), means, strict=True)]
        return level.highest.take(place).sub_(_rounded_length(gaps), alpha=self._weight)

    def _promised(self, joints: Tensor, means: Tensor, bounds: Tensor) -> Tensor:
        """What the cells of the most promising tiles reach, ``(N,)``."""
        row, column = divide(bounds.topk(min(BEAM, bounds.shape[1]), dim=1).indices, self._levels[0].highest.shape[2])
        for level in self._levels[1:]:
            row, column = (
                (row[..., None] * 2 + self._steps[0]).flatten(1),
                (column[..., None] * 2 + self._steps[1]).flatten(1),
            )
            bound = self._bounds(level, joints[:, None], row, column, list(means[..., None]))
            best = bound.topk(min(BEAM, bound.shape[1]), dim=1).indices
            row, column = row.gather(1, best), column.gather(1, best)
        count = row.shape[1]
        own = [mean.repeat_interleave(count) for mean in means]
        reach = self._reached(joints.repeat_interleave(count), row.flatten(), column.flatten(), own)
        return reach.view(len(joints), -1).amax(dim=1)

    def _tiles(self, joints: Tensor, means: Tensor, bounds: Tensor, reached: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The smallest tiles that may hold more than what was ``reached``: whose ``(n,)``, and their row and column."""
        who, tile = (bounds >= reached[:, None]).nonzero(as_tuple=True)
        row, column = divide(tile, self._levels[0].highest.shape[2])
        for level in self._levels[1:]:
            row = (row[:, None] * 2 + self._steps[0]).flatten()
            column = (column[:, None] * 2 + self._steps[1]).flatten()
            who = who.repeat_interleave(4)
            bound = self._bounds(level, joints.take(who), row, column, [mean.take(who) for mean in means])
            kept = (bound >= reached.take(who)).nonzero()[:, 0]
            who, row, column = who.take(kept), row.take(kept), column.take(kept)
        return who, row, column

    def _reached(self, joints: Tensor, rows: Tensor, columns: Tensor, means: list[Tensor]) -> Tensor:
        """Value minus rounded tag distance of the cells ``(n, SIDE * SIDE)`` of one of the smallest tiles each."""
        across = self._row // SIDE
        lines = (joints * self._levels[-1].highest.shape[1] + rows) * SIDE
        place = ((lines[:, None] + self._inner) * across + columns[:, None]).flatten()
        shape = (len(joints), SIDE * SIDE)
        parts = [part.index_select(0, place).view(shape) for part in self._tags]
        gaps = [part.sub_(mean[:, None]) for part, mean in zip(parts, means, strict=True)]
        return self._values.index_select(0, place).view(shape).sub_(_rounded_length(gaps), alpha=self._weight)

    def _find_peaks(self) -> tuple[Tensor, list[Tensor]]:
        """Values ``(K, PEAKS)`` and tags of the highest cells of the smallest tiles with the highest values."""
        level = self._levels[-1].highest
        joints, rows, columns = level.shape
        row, column = divide(level.flatten(1).topk(min(PEAKS, rows * columns), dim=1, sorted=False).indices, columns)
        line = (torch.arange(joints, device=row.device)[:, None] * rows + row) * SIDE
        place = (line[..., None] + self._inner) * columns + column[..., None]
        shape = (*row.shape, SIDE * SIDE)
        values = self._values.index_select(0, place.flatten()).view(shape)
        line, inner = divide(values.argmax(dim=2), SIDE)
        place = place.gather(2, line[..., None])[..., 0] * SIDE + inner
        return self._values.take(place), [part.take(place) for part in self._tags]


def _halves(spans: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The first and the second half: what is low and what is high in each dimension."""
    return spans[: len(spans) // 2], spans[len(spans) // 2 :]


def _gap(low: Tensor, high: Tensor, mean: Tensor) -> Tensor:
    """How far a mean is from a span, 0 inside; uses ``low`` and ``high`` up."""
    return torch.maximum(low.sub_(mean), torch.sub(mean, high, out=high), out=low).clamp_(min=0)


def _halved(level: _Level) -> _Level:
    """Tiles of twice the side."""
    return _Level(
        _of_tiles(level.highest, torch.Tensor.amax, 2),
        [_of_tiles(part, torch.Tensor.amin, 2) for part in level.low],
        [_of_tiles(part, torch.Tensor.amax, 2) for part in level.high],
    )


def _of_tiles(maps: Tensor, extreme: Callable[..., Tensor], side: int) -> Tensor:
    """The highest or lowest of each tile ``(K, h / side, w / side)`` of maps ``(K, h, w)``: rows first, quickly."""
    joints, height, width = maps.shape
    rows = extreme(maps.reshape(joints, height // side, side, width), 2)
    return extreme(rows.view(joints, height // side, width // side, side), 3)


def _rounded_length(gaps: list[Tensor]) -> Tensor:
    """The rounded length of ``gaps``, one tensor for each dimension, which are used up."""
    total = torch.zeros_like(gaps[0])
    for gap in gaps:
        total += gap.square_()
    return total.sqrt_().round_()
