"""The selected joint's heatmap over its crop, with numbered peaks, and the profile between two of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QHelpEvent,
    QImage,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPolygonF,
    QTransform,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from poseviewer.core.geometry import compose, invert, transform
from poseviewer.core.values import Array, CropEvidence
from poseviewer.ui import theme
from poseviewer.ui.canvas.heat import enlarge
from poseviewer.ui.canvas.place import grid_transform, half_pixel
from poseviewer.ui.panels.heat import grey_image, heat_image
from poseviewer.ui.panels.peaks import Peak, half_peak_radii
from poseviewer.ui.panels.plot import Plot, axis_values
from poseviewer.ui.text import tr

SMOOTH = 4
"""Maps are enlarged this often before they are coloured."""


def cells_to_input(crop: CropEvidence) -> npt.NDArray[np.float64]:
    """Return the ``(2, 3)`` map from heatmap cells to network input pixels."""
    return compose(invert(crop.crop), crop.heatmap_to_frame)


def heat_transform(crop: CropEvidence, factor: int = 1) -> QTransform:
    """Return how a heat picture (enlarged by ``factor``) is laid over the picture of ``crop``."""
    return grid_transform(cells_to_input(crop), factor)


class MapView(QWidget):
    """The large map of one joint."""

    def __init__(self) -> None:
        super().__init__()
        self._crop: CropEvidence | None = None
        self._values: Array | None = None
        self._peaks: tuple[Peak, ...] = ()
        self._grey = QImage()
        self._heat = QImage()
        self._half_peak = False
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setMouseTracking(True)
        theme.notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Return the size of look.md's inspector."""
        return QSize(168, 224)

    def minimumSizeHint(self) -> QSize:
        """Return the least useful size."""
        return QSize(96, 128)

    def hasHeightForWidth(self) -> bool:
        """Return True: the crop's aspect is kept."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height of the crop at a width."""
        if self._grey.isNull():
            return round(width * 4 / 3)
        return round(width * self._grey.height() / self._grey.width())

    def show_map(
        self,
        crop: CropEvidence | None,
        values: Array | None,
        peaks: tuple[Peak, ...],
        *,
        shared: bool = True,
        colours: str = "inferno",
        half_peak: bool = False,
    ) -> None:
        """Show a ``(h, w)`` map over its crop's picture.

        Args:
            crop: the crop, or None for nothing.
            values: the map, or None for the picture alone.
            peaks: marked 1, 2.
            shared: on the scale 0 to 1; otherwise stretched to the map's own maximum.
            colours: name of the colour table.
            half_peak: draw the line where the map falls to half of its peak.
        """
        if crop is not self._crop:
            self._grey = grey_image(crop.picture) if crop is not None else QImage()
        self._crop, self._values, self._peaks, self._half_peak = crop, values, peaks[:2], half_peak
        self._heat = QImage()
        if values is not None:
            scaled = values if shared else values / max(float(values.max()), 1e-6)
            self._heat = heat_image(enlarge(scaled, SMOOTH), name=colours)
        self.updateGeometry()
        self.update()

    def _placement(self) -> tuple[float, QPointF]:
        scale = min(self.width() / max(self._grey.width(), 1), self.height() / max(self._grey.height(), 1))
        return scale, QPointF((self.width() - self._grey.width() * scale) / 2, 0.0)

    def place_of(self, cell: tuple[float, float]) -> QPointF:
        """Return the widget pixel of a heatmap cell."""
        if self._crop is None:
            return QPointF()
        scale, origin = self._placement()
        x, y = half_pixel(transform(cells_to_input(self._crop), np.array(cell)), to_scene=True) * scale
        return QPointF(origin.x() + float(x), origin.y() + float(y))

    def cell_at(self, place: QPointF) -> tuple[float, float] | None:
        """Return the heatmap cell under a widget pixel, or None outside the map."""
        if self._crop is None or self._values is None:
            return None
        scale, origin = self._placement()
        inside = np.array([place.x() - origin.x(), place.y() - origin.y()]) / scale
        x, y = transform(invert(cells_to_input(self._crop)), half_pixel(inside, to_scene=False))
        height, width = self._values.shape
        return (float(x), float(y)) if -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5 else None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw picture, heat, half-peak line and marks."""
        painter = QPainter(self)
        try:
            self._paint(painter)
        finally:
            painter.end()

    def _paint(self, painter: QPainter) -> None:
        if self._grey.isNull() or self._crop is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        scale, origin = self._placement()
        box = QRectF(origin.x(), origin.y(), self._grey.width() * scale, self._grey.height() * scale)
        shape = QPainterPath()
        shape.addRoundedRect(box, 4, 4)
        painter.setClipPath(shape)
        painter.drawImage(box, self._grey)
        if not self._heat.isNull():
            painter.save()
            painter.translate(origin)
            painter.scale(scale, scale)
            painter.setTransform(heat_transform(self._crop, SMOOTH), True)
            painter.drawImage(0, 0, self._heat)
            painter.restore()
            if self._half_peak:
                self._paint_half_peak(painter)
        self._paint_peaks(painter)

    def _paint_half_peak(self, painter: QPainter) -> None:
        if self._values is None or not self._peaks:
            return
        outline = half_peak_outline(self._values, self._peaks[0])
        polygon = QPolygonF([self.place_of((float(x), float(y))) for x, y in outline])
        for colour, width in ((theme.data_colour("halo", 0.72), 3.2), (theme.data_colour("mark"), 1.2)):
            painter.setPen(QPen(colour, width))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolygon(polygon)

    def _paint_peaks(self, painter: QPainter) -> None:
        places = [self.place_of(peak.cell) for peak in self._peaks]
        mark, halo = theme.data_colour("mark"), theme.data_colour("halo", 0.72)
        if len(places) == 2:
            pen = QPen(mark, 1.2)
            pen.setDashPattern([1.5, 2.5])
            painter.setPen(pen)
            line = QLineF(places[0], places[1])
            if line.length() > 24:
                painter.drawLine(QLineF(line.pointAt(10 / line.length()), line.pointAt(1 - 10 / line.length())))
        painter.setFont(theme.font(11, 600))
        for number, place in enumerate(places, 1):
            for colour, width in ((halo, 3.4), (mark, 1.4)):
                painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
                for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                    near, far = QPointF(2 * dx, 2 * dy), QPointF(7 * dx, 7 * dy)
                    painter.drawLine(QLineF(place + near, place + far))
            words = QPainterPath()
            words.addText(place + QPointF(10, 4), painter.font(), str(number))
            painter.strokePath(words, QPen(halo, 3))
            painter.fillPath(words, mark)

    def event(self, event: QEvent) -> bool:
        """Tell the value and place under the pointer."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            cell = self.cell_at(event.pos().toPointF())
            if cell is not None and self._values is not None and self._crop is not None:
                value = float(self._values[round(cell[1]), round(cell[0])])
                x, y = transform(self._crop.heatmap_to_frame, np.array(cell))
                words = tr("{value} at {x}, {y}", value=f"{value:.2f}", x=f"{x:.1f}", y=f"{y:.1f}")
                QToolTip.showText(event.globalPos(), words, self)
            return True
        return super().event(event)


