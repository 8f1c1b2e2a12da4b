"""Skeletons in device px: halo, shapes of sides, three visibilities (look.md section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPainterPath, QPen, QPolygonF

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, OCCLUDED
from poseviewer.session.state import ColourBy
from poseviewer.ui import theme

Points = npt.NDArray[np.float64]
HALO = 1.2
HALO_ALPHA = 0.72
FINE = 0.6
"""Face, hands and toes are drawn so much smaller; in sets of many joints also by the room between them."""
MANY = 40
"""From so many joints on, some are closer together than their usual size."""
LEAST_RADIUS = 1.1
SQUARE = 0.9
"""Half the side of a square as a share of a circle's radius, so that both seem equally large."""
DASH = (1.6, 1.5)
CAP = Qt.PenCapStyle.FlatCap
"""Joints lie over the ends of limbs; round ends would be painted for nobody to see."""
THIN = 0.7
"""Limbs with a doubtful end have so much of their usual width."""


@dataclass(frozen=True, slots=True)
class Look:
    """Sizes in px: limb width and joint radius."""

    limb: float
    joint: float


STRIPE = 0.35
"""Width of the stripe of repeated track colours, as a share of the limb's."""
SELECTED = Look(3.0, 5.2)
OTHER = Look(2.0, 3.2)


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """One person as it is painted.

    Attributes:
        points: ``(K, 2)`` screen px. visibility: ``(K,)``.
        track: for colours by track.
        selected: the selected person.
        hovered, chosen: joint under the pointer, selected joint, or None.
        ghost: ``(K, 2)`` screen px of the prediction beneath a correction, or None.
        moved: ``(K,)`` which joints are farther than 2 picture px from the prediction.
        members: joints that are selected beside the chosen one.
        strengths: of each joint, by :func:`poseviewer.core.drawing.strengths`, or None where nothing is in doubt.
    """

    points: Points
    visibility: npt.NDArray[np.uint8]
    track: int | None = None
    selected: bool = False
    hovered: int | None = None
    chosen: int | None = None
    ghost: Points | None = None
    moved: npt.NDArray[np.bool_] | None = None
    strengths: Sequence[float] | None = None
    members: frozenset[int] = frozenset()

    def strength(self, *joints: int) -> float:
        """Return how strongly what hangs on ``joints`` is painted: as its weakest end, wholly under the hand."""
        if self.strengths is None:
            return 1.0
        if len(joints) == 1 and (joints[0] in (self.hovered, self.chosen) or joints[0] in self.members):
            return 1.0
        return min([self.strengths[joint] for joint in joints])


def paint_figure(
    painter: QPainter, figure: Figure, skeleton: Skeleton, colour_by: ColourBy, *, layer: bool = False
) -> None:
    """Paint one person: ghost, limbs, joints, and the chosen joint's ring last.

    Lines and joints of one colour go out in one call, joints as points of a pen: as shapes of a path they take ten
    times as long.

    Args:
        painter: in screen px.
        figure: who.
        skeleton: of ``K`` joints.
        colour_by: of limbs and joints.
        layer: the painter is on a transparent picture that is laid over the frame as a whole. Halos then replace what
            is beneath them instead of darkening it, which takes a quarter of the time.
    """
    look = SELECTED if figure.selected else OTHER
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    if figure.ghost is not None and figure.moved is not None and figure.moved.any():
        _paint_ghost(painter, figure, skeleton)
    plan = _plan(skeleton)
    colours = _Colours(figure.track, colour_by)
    _paint_limbs(painter, figure, plan, look, colours, layer=layer)
    _paint_joints(painter, figure, plan, look, colours, layer=layer)
    for joint in figure.members if figure.selected else ():
        _ring(painter, QPointF(*figure.points[joint].tolist()), look.joint + 3, width=1.4)
    if figure.chosen is not None and figure.selected:
        _ring(painter, QPointF(*figure.points[figure.chosen].tolist()), look.joint + 5)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What of a skeleton is the same for everybody: limbs as (joint, joint, side, fine), and joints."""

    limbs: tuple[tuple[int, int, str, bool], ...]
    sides: tuple[str, ...]
    fine: frozenset[int]
    many: bool


_plans: dict[str, tuple[Skeleton, _Plan]] = {}


def _plan(skeleton: Skeleton) -> _Plan:
    """Return what is the same for everybody of ``skeleton``, kept by identity: hashing its names takes longer."""
    kept = _plans.get(skeleton.name)
    if kept is None or kept[0] is not skeleton:
        sides, fine = skeleton.sides, skeleton.fine
        many = len(sides) > MANY
        rows = tuple((a, b, _limb_side(sides, (a, b)), many and {a, b} <= fine) for a, b in skeleton.limbs)
        kept = _plans[skeleton.name] = (skeleton, _Plan(rows, sides, fine, many))
    return kept[1]


def _limb_side(sides: Sequence[str], limb: tuple[int, int]) -> str:
    """Return the side of a limb's joints, centre across the middle."""
    own = {sides[joint] for joint in limb} - {"centre"}
    return own.pop() if len(own) == 1 else "centre"


