"""What the lanes paint: aggregates fetched from the project once per window, size and revision."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from poseviewer.ui.timeline.view import View

if TYPE_CHECKING:
    from poseviewer.project.rows import Doubt, Lanes, Span, TrackChange
    from poseviewer.ui.desk import Desk

DOUBT_LIMIT = 500
MAX_TRACKS = 64
"""More tracks than this in one window are not listed; the nearest to the playhead are."""
MOST_COLUMNS = 24
"""With more columns to fetch one by one, fetching all at once is no slower."""
TRACK_FRAMES = 50_000
"""A window of more frames shows no tracks; zooming in does."""


@dataclass(frozen=True, eq=False)
class LaneData:
    """Aggregates of one window.

    Attributes:
        window: lanes of the visible frames, or None without a project.
        whole: lanes of all frames, without a joint.
        spans: tracks that are present in the window, by track.
        changes: where somebody changed who is who, in the window.
    """

    window: Lanes | None = None
    whole: Lanes | None = None
    spans: dict[int, tuple[Span, ...]] | None = None
    changes: tuple[TrackChange, ...] = ()


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

    def patch(self, frames: Collection[int]) -> None:
        """Fetch only the columns of ``frames`` anew, which costs the same however long the media is."""
        project, media = self._desk.project, self._desk.media_id
        if project is None or media is None or self._window_key is None:
            return
        data, joint = self._data, self._desk.selection.joint
        fetch = partial(project.lanes, media)
        if data.window is None or data.whole is None or self._window_key[-1] != joint:
            self.forget()
            return
        window = patched(data.window, frames, partial(fetch, joint=joint))
        same = window is not None and data.whole.starts is data.window.starts
        whole = without_joint(window) if same else patched(data.whole, frames, fetch)
        if window is None or whole is None:
            self.forget()
            return
        spans = self._spans(window.first, window.last)
        self._data = LaneData(window, whole, spans, project.track_changes(media, window.first, window.last))
        self._turn += 1

    def _spans(self, first: int, last: int) -> dict[int, tuple[Span, ...]]:
        """Return the tracks of a window; none of a long one, for their cost grows with the frames."""
        project, media = self._desk.project, self._desk.media_id
        spans: dict[int, list[Span]] = {}
        if project is not None and media is not None and last - first < TRACK_FRAMES:
            for span in project.tracks(media, first, last):
                spans.setdefault(span.track, []).append(span)
        return {track: tuple(found) for track, found in spans.items()}

    def doubts_touched(self, frames: Collection[int]) -> bool:
        """Return whether the list of doubts may change with the rows of some frames."""
        project, media = self._desk.project, self._desk.media_id
        if project is None or media is None:
            return False
        return any(doubt.frame in frames for doubt in self._doubts) or project.has_doubts(media, frames)

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
            changes = project.track_changes(media, first, last)
            self._data = LaneData(window, self._data.whole, self._spans(first, last), changes)
            self._turn += 1
        whole_key = (id(project), media, view.count, int(view.width))
        if whole_key != self._whole_key:
            self._whole_key = whole_key
            self._turn += 1
            all_shown = first == 0 and last == view.count - 1
            most = min(view.count, max(int(view.width), 1))
            shown = self._data.window
            whole = without_joint(shown) if all_shown else project.lanes(media, 0, view.count - 1, most)
            self._data = replace(self._data, whole=whole)
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


def patched(lanes: Lanes, frames: Collection[int], fetch: Callable[[int, int, int], Lanes]) -> Lanes | None:
    """Return lanes with the columns of ``frames`` fetched anew, or None if those are too many.

    Args:
        lanes: of a window.
        frames: whose rows changed; those outside the window do not matter.
        fetch: returns the lanes of (first frame, last frame, columns).
    """
    inside = [frame for frame in frames if lanes.first <= frame <= lanes.last]
    columns = np.unique(np.searchsorted(lanes.starts, inside, side="right") - 1)
    if len(columns) > MOST_COLUMNS:
        return None
    ends = np.append(lanes.starts[1:], lanes.last + 1)
    names = [name for name in _PATCHED if getattr(lanes, name) is not None]
    arrays = {name: getattr(lanes, name).copy() for name in names}
    for column in columns:
        fresh = fetch(int(lanes.starts[column]), int(ends[column]) - 1, 1)
        for name in names:
            arrays[name][column] = getattr(fresh, name)[0]
    return replace(lanes, **arrays)


_PATCHED = ("state", "people", "conf_min", "conf_mean", "conf_max", "joint")


def without_joint(lanes: Lanes | None) -> Lanes | None:
    """Return lanes that outlive a window, whose chosen joint the next window need not share."""
    return None if lanes is None else replace(lanes, joint=None)


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
