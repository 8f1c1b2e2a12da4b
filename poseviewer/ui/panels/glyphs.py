"""Glyphs, skeletons and pills in the panels; shapes and skeletons are the canvas's own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPainterPath, QPen, QPolygonF

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, OCCLUDED, VISIBLE
from poseviewer.ui import theme
from poseviewer.ui.canvas.paint import Figure, add_shape, paint_figure

OUTLINE = {ABSENT: "absent", OCCLUDED: "occluded", VISIBLE: "visible"}
"""The word for each visibility, untranslated."""
RING = 7.0


def draw_side(painter: QPainter, side: str, centre: QPointF, radius: float = 4.0) -> None:
    """Draw the glyph of a joint's side on a panel: filled, on light panels with a fine edge."""
    looks = theme.current()
    painter.setPen(Qt.PenStyle.NoPen if looks.dark else QPen(theme.data_colour("edge_light", 0.5), 1))
    painter.setBrush(theme.data_colour(side))
    path = QPainterPath()
    add_shape(path, centre, radius, side)
    painter.drawPath(path)


def draw_seen(painter: QPainter, visibility: int, centre: QPointF, colour: QColor, radius: float = 3.6) -> None:
    """Draw a visibility in one colour: disc, ring or cross."""
    if visibility == ABSENT:
        painter.setPen(QPen(colour, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        arm = radius * 0.85
        x, y = centre.x(), centre.y()
        painter.drawLine(QLineF(x - arm, y - arm, x + arm, y + arm))
        painter.drawLine(QLineF(x - arm, y + arm, x + arm, y - arm))
    elif visibility == OCCLUDED:
        painter.setPen(QPen(colour, 1.8))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(centre, radius, radius)
    else:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawEllipse(centre, radius + 0.6, radius + 0.6)


def draw_diamond(painter: QPainter, centre: QPointF, radius: float, colour: QColor, *, filled: bool = True) -> None:
    """Draw the mark of "worth a look"."""
    x, y = centre.x(), centre.y()
    shape = QPolygonF([QPointF(x, y - radius), QPointF(x + radius, y), QPointF(x, y + radius), QPointF(x - radius, y)])
    painter.setPen(QPen(colour, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    painter.setBrush(QBrush(colour) if filled else QBrush(Qt.BrushStyle.NoBrush))
    painter.drawPolygon(shape)


def draw_skeleton(
    painter: QPainter,
    skeleton: Skeleton,
    points: npt.NDArray[np.float64],
    visibility: npt.NDArray[np.uint8],
    *,
    selected: int | None = None,
) -> None:
    """Draw a skeleton at ``(K, 2)`` widget pixels in the canvas's small size, with a ring at the selected joint."""
    paint_figure(painter, Figure(points, visibility), skeleton, "side")
    if selected is not None and selected < len(visibility) and visibility[selected] != ABSENT:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.data_colour("mark"), 2))
        painter.drawEllipse(QPointF(*points[selected].tolist()), RING, RING)


def draw_pill(painter: QPainter, text: str, place: QPointF, *, size: float = 11, token: str = "ink") -> QRectF:
    """Draw a dark pill with ``text`` whose top-left corner is ``place``, readable on any picture; return its place."""
    painter.setFont(theme.font(size))
    metrics = painter.fontMetrics()
    box = QRectF(place.x(), place.y(), metrics.horizontalAdvance(text) + 10, metrics.height() + 3)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.data_colour("pill", 0.88))
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(theme.data_colour(token))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
    return box
