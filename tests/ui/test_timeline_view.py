"""Frames to pixels and back, and what the timeline words say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.skeleton import skeleton
from poseviewer.project.rows import Doubt, Span
from poseviewer.ui.timeline.data import place_of, track_order
from poseviewer.ui.timeline.view import MAX_PIXELS, View, tick_step, timecode
from poseviewer.ui.timeline.words import doubt_words

COUNTS = st.integers(1, 300_000)
WIDTHS = st.floats(50, 4000)


@given(COUNTS, WIDTHS, st.floats(0, 1), st.floats(0.2, 40))
def test_zooming_keeps_the_frame_under_the_pointer(count: int, width: float, share: float, factor: float) -> None:
    view = View.whole(count, 180, width)
    x = 180 + share * width
    before = (x - view.left) / view.pixels + view.first
    after = view.zoomed(factor, x)
    assert 0 <= after.first <= after.last <= count + 1e-6
    assert after.pixels <= max(MAX_PIXELS, width / count) + 1e-6
    assert (x - after.left) / after.pixels + after.first == pytest.approx(before, abs=1e-6 * count + 1e-9)


@given(COUNTS, WIDTHS, st.data())
def test_a_frame_is_found_at_its_own_pixels(count: int, width: float, data: st.DataObject) -> None:
    frame = data.draw(st.integers(0, count - 1))
    view = View.whole(count, 180, width).with_zoom(data.draw(st.floats(0, 1)), frame).showing(frame)
    assert view.first <= frame + 1e-6
    assert frame + 1 <= view.last + 1e-6
    assert view.frame_at(view.centre(frame)) == frame


@given(COUNTS, WIDTHS, st.floats(0, 1))
def test_the_zoom_slider_round_trips(count: int, width: float, zoom: float) -> None:
    view = View.whole(count, 0, width)
    if view.smallest < count * 0.99:
        assert view.with_zoom(zoom, count // 2).zoom == pytest.approx(zoom, abs=1e-6)


def test_visible_frames_stay_inside_the_media() -> None:
    view = View.whole(100, 0, 1000)
    assert view.frames == (0, 99)
    assert view.limited(first=10.5, span=45).frames == (10, 55)
    assert view.resized(100, 0, 500).span == 100


@pytest.mark.parametrize(("pixels", "step"), [(24, 5), (3.3, 20), (0.3, 500), (0.005, 20_000)])
def test_ruler_numbers_keep_their_distance(pixels: float, step: int) -> None:
    assert tick_step(pixels) == step


def test_timecode_counts_hours_only_where_there_are_any() -> None:
    assert timecode(33.867) == "00:33.867"
    assert timecode(3600 + 61.0005) == "1:01:01.000"
    assert timecode(59.9996) == "01:00.000"


def test_tracks_come_by_nearness_to_the_playhead() -> None:
    spans = {4: (Span(4, 0, 10),), 2: (Span(2, 40, 60),), 9: (Span(9, 20, 25), Span(9, 49, 50)), 1: (Span(1, 70, 80),)}
    assert track_order(spans, 50) == (2, 9, 1, 4)
    assert track_order(spans, 0) == (4, 9, 2, 1)


def test_place_in_the_queue() -> None:
    doubts = tuple(Doubt(frame, "p1", None, "jump", 1.0, "") for frame in (5, 9, 9, 20))
    assert place_of(doubts, 9) == (2, True)
    assert place_of(doubts, 10) == (3, False)
    assert place_of(doubts, 0) == (0, False)


def test_a_doubt_names_kind_joint_and_person() -> None:
    doubt = Doubt(5, "p7", 9, "jump", 80.0, "")
    assert doubt_words(doubt, skeleton(), ()) == "sudden jump at left wrist"
    assert doubt_words(Doubt(5, "", None, "lost", 3.0, ""), skeleton(), ()) == "track lost"
