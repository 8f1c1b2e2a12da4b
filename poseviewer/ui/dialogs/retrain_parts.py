"""What the retrain dialog shows: curves while it trains, and the table of before and after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pyqtgraph
from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from poseviewer.core.progress import Point
from poseviewer.core.skeleton import Skeleton
from poseviewer.training.results import Comparison, JointChange
from poseviewer.ui import theme
from poseviewer.ui.panels.glyphs import draw_side
from poseviewer.ui.panels.widgets import Heading, Label
from poseviewer.ui.text import tr

LOSS, AP, PCK = "loss", "held-out OKS AP", "held-out PCK"
"""Names of the curves that a training tells."""
LEVEL = 0.005
"""A change of a share smaller than this counts as none."""


class CurvePlot(QWidget):
    """One or two curves over the part of the training, from 0 to 100 %."""

    def __init__(self, title: str, curves: Sequence[tuple[str, str, str]]) -> None:
        """``curves`` are (name that the training tells, words, colour token)."""
        super().__init__()
        self._curves = curves
        self._points: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
        self._words = Label("", size=11, token="t2")
        self._words.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
        self._plot = pyqtgraph.PlotWidget(enableMenu=False)
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.hideButtons()
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setXRange(0, 100, padding=0.02)
        self._plot.setFixedHeight(150)
        self._plot.setAccessibleName(title)
        self._lines = {name: self._plot.plot(antialias=True) for name, _, _ in curves}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        head = QHBoxLayout()
        head.addWidget(Heading(title))
        head.addWidget(self._words, 1)
        column.addLayout(head)
        column.addWidget(self._plot)
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def clear(self) -> None:
        """Forget the training before."""
        self._points.clear()
        for line in self._lines.values():
            line.setData([], [])
        self._words.setText("")

    def add(self, point: Point) -> None:
        """Add a point, if it is of one of the curves."""
        if point.curve not in self._lines:
            return
        at, values = self._points[point.curve]
        at.append(100 * point.at)
        values.append(point.value)
        self._lines[point.curve].setData(at, values)
        told = [(words, self.values(name)) for name, words, _ in self._curves]
        self._words.setText("    ".join(f"{words} {figure(values[-1])}" for words, values in told if values))

    def values(self, curve: str) -> list[float]:
        """The points of a curve so far."""
        return list(self._points[curve][1]) if curve in self._points else []

    def _dress(self) -> None:
        looks = theme.current()
        self._plot.setBackground(looks.colour("plot"))
        for name, _, token in self._curves:
            colour = looks.colour(token)
            self._lines[name].setPen(colour, width=1.5)
            if name != LOSS:
                self._lines[name].setSymbol("o")
                self._lines[name].setSymbolSize(5)
                self._lines[name].setSymbolPen(colour)
                self._lines[name].setSymbolBrush(colour)
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(looks.colour("line"))
            axis.setTextPen(looks.colour("t2"))
            axis.setTickFont(theme.font(10))


def figure(value: float) -> str:
    """A figure of a curve in a few digits."""
    return f"{value:.3f}" if value >= 0.1 else f"{value:.5f}"


class BeforeAfter(QWidget):
    """The table of joints before and after, with a line from one to the other; the last row is everything.

    Args:
        skeleton: names the sides of the joints.
    """

    ROW, HEAD = 21, 24
    COLUMNS = (150, 56, 62, 62, 66)
    """Widths of joint, people, before, after, change; the rest is the drawing."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self._skeleton = skeleton
        self._found: Comparison | None = None
        theme.notifier().changed.connect(self.update)

    def show_comparison(self, found: Comparison) -> None:
        """Show a comparison."""
        self._found = found
        self.setFixedHeight(self.sizeHint().height())
        self.setAccessibleName(self.text())
        self.update()

    def text(self) -> str:
        """The table in words, for screen readers and the clipboard."""
        return "\n".join(self._found.lines()) if self._found is not None else ""

    def sizeHint(self) -> QSize:
        """Return the height that all rows need."""
        rows = len(self._found.joints) + 2 if self._found is not None else 0
        return QSize(560, self.HEAD + rows * self.ROW + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the table."""
        if self._found is None:
            return
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_head(painter)
            for number, joint in enumerate(self._found.joints):
                self._paint_joint(painter, self.HEAD + number * self.ROW, joint)
            top = self.HEAD + len(self._found.joints) * self.ROW + 2
            painter.setPen(QPen(theme.current().colour("line"), 1))
            painter.drawLine(QLineF(0, top, self.width(), top))
            before, after, people = self._found.before, self._found.after, self._found.people
            self._paint_row(painter, top + 2, tr("all joints, PCK"), people, before.pck, after.pck, bold=True)
            self._paint_row(painter, top + 2 + self.ROW, "OKS AP", people, before.ap, after.ap, bold=True)
        finally:
            painter.end()

    def _cells(self, top: float) -> list[QRectF]:
        left, cells = 0.0, []
        for width in self.COLUMNS:
            cells.append(QRectF(left, top, width, self.ROW))
            left += width
        return [*cells, QRectF(left + 16, top, max(self.width() - left - 24, 10), self.ROW)]

    def _paint_head(self, painter: QPainter) -> None:
        painter.setFont(theme.font(11))
        painter.setPen(theme.current().colour("t2"))
        words = (tr("Joint"), tr("People"), tr("Before"), tr("After"), tr("Change"), tr("PCK, 0 to 1"))
        for number, (cell, word) in enumerate(zip(self._cells(0), words, strict=True)):
            side = Qt.AlignmentFlag.AlignLeft if number in (0, 5) else Qt.AlignmentFlag.AlignRight
            painter.drawText(cell, side | Qt.AlignmentFlag.AlignVCenter, word)
        painter.setPen(QPen(theme.current().colour("line"), 1))
        painter.drawLine(QLineF(0, self.ROW + 1, self.width(), self.ROW + 1))

    def _paint_joint(self, painter: QPainter, top: float, joint: JointChange) -> None:
        if joint.joint in self._skeleton.joints:
            side = self._skeleton.sides[self._skeleton.joints.index(joint.joint)]
            draw_side(painter, side, QPointF(9, top + self.ROW / 2), 3.6)
        self._paint_row(painter, top, tr(joint.joint), joint.people, joint.pck_before, joint.pck_after)

    def _paint_row(
        self,
        painter: QPainter,
        top: float,
        name: str,
        people: int,
        before: float | None,
        after: float | None,
        *,
        bold: bool = False,
    ) -> None:
        looks = theme.current()
        cells = self._cells(top)
        middle, right = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.setFont(theme.font(12, 600 if bold else 400))
        painter.setPen(looks.colour("t1"))
        painter.drawText(cells[0].adjusted(0 if bold else 20, 0, 0, 0), middle, name)
        painter.setPen(looks.colour("t2"))
        painter.drawText(cells[1], right, str(people))
        if before is None or after is None:
            painter.drawText(cells[3], right, "–")
            return
        painter.drawText(cells[2], right, f"{before:.3f}")
        painter.setFont(theme.font(12, 600))
        painter.setPen(looks.colour("t1"))
        painter.drawText(cells[3], right, f"{after:.3f}")
        token = change_token(after - before)
        painter.setPen(looks.colour(token))
        painter.drawText(cells[4], right, f"{after - before:+.3f}".replace("-", "−"))
        self._paint_line(painter, cells[5], before, after, token)

    def _paint_line(self, painter: QPainter, cell: QRectF, before: float, after: float, token: str) -> None:
        """A ring where it was, a disc where it is."""
        looks = theme.current()
        y = cell.center().y()
        ends = [QPointF(cell.left() + 5 + (cell.width() - 10) * value, y) for value in (before, after)]
        painter.setPen(QPen(looks.colour("line"), 1))
        painter.drawLine(QLineF(cell.left(), y, cell.right(), y))
        colour = looks.colour(token)
        painter.setPen(QPen(colour, 2))
        painter.drawLine(QLineF(*ends))
        painter.setPen(QPen(looks.colour("t2"), 1.5))
        painter.setBrush(looks.colour("panel"))
        painter.drawEllipse(ends[0], 3.4, 3.4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawEllipse(ends[1], 3.8, 3.8)


def change_token(change: float) -> str:
    """The colour of a change: better, worse or level."""
    if abs(change) < LEVEL:
        return "t2"
    return "ok" if change > 0 else "warn"


def verdict(found: Comparison) -> str:
    """What came of it in one sentence: how many joints are better, level and worse."""
    changes = [
        (joint.joint, joint.pck_after - joint.pck_before)
        for joint in found.joints
        if joint.pck_before is not None and joint.pck_after is not None
    ]
    better = sum(change >= LEVEL for _, change in changes)
    worse = [(name, change) for name, change in changes if change <= -LEVEL]
    level = len(changes) - better - len(worse)
    if not worse:
        return tr("Joints: {better} better, {level} level.", better=better, level=level)
    name, change = min(worse, key=lambda pair: pair[1])
    return tr(
        "Joints: {better} better, {level} level, {worse} worse, most {joint} by {change}.",
        better=better,
        level=level,
        worse=len(worse),
        joint=tr(name),
        change=f"{-change:.3f}",
    )
