"""Peaks of one heatmap, for the heatmap panel and the "next-best peak" key; numpy only, so the window may call it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.floating]
Peak = tuple[float, float, float]
CUT_VARIANCE = (1 - 0.1 * (1 + np.log(10))) / 0.9
"""Variance along one axis of a round unit Gaussian that is cut off at a tenth of its peak."""


def heatmap_peaks(heatmap: Map, limit: int = 4, floor: float = 0.1) -> list[Peak]:
    """Return the local maxima, highest first.

    A peak is a cell that no neighbour of its eight exceeds; of a plateau the first cell in row order counts. Its place
    is refined by the vertex of the parabola through its neighbours, at most half a cell.

    Args:
        heatmap: ``(h, w)``.
        limit: at most so many.
        floor: peaks below are left out.

    Returns:
        ``(x, y, value)`` each, in heatmap cells, with the value of the cell.
    """
    most = np.finfo(np.float64).max
    cells = np.nan_to_num(np.asarray(heatmap, dtype=np.float64), nan=-np.inf, neginf=-np.inf, posinf=most)
    height, width = cells.shape
    framed = np.pad(cells, 1, constant_values=-np.inf)
    peak = (cells >= floor) & np.isfinite(cells)
    for row in range(3):
        for column in range(3):
            neighbour = framed[row : row + height, column : column + width]
            if (row, column) < (1, 1):
                peak &= cells > neighbour  # of equal neighbours the first in row order is the peak
            elif (row, column) > (1, 1):
                peak &= cells >= neighbour
    ys, xs = np.nonzero(peak)
    order = np.argsort(-cells[ys, xs], kind="stable")[:limit]
    return [
        (
            float(x + _vertex(cells[y], int(x))),
            float(y + _vertex(cells[:, x], int(y))),
            float(cells[y, x]),
        )
        for y, x in zip(ys[order], xs[order], strict=True)
    ]


def around_box(heatmap: Map, to_frame: npt.NDArray[np.float64], box: npt.NDArray[np.floating]) -> Map:
    """Return a map that several people share with everything zeroed that is not near one person's box.

    Args:
        heatmap: ``(h, w)``.
        to_frame: ``(2, 3)`` cells -> frame pixels, upright (no rotation).
        box: ``(4,)`` xyxy in frame pixels; a fifth of its longer side around it still counts as near.
    """
    margin = 0.2 * float(max(box[2] - box[0], box[3] - box[1]))
    x = to_frame[0, 0] * np.arange(heatmap.shape[1]) + to_frame[0, 2]
    y = to_frame[1, 1] * np.arange(heatmap.shape[0]) + to_frame[1, 2]
    near_x = (x >= box[0] - margin) & (x <= box[2] + margin)
    near_y = (y >= box[1] - margin) & (y <= box[3] + margin)
    near: Map = np.where(near_y[:, None] & near_x, heatmap, np.zeros(1, dtype=heatmap.dtype))
    return near


def heatmap_spread(heatmap: Map, x: float, y: float, radius: float = 8.0) -> float:
    """Return how wide the hill around a peak is: its standard deviation along one axis, in cells.

    The hill is the part of the map around ``(x, y)`` that exceeds a tenth of the peak, weighted by its value and
    corrected for what the tenth cuts off: for a Gaussian of standard deviation s the answer is close to s. 0 if nothing
    is there.

    Args:
        heatmap: ``(h, w)``.
        x, y: peak in cells.
        radius: cells further away belong to other hills.
    """
    cells = np.nan_to_num(np.asarray(heatmap, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    height, width = cells.shape
    dy, dx = np.arange(height)[:, None] - y, np.arange(width)[None, :] - x
    squared = dx * dx + dy * dy
    near = squared <= radius * radius
    if not near.any():
        return 0.0
    floor = 0.1 * cells[near].max()
    weight = np.where(near & (cells > max(floor, 0.0)), cells, 0.0)
    total = weight.sum()
    return float(np.sqrt((weight * squared).sum() / total / 2 / CUT_VARIANCE)) if total > 0 else 0.0


def _vertex(line: Map, at: int) -> float:
    """Return the offset of the vertex of the parabola through three cells, -0.5..0.5; 0 at the border."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = float(line[at - 1]), float(line[at]), float(line[at + 1])
    bend = before - 2 * here + after
    if not np.isfinite(bend) or bend >= -1e-12:
        return 0.0
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5))
