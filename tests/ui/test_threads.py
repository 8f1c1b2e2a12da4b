"""Jobs and the engine on their threads; signals arrive on the window's thread."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import QObject, QThread

from poseviewer.core.errors import KnownError
from poseviewer.core.progress import Progress
from poseviewer.ui.threads import EngineThread, JobThread


class Ear(QObject):
    """Writes down what it hears, and on which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[object] = []
        self.threads: set[object] = set()

    def hear(self, value: object) -> None:
        """Take one value."""
        self.heard.append(value)
        self.threads.add(QThread.currentThread())


@pytest.fixture
def ear(qapp):
    return Ear()


@pytest.fixture
def engine(qapp):
    thread = EngineThread("cpu")
    yield thread
    thread.stop()


def counting(count: int, closed: list[str], pause_s: float = 0.005):
    try:
        for number in range(count):
            time.sleep(pause_s)
            yield Progress(number + 1, count)
        return "all of them"
    finally:
        closed.append("closed")


def test_a_job_tells_events_and_its_result_on_the_windows_thread(qtbot, ear):
    thread, ends = JobThread(), Ear()
    thread.job_event.connect(ear.hear)
    thread.result.connect(ends.hear)
    with qtbot.waitSignal(thread.finished, timeout=5000):
        thread.begin(counting(3, []))
    qtbot.waitUntil(lambda: bool(ends.heard), timeout=2000)
    assert [event.done for event in ear.heard] == [1, 2, 3]
    assert ends.heard == ["all of them"]
    assert ear.threads == ends.threads == {QThread.currentThread()}


def test_a_cancelled_job_is_closed_and_has_no_result(qtbot, ear):
    thread, closed = JobThread(), []
    thread.result.connect(ear.hear)
    thread.error.connect(ear.hear)
    thread.begin(counting(10_000, closed))
    qtbot.wait(40)
    with qtbot.waitSignal(thread.finished, timeout=5000):
        thread.cancel()
    assert closed == ["closed"]
    assert ear.heard == []


def test_an_error_of_a_job_arrives_as_it_is(qtbot, ear):
    def broken():
        yield Progress(1, 2)
        raise KnownError("a.mp4 ends before its index.")

    thread = JobThread()
    thread.error.connect(ear.hear)
    with qtbot.waitSignal(thread.finished, timeout=5000):
        thread.begin(broken())
    qtbot.waitUntil(lambda: bool(ear.heard), timeout=2000)
    assert str(ear.heard[0]) == "a.mp4 ends before its index."


def test_the_engine_runs_a_job_that_was_given_before_it_stood(qtbot, engine, ear):
    events = Ear()
    engine.job_event.connect(events.hear)
    engine.job_ended.connect(ear.hear)
    engine.submit(lambda _: counting(4, []))
    qtbot.waitUntil(lambda: bool(ear.heard), timeout=20_000)
    assert ear.heard == ["all of them"]
    assert [event.done for event in events.heard] == [1, 2, 3, 4]
    assert events.threads == {QThread.currentThread()}


def test_cancelling_closes_the_job_and_the_engine_goes_on(qtbot, engine, ear):
    closed: list[str] = []
    engine.job_ended.connect(ear.hear)
    engine.submit(lambda _: counting(10_000, closed))
    qtbot.wait(300)
    engine.cancel()
    qtbot.waitUntil(lambda: bool(ear.heard), timeout=20_000)
    assert ear.heard == [None]
    assert closed == ["closed"]
    engine.submit(lambda _: counting(2, closed))
    qtbot.waitUntil(lambda: len(ear.heard) == 2, timeout=20_000)
    assert ear.heard[1] == "all of them"


def test_stopping_while_a_job_runs_joins_the_thread(qtbot, engine):
    closed: list[str] = []
    engine.submit(lambda _: counting(10_000, closed))
    qtbot.waitUntil(engine.isRunning, timeout=20_000)
    qtbot.wait(200)
    engine.stop()
    assert not engine.isRunning()
    assert closed == ["closed"]


def test_a_job_that_fails_ends_with_its_exception(qtbot, engine, ear):
    def broken():
        yield Progress(1, 2)
        raise KnownError("The weights are gone.")

    engine.job_ended.connect(ear.hear)
    engine.submit(lambda _: broken())
    qtbot.waitUntil(lambda: bool(ear.heard), timeout=20_000)
    assert isinstance(ear.heard[0], KnownError)


def test_a_job_cancelled_before_it_began_does_nothing(qtbot, ear):
    thread, closed = JobThread(), []
    thread.job_event.connect(ear.hear)
    thread.result.connect(ear.hear)
    thread.cancel()
    with qtbot.waitSignal(thread.finished, timeout=5000):
        thread.begin(counting(3, closed))
    qtbot.wait(20)
    assert ear.heard == []
    assert closed == []
