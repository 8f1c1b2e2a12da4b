"""The frame as a picture in a panel, with something painted over it."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter

from poseviewer.core.values import Frame
from poseviewer.ui import theme
from poseviewer.ui.panels.aspect import AspectWidget
from poseviewer.ui.panels.heat import ScaledPicture


class FramePicture(AspectWidget):
    """Paints the frame, somewhat darkened, in its own aspect; what lies over it is the subclass's.

    Args:
        name: for screen readers.
        tallest: height at most, as a part of the width.
        dim: how much the frame is darkened, 0..1.
    """

    def __init__(self, name: str, *, tallest: float, dim: float) -> None:
        super().__init__(name, wide=320)
        self._frame: Frame | None = None
        self._picture = ScaledPicture()
        self._tallest, self._dim = tallest, dim
        self._highest: int | None = None

    def aspect(self) -> float:
        """Return the frame's, as far as it is not too tall."""
        wide, high = self._frame_size()
        return min(high / wide, self._tallest)

    def heightForWidth(self, width: int) -> int:
        """Return the height at a width, within the limit."""
        height = super().heightForWidth(width)
        return height if self._highest is None else min(height, self._highest)

    def limit_height(self, highest: int) -> None:
        """Be at most so many logical pixels high; the frame keeps its aspect."""
        if highest != self._highest:
            self._highest = highest
            self.updateGeometry()

    def show_frame(self, frame: Frame | None) -> None:
        """Show another frame."""
        self._frame = frame
        if self._picture.show(frame.pixels if frame is not None else None):
            self.updateGeometry()
        self.update()

    def _frame_size(self) -> tuple[int, int]:
        return (self._frame.pixels.shape[1], self._frame.pixels.shape[0]) if self._frame is not None else (16, 9)

    def placement(self) -> tuple[QRectF, float]:
        """Where the frame is painted, and logical pixels per frame pixel."""
        width, height = self._frame_size()
        scale = min(self.width() / width, self.height() / height)
        box = QRectF(0, 0, width * scale, height * scale)
        box.moveCenter(QRectF(self.rect()).center())
        return box, scale

    def paint_on(self, painter: QPainter) -> None:
        """Draw the frame and what lies over it."""
        if self._frame is not None:
            box, scale = self.placement()
            self._picture.draw(painter, box)
            painter.fillRect(box, theme.data_colour("halo", self._dim))
            self.paint_over(painter, box, scale)

    def paint_over(self, painter: QPainter, box: QRectF, scale: float) -> None:
        """Draw what lies over the frame, which is painted in ``box``."""
