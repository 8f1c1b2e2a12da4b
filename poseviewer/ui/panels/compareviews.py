"""What the Compare panel shows: both poses on the person's picture, joints by distance, agreement over frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QModelIndex, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import Frame
from poseviewer.evaluation.agreement import Answer, Pair
from poseviewer.ui import theme
from poseviewer.ui.canvas.place import half_pixel
from poseviewer.ui.panels.aspect import AspectWidget
from poseviewer.ui.panels.glyphs import draw_pill, draw_side
from poseviewer.ui.panels.heat import colour_image
from poseviewer.ui.panels.joints import fitted
from poseviewer.ui.panels.plot import Plot
from poseviewer.ui.panels.rows_model import LEFT, RIGHT, ROW_ROLE, Index, RowsModel
from poseviewer.ui.panels.rows_table import RowsTable
from poseviewer.ui.panels.widgets import scaled
from poseviewer.ui.text import tr

ROW, MOST_ROWS = 21, 10
ROOM_FOR_BARS = 300
"""In a narrower table the bars give way to the joints' names."""
FAR = 0.05
"""Joints that lie farther apart than this share of the person's size get a figure in the picture."""
NAMED = 2
"""So many of them, the farthest."""
PAD = 0.12
"""Room around the person, as a share of their longer side."""
ROUND = 2.2
DIFFERENT = 0.85
"""Frames in which two answers agree less are worth going to."""


@dataclass(frozen=True, slots=True)
class JointDistance:
    """One row: a joint, pixels between both, their similarity, and both scores; NaN where there is none."""

    joint: int
    name: str
    side: str
    distance: float
    oks: float
    first: float
    second: float


def joint_distances(pair: Pair, kit: Skeleton) -> list[JointDistance]:
    """Return the joints that either side has: those that only one has first, then the farthest first."""

    def score(side: Answer | None, joint: int) -> float:
        return float(side.pose.scores[joint]) if side is not None and side.present[joint] else float("nan")

    rows = [
        JointDistance(
            joint, tr(kit.joints[joint]), kit.sides[joint], float(pair.distance[joint]), float(pair.joint_oks[joint]),
            score(pair.first, joint), score(pair.second, joint),
        )
        for joint in range(kit.count)
        if np.isfinite(pair.joint_oks[joint])
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.distance if np.isfinite(row.distance) else -np.inf)


class SideKey(QWidget):
    """How one side is drawn: a line with a joint, dashed and white for the first, whole in the accent for the other."""

    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self._first = first
        self.setFixedSize(26, 16)
        theme.notifier().changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            middle = self.rect().toRectF().center()
            looks = theme.current()
            pen = QPen(looks.colour("t1" if self._first else "accent"), 1.8)
            if self._first:
                pen.setDashPattern([2.0, 1.4])
            painter.setPen(pen)
            painter.drawLine(QPointF(1, middle.y()), QPointF(self.width() - 1, middle.y()))
            painter.setPen(QPen(pen.color(), 1.6))
            painter.setBrush(looks.colour("panel") if self._first else pen.color())
            painter.drawEllipse(middle, 3.4, 3.4)
        finally:
            painter.end()


