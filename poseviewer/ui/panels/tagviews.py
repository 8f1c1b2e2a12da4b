"""Pictures of the tags panel: people and a tag map on the frame, tag against joint, and tables of groups and calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QLineF, QModelIndex, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QImage,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPen,
    QTransform,
)
from PySide6.QtWidgets import (
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, NO_JOINT, REFINED, VISIBLE, Candidates, Frame, Grouping
from poseviewer.ui import theme
from poseviewer.ui.canvas.paint import Figure, add_shape, paint_figure
from poseviewer.ui.canvas.place import grid_transform, screen_points
from poseviewer.ui.canvas.tagmap import tag_image, tag_span
from poseviewer.ui.panels.framepicture import FramePicture
from poseviewer.ui.panels.plot import Plot, axis_values
from poseviewer.ui.panels.rows_model import LEFT, RIGHT, ROW_ROLE, Index, RowsModel
from poseviewer.ui.panels.rows_table import RowsTable
from poseviewer.ui.panels.tagwords import Call, Calls, Group, tag_text
from poseviewer.ui.panels.widgets import scaled
from poseviewer.ui.text import tr

ROW = 22
SHAPES = ("left", "right", "centre")
"""Circle, square, diamond, in turn: the shape tells people apart where the colour does not."""
MOST_LABELS = 26
"""Above so many joints the axis leaves their names out."""
CLOSE = 9.0


@dataclass(frozen=True, slots=True, eq=False)
class TagScene:
    """What the pictures show.

    Attributes:
        candidates, why: of the frame.
        calls: why joints became people.
        kept: candidates that became people, in order.
        numbers: by candidate the number of its person, 0 for none.
        names: of the candidates, as sentences have them.
        skeleton: the project's.
        chosen: selected candidate and joint, or None each.
    """

    candidates: Candidates
    why: Grouping
    calls: Calls
    kept: tuple[int, ...]
    numbers: tuple[int, ...]
    names: tuple[str, ...]
    skeleton: Skeleton
    chosen: tuple[int | None, int | None]

    def colour(self, candidate: int) -> QColor:
        """Return the colour of a candidate: of its person's number, grey for none."""
        number = self.numbers[candidate]
        return theme.track_colour(number) if number else theme.current().colour("edge")

    def shape(self, candidate: int) -> str:
        """Return the shape of a candidate's points."""
        return SHAPES[(self.numbers[candidate] - 1) % len(SHAPES)]


