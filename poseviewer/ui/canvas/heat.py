"""A joint's heatmap over the picture, in its crop's place."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPolygonF, QTransform
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from poseviewer.core.values import CropEvidence
from poseviewer.session import Display
from poseviewer.ui import theme
from poseviewer.ui.canvas.place import grid_polygon, grid_transform

ENLARGE = 8
"""Image px per heatmap cell; the values between cells are cubic."""
LARGEST = 1600
"""Image px that the longer side of a map is enlarged to at most."""
CLEAR, FULL = 0.04, 0.30
"""Values below CLEAR are transparent, from FULL on they have full strength."""
DIM = 0.30
"""The crop is darkened by this much beneath a heatmap of 80 % opacity."""


@cache
def colour_table(name: str = "inferno") -> npt.NDArray[np.uint8]:
    """Return ``(256, 3)`` RGB from 12 % to 100 % of a colour map of OpenCV ("inferno" or "viridis")."""
    import cv2

    maps = {"inferno": cv2.COLORMAP_INFERNO, "viridis": cv2.COLORMAP_VIRIDIS}
    ramp = np.linspace(0.12 * 255, 255, 256).round().astype(np.uint8)
    painted = cv2.applyColorMap(ramp.reshape(-1, 1), maps.get(name, cv2.COLORMAP_INFERNO))
    table: npt.NDArray[np.uint8] = np.ascontiguousarray(painted.reshape(256, 3)[:, ::-1])
    return table


def smoothstep(low: float, high: float, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return 0 below ``low``, 1 above ``high`` and 3t^2 - 2t^3 between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)
    curve: npt.NDArray[np.float32] = t * t * (np.float32(3.0) - np.float32(2.0) * t)
    return curve


def heat_pixels(values: npt.NDArray[np.floating], opacity: float, name: str = "inferno") -> npt.NDArray[np.uint8]:
    """Return ``(H, W, 4)`` uint8 BGRA, premultiplied, of ``(H, W)`` values 0..1."""
    alpha = opacity * smoothstep(CLEAR, FULL, values)
    index = np.clip(values * 255.0, 0, 255).astype(np.uint8)
    rgb = colour_table(name)[index].astype(np.float32) * alpha[..., None]
    out = np.empty((*values.shape, 4), dtype=np.uint8)
    out[..., 0], out[..., 1], out[..., 2] = rgb[..., 2] + 0.5, rgb[..., 1] + 0.5, rgb[..., 0] + 0.5
    out[..., 3] = alpha * 255 + 0.5
    return out


def enlarge(heatmap: npt.NDArray[np.floating], factor: int = ENLARGE) -> npt.NDArray[np.float32]:
    """Return a ``(h, w)`` map enlarged with cubic values between the cells, never below zero."""
    import cv2

    height, width = heatmap.shape
    big = cv2.resize(
        np.asarray(heatmap, dtype=np.float32), (width * factor, height * factor), interpolation=cv2.INTER_CUBIC
    )
    clipped: npt.NDArray[np.float32] = np.maximum(big, np.float32(0.0))
    return clipped


def enlargement(width: int, height: int) -> int:
    """Return image px per cell for a map: maps of whole pictures are large already."""
    return max(min(ENLARGE, LARGEST // max(width, height, 1)), 1)


class HeatItem(QGraphicsItem):
    """Paints the heatmap of one joint, the dimmed crop beneath and, if wanted, the half-peak line."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._place = QTransform()
        self._crop = QPolygonF()
        self._line = QPainterPath()
        self._dim = 0.0
        self._key: tuple[object, ...] = ()
        self.setVisible(False)

    def show_map(self, crop: CropEvidence | None, joint: int | None, display: Display) -> None:
        """Paint the map of ``joint`` in ``crop``, or nothing."""
        wanted = crop is not None and joint is not None and display.heat and 0 <= joint < len(crop.heatmaps)
        if not wanted or crop is None or joint is None or not crop.heatmaps.size:
            self._key = ()
            self.setVisible(False)
            return
        look = (display.heat_opacity, display.heat_map, display.heat_shared, display.half_peak, display.dim)
        key = (id(crop), joint, *look)
        if key == self._key and self.isVisible():
            return
        self._key = key
        self.prepareGeometryChange()
        self._build(crop, joint, display)
        self.setVisible(True)
        self.update()

    def _build(self, crop: CropEvidence, joint: int, display: Display) -> None:
        heatmap = crop.heatmaps[joint]
        factor = enlargement(heatmap.shape[1], heatmap.shape[0])
        values = enlarge(heatmap, factor)
        peak = float(heatmap.max())
        if not display.heat_shared and peak > 0:
            values = values / peak
        pixels = heat_pixels(values, display.heat_opacity, display.heat_map)
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_ARGB32_Premultiplied)
        self._image = image
        self._place = grid_transform(crop.heatmap_to_frame, factor)
        self._crop = grid_polygon(crop.heatmap_to_frame, heatmap.shape[1], heatmap.shape[0])
        self._dim = DIM * display.heat_opacity / 0.8 if display.dim else 0.0
        level = float(values.max()) / 2
        self._line = self._place.map(contour(values, level)) if display.half_peak and level > 0 else QPainterPath()

    def boundingRect(self) -> QRectF:
        """The crop's bounding rectangle in the scene."""
        return self._crop.boundingRect().adjusted(-2, -2, 2, 2)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Paint dimming, map and line."""
        if self._image is None:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, round(255 * min(self._dim, 1.0))))
        painter.drawPolygon(self._crop)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.setTransform(self._place, True)
        painter.drawImage(QPointF(0, 0), self._image)
        painter.restore()
        if not self._line.isEmpty():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for colour, width in ((theme.data_colour("halo", 0.72), 3.6), (theme.data_colour("mark"), 1.2)):
                pen = QPen(colour, width)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawPath(self._line)


def contour(values: npt.NDArray[np.float32], level: float) -> QPainterPath:
    """Return the outline of ``values >= level`` around the maximum, in image coordinates (corners of pixels)."""
    import cv2

    path = QPainterPath()
    mask = (values >= level).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    y, x = np.unravel_index(int(values.argmax()), values.shape)
    for outline in outlines:
        if cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0:
            places = outline.reshape(-1, 2) + 0.5
            path.addPolygon(QPolygonF([QPointF(float(u), float(v)) for u, v in places]))
            path.closeSubpath()
    return path
