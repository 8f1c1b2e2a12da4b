"""Several joints: chosen by Shift, a rectangle, a key or the table; moved and marked together, one undo step."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt

from poseviewer.core.values import ABSENT, OCCLUDED

SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def shift_click(mouse, place) -> None:
    """Press and release with Shift held."""
    x, y = place
    mouse.press(x, y, SHIFT)
    mouse.release(x, y, SHIFT)


def chosen(window) -> tuple[int, ...]:
    return window.desk.selection.joints


def test_several_joints_are_chosen_with_shift_and_moved_in_one_step(window, mouse):
    desk = window.desk
    person = desk.people[0]
    before = person.pose.keypoints.copy()
    mouse.click(*before[7].tolist())
    shift_click(mouse, before[9].tolist())
    shift_click(mouse, before[8].tolist())
    assert chosen(window) == (7, 8, 9)
    assert desk.joint == 8
    shift_click(mouse, before[8].tolist())
    assert chosen(window) == (7, 9)
    x, y = before[9].tolist()
    mouse.drag((x, y), (x + 20, y + 10))
    moved = desk.people[0].pose.keypoints
    assert np.allclose(moved[[7, 9]] - before[[7, 9]], [20, 10], atol=1)
    rest = [joint for joint in range(17) if joint not in (7, 9)]
    assert np.allclose(moved[rest], before[rest])
    assert chosen(window) == (7, 9)
    assert window.actions_.by_id["undo"].text() == "Undo: Move 2 joints"
    desk.do("undo")
    assert np.allclose(desk.people[0].pose.keypoints, before)
    mouse.click(*before[7].tolist())
    assert chosen(window) == (7,)


def test_undo_and_redo_choose_all_of_the_joints_again(window):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=7, more=frozenset({9, 10}))
    desk.hand.move_joints(desk.person, chosen(window), 5, 5)
    desk.hand.set_visibility(desk.person, chosen(window), OCCLUDED)
    for way in ("undo", "undo", "redo", "redo"):
        desk.select(joint=3)
        desk.do(way)
        assert chosen(window) == (7, 9, 10)
        assert desk.joint == 7
        assert desk.person is desk.people[0]


def test_a_rectangle_chooses_joints_and_keys_change_all_of_them(window, mouse, qtbot):
    desk = window.desk
    key = desk.people[0].key
    points = desk.people[0].pose.keypoints.copy()
    legs = points[13:17]
    (x1, y1), (x2, y2) = (legs.min(axis=0) - 6).tolist(), (legs.max(axis=0) + 6).tolist()
    mouse.drag((x1, y1), (x2, y2), modifiers=SHIFT)
    assert desk.selection.person == key
    assert chosen(window) == (13, 14, 15, 16)
    for _ in range(3):
        qtbot.keyClick(window.canvas, Qt.Key.Key_Right, SHIFT)
    assert np.allclose(desk.people[0].pose.keypoints[13:17] - legs, [3, 0], atol=0.01)
    qtbot.keyClick(window.canvas, Qt.Key.Key_Q)
    assert (desk.people[0].visibility[13:17] == OCCLUDED).all()
    assert desk.people[0].visibility[:13].all()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Delete)
    assert (desk.people[0].visibility[13:17] == ABSENT).all()
    for _ in range(3):
        desk.do("undo")
    assert np.allclose(desk.people[0].pose.keypoints, points)
    assert desk.people[0].state == "predicted"


def test_all_joints_are_chosen_and_the_table_shows_and_makes_the_choice(window, qtbot):
    desk, table = window.desk, window.joints.table
    desk.select(person=desk.people[0].key)
    qtbot.keyClick(window.canvas, Qt.Key.Key_A, CTRL)
    assert chosen(window) == tuple(range(17))
    window.joints.flush()
    assert len(table.selectionModel().selectedRows()) == 17
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert chosen(window) == ()
    assert desk.person is not None
    window.joints.flush()
    for row, modifiers in ((3, Qt.KeyboardModifier.NoModifier), (5, SHIFT)):
        at = table.visualRect(window.joints.model.index(row, 0)).center()
        qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, modifiers, at)
    assert chosen(window) == (3, 4, 5)
    desk.select(joint=10)
    assert chosen(window) == (10,)


def test_a_rectangle_around_nothing_leaves_the_joints(window, mouse):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=3)
    mouse.drag((2, 2), (12, 12), modifiers=SHIFT)
    assert desk.joint is None
    assert desk.person is not None
