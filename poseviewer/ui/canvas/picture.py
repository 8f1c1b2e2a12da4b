"""The frame as a graphics item: the decoder's own bytes, painted without a copy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from poseviewer.core.values import Frame, Pixels

SQUARES_FROM = 8.0
"""At this scale and above a picture pixel is shown as a square."""


def image_of(pixels: Pixels) -> QImage:
    """Return a QImage on the bytes of ``(H, W, 3)`` RGB pixels; nothing is copied, the array stays alive."""
    height, width = pixels.shape[:2]
    return QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_RGB888)


@lru_cache(maxsize=8)
def light_table(brightness: float, contrast: float) -> npt.NDArray[np.uint8]:
    """Return the 256 values that brightness -1..1 and contrast (factor around mid-grey) map to."""
    values = (np.arange(256) / 255.0 - 0.5) * contrast + 0.5 + brightness
    return np.clip(np.round(values * 255), 0, 255).astype(np.uint8)


class PictureItem(QGraphicsItem):
    """Paints one frame, brightened or not."""

    def __init__(self) -> None:
        super().__init__()
        self._frame: Frame | None = None
        self._light = (0.0, 1.0)
        self._image: QImage | None = None
        self._size = (0, 0)

    @property
    def image(self) -> QImage | None:
        """What is painted."""
        return self._image

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self._size

    def show_frame(self, frame: Frame | None, brightness: float, contrast: float) -> None:
        """Paint ``frame`` from now on."""
        light = (brightness, contrast)
        if frame is self._frame and light == self._light:
            return
        self._frame, self._light = frame, light
        if frame is None:
            self._image = None
            size = (0, 0)
        else:
            import cv2

            plain = light == (0.0, 1.0)
            pixels = frame.pixels if plain else np.asarray(cv2.LUT(frame.pixels, light_table(*light)))
            self._image = image_of(np.ascontiguousarray(pixels))
            size = (frame.pixels.shape[1], frame.pixels.shape[0])
        if size != self._size:
            self.prepareGeometryChange()
            self._size = size
        self.update()

    def boundingRect(self) -> QRectF:
        """The picture's rectangle in the scene."""
        return QRectF(0, 0, *self._size)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Paint smoothly, or as squares when one pixel is large."""
        if self._image is None:
            return
        scale = painter.worldTransform().m11()
        smooth = scale < SQUARES_FROM and scale != 1.0
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawImage(self.boundingRect(), self._image)
