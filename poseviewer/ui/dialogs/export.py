"""The export dialog: in which format, what, with pictures or not, where to, and what it will hold."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from poseviewer.ui import theme
from poseviewer.ui.dialogs.base import Fields
from poseviewer.ui.dialogs.job import JobDialog, with_browse
from poseviewer.ui.dialogs.settings import show_folder
from poseviewer.ui.messages import Message
from poseviewer.ui.panels.widgets import Choice, Heading, Label, Segments, SmallButton, Tick
from poseviewer.ui.text import tr, tr_sentence

if TYPE_CHECKING:
    from poseviewer.formats.coco_export import ExportReport
    from poseviewer.jobs.export import AnyOptions
    from poseviewer.jobs.summary import ExportSummary
    from poseviewer.project.rows import Include
    from poseviewer.ui.desk import Desk
    from poseviewer.ui.threads import JobThread

OUTSIDE = "{count} joints lie outside the picture, the first in frame {frame}"
FORMATS = (
    ("coco", "COCO keypoints"),
    ("posetrack", "PoseTrack18, with tracks"),
    ("alphapose", "AlphaPose's results"),
    ("alphapose-cmu", "AlphaPose's results, CMU's form"),
    ("alphapose-open", "AlphaPose's results, OpenPose's form"),
)
SHARES = ((0.0, "No split"), (0.1, "10 % of the media"), (0.2, "20 % of the media"), (0.3, "30 % of the media"))


class ExportDialog(JobDialog):
    """Exports the open project; the work runs on a thread of its own and can be cancelled."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(tr("Export"), 560, desk, parent)
        self._summary_job: JobThread | None = None
        self._something = False
        self._summary: ExportSummary | None = None
        self.include = Segments(
            tr("Content"),
            (("corrections", tr("Corrections")), ("all", tr("Everything")), ("predictions", tr("Predictions"))),
        )
        self.include.chosen.connect(self._choose)
        self.format = Choice()
        for key, text in FORMATS:
            self.format.addItem(tr(text), key)
        self.format.currentIndexChanged.connect(self._choose_format)
        self.pictures = Choice()
        for key, text in (("png", tr("PNG beside it")), ("jpg", tr("JPEG beside it")), ("none", tr("Names only"))):
            self.pictures.addItem(text, key)
        self.split = Choice()
        for share, text in SHARES:
            self.split.addItem(tr(text), share)
        self.overwrite = Tick(tr("Replace an earlier export there"))
        self.held_out = Tick(tr("Include held-out frames"))
        self.held_out.hide()
        self.held_out.setToolTip(tr("Frames that the last retraining kept for measuring"))
        self.held_out.toggled.connect(self._recount)
        self.split.currentIndexChanged.connect(self._recount)
        self.folder = QLineEdit(str(self._usual_folder()))
        self.folder.setAccessibleName(tr("To"))
        self.counts = Counts()
        self.joints = JointBar()
        self.checks = Label("", token="t2", wrap=True)
        self._lay_out()
        self._include: Include = "corrections"
        self._choose("corrections")

    def _lay_out(self) -> None:
        fields = Fields(96)
        fields.add(tr("Format"), self.format)
        fields.add(tr("Content"), self.include)
        fields.add(tr("Pictures"), self.pictures)
        fields.add(tr("Validation"), self.split, tr("Whole media only, so that no scene is on both sides"))
        fields.add(tr("To"), with_browse(self.folder, self._browse))
        fields.addWidget(self.held_out, fields.rowCount(), 1)
        fields.addWidget(self.overwrite, fields.rowCount(), 1)
        self.body.addLayout(fields)
        self.body.addWidget(Heading(tr("Summary")))
        self.body.addWidget(self.counts)
        self.body.addWidget(self.joints)
        self.body.addWidget(self.checks)
        self.body.addWidget(self.problem)
        self.body.addStretch(1)
        self.body.addWidget(self.bar)
        copy = SmallButton(tr("Copy command"), flat=True)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.command()))
        self.buttons.insertWidget(0, copy)
        self.cancel = self.add_button(tr("Cancel"))
        self.cancel.clicked.connect(self.reject)
        self.export = self.add_button(tr("Export"), primary=True)
        self.export.clicked.connect(self._export)

    def _usual_folder(self, form: str = "coco") -> Path:
        project = self.desk.project
        if project is None:
            return Path.cwd() / form
        place = Path(project.path)
        return place.with_name(f"{place.stem}-{form}")

    def _choose_format(self) -> None:
        """Only COCO has pictures and a split; a folder that nobody typed follows the format."""
        form: str = self.format.currentData()
        for field in (self.pictures, self.split):
            field.setEnabled(form == "coco")
        if self.folder.text() in {str(self._usual_folder(key)) for key, _ in FORMATS}:
            self.folder.setText(str(self._usual_folder(form)))
        self._recount()

    def _browse(self) -> None:
        found = QFileDialog.getExistingDirectory(self, tr("Export to"), str(Path(self.folder.text()).parent))
        if found:
            self.folder.setText(found)

    def options(self) -> AnyOptions:
        """Return what is chosen."""
        from poseviewer.jobs.export import ALPHAPOSE_FORMS, AlphaPoseOptions, ExportOptions, PoseTrackOptions

        form, overwrite = self.format.currentData(), self.overwrite.isChecked()
        held = self.held_out.isChecked()
        if form == "posetrack":
            return PoseTrackOptions(include=self._include, overwrite=overwrite, include_held_out=held)
        if form in ALPHAPOSE_FORMS:
            return AlphaPoseOptions(
                include=self._include, form=ALPHAPOSE_FORMS[form], overwrite=overwrite, include_held_out=held
            )
        return ExportOptions(
            include=self._include,
            pictures=self.pictures.currentData(),
            val_share=self.split.currentData(),
            overwrite=overwrite,
            include_held_out=held,
        )

    def command(self) -> str:
        """Return the command line that does the same."""
        project = self.desk.project
        words = ["poseviewer", "export", str(project.path) if project is not None else ""]
        words += ["--format", self.format.currentData(), "--out", self.folder.text(), "--include", self._include]
        if self.format.currentData() == "coco":
            words += ["--pictures", self.pictures.currentData()]
            words += ["--val", f"{self.split.currentData():g}"] if self.split.currentData() else []
        words += ["--include-held-out"] if self.held_out.isChecked() else []
        words += ["--overwrite"] if self.overwrite.isChecked() else []
        return shlex.join(words)

    def _splits(self) -> bool:
        """Whether a part is written to validate on."""
        return self.format.currentData() == "coco" and bool(self.split.currentData())

    def _choose(self, include: Include) -> None:
        self._include = include
        self.include.choose(include)
        self._count()

    def _recount(self) -> None:
        """Count anew where held-out frames make a difference."""
        if self._summary is not None and self._summary.held_out:
            self._count()
        else:
            self._say_checks()

    def _count(self) -> None:
        """Count anew what the export will hold."""
        self._something = False
        self.enable()
        if self.desk.project is None:
            return
        from poseviewer.jobs.summary import summarise

        self.stop(self._summary_job)
        leave_out = not (self.held_out.isChecked() or self._splits())
        job = summarise(self.desk.project, self._include, leave_out=leave_out)
        self._summary_job = self.run_beside(job, self._show_summary, tell_errors=True)

    def _show_summary(self, summary: ExportSummary) -> None:
        self.counts.show_counts(summary)
        self.joints.show_counts(summary.visible, summary.occluded, summary.absent)
        self._summary = summary
        self._say_checks()
        self._something = summary.frames > 0
        self.held_out.setVisible(summary.held_out > 0)
        self.enable()
        self.say("" if summary.frames else tr("There is nothing of this kind to export yet."))

    def _say_checks(self) -> None:
        summary = self._summary
        if summary is None:
            return
        lines = []
        if self.format.currentData() in ("coco", "posetrack"):
            lines.append(tr("Frames without people are listed: {count}", count=summary.empty_frames))
        if summary.held_out and not self.held_out.isChecked():
            words = tr("Held-out frames, left out: {count}", count=summary.held_out)
            if self._splits():
                words = tr("Held-out frames, for validation: {count}", count=summary.held_out)
            lines.append(words)
        if summary.first_outside is not None:
            _, frame = summary.first_outside
            lines.append(
                tr(
                    "{count} joints lie outside the picture, the first in frame {frame}",
                    count=summary.outside,
                    frame=frame,
                )
            )
        lines.append(tr("After writing, every number is read back and compared"))
        self.checks.setText("\n".join(lines))

    def enable(self) -> None:
        """Enable the button while there is something to export and nothing is going on."""
        self.export.setEnabled(self._something and not self.working)

    def _export(self) -> None:
        if self.desk.project is None:
            return
        from poseviewer.jobs.export import export

        self.drive(export(self.desk.project, self.folder.text(), self.options()), self._done)

    def _done(self, report: ExportReport) -> None:
        folder = Path(report.folder)
        sentence = tr("Exported {frames} frames to {folder}.", frames=report.images, folder=folder.name)
        if report.images == 1:
            sentence = tr("Exported one frame to {folder}.", folder=folder.name)
        sentence = f"{sentence} {tr_sentence(report.held_out_words())}".strip()
        self.desk.tell(
            Message(sentence, level="done", actions=((tr("Show folder"), lambda: show_folder(folder)),), key="export")
        )
        self.accept()


