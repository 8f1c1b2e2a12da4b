"""The frame server: one decode thread, the newest request wins, and a cache that runs ahead of the cursor."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Frame
from poseviewer.media.base import Media

log = logging.getLogger("poseviewer.media")

AHEAD = 90
"""Frames that are decoded ahead at most."""
PATIENCE_S = 0.25
"""How long a request is worked on although a newer one waits: shorter, and a slow video shows nothing in a drag."""
AROUND = 6
"""Frames before and after a cursor that jumped."""
CHUNK = 24
"""Frames that are planned at a time."""


class FrameCache:
    """Frames by number, limited in bytes; the farthest from the cursor goes first, behind it before ahead of it.

    Not thread-safe by itself.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.nbytes = 0
        self._frames: dict[int, Frame] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._frames

    def __len__(self) -> int:
        return len(self._frames)

    def get(self, index: int) -> Frame | None:
        """Return frame ``index`` if it is held."""
        return self._frames.get(index)

    def put(self, frame: Frame, cursor: int, direction: int) -> bool:
        """Hold ``frame``, dropping others to stay within the budget; return whether it stayed."""
        self.drop(frame.index)
        self._frames[frame.index] = frame
        self.nbytes += frame.pixels.nbytes
        while self.nbytes > self.budget_bytes and len(self._frames) > 1:
            worst = max(self._frames, key=lambda index: _remoteness(index, cursor, direction))
            self.drop(worst)
        return frame.index in self._frames

    def drop(self, index: int) -> None:
        """Forget frame ``index`` if it is held."""
        held = self._frames.pop(index, None)
        if held is not None:
            self.nbytes -= held.pixels.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self.nbytes = 0

    def nearest(self, index: int) -> Frame | None:
        """Return the held frame nearest to ``index``."""
        if not self._frames:
            return None
        return self._frames[min(self._frames, key=lambda held: abs(held - index))]

    def spans(self) -> list[tuple[int, int]]:
        """Return the held numbers as inclusive (first, last) spans, ascending."""
        spans: list[tuple[int, int]] = []
        for index in sorted(self._frames):
            if spans and index == spans[-1][1] + 1:
                spans[-1] = (spans[-1][0], index)
            else:
                spans.append((index, index))
        return spans


def _remoteness(index: int, cursor: int, direction: int) -> float:
    distance = index - cursor
    behind = direction != 0 and distance * direction < 0
    return abs(distance) * (3.0 if behind else 1.0)


