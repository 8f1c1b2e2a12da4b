"""A widget as high as its width and its picture's aspect ask."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from poseviewer.ui import theme


class AspectWidget(QWidget):
    """Keeps an aspect; what it shows is the subclass's, and is painted anew in another theme.

    Args:
        name: for screen readers.
        wide: width in look.md's inspector, logical pixels.
    """

    def __init__(self, name: str, *, wide: int) -> None:
        super().__init__()
        self._wide = wide
        self.setAccessibleName(name)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        theme.notifier().changed.connect(self.update)

    def aspect(self) -> float:
        """Return height by width."""
        return 1.0

    def sizeHint(self) -> QSize:
        """Return the size in look.md's inspector."""
        return QSize(self._wide, self.heightForWidth(self._wide))

    def hasHeightForWidth(self) -> bool:
        """Return True: the aspect is kept."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height at a width."""
        return round(width * self.aspect())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the canvas's ground with round corners, and what the subclass shows on it."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            shape = QPainterPath()
            shape.addRoundedRect(QRectF(self.rect()), 4, 4)
            painter.setClipPath(shape)
            painter.fillRect(self.rect(), theme.current().colour("canvas"))
            self.paint_on(painter)
        finally:
            painter.end()

    def paint_on(self, painter: QPainter) -> None:
        """Draw what is shown; nothing by itself."""