class _Colours:
    """Colours of one person: of the sides, or the track's alone."""

    def __init__(self, track: int | None, colour_by: ColourBy) -> None:
        self.one = theme.track_colour(track) if colour_by == "track" and track is not None else None
        self.striped = self.one is not None and theme.track_repeats(track)

    def of(self, side: str, strength: float) -> QColor:
        """Return the colour of a side."""
        return _weaker(self.one if self.one is not None else theme.data_colour(side), strength)


def joint_colour(skeleton: Skeleton, joint: int, track: int | None, colour_by: ColourBy) -> QColor:
    """Return the colour of a joint."""
    return _Colours(track, colour_by).of(skeleton.sides[joint], 1.0)


def _paint_limbs(painter: QPainter, figure: Figure, plan: _Plan, look: Look, colours: _Colours, *, layer: bool) -> None:
    points, seen, strength = figure.points.tolist(), figure.visibility.tolist(), 1.0
    groups: dict[tuple[str, bool, bool, float], list[QLineF]] = {}
    for a, b, side, fine in plan.limbs:
        if seen[a] == ABSENT or seen[b] == ABSENT:
            continue
        if figure.strengths is not None:
            strength = figure.strength(a, b)
        kind = (side, seen[a] == OCCLUDED or seen[b] == OCCLUDED, fine, strength)
        groups.setdefault(kind, []).append(QLineF(*points[a], *points[b]))
    for (_, _, fine, strength), lines in groups.items():
        halo = QPen(theme.data_colour("halo", HALO_ALPHA * strength), _limb_width(look, strength, fine=fine) + 2 * HALO)
        halo.setCapStyle(CAP)
        painter.setPen(halo)
        with _replacing(painter, on=layer and strength >= 1.0):
            painter.drawLines(lines)
    for (side, dashed, fine, strength), lines in groups.items():
        pen = QPen(colours.of(side, strength), _limb_width(look, strength, fine=fine))
        pen.setCapStyle(CAP)
        if dashed:
            pen.setDashPattern(DASH)
        painter.setPen(pen)
        painter.drawLines(lines)
    if colours.striped:
        for (_, _, fine, strength), lines in groups.items():
            width = max(_limb_width(look, strength, fine=fine) * STRIPE, 0.8)
            painter.setPen(QPen(theme.data_colour("mark", strength), width))
            painter.drawLines(lines)


@contextmanager
def _replacing(painter: QPainter, *, on: bool) -> Iterator[None]:
    """Let what is painted within replace what is beneath."""
    if not on:
        yield
        return
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    yield
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)


def _limb_width(look: Look, strength: float, *, fine: bool) -> float:
    """Return the width of a limb in px: thinner in the face and the hands, and where it is in doubt."""
    return look.limb * (FINE if fine else 1.0) * (1.0 if strength >= 1.0 else THIN)


def _weaker(colour: QColor, strength: float) -> QColor:
    if strength >= 1.0:
        return colour
    weak = QColor(colour)
    weak.setAlphaF(strength)
    return weak