class FrameServer:
    """Serves the frames of one media to a window without ever decoding on the caller's thread.

    Frames are handed over on the decode thread: the requested one, or, while requests come faster than a slow video
    can be decoded, one on the way to it; :attr:`Frame.index` tells. A request that is overtaken before its turn is
    never decoded. After the frame table was confirmed, ask again for what is on the screen.
    """

    def __init__(
        self,
        media: Media,
        *,
        budget_bytes: int = 512 << 20,
        on_frame: Callable[[Frame], None],
        on_error: Callable[[int, MediaError], None] | None = None,
    ) -> None:
        """Start the decode thread on its own decoder of ``media``.

        Args:
            media: stays the caller's; the server uses :meth:`Media.reopen`.
            budget_bytes: what the cached pixels may take.
            on_frame: called on the decode thread with each requested frame.
            on_error: called on the decode thread with a requested number and why it cannot be shown.
        """
        self._media = media.reopen()
        self._on_frame = on_frame
        self._on_error = on_error
        self._cache = FrameCache(budget_bytes)
        self._version = self._media.table_version
        self._turn = threading.Condition()
        self._wanted: int | None = None
        self._cursor = 0
        self._direction = 0
        self.decoded = 0
        self._ahead: deque[int] = deque()
        self._failed: set[int] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="poseviewer-frames", daemon=True)
        self._thread.start()

    def request(self, index: int, *, direction: int = 0) -> None:
        """Ask for frame ``index``; an earlier request that was not begun is forgotten.

        Args:
            index: 0-based.
            direction: +1 or -1 while playing or stepping that way; 0 lets small steps speak for themselves.
        """
        with self._turn:
            step = index - self._cursor
            if not direction and 0 < abs(step) <= AROUND:
                direction = 1 if step > 0 else -1
            self._direction = direction
            self._cursor = index
            self._wanted = index
            self._turn.notify()

    def peek(self, index: int) -> Frame | None:
        """Return frame ``index`` if it is cached; never blocks for decoding."""
        with self._turn:
            self._refresh()
            return self._cache.get(index)

    def nearest(self, index: int) -> Frame | None:
        """Return the cached frame nearest to ``index``; never blocks for decoding."""
        with self._turn:
            self._refresh()
            return self._cache.nearest(index)

    def cached_spans(self) -> list[tuple[int, int]]:
        """Return the cached frame numbers as inclusive spans, ascending."""
        with self._turn:
            return self._cache.spans()

    @property
    def cached_bytes(self) -> int:
        """What the cached pixels take now."""
        with self._turn:
            return self._cache.nbytes

    def close(self) -> None:
        """Stop the decode thread and forget all frames; no callback comes after this returns."""
        with self._turn:
            self._closed = True
            self._turn.notify()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with self._turn:
            self._cache.clear()

    # --- decode thread ---

    def _serve(self) -> None:
        try:
            while True:
                with self._turn:
                    self._refresh()
                    while not self._closed and self._wanted is None and not self._plan():
                        self._turn.wait()
                        self._refresh()
                    if self._closed:
                        return
                    asked = self._wanted is not None
                    index = self._wanted if self._wanted is not None else self._ahead.popleft()
                    self._wanted = None
                    if asked:
                        self._ahead.clear()
                    frame = self._cache.get(index)
                if frame is None:
                    frame = self._decode(index, asked=asked)
                if asked and frame is not None:
                    self._hand_over(frame)
        finally:
            self._media.close()

    def _decode(self, index: int, *, asked: bool) -> Frame | None:
        """Decode frame ``index`` into the cache; None if it cannot be or was overtaken."""
        version = self._media.table_version
        overtaken = self._patience(asked=asked)
        try:
            frame = self._media.frame_unless(index, overtaken)
            if frame is None:
                # Something to look at while the cursor runs ahead of the decoder.
                frame = self._media.on_the_way() if asked else None
            if frame is None or self._media.table_version != version:
                # The table was confirmed meanwhile and numbers have new meanings: ask again.
                self._again(index, asked=asked and frame is not None)
                return None
        except MediaError as error:
            self._failed.add(index)
            if asked:
                self._tell(index, error)
            return None
        except Exception:
            log.exception("decoding frame %d", index)
            self._failed.add(index)
            if asked:
                path = self._media.info.path
                self._tell(index, MediaError(f"Frame {index} of {path} cannot be decoded.", file=path))
            return None
        with self._turn:
            self._refresh()
            self.decoded += 1
            if not self._cache.put(frame, self._cursor, self._direction):
                self._ahead.clear()
        return frame

    def _patience(self, *, asked: bool) -> Callable[[], bool]:
        """Return what says when to give a frame up: work ahead at any request, a request only if it takes long."""
        until = time.monotonic() + (PATIENCE_S if asked else 0.0)

        def overtaken() -> bool:
            return self._closed or (self._wanted is not None and time.monotonic() >= until)

        return overtaken

    def _again(self, index: int, *, asked: bool) -> None:
        with self._turn:
            if asked and self._wanted is None:
                self._wanted = index

    def _hand_over(self, frame: Frame) -> None:
        if self._closed:
            return
        try:
            self._on_frame(frame)
        except Exception:
            log.exception("a listener raised on frame %d", frame.index)

    def _tell(self, index: int, error: MediaError) -> None:
        if self._closed or self._on_error is None:
            return
        try:
            self._on_error(index, error)
        except Exception:
            log.exception("a listener raised on the error of frame %d", index)

    def _refresh(self) -> None:
        """Forget frames whose numbers may have come to mean other pictures."""
        version = self._media.table_version
        if version != self._version:
            self._version = version
            self._cache.clear()
            self._failed.clear()
            self._ahead.clear()

    def _plan(self) -> bool:
        """Fill the queue of frames to decode ahead; return whether there is one."""
        while self._ahead and self._ahead[0] in self._cache:
            self._ahead.popleft()
        if not self._ahead:
            self._ahead.extend(self._next_ahead())
        return bool(self._ahead)

    def _next_ahead(self) -> list[int]:
        """Return the next frames worth decoding, in decoding order; empty if the cache is as full as it should be."""
        if not len(self._cache):
            return []
        room = self._cache.budget_bytes * len(self._cache) // max(self._cache.nbytes, 1)
        cursor, last = self._cursor, self._media.info.frame_count - 1
        if self._direction:
            reach = min(AHEAD, room * 2 // 3)
            first, end = (cursor + 1, cursor + reach) if self._direction > 0 else (cursor - reach, cursor - 1)
        else:
            reach = min(AROUND, room // 3)
            first, end = cursor - reach, cursor + reach
        wanted = range(max(first, 0), min(end, last) + 1)
        # Backward, one frame after the other: the first of a GOP to be asked for decodes it all into the decoder's
        # ring, and the others only come out of it.
        order = reversed(wanted) if self._direction < 0 else wanted
        missing = [index for index in order if index not in self._cache and index not in self._failed]
        return missing[:CHUNK]