class TagPicture(FramePicture):
    """The frame with people in their colours; the selected joint's tag map beneath them if wanted.

    ``chosen`` carries the candidate and joint that a person clicked.
    """

    chosen = Signal(int, int)

    def __init__(self) -> None:
        super().__init__(tr("People on the picture, coloured by group"), tallest=0.56, dim=0.35)
        self._scene: TagScene | None = None
        self._map: tuple[object, QImage] | None = None

    def show_scene(self, frame: Frame | None, scene: TagScene, *, tag_map: bool, span: tuple[float, float]) -> None:
        """Show people, and the selected joint's tag map in colours that go over ``span``."""
        self._scene = scene
        joint = scene.chosen[1]
        key = (id(scene.why), joint, span)
        if tag_map and joint is not None and joint < len(scene.why.tags):
            if self._map is None or self._map[0] != key:
                self._map = (key, tag_image(scene.why.tags[joint, :, :, 0], span))
        else:
            self._map = None
        self.show_frame(frame)

    def _view(self) -> QTransform:
        """How the scene comes where the picture is painted."""
        box, scale = self.placement()
        return QTransform(scale, 0, 0, scale, box.left(), box.top())

    def paint_over(self, painter: QPainter, box: QRectF, scale: float) -> None:
        """Draw tag map and people."""
        if self._scene is not None:
            self._paint_map(painter, self._scene, self._view())
            self._paint_people(painter, self._scene, self._view())

    def _paint_map(self, painter: QPainter, scene: TagScene, view: QTransform) -> None:
        if self._map is None:
            return
        painter.save()
        painter.setTransform(grid_transform(scene.why.map_to_frame) * view, True)
        painter.setOpacity(0.75)
        painter.drawImage(QPointF(0, 0), self._map[1])
        painter.restore()

    def _paint_people(self, painter: QPainter, scene: TagScene, view: QTransform) -> None:
        chosen, joint = scene.chosen
        for candidate in sorted(scene.kept, key=lambda one: one == chosen):
            points = screen_points(scene.candidates.keypoints[candidate], view)
            seen = np.where(scene.why.how[candidate] == NO_JOINT, ABSENT, VISIBLE).astype(np.uint8)
            selected = candidate == chosen
            figure = Figure(points, seen, scene.numbers[candidate], chosen=joint if selected else None)
            paint_figure(painter, figure, scene.skeleton, "track")
            if selected and joint is not None and joint < len(points) and seen[joint] != ABSENT:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                for colour, width in ((theme.data_colour("halo", 0.72), 4.0), (theme.data_colour("mark"), 2.0)):
                    painter.setPen(QPen(colour, width))
                    painter.drawEllipse(QPointF(*points[joint].tolist()), 8, 8)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the joint that was clicked."""
        scene = self._scene
        if scene is None or not scene.kept:
            return
        view = self._view()
        at = np.array([event.position().x(), event.position().y()])
        points = screen_points(scene.candidates.keypoints[list(scene.kept)], view)
        away = np.linalg.norm(points - at, axis=2)
        away[scene.why.how[list(scene.kept)] == NO_JOINT] = np.inf
        person, joint = np.unravel_index(int(away.argmin()), away.shape)
        if away[person, joint] <= CLOSE:
            self.chosen.emit(scene.kept[int(person)], int(joint))


class TagPlot(Plot):
    """Tags against joints, coloured by person. ``chosen`` carries the candidate and joint that was clicked."""

    AXIS = 62
    HEIGHT = 190
    LEFT = 34.0
    chosen = Signal(int, int)

    def __init__(self) -> None:
        super().__init__(self.HEIGHT)
        self._scene: TagScene | None = None
        self._part = 0
        self.setAccessibleName(tr("Tag of every keypoint"))

    def show_scene(self, scene: TagScene, part: int) -> None:
        """Show dimension ``part`` of the tags."""
        self._scene, self._part = scene, part
        self.update()

    def span(self, scene: TagScene, part: int) -> tuple[float, float]:
        """Return the lowest and highest value of the axis."""
        return tag_span(scene.why, scene.kept, part)

    def _place(self, box: QRectF, joint: float, value: float) -> QPointF:
        """Where a joint's value is painted."""
        scene = self._scene
        if scene is None:
            return QPointF()
        low, high = self.span(scene, self._part)
        step = (box.width() - self.LEFT - 8) / max(len(scene.why.tags), 1)
        x = box.left() + self.LEFT + (joint + 0.5) * step
        return QPointF(x, box.bottom() - (value - low) / (high - low) * box.height())

    def paint_plot(self, painter: QPainter, box: QRectF) -> None:
        """Draw axes, every person's band and mean, then the points; the selected joint with its distances."""
        scene = self._scene
        if scene is None:
            return
        self._paint_axes(painter, box, scene)
        painter.save()
        painter.setClipRect(box)
        for group in scene.calls.groups():
            self._paint_group(painter, box, scene, group)
        for candidate in sorted(scene.kept, key=lambda one: one == scene.chosen[0]):
            self._paint_points(painter, box, scene, candidate)
        self._paint_choice(painter, box, scene)
        painter.restore()

    def _paint_axes(self, painter: QPainter, box: QRectF, scene: TagScene) -> None:
        looks = theme.current()
        painter.setFont(theme.font(10))
        for value in axis_values(*self.span(scene, self._part), most=7):
            y = self._place(box, 0, value).y()
            painter.setPen(QPen(looks.colour("line"), 1))
            painter.drawLine(QLineF(box.left() + self.LEFT, y, box.right(), y))
            painter.setPen(looks.colour("t3"))
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(box.left(), y - 8, self.LEFT - 5, 16), right, f"{value:g}")
        joints = scene.skeleton.joints
        if len(joints) > MOST_LABELS:
            return
        for joint, name in enumerate(joints):
            at = self._place(box, joint, 0)
            chosen = joint == scene.chosen[1]
            painter.save()
            painter.setFont(theme.font(10, 600 if chosen else 400))
            painter.setPen(looks.colour("t1" if chosen else "t3"))
            painter.translate(at.x() + 3, box.bottom() + 6)
            painter.rotate(-60)
            words = painter.fontMetrics().elidedText(short_joint(tr(name)), Qt.TextElideMode.ElideRight, 62)
            painter.drawText(
                QRectF(-64, -6, 62, 13), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words
            )
            painter.restore()

    def _paint_group(self, painter: QPainter, box: QRectF, scene: TagScene, group: Group) -> None:
        colour = QColor(scene.colour(group.candidate))
        mean, reach = group.mean[self._part], max(group.spread, 0.01)
        low, high = (self._place(box, 0, value).y() for value in (mean - reach, mean + reach))
        colour.setAlphaF(0.16)
        painter.fillRect(QRectF(box.left() + self.LEFT, high, box.width() - self.LEFT, max(low - high, 1.0)), colour)
        colour.setAlphaF(0.9)
        y = self._place(box, 0, mean).y()
        painter.setPen(QPen(colour, 1))
        painter.drawLine(QLineF(box.left() + self.LEFT, y, box.right(), y))

    def _paint_points(self, painter: QPainter, box: QRectF, scene: TagScene, candidate: int) -> None:
        looks = theme.current()
        colour = scene.colour(candidate)
        for joint, how in enumerate(scene.why.how[candidate].tolist()):
            if how == NO_JOINT:
                continue
            at = self._place(box, joint, float(scene.why.joint_tags[candidate, joint, self._part]))
            path = QPainterPath()
            add_shape(path, at, 3.6, scene.shape(candidate))
            # A joint that was found afterwards is hollow: its tag was not what brought it here.
            hollow = how == REFINED
            if hollow:
                if not looks.dark:
                    painter.strokePath(path, QPen(theme.data_colour("edge_light", 0.5), 2.6))
                painter.strokePath(path, QPen(colour, 1.4))
            else:
                edge = looks.colour("plot") if looks.dark else theme.data_colour("edge_light", 0.5)
                painter.setPen(QPen(edge, 1.0))
                painter.setBrush(colour)
                painter.drawPath(path)

    def _paint_choice(self, painter: QPainter, box: QRectF, scene: TagScene) -> None:
        candidate, joint = scene.chosen
        call = scene.calls.call(candidate, joint) if candidate is not None and joint is not None else None
        if call is None:
            return
        looks = theme.current()
        at = self._place(box, call.joint, call.tag[self._part])
        if call.other >= 0:
            mean = float(scene.calls.mean_when(call.other, call)[self._part])
            self._paint_distance(painter, at, mean, call.joint, box, scene.colour(call.other), call.other_distance)
        if call.mean:
            own = scene.colour(call.candidate)
            self._paint_distance(painter, at, call.mean[self._part], call.joint, box, own, call.distance, own=True)
        path = QPainterPath()
        add_shape(path, at, 4.6, scene.shape(call.candidate))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(scene.colour(call.candidate))
        painter.drawPath(path)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(looks.colour("t1"), 1.6))
        painter.drawEllipse(at, 8, 8)

    def _paint_distance(
        self,
        painter: QPainter,
        at: QPointF,
        mean: float,
        joint: int,
        box: QRectF,
        colour: QColor,
        distance: float,
        *,
        own: bool = False,
    ) -> None:
        """Draw a line from a point to a mean with the distance beside it: solid to the own person's."""
        end = self._place(box, joint, mean)
        pen = QPen(colour, 1.8 if own else 1.4)
        if not own:
            pen.setDashPattern([2.5, 2.5])
        painter.setPen(pen)
        painter.drawLine(QLineF(at, end))
        if abs(end.y() - at.y()) < 22:
            return
        painter.setFont(theme.font(10, 600 if own else 400))
        painter.setPen(theme.current().colour("t1" if own else "t2"))
        middle = (at.y() + end.y()) / 2
        width = 40.0
        left = at.x() + 11 if at.x() + 11 + width < box.right() else at.x() - 11 - width
        side = Qt.AlignmentFlag.AlignLeft if left > at.x() else Qt.AlignmentFlag.AlignRight
        painter.drawText(QRectF(left, middle - 8, width, 16), side | Qt.AlignmentFlag.AlignVCenter, f"{distance:.2f}")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the point that was clicked."""
        scene = self._scene
        if scene is None:
            return
        box = QRectF(0.5, 0.5, self.width() - 1, self.height() - self.AXIS - 1)
        best: tuple[float, int, int] | None = None
        for candidate in scene.kept:
            for joint in np.flatnonzero(scene.why.how[candidate] != NO_JOINT).tolist():
                at = self._place(box, joint, float(scene.why.joint_tags[candidate, joint, self._part]))
                away = QLineF(at, event.position()).length()
                # Of equally near ones the selected person's is meant less: a second click shows who is beneath.
                if away <= CLOSE and (best is None or (away, candidate == scene.chosen[0]) < (best[0], False)):
                    best = (away, candidate, joint)
        if best is not None:
            self.chosen.emit(best[1], best[2])


def short_joint(name: str) -> str:
    """Return a joint's name with its side as one letter, for axes."""
    for side in ("left ", "right "):
        if name.startswith(side):
            return f"{side[0]} {name.removeprefix(side)}"
    return name


