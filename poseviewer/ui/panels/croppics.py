"""Pictures of the crops panel: both windows on the frame, and what lies inside each with its skeleton."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from poseviewer.core.geometry import invert, transform
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import CropEvidence, Frame
from poseviewer.ui import theme
from poseviewer.ui.canvas.place import half_pixel
from poseviewer.ui.panels.aspect import AspectWidget
from poseviewer.ui.panels.glyphs import draw_pill, draw_skeleton
from poseviewer.ui.panels.heat import ScaledPicture, colour_image
from poseviewer.ui.panels.regions import corners
from poseviewer.ui.text import tr

HATCH = 9


def paint_hatched(painter: QPainter, box: QRectF) -> None:
    """Paint the ground that means "outside the picture"."""
    looks = theme.current()
    painter.fillRect(box, looks.colour("plot"))
    painter.setPen(QPen(looks.colour("line"), 1))
    starts = np.arange(box.left() - box.height(), box.right(), HATCH).tolist()
    painter.drawLines([QLineF(x, box.bottom(), x + box.height(), box.top()) for x in starts])


class Overview(QWidget):
    """The frame with the proposal (white, dashed) and the window after the STN (accent)."""

    def __init__(self) -> None:
        super().__init__()
        self._frame: Frame | None = None
        self._picture = ScaledPicture()
        self._windows: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
        self._same = True
        self.setMinimumHeight(110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("The picture with the proposal and the window after the STN"))
        theme.notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Return the size of look.md's inspector."""
        return QSize(320, 190)

    def show_crop(self, frame: Frame | None, crop: CropEvidence, *, same: bool) -> None:
        """Show the windows of ``crop`` on ``frame``; ``same`` if the STN changed nothing."""
        self._frame = frame
        self._picture.show(frame.pixels if frame is not None else None)
        height, width = crop.picture.shape[:2]
        self._windows = (corners(crop.proposal, (width, height)), corners(crop.crop, (width, height)))
        self._same = same
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw picture and windows."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            box = QRectF(self.rect())
            shape = QPainterPath()
            shape.addRoundedRect(box, 4, 4)
            painter.setClipPath(shape)
            paint_hatched(painter, box)
            if self._windows is not None and self._frame is not None:
                self._paint(painter, box)
        finally:
            painter.end()

    def _paint(self, painter: QPainter, box: QRectF) -> None:
        frame, windows = self._frame, self._windows
        if frame is None or windows is None:
            return
        height, width = frame.pixels.shape[:2]
        points = np.concatenate([*windows, [[-0.5, -0.5], [width - 0.5, height - 0.5]]])
        low, high = points.min(axis=0), points.max(axis=0)
        scale = min((box.width() - 16) / (high[0] - low[0]), (box.height() - 16) / (high[1] - low[1]))
        shift = np.array([box.center().x(), box.center().y()]) - scale * (low + high) / 2

        def polygon(corner: npt.NDArray[np.float64]) -> QPolygonF:
            return QPolygonF([QPointF(float(x), float(y)) for x, y in corner * scale + shift])

        left, top = shift - 0.5 * scale
        picture = QRectF(float(left), float(top), width * scale, height * scale)
        self._picture.draw(painter, picture)
        painter.fillRect(picture, theme.data_colour("halo", 0.55))
        inner = QPainterPath()
        inner.addPolygon(polygon(windows[1]))
        painter.save()
        painter.setClipPath(inner, Qt.ClipOperation.IntersectClip)
        self._picture.draw(painter, picture)
        painter.restore()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        dashed = QPen(theme.data_colour("mark"), 1.5)
        dashed.setDashPattern([3.5, 2.5])
        if not self._same:
            painter.setPen(QPen(theme.data_colour("halo", 0.72), 3))
            painter.drawPolygon(polygon(windows[0]))
            painter.setPen(dashed)
            painter.drawPolygon(polygon(windows[0]))
        painter.setPen(QPen(theme.data_colour("halo", 0.72), 3.4))
        painter.drawPolygon(polygon(windows[1]))
        painter.setPen(QPen(theme.data_colour("accent"), 1.8))
        painter.drawPolygon(polygon(windows[1]))
        self._paint_names(painter, polygon(windows[0]).boundingRect(), box)

    def _paint_names(self, painter: QPainter, window: QRectF, box: QRectF) -> None:
        words = [(tr("window"), "accent")] if self._same else [(tr("proposal"), "ink"), (tr("after STN"), "accent")]
        painter.setFont(theme.font(11, 600))
        wide = max(painter.fontMetrics().horizontalAdvance(text) for text, _ in words) + 12
        x = window.right() + 6 if window.right() + 6 + wide < box.right() else window.left() - wide - 6
        x = min(max(x, box.left() + 4), box.right() - wide - 2)
        y = max(window.top() - 2, box.top() + 5)
        for text, token in words:
            y = draw_pill(painter, text, QPointF(x, y), token=token).bottom() + 2


