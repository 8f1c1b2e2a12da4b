"""Playing at true speed: a clock, the media's timestamps, and frames that are skipped rather than late."""

from __future__ import annotations

import time

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer

from poseviewer.ui.parts import DeskParts


class Playback(QObject):
    """Moves the selection while the playhead is playing.

    The frame on screen is the one whose timestamp has come; when decoding is slower than the media, frames are
    skipped, so the time stays true.
    """

    def __init__(self, desk: DeskParts, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(8)
        self._timer.timeout.connect(self._tick)
        self._clock = 0.0
        self._from_s = 0.0
        self._frame = -1

    def times(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the ``(n,)`` timestamps in seconds; those of pictures follow from the chosen rate."""
        stamps = self._desk.timestamps
        info = self._desk.info
        if info is None or (info.kind == "video" and len(stamps)):
            return stamps
        return np.arange(info.frame_count, dtype=np.float64) / self._desk.playhead.picture_rate

    def start(self) -> None:
        """Start from the selected frame, or from the range's start if that is at its end."""
        info = self._desk.info
        if info is None or info.frame_count < 2:
            self._desk.session.play(playing=False)
            return
        first, last = self._desk.playhead.span(info.frame_count)
        if self._desk.selection.frame >= last or self._desk.selection.frame < first:
            self._desk.select(frame=first)
        self._anchor()
        self._timer.start()

    def stop(self) -> None:
        """Stop the clock."""
        self._timer.stop()

    def reanchor(self) -> None:
        """Go on from the selected frame, after a jump or another speed."""
        if self._timer.isActive() and self._desk.selection.frame != self._frame:
            self._anchor()

    def _anchor(self) -> None:
        self._clock = time.monotonic()
        self._frame = self._desk.selection.frame
        times = self.times()
        self._from_s = float(times[min(self._frame, len(times) - 1)])

    def _tick(self) -> None:
        info = self._desk.info
        if info is None:
            self._desk.session.play(playing=False)
            return
        first, last = self._desk.playhead.span(info.frame_count)
        now = self._from_s + (time.monotonic() - self._clock) * self._desk.playhead.speed
        frame = int(np.searchsorted(self.times(), now + 1e-6, side="right")) - 1
        if frame > last or (frame == last and now > float(self.times()[last]) + 0.02):
            if self._desk.playhead.loop:
                self._desk.select(frame=first)
                self._anchor()
            else:
                self._desk.select(frame=last)
                self._desk.session.play(playing=False)
            return
        if frame != self._frame:
            self._frame = frame
            self._desk.select(frame=frame)