class GroupsModel(RowsModel[Group]):
    """The people as a table."""

    scene: TagScene

    def __init__(self) -> None:
        heads = (tr("Group"), tr("Joints"), tr("Mean tag"), tr("Spread"), tr("Gap"))
        super().__init__(heads, (LEFT, RIGHT, RIGHT, RIGHT, RIGHT))

    def words(self, row: Group, column: int) -> str:
        """Return what a cell says."""
        gap = f"{row.gap:.2f}" if row.nearest >= 0 else "–"
        cells = (self.scene.names[row.candidate], str(row.joints), tag_text(row.mean), f"{row.spread:.2f}", gap)
        return cells[column]


class CallsModel(RowsModel[Call]):
    """The closest calls as a table."""

    scene: TagScene

    def __init__(self) -> None:
        heads = (tr("Joint"), tr("Tag"), tr("Went to"), tr("Distance"), tr("Runner-up"))
        super().__init__(heads, (LEFT, RIGHT, LEFT, RIGHT, RIGHT))

    def words(self, row: Call, column: int) -> str:
        """Return what a cell says."""
        cells = (
            tr(self.scene.skeleton.joints[row.joint]),
            tag_text(row.tag),
            self.scene.names[row.candidate],
            f"{row.distance:.2f}",
            f"{row.other_distance:.2f}",
        )
        return cells[column]


