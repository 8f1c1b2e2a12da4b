"""Correcting quickly: interpolating, copying on, accepting and going on, deleting a track, moving the body by keys."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from window_tools import people_of

from poseviewer.core.values import FrameResult
from poseviewer.project import edits


@pytest.fixture
def said(window):
    heard = []
    window.desk.message.connect(heard.append)
    return heard


@pytest.fixture
def noted(window):
    heard = []
    window.desk.noted.connect(heard.append)
    return heard


def go(window, qtbot, frame):
    window.desk.select(frame=frame)
    qtbot.waitUntil(lambda: window.desk.frame_exact, timeout=10_000)


def press(window, key, modifiers=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(window.canvas, key, modifiers)


def test_i_fills_between_two_corrections_in_one_step_and_says_so(window, qtbot, noted, said):
    desk = window.desk
    for frame, dx in ((2, 5), (8, 17)):
        go(window, qtbot, frame)
        desk.select(person=desk.people[0].key)
        assert desk.hand.move_body(desk.people[0], dx, 0)
    ends = [desk.project.people(desk.media_id, frame)[0].pose.keypoints for frame in (2, 8)]
    go(window, qtbot, 5)
    desk.select(person=desk.people[0].key)
    press(window, Qt.Key.Key_I)
    assert noted == ["frames 3 to 7 filled for one person"]
    assert window.status._note.text() == noted[0]
    assert said == []
    for frame in range(3, 8):
        person = desk.project.people(desk.media_id, frame)[0]
        assert person.state == "corrected"
        way = ends[0] + (ends[1] - ends[0]) * (frame - 2) / 6
        np.testing.assert_allclose(person.pose.keypoints, way, atol=0.01)
        assert desk.project.frame_row(desk.media_id, frame).fingerprint
    desk.undo()
    assert desk.project.corrected_frames(desk.media_id) == (2, 8)
    assert desk.selection.frame == 5


def test_i_without_a_second_correction_says_what_is_missing(window, qtbot, said, noted):
    desk = window.desk
    desk.do("interpolate")
    assert "Nobody is corrected on both sides" in said[-1].sentence
    desk.select(person=desk.people[0].key)
    desk.do("interpolate")
    assert "two corrections of this person" in said[-1].sentence
    assert noted == []


def test_frames_that_were_never_decoded_are_read_before_they_are_filled(window, qtbot, noted, monkeypatch):
    """No run and no eye saw frames 13 to 21, yet each correction is bound to what its frame shows."""
    from poseviewer.media import frame_fingerprint, open_media

    desk = window.desk
    for frame, x in ((12, 100.0), (22, 120.0)):
        go(window, qtbot, frame)
        pose = people_of(0)[0]
        shift = np.array([x - float(pose.box[0]), 0], np.float32)
        box = pose.box + np.tile(shift, 2)
        desk.apply(edits.AddPerson(desk.media_id, frame, (pose.keypoints + shift).tolist(), box=box.tolist()))
    monkeypatch.setattr(desk.frames, "fingerprint", lambda frame: "")
    desk.select(person=None)
    with qtbot.waitSignal(desk.noted, timeout=10_000):
        desk.do("interpolate")
    assert noted == ["frames 13 to 21 filled for one person"]
    with desk.project._database.read() as db:
        rows = dict(db.execute("SELECT frame, fingerprint FROM correction WHERE frame BETWEEN 13 AND 21").fetchall())
    with open_media(desk.info.path) as media:
        assert rows == {frame: frame_fingerprint(media.frame(frame).pixels) for frame in range(13, 22)}


def test_copying_on_goes_to_the_next_frame_with_the_person_chosen(window, qtbot):
    """Frames 12 and on have no predictions, so nothing but the decoded picture can identify them."""
    desk = window.desk
    go(window, qtbot, 11)
    desk.select(person=desk.people[1].key, joint=9)
    pose = desk.person.pose.keypoints.copy()
    for frame in (12, 13, 14):
        press(window, Qt.Key.Key_V)
        assert desk.selection.frame == frame
        qtbot.waitUntil(lambda: len(desk.people) == 1, timeout=10_000)
        qtbot.waitUntil(lambda: desk.person is not None, timeout=2_000)
        np.testing.assert_allclose(desk.person.pose.keypoints, pose)
        assert desk.joint == 9
        with desk.project._database.read() as db:
            (mark,) = db.execute("SELECT fingerprint FROM correction WHERE frame = ?", (frame,)).fetchone()
        assert len(mark) == 16
    desk.undo()
    assert desk.project.people(desk.media_id, 14) == ()


def test_copying_on_ends_at_the_last_frame(window, qtbot, said):
    desk = window.desk
    go(window, qtbot, desk.info.frame_count - 1)
    desk.do("copy_next")
    assert "no frame after" in said[-1].sentence


def test_one_key_accepts_the_frame_and_goes_on_to_the_next_doubt(window, qtbot):
    desk = window.desk
    run = desk.project.start_run(desk.media_id, {}, {}, range(20))
    results = []
    for frame in range(20):
        poses = list(people_of(frame))
        if frame in (4, 17):
            low = np.full(17, 0.1, np.float32)
            poses[0] = type(poses[0])(poses[0].keypoints, low, poses[0].box, 0.1, None)
        results.append(FrameResult(frame, frame / 25, tuple(poses), f"{frame:016x}"))
    desk.project.store_results(run, results)
    qtbot.waitUntil(lambda: bool(desk.project.worth_a_look(desk.media_id)), timeout=5_000)
    press(window, Qt.Key.Key_N)
    first = desk.selection.frame
    assert first == 4
    qtbot.waitUntil(lambda: desk.frame_exact, timeout=10_000)
    press(window, Qt.Key.Key_E)
    assert [person.state for person in desk.project.people(desk.media_id, 4)] == ["corrected", "corrected"]
    assert desk.selection.frame > 4
    assert any(one.frame == desk.selection.frame for one in desk.project.worth_a_look(desk.media_id))
    desk.undo()
    assert [person.state for person in desk.project.people(desk.media_id, 4)] == ["predicted", "predicted"]
    assert desk.selection.frame == 4


def test_deleting_a_person_of_a_track_asks_nothing_and_offers_the_rest(window, qtbot, said, noted):
    desk = window.desk
    go(window, qtbot, 3)
    desk.select(person=desk.people[0].key)
    press(window, Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
    assert len(desk.people) == 1
    assert len(desk.project.people(desk.media_id, 4)) == 2
    (message,) = said
    assert [text for text, _ in message.actions] == ["From here on (8)", "Whole track (11)"]
    with qtbot.waitSignal(desk.noted, timeout=10_000):
        message.actions[0][1]()
    counts = [len(desk.project.people(desk.media_id, frame)) for frame in range(12)]
    assert counts == [2] * 3 + [1] * 9
    assert noted == ["track 1 deleted in 8 more frames"]
    assert all(person.pose.track == 2 for person in desk.project.people(desk.media_id, 9))
    desk.undo()
    assert [len(desk.project.people(desk.media_id, frame)) for frame in range(12)] == [2] * 12
    assert not desk.project.can_undo


def test_the_whole_track_goes_with_the_other_button(window, qtbot, said):
    desk = window.desk
    go(window, qtbot, 3)
    desk.select(person=desk.people[1].key)
    desk.do("delete_person")
    with qtbot.waitSignal(desk.noted, timeout=10_000):
        said[-1].actions[1][1]()
    assert {p.pose.track for f in range(12) for p in desk.project.people(desk.media_id, f)} == {1}


def test_a_person_without_a_track_is_deleted_without_a_word(window, qtbot, said):
    desk = window.desk
    go(window, qtbot, 15)
    keypoints = people_of(15)[0].keypoints.tolist()
    desk.apply(edits.AddPerson(desk.media_id, 15, keypoints))
    desk.select(person=desk.people[0].key)
    desk.do("delete_person")
    assert desk.people == ()
    assert said == []


def test_arrow_keys_move_the_whole_person_when_no_joint_is_chosen(window, qtbot):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=None)
    before = desk.person.pose.keypoints.copy()
    box = desk.person.pose.box.copy()
    for _ in range(3):
        press(window, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_allclose(desk.person.pose.keypoints, before + np.array([3, 0]), atol=1e-3)
    np.testing.assert_allclose(desk.person.pose.box, box + np.array([3, 0, 3, 0]), atol=1e-3)
    desk.undo()
    np.testing.assert_allclose(desk.person.pose.keypoints, before)


def test_one_joint_is_swapped_with_its_counterpart(window):
    desk = window.desk
    desk.select(person=desk.people[0].key, joint=9)
    before = desk.person.pose.keypoints.copy()
    press(window, Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    after = desk.person.pose.keypoints
    np.testing.assert_array_equal(after[[9, 10]], before[[10, 9]])
    np.testing.assert_array_equal(after[[7, 8]], before[[7, 8]])


def test_ten_frames_are_corrected_without_touching_a_menu(window, qtbot, said):
    """Every kind of correction by key, each in its frame, then on; nothing is asked and nothing steals the focus."""
    desk = window.desk
    kinds = [
        [Qt.Key.Key_S, (Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)],
        [Qt.Key.Key_S, Qt.Key.Key_Q],
        [Qt.Key.Key_S, Qt.Key.Key_O],
        [Qt.Key.Key_X],
        [Qt.Key.Key_Escape, (Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)],
    ]
    desk.select(person=desk.people[0].key)
    for number in range(10):
        assert desk.selection.frame == number
        assert desk.person is not None, "the chosen person is followed from frame to frame"
        for key in kinds[number % len(kinds)]:
            press(window, *key) if isinstance(key, tuple) else press(window, key)
        assert desk.person.state == "corrected", number
        press(window, Qt.Key.Key_Return)
        press(window, Qt.Key.Key_D)
        qtbot.waitUntil(lambda: desk.frame_exact, timeout=10_000)
    assert desk.project.corrected_frames(desk.media_id) == tuple(range(10))
    assert said == []
    for _ in range(10):
        press(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert desk.project.corrected_frames(desk.media_id) == ()
