"""Which frames the lanes show, and where: frames to pixels and back. No Qt in here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log

MAX_PIXELS = 24.0
"""Widest a frame may become, in logical pixels."""


@dataclass(frozen=True, slots=True)
class View:
    """A window on the frame axis. Frame n occupies [n, n + 1) of the axis.

    Attributes:
        count: frames of the media, at least 1.
        first: left end of the window, in frames (may be a fraction).
        span: width of the window in frames.
        left, width: where the window is drawn, in logical pixels.
    """

    count: int
    first: float
    span: float
    left: float
    width: float

    @classmethod
    def whole(cls, count: int, left: float, width: float) -> View:
        """Return the window that shows all of ``count`` frames."""
        return cls(max(count, 1), 0.0, 0.0, left, max(width, 1.0)).limited(span=float(max(count, 1)))

    @property
    def pixels(self) -> float:
        """Logical pixels per frame."""
        return self.width / self.span

    @property
    def last(self) -> float:
        """Right end of the window, in frames."""
        return self.first + self.span

    @property
    def smallest(self) -> float:
        """The narrowest span, in frames."""
        return min(float(self.count), self.width / MAX_PIXELS)

    @property
    def frames(self) -> tuple[int, int]:
        """First and last frame that are at least partly visible."""
        return max(int(self.first), 0), min(int(-(-self.last // 1)) - 1, self.count - 1)

    def x(self, frame: float) -> float:
        """Return the pixel of the left edge of ``frame``."""
        return self.left + (frame - self.first) * self.pixels

    def centre(self, frame: int) -> float:
        """Return the pixel of the middle of ``frame``."""
        return self.x(frame + 0.5)

    def frame_at(self, x: float) -> int:
        """Return the frame at pixel ``x``, clipped to the media."""
        return min(max(int((x - self.left) / self.pixels + self.first), 0), self.count - 1)

    def limited(self, *, first: float | None = None, span: float | None = None) -> View:
        """Return the window with another place or span, kept inside the media."""
        wide = min(max(span if span is not None else self.span, self.smallest), float(self.count))
        start = first if first is not None else self.first
        return replace(self, first=min(max(start, 0.0), self.count - wide), span=wide)

    def resized(self, count: int, left: float, width: float) -> View:
        """Return the window for another size of the media or of the widget; a whole view stays whole."""
        if self.span >= self.count or count != self.count:
            return View.whole(count, left, width)
        return replace(self, left=left, width=max(width, 1.0)).limited()

    def zoomed(self, factor: float, x: float) -> View:
        """Return the window zoomed in by ``factor``; the frame beneath pixel ``x`` stays there."""
        share = min(max((x - self.left) / self.width, 0.0), 1.0)
        span = min(max(self.span / factor, self.smallest), float(self.count))
        return self.limited(first=self.first + (self.span - span) * share, span=span)

    def panned(self, frames: float) -> View:
        """Return the window moved by ``frames``."""
        return self.limited(first=self.first + frames)

    def showing(self, frame: int) -> View:
        """Return the window moved by a page, if it must be, so that ``frame`` is visible.

        A page at a time keeps the painted lanes valid while a video plays.
        """
        if self.first <= frame and frame + 1 <= self.last:
            return self
        share = 0.1 if frame >= self.first else 0.9
        return self.limited(first=frame - max(min(share * self.span, self.span - 1), 0.0))

    @property
    def zoom(self) -> float:
        """Place on the zoom slider: 0 shows the whole, 1 is the closest."""
        range_ = log(self.count / self.smallest) if self.count > self.smallest else 0.0
        return log(self.count / self.span) / range_ if range_ > 1e-9 else 0.0

    def with_zoom(self, zoom: float, frame: int) -> View:
        """Return the window at a place of the zoom slider, around ``frame``."""
        range_ = log(self.count / self.smallest) if self.count > self.smallest else 0.0
        span = self.count / exp(min(max(zoom, 0.0), 1.0) * range_)
        share = (frame + 0.5 - self.first) / self.span
        share = share if 0 <= share <= 1 else 0.5
        return self.limited(first=frame + 0.5 - share * span, span=span)


def tick_step(pixels_per_frame: float, *, room: float = 64.0) -> int:
    """Return how many frames lie between two numbers of the ruler: 1, 2 or 5 times a power of ten."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * pixels_per_frame >= room:
                return step * factor
        step *= 10


def timecode(seconds: float) -> str:
    """Return ``00:33.867``; from an hour on ``1:00:33.867``."""
    thousandths = round(max(seconds, 0.0) * 1000)
    whole, part = divmod(thousandths, 1000)
    minutes, secs = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:" if hours else ""
    return f"{head}{minutes:02d}:{secs:02d}.{part:03d}"