def _paint_joints(
    painter: QPainter, figure: Figure, plan: _Plan, look: Look, colours: _Colours, *, layer: bool
) -> None:
    points, seen, strength = figure.points.tolist(), figure.visibility.tolist(), 1.0
    groups: dict[tuple[str, float, float], list[QPointF]] = {}
    insides: dict[tuple[str, float], list[QPointF]] = {}
    crosses: list[tuple[QPointF, float, str]] = []
    small = _fine_radius(figure, plan, look)
    for joint, side in enumerate(plan.sides):
        fine = joint in plan.fine
        if fine and plan.many and side == "centre":
            side = "left"  # a dot: at two pixels nobody tells a diamond from it
        radius = (small if fine else look.joint) + (joint == figure.hovered)
        if seen[joint] == ABSENT:
            if figure.selected:
                crosses.append((QPointF(*points[joint]), radius, plan.sides[joint]))
            continue
        if figure.strengths is not None:
            strength = figure.strength(joint)
        at = QPointF(*points[joint])
        groups.setdefault((side, radius, strength), []).append(at)
        if seen[joint] == OCCLUDED:
            insides.setdefault((side, radius - min(2.0, radius * 0.55)), []).append(at)
    for (side, radius, strength), places in groups.items():
        tint = theme.data_colour("halo", HALO_ALPHA * strength)
        with _replacing(painter, on=layer and strength >= 1.0):
            _paint_places(painter, places, side, radius + min(HALO, 0.7 * radius), tint)
    for (side, radius, strength), places in groups.items():
        _paint_places(painter, places, side, radius, colours.of(side, strength))
    for (side, radius), places in insides.items():
        _paint_places(painter, places, side, radius, theme.data_colour("inside"))
    for at, radius, side in crosses:
        paint_glyph(painter, at, radius, side, colours.of(side, 1.0), ABSENT)


def _paint_places(painter: QPainter, places: list[QPointF], side: str, radius: float, colour: QColor) -> None:
    """Paint the shape of a side at every place: circles and squares as points of a pen, diamonds as polygons."""
    if side == "centre":
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        for at in places:
            painter.drawConvexPolygon(_diamond(at, radius))
        return
    square = side == "right"
    pen = QPen(colour, 2 * radius * (SQUARE if square else 1.0))
    pen.setCapStyle(Qt.PenCapStyle.SquareCap if square else Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.drawPoints(places)


def fine_radius(figure: Figure, skeleton: Skeleton, look: Look) -> float:
    """Return the radius of face, hand and toe joints: of many, so that the next one stays apart."""
    return _fine_radius(figure, _plan(skeleton), look)


def _fine_radius(figure: Figure, plan: _Plan, look: Look) -> float:
    usual = look.joint * FINE
    if not plan.many:
        return usual
    joints = [joint for joint in sorted(plan.fine) if figure.visibility[joint] != ABSENT]
    if len(joints) < 2:
        return usual
    steps = np.linalg.norm(np.diff(figure.points[joints], axis=0), axis=1)
    return min(usual, max(LEAST_RADIUS, 0.36 * float(np.median(steps))))


def _path() -> QPainterPath:
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.WindingFill)
    return path


def add_shape(path: QPainterPath, at: QPointF, radius: float, side: str) -> None:
    """Add the shape of a side to ``path``: circle, square or diamond of about equal area."""
    if side == "left":
        path.addEllipse(at, radius, radius)
    elif side == "right":
        half = radius * SQUARE
        path.addRoundedRect(QRectF(at.x() - half, at.y() - half, 2 * half, 2 * half), 0.8, 0.8)
    else:
        path.addPolygon(_diamond(at, radius))


def _diamond(at: QPointF, radius: float) -> QPolygonF:
    x, y, tip = at.x(), at.y(), radius * 1.2
    corners = (QPointF(x, y - tip), QPointF(x + tip, y), QPointF(x, y + tip), QPointF(x - tip, y), QPointF(x, y - tip))
    return QPolygonF(list(corners))