class Counts(QWidget):
    """Three cards: frames, people, joints."""

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self._figures: list[Label] = []
        for name in (tr("frames"), tr("people"), tr("joints")):
            card = QFrame()
            card.setProperty("card", "true")
            card.setAutoFillBackground(True)
            card.setBackgroundRole(card.palette().ColorRole.Button)
            column = QVBoxLayout(card)
            column.setContentsMargins(12, 8, 12, 8)
            column.setSpacing(0)
            figure = Label("–", size=15, weight=600)
            column.addWidget(figure)
            column.addWidget(Label(name, size=11, token="t2"))
            self._figures.append(figure)
            row.addWidget(card, 1)

    def show_counts(self, summary: ExportSummary) -> None:
        """Show the counts of ``summary``."""
        for figure, count in zip(self._figures, (summary.frames, summary.people, summary.joints), strict=True):
            figure.setText(f"{count:,}".replace(",", "\u202f"))


class JointBar(QWidget):
    """Visible, occluded and absent joints as parts of one bar, with their counts below."""

    def __init__(self) -> None:
        super().__init__()
        self._counts = (0, 0, 0)
        self.setFixedHeight(28)

    def sizeHint(self) -> QSize:
        """Return the usual size."""
        return QSize(400, 28)

    def show_counts(self, visible: int, occluded: int, absent: int) -> None:
        """Show the counts."""
        self._counts = (visible, occluded, absent)
        self.setAccessibleName(self._text())
        self.update()

    def _text(self) -> str:
        visible, occluded, absent = self._counts
        return tr(
            "visible {visible}    occluded {occluded}    absent {absent}",
            visible=visible,
            occluded=occluded,
            absent=absent,
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bar."""
        looks = theme.current()
        painter = QPainter(self)
        total = max(sum(self._counts), 1)
        left = 0.0
        for count, token in zip(self._counts, ("t1", "t3", "line"), strict=True):
            width = self.width() * count / total
            painter.fillRect(QRectF(left, 0, max(width - 1, 0), 6), looks.colour(token))
            left += width
        painter.setPen(looks.colour("t2"))
        painter.setFont(theme.font(11))
        painter.drawText(QRectF(0, 9, self.width(), 18), Qt.AlignmentFlag.AlignVCenter, self._text())
        painter.end()
