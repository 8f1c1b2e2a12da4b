"""What a dialog of long work shows at its top: the time left, how much is done, and a bar."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from poseviewer.core.progress import Progress
from poseviewer.ui.panels.widgets import Label
from poseviewer.ui.text import tr


class TimeLeft(QWidget):
    """A column that begins with the time left; subclasses go on with what else they show.

    Attributes:
        left: the time left, or what is done before it is known.
        percent: how much is done, in words.
        bar: the same as a bar; it runs to and fro until the amount of work is known.
        column: the layout.
    """

    def __init__(self, *, spacing: int) -> None:
        super().__init__()
        self.left = Label("", size=22, weight=600)
        self.percent = Label("", token="t2")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(tr("Progress"))
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(spacing)
        self.column.addLayout(paired(self.left, self.percent))
        self.column.addWidget(self.bar)

    def begin_with(self, words: str) -> None:
        """Start over, saying what comes first."""
        self.bar.setRange(0, 0)
        self.left.setText(words)
        self.percent.setText("")

    def show_amount(self, progress: Progress) -> None:
        """Show on the bar how much is done."""
        self.bar.setRange(0, max(progress.total, 1))
        self.bar.setValue(progress.done)


def paired(left: QWidget, right: QWidget) -> QHBoxLayout:
    """Return a row with one thing at either end."""
    row = QHBoxLayout()
    row.addWidget(left, 1)
    row.addWidget(right, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
    if isinstance(right, Label):
        right.setMinimumWidth(120)
        right.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
    return row
