"""Figures of a heatmap against maps whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.geometry import transform
from poseviewer.ui.canvas.heat import CLEAR, FULL, colour_table
from poseviewer.ui.panels.heat import heat_image
from poseviewer.ui.panels.peaks import find_peaks, look_at, profile, sample, two_peaked
from tests.ui.fake_desk import gaussians

TO_FRAME = np.array([[8.0, 0.0, 100.0], [0.0, 8.0, 50.0]])


@given(st.floats(12, 36), st.floats(16, 48), st.floats(1.2, 4.0), st.floats(0.2, 1.0))
def test_peak_and_spread_of_a_gaussian(x: float, y: float, sigma: float, value: float) -> None:
    heatmap = gaussians(np.array([[x, y]]), np.array([value]), sigma, (64, 48))[0]
    view = look_at(heatmap, TO_FRAME)
    assert view.first is not None
    assert view.second is None
    assert view.first.value == pytest.approx(float(heatmap.max()))
    true_x, true_y = transform(TO_FRAME, np.array([x, y]))
    assert view.first.distance(true_x, true_y) <= 8 * 0.5
    assert view.spread == pytest.approx(8 * sigma, rel=0.12)
    assert view.share == pytest.approx(view.spread / 8 / 48)


def test_two_hills_are_two_peaks_and_the_spread_is_that_of_the_first() -> None:
    maps = gaussians(np.array([[12.0, 20.0], [34.0, 40.0]]), np.array([0.44, 0.72]), 2.0, (64, 48))
    view = look_at(maps.max(axis=0), TO_FRAME)
    assert [round(peak.value, 2) for peak in view.peaks] == [0.72, 0.44]
    assert view.peaks[0].at == pytest.approx(tuple(transform(TO_FRAME, np.array([34.0, 40.0]))))
    assert view.spread == pytest.approx(16, rel=0.05)


def test_an_empty_map_has_no_peak_and_a_faint_one_its_maximum() -> None:
    empty = look_at(np.zeros((64, 48), np.float32), TO_FRAME)
    assert empty.first is None
    assert np.isnan(empty.spread)
    faint = np.zeros((64, 48), np.float32)
    faint[3, 4] = 0.02
    assert [peak.value for peak in find_peaks(faint, TO_FRAME)] == [pytest.approx(0.02)]


def test_a_plateau_is_one_peak() -> None:
    heatmap = np.zeros((64, 48), np.float32)
    heatmap[20:22, 20:22] = 0.8
    assert len(find_peaks(heatmap, TO_FRAME)) == 1


def test_the_profile_passes_both_peaks() -> None:
    maps = gaussians(np.array([[12.0, 20.0], [34.0, 20.0]]), np.array([0.8, 0.5]), 2.0, (64, 48))
    heatmap = maps.max(axis=0)
    first, second = find_peaks(heatmap, TO_FRAME)[:2]
    places, values, second_at = profile(heatmap, TO_FRAME, first, second)
    assert second_at == pytest.approx(22 * 8)
    assert np.interp(0.0, places, values) == pytest.approx(0.8, abs=0.02)
    assert np.interp(second_at, places, values) == pytest.approx(0.5, abs=0.02)
    assert places[0] < 0 < second_at < places[-1]


def test_samples_are_exact_at_cells_and_zero_outside() -> None:
    heatmap = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    points = np.array([[2.0, 3.0], [0.5, 0.0], [-3.0, 2.0]])
    expected = [heatmap[3, 2], (heatmap[0, 0] + heatmap[0, 1]) / 2, 0.0]
    assert sample(heatmap, points) == pytest.approx(expected, abs=1e-6)


def test_two_peaked_needs_a_strong_and_distant_second() -> None:
    places = np.array([[10.0, 10.0], [30.0, 40.0]])
    strong = gaussians(places, np.array([0.8, 0.5]), 2.0, (64, 48)).max(axis=0)
    weak = gaussians(places, np.array([0.8, 0.3]), 2.0, (64, 48)).max(axis=0)
    low = gaussians(places, np.array([0.2, 0.14]), 2.0, (64, 48)).max(axis=0)
    single = gaussians(places[:1], np.array([0.8]), 2.0, (64, 48))[0]
    assert two_peaked(np.stack([strong, weak, low, single])).tolist() == [True, False, False, False]


def test_heat_is_clear_below_and_full_above() -> None:
    values = np.array([[0.0, CLEAR, (CLEAR + FULL) / 2, FULL, 1.0, 1.4]], np.float32)
    image = heat_image(values, opacity=0.8)
    assert (image.width(), image.height()) == (6, 1)
    alphas = [image.pixelColor(x, 0).alphaF() for x in range(6)]
    assert alphas == pytest.approx([0, 0, 0.4, 0.8, 0.8, 0.8], abs=0.01)
    solid = heat_image(values, opacity=1.0).pixelColor(4, 0)
    assert (solid.red(), solid.green(), solid.blue()) == tuple(int(v) for v in colour_table()[255])
