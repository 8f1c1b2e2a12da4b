"""The import dialog: a COCO file and the pictures it speaks of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from poseviewer.ui.dialogs.base import Fields
from poseviewer.ui.dialogs.job import JobDialog, with_browse
from poseviewer.ui.messages import Message
from poseviewer.ui.panels.widgets import Label
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk


class ImportDialog(JobDialog):
    """Takes annotations (as corrections) or a results list (as predictions of a run) into the open project."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(tr("Import"), 560, desk, parent)
        self.file, self.pictures = QLineEdit(), QLineEdit(self._usual_pictures())
        fields = Fields(96)
        fields.add(tr("COCO file"), with_browse(self.file, self._pick_file))
        fields.add(tr("Pictures"), with_browse(self.pictures, self._pick_pictures))
        self.file.setAccessibleName(tr("COCO file"))
        self.pictures.setAccessibleName(tr("Pictures"))
        self.body.addLayout(fields)
        words = tr("Annotations become corrections, a results list becomes the predictions of a run.")
        self.body.addWidget(Label(words, token="t2", wrap=True))
        self.body.addWidget(self.problem)
        self.body.addStretch(1)
        self.body.addWidget(self.bar)
        self.add_button(tr("Cancel")).clicked.connect(self.reject)
        self.start = self.add_button(tr("Import"), primary=True)
        self.start.clicked.connect(self._import)
        for field in (self.file, self.pictures):
            field.textChanged.connect(self.enable)
        self.enable()

    def _usual_pictures(self) -> str:
        return self.desk.info.path if self.desk.info is not None else ""

    def enable(self) -> None:
        """Enable the button while both fields are filled and nothing is going on."""
        ready = bool(self.file.text().strip() and self.pictures.text().strip()) and not self.working
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

        job = import_file(self.file.text().strip(), self.pictures.text().strip(), self.desk.project)
        self.drive(job, self._done)

    def _done(self, _report: object) -> None:
        self.desk.tell(Message(tr("{file} is imported.", file=Path(self.file.text()).name), level="done", key="import"))
        self.accept()