def paint_glyph(painter: QPainter, at: QPointF, radius: float, side: str, colour: QColor, seen: int) -> None:
    """Paint one joint with its halo: filled, a ring with a dark inside when occluded, a cross when absent."""
    halo = theme.data_colour("halo", HALO_ALPHA)
    if seen == ABSENT:
        arm = max(radius * 0.8, 3.0)
        for tint, width in ((halo, 1.8 + 2 * HALO), (colour, 1.8)):
            pen = QPen(tint, width)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            painter.drawLine(at + QPointF(-arm, -arm), at + QPointF(arm, arm))
            painter.drawLine(at + QPointF(-arm, arm), at + QPointF(arm, -arm))
        return
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(halo)
    shape(painter, at, radius + HALO, side)
    if seen == OCCLUDED:
        ring = min(2.0, radius * 0.55)
        painter.setBrush(colour)
        shape(painter, at, radius, side)
        painter.setBrush(theme.data_colour("inside"))
        shape(painter, at, radius - ring, side)
    else:
        painter.setBrush(colour)
        shape(painter, at, radius, side)


def shape(painter: QPainter, at: QPointF, radius: float, side: str) -> None:
    """Fill the shape of a side with the painter's brush."""
    path = _path()
    add_shape(path, at, radius, side)
    painter.fillPath(path, painter.brush())


def _ring(painter: QPainter, at: QPointF, radius: float, width: float = 2.0) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, wide in ((theme.data_colour("halo", HALO_ALPHA), width + 2 * HALO), (theme.data_colour("mark"), width)):
        painter.setPen(QPen(colour, wide))
        painter.drawEllipse(at, radius, radius)


def _paint_ghost(painter: QPainter, figure: Figure, skeleton: Skeleton) -> None:
    """Paint what the prediction said, dotted, where a hand moved it."""
    ghost, moved = figure.ghost, figure.moved
    if ghost is None or moved is None:
        return
    painter.setBrush(Qt.BrushStyle.NoBrush)
    pen = QPen(theme.data_colour("mark", 0.9), 1.3)
    pen.setDashPattern((1.0, 2.2))
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    painter.setPen(pen)
    for a, b in skeleton.limbs:
        if (moved[a] or moved[b]) and figure.visibility[a] and figure.visibility[b]:
            painter.drawLine(QPointF(*ghost[a].tolist()), QPointF(*ghost[b].tolist()))
    painter.setPen(QPen(theme.data_colour("mark"), 1.3))
    painter.setBrush(theme.data_colour("inside", 0.8))
    for joint in np.flatnonzero(moved):
        if figure.visibility[joint]:
            painter.drawEllipse(QPointF(*ghost[joint].tolist()), 3.6, 3.6)


def paint_corners(painter: QPainter, box: QRectF, length: float = 14.0) -> None:
    """Paint white corners around the selected person's box; they are its handles."""
    length = min(length, box.width() / 3, box.height() / 3)
    lines: list[tuple[QPointF, QPointF, QPointF]] = []
    for corner, dx, dy in (
        (box.topLeft(), 1, 1),
        (box.topRight(), -1, 1),
        (box.bottomRight(), -1, -1),
        (box.bottomLeft(), 1, -1),
    ):
        lines.append((corner + QPointF(dx * length, 0), corner, corner + QPointF(0, dy * length)))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, width in ((theme.data_colour("halo", 0.6), 4.2), (theme.data_colour("mark"), 2.0)):
        pen = QPen(colour, width)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(pen)
        for points in lines:
            painter.drawPolyline(QPolygonF(list(points)))


def paint_boxes(painter: QPainter, boxes: Sequence[QRectF], alpha: float = 0.35) -> None:
    """Paint thin white boxes with dark ones beneath, on whole pixels, all in two calls."""
    places = [box.toRect() for box in boxes]
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, width in (("halo", 3), ("mark", 1)):
        pen = QPen(theme.data_colour(colour, alpha * (0.55 if width > 1 else 1.0)), width)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        painter.setPen(pen)
        painter.drawRects(places)


