"""Events of long work: what a job's generator yields."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        done, total: in ``unit``; total 0 means unknown.
        unit: plural word for what is counted, e.g. "frames".
        seconds: since the job began.
        seconds_left: estimate, or None while unknown.
        text: what is being done now, or "".
    """

    done: int
    total: int
    unit: str = "frames"
    seconds: float = 0.0
    seconds_left: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class FrameDone:
    """One frame of a run is finished and stored."""

    media: int
    frame: int
    people: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth telling that does not stop the job."""

    text: str
    level: Literal["info", "warning", "error"] = "info"
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve that a training draws.

    Attributes:
        curve: which, e.g. "loss" or "held-out PCK".
        at: part of the training, 0..1.
        value: there.
    """

    curve: str
    at: float
    value: float


JobEvent = Progress | FrameDone | Note | Point


class ProgressMeter:
    """Makes at most ten :class:`Progress` a second, with the time left from the rate so far.

    What was not said in a quiet second may be said in a burst: frames come in batches, and the last of a batch counts
    as much as its first.

    Args:
        total: how many units there are, 0 if unknown.
        unit: plural word.
        clock: seconds, monotonic; given in tests.
    """

    PER_SECOND = 10

    def __init__(self, total: int, unit: str = "frames", clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._last = self._start
        self._allowance = 1.0
        self.total = total
        self.unit = unit
        self.done = 0

    def step(self, count: int = 1, text: str = "") -> Progress | None:
        """Count ``count`` units; return a Progress when one is due (always at the end), else None."""
        self.done += count
        now = self._clock()
        self._allowance = min(self._allowance + (now - self._last) * self.PER_SECOND, self.PER_SECOND)
        self._last = now
        # A hair less than one, as the sum of ten tenths is.
        if self._allowance < 0.999 and self.done != self.total:
            return None
        self._allowance -= 1
        return self.snapshot(text)

    def snapshot(self, text: str = "") -> Progress:
        """Return the Progress of this moment."""
        seconds = self._clock() - self._start
        left = None
        if self.total and self.done:
            left = seconds / self.done * max(self.total - self.done, 0)
        return Progress(self.done, self.total, self.unit, seconds, left, text)


def time_left_words(seconds: float) -> str:
    """Return seconds as the window words them: "2 min 10 s", "45 s", "1 h 5 min"."""
    whole = max(round(seconds), 0)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {secs} s"
    return f"{secs} s"