class PairPicture(AspectWidget):
    """The person with both poses: the first dashed and white, the second in the accent, amber where they differ."""

    def __init__(self) -> None:
        super().__init__(tr("Both poses on the picture"), wide=320)
        self._frame: Frame | None = None
        self._pair: Pair | None = None
        self._kit: Skeleton | None = None
        self._joint: int | None = None

    def aspect(self) -> float:
        """Return the look's."""
        return 0.68

    def show_pair(self, frame: Frame | None, pair: Pair, kit: Skeleton, joint: int | None) -> None:
        """Show a pair on the frame, or on dark ground while the frame is not there."""
        self._frame, self._pair, self._kit, self._joint = frame, pair, kit, joint
        self.update()

    def part(self) -> QRectF:
        """Return the part of the frame that is shown, in the scene's coordinates and the widget's aspect."""
        sides = (self._pair.first, self._pair.second) if self._pair is not None else ()
        every = np.zeros((1, 2))
        known = [side for side in sides if side is not None]
        if known:
            places = [side.pose.keypoints[side.present] for side in known]
            every = half_pixel(
                np.concatenate([*places, *(side.pose.box.reshape(2, 2) for side in known)]), to_scene=True
            )
        low, high = every.min(axis=0), every.max(axis=0)
        size = np.maximum(high - low, 8.0) * (1 + 2 * PAD)
        aspect = self.width() / max(self.height(), 1)
        wide = max(float(size[0]), float(size[1]) * aspect)
        part = QRectF(0, 0, wide, wide / aspect)
        part.moveCenter(QPointF(*((low + high) / 2).tolist()))
        return part

    def paint_on(self, painter: QPainter) -> None:
        """Draw the picture's part and both poses."""
        if self._pair is not None and self._kit is not None:
            self._paint(painter, self._pair, self._kit)

    def _paint(self, painter: QPainter, pair: Pair, kit: Skeleton) -> None:
        part = self.part()
        scale = self.width() / part.width()
        if self._frame is not None:
            x, y = max(int(part.left()), 0), max(int(part.top()), 0)
            pixels = self._frame.pixels[y : max(int(part.bottom()) + 1, 0), x : max(int(part.right()) + 1, 0)]
            if pixels.size:
                place = QRectF((x - part.left()) * scale, (y - part.top()) * scale, 0, 0)
                place.setSize(QSize(pixels.shape[1], pixels.shape[0]).toSizeF() * scale)
                painter.drawImage(place, colour_image(pixels))
                painter.fillRect(place, theme.data_colour("halo", 0.25))

        def screen(side: Answer) -> npt.NDArray[np.float64]:
            corner = np.array([part.left(), part.top()])
            return np.asarray((half_pixel(side.pose.keypoints, to_scene=True) - corner) * scale)

        if pair.second is not None:
            _paint_side(painter, screen(pair.second), pair.second, kit, first=False)
        if pair.first is not None:
            _paint_side(painter, screen(pair.first), pair.first, kit, first=True)
        if pair.first is not None and pair.second is not None:
            self._paint_gaps(painter, pair, screen(pair.first), screen(pair.second))

    def _paint_gaps(
        self, painter: QPainter, pair: Pair, first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
    ) -> None:
        """Join what lies far apart by amber lines, with a figure at the farthest, and ring the selected joint."""
        size = float(np.sqrt(pair.first.area())) if pair.first is not None else 1.0
        distance = np.nan_to_num(pair.distance)
        far = [joint for joint in np.argsort(-distance).tolist() if distance[joint] > FAR * size]
        for joint in far:
            line = QLineF(QPointF(*first[joint].tolist()), QPointF(*second[joint].tolist()))
            for colour, width in ((theme.data_colour("halo", 0.72), 3.6), (theme.data_colour("left"), 1.6)):
                painter.setPen(QPen(colour, width))
                painter.drawLine(line)
        wide = QFontMetrics(theme.font(11)).horizontalAdvance("000 px") + 14.0
        taken: list[QRectF] = []
        for joint in far[:NAMED]:
            x, y = ((first[joint] + second[joint]) / 2 + [8, -22]).tolist()
            place = QPointF(min(max(x, 4.0), self.width() - wide), min(max(y, 4.0), self.height() - 24.0))
            if any(box.contains(place) for box in taken):
                place.setY(place.y() + 24)
            pill = draw_pill(painter, f"{distance[joint]:.0f} px", place, token="left")
            taken.append(pill.adjusted(-pill.width(), -pill.height(), 0, 0))
        if self._joint is not None and self._joint < len(second):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.data_colour("mark"), 2))
            shown = second if pair.second is not None and pair.second.present[self._joint] else first
            painter.drawEllipse(QPointF(*shown[self._joint].tolist()), 8, 8)


