"""Swapping tracks in the window: at once, by the menu, and taking back a track that nobody has here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from desk_tools import pose_at
from PySide6.QtGui import QImage

from poseviewer.core.values import FrameResult, Pose
from poseviewer.ui import theme
from poseviewer.ui.identities import ask_swap, offers
from poseviewer.ui.window import Window

FRAMES = 20


def walker(index: int, left: float, track: int | None) -> Pose:
    pose = pose_at(index)
    shift = np.array([left - float(pose.box[0]), 0.0], np.float32)
    return replace(pose, keypoints=pose.keypoints + shift, box=pose.box + np.tile(shift, 2), track=track)


def store(window: Window, frames: dict[int, tuple[Pose, ...]]) -> None:
    desk = window.desk
    run = desk.project.start_run(desk.media_id, {}, {"estimator": {"name": "made up"}}, list(frames))
    results = [FrameResult(index, index / 25, poses, f"{index:016x}") for index, poses in frames.items()]
    desk.project.store_results(run, results)
    desk.project.finish_run(run, "done")


def tracks_in(window: Window, frame: int) -> list[int | None]:
    return [person.pose.track for person in window.desk.project.people(window.desk.media_id, frame)]


@pytest.fixture
def two(window, qtbot):
    """Two people with tracks 1 and 2 in twenty frames."""
    store(window, {at: (walker(at, 40, 1), walker(at, 200, 2)) for at in range(FRAMES)})
    window.desk.select(frame=5)
    qtbot.waitUntil(lambda: len(window.desk.people) == 2)
    # Nobody else is near in time, so that nothing has to be asked.
    return window


def test_with_two_people_one_key_swaps_them_and_one_takes_it_back(two, qtbot):
    desk = two.desk
    words = []
    desk.noted.connect(words.append)
    desk.do("swap_tracks")
    assert [tracks_in(two, at) for at in (4, 5, 19)] == [[1, 2], [2, 1], [2, 1]]
    assert words[-1] == "tracks 1 and 2 swapped from here on"
    lanes = two.timeline.lanes
    qtbot.waitUntil(lambda: [change.frame for change in lanes.source.data(lanes.view, None).changes] == [5])
    assert not two.grab().isNull()
    desk.do("undo")
    assert tracks_in(two, 19) == [1, 2]


def test_the_menu_offers_people_here_then_tracks_near_then_a_new_one(two, qtbot):
    desk = two.desk
    frames = {at: (walker(at, 40, 1), walker(at, 200, 2), walker(at, 120, 6)) for at in range(10, 13)}
    store(two, {**{at: (walker(at, 40, 7),) for at in range(3)}, **frames})
    desk.select(frame=6)
    qtbot.waitUntil(lambda: len(desk.people) == 2)
    desk.select(person=desk.people[1].key)
    found = offers(desk, desk.person)
    assert [(offer.track, offer.person is not None) for offer in found] == [
        (1, True), (7, False), (6, False), (8, False)
    ]  # fmt: skip
    menu = ask_swap(desk, two.canvas)
    texts = [item.text() for item in menu.actions()]
    assert texts[0] == "Track 2 is from here on"
    assert texts[2:] == ["&2  Track 7, last in frame 2", "&3  Track 6, again in frame 10", "&4  Track 8, a new one"]
    menu.actions()[2].trigger()
    menu.close()
    assert tracks_in(two, 6) == [1, 7]
    assert tracks_in(two, 10) == [1, 7, 6]
    assert tracks_in(two, 1) == [7], "what was 7 before frame 6 stays"
    desk.do("undo")
    assert tracks_in(two, 6) == [1, 2]


def test_without_a_chosen_person_the_window_asks_for_one(two, qtbot):
    desk = two.desk
    store(two, {5: (walker(5, 40, 1), walker(5, 200, 2), walker(5, 120, 3))})
    qtbot.waitUntil(lambda: len(desk.people) == 3)
    heard = []
    desk.message.connect(heard.append)
    assert ask_swap(desk, two.canvas) is None
    assert heard[-1].sentence == "Choose a person first."


def test_somebody_without_a_track_gets_one_in_this_frame(two, qtbot):
    desk = two.desk
    store(two, {5: (walker(5, 40, None), walker(5, 200, 2))})
    qtbot.waitUntil(lambda: [person.pose.track for person in desk.people] == [None, 2])
    desk.select(person=desk.people[0].key)
    menu = ask_swap(desk, two.canvas)
    texts = [item.text() for item in menu.actions()]
    assert texts[0] == "Person 1 is from here on"
    menu.actions()[2].trigger()
    menu.close()
    assert tracks_in(two, 5) == [1, 2]


def test_trails_follow_the_track_through_gaps_and_never_somebody_else(two, qtbot):
    """Track 1 is away in two frames, and the other person stands where it was then."""
    desk = two.desk
    store(two, {at: (walker(at, 46, 2),) for at in (7, 8)})
    desk.select(frame=5)
    desk.show(trails=True)
    qtbot.waitUntil(lambda: len(desk.people) == 2)
    desk.select(person=desk.people[0].key, joint=9)
    before, after = two.canvas.trail()
    assert len(before) == 6
    assert len(after) == 15 - 2
    assert after[:, 0].max() < 120, "nobody of track 2, who walks further right"


def test_the_legend_has_no_side_colours_where_people_have_their_own(two):
    bar = two.canvas.legend_bar
    sides = bar.grab().toImage()
    two.desk.show(colour_by="track")
    assert bar.grab().toImage() != sides


def test_a_thirteenth_track_is_told_from_the_first(two, qtbot, monkeypatch):
    """Twelve colours repeat; the second round has a white stripe in lines and swatches."""
    desk = two.desk
    desk.show(colour_by="track", labels=False)

    def picture(track: int) -> QImage:
        store(two, {5: (walker(5, 40, track),)})
        qtbot.waitUntil(lambda: [person.pose.track for person in desk.people] == [track])
        return two.canvas.grab().toImage()

    first, again = picture(1), picture(13)
    assert theme.track_colour(1) == theme.track_colour(13)
    assert first != again
    monkeypatch.setattr(theme, "track_repeats", lambda track: False)
    assert picture(1) == picture(13)
