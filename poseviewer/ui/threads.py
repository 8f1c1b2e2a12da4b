"""The window's threads: one class turns a job into signals, one carries the engine, one bridge brings frames home.

Nothing else in the window starts threads. Every signal here is emitted on a worker and received on the window's
thread, because the receivers live there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QMutex, QMutexLocker, QObject, QThread, Signal, SignalInstance

from poseviewer.core.errors import KnownError, MissingPartError
from poseviewer.core.progress import JobEvent
from poseviewer.core.values import Frame

if TYPE_CHECKING:
    from poseviewer.pipeline.engine import Engine, Request

log = logging.getLogger("poseviewer.threads")

JobMaker = Callable[["Engine"], Iterator[JobEvent]]


class JobThread(QThread):
    """Runs one job generator and turns it into signals.

    Signals:
        job_event: each JobEvent.
        result: the generator's return value, once.
        error: the exception that ended it, once.

    A cancelled job ends with neither.
    """

    job_event = Signal(object)
    result = Signal(object)
    error = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._job: Iterator[JobEvent] | None = None
        self._cancelled = False

    def begin(self, job: Iterator[JobEvent]) -> None:
        """Start running ``job`` on the thread, unless one was begun already."""
        if self._job is None:
            self._job = job
            self.start()

    def cancel(self) -> None:
        """Close the generator after its present step, also where it has not begun.

        (Qt's own request is forgotten by a thread that does not run yet.)
        """
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called; jobs with long steps ask now and then."""
        return self._cancelled

    def run(self) -> None:
        """Run the generator to its end (on the thread)."""
        job = self._job or iter(())
        try:
            while not self._cancelled:
                try:
                    self.job_event.emit(next(job))
                except StopIteration as end:
                    if not self._cancelled:
                        self.result.emit(end.value)
                    return
            close = getattr(job, "close", None)
            if close is not None:
                close()
        except Exception as error:
            if not isinstance(error, KnownError):
                log.exception("a job ended with an unexpected error")
            self.error.emit(error)


class EngineThread(QThread):
    """Carries the engine: device and networks are made, used and dropped on this thread only.

    Signals:
        ready: the device name, once networks are loaded.
        answer: pipeline.engine.Answer.
        job_event: JobEvent of the running job.
        job_ended: the job's result, an exception, or None if it was cancelled.
        error: the exception that kept the engine from starting.
    """

    ready = Signal(str)
    answer = Signal(object)
    job_event = Signal(object)
    job_ended = Signal(object)
    error = Signal(object)

    def __init__(self, device: str = "auto", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._device = device
        self._lock = QMutex()
        self._engine: Engine | None = None
        self._stopped = False
        self._request: Any = None
        self._told = ""
        self._jobs: list[JobMaker] = []

    def ask(self, request: Request) -> None:
        """Put ``request`` into the interactive slot; the newest wins. Starts the thread if need be."""
        with QMutexLocker(self._lock):
            if self._engine is None:
                self._request = request
            else:
                self._engine.ask(request)
        self._wake()

    def submit(self, make: JobMaker) -> None:
        """Queue the job that ``make(engine)`` returns. Starts the thread if need be."""
        with QMutexLocker(self._lock):
            if self._engine is None:
                self._jobs.append(make)
            else:
                self._engine.submit(make(self._engine))
        self._wake()

    def cancel(self) -> None:
        """End the running job after its present step, keeping what it finished."""
        with QMutexLocker(self._lock):
            dropped = bool(self._jobs)
            self._jobs.clear()
            if self._engine is not None:
                self._engine.cancel()
        if dropped:
            self.job_ended.emit(None)

    def stop(self) -> None:
        """Stop serving and wait for the thread to end."""
        with QMutexLocker(self._lock):
            self._stopped = True
            if self._engine is not None:
                self._engine.cancel()
                self._engine.stop()
        if self.isRunning():
            self.wait()

    def _wake(self) -> None:
        if not self.isRunning() and not self._stopped:
            self.start()

    def run(self) -> None:
        """Load the engine and serve until stopped (on the thread)."""
        try:
            engine = self._load()
            if engine is not None:
                engine.serve()
        except Exception as error:
            log.exception("the engine ended")
            self.error.emit(error)
        finally:
            with QMutexLocker(self._lock):
                self._engine = None

    def _load(self) -> Engine | None:
        try:
            from poseviewer.pipeline.engine import Engine
        except ImportError as error:
            raise MissingPartError(
                f"A part of the pipeline is missing: {error}.", remedy="Install PoseViewer again."
            ) from error
        engine = Engine(self._device)
        engine.on_answer = partial(self._tell, engine, self.answer)
        engine.on_event = partial(self._tell, engine, self.job_event)
        engine.on_job_end = partial(self._tell, engine, self.job_ended)
        with QMutexLocker(self._lock):
            if self._stopped:
                return None
            self._engine = engine
            for make in self._jobs:
                engine.submit(make(engine))
            self._jobs.clear()
            if self._request is not None:
                engine.ask(self._request)
                self._request = None
        return engine

    def _tell(self, engine: Engine, signal: SignalInstance, value: object) -> None:
        """Emit ``signal``; the device is known once the first networks are loaded."""
        if engine.device_name != self._told:
            self._told = engine.device_name
            self.ready.emit(self._told)
        signal.emit(value)


class FrameBridge(QObject):
    """Brings frames from the decode thread to the window's thread."""

    arrived = Signal(object)
    broken = Signal(object)

    def deliver(self, frame: Frame) -> None:
        """Announce ``frame``; called on the decode thread."""
        self.arrived.emit(frame)

    def deliver_error(self, index: int, error: KnownError) -> None:
        """Announce why frame ``index`` cannot be shown; called on the decode thread."""
        self.broken.emit(error)
