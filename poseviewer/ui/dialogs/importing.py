"""The import dialog: a COCO file and the pictures it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QProgressBar, QPushButton, QWidget

from poseviewer.core.progress import Progress
from poseviewer.ui.dialogs.base import Dialog, Fields
from poseviewer.ui.messages import Message, of_error
from poseviewer.ui.panels.widgets import Label
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk
    from poseviewer.ui.threads import JobThread


class ImportDialog(Dialog):
    """Takes annotations (as corrections) or a results list (as predictions of a run) into the open project."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(tr("Import"), 560, parent)
        self.desk = desk
        self._job: JobThread | None = None
        self.file, self.pictures = QLineEdit(), QLineEdit(self._usual_pictures())
        fields = Fields(96)
        fields.add(tr("COCO file"), _with_button(self.file, self._pick_file))
        fields.add(tr("Pictures"), _with_button(self.pictures, self._pick_pictures))
        self.file.setAccessibleName(tr("COCO file"))
        self.pictures.setAccessibleName(tr("Pictures"))
        self.body.addLayout(fields)
        words = tr("Annotations become corrections, a results list becomes the predictions of a run.")
        self.body.addWidget(Label(words, token="t2", wrap=True))
        self.problem = Label("", token="err", wrap=True)
        self.problem.hide()
        self.body.addWidget(self.problem)
        self.body.addStretch(1)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.hide()
        self.body.addWidget(self.bar)
        self.add_button(tr("Cancel")).clicked.connect(self.reject)
        self.start = self.add_button(tr("Import"), primary=True)
        self.start.clicked.connect(self._import)
        for field in (self.file, self.pictures):
            field.textChanged.connect(self._enable)
        self._enable()

    def _usual_pictures(self) -> str:
        return self.desk.info.path if self.desk.info is not None else ""

    def _enable(self) -> None:
        ready = bool(self.file.text().strip() and self.pictures.text().strip()) and self._job is None
        self.start.setEnabled(ready and self.desk.project is not None)

    def _pick_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("COCO file"), self.file.text(), "JSON (*.json)")
        if path:
            self.file.setText(path)

    def _pick_pictures(self) -> None:
        path = QFileDialog.getExistingDirectory(self, tr("Pictures"), str(Path(self.pictures.text()).parent))
        if path:
            self.pictures.setText(path)

    def _import(self) -> None:
        if self.desk.project is None:
            return
        from poseviewer.jobs.importing import import_file

        self.problem.hide()
        self.bar.setRange(0, 0)
        self.bar.show()
        job = import_file(self.file.text().strip(), self.pictures.text().strip(), self.desk.project)
        thread = self._job = self.desk.start_job(job, tell_errors=False)
        self._enable()
        thread.job_event.connect(self._progress)
        thread.result.connect(self._done)
        thread.error.connect(self._stopped)
        thread.finished.connect(self._job_ended)

    def _job_ended(self) -> None:
        """Let go of the thread before the desk destroys it."""
        self._job = None
        self._enable()

    def _progress(self, event: object) -> None:
        if isinstance(event, Progress):
            self.bar.setRange(0, max(event.total, 1))
            self.bar.setValue(event.done)

    def _done(self, _report: object) -> None:
        self.desk.tell(Message(tr("{file} is imported.", file=Path(self.file.text()).name), level="done", key="import"))
        self.accept()

    def _stopped(self, error: BaseException) -> None:
        self.bar.hide()
        message = of_error(error)
        self.problem.setText(f"{message.sentence} {message.remedy}".strip())
        self.problem.show()

    def reject(self) -> None:
        """Cancel a running import, which leaves nothing behind, and close."""
        if self._job is not None:
            self._job.cancel()
        super().reject()


def _with_button(field: QLineEdit, browse: Callable[[], None]) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    button = QPushButton(tr("Browse…"))
    button.clicked.connect(browse)
    row.addWidget(field, 1)
    row.addWidget(button)
    return holder
