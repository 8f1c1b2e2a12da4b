"""The Compare panel in the real window: two runs, a run and a correction, and the way to the next difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from window_tools import people_of

from poseviewer.core.values import FrameResult
from poseviewer.evaluation.agreement import ON_SCREEN
from poseviewer.ui.panels.compare import ComparePanel

WRIST = 9


def store_second_run(window, *, moved_in: tuple[int, ...] = (5,), without: tuple[int, ...] = ()) -> int:
    """Store a run over frames 0..8 that has the first person's left wrist elsewhere, or nobody, in some frames."""
    desk = window.desk
    networks = {"estimator": {"name": "other.safetensors"}}
    run = desk.project.start_run(desk.media_id, {"stn": False}, networks, range(9))
    results = []
    for frame in range(9):
        first, second = people_of(frame)
        if frame in moved_in:
            keypoints = first.keypoints.copy()
            keypoints[WRIST] += [60.0, 0.0]
            keypoints[:5] += 30.0
            first = replace(first, keypoints=keypoints)
        poses = (first, second) if frame not in without else (second,)
        results.append(FrameResult(frame, frame / 25, poses, f"{frame:016x}"))
    desk.project.store_results(run, results)
    desk.project.finish_run(run, "done")
    return run


@pytest.fixture
def panel(window, qtbot) -> ComparePanel:
    """The panel on show, with one run."""
    for place in range(window.inspector.count()):
        if isinstance(window.inspector.widget(place), ComparePanel):
            window.inspector.setCurrentIndex(place)
    found = window.inspector.currentWidget()
    assert isinstance(found, ComparePanel)
    qtbot.waitUntil(lambda: not found.stale)
    return found


def test_one_run_is_compared_with_what_is_on_screen(window, panel, qtbot):
    desk = window.desk
    assert panel.sides()[1] == ON_SCREEN
    desk.select(person=desk.people[0].key, joint=WRIST)
    x, y = desk.person.pose.keypoints[WRIST].tolist()
    desk.hand.move_joint(desk.person, WRIST, x + 30.0, y + 40.0)
    panel.flush()
    first = panel.table.rows.row_at(0)
    assert (first.joint, first.distance) == (WRIST, pytest.approx(50.0, abs=0.01))
    assert panel.mean.value.text() == f"{50 / 17:.1f}"
    assert float(panel.oks.value.text()) < 1
    assert panel.table.rows.place_of(WRIST) == panel.table.currentIndex().row() == 0


def test_the_last_two_runs_are_compared_and_can_be_exchanged(window, panel, qtbot):
    desk = window.desk
    second = store_second_run(window, moved_in=(0,))
    qtbot.waitUntil(lambda: panel.sides() == (1, second))
    assert panel.second.currentText() == f"Run {second} · other · STN off"
    panel.flush()
    # Without a selected person, the one about whom they differ most.
    assert panel.table.rows.row_at(0).joint == WRIST
    assert panel.table.rows.row_at(0).distance == pytest.approx(60.0, abs=0.01)
    before = panel.oks.value.text()
    panel.exchange.click()
    assert panel.sides() == (second, 1)
    assert panel.oks.value.text() == before
    panel.table.picked.emit(3)
    assert desk.joint == 3


def test_somebody_whom_only_one_run_has_is_named_so(window, panel, qtbot):
    desk = window.desk
    second = store_second_run(window, without=(0,))
    qtbot.waitUntil(lambda: panel.sides() == (1, second))
    panel.compare(1, second)
    panel.flush()
    assert panel.alone.text().startswith("Only A")
    desk.select(person=desk.people[0].key)
    panel.flush()
    assert panel.alone.text().startswith("1 person only in A")
    assert panel.oks.value.text() == "1.000"


def test_a_key_leads_to_the_next_frame_in_which_they_differ(window, panel, qtbot):
    desk = window.desk
    store_second_run(window, moved_in=(5,), without=(7,))
    told = []
    desk.message.connect(lambda message: told.append(message.sentence))
    for frame in (5, 7):
        qtbot.keyClick(window.canvas, Qt.Key.Key_J)
        qtbot.waitUntil(lambda frame=frame: desk.selection.frame == frame, timeout=10_000)
    qtbot.keyClick(window.canvas, Qt.Key.Key_J)
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert "agree" in told[0]
    assert desk.selection.frame == 7


def test_who_closes_while_it_is_read_hears_nothing_of_it(window, panel, qtbot):
    desk = window.desk
    store_second_run(window, moved_in=(5,))
    told = []
    desk.message.connect(told.append)
    panel.go_on()
    desk.close_media()
    qtbot.waitUntil(lambda: not desk._jobs, timeout=10_000)
    qtbot.wait(50)
    assert told == []
    assert desk.selection.frame == 0


def test_the_curve_knows_the_frames_around_and_forgets_what_changed(window, panel, qtbot):
    desk = window.desk
    store_second_run(window)
    qtbot.waitUntil(lambda: len(panel.values) == desk.info.frame_count, timeout=10_000)
    assert panel.values[0] == pytest.approx(1.0)
    assert panel.values[5] < 0.95
    assert np.isnan(panel.values[10])
    panel.compare(1, ON_SCREEN)
    qtbot.waitUntil(lambda: 11 in panel.values, timeout=10_000)
    desk.select(frame=3, person=None)
    qtbot.waitUntil(lambda: desk.frame_exact)
    desk.select(person=desk.people[0].key)
    desk.do("delete_person")
    qtbot.waitUntil(lambda: panel.values.get(3) == pytest.approx(0.5), timeout=10_000)
    x = panel.plot.width() - 7
    assert panel.plot.frame_at(x) == panel.span()[1]
