"""The desk's background jobs: their threads are held until they are finished, and waited for where that matters."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QObject, Qt, QTimer

from poseviewer.core.progress import JobEvent
from poseviewer.ui.threads import JobThread


class Jobs(QObject):
    """Holds the threads of jobs. Its length is how many are not finished."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads: list[JobThread] = []
        self._writing: dict[JobThread, Iterator[JobEvent]] = {}

    def __len__(self) -> int:
        return len(self._threads)

    def start(self, job: Iterator[JobEvent], *, writes: bool = False) -> JobThread:
        """Run a job on a thread of its own, begun from the event loop: the caller's connections stand before a quick
        job's first signal. :meth:`finish_writing` waits for one that ``writes``."""
        thread = JobThread(self)
        if writes:
            self._writing[thread] = job
        self.keep(thread)
        QTimer.singleShot(0, thread, lambda: thread.begin(job) if thread in self._threads else None)
        return thread

    def keep(self, thread: JobThread) -> None:
        """Hold ``thread`` until it is finished."""
        self._threads.append(thread)
        thread.finished.connect(lambda: self._forget(thread), Qt.ConnectionType.QueuedConnection)

    def _forget(self, thread: JobThread) -> None:
        self._writing.pop(thread, None)
        if thread in self._threads:
            self._threads.remove(thread)
            thread.deleteLater()

    def finish_writing(self) -> None:
        """Wait for the jobs that write, also for those not begun yet."""
        for thread, job in self._writing.items():
            thread.begin(job)
            thread.wait()
        self._writing.clear()

    def stop(self) -> None:
        """Cancel every job and wait for its thread."""
        for thread in list(self._threads):
            thread.cancel()
            thread.wait()
        self._threads.clear()
