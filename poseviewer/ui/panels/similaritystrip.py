"""Similarities of all candidates on one axis, with the threshold to drag."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPen

from poseviewer.core.values import KEPT, Suppression
from poseviewer.ui import theme
from poseviewer.ui.panels.candidatepicture import candidate_colour
from poseviewer.ui.panels.plot import Plot, axis_values
from poseviewer.ui.panels.verdicts import CandidateRow
from poseviewer.ui.text import tr


class SimilarityStrip(Plot):
    """All similarities on one axis with the threshold, which can be dragged. ``dragged`` carries its new value."""

    dragged = Signal(float)

    def __init__(self) -> None:
        super().__init__(46)
        self._rows: list[CandidateRow] = []
        self._suppression: Suppression | None = None
        self._gamma = 0.0
        self._top = 1.0
        self._selected: int | None = None
        self.setMouseTracking(True)
        self.setAccessibleName(tr("Pose similarities and their threshold"))

    def show_rows(
        self, rows: list[CandidateRow], suppression: Suppression, gamma: float, top: float, selected: int | None
    ) -> None:
        """Show candidates' similarities on an axis from 0 to ``top``."""
        self._rows = [row for row in rows if row.other >= 0]
        self._suppression, self._gamma, self._top, self._selected = suppression, gamma, max(top, 1e-6), selected
        self.update()

    def _x(self, value: float) -> float:
        return 8 + (self.width() - 16) * min(max(value / self._top, 0.0), 1.0)

    def paint_plot(self, painter: QPainter, box: QRectF) -> None:
        """Draw axis, points and threshold."""
        looks = theme.current()
        limit = self._x(self._gamma)
        beyond = QRectF(limit, box.top() + 1, box.right() - limit - 0.5, box.height() - 2)
        painter.fillRect(beyond, looks.colour("err", 0.12))
        painter.setFont(theme.font(10))
        painter.setPen(looks.colour("t2"))
        if box.right() - limit > 60:
            painter.drawText(QPointF(limit + 6, box.top() + 12), tr("removed"))
        painter.setPen(looks.colour("t3"))
        for value in axis_values(0.0, self._top, most=7):
            words = QRectF(self._x(value) - 20, box.bottom() + 2, 40, self.AXIS - 2)
            words.moveLeft(min(max(words.left(), 2 - 12), self.width() - 2 - 28))
            painter.drawText(words, Qt.AlignmentFlag.AlignCenter, f"{value:g}")
        self._paint_points(painter, box)
        painter.setPen(QPen(looks.colour("accent"), 1.8))
        painter.drawLine(QLineF(limit, box.top(), limit, box.bottom()))
        painter.setBrush(looks.colour("accent"))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(QRectF(limit - 4, box.top() - 0.5, 8, 8), 2, 2)

    def _paint_points(self, painter: QPainter, box: QRectF) -> None:
        looks = theme.current()
        if self._suppression is None:
            return
        for row in self._rows:
            # Spread in height by number, so that equal similarities stay countable.
            y = box.top() + 18 + (row.index * 7) % 18
            spot = QPointF(self._x(row.similarity), y)
            colour = candidate_colour(self._suppression, row.index)
            painter.setPen(QPen(colour, 1.6))
            painter.setBrush(colour if row.outcome == KEPT else Qt.BrushStyle.NoBrush)
            painter.drawEllipse(spot, 3.8, 3.8)
            if row.index == self._selected:
                painter.setPen(QPen(looks.colour("t1"), 1.5))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawEllipse(spot, 7, 7)
                words = tr("{number} against {other}", number=row.number, other=row.other + 1)
                painter.setPen(looks.colour("t1"))
                width = painter.fontMetrics().horizontalAdvance(words)
                on_left = spot.x() - 14 - width > 2 and spot.x() <= self._x(self._gamma)
                left = spot.x() - 12 - width if on_left else spot.x() + 12
                left = left if left + width < box.right() - 4 else spot.x() - 12 - width
                painter.drawText(QPointF(left, spot.y() + 4), words)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Put the threshold where the pointer is."""
        self._drag(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the threshold; show that it can be."""
        near = abs(event.position().x() - self._x(self._gamma)) < 6
        self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag(event)

    def _drag(self, event: QMouseEvent) -> None:
        part = (event.position().x() - 8) / max(self.width() - 16, 1)
        self.dragged.emit(min(max(part, 0.0), 1.0) * self._top)