def _paint_side(
    painter: QPainter, points: npt.NDArray[np.float64], side: Answer, kit: Skeleton, *, first: bool
) -> None:
    """Paint one side's limbs and joints at ``(K, 2)`` widget px."""
    lines = [
        QLineF(QPointF(*points[a].tolist()), QPointF(*points[b].tolist()))
        for a, b in kit.limbs
        if side.present[a] and side.present[b]
    ]
    colour = theme.data_colour("mark" if first else "accent")
    pen = QPen(colour, 1.4 if first else 2.2)
    if first:
        pen.setDashPattern([2.6, 2.4])
    else:
        painter.setPen(QPen(theme.data_colour("halo", 0.72), 4.4))
        painter.drawLines(lines)
    painter.setPen(pen)
    painter.drawLines(lines)
    radius = ROUND if kit.count > 40 else 3.0
    painter.setPen(QPen(colour if first else theme.data_colour("halo", 0.72), 1.4))
    # Rings, so that the other side's joints are seen where both agree.
    painter.setBrush(Qt.BrushStyle.NoBrush if first else QBrush(colour))
    radius += 1.2 if first else 0.0
    for joint in np.flatnonzero(side.present):
        painter.drawEllipse(QPointF(*points[joint].tolist()), radius, radius)


NAME, BAR, PIXELS, OKS, FIRST, SECOND = range(6)


class DistanceModel(RowsModel[JointDistance]):
    """The joints as a table.

    Attributes:
        longest: pixels of the longest bar.
    """

    def __init__(self) -> None:
        heads = (tr("Joint"), "", tr("px"), tr("OKS"), tr("Score A"), tr("B"))
        super().__init__(heads, (LEFT, LEFT, RIGHT, RIGHT, RIGHT, RIGHT))
        self.longest = 1.0

    def show_rows(self, rows: list[JointDistance]) -> None:
        """Show other rows, with bars as long as the farthest needs."""
        self.longest = max([row.distance for row in rows if np.isfinite(row.distance)], default=0.0) or 1.0
        super().show_rows(rows)

    def same_things(self, before: list[JointDistance], after: list[JointDistance]) -> bool:
        """Return whether the same joints are listed in the same order."""
        return [row.joint for row in before] == [row.joint for row in after]

    def words(self, row: JointDistance, column: int) -> str:
        """Return what a cell says; a joint that one side lacks has no distance."""
        cells = (
            row.name,
            "",
            _figure(row.distance, 1),
            _figure(row.oks, 2),
            _figure(row.first, 2),
            _figure(row.second, 2),
        )
        return cells[column]

    def place_of(self, joint: int | None) -> int:
        """Return the row of a joint, -1 if it is not listed."""
        return next((place for place, row in enumerate(self._rows) if row.joint == joint), -1)