def half_peak_outline(values: Array, peak: Peak, *, rays: int = 48) -> npt.NDArray[np.float64]:
    """Return ``(rays, 2)`` cells of the line around ``peak`` where the map falls to half of it."""
    angles = np.linspace(0, 2 * np.pi, rays, endpoint=False)
    radii = half_peak_radii(values, peak, angles)
    outline: npt.NDArray[np.float64] = np.asarray(peak.cell) + radii[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], axis=-1
    )
    return outline


class ProfilePlot(Plot):
    """The map's values on the line from the first to the second peak."""

    def __init__(self) -> None:
        super().__init__(50)
        self._places = np.zeros(0)
        self._values = np.zeros(0)
        self._marks: tuple[tuple[float, float], ...] = ()
        self._keep = 0.0
        self.setAccessibleName(tr("Profile from first to second peak"))

    def show_profile(
        self,
        places: npt.NDArray[np.float64],
        values: npt.NDArray[np.float64],
        marks: tuple[tuple[float, float], ...],
        keep: float,
    ) -> None:
        """Show ``(n,)`` values at ``(n,)`` pixels, with the peaks' (place, value) and the score floor dashed."""
        self._places, self._values, self._marks, self._keep = places, values, marks, keep
        self.update()

    def paint_plot(self, painter: QPainter, box: QRectF) -> None:
        """Draw the profile, its peaks and the floor."""
        looks = theme.current()
        if len(self._places) < 2:
            return
        low, high = float(self._places[0]), float(self._places[-1])
        top = max(1.0, float(self._values.max()) * 1.05)

        def at(place: float, value: float) -> QPointF:
            x = box.left() + (place - low) / (high - low) * box.width()
            return QPointF(x, box.bottom() - 2 - max(value, 0.0) / top * (box.height() - 8))

        self._paint_axis(painter, box, low, high)
        line = QPolygonF([at(p, v) for p, v in zip(self._places.tolist(), self._values.tolist(), strict=True)])
        area = QPolygonF(line)
        for corner in (QPointF(box.right(), box.bottom()), QPointF(box.left(), box.bottom())):
            area.append(corner)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(looks.colour("accent", 0.16))
        painter.drawPolygon(area)
        painter.setPen(QPen(looks.colour("accent"), 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(line)
        dashed = QPen(looks.colour("t3"), 1)
        dashed.setDashPattern([3, 3])
        painter.setPen(dashed)
        y = at(low, self._keep).y()
        painter.drawLine(QLineF(box.left(), y, box.right(), y))
        painter.setFont(theme.font(10))
        painter.setPen(looks.colour("t2"))
        words = tr("keep {value}", value=f"{self._keep:.2f}")
        where = Qt.AlignmentFlag.AlignHCenter if len(self._marks) > 1 else Qt.AlignmentFlag.AlignRight
        painter.drawText(QRectF(box.left(), y - 15, box.width() - 6, 14), where | Qt.AlignmentFlag.AlignVCenter, words)
        for number, (place, value) in enumerate(self._marks, 1):
            spot = at(place, value)
            above = spot.y() - box.top() > 16
            place_ = QPointF(spot.x() - 3, spot.y() - 4) if above else QPointF(spot.x() + 12, box.top() + 12)
            painter.drawText(place_, str(number))

    def _paint_axis(self, painter: QPainter, box: QRectF, low: float, high: float) -> None:
        looks = theme.current()
        painter.setFont(theme.font(10))
        for value in axis_values(low, high):
            x = box.left() + (value - low) / (high - low) * box.width()
            painter.setPen(QPen(looks.colour("line"), 1))
            painter.drawLine(QLineF(x, box.top() + 1, x, box.bottom() - 1))
            painter.setPen(looks.colour("t3"))
            words = QRectF(x - 24, box.bottom() + 2, 48, self.AXIS - 2)
            if words.left() > -14 and words.right() < self.width() + 14:
                painter.drawText(words, Qt.AlignmentFlag.AlignCenter, f"{value:g}")
