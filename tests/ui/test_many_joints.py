"""Whole-body sets of 133 and 136 joints in the window's pictures and tables."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics, QImage, QPainter

from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import CropEvidence, Person, Pose
from poseviewer.ui import text, theme
from poseviewer.ui.canvas.paint import FINE, OTHER, SELECTED, Figure, fine_radius, paint_figure
from poseviewer.ui.panels.gallery import Gallery, short_name
from poseviewer.ui.panels.joints import JointsPanel, elide_mode, fitted, joint_rows
from tests.ui.fake_desk import FakeDesk

WHOLE = ("coco_wholebody_133", "halpe_136")


def spread(name: str, step: float) -> Figure:
    """A selected person whose body joints lie far apart, fine ones ``step`` px from each other in a row."""
    kit = skeleton(name)
    points = np.zeros((kit.count, 2))
    body = [joint for joint in range(kit.count) if joint not in kit.fine]
    points[body] = np.stack([np.arange(len(body)) * 40.0 + 20, np.full(len(body), 20.0)], axis=1)
    fine = sorted(kit.fine)
    points[fine] = np.stack([20 + np.arange(len(fine)) * step, np.full(len(fine), 60.0)], axis=1)
    return Figure(points, np.full(kit.count, 2, np.uint8), selected=True)


@pytest.mark.parametrize("name", WHOLE)
def test_joints_that_lie_close_are_drawn_smaller(name):
    kit = skeleton(name)
    far, near = spread(name, 40), spread(name, 4)
    assert fine_radius(far, kit, SELECTED) == pytest.approx(SELECTED.joint * FINE)
    assert fine_radius(near, kit, SELECTED) == pytest.approx(1.44)
    assert fine_radius(spread(name, 0.1), kit, OTHER) > 1


def test_seventeen_joints_keep_their_size():
    kit = skeleton()
    figure = Figure(np.zeros((17, 2)), np.full(17, 2, np.uint8))
    assert fine_radius(figure, kit, OTHER) == pytest.approx(OTHER.joint * FINE)


@pytest.mark.parametrize("name", WHOLE)
def test_a_row_of_fine_joints_stays_a_row_of_dots(qtbot, name):
    theme.start()
    image = QImage(1000, 80, QImage.Format.Format_RGB888)
    image.fill(Qt.GlobalColor.black)
    figure, kit = spread(name, 6), skeleton(name)
    painter = QPainter(image)
    paint_figure(painter, figure, kit, "side")
    painter.end()
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(80, image.bytesPerLine())[:, :3000].reshape(80, 1000, 3)
    # Face points have no limbs between them, so the picture shows through.
    face = [joint for joint in sorted(kit.fine) if kit.joints[joint].startswith("face")]
    at = figure.points[face[20:40]].round().astype(int)
    between = at + np.array([3, 0])
    assert flat[at[:, 1], at[:, 0]].max(axis=1).min() > 100
    assert np.median(flat[between[:, 1], between[:, 0]].max(axis=1)) < 60


def test_a_name_that_is_too_long_shortens_its_side_first(qtbot):
    metrics = QFontMetrics(theme.font(12))
    room = metrics.horizontalAdvance("l forefinger 3") + 2
    assert fitted("left forefinger 3", room, metrics) == "l forefinger 3"
    assert fitted("left forefinger 3", 4 * room, metrics) == "left forefinger 3"
    assert fitted("left forefinger 3", room - 20, metrics) == "l fore 3"


def test_names_keep_the_number_that_tells_them_apart():
    assert elide_mode("left forefinger 3") == Qt.TextElideMode.ElideMiddle
    assert elide_mode("left shoulder") == Qt.TextElideMode.ElideRight


@pytest.mark.parametrize("name", WHOLE)
def test_every_joint_has_a_row_and_a_chinese_name(name):
    kit = skeleton(name)
    points = np.zeros((kit.count, 2), np.float32)
    pose = Pose(points, np.full(kit.count, 0.5, np.float32), np.array([0, 0, 9, 9], np.float32), 0.5)
    person = Person("p1", "predicted", pose, np.full(kit.count, 2, np.uint8))
    assert [row.name for row in joint_rows(person, kit, None)] == list(kit.joints)
    known = text.read_catalogue("zh_CN")
    assert [joint for joint in kit.joints if joint not in known] == []


def test_the_gallery_scrolls_to_the_chosen_tile(qtbot):
    theme.start()
    kit = skeleton("halpe_136")
    none = np.zeros((2, 3))
    picture = np.zeros((48, 32, 3), np.uint8)
    maps = np.zeros((kit.count, 12, 8), np.float32)
    box = np.array([0, 0, 9, 9], np.float32)
    affine = np.array([[1.0, 0, 0], [0, 1, 0]])
    crop = CropEvidence(box, affine, affine, none, none, picture, picture, maps, affine)
    gallery = Gallery()
    qtbot.addWidget(gallery)
    gallery.resize(330, 180)
    gallery.show()
    gallery.show_crop(crop, kit, shared=True, colours="inferno")
    for joint in (130, 3, 100):
        gallery.choose(joint)
        place = gallery.tiles.index(joint)
        qtbot.waitUntil(lambda place=place: gallery.viewport().rect().contains(gallery.visualRect(place).center()))


def test_finger_joints_have_short_names_in_tiles():
    assert short_name("right middle finger 4") == "r mid 4"
    assert short_name("left forefinger 3") == "l fore 3"
    assert short_name("face 55") == "face 55"


def names_of(panel):
    return [panel.model.row_at(row).name for row in range(panel.model.rowCount())]


def test_the_table_can_be_narrowed_to_a_part(qtbot):
    theme.start()
    desk = FakeDesk("halpe_136")
    desk.select(person=desk.people[0].key, joint=None)
    panel = JointsPanel(desk)
    qtbot.addWidget(panel)
    panel.resize(268, 520)
    panel.show()
    assert panel.part.isVisible()
    assert len(names_of(panel)) == 136
    for key, count, first in (("face", 68, "face 0"), ("hands", 42, "left hand root"), ("body", 26, "nose")):
        panel.part.button(key).click()
        qtbot.waitUntil(lambda count=count: len(names_of(panel)) == count)
        assert names_of(panel)[0] == first
    desk.select(joint=20)
    qtbot.waitUntil(lambda: panel.table.currentIndex().row() == 20)
    assert len(names_of(panel)) == 26
    desk.select(joint=desk.skeleton.joints.index("face 3"))
    qtbot.waitUntil(lambda: len(names_of(panel)) == 136)
    assert panel.part.button("all").isChecked()


def test_seventeen_joints_have_no_parts(qtbot):
    theme.start()
    panel = JointsPanel(FakeDesk())
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.part.isVisible()