class CropPicture(AspectWidget):
    """What a window holds, with the skeleton inside it; outside the picture it is hatched."""

    def __init__(self, name: str) -> None:
        super().__init__(name, wide=156)
        self._name = name
        self._image = QImage()
        self._pixels: object = None
        self._matrix: npt.NDArray[np.float64] | None = None
        self._frame_wh = (0, 0)
        self._points = np.zeros((0, 2))
        self._visibility = np.zeros(0, np.uint8)
        self._skeleton: Skeleton | None = None
        self._joint: int | None = None

    def aspect(self) -> float:
        """Return the crop's."""
        return 4 / 3 if self._image.isNull() else self._image.height() / self._image.width()

    def set_name(self, name: str) -> None:
        """Write another name into the corner."""
        self._name = name
        self.setAccessibleName(name)
        self.update()

    def show_picture(
        self,
        pixels: npt.NDArray[np.uint8],
        matrix: npt.NDArray[np.float64],
        frame_wh: tuple[int, int],
        keypoints: npt.NDArray[np.floating],
        visibility: npt.NDArray[np.uint8],
        skeleton: Skeleton,
        joint: int | None,
    ) -> None:
        """Show a crop.

        Args:
            pixels: ``(H, W, 3)`` what the window holds.
            matrix: ``(2, 3)`` from its pixels to frame pixels.
            frame_wh: size of the frame, for the hatching.
            keypoints, visibility: ``(K, 2)`` frame pixels and ``(K,)``.
            skeleton: their joint set.
            joint: the selected one.
        """
        if pixels is not self._pixels:
            self._pixels, self._image = pixels, colour_image(pixels)
        self._matrix, self._frame_wh, self._skeleton, self._joint = matrix, frame_wh, skeleton, joint
        self._points = transform(invert(matrix), keypoints)
        self._visibility = visibility
        self.updateGeometry()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw picture, hatching, skeleton and name."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            self._paint(painter)
        finally:
            painter.end()

    def _paint(self, painter: QPainter) -> None:
        if self._image.isNull() or self._matrix is None or self._skeleton is None:
            return
        scale = min(self.width() / self._image.width(), self.height() / self._image.height())
        box = QRectF(0, 0, self._image.width() * scale, self._image.height() * scale)
        shape = QPainterPath()
        shape.addRoundedRect(box, 4, 4)
        painter.setClipPath(shape)
        paint_hatched(painter, box)
        width, height = self._frame_wh
        edge = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
        inside = half_pixel(transform(invert(self._matrix), edge), to_scene=True) * scale
        picture = QPainterPath()
        picture.addPolygon(QPolygonF([QPointF(float(x), float(y)) for x, y in inside]))
        painter.save()
        painter.setClipPath(picture, Qt.ClipOperation.IntersectClip)
        painter.drawImage(box, self._image)
        painter.restore()
        places = half_pixel(self._points, to_scene=True) * scale
        draw_skeleton(painter, self._skeleton, places, self._visibility, selected=self._joint)
        draw_pill(painter, self._name, QPointF(5, 5))
