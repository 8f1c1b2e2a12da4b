"""What the lanes paint: aggregates fetched from the project once per window, size and revision."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poseviewer.ui.timeline.view import View

if TYPE_CHECKING:
    from poseviewer.project.rows import Doubt, Lanes, Span
    from poseviewer.ui.desk import Desk

DOUBT_LIMIT = 500
MAX_TRACKS = 64
"""More tracks than this in one window are not listed; the nearest to the playhead are."""
TRACK_FRAMES = 50_000
"""A window of more frames shows no tracks; zooming in does."""


@dataclass(frozen=True, eq=False)
class LaneData:
    """Aggregates of one window.

    Attributes:
        window: lanes of the visible frames, or None without a project.
        whole: lanes of all frames.
        spans: tracks that are present in the window, by track.
    """

    window: Lanes | None = None
    whole: Lanes | None = None
    spans: dict[int, tuple[Span, ...]] | None = None


class LaneSource:
    """Asks the project for aggregates and keeps the last answers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._window_key: tuple[object, ...] | None = None
        self._whole_key: tuple[object, ...] | None = None
        self._doubt_key: tuple[object, ...] | None = None
        self._data = LaneData()
        self._doubts: tuple[Doubt, ...] = ()
        self._turn = 0

    @property
    def turn(self) -> int:
        """Grows whenever new aggregates were fetched; part of the key of painted lanes."""
        return self._turn

    def forget(self) -> None:
        """Fetch anew next time, because rows changed."""
        self._window_key = self._whole_key = None

    def forget_doubts(self) -> None:
        """Fetch the doubts anew next time."""
        self._doubt_key = None

    def data(self, view: View, joint: int | None) -> LaneData:
        """Return the aggregates of ``view``."""
        project, media = self._desk.project, self._desk.media_id
        if project is None or media is None:
            return LaneData()
        first, last = view.frames
        columns = min(last - first + 1, max(int(view.width), 1))
        key = (id(project), media, first, last, columns, joint)
        if key != self._window_key:
            self._window_key = key
            window = project.lanes(media, first, last, columns, joint=joint)
            spans: dict[int, list[Span]] = {}
            # The cost of tracks grows with the frames: hours of video would keep the window waiting.
            if last - first < TRACK_FRAMES:
                for span in project.tracks(media, first, last):
                    spans.setdefault(span.track, []).append(span)
            self._data = LaneData(window, self._data.whole, {track: tuple(found) for track, found in spans.items()})
            self._turn += 1
        whole_key = (id(project), media, view.count, int(view.width))
        if whole_key != self._whole_key:
            self._whole_key = whole_key
            self._turn += 1
            all_shown = first == 0 and last == view.count - 1
            most = min(view.count, max(int(view.width), 1))
            whole = self._data.window if all_shown else project.lanes(media, 0, view.count - 1, most)
            self._data = LaneData(self._data.window, whole, self._data.spans)
        return self._data

    def doubts(self) -> tuple[Doubt, ...]:
        """Return what is worth a look, by frame."""
        project, media = self._desk.project, self._desk.media_id
        if project is None or media is None:
            return ()
        key = (id(project), media)
        if key != self._doubt_key:
            self._doubt_key = key
            found = project.worth_a_look(media, limit=DOUBT_LIMIT)
            self._doubts = tuple(sorted(found, key=lambda doubt: doubt.frame))
            self._turn += 1
        return self._doubts


def place_of(doubts: tuple[Doubt, ...], frame: int) -> tuple[int, bool]:
    """Return how many doubts lie up to and including ``frame``, and whether one of them is on it."""
    frames = [doubt.frame for doubt in doubts]
    before, upto = bisect_left(frames, frame), bisect_right(frames, frame)
    return (before + 1, True) if upto > before else (upto, False)


def track_order(spans: dict[int, tuple[Span, ...]] | None, frame: int) -> tuple[int, ...]:
    """Return the tracks by nearness to ``frame``: those present there first, equal ones by number."""
    if not spans:
        return ()

    def away(track: int) -> int:
        return min(max(span.first - frame, frame - span.last, 0) for span in (spans or {})[track])

    return tuple(sorted(spans, key=lambda track: (away(track), track))[:MAX_TRACKS])
