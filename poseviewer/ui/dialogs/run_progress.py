"""How a run is going: time left, rate, notes."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QHBoxLayout, QPushButton

from poseviewer.core.progress import FrameDone, JobEvent, Note, Progress
from poseviewer.ui import theme
from poseviewer.ui.dialogs.time_left import TimeLeft, paired
from poseviewer.ui.durations import time_left
from poseviewer.ui.panels.plot import Plot, axis_values
from poseviewer.ui.panels.widgets import Heading, Label
from poseviewer.ui.text import tr, tr_sentence

MOST_NOTES = 6
WINDOW_S = 0.5
"""Rates are means over this long."""


class RatePlot(Plot):
    """Frames a second over the run, as a filled line, with the largest figure beside it."""

    LABEL = 34
    """Room on the right for the axis, logical pixels."""

    def __init__(self) -> None:
        super().__init__(56)
        self._rates: deque[float] = deque(maxlen=600)
        self._last: tuple[float, int] | None = None
        self._end = 0.0
        self.setAccessibleName(tr("Throughput"))

    def clear(self) -> None:
        """Forget the run before."""
        self._rates.clear()
        self._last = None
        self.update()

    def add(self, progress: Progress) -> float | None:
        """Add a moment; return the present rate in units a second, or None while unknown."""
        if self._last is None:
            self._last = (progress.seconds, progress.done)
        seconds, done = self._last
        if progress.seconds - seconds >= WINDOW_S:
            self._rates.append((progress.done - done) / (progress.seconds - seconds))
            self._last = (progress.seconds, progress.done)
            self._end = progress.seconds
            self.update()
        return self._rates[-1] if self._rates else None

    def paint_plot(self, painter: QPainter, box: QRectF) -> None:
        """Draw the rates from left to right; one rate is a level line."""
        if not self._rates:
            return
        looks = theme.current()
        rates = [self._rates[0], *self._rates]
        top = max(*rates, 1e-9) * 1.15
        inner = box.adjusted(1, 1, -self.LABEL, -1)
        step = inner.width() / (len(rates) - 1)
        places = [
            QPointF(inner.left() + i * step, inner.bottom() - rate / top * inner.height())
            for i, rate in enumerate(rates)
        ]
        area = QPolygonF([inner.bottomLeft(), *places, inner.bottomRight()])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(looks.colour("accent", 0.18))
        painter.drawPolygon(area)
        painter.setPen(QPen(looks.colour("accent"), 1.5))
        painter.drawPolyline(places)
        painter.setPen(looks.colour("t2"))
        painter.setFont(theme.font(10))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value in axis_values(0, top, most=2)[1:]:
            y = inner.bottom() - value / top * inner.height()
            painter.drawText(QRectF(inner.right(), y - 7, self.LABEL - 4, 14), right, f"{value:g}")
        below = QRectF(box.left(), box.bottom() + 1, inner.width(), self.AXIS - 1)
        painter.drawText(below, right, tr("{s} s", s=round(self._end)))


class RunProgress(TimeLeft):
    """Time left, progress, throughput and notes of the running run, with Cancel."""

    def __init__(self) -> None:
        super().__init__(spacing=6)
        self.frames = Label("", token="t2")
        self.elapsed = Label("", token="t2")
        self.cancel = QPushButton(tr("Cancel"))
        self.rate = Label("", token="t2")
        self.plot = RatePlot()
        self.notes = Label("", token="t2", wrap=True)
        self._notes: deque[str] = deque(maxlen=MOST_NOTES)
        self._people = 0
        self._since: float | None = None
        self._lay_out()

    def _lay_out(self) -> None:
        column = self.column
        column.addLayout(paired(self.frames, self.elapsed))
        row = QHBoxLayout()
        row.addWidget(self.cancel)
        row.addStretch(1)
        row.addWidget(Label(tr("Cancelling keeps finished frames"), token="t3"))
        column.addLayout(row)
        column.addSpacing(8)
        column.addLayout(paired(Heading(tr("Throughput")), self.rate))
        column.addWidget(self.plot)
        column.addWidget(self.notes)
        column.addStretch(1)

    def begin(self) -> None:
        """Start over for a new run."""
        self._notes.clear()
        self._people = 0
        self._since = None
        self.notes.setText("")
        self.plot.clear()
        self.begin_with(tr("Loading the networks"))
        for label in (self.frames, self.elapsed, self.rate):
            label.setText("")
        self.cancel.setEnabled(True)

    def hear(self, event: JobEvent) -> None:
        """Show one event of the run."""
        if isinstance(event, Progress):
            self._show(event)
        elif isinstance(event, FrameDone):
            self._people += event.people
        elif isinstance(event, Note):
            self._notes.append(tr_sentence(event.text))
            self.notes.setText("\n".join(self._notes))

    def _show(self, progress: Progress) -> None:
        if self._since is None:
            # People are counted from here on: a panel that was opened in the middle of a run missed those before.
            self._since, self._people = progress.seconds, 0
        self.show_amount(progress)
        if progress.seconds_left is not None:
            self.left.setText(time_left(progress.seconds_left))
        if progress.total:
            self.percent.setText(f"{100 * progress.done // progress.total} %")
        self.frames.setText(tr("frame {done} of {total}", done=progress.done, total=progress.total))
        self.elapsed.setText(tr("{seconds} s so far", seconds=round(progress.seconds)))
        rate = self.plot.add(progress)
        if rate is not None:
            people = self._people / max(progress.seconds - self._since, 1e-6)
            self.rate.setText(tr("{frames} frames/s, {people} people/s", frames=f"{rate:.1f}", people=f"{people:.1f}"))
