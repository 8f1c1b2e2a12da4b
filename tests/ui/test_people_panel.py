"""The people list: rows, shared selection, menu."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt

from poseviewer.core.values import ABSENT
from poseviewer.ui.panels.people import ROW_ROLE, PeoplePanel, thumbnail
from tests.ui.fake_desk import FakeDesk


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def panel(qtbot: Any, desk: FakeDesk) -> PeoplePanel:
    made = PeoplePanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(268, 240)
    made.show()
    return made


def test_rows_say_what_the_people_are(panel: PeoplePanel, desk: FakeDesk) -> None:
    rows = [panel.model.data(panel.model.index(i), ROW_ROLE) for i in range(panel.model.rowCount())]
    assert [row.key for row in rows] == ["p1", "p2", "p4"]
    for row, person in zip(rows, desk.people, strict=True):
        assert row.score == f"{person.pose.scores.mean():.2f}"
        assert row.seen == int((person.visibility != ABSENT).sum())
        assert row.corrected == (person.state == "corrected")
        assert row.track == person.pose.track
        assert row.thumb is not None
    assert [row.low for row in rows] == [False, False, True]
    assert panel.model.data(panel.model.index(0)) == f"Person 1, {rows[0].score}, track 3, corrected, 16 of 17"
    assert panel.count.text() == "3 in this frame"


def test_clicking_a_row_selects_for_everybody(qtbot: Any, panel: PeoplePanel, desk: FakeDesk) -> None:
    place = panel.list.visualRect(panel.model.index(1)).center()
    qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert desk.selection.person == "p2"
    assert desk.calls == [("select", {"person": "p2"})]


def test_a_selection_elsewhere_is_followed(panel: PeoplePanel, desk: FakeDesk) -> None:
    desk.session.select(person="p4")
    panel.flush()
    assert panel.list.currentIndex().row() == 2
    desk.session.select(person=None)
    panel.flush()
    assert not panel.list.selectionModel().hasSelection()
    assert not [call for call in desk.calls if call[0] == "select"]


def test_digits_choose_people(qtbot: Any, panel: PeoplePanel, desk: FakeDesk) -> None:
    qtbot.keyClick(panel.list, Qt.Key.Key_2)
    assert ("do", "person_2") in desk.calls


def test_the_menu_offers_what_is_possible(panel: PeoplePanel, desk: FakeDesk) -> None:
    enabled = {item.data(): item.isEnabled() for item in panel.menu().actions() if item.data()}
    assert enabled == {
        "accept": False, "revert": True, "swap_sides": True, "swap_tracks": True, "copy_previous": True,
        "copy_next": True, "interpolate": True, "delete_person": True
    }  # fmt: skip
    desk.session.select(person="p2")
    items = {item.data(): item for item in panel.menu().actions() if item.data()}
    assert items["accept"].isEnabled()
    assert not items["revert"].isEnabled()
    items["swap_sides"].trigger()
    assert desk.calls[-1] == ("do", "swap_sides")


def test_adding_a_person_draws_a_box(qtbot: Any, panel: PeoplePanel, desk: FakeDesk) -> None:
    qtbot.mouseClick(panel.add, Qt.MouseButton.LeftButton)
    assert desk.calls[-1] == ("do", "draw_box")


def test_a_hidden_panel_only_remembers(panel: PeoplePanel, desk: FakeDesk) -> None:
    panel.hide()
    desk.people = ()
    desk.people_changed.emit()
    assert panel.stale
    assert panel.model.rowCount() == 3
    panel.show()
    assert panel.model.rowCount() == 0
    assert panel.pages.currentIndex() == 1
    assert panel.empty.sentence.text() == "Nobody in this frame yet"


def test_thumbnails_stay_inside_the_picture(desk: FakeDesk) -> None:
    from dataclasses import replace

    import numpy as np

    person = desk.people[0]
    frame = desk.frame
    assert frame is not None
    outside = replace(person, pose=replace(person.pose, box=np.array([-900, -900, -800, -700], np.float32)))
    assert thumbnail(frame, replace(outside, visibility=np.zeros(17, np.uint8))) is None
    made = thumbnail(frame, person, 2.0)
    assert made is not None
    assert (made.width(), made.height()) == (60, 76)
