"""The timeline driven by hand: scrubbing, zooming, range, queue, and what it asks of the project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication

from poseviewer.core.changes import Changes
from poseviewer.core.values import FrameResult, MediaInfo, Pose
from poseviewer.project import Project, edits
from poseviewer.project.rows import CORRECTED, Lanes
from poseviewer.ui import theme
from poseviewer.ui.timeline import TimelineDock, paint
from poseviewer.ui.timeline.data import TRACK_FRAMES, patched
from tests.ui.fake_desk import FakeDesk


@pytest.fixture
def desk(qtbot: Any) -> FakeDesk:
    theme.apply("dark")
    return FakeDesk()


@pytest.fixture
def dock(qtbot: Any, desk: FakeDesk) -> Iterator[TimelineDock]:
    made = TimelineDock(desk)  # type: ignore[arg-type]
    made.resize(1600, 212)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()


def row_middle(dock: TimelineDock, name: str) -> int:
    top, height = getattr(dock.lanes._place().rows, name)
    return int(top + height / 2)


def test_dragging_in_the_lanes_scrubs(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    lanes = dock.lanes
    y = row_middle(dock, "confidence")
    qtbot.mousePress(lanes, Qt.MouseButton.LeftButton, pos=QPoint(int(lanes.view.centre(100)), y))
    expected = lanes.view.frame_at(int(lanes.view.centre(100)))
    assert desk.selection.frame == expected
    qtbot.mouseMove(lanes, QPoint(int(lanes.view.centre(2000)), y))
    qtbot.mouseRelease(lanes, Qt.MouseButton.LeftButton)
    selected = [fields["frame"] for name, fields in desk.calls if name == "select"]
    assert selected[0] == expected
    assert abs(selected[-1] - 2000) <= 1 / lanes.view.pixels


def test_ctrl_and_wheel_zoom_at_the_pointer(qtbot: Any, dock: TimelineDock) -> None:
    lanes = dock.lanes
    x = lanes.view.centre(1500)
    event = QWheelEvent(
        QPointF(x, 60), QPointF(x, 60), QPoint(), QPoint(0, 480), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.ControlModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(lanes, event)
    assert lanes.view.span < 4210 / 2
    assert lanes.view.frame_at(x) in (1499, 1500, 1501)
    assert dock.transport.zoom.value() == round(lanes.view.zoom * 1000)


def test_the_zoom_slider_zooms_around_the_playhead(dock: TimelineDock) -> None:
    dock.transport.zoom.setValue(1000)
    first, last = dock.lanes.view.frames
    assert first <= 812 <= last
    assert dock.lanes.view.pixels == pytest.approx(24, rel=1e-3)


def test_the_strip_moves_the_window_only(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    lanes = dock.lanes
    lanes.set_view(lanes.view.limited(first=600, span=300))
    place = lanes._place()
    x = int(place.left + place.width * 3000 / 4210)
    qtbot.mouseClick(lanes, Qt.MouseButton.LeftButton, pos=QPoint(x, row_middle(dock, "strip")))
    assert lanes.view.first == pytest.approx(3000 - 150, abs=4)
    assert desk.selection.frame == 812


def test_brackets_are_dragged(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    desk.session.play(first=780, last=860)
    lanes = dock.lanes
    lanes.set_view(lanes.view.limited(first=700, span=300))
    y = row_middle(dock, "state")
    qtbot.mousePress(lanes, Qt.MouseButton.LeftButton, pos=QPoint(round(lanes.view.x(861)), y))
    qtbot.mouseMove(lanes, QPoint(int(lanes.view.centre(900)), y))
    qtbot.mouseRelease(lanes, Qt.MouseButton.LeftButton)
    assert desk.playhead.last == 900
    assert desk.playhead.first == 780
    assert dock.transport.range.text() == "780 to 900"


def test_a_diamond_selects_its_frame_person_and_joint(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    frame = desk.project.dips[5]
    lanes = dock.lanes
    place = QPoint(round(lanes.view.centre(frame)), row_middle(dock, "worth"))
    qtbot.mouseClick(lanes, Qt.MouseButton.LeftButton, pos=place)
    assert desk.selection.frame == frame
    assert desk.selection.person == "p1"
    assert desk.selection.joint == 9
    assert dock.transport.worth.place.text() == f"6 of {len(desk.project.dips)}"
    assert dock.transport.worth.words.text() == "low score at left wrist, person 1"


def test_buttons_ask_the_desk(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    bar = dock.transport
    for button in (*bar.buttons.values(), bar.play, bar.worth.next):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    done = [call[1] for call in desk.calls if call[0] == "do"]
    assert done == [
        "previous_corrected", "frame_previous", "frame_next", "next_corrected", "loop", "play", "next_doubt"
    ]  # fmt: skip
    bar.speed.activated.emit(0)
    assert desk.playhead.speed == 0.1


def test_a_typed_frame_number_is_gone_to(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    field = dock.transport.field
    field.selectAll()
    qtbot.keyClicks(field, "1234")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert desk.selection.frame == 1234
    assert field.text() == "1234"
    assert dock.transport.time.text() == "00:49.360"


def test_without_media_nothing_is_asked(qtbot: Any) -> None:
    empty = FakeDesk()
    empty.info, empty.project, empty.media_id, empty.people, empty.timestamps = None, None, None, (), np.zeros(0)
    dock = TimelineDock(empty)  # type: ignore[arg-type]
    dock.resize(900, 212)
    dock.show()
    dock.grab()
    assert not dock.transport.play.isEnabled()
    assert not dock.transport.worth.isVisible()
    qtbot.mouseClick(dock.lanes, Qt.MouseButton.LeftButton, pos=QPoint(500, 100))
    assert empty.calls == []
    dock.close()


def test_moving_the_playhead_asks_the_project_for_nothing(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    dock.grab()
    asked = desk.project.calls
    for frame in range(812, 832):
        desk.select(frame=frame)
        dock.grab()
    assert desk.project.calls == asked


def test_changes_are_fetched_once_per_pause(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    dock.grab()
    asked = desk.project.calls
    for revision in range(50):
        desk.changes.emit(Changes(frozenset({"predictions"}), revision, "job", 1, None))
    qtbot.waitUntil(lambda: desk.project.calls > asked, timeout=2000)
    dock.grab()
    assert desk.project.calls - asked <= 4


def test_one_edit_fetches_its_own_column_only(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    dock.grab()
    asked: list[tuple[int, int]] = []
    whole = desk.project.lanes

    def lanes(media: int, first: int, last: int, columns: int, joint: int | None = None) -> Any:
        asked.append((first, last))
        return whole(media, first, last, columns, joint)

    desk.project.lanes = lanes
    desk.project.state[2000] = CORRECTED
    desk.changes.emit(Changes(frozenset({"corrections"}), 2, "view", 1, frozenset({2000})))
    with qtbot.waitSignal(dock.lanes.rows_changed, timeout=2000):
        pass
    dock.grab()
    assert asked
    assert all(first <= 2000 <= last and last - first < 8 for first, last in asked)
    shown = dock.lanes.source.data(dock.lanes.view, desk.joint).window
    assert shown is not None
    assert CORRECTED in shown.state[np.searchsorted(shown.starts, 2000, side="right") - 1 :][:1]


def test_a_confirmed_media_of_as_many_frames_leaves_the_zoom_alone(dock: TimelineDock, desk: FakeDesk) -> None:
    lanes = dock.lanes
    lanes.set_view(lanes.view.limited(first=700, span=200))
    held = lanes.view
    desk.media_changed.emit()
    assert lanes.view == held
    desk.info = replace(desk.info, frame_count=4209)  # type: ignore[type-var]
    desk.media_changed.emit()
    assert (lanes.view.first, lanes.view.count) == (0, 4209)


def test_changes_that_no_lane_shows_fetch_nothing(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    dock.grab()
    for kind, media in (("settings", 1), ("runs", 1), ("corrections", 7)):
        desk.changes.emit(Changes(frozenset({kind}), 2, "view", media, frozenset({3})))  # type: ignore[arg-type]
    assert not dock.lanes._refresh.isActive()


def test_patched_lanes_are_what_a_full_fetch_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = 1500
    with Project.create(tmp_path / "a.poseproj") as project:
        media = project.add_media(MediaInfo("/a.mp4", "video", frames, (640, 480), 25.0, 60.0, "h264", 0, "aa"))

        def found(frame: int, score: float) -> FrameResult:
            box = np.array([0, 0, 50, 90], np.float32)
            poses = (Pose(rng.uniform(0, 90, (17, 2)).astype(np.float32), np.full(17, score, np.float32), box, score),)
            return FrameResult(frame, frame / 25, poses if frame % 9 else (), f"{frame:016x}")

        run = project.start_run(media, {}, {}, range(frames))
        project.store_results(run, [found(frame, float(rng.uniform(0.2, 1))) for frame in range(frames)])
        for first, last, columns, joint in ((0, frames - 1, 200, 4), (100, 399, 300, None), (700, 1499, 97, 2)):

            def fetch(a: int, b: int, columns: int, joint: int | None = joint) -> Lanes:
                return project.lanes(media, a, b, columns, joint=joint)

            before = fetch(first, last, columns)
            picked = [int(frame) for frame in rng.integers(0, frames, 8)]
            again = project.start_run(media, {}, {}, picked)
            project.store_results(again, [found(frame, float(rng.uniform(0.2, 1))) for frame in picked[:4]])
            for frame in picked[4:]:
                for person in project.people(media, frame):
                    project.apply(edits.AcceptPrediction(media, frame, person.key))
            fresh, made = fetch(first, last, columns), patched(before, frozenset(picked), fetch)
            assert made is not None
            for name in ("starts", "state", "people", "conf_min", "conf_mean", "conf_max", "joint"):
                np.testing.assert_array_equal(getattr(made, name), getattr(fresh, name), err_msg=name)
        assert patched(before, range(700, 1400), fetch) is None


@pytest.mark.parametrize("joint", [None, 9])
@pytest.mark.parametrize("zoomed", [False, True])
def test_rows_that_change_reach_the_lanes_whatever_was_seen_before(
    dock: TimelineDock, desk: FakeDesk, joint: int | None, zoomed: bool
) -> None:
    """The whole was shown with a joint first; its lanes stay for the strip when the window or the joint changes."""
    source = dock.lanes.source
    desk.select(joint=9)
    dock.grab()
    if zoomed:
        dock.lanes.set_view(dock.lanes.view.limited(first=700, span=300))
    desk.select(joint=joint)
    dock.grab()
    desk.project.state[812] = CORRECTED
    source.patch(frozenset({812}))
    data = source.data(dock.lanes.view, joint)
    assert data.window is not None
    assert data.whole is not None
    for lanes in (data.window, data.whole):
        assert lanes.state[np.searchsorted(lanes.starts, 812, side="right") - 1] == CORRECTED
    assert (data.window.joint is None) == (joint is None)
    assert data.whole.joint is None


def test_long_windows_leave_tracks_out(qtbot: Any) -> None:
    desk = FakeDesk(frames=TRACK_FRAMES * 3)
    dock = TimelineDock(desk)  # type: ignore[arg-type]
    dock.resize(1200, 212)
    dock.show()
    dock.grab()
    assert dock.lanes._order == ()
    dock.lanes.set_view(dock.lanes.view.limited(first=700, span=400))
    dock.grab()
    assert 3 in dock.lanes._order
    dock.close()


def test_a_corrected_frame_is_seen_among_thousands(dock: TimelineDock, desk: FakeDesk) -> None:
    desk.project.state[:] = 2
    desk.project.state[2100] = CORRECTED
    dock.lanes.source.forget()
    image = dock.lanes.grab().toImage()
    x, y = round(dock.lanes.view.centre(2100)), row_middle(dock, "state")
    green = theme.current().colour("ok")
    near = [QColor(image.pixel(x + dx, y - 6)) for dx in (-2, -1, 0, 1, 2)]
    assert any(abs(c.green() - green.green()) < 30 and c.green() > c.red() + 40 for c in near)


def test_curves_are_straight_between_columns_and_break_at_gaps() -> None:
    edges = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    values = np.array([0.2, 0.4, np.nan, 0.8], np.float32)
    x = np.array([1.0, 5.0, 10.0, 15.0, 19.0, 25.0, 31.0, 39.0])
    expected = [0.2, 0.2, 0.3, 0.4, 0.4, np.nan, 0.8, 0.8]
    np.testing.assert_allclose(paint.per_pixel(values, edges, x), expected, atol=1e-6)


def test_a_stroke_covers_its_width_everywhere() -> None:
    curve = np.array([5.0, 5.0, np.nan, 9.0, 3.0])
    share = paint._stroke(curve, 12, 2.0)
    assert share[:, 0] == pytest.approx([0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0])
    assert share[:, 2].sum() == 0
    assert share[:, 3].sum() == pytest.approx(2 + 3)


@pytest.mark.parametrize("name", ["dark", "light"])
@pytest.mark.parametrize(("width", "height"), [(1600, 212), (1280, 132), (520, 132)])
def test_every_size_and_theme_is_painted(qtbot: Any, name: str, width: int, height: int) -> None:
    theme.apply(name)  # type: ignore[arg-type]
    dock = TimelineDock(FakeDesk())  # type: ignore[arg-type]
    dock.resize(width, height)
    dock.show()
    image = dock.grab().toImage()
    colours = {image.pixel(x, y) for x in range(0, width, 7) for y in range(0, height, 5)}
    assert len(colours) > 6
    dock.close()
    theme.apply("dark")


def wheel(dock: TimelineDock, y: float, steps: int) -> None:
    event = QWheelEvent(
        QPointF(700, y), QPointF(700, y), QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(dock.lanes, event)


def test_the_wheel_moves_along_and_scrolls_tracks(dock: TimelineDock, desk: FakeDesk) -> None:
    lanes = dock.lanes
    lanes.set_view(lanes.view.limited(first=700, span=200))
    wheel(dock, row_middle(dock, "ruler"), -1)
    assert lanes.view.first > 700
    from poseviewer.project.rows import Span

    desk.project.tracks = lambda media, first, last: tuple(Span(n, 0, 4000) for n in range(1, 10))
    lanes.source.forget()
    dock.grab()
    before = lanes.view
    wheel(dock, row_middle(dock, "tracks"), -2)
    dock.grab()
    assert lanes._scroll == 1
    assert lanes.view == before


def test_keys_zoom_around_the_playhead(qtbot: Any, dock: TimelineDock) -> None:
    lanes = dock.lanes
    whole = lanes.view.span
    qtbot.keyClick(lanes, Qt.Key.Key_Plus)
    assert lanes.view.span == pytest.approx(whole / 1.5)
    assert lanes.view.first <= 812 <= lanes.view.last
    qtbot.keyClick(lanes, Qt.Key.Key_Minus)
    assert lanes.view.span == pytest.approx(whole)


def test_a_tracks_name_selects_its_person(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    dock.lanes.set_view(dock.lanes.view.limited(first=700, span=200))
    dock.grab()
    place = dock.lanes._order.index(9)
    y = int(dock.lanes._place().rows.tracks[0] + 12 * place + 4)
    qtbot.mouseClick(dock.lanes, Qt.MouseButton.LeftButton, pos=QPoint(30, y))
    assert desk.selection.person == "p4"


def test_a_double_click_in_the_strip_goes_there(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    dock.lanes.set_view(dock.lanes.view.limited(first=600, span=300))
    place = dock.lanes._place()
    x = int(place.left + place.width / 2)
    qtbot.mouseDClick(dock.lanes, Qt.MouseButton.LeftButton, pos=QPoint(x, row_middle(dock, "strip")))
    assert abs(desk.selection.frame - 2105) <= 4
    first, last = dock.lanes.view.frames
    assert first <= desk.selection.frame <= last


def test_the_playhead_pages_the_window(dock: TimelineDock, desk: FakeDesk) -> None:
    lanes = dock.lanes
    lanes.set_view(lanes.view.limited(first=800, span=100))
    desk.select(frame=901)
    first, last = lanes.view.frames
    assert first <= 901 <= last
    assert lanes.view.first == pytest.approx(891, abs=1)
    desk.select(frame=880)
    assert lanes.view.frames[0] <= 880


def test_escape_drops_a_typed_number(qtbot: Any, dock: TimelineDock, desk: FakeDesk) -> None:
    field = dock.transport.field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "77")
    qtbot.keyClick(field, Qt.Key.Key_Escape)
    assert field.text() == "812"
    assert desk.selection.frame == 812
