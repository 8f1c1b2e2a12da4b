"""The progress bar: on a terminal one line redrawn, elsewhere a line now and then, never on stdout."""

from __future__ import annotations

import io
from collections.abc import Generator
from typing import Any

import pytest

from poseviewer.cli.progress import Screen, drive, progress_line
from poseviewer.core.progress import FrameDone, Note, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steps() -> Generator[Any, None, str]:
    yield Note("Begin.")
    for done in range(1, 4):
        yield FrameDone(1, done, 2)
        yield Progress(done, 3, "frames", 2.0 * done, 2.0 * (3 - done))
    yield Note("A smaller batch.", "warning", 7)
    return "result"


def test_a_terminal_gets_one_line_redrawn() -> None:
    screen = Terminal()
    assert drive(steps(), "clip", screen) == "result"
    text = screen.getvalue()
    assert text.count("\r") >= 3
    assert "[################--------]  2/3 frames  0.5/s  2 s left" in text
    assert "warning: frame 7: A smaller batch.\n" in text
    assert "clip [" in text


def test_a_file_gets_few_lines() -> None:
    stream = io.StringIO()
    now = [0.0]
    screen = Screen(stream, clock=lambda: now[0])
    for done in range(1, 101):
        now[0] += 0.5
        screen.show(Progress(done, 100, "frames", now[0], 50 - now[0]))
    assert 8 <= stream.getvalue().count("\n") <= 10
    assert "\r" not in stream.getvalue()


def test_stopping_closes_the_job() -> None:
    closed: list[bool] = []

    def job() -> Generator[Any, None, None]:
        try:
            yield Progress(1, 2)
            yield Progress(2, 2)
        finally:
            closed.append(True)

    class Stop(io.StringIO):
        def write(self, text: str) -> int:
            raise KeyboardInterrupt

        def isatty(self) -> bool:
            return True

    with pytest.raises(KeyboardInterrupt):
        drive(job(), stream=Stop())
    assert closed == [True]


def test_unknown_totals_and_long_times() -> None:
    assert progress_line(Progress(5, 0, "packets")) == "5 packets"
    assert progress_line(Progress(1, 100, "frames", 60.0, 5940.0), bar=False) == "1/100 frames  0.0/s  1 h 39 min left"


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(TypeError):
        Screen(io.StringIO()).show("text")  # type: ignore[arg-type]