def paint_outline(painter: QPainter, outline: QPolygonF | QRectF, *, dashed: bool, alpha: float = 0.9) -> None:
    """Paint a thin white outline with a dark one beneath."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    polygon = QPolygonF(outline) if isinstance(outline, QRectF) else outline
    painter.setPen(QPen(theme.data_colour("halo", 0.55 * alpha), 2.6))
    painter.drawPolygon(polygon)
    pen = QPen(theme.data_colour("mark", alpha), 1.0)
    if dashed:
        pen.setDashPattern((4.0, 3.0))
    painter.setPen(pen)
    painter.drawPolygon(polygon)


def paint_trail(painter: QPainter, before: Points, after: Points, colour: QColor) -> None:
    """Paint where a joint came from (fading line) and where it goes (dotted)."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for index in range(1, len(before)):
        tint = QColor(colour)
        tint.setAlphaF(index / len(before))
        a, b = QPointF(*before[index - 1].tolist()), QPointF(*before[index].tolist())
        painter.setPen(QPen(theme.data_colour("halo", 0.4 * index / len(before)), 3.6))
        painter.drawLine(a, b)
        painter.setPen(QPen(tint, 1.8))
        painter.drawLine(a, b)
    painter.setPen(Qt.PenStyle.NoPen)
    for index, place in enumerate(after[1:]):
        tint = QColor(colour)
        tint.setAlphaF(1.0 - index / max(len(after), 1))
        painter.setBrush(tint)
        painter.drawEllipse(QPointF(*place.tolist()), 1.6, 1.6)


def paint_peak(painter: QPainter, at: QPointF, *, held: bool, radius: float = 11.0) -> None:
    """Paint a dashed ring around a heatmap peak, closed and in the accent colour while a joint holds there."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.data_colour("halo", HALO_ALPHA), 2.0 + 2 * HALO))
    painter.drawEllipse(at, radius, radius)
    pen = QPen(theme.data_colour("accent" if held else "mark"), 2.4 if held else 1.5)
    if not held:
        pen.setDashPattern((2.2, 1.8))
    painter.setPen(pen)
    painter.drawEllipse(at, radius, radius)


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a pill: text, or a swatch of ``colour`` (of ``side`` for a joint's glyph, with a white stripe where
    an earlier track has the colour)."""

    text: str = ""
    colour: QColor | None = None
    side: str = ""
    striped: bool = False
    strong: bool = False
    dim: bool = False


def pill_size(parts: Sequence[Part]) -> tuple[float, float]:
    """Return width and height in px that a pill of ``parts`` takes."""
    from PySide6.QtGui import QFontMetricsF

    width = 14.0
    for part in parts:
        if part.text:
            width += QFontMetricsF(theme.font(11.5, 600 if part.strong else 400)).horizontalAdvance(part.text) + 5
        else:
            width += 13
    return width - 5, 20.0


def paint_pill(painter: QPainter, rect: QRectF, parts: Sequence[Part], *, outlined: bool = False) -> None:
    """Paint a pill of ``parts`` into ``rect`` (of :func:`pill_size`)."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    painter.setPen(QPen(theme.data_colour("mark"), 1.3) if outlined else Qt.PenStyle.NoPen)
    painter.setBrush(QBrush(theme.data_colour("pill", 0.9)))
    painter.drawRoundedRect(rect, 4, 4)
    x = rect.x() + 7
    for part in parts:
        if part.text:
            font = theme.font(11.5, 600 if part.strong else 400)
            painter.setFont(font)
            painter.setPen(theme.data_colour("ink2" if part.dim else "ink"))
            width = painter.fontMetrics().horizontalAdvance(part.text)
            painter.drawText(
                QRectF(x, rect.y(), width + 4, rect.height()),
                int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
                part.text,
            )
            x += width + 5
        elif part.colour is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(part.colour)
            at = QPointF(x + 4, rect.center().y())
            if part.side:
                shape(painter, at, 4.0, part.side)
            else:
                painter.drawRoundedRect(QRectF(at.x() - 4, at.y() - 4, 8, 8), 2, 2)
                if part.striped:
                    painter.fillRect(QRectF(at.x() - 4, at.y() - 1, 8, 2), theme.data_colour("mark"))
            x += 13
