"""The picture on screen: asks the frame server, shows the nearest decoded frame at once and the exact one after."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QTimer, Signal

from poseviewer.core.errors import KnownError
from poseviewer.core.values import Frame
from poseviewer.ui import settings
from poseviewer.ui.threads import FrameBridge

if TYPE_CHECKING:
    from poseviewer.media import FrameServer, Media

log = logging.getLogger("poseviewer.frames")
CACHE_MB = 512


class FrameKeeper(QObject):
    """Owns the frame server of the open media.

    Attributes:
        wanted: index of the frame that should be on screen, -1 for none.
        frame: the one that is.
        exact: whether they are the same.
        timestamps: ``(n,)`` seconds.
    """

    changed = Signal()
    cached_changed = Signal()
    error = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.wanted = -1
        self.frame: Frame | None = None
        self.exact = False
        self.timestamps: npt.NDArray[np.float64] = np.zeros(0)
        self._media: Media | None = None
        self._server: FrameServer | None = None
        self._bridge: FrameBridge | None = None
        self._prints: dict[int, str] = {}
        self._cached_timer = QTimer(self)
        self._cached_timer.setSingleShot(True)
        self._cached_timer.setInterval(150)
        self._cached_timer.timeout.connect(self.cached_changed)

    def open(self, media: Media) -> None:
        """Serve the frames of ``media``; the server decodes with a decoder of its own."""
        from poseviewer.media import FrameServer

        self.close()
        self._media = media
        self.timestamps = np.asarray(media.timestamps)
        bridge = FrameBridge(self)
        bridge.arrived.connect(lambda frame: self._arrived(frame, bridge))
        bridge.broken.connect(self.error)
        self._bridge = bridge
        budget = int(settings.value("cache_mb", CACHE_MB)) << 20
        self._server = FrameServer(media, budget_bytes=budget, on_frame=bridge.deliver, on_error=bridge.deliver_error)

    def settle(self, media: Media) -> None:
        """Take over ``media``, whose frame table is confirmed, and show the wanted frame by it."""
        if self._media is None:
            media.close()
            return
        wanted, held = self.wanted, self.frame
        if self._media.info.confirmed:
            # The index is shared: the server drops frames by itself if numbers came to mean other pictures.
            media.close()
            self.timestamps = np.asarray(self._media.timestamps)
        else:
            self.open(media)
            self.frame = held
        self._prints.clear()
        self.wanted = -1
        if wanted >= 0:
            self.show(wanted)

    def close(self) -> None:
        """Stop serving; nothing is on screen then."""
        if self._server is not None:
            self._server.close()
        if self._media is not None:
            self._media.close()
        if self._bridge is not None:
            self._bridge.deleteLater()
        self._server, self._media, self._bridge = None, None, None
        self.wanted, self.frame, self.exact = -1, None, False
        self.timestamps = np.zeros(0)
        self._prints.clear()
        self.changed.emit()

    def reopen(self) -> Media | None:
        """Return a second decoder on the same index for another thread, or None if nothing is open."""
        if self._media is None:
            return None
        try:
            return self._media.reopen()
        except KnownError as error:
            self.error.emit(error)
            return None

    def show(self, index: int) -> None:
        """Put frame ``index`` on screen, or the nearest decoded one until it is there."""
        if self._server is None:
            return
        step = index - self.wanted
        self.wanted = index
        held = self._server.peek(index)
        if held is None:
            near = self._server.nearest(index)
            if near is not None:
                self.frame = near
            self.exact = False
        else:
            self.frame, self.exact = held, True
        # Also for a held frame: the server prefetches in the direction of travel.
        self._server.request(index, direction=(step > 0) - (step < 0) if self.wanted >= 0 else 0)
        self.changed.emit()

    def _arrived(self, frame: Frame, bridge: FrameBridge) -> None:
        if bridge is not self._bridge:
            return
        if not self._cached_timer.isActive():
            self._cached_timer.start()
        if self.exact and self.frame is not None and self.frame.index == self.wanted:
            return
        if frame.index == self.wanted:
            self.frame, self.exact = frame, True
            self.changed.emit()
        elif self.frame is None or abs(frame.index - self.wanted) < abs(self.frame.index - self.wanted):
            self.frame = frame
            self.changed.emit()

    def cached_spans(self) -> list[tuple[int, int]]:
        """Return the inclusive spans of decoded frames."""
        return self._server.cached_spans() if self._server is not None else []

    def fingerprint(self, index: int) -> str:
        """Return the fingerprint of a decoded frame, "" if it is not decoded."""
        if index not in self._prints:
            held = self._server.peek(index) if self._server is not None else None
            if held is None and self.frame is not None and self.exact and self.frame.index == index:
                held = self.frame
            if held is None:
                return ""
            from poseviewer.media import frame_fingerprint

            if len(self._prints) > 4096:
                self._prints.clear()
            self._prints[index] = frame_fingerprint(held.pixels)
        return self._prints[index]
