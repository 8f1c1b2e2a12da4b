"""What the small plots of the panels share: their frame, and round values for their axes."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from poseviewer.ui import theme


class Plot(QWidget):
    """A framed plot with room for an axis below it; what is inside is the subclass's.

    Args:
        height: of the frame, logical pixels.
    """

    AXIS = 16

    def __init__(self, height: int) -> None:
        super().__init__()
        self.set_height(height)
        theme.notifier().changed.connect(self.update)

    def set_height(self, height: int) -> None:
        """Make the frame another height, logical pixels."""
        self.setFixedHeight(height + self.AXIS)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame, then what is inside."""
        looks = theme.current()
        box = QRectF(0.5, 0.5, self.width() - 1, self.height() - self.AXIS - 1)
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(looks.colour("line"), 1))
            painter.setBrush(looks.colour("plot"))
            painter.drawRoundedRect(box, 4, 4)
            self.paint_plot(painter, box)
        finally:
            painter.end()

    def paint_plot(self, painter: QPainter, box: QRectF) -> None:
        """Draw inside ``box``; an empty plot draws nothing."""


def axis_values(low: float, high: float, *, most: int = 5) -> list[float]:
    """Return round values between ``low`` and ``high``, at most ``most``, among them 0 where it lies inside."""
    span = max(high - low, 1e-9)
    power = 10.0 ** np.floor(np.log10(span / most))
    step = next((power * f for f in (1, 2, 4, 5, 10) if span / (power * f) <= most), power * 10)
    first = np.ceil(low / step) * step
    return [float(round(v, 10)) + 0.0 for v in np.arange(first, high + 1e-9, step)]
