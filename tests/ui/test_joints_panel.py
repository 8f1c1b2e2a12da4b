"""The joint table: figures equal the pose's, clicks make edits, the filter filters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt

from poseviewer.project import edits
from poseviewer.ui.panels.joints import JOINT, MOVED, SCORE, SEEN, JointsPanel
from tests.ui.fake_desk import FakeDesk


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def panel(qtbot: Any, desk: FakeDesk) -> JointsPanel:
    made = JointsPanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(268, 520)
    made.show()
    return made


def cell(panel: JointsPanel, row: int, column: int) -> str:
    return str(panel.model.data(panel.model.index(row, column)))


def test_cells_equal_the_pose(panel: JointsPanel, desk: FakeDesk) -> None:
    person = desk.people[0]
    assert panel.model.rowCount() == 17
    for joint in range(17):
        assert cell(panel, joint, JOINT) == desk.skeleton.joints[joint]
        if person.visibility[joint]:
            assert cell(panel, joint, SCORE) == f"{person.pose.scores[joint]:.2f}"
    assert cell(panel, 3, SEEN) == "absent"
    assert cell(panel, 3, SCORE) == "–"
    assert cell(panel, 11, SEEN) == "occluded"
    assert cell(panel, 7, MOVED) == "5.0"
    assert cell(panel, 8, MOVED) == ""
    assert panel.whose.text() == "person 1"


def click(qtbot: Any, panel: JointsPanel, row: int, column: int) -> None:
    place = panel.table.visualRect(panel.model.index(row, column)).center()
    qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)


@pytest.mark.parametrize(("joint", "then"), [(0, 1), (11, 0), (3, 2)])
def test_clicking_seen_cycles_by_an_edit(qtbot: Any, panel: JointsPanel, desk: FakeDesk, joint: int, then: int) -> None:
    click(qtbot, panel, joint, SEEN)
    assert desk.edits == [edits.SetVisibility(1, 812, "p1", (joint,), then)]


def test_clicking_a_name_selects_the_joint_only(qtbot: Any, panel: JointsPanel, desk: FakeDesk) -> None:
    click(qtbot, panel, 5, JOINT)
    assert desk.selection.joint == 5
    assert desk.edits == []


def test_the_selected_joint_is_followed(panel: JointsPanel, desk: FakeDesk) -> None:
    assert panel.table.currentIndex().row() == 9
    desk.session.select(joint=2)
    panel.flush()
    assert panel.table.currentIndex().row() == 2
    assert not [call for call in desk.calls if call[0] == "select"]


def show_as_predicted(panel: JointsPanel, desk: FakeDesk) -> None:
    desk.people = tuple(replace(person, state="predicted") for person in desk.people)
    desk.people_changed.emit()
    panel.flush()


def test_doubtful_are_low_scores_and_second_peaks(qtbot: Any, panel: JointsPanel, desk: FakeDesk) -> None:
    show_as_predicted(panel, desk)
    assert panel.filter.button("doubtful").text() == "Doubtful 2"
    qtbot.mouseClick(panel.filter.button("doubtful"), Qt.MouseButton.LeftButton)
    assert [panel.model.row_at(i).joint for i in range(panel.model.rowCount())] == [9, 11]  # type: ignore[union-attr]


def test_nothing_is_doubtful_once_a_hand_has_confirmed_the_person(panel: JointsPanel, desk: FakeDesk) -> None:
    assert desk.people[0].state == "corrected"
    assert panel.filter.button("doubtful").text() == "Doubtful"
    assert not any(panel.model.row_at(i).doubtful for i in range(17))  # type: ignore[union-attr]


def test_without_evidence_only_scores_are_doubtful(panel: JointsPanel, desk: FakeDesk) -> None:
    desk.evidence = None
    show_as_predicted(panel, desk)
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.filter.button("doubtful").text() == "Doubtful 1"


def test_nobody_selected(panel: JointsPanel, desk: FakeDesk) -> None:
    desk.session.select(person=None)
    panel.flush()
    assert panel.pages.currentIndex() == 1
    assert panel.empty.sentence.text() == "No person is selected"


def test_a_person_placed_by_hand_has_no_scores(panel: JointsPanel, desk: FakeDesk) -> None:
    person = desk.people[1]
    by_hand = replace(person, prediction=None, pose=replace(person.pose, scores=np.zeros(17, np.float32)))
    desk.people = (desk.people[0], by_hand)
    desk.session.select(person="p2")
    panel.flush()
    assert {cell(panel, joint, SCORE) for joint in range(17)} == {"–"}
    assert panel.filter.button("doubtful").text() == "Doubtful"


def test_whole_body_sets_scroll(qtbot: Any) -> None:
    panel = JointsPanel(FakeDesk(joints=133))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(268, 520)
    panel.show()
    assert panel.model.rowCount() == 133
    assert panel.table.verticalScrollBar().maximum() > 0
