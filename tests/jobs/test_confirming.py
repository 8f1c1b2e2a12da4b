"""Counting frames with progress, and stopping it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cocomade import finish
from fakepipeline import write_clip

from poseviewer.core.errors import MediaError
from poseviewer.core.progress import Progress
from poseviewer.jobs.confirming import confirm
from poseviewer.media import open_media


class Slow:
    """A media whose confirmation takes a second, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.info = SimpleNamespace(confirmed=False, kind="video")
        self.asked: list[bool] = []
        self.error = error

    def confirm(self, progress: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
        for done in range(1, 21):
            time.sleep(0.05)
            progress(done, 20)
            self.asked.append(cancelled())
            if self.asked[-1]:
                return
            if self.error and done == 3:
                raise self.error
        self.info = SimpleNamespace(confirmed=True, kind="video")


def test_progress_is_told_while_frames_are_counted() -> None:
    events: list[Any] = []
    slow = Slow()
    assert finish(confirm(slow), events).confirmed  # type: ignore[arg-type]
    assert 3 <= len(events) <= 12
    assert all(isinstance(event, Progress) and event.total == 20 for event in events)
    assert events[2].seconds_left > 0


def test_closing_stops_the_count_and_its_thread() -> None:
    slow = Slow()
    job = confirm(slow)  # type: ignore[arg-type]
    next(job)
    job.close()
    assert slow.asked[-1] is True
    assert not any(thread.name == "confirm" for thread in threading.enumerate())


def test_errors_come_out() -> None:
    with pytest.raises(MediaError, match="not one frame"):
        finish(confirm(Slow(MediaError("There is not one frame."))))  # type: ignore[arg-type]


def test_a_real_clip_is_confirmed_once(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    with open_media(clip) as media:
        assert finish(confirm(media)).frame_count == 12
    with open_media(clip) as media:
        events: list[Any] = []
        assert finish(confirm(media), events).confirmed
        assert events == []
