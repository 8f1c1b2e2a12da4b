"""Heatmaps as pictures: colour tables and the blending rule of look.md section 2."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPixmap

from poseviewer.core.resources import resource
from poseviewer.core.values import Array, Pixels

CLEAR, FULL = 0.04, 0.30
"""Heat is invisible below the first value and has its full strength from the second on."""

GREY_LEVEL = 0.55
"""Brightness of the grey picture beneath a map."""


@cache
def table(name: str = "inferno") -> npt.NDArray[np.uint8]:
    """Return ``(256, 3)`` uint8 RGB from 12 % to 100 % of a colour map, so that no heat is black."""
    anchors = json.loads(resource("themes/heat.json").read_text(encoding="utf-8"))[name]
    colours = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in anchors], dtype=np.float64)
    places = np.linspace(0.12, 1.0, 256) * (len(colours) - 1)
    return np.stack([np.interp(places, np.arange(len(colours)), colours[:, i]) for i in range(3)], axis=-1).astype(
        np.uint8
    )


def alpha(values: Array, opacity: float = 1.0) -> Array:
    """Return opacity x smoothstep(CLEAR, FULL, value)."""
    part = np.clip((values - CLEAR) / (FULL - CLEAR), 0.0, 1.0)
    return np.asarray(opacity * part * part * (3.0 - 2.0 * part), dtype=np.float32)


def heat_image(values: Array, *, opacity: float = 1.0, name: str = "inferno") -> QImage:
    """Return a ``(h, w)`` map as a premultiplied picture of its own size; values above 1 show as 1."""
    height, width = values.shape
    colours = table(name)[np.clip(values * 255.0, 0, 255).astype(np.uint8)].astype(np.float32)
    strength = alpha(values, opacity)[..., None]
    rgba = np.empty((height, width, 4), dtype=np.uint8)
    rgba[..., :3] = np.rint(colours * strength)
    rgba[..., 3:] = np.rint(strength * 255.0)
    return _owned(rgba, QImage.Format.Format_RGBA8888_Premultiplied)


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


def enlarged(values: Array, factor: int) -> Array:
    """Return a ``(h, w)`` map bilinearly enlarged by ``factor``; cell centres stay in place.

    Interpolating values before they are coloured keeps rings of one value round, where interpolated colours would
    invent hues that the colour table does not have.
    """
    height, width = values.shape
    rows = (np.arange(height * factor) + 0.5) / factor - 0.5
    columns = (np.arange(width * factor) + 0.5) / factor - 0.5
    wide = _lerp(np.asarray(values, dtype=np.float32), columns, axis=1)
    return _lerp(wide, rows, axis=0)


def _lerp(values: Array, places: npt.NDArray[np.float64], axis: int) -> Array:
    size = values.shape[axis]
    places = np.clip(places, 0, size - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, size - 1)
    part = (places - low).astype(np.float32)
    part = part[None, :] if axis == 1 else part[:, None]
    return np.asarray(values.take(low, axis) * (1 - part) + values.take(high, axis) * part, dtype=np.float32)
