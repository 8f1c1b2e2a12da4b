"""Joint glyphs, skeletons and pills as the panels draw them: shape and colour by side, fill by visibility."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPainterPath, QPen, QPolygonF

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, OCCLUDED, VISIBLE
from poseviewer.ui import theme

OUTLINE = {ABSENT: "absent", OCCLUDED: "occluded", VISIBLE: "visible"}
"""The word for each visibility, untranslated."""


def side_path(side: str, centre: QPointF, radius: float) -> QPainterPath:
    """Return the shape of a side around ``centre``: circle left, square right, diamond centre."""
    path = QPainterPath()
    x, y = centre.x(), centre.y()
    if side == "left":
        path.addEllipse(centre, radius, radius)
    elif side == "right":
        half = radius * 0.9
        path.addRoundedRect(QRectF(x - half, y - half, 2 * half, 2 * half), 0.8, 0.8)
    else:
        tip = radius * 1.15
        path.addPolygon(QPolygonF([QPointF(x, y - tip), QPointF(x + tip, y), QPointF(x, y + tip), QPointF(x - tip, y)]))
        path.closeSubpath()
    return path


def draw_side(painter: QPainter, side: str, centre: QPointF, radius: float = 4.0) -> None:
    """Draw the glyph of a joint's side on a panel: filled, on light panels with a fine edge."""
    looks = theme.current()
    painter.setPen(Qt.PenStyle.NoPen if looks.dark else QPen(theme.data_colour("edge_light", 0.5), 1))
    painter.setBrush(theme.data_colour(side))
    painter.drawPath(side_path(side, centre, radius))


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


def limb_side(skeleton: Skeleton, first: int, second: int) -> str:
    """Return the side that colours a limb: that of its joints, centre across the middle."""
    sides = {skeleton.sides[first], skeleton.sides[second]}
    return sides.pop() if len(sides) == 1 else "centre"


def draw_skeleton(
    painter: QPainter,
    skeleton: Skeleton,
    points: npt.NDArray[np.floating],
    visibility: npt.NDArray[np.uint8],
    *,
    radius: float = 3.2,
    width: float = 2.0,
    selected: int | None = None,
) -> None:
    """Draw a skeleton at ``(K, 2)`` widget pixels, limbs first, each with its halo (look.md section 3)."""
    halo = theme.data_colour("halo", 0.72)
    places = [QPointF(float(x), float(y)) for x, y in points]
    for first, second in skeleton.limbs:
        if visibility[first] == ABSENT or visibility[second] == ABSENT:
            continue
        line = QLineF(places[first], places[second])
        painter.setPen(QPen(halo, width + 2.4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(line)
        pen = QPen(theme.data_colour(limb_side(skeleton, first, second)), width)
        if OCCLUDED in (visibility[first], visibility[second]):
            pen.setDashPattern([1.6, 1.5])
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(pen)
        painter.drawLine(line)
    for joint, place in enumerate(places):
        if visibility[joint] != ABSENT:
            small = radius * (0.6 if joint in skeleton.face else 1.0)
            _draw_joint(painter, skeleton.sides[joint], int(visibility[joint]), place, small)
    if selected is not None and visibility[selected] != ABSENT:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.data_colour("mark"), 2))
        painter.drawEllipse(places[selected], radius + 4, radius + 4)


def _draw_joint(painter: QPainter, side: str, visibility: int, place: QPointF, radius: float) -> None:
    colour = theme.data_colour(side)
    painter.setPen(QPen(theme.data_colour("halo", 0.72), 2.4))
    painter.setBrush(theme.data_colour("inside") if visibility == OCCLUDED else colour)
    path = side_path(side, place, radius)
    painter.drawPath(path)
    if visibility == OCCLUDED:
        painter.setPen(QPen(colour, min(2.0, radius * 0.55)))
        painter.drawPath(path)
    else:
        painter.fillPath(path, colour)


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
