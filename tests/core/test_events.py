"""Events, changes and progress."""

from __future__ import annotations

import gc

from poseviewer.core.changes import Changes
from poseviewer.core.events import Event
from poseviewer.core.progress import ProgressMeter, time_left_words


class Listener:
    def __init__(self) -> None:
        self.heard: list[int] = []

    def hear(self, value: int) -> None:
        self.heard.append(value)


def test_a_closed_view_needs_no_goodbye() -> None:
    event: Event[int] = Event()
    alive, gone = Listener(), Listener()
    event.connect(alive.hear)
    event.connect(gone.hear)
    heard_by_gone = gone.heard
    del gone
    gc.collect()
    event.emit(3)
    assert alive.heard == [3]
    assert heard_by_gone == []


def test_a_listener_that_raises_does_not_silence_the_others() -> None:
    event: Event[int] = Event()
    listener = Listener()

    def broken(value: int) -> None:
        raise RuntimeError("no")

    event.connect(broken)
    event.connect(listener.hear)
    event.emit(1)
    event.disconnect(broken)
    event.disconnect(listener.hear)
    event.emit(2)
    assert listener.heard == [1]


def test_changes_say_what_they_touch() -> None:
    change = Changes(frozenset({"corrections"}), revision=4, origin="view", media=1, frames=frozenset({7}))
    assert change.touches("corrections", media=1, frame=7)
    assert not change.touches("corrections", media=1, frame=8)
    assert not change.touches("corrections", media=2)
    assert not change.touches("predictions")
    anywhere = Changes(frozenset({"corrections"}), revision=5, origin="job")
    assert anywhere.touches("corrections", media=9, frame=123)


def test_a_meter_speaks_at_most_ten_times_a_second_and_at_the_end() -> None:
    now = [0.0]
    meter = ProgressMeter(100, clock=lambda: now[0])
    said = []
    for _ in range(100):
        now[0] += 0.01
        said.append(meter.step())
    spoken = [progress for progress in said if progress is not None]
    assert 9 <= len(spoken) <= 12
    assert spoken[-1].done == 100
    halfway = next(progress for progress in spoken if progress.done >= 50)
    assert halfway.seconds_left is not None
    assert abs(halfway.seconds_left - 0.01 * (100 - halfway.done)) < 0.02


def test_a_batch_that_comes_at_once_is_counted_to_its_last_frame() -> None:
    now = [0.0]
    meter = ProgressMeter(100, clock=lambda: now[0])
    now[0] = 2.0
    said = [meter.step() for _ in range(8)]
    assert [progress.done for progress in said if progress is not None] == list(range(1, 9))
    now[0] = 4.0
    burst = [progress for progress in (meter.step() for _ in range(90)) if progress is not None]
    assert len(burst) == ProgressMeter.PER_SECOND


def test_time_left_in_words() -> None:
    assert [time_left_words(s) for s in (4.4, 130, 3900)] == ["4 s", "2 min 10 s", "1 h 5 min"]
