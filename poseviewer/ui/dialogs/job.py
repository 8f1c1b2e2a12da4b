"""What dialogs share that do one long work: it runs on a thread of its own, shows progress, and can be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QProgressBar, QPushButton, QWidget

from poseviewer.core.progress import JobEvent, Note, Progress
from poseviewer.ui.dialogs.base import Dialog
from poseviewer.ui.messages import Message, of_error
from poseviewer.ui.panels.widgets import Label
from poseviewer.ui.text import tr, tr_sentence

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk
    from poseviewer.ui.threads import JobThread


class JobDialog(Dialog):
    """A dialog that drives jobs.

    Attributes:
        desk: of the window.
        bar: progress of the work, hidden while there is none.
        problem: one sentence about what stands in the way, hidden while there is nothing.
    """

    def __init__(self, title: str, width: int, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(title, width, parent)
        self.desk = desk
        self._work: JobThread | None = None
        self._jobs: list[JobThread] = []
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.hide()
        self.problem = Label("", token="err", wrap=True)
        self.problem.hide()

    @property
    def working(self) -> bool:
        """Whether the work is going on."""
        return self._work is not None

    def drive(self, job: Iterator[JobEvent], done: Callable[[Any], object]) -> None:
        """Run ``job`` with the progress bar; call ``done`` with its result. Its error is shown here, not outside."""
        self.say("")
        self.bar.setRange(0, 0)
        self.bar.show()
        thread = self._work = self.run_beside(job, done, tell_errors=False)
        thread.job_event.connect(self._progress)
        thread.error.connect(self._stopped)
        self.enable()

    def run_beside(self, job: Iterator[JobEvent], done: Callable[[Any], object], *, tell_errors: bool) -> JobThread:
        """Run ``job`` without the progress bar and return its thread; closing the dialog cancels it."""
        thread = self.desk.start_job(job, tell_errors=tell_errors)
        self._jobs.append(thread)
        thread.result.connect(done)
        # A method, not a lambda: Qt calls it no more once the dialog is gone, and its last job often outlives it.
        thread.finished.connect(self._ended)
        return thread

    def stop(self, thread: JobThread | None) -> None:
        """Cancel a job that is still going; one that has ended is left alone, its thread may be gone."""
        if thread is not None and thread in self._jobs:
            thread.cancel()

    def enable(self) -> None:
        """Enable what can be done now; called whenever the work begins or ends."""

    def say(self, problem: str) -> None:
        """Show one sentence about what stands in the way, or none."""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))

    def _ended(self) -> None:
        """Let go of the thread that ended, before the desk destroys it."""
        ended = self.sender()
        self._jobs = [thread for thread in self._jobs if thread is not ended]
        if self._work is ended:
            self._work = None
            self.enable()

    def _progress(self, event: object) -> None:
        if isinstance(event, Progress):
            self.bar.setRange(0, max(event.total, 1))
            self.bar.setValue(event.done)
        elif isinstance(event, Note) and event.level == "warning":
            self.desk.tell(Message(tr_sentence(event.text), level="warning", key=event.text))

    def _stopped(self, error: BaseException) -> None:
        self.bar.hide()
        message = of_error(error)
        self.say(f"{message.sentence} {message.remedy}".strip())

    def reject(self) -> None:
        """Cancel what is running, which leaves nothing half done, and close."""
        for thread in list(self._jobs):
            thread.cancel()
        super().reject()


def with_browse(field: QLineEdit, browse: Callable[[], object]) -> QWidget:
    """Return a field with a button beside it that lets a person choose in the file system."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    button = QPushButton(tr("Browse…"))
    button.clicked.connect(browse)
    row.addWidget(field, 1)
    row.addWidget(button)
    return holder
