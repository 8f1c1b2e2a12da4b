"""Pictures for the panels: heat as the canvas blends it, grey crops beneath it, scaled frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPixmap

from poseviewer.core.values import Array, Pixels
from poseviewer.ui.canvas.heat import heat_pixels

GREY_LEVEL = 0.55
"""Brightness of the grey picture beneath a map."""


def heat_image(values: Array, *, opacity: float = 1.0, name: str = "inferno") -> QImage:
    """Return a ``(h, w)`` map as a premultiplied picture of its own size; values above 1 show as 1."""
    return _owned(heat_pixels(values, opacity, name), QImage.Format.Format_ARGB32_Premultiplied)


def grey_image(pixels: Pixels, level: float = GREY_LEVEL) -> QImage:
    """Return an ``(H, W, 3)`` picture as dark grey, for a map on top of it."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return _owned(np.ascontiguousarray(np.rint(grey * level).astype(np.uint8)), QImage.Format.Format_Grayscale8)


def colour_image(pixels: Pixels) -> QImage:
    """Return an ``(H, W, 3)`` RGB picture as a QImage that owns its memory."""
    return _owned(np.ascontiguousarray(pixels), QImage.Format.Format_RGB888)


class ScaledPicture:
    """A frame's picture, smoothly scaled once for the size it is painted in."""

    def __init__(self) -> None:
        self._pixels: Pixels | None = None
        self._image = QImage()
        self._pixmap = QPixmap()
        self._key: tuple[int, int, float] | None = None

    def show(self, pixels: Pixels | None) -> bool:
        """Take ``(H, W, 3)`` pixels, or None for none; return whether they are others than before."""
        if pixels is self._pixels:
            return False
        self._pixels, self._key = pixels, None
        self._image = colour_image(pixels) if pixels is not None else QImage()
        return True

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels; 0, 0 without a picture."""
        return self._image.width(), self._image.height()

    def draw(self, painter: QPainter, box: QRectF) -> None:
        """Draw the whole picture into ``box``."""
        if self._image.isNull() or box.width() < 1 or box.height() < 1:
            return
        ratio = painter.device().devicePixelRatioF()
        key = (max(round(box.width() * ratio), 1), max(round(box.height() * ratio), 1), ratio)
        if key != self._key:
            self._key = key
            size = QSize(key[0], key[1])
            mode, smooth = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
            self._pixmap = QPixmap.fromImage(self._image.scaled(size, mode, smooth))
        painter.drawPixmap(box, self._pixmap, QRectF(self._pixmap.rect()))


def _owned(array: npt.NDArray[np.uint8], kind: QImage.Format) -> QImage:
    height, width = array.shape[:2]
    return QImage(array.data, width, height, array.strides[0], kind).copy()