class TagDelegate(QStyledItemDelegate):
    """Draws cells: figures to the right, and a swatch in the person's colour before the column that names it."""

    def __init__(self, parent: QTableView, named: int) -> None:
        super().__init__(parent)
        self._named = named

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one cell."""
        model: Any = index.model()
        entry: Group | Call = index.data(ROW_ROLE)
        looks = theme.current()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if bool(option.state & QStyle.StateFlag.State_Selected):
            painter.fillRect(option.rect, looks.colour("selected"))
        area = QRectF(option.rect).adjusted(6, 0, -6, 0)
        side = Qt.AlignmentFlag.AlignRight
        if index.column() == self._named:
            path = QPainterPath()
            add_shape(path, QPointF(area.left() + 4, area.center().y()), 3.8, model.scene.shape(entry.candidate))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(model.scene.colour(entry.candidate))
            painter.drawPath(path)
            area.setLeft(area.left() + 14)
        if index.column() == self._named or index.column() == 0:
            side = Qt.AlignmentFlag.AlignLeft
        painter.setFont(theme.font(12))
        painter.setPen(looks.colour("t1"))
        text = painter.fontMetrics().elidedText(str(index.data()), Qt.TextElideMode.ElideRight, int(area.width()))
        painter.drawText(area, side | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()


class TagTable(RowsTable):
    """A table of groups or calls. ``picked`` carries the row's number when a person chose one."""

    picked = Signal(int)

    def __init__(self, model: GroupsModel | CallsModel, name: str, *, named: int, most: int) -> None:
        super().__init__(name, ROW)
        self.rows = model
        self.setModel(model)
        self.setItemDelegate(TagDelegate(self, named))
        header = self.horizontalHeader()
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._named, self._most, self._quiet = named, most, False
        self.selectionModel().currentRowChanged.connect(self._row_changed)

    def show_rows(self, scene: TagScene, rows: Sequence[Any], selected: int | None) -> None:
        """Show rows with one selected, without a signal."""
        self._quiet = True
        self.rows.scene = scene
        self.rows.show_rows(list(rows))
        self.verticalHeader().setDefaultSectionSize(scaled(ROW))
        for column in range(1, self.rows.columnCount()):
            cells = [self.rows.words(entry, column) for entry in rows]
            head = str(self.rows.headerData(column, Qt.Orientation.Horizontal))
            room = 28 if column == self._named else 14
            widest = max(QFontMetrics(theme.font(12)).horizontalAdvance(words) for words in cells or [""])
            named = QFontMetrics(theme.font(11)).horizontalAdvance(head)
            self.horizontalHeader().resizeSection(column, max(widest, named) + scaled(room))
        count = min(max(len(rows), 1), self._most)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + scaled(ROW) * count + 2)
        if selected is None:
            self.setCurrentIndex(QModelIndex())
            self.clearSelection()
        else:
            self.setCurrentIndex(self.rows.index(selected, 0))
        self._quiet = False

    def _row_changed(self, index: QModelIndex) -> None:
        if not self._quiet and index.isValid():
            self.picked.emit(index.row())
