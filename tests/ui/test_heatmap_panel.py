"""The heatmap panel driven by hand; its figures equal the evidence's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt

from poseviewer.core.geometry import invert, transform
from poseviewer.core.values import CropEvidence
from poseviewer.project import edits
from poseviewer.ui.panels.gallery import TILE_ROLE
from poseviewer.ui.panels.heatmaps import HeatmapPanel
from tests.ui.fake_desk import FakeDesk


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def panel(qtbot: Any, desk: FakeDesk) -> HeatmapPanel:
    made = HeatmapPanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(344, 700)
    made.show()
    return made


def crop_of(desk: FakeDesk, index: int = 0) -> CropEvidence:
    assert desk.evidence is not None
    assert desk.evidence.evidence is not None
    return desk.evidence.evidence.crops[index]


def test_figures_equal_the_map(panel: HeatmapPanel, desk: FakeDesk) -> None:
    crop = crop_of(desk)
    heatmap = crop.heatmaps[9]
    assert panel.title.name.text() == "left wrist"
    assert panel.peak.value.text() == f"{heatmap.max():.2f}"
    row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    x, y = transform(crop.heatmap_to_frame, np.array([column, row]))
    shown = [float(v) for v in panel.peak.remark.text().removeprefix("at ").split(", ")]
    cell = float(np.sqrt(np.linalg.det(crop.heatmap_to_frame[:, :2])))
    assert np.hypot(shown[0] - x, shown[1] - y) < 0.5 * cell
    assert float(panel.spread.value.text()) == pytest.approx(2.0 * cell, rel=0.1)
    share = float(panel.spread.remark.text().removesuffix(" of the crop"))
    assert share == pytest.approx(float(panel.spread.value.text()) / cell / 48, abs=0.001)
    assert float(panel.second.value.text()) == pytest.approx(0.44, abs=0.02)
    assert panel.second.remark.text().endswith("nearest: right wrist")


def test_use_second_peak_moves_the_joint_there(qtbot: Any, panel: HeatmapPanel, desk: FakeDesk) -> None:
    qtbot.mouseClick(panel.use, Qt.MouseButton.LeftButton)
    (edit,) = desk.edits
    assert isinstance(edit, edits.MoveJoint)
    assert (edit.media, edit.frame, edit.person, edit.joint, edit.visibility) == (1, 812, "p1", 9, None)
    right_wrist = desk.people[0].pose.keypoints[10]
    assert np.hypot(edit.x - right_wrist[0], edit.y - right_wrist[1]) < 6


def test_a_joint_on_the_second_peak_is_offered_the_first(panel: HeatmapPanel, desk: FakeDesk) -> None:
    from dataclasses import replace

    second = desk.peaks("p1", 9)[1]
    points = desk.people[0].pose.keypoints.copy()
    points[9] = (second.x, second.y)
    moved = replace(desk.people[0], pose=replace(desk.people[0].pose, keypoints=points))
    desk.people = (moved, *desk.people[1:])
    desk.people_changed.emit()
    panel.flush()
    assert panel.use.text() == "Use first peak"
    panel.use_other_peak()
    first = desk.peaks("p1", 9)[0]
    assert (desk.edits[-1].x, desk.edits[-1].y) == pytest.approx((first.x, first.y))


def test_one_peak_offers_nothing(panel: HeatmapPanel, desk: FakeDesk) -> None:
    desk.session.select(joint=0)
    panel.flush()
    assert panel.second.value.text() == "–"
    assert not panel.use.isEnabled()
    assert panel.profile_name.text() == "Profile across the peak"


def test_clicking_a_tile_selects_its_joint(qtbot: Any, panel: HeatmapPanel, desk: FakeDesk) -> None:
    gallery = panel.gallery
    assert gallery.tiles.rowCount() == 18
    assert gallery.currentIndex().row() == 9
    place = gallery.visualRect(gallery.tiles.index(2)).center()
    qtbot.mouseClick(gallery.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert desk.selection.joint == 2
    assert gallery.tiles.name(5) == "l shldr"
    assert gallery.tiles.name(17) == "all, max"


def test_each_scale_stretches_weak_maps(panel: HeatmapPanel, desk: FakeDesk) -> None:
    def brightest() -> int:
        image = panel.gallery.tiles.data(panel.gallery.tiles.index(11), TILE_ROLE).toImage()
        pixels = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
        return max(colour.red() for colour in pixels)

    shared = brightest()
    panel.scale.button("each").click()
    assert desk.display.heat_shared is False
    panel.flush()
    assert brightest() > shared + 60
    assert panel.range.text() == "0 to each map's peak"


def test_on_the_picture_is_the_displays_heat(qtbot: Any, panel: HeatmapPanel, desk: FakeDesk) -> None:
    assert panel.on_picture.isChecked()
    panel.on_picture.click()
    assert desk.display.heat is False
    desk.session.show(heat=True)
    panel.flush()
    assert panel.on_picture.isChecked()


def test_heat_lies_where_the_crop_maps_it(panel: HeatmapPanel, desk: FakeDesk) -> None:
    """The brightest pixel of the large map is the joint's own place in the crop's picture."""
    desk.session.select(joint=13)
    panel.flush()
    crop = crop_of(desk)
    joint = desk.evidence.evidence.candidates.keypoints[0, 13]  # type: ignore[union-attr]
    x, y = transform(invert(crop.crop), joint)
    view = panel.map
    expected = QPointF((x + 0.5) * view.width() / 192, (y + 0.5) * view.height() / 256)
    image = view.grab().toImage()
    heat = [
        (image.pixelColor(i, j).red() - image.pixelColor(i, j).blue(), i, j)
        for i in range(image.width()) for j in range(image.height())
    ]  # fmt: skip
    hot = [(i, j) for value, i, j in heat if value > 60]
    centre = np.mean(np.array(hot), axis=0)
    assert abs(centre[0] + 0.5 - expected.x()) < 2
    assert abs(centre[1] + 0.5 - expected.y()) < 2
    cell = view.cell_at(expected)
    assert cell is not None
    assert transform(crop.heatmap_to_frame, np.array(cell)) == pytest.approx(joint, abs=0.01)


def test_whole_body_joints_scroll(qtbot: Any) -> None:
    desk = FakeDesk(joints=133)
    panel = HeatmapPanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(344, 700)
    panel.show()
    assert panel.gallery.tiles.rowCount() == 134
    assert panel.gallery.verticalScrollBar().maximum() > 0
    painted = panel.gallery.tiles._tiles
    panel.grab()
    assert 0 < len(painted) < 60


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("none", "No evidence for this frame yet"), ("loading", "The networks look at this frame"),
     ("error", "The networks gave no answer")],
)  # fmt: skip
def test_states_without_evidence(panel: HeatmapPanel, desk: FakeDesk, state: str, sentence: str) -> None:
    desk.evidence, desk.evidence_state = None, "none"
    desk.evidence_changed.emit()
    panel.flush()
    desk.evidence_state = state
    desk.evidence_changed.emit()
    panel.flush()
    assert not panel.showing
    assert panel.empty.sentence.text() == sentence
    assert panel.question.text() == "Where did the network think this joint was, and how sure?"


def test_old_content_stays_while_new_evidence_is_computed(qtbot: Any, panel: HeatmapPanel, desk: FakeDesk) -> None:
    desk.evidence, desk.evidence_state = None, "loading"
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.showing
    assert not panel._veil.isVisible()
    qtbot.waitUntil(panel._veil.isVisible, timeout=2000)
    desk.evidence_state = "none"
    desk.evidence_changed.emit()
    panel.flush()
    assert not panel._veil.isVisible()


def test_a_step_keeps_the_old_content_until_the_answer(panel: HeatmapPanel, desk: FakeDesk) -> None:
    desk.evidence, desk.evidence_state, desk.predicted_here = None, "none", True
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.showing
    panel.use_other_peak()
    assert desk.edits == []


def test_a_person_without_candidate_or_nobody(panel: HeatmapPanel, desk: FakeDesk) -> None:
    desk.session.select(person=None)
    panel.flush()
    assert panel.empty.sentence.text() == "No person is selected"
    desk.people = (*desk.people[:1],)
    desk.session.select(person="p1")
    desk.candidate_of = lambda key: None  # type: ignore[method-assign]
    desk.people_changed.emit()
    panel.flush()
    assert panel.empty.sentence.text() == "No candidate of the networks belongs to this person"


def test_a_skeleton_of_other_size_is_said(panel: HeatmapPanel, desk: FakeDesk) -> None:
    desk.skeleton = FakeDesk(joints=21).skeleton
    desk.people_changed.emit()
    panel.flush()
    assert panel.empty.sentence.text() == "The network's joints are not those of this project"


def test_without_a_joint_all_maps_are_shown_at_once(panel: HeatmapPanel, desk: FakeDesk) -> None:
    desk.session.select(joint=None)
    panel.flush()
    assert panel.title.name.text() == "all joints, max"
    assert panel.peak.remark.text() == "Choose a joint below, or with S"
    assert not panel.use.isEnabled()
    assert not panel.gallery.selectionModel().hasSelection()
    assert panel.map._values is not None
    assert panel.map._values.max() == crop_of(desk).heatmaps.max()
    panel.grab()


def test_an_empty_map_is_said(panel: HeatmapPanel, desk: FakeDesk) -> None:
    from dataclasses import replace

    result = desk.evidence
    assert result is not None
    assert result.evidence is not None
    maps = result.evidence.crops[0].heatmaps.copy()
    maps[9] = 0
    crops = (replace(result.evidence.crops[0], heatmaps=maps), *result.evidence.crops[1:])
    desk.evidence = replace(result, evidence=replace(result.evidence, crops=crops))
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.peak.value.text() == "0.00"
    assert panel.peak.remark.text() == "the map is empty"
    assert not panel.use.isEnabled()
    panel.grab()


def test_the_half_peak_line_lies_at_half_of_the_peak(panel: HeatmapPanel, desk: FakeDesk) -> None:
    from poseviewer.ui.panels.mapview import half_peak_outline
    from poseviewer.ui.panels.peaks import look_at, sample

    crop = crop_of(desk)
    view = look_at(crop.heatmaps[13], crop.heatmap_to_frame)
    assert view.first is not None
    outline = half_peak_outline(crop.heatmaps[13], view.first)
    assert sample(crop.heatmaps[13], outline) == pytest.approx(view.first.value / 2, abs=0.02)
    plain = panel.map.grab().toImage()
    desk.session.show(half_peak=True)
    panel.flush()
    assert panel.map.grab().toImage() != plain
