"""What a heatmap says about one joint: its peaks, its spread, and the profile between two peaks.

Symbols: h, w heatmap height and width in cells. A cell's centre has integer coordinates. No Qt in here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import transform
from poseviewer.core.values import Array
from poseviewer.pipeline.peaks import heatmap_peaks, heatmap_spread

LIMIT = 6
HILL = 8.0
"""Cells further than this from a peak do not belong to its hill."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A local maximum of a heatmap.

    Attributes:
        value: of the map at that cell.
        cell: x, y in cells, refined below the size of a cell.
        at: x, y in frame pixels.
    """

    value: float
    cell: tuple[float, float]
    at: tuple[float, float]

    def distance(self, x: float, y: float) -> float:
        """Return the distance to a place in frame pixels."""
        return float(np.hypot(self.at[0] - x, self.at[1] - y))


@dataclass(frozen=True, slots=True)
class JointView:
    """The figures that the heatmap panel shows of one joint.

    Attributes:
        peaks: highest first; the first is the map's maximum even where it is low; empty for an all-zero map.
        spread: sigma of the first peak in frame pixels, NaN without a peak.
        share: spread as a share of the crop's width.
    """

    peaks: tuple[Peak, ...]
    spread: float
    share: float

    @property
    def first(self) -> Peak | None:
        """The highest peak, or None."""
        return self.peaks[0] if self.peaks else None

    @property
    def second(self) -> Peak | None:
        """The second-highest peak, or None."""
        return self.peaks[1] if len(self.peaks) > 1 else None


def cell_pixels(heatmap_to_frame: npt.NDArray[np.float64]) -> float:
    """Return how many frame pixels a heatmap cell spans (geometric mean of both axes)."""
    return float(np.sqrt(abs(np.linalg.det(heatmap_to_frame[:, :2]))))


def find_peaks(heatmap: Array, heatmap_to_frame: npt.NDArray[np.float64], *, limit: int = LIMIT) -> tuple[Peak, ...]:
    """Return the peaks of a ``(h, w)`` map, highest first; a map without any above the floor gives its maximum."""
    found = heatmap_peaks(heatmap, limit=limit)
    if not found and heatmap.size and float(heatmap.max()) > 0:
        row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
        found = [(float(column), float(row), float(heatmap[row, column]))]
    if not found:
        return ()
    places = transform(heatmap_to_frame, np.array([(x, y) for x, y, _ in found]))
    return tuple(
        Peak(value, (x, y), (float(at[0]), float(at[1]))) for (x, y, value), at in zip(found, places, strict=True)
    )


def sample(heatmap: Array, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the bilinear values at ``(n, 2)`` cell coordinates; zero outside the map."""
    height, width = heatmap.shape
    points = np.asarray(points, dtype=np.float64)
    base = np.floor(points).astype(int)
    part = points - base
    total = np.zeros(len(points))
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = base[:, 0] + dx, base[:, 1] + dy
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            weight = (part[:, 0] if dx else 1 - part[:, 0]) * (part[:, 1] if dy else 1 - part[:, 1])
            values = heatmap[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
            total += np.where(inside, weight * values, 0.0)
    return total


def half_peak_radii(
    heatmap: Array, peak: Peak, angles: npt.NDArray[np.float64], *, step: float = 0.1
) -> npt.NDArray[np.float64]:
    """Return for each of ``(n,)`` angles how many cells from ``peak`` the map first falls below half of it."""
    reach = np.arange(step, float(sum(heatmap.shape)) + 2, step)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points = np.asarray(peak.cell) + directions[:, None, :] * reach[None, :, None]
    values = sample(heatmap, points.reshape(-1, 2)).reshape(len(angles), -1)
    half = peak.value / 2
    place = (values < half).argmax(axis=1)
    # Between the last step above and the first below, the crossing is found by a straight line.
    rows = np.arange(len(angles))
    below, above = values[rows, place], values[rows, np.maximum(place - 1, 0)]
    part = np.where(above > below, (above - half) / np.maximum(above - below, 1e-12), 1.0)
    radii: npt.NDArray[np.float64] = reach[place] - step * (1 - np.clip(part, 0, 1))
    return radii


def look_at(heatmap: Array, heatmap_to_frame: npt.NDArray[np.float64]) -> JointView:
    """Return the figures of one joint's ``(h, w)`` map."""
    peaks = find_peaks(heatmap, heatmap_to_frame)
    if not peaks:
        return JointView((), float("nan"), float("nan"))
    x, y = peaks[0].cell
    radius = HILL
    if len(peaks) > 1:
        # A second hill begins half-way at the latest and must not widen the first.
        radius = min(radius, max(float(np.hypot(peaks[1].cell[0] - x, peaks[1].cell[1] - y)) / 2, 2.0))
    cells = heatmap_spread(heatmap, x, y, radius)
    return JointView(peaks, cells * cell_pixels(heatmap_to_frame), cells / heatmap.shape[1])


def profile(
    heatmap: Array, heatmap_to_frame: npt.NDArray[np.float64], first: Peak, second: Peak | None, *, count: int = 160
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Return the values along the line from the first to the second peak, a quarter further on both sides.

    Without a second peak the line runs across the crop through the first.

    Returns:
        ``(count,)`` places in frame pixels, 0 at the first peak; ``(count,)`` values; the second peak's place.
    """
    pixels = cell_pixels(heatmap_to_frame)
    start = np.asarray(first.cell)
    if second is None:
        along = np.array([1.0, 0.0])
        length, low, high = 0.0, -12.0, 12.0
    else:
        way = np.asarray(second.cell) - start
        length = max(float(np.hypot(*way)), 1e-6)
        along = way / length
        margin = max(0.3 * length, 4.0)
        low, high = -margin, length + margin
    places = np.linspace(low, high, count)
    values = sample(heatmap, start + places[:, None] * along)
    return places * pixels, values, length * pixels


def two_peaked(heatmaps: Array, *, share: float = 0.5, floor: float = 0.15) -> npt.NDArray[np.bool_]:
    """Return ``(K,)``: which joints of ``(K, h, w)`` maps have a second peak worth a look.

    The second must reach ``floor`` and ``share`` of the first, and lie at least four cells from it.
    """
    count, height, width = heatmaps.shape
    wide = np.pad(heatmaps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    local = np.maximum.reduce([wide[:, 1:-1, dx : dx + width] for dx in (0, 1, 2)])
    tall = np.pad(local, ((0, 0), (1, 1), (0, 0)), constant_values=-np.inf)
    local = np.maximum.reduce([tall[:, dy : dy + height] for dy in (0, 1, 2)])
    flat = heatmaps.reshape(count, -1)
    best = flat.argmax(axis=1)
    rows, columns = np.divmod(best, width)
    apart = np.hypot(
        np.arange(width)[None, None, :] - columns[:, None, None], np.arange(height)[None, :, None] - rows[:, None, None]
    )
    others = np.where((heatmaps >= local) & (apart >= 4), heatmaps, -np.inf).reshape(count, -1).max(axis=1)
    limit = np.maximum(share * flat[np.arange(count), best], floor)
    found: npt.NDArray[np.bool_] = others >= limit
    return found
