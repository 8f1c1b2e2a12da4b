"""Peaks of heatmaps: places between cells, order, spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.pipeline.peaks import heatmap_peaks, heatmap_spread


def hill(x: float, y: float, height: float = 1.0, sigma: float = 2.0, size=(64, 48)) -> np.ndarray:
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])[None]
    return height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


@settings(max_examples=50, deadline=None)
@given(x=st.floats(4, 43), y=st.floats(4, 59), sigma=st.floats(1.5, 3.0))
def test_a_hill_is_found_between_cells_with_its_spread(x: float, y: float, sigma: float) -> None:
    heatmap = hill(x, y, 0.8, sigma)
    peaks = heatmap_peaks(heatmap)
    assert len(peaks) == 1
    assert abs(peaks[0][0] - x) < 0.1
    assert abs(peaks[0][1] - y) < 0.1
    assert peaks[0][2] == heatmap.max()
    if 8 < x < 40 and 8 < y < 56:
        assert heatmap_spread(heatmap, *peaks[0][:2]) == pytest.approx(sigma, rel=0.12)


def test_peaks_come_highest_first_with_limit_and_floor() -> None:
    heatmap = hill(10, 10, 0.5) + hill(30, 10, 0.9) + hill(10, 50, 0.2) + hill(40, 55, 0.7) + hill(25, 32, 0.05)
    values = [round(value, 2) for _, _, value in heatmap_peaks(heatmap)]
    assert values == [0.9, 0.7, 0.5, 0.2]
    assert len(heatmap_peaks(heatmap, limit=2)) == 2
    assert len(heatmap_peaks(heatmap, limit=9, floor=0.01)) == 5
    assert heatmap_peaks(heatmap, floor=0.95) == []
    x, y, _ = heatmap_peaks(heatmap)[1]
    assert (round(x), round(y)) == (40, 55)


def test_a_plateau_is_one_peak_and_borders_count() -> None:
    heatmap = np.zeros((8, 8))
    heatmap[2:4, 2:4] = 1.0
    heatmap[7, 7] = 0.5
    assert [(round(x), round(y), v) for x, y, v in heatmap_peaks(heatmap)] == [(2, 2, 1.0), (7, 7, 0.5)]


@pytest.mark.parametrize("value", [0.0, np.nan, -1.0, np.inf])
def test_flat_and_broken_maps_are_no_error(value: float) -> None:
    peaks = heatmap_peaks(np.full((6, 5), value))
    assert len(peaks) <= 1
    assert np.isfinite(heatmap_spread(np.full((6, 5), value), 2, 2))
    assert heatmap_spread(np.zeros((6, 5)), 50, 50) == 0.0
