"""From a job's events to a progress bar: words and bar on stderr, nothing on stdout."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Generator
from typing import TextIO, TypeVar

from poseviewer.core.progress import FrameDone, JobEvent, Note, Point, Progress, time_left_words

T = TypeVar("T")
BAR_CELLS = 24
PLAIN_INTERVAL_S = 5.0
"""Where stderr is a file, one line this often is enough."""


def drive(job: Generator[JobEvent, None, T], title: str = "", stream: TextIO | None = None) -> T:
    """Run a job to its end and return its result; Ctrl-C closes it, so that what it finished is kept.

    Args:
        job: any job.
        title: said in front of the bar.
        stream: stderr by default.

    Raises:
        whatever the job raises, and KeyboardInterrupt.
    """
    screen = Screen(stream or sys.stderr, title)
    try:
        while True:
            screen.show(next(job))
    except StopIteration as end:
        result: T = end.value
        return result
    except BaseException:
        job.close()
        raise
    finally:
        screen.close()


def drive_lines(job: Generator[JobEvent, None, T], line: Callable[[JobEvent], str]) -> T:
    """Run a job to its end with one line on stdout for each event, for a program that reads them."""
    try:
        while True:
            print(line(next(job)), flush=True)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        job.close()


class Screen:
    """Shows events: one line that is redrawn on a terminal, a line now and then elsewhere."""

    def __init__(self, stream: TextIO, title: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._title = f"{title} " if title else ""
        self._live = stream.isatty()
        self._clock = clock
        self._printed_at = clock()
        self._width = 0

    def show(self, event: JobEvent) -> None:
        """Show one event."""
        if isinstance(event, Note):
            self._wipe()
            prefix = "" if event.level == "info" else f"{event.level}: "
            where = f"frame {event.frame}: " if event.frame is not None else ""
            self._stream.write(f"{prefix}{where}{event.text}\n")
            self._stream.flush()
        elif isinstance(event, Progress):
            self._progress(event)
        elif not isinstance(event, FrameDone | Point):
            raise TypeError(f"{type(event).__name__} is no job event")

    def close(self) -> None:
        """End the line."""
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

    def _progress(self, event: Progress) -> None:
        now = self._clock()
        if self._live:
            line = self._title + progress_line(event)
            line = line[: max(shutil.get_terminal_size().columns - 1, 20)]
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif now - self._printed_at >= PLAIN_INTERVAL_S:
            self._stream.write(self._title + progress_line(event, bar=False) + "\n")
            self._printed_at = now
        self._stream.flush()

    def _wipe(self) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0


def progress_line(event: Progress, *, bar: bool = True) -> str:
    """Return one line: bar, count, rate and time left."""
    parts: list[str] = []
    if bar and event.total:
        full = min(round(BAR_CELLS * event.done / event.total), BAR_CELLS)
        parts.append("[" + "#" * full + "-" * (BAR_CELLS - full) + "]")
    parts.append(f"{event.done}/{event.total} {event.unit}" if event.total else f"{event.done} {event.unit}")
    if event.seconds > 0.5 and event.done:
        parts.append(f"{event.done / event.seconds:.1f}/s")
    if event.seconds_left is not None and event.done < event.total:
        parts.append(f"{time_left_words(event.seconds_left)} left")
    if event.text:
        parts.append(event.text)
    return "  ".join(parts)
