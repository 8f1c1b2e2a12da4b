"""A joint's tag map over the picture, in the picture's place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage, QPainter, QPolygonF, QTransform
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from poseviewer.core.values import Evidence, Grouping
from poseviewer.session import Display
from poseviewer.ui.canvas.heat import colour_table
from poseviewer.ui.canvas.place import grid_polygon, grid_transform


def tag_span(why: Grouping, kept: Sequence[int], part: int) -> tuple[float, float]:
    """Return the lowest and highest tag that is told apart, with some room, in dimension ``part``."""
    rows = list(kept)
    values = np.concatenate([why.joint_tags[rows, :, part].ravel(), why.person_tags[rows, part]])
    values = values[np.isfinite(values)]
    if not len(values):
        return -1.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = max(0.08 * (high - low), 0.25)
    return low - room, high + room


def tag_image(tags: npt.NDArray[np.floating], span: tuple[float, float]) -> QImage:
    """Return ``(h, w)`` tags in colours that go over ``span``; values beyond it have its ends' colours."""
    low, high = span
    share = np.clip((np.nan_to_num(tags) - low) / max(high - low, 1e-9), 0, 1)
    colours = np.ascontiguousarray(colour_table("viridis")[(share * 255).astype(np.uint8)])
    height, width = colours.shape[:2]
    return QImage(colours.data, width, height, colours.strides[0], QImage.Format.Format_RGB888).copy()


class TagItem(QGraphicsItem):
    """Paints the tag map of one joint, as opaque as heatmaps are."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._place = QTransform()
        self._outline = QPolygonF()
        self._opacity = 1.0
        self._key: tuple[object, ...] = ()
        self.setVisible(False)

    def show_map(self, evidence: Evidence | None, joint: int | None, display: Display) -> bool:
        """Paint the tag map of ``joint`` if wanted; return whether it is painted."""
        why = evidence.grouping if evidence is not None else None
        if evidence is None or why is None or joint is None or not display.tag_map or not 0 <= joint < len(why.tags):
            self._key = ()
            self.setVisible(False)
            return False
        key = (id(evidence), joint, display.heat_opacity)
        if key != self._key:
            self._key = key
            self.prepareGeometryChange()
            kept = [int(i) for i in evidence.suppression.kept if i < len(why.how)]
            self._image = tag_image(why.tags[joint, :, :, 0], tag_span(why, kept, 0))
            self._place = grid_transform(why.map_to_frame)
            self._outline = grid_polygon(why.map_to_frame, why.tags.shape[2], why.tags.shape[1])
            self._opacity = display.heat_opacity
            self.update()
        self.setVisible(True)
        return True

    def boundingRect(self) -> QRectF:
        """The map's bounding rectangle in the scene."""
        return self._outline.boundingRect()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Paint the map."""
        if self._image is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.setOpacity(self._opacity)
        painter.setTransform(self._place, True)
        painter.drawImage(QPointF(0, 0), self._image)
        painter.restore()