def _figure(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


class DistanceDelegate(QStyledItemDelegate):
    """Draws the cells: the side's glyph, a bar, figures to the right."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one cell."""
        entry: JointDistance = index.data(ROW_ROLE)
        looks = theme.current()
        cell: QRect = option.rect
        area = QRectF(cell)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.fillRect(cell, looks.colour("selected"))
        painter.setFont(theme.font(12))
        column = index.column()
        different = np.isfinite(entry.oks) and entry.oks < 0.5
        if column == NAME:
            draw_side(painter, entry.side, QPointF(area.left() + 9, area.center().y()), 4.2)
            painter.setPen(looks.colour("t1"))
            name = fitted(entry.name, int(area.width() - 22), painter.fontMetrics())
            painter.drawText(area.adjusted(20, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, name)
        elif column == BAR:
            model = index.model()
            longest = model.longest if isinstance(model, DistanceModel) else 1.0
            bar = QRectF(area.left() + 2, area.center().y() - 1.5, max(area.width() - 8, 4), 3.5)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(looks.colour("edge", 0.3))
            painter.drawRoundedRect(bar, 1.5, 1.5)
            if np.isfinite(entry.distance):
                bar.setWidth(bar.width() * min(entry.distance / longest, 1.0))
                painter.setBrush(looks.colour("warn" if different else "accent"))
                painter.drawRoundedRect(bar, 1.5, 1.5)
        else:
            dim = column in (OKS, FIRST) and not (column == OKS and different)
            painter.setPen(looks.colour("warn" if column == OKS and different else "t2" if dim else "t1"))
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(area.adjusted(0, 0, -6, 0), right, str(index.data()))
        painter.restore()


class DistanceTable(RowsTable):
    """Joints by distance. ``picked`` carries the joint that a person chose."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__(tr("Joints by distance"), ROW)
        self.rows = DistanceModel()
        self.setModel(self.rows)
        self.setItemDelegate(DistanceDelegate(self))
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self._quiet = False
        self.selectionModel().currentRowChanged.connect(self._row_changed)

    def show_rows(self, rows: list[JointDistance], joint: int | None) -> None:
        """Show rows with the selected joint's marked, without a signal."""
        self._quiet = True
        self.rows.show_rows(rows)
        self._fit_columns()
        self.verticalHeader().setDefaultSectionSize(scaled(ROW))
        count = min(max(len(rows), 1), MOST_ROWS)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + scaled(ROW) * count + 2)
        place = self.rows.place_of(joint)
        if place < 0:
            self.setCurrentIndex(QModelIndex())
            self.clearSelection()
        else:
            self.setCurrentIndex(self.rows.index(place, 0))
        self._quiet = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show bars where there is room for them."""
        super().resizeEvent(event)
        self._fit_columns()

    def _fit_columns(self) -> None:
        self.setColumnHidden(BAR, self.width() < scaled(ROOM_FOR_BARS))
        for column, width in ((BAR, 42), (PIXELS, 42), (OKS, 38), (FIRST, 60), (SECOND, 36)):
            self.horizontalHeader().resizeSection(column, scaled(width))

    def _row_changed(self, index: QModelIndex) -> None:
        row = self.rows.row_at(index.row())
        if not self._quiet and row is not None:
            self.picked.emit(row.joint)


class AgreementPlot(Plot):
    """OKS of frames around the one on screen. ``picked`` carries the frame that a person clicked."""

    picked = Signal(int)
    LOW = 0.4
    """The scale reaches down to here at least."""

    def __init__(self) -> None:
        super().__init__(72)
        self._values: Mapping[int, float] = {}
        self._span, self._now = (0, 1), 0
        self.setAccessibleName(tr("Agreement of the frames around"))

    def show_values(self, values: Mapping[int, float], span: tuple[int, int], now: int) -> None:
        """Show the values of frames span[0]..span[1], as far as they are known."""
        self._values, self._span, self._now = values, span, now
        self.update()

    def _x(self, frame: float, box: QRectF) -> float:
        first, last = self._span
        return box.left() + 6 + (frame - first) / max(last - first, 1) * (box.width() - 12)

    def paint_plot(self, painter: QPainter, box: QRectF) -> None:
        """Draw the curve, the threshold and the playhead."""
        looks = theme.current()
        known = {frame: value for frame, value in self._values.items() if self._span[0] <= frame <= self._span[1]}
        finite = [value for value in known.values() if np.isfinite(value)]
        low = min([self.LOW, *finite])

        def y(value: float) -> float:
            return box.bottom() - 5 - (value - low) / max(1.0 - low, 1e-6) * (box.height() - 12)

        pen = QPen(looks.colour("warn"), 1)
        pen.setDashPattern([3, 3])
        painter.setPen(pen)
        painter.drawLine(QLineF(box.left() + 2, y(DIFFERENT), box.right() - 2, y(DIFFERENT)))
        painter.setPen(QPen(looks.colour("accent"), 1.5))
        run: list[QPointF] = []
        for frame in range(self._span[0], self._span[1] + 2):
            value = known.get(frame, float("nan"))
            if np.isfinite(value):
                run.append(QPointF(self._x(frame, box), y(value)))
                continue
            if len(run) > 1:
                painter.drawPolyline(QPolygonF(run))
            elif run:
                painter.drawPoint(run[0])
            run = []
        x = self._x(self._now, box)
        painter.setPen(QPen(looks.colour("t1"), 1.5))
        painter.drawLine(QLineF(x, box.top() + 1, x, box.bottom() - 1))
        painter.setFont(theme.font(10))
        painter.setPen(looks.colour("t2"))
        for frame, side in ((self._span[0], Qt.AlignmentFlag.AlignLeft), (self._span[1], Qt.AlignmentFlag.AlignRight)):
            painter.drawText(QRectF(box.left() + 2, box.bottom() + 1, box.width() - 4, self.AXIS - 1), side, str(frame))

    def frame_at(self, x: float) -> int:
        """Return which frame is at a widget x."""
        share = (x - 6.5) / max(self.width() - 13, 1)
        return round(self._span[0] + min(max(share, 0.0), 1.0) * (self._span[1] - self._span[0]))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame under the pointer."""
        self.picked.emit(self.frame_at(event.position().x()))
