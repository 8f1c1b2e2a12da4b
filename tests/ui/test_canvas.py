"""The canvas driven by a synthetic mouse; what it paints is read from real pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QApplication
from window_tools import SECOND, people_of

from poseviewer.core.values import ABSENT, OCCLUDED, VISIBLE, FrameResult
from poseviewer.ui import theme
from poseviewer.ui.canvas.drags import JointDrag, PanDrag
from poseviewer.ui.canvas.place import screen_points

SHIFT, CTRL, ALT = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)


def pixels_of(window) -> np.ndarray:
    """Return the canvas as ``(H, W, 3)`` RGB."""
    image = window.canvas.viewport().grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    # A copy: the bytes belong to the image, which ends here.
    return flat[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def joint_place(window, joint: int, person: int = 0) -> tuple[float, float]:
    x, y = window.desk.people[person].pose.keypoints[joint].tolist()
    return x, y


def test_the_picture_is_painted_pixel_for_pixel(window):
    canvas = window.canvas
    window.desk.show(skeleton=False, boxes=False, labels=False, heat=False, crop=False)
    canvas.zoom_to(16.0)
    canvas.centerOn(QPointF(60.5, 120.5))
    painted, frame = pixels_of(window), window.desk.frame.pixels
    for x, y in ((58, 118), (62, 123), (60, 121)):
        u, v = np.rint(screen_points((x, y), canvas.viewportTransform())).astype(int)
        assert painted[v, u].tolist() == frame[y, x].tolist()
        # A square: the same colour 7 px from its centre, not a mixture.
        assert painted[v + 7, u - 7].tolist() == frame[y, x].tolist()


def test_a_joint_is_painted_where_its_pixel_is(window):
    desk, canvas = window.desk, window.canvas
    desk.show(labels=False, heat=False, crop=False, boxes=False)
    canvas.zoom_to(6.0)
    x, y = joint_place(window, 9)
    canvas.centerOn(QPointF(x + 0.5, y + 0.5))
    painted = pixels_of(window)
    left = theme.data_colour("left").getRgb()[:3]
    u, v = screen_points((x, y), canvas.viewportTransform())
    around = painted[round(v) - 8 : round(v) + 9, round(u) - 8 : round(u) + 9].astype(int)
    near = np.abs(around - np.array(left)).sum(-1) < 30
    rows, columns = np.nonzero(near)
    # The limb enters from one side; the disc's middle is covered and nothing is off by a pixel's half.
    assert near[8, 8]
    assert columns.max() - 8 <= 4
    assert len(rows) > 20


def test_a_drag_is_one_edit_and_follows_one_to_one(window, mouse):
    desk = window.desk
    x, y = joint_place(window, 9)
    window.canvas.zoom_to(3.0)
    saved = []
    desk.saved.connect(saved.append)
    before = mouse.at(x, y)
    mouse.drag((x, y), (x + 11, y - 7))
    after = mouse.at(x + 11, y - 7)
    person = desk.people[0]
    way = np.array([after.x() - before.x(), after.y() - before.y()]) / window.canvas.scale_now
    assert np.allclose(person.pose.keypoints[9] - [x, y], way, atol=1e-3)
    assert person.state == "corrected"
    assert len(saved) == 1
    desk.undo()
    assert np.allclose(desk.people[0].pose.keypoints[9], [x, y], atol=1e-4)
    assert desk.people[0].state == "predicted"
    desk.redo()
    assert np.allclose(desk.people[0].pose.keypoints[9] - [x, y], way, atol=1e-3)
    assert (desk.selection.person, desk.selection.joint) == (person.key, 9)


def test_while_dragging_nothing_is_written_and_escape_restores(window, mouse, qtbot):
    desk = window.desk
    x, y = joint_place(window, 10)
    revision = desk.project.revision
    mouse.press(x, y)
    mouse.move(x + 10, y + 10)
    assert isinstance(window.canvas.drag, JointDrag)
    shown = window.canvas.shown_people()[0].pose.keypoints[10]
    assert shown[0] > x + 8
    assert desk.project.revision == revision
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert window.canvas.drag is None
    mouse.release(x + 10, y + 10)
    assert desk.project.revision == revision
    assert np.allclose(desk.people[0].pose.keypoints[10], [x, y], atol=1e-4)


def test_a_trembling_hand_moves_nothing(window, mouse):
    x, y = joint_place(window, 9)
    window.canvas.zoom_to(4.0)
    revision = window.desk.project.revision
    mouse.drag((x, y), (x + 0.5, y))
    assert window.desk.project.revision == revision
    assert window.desk.joint == 9


def test_press_selects_person_and_joint_and_an_empty_click_leaves(window, mouse):
    x, y = joint_place(window, 5, person=1)
    mouse.click(x, y)
    assert (window.desk.selection.person, window.desk.joint) == (window.desk.people[1].key, 5)
    mouse.click(310, 5)
    assert (window.desk.selection.person, window.desk.joint) == (None, None)


def test_right_click_switches_occluded_and_visible(window, mouse):
    x, y = joint_place(window, 7)
    mouse.press(x, y, None, Qt.MouseButton.RightButton)
    assert window.desk.people[0].visibility[7] == OCCLUDED
    mouse.press(x, y, None, Qt.MouseButton.RightButton)
    assert window.desk.people[0].visibility[7] == VISIBLE


def test_a_click_places_the_absent_joint_and_goes_to_the_next(window, mouse):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("absent")
    desk.select(joint=11)
    desk.do("absent")
    desk.select(joint=9)
    assert window.canvas.viewport().cursor().shape() == Qt.CursorShape.CrossCursor
    mouse.click(300, 20)
    assert desk.people[0].visibility[9] == VISIBLE
    assert np.allclose(desk.people[0].pose.keypoints[9], [300, 20], atol=0.5)
    assert desk.joint == 11


def test_alt_moves_the_body(window, mouse):
    desk = window.desk
    before = desk.people[0].pose
    x, y = joint_place(window, 0)
    mouse.drag((x, y), (x + 12, y + 6), ALT)
    after = desk.people[0].pose
    way = after.keypoints - before.keypoints
    assert np.allclose(way, way[0], atol=1e-3)
    assert way[0][0] > 10
    assert np.allclose(after.box - before.box, np.tile(way[0], 2), atol=1e-2)


def test_a_joint_holds_at_a_peak_and_ctrl_ignores_it(evident, mouse):
    desk, canvas = evident.desk, evident.canvas
    canvas.zoom_to(4.0)
    x, y = joint_place(evident, 9)
    canvas.centerOn(QPointF(x, y))
    second = np.array([x, y]) + SECOND
    peak = min(desk.peaks(desk.people[0].key, 9), key=lambda p: np.hypot(*(np.array([p.x, p.y]) - second)))
    assert np.hypot(peak.x - second[0], peak.y - second[1]) < 2.0
    mouse.drag((x, y), (peak.x + 1.2, peak.y))
    assert np.allclose(desk.people[0].pose.keypoints[9], [peak.x, peak.y], atol=1e-3)
    desk.undo()
    mouse.drag((x, y), (peak.x + 1.2, peak.y), CTRL)
    assert not np.allclose(desk.people[0].pose.keypoints[9], [peak.x, peak.y], atol=0.5)


def test_the_heat_lies_where_the_joint_is(evident):
    desk, canvas = evident.desk, evident.canvas
    x, y = joint_place(evident, 9)
    canvas.zoom_to(4.0)
    canvas.centerOn(QPointF(x, y))
    # On a black picture only the heat is bright.
    desk.show(skeleton=False, boxes=False, labels=False, crop=False, brightness=-1.0)
    light = pixels_of(evident).astype(int).sum(-1)
    u, v = screen_points((x, y), canvas.viewportTransform())
    around = light[round(v) - 20 : round(v) + 21, round(u) - 20 : round(u) + 21]
    rows, columns = np.nonzero(around > 0.97 * around.max())
    # A heatmap cell is about 3 px of the picture, 12 on the screen: half a cell would show.
    assert around.max() > 250
    assert abs(rows.mean() - 20) < 2.5
    assert abs(columns.mean() - 20) < 2.5


def test_without_heat_nothing_is_drawn(evident):
    assert evident.canvas.heat.isVisible()
    evident.desk.show(heat=False)
    assert not evident.canvas.heat.isVisible()
    evident.desk.show(heat=True)
    evident.desk.select(joint=None)
    assert not evident.canvas.heat.isVisible()


def test_a_drawn_box_is_run_and_becomes_a_person(window, mouse, engine):
    desk = window.desk
    desk.do("draw_box")
    assert window.canvas.box_mode
    mouse.drag((250, 30), (310, 200))
    assert not window.canvas.box_mode
    request = engine.asked[-1]
    assert np.allclose(request.boxes, [[250, 30, 310, 200]], atol=1.0)
    assert window.canvas.waiting_box is not None
    from window_tools import person

    engine.reply(request, (person(250, 30, 170, 0.7),))
    assert len(desk.people) == 3
    added = desk.people[-1]
    assert added.key.startswith("c")
    assert desk.selection.person == added.key
    assert window.canvas.waiting_box is None
    assert (added.visibility == VISIBLE).all()
    desk.undo()
    assert len(desk.people) == 2


def test_dragging_a_box_corner_runs_that_person_again(window, mouse, engine):
    desk = window.desk
    desk.select(person=desk.people[0].key)
    x1, y1, x2, y2 = desk.people[0].pose.box.tolist()
    mouse.drag((x1, y1), (x1 - 10, y1 - 12))
    request = engine.asked[-1]
    assert np.allclose(request.boxes, [[x1 - 10, y1 - 12, x2, y2]], atol=1.0)
    from window_tools import person

    engine.reply(request, (person(x1 - 8, y1 - 10, 160, 0.9),))
    assert len(desk.people) == 2
    assert desk.people[0].state == "corrected"
    assert np.allclose(desk.people[0].pose.keypoints, person(x1 - 8, y1 - 10, 160).keypoints, atol=1e-3)


def test_an_answer_for_a_frame_that_was_left_changes_nothing(window, mouse, engine, qtbot):
    desk = window.desk
    desk.run_on_box([250, 30, 310, 200])
    request = engine.asked[-1]
    desk.select(frame=3)
    from window_tools import person

    engine.reply(request, (person(250, 30, 170),))
    assert len(desk.people) == 2
    assert len(desk.project.people(desk.media_id, 0)) == 2


def test_the_wheel_zooms_at_the_pointer(window):
    canvas = window.canvas
    at = QPointF(200, 170)
    before = canvas.mapToSceneF(at)
    event = QWheelEvent(
        at, canvas.viewport().mapToGlobal(at), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    scale = canvas.scale_now
    for _ in range(5):
        QApplication.sendEvent(canvas.viewport(), event)
    assert canvas.scale_now == pytest.approx(scale * 1.15**5)
    after = canvas.mapToSceneF(at)
    assert np.hypot(after.x() - before.x(), after.y() - before.y()) * canvas.scale_now < 3


def test_zoom_has_limits_and_fit_shows_everything(window):
    canvas = window.canvas
    canvas.zoom_to(1e6)
    assert canvas.scale_now == 32.0
    canvas.zoom_to(1e-6)
    assert canvas.scale_now == 0.05
    window.desk.do("fit")
    width, height = canvas.viewport().width(), canvas.viewport().height()
    assert canvas.scale_now == pytest.approx(min(width / 320, height / 240))


def test_fit_person_brings_the_person_to_the_middle(window):
    desk, canvas = window.desk, window.canvas
    desk.select(person=desk.people[1].key)
    desk.do("fit_person")
    x1, y1, x2, y2 = desk.people[1].pose.box
    u, v = screen_points(((x1 + x2) / 2, (y1 + y2) / 2), canvas.viewportTransform())
    middle = QRectF(canvas.viewport().rect()).center()
    assert abs(u - middle.x()) < 3
    assert abs(v - middle.y()) < 3


def test_dragging_an_empty_place_moves_the_picture(window, mouse):
    canvas = window.canvas
    canvas.zoom_to(5.0)
    canvas.centerOn(QPointF(290, 30))
    before = canvas.mapToSceneF(QPointF(100, 100))
    mouse.press(300, 20)
    mouse.move(290, 30)
    assert isinstance(canvas.drag, PanDrag)
    assert canvas.viewport().cursor().shape() == Qt.CursorShape.ClosedHandCursor
    mouse.release(290, 30)
    after = canvas.mapToSceneF(QPointF(100, 100))
    assert after.x() - before.x() == pytest.approx(10, abs=1)
    assert after.y() - before.y() == pytest.approx(-10, abs=1)


def test_brightness_brightens(window):
    window.desk.show(skeleton=False, boxes=False, labels=False)
    before = pixels_of(window)[200:400, 200:400].mean()
    window.desk.do("brighter")
    window.desk.do("brighter")
    assert pixels_of(window)[200:400, 200:400].mean() > before + 10
    window.desk.do("light_reset")
    assert pixels_of(window)[200:400, 200:400].mean() == pytest.approx(before, abs=0.5)


def test_tab_goes_through_the_joints_only_on_the_canvas(window, qtbot):
    window.canvas.setFocus()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Tab)
    assert window.desk.joint == 0
    qtbot.keyClick(window.canvas, Qt.Key.Key_Tab)
    assert window.desk.joint == 1
    qtbot.keyClick(window.canvas, Qt.Key.Key_Backtab, SHIFT)
    assert window.desk.joint == 0


def test_the_canvas_says_what_is_selected(evident):
    assert evident.canvas.accessibleDescription() == "person 1, left wrist, 0.80, visible"


def test_an_absent_joint_of_another_person_is_not_under_the_pointer(window, mouse):
    desk = window.desk
    desk.select(person=desk.people[1].key, joint=9)
    desk.do("absent")
    x, y = joint_place(window, 9, person=1)
    at = QPointF(mouse.at(x, y))
    assert window.canvas.find_at(at).joint == 9
    desk.select(person=desk.people[0].key, joint=None)
    found = window.canvas.find_at(at)
    assert found is None or found.kind != "joint"
    assert desk.people[1].visibility[9] == ABSENT


def test_trails_follow_the_person(window):
    desk = window.desk
    desk.select(frame=5)
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("show_trails")
    before, after = window.canvas.trail()
    assert len(before) == 6
    assert len(after) == 7
    assert np.allclose(np.diff(before[:, 0]), 2, atol=1e-3)
    assert before[-1] == pytest.approx(people_of(5)[0].keypoints[9], abs=1e-3)


def test_who_is_not_selected_is_painted_anew_when_something_changes(window, mouse, qtbot):
    desk = window.desk
    desk.show(labels=False, heat=False)
    qtbot.wait(100)  # the layout settles
    between = slice(60, -60)  # the bars blend by a hair differently each time
    both = pixels_of(window)
    assert (pixels_of(window) == both)[between].all()
    x, y = joint_place(window, 5, person=1)
    mouse.move(x, y)
    assert (pixels_of(window) != both)[between].any()
    mouse.move(310, 5)
    assert (pixels_of(window) == both)[between].all()
    desk.show(colour_by="track")
    assert (pixels_of(window) != both)[between].any()
    desk.show(colour_by="side")
    desk.select(person=desk.people[1].key)
    desk.do("delete_person")
    u, v = np.rint(screen_points((x, y), window.canvas.viewportTransform())).astype(int)
    right = np.array(theme.data_colour("left").getRgb()[:3])
    assert np.abs(both[v, u].astype(int) - right).sum() < 30
    assert np.abs(pixels_of(window)[v, u].astype(int) - right).sum() > 60


def test_the_three_visibilities_look_different(window):
    desk = window.desk
    desk.show(labels=False, heat=False, boxes=False)
    desk.select(person=desk.people[0].key, joint=0)
    window.canvas.zoom_to(6.0)
    x, y = joint_place(window, 15)
    window.canvas.centerOn(QPointF(x, y))
    u, v = np.rint(screen_points((x, y), window.canvas.viewportTransform())).astype(int)
    left = np.array(theme.data_colour("left").getRgb()[:3])
    middles = []
    for action_id in ("", "occluded", "absent"):
        desk.select(joint=15)
        if action_id:
            desk.do(action_id)
        desk.select(joint=0)
        middles.append(np.abs(pixels_of(window)[v, u].astype(int) - left).sum() < 30)
    assert middles[:2] == [True, False]
    assert desk.people[0].visibility[15] == ABSENT


def test_a_joint_that_scores_low_is_painted_faintly_until_a_hand_confirms_it(window, mouse):
    desk, canvas = window.desk, window.canvas
    desk.show(labels=False, heat=False, crop=False, boxes=False)
    left = np.array(theme.data_colour("left").getRgb()[:3])

    def distance(person: int) -> int:
        """How far the most yellow pixel around that person's wrist is from the colour of left joints."""
        u, v = screen_points(desk.people[person].pose.keypoints[9], canvas.viewportTransform())
        around = pixels_of(window)[round(v) - 3 : round(v) + 4, round(u) - 3 : round(u) + 4].astype(int)
        return int(np.abs(around - left).sum(-1).min())

    run = desk.project.start_run(desk.media_id, {}, {"estimator": {"name": "unsure"}}, range(1))
    poses = people_of(0)
    poses[0].scores[9] = 0.1
    desk.project.store_results(run, [FrameResult(0, 0.0, poses, f"{0:016x}")])
    desk.project.finish_run(run, "done")
    QApplication.processEvents()
    assert float(desk.people[0].pose.scores[9]) == pytest.approx(0.1)
    assert distance(0) > 60
    assert distance(1) < 30
    desk.do("show_fade")
    assert distance(0) < 30
    desk.do("show_fade")
    desk.select(person=desk.people[0].key)
    desk.do("accept")
    desk.select(person=None)
    assert distance(0) < 30


def test_the_legend_stays_away_where_it_would_lie_under_the_zoom(window, qtbot):
    canvas = window.canvas
    assert canvas.legend_bar.isVisible()
    window.resize(window.minimumSizeHint())
    for dock in window.docks.values():
        dock.setVisible(True)
    qtbot.waitUntil(lambda: not canvas.legend_bar.isVisible())
    window.desk.select(frame=1)
    qtbot.waitUntil(lambda: window.desk.frame_exact)
    assert not canvas.legend_bar.isVisible()
    assert canvas.display_bar.geometry().right() < canvas.viewport().width()
