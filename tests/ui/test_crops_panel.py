"""The crops panel: geometry in figures and words, checked against constructed windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.geometry import compose, invert
from poseviewer.core.values import CropEvidence
from poseviewer.ui.panels.crops import CropsPanel, stn_words
from poseviewer.ui.panels.regions import area, box_corners, corners, overlap, region, stn_move
from tests.ui.fake_desk import FakeDesk


def crop_with(theta: np.ndarray, proposal: np.ndarray | None = None) -> CropEvidence:
    """A crop of 192x256 whose window is ``theta`` of its proposal."""
    base = np.array([[2.0, 0, 100], [0, 2.0, 50]]) if proposal is None else proposal
    half = np.array([[95.5, 0, 95.5], [0, 127.5, 127.5]])
    matrix = compose(compose(base, compose(half, theta)), invert(half))
    blank = np.zeros((256, 192, 3), np.uint8)
    maps = np.zeros((17, 64, 48), np.float32)
    return CropEvidence(
        np.array([150, 100, 400, 500], np.float32), base, matrix, theta, invert(theta), blank, blank, maps, matrix
    )


@given(st.floats(0.4, 1.6), st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
def test_zoom_and_movement_are_those_of_theta(scale: float, tx: float, ty: float) -> None:
    move = stn_move(crop_with(np.array([[scale, 0, tx], [0, scale, ty]])))
    assert move.zoom == pytest.approx(1 / scale)
    assert move.right == pytest.approx(tx * 95.5 * 2)
    assert move.down == pytest.approx(ty * 127.5 * 2)
    assert move.rotation == pytest.approx(0, abs=1e-6)
    assert move.shear == pytest.approx(0, abs=1e-6)
    assert move.stretch == pytest.approx(1)


@given(st.floats(-60, 60))
def test_rotation_is_that_of_the_window_on_the_frame(degrees: float) -> None:
    turn = np.radians(degrees)
    aspect = 127.5 / 95.5
    theta = np.array([[np.cos(turn), -np.sin(turn) * aspect, 0], [np.sin(turn) / aspect, np.cos(turn), 0]])
    move = stn_move(crop_with(theta))
    assert move.rotation == pytest.approx(degrees, abs=1e-6)
    assert move.zoom == pytest.approx(1)
    assert move.shear == pytest.approx(0, abs=1e-6)


def test_identity_is_said_as_such() -> None:
    crop = crop_with(np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    assert stn_move(crop).identity
    assert stn_words(stn_move(crop), 1.0).startswith("Nothing: the network was fed the proposal itself.")


def test_words_name_zoom_movement_and_turning() -> None:
    words = stn_words(stn_move(crop_with(np.array([[0.8, 0, -0.05], [0, 0.8, -0.034]]))), 0.94)
    assert words == (
        "Zoomed in <b>1.25×</b>, moved <b>10 px left</b> and <b>9 px up</b>. No rotation, no shear. "
        "<b>94 %</b> of the box stays inside."
    )
    out = stn_words(stn_move(crop_with(np.array([[1.25, 0.4, 0], [0, 1.25, 0]]))), 1.0)
    assert out.startswith("Zoomed out <b>1.25×</b>, did not move.")
    assert "Sheared by" in out


@given(*[st.floats(-50, 150) for _ in range(4)], *[st.floats(1, 120) for _ in range(4)])
def test_overlap_of_boxes_is_their_intersection(
    ax: float, ay: float, bx: float, by: float, aw: float, ah: float, bw: float, bh: float
) -> None:
    first, second = np.array([ax, ay, ax + aw, ay + ah]), np.array([bx, by, bx + bw, by + bh])
    wide = max(min(ax + aw, bx + bw) - max(ax, bx), 0)
    high = max(min(ay + ah, by + bh) - max(ay, by), 0)
    found = area(overlap(box_corners(first), box_corners(second)))
    assert found == pytest.approx(wide * high, abs=1e-6)
    assert area(overlap(box_corners(first), box_corners(second)[::-1])) == pytest.approx(found, abs=1e-6)


def test_region_figures_of_a_known_window() -> None:
    matrix = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    points = np.array([[10.0, 10.0], [191.0, 100.0], [300.0, 100.0]])
    found = region(matrix, (192, 256), np.array([-0.5, -0.5, 95.5, 255.5]), points, (96, 128))
    assert found.filled == pytest.approx(0.5)
    assert found.outside == pytest.approx(0.75)
    assert found.kept == pytest.approx(1.0)
    assert found.cut == 2
    assert found.pixels == pytest.approx(1.0)
    assert area(corners(matrix, (192, 256))) == pytest.approx(192 * 256)


@pytest.fixture
def panel(qtbot: Any) -> CropsPanel:
    made = CropsPanel(FakeDesk())  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(344, 760)
    made.show()
    return made


def test_the_panel_shows_the_evidence(panel: CropsPanel) -> None:
    assert panel.showing
    assert panel.theta.text.text().split() == ["0.800", "0.000", "−0.050", "0.000", "0.800", "0.030"]
    assert panel.input.text() == "192 × 256 px"
    evidence = panel.desk.evidence.evidence  # type: ignore[union-attr]
    assert panel.cells["score", "after"].text() == f"{evidence.candidates.scores[0].mean():.2f}"
    assert panel.cells["score", "before"].text() == "–"
    assert "<b>1.25×</b>" in panel.words.text.text()
    pixels = np.sqrt(np.linalg.det(evidence.crops[0].crop[:, :2]))
    assert panel.ratio.text() == f"{pixels:.2f} picture px per input px"
    assert panel.after.isVisible()


def test_another_person_has_another_crop(panel: CropsPanel) -> None:
    before = panel.cells["outside", "before"].text()
    panel.desk.session.select(person="p4")
    panel.flush()
    assert (panel.cells["outside", "before"].text(), panel.ratio.text()) != (before, "")
    assert panel.grab().toImage().width() == 344


def test_without_stn_one_picture_is_enough(panel: CropsPanel) -> None:
    desk: Any = panel.desk
    evidence = desk.evidence.evidence
    plain = crop_with(np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    desk.evidence = replace(desk.evidence, evidence=replace(evidence, crops=(plain, *evidence.crops[1:])))
    desk.evidence_changed.emit()
    panel.flush()
    assert not panel.after.isVisible()
    assert panel.cells["score", "before"].text() == panel.cells["score", "after"].text()
