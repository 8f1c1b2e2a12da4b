"""The joints of the selected person: seen or not, how sure, and how far a correction moved them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from poseviewer.core.skeleton import FINE_WORDS, Skeleton
from poseviewer.core.values import ABSENT, LOW_SCORE, OCCLUDED, VISIBLE, Array, Person
from poseviewer.session.actions import action
from poseviewer.ui import theme
from poseviewer.ui.panels.glyphs import OUTLINE, draw_diamond, draw_seen, draw_side
from poseviewer.ui.panels.peaks import two_peaked
from poseviewer.ui.panels.rows_model import LEFT, MIDDLE, RIGHT, ROW_ROLE, Index, RowsModel
from poseviewer.ui.panels.rows_table import RowsTable
from poseviewer.ui.panels.widgets import (
    EmptyState,
    Heading,
    KeyCap,
    Label,
    Panel,
    Segments,
    column,
    row,
    scaled,
)
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

ROW = 21
BAR = 24
NARROW = 250
"""Below this width a row shows figures without bars."""
JOINT, SEEN, SCORE, MOVED = range(4)
MANY = 40
"""From so many joints on the table can be narrowed to a part of the body."""
HAND_WORDS = FINE_WORDS - {"toe", "heel"}
FINGERS = {"forefinger": "fore", "middle": "mid", "pinky": "little", "finger": "", "thumb": "thum"}
"""English words of finger joints as a tile or a narrow row has room for them; other languages have short ones."""
CYCLE = {VISIBLE: OCCLUDED, OCCLUDED: ABSENT, ABSENT: VISIBLE}
HINTS = (("occluded", "occluded"), ("absent", "absent"), ("swap_sides", "swap sides"))
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class JointRow:
    """What one row shows.

    Attributes:
        joint: index. name: translated. side: left, right or centre.
        visibility: 0, 1, 2.
        score: of the prediction, NaN where a hand placed the joint without one.
        moved: pixels between prediction and correction, 0 where it stayed.
        doubtful: low score or a second peak, of a person whom no hand has confirmed yet.
    """

    joint: int
    name: str
    side: str
    visibility: int
    score: float
    moved: float
    doubtful: bool


def joint_rows(person: Person, skeleton: Skeleton, doubled: Flags | None) -> list[JointRow]:
    """Return a row for each joint.

    Args:
        person: whose.
        skeleton: of K joints.
        doubled: ``(K,)`` which joints have two peaks, or None without evidence.
    """
    rows = []
    by_hand = not float(np.max(person.pose.scores, initial=0.0))
    for joint in range(skeleton.count):
        visibility = int(person.visibility[joint])
        score = float(person.pose.scores[joint])
        moved = 0.0
        if person.prediction is not None and visibility != ABSENT:
            moved = float(np.linalg.norm(person.pose.keypoints[joint] - person.prediction.keypoints[joint]))
        two = doubled is not None and joint < len(doubled) and bool(doubled[joint])
        open_to_doubt = visibility != ABSENT and person.state == "predicted" and not by_hand
        doubtful = open_to_doubt and (score < LOW_SCORE or two)
        rows.append(
            JointRow(
                joint, tr(skeleton.joints[joint]), skeleton.sides[joint], visibility,
                float("nan") if by_hand else score, moved, doubtful,
            )
        )  # fmt: skip
    return rows


class JointsModel(RowsModel[JointRow]):
    """The rows as a table model."""

    def __init__(self) -> None:
        super().__init__((tr("Joint"), tr("Seen"), tr("Score"), tr("Moved")), (LEFT, MIDDLE, LEFT, RIGHT))

    def show_rows(self, rows: list[JointRow]) -> None:
        """Show other rows; equal ones, as when only the evidence comes, are not painted again."""
        if rows != self._rows:
            super().show_rows(rows)

    def same_things(self, before: list[JointRow], after: list[JointRow]) -> bool:
        """Return whether the same joints are listed."""
        return [entry.joint for entry in before] == [entry.joint for entry in after]

    def words(self, row: JointRow, column: int) -> str:
        """Return what a cell says."""
        return cell_text(row, column)

    def tip(self, row: JointRow, column: int) -> str | None:
        """Return what a click does."""
        return tr("Click: visible, occluded, absent") if column == SEEN else row.name if column == JOINT else None

    def place_of(self, joint: int | None) -> int:
        """Return the row of a joint, -1 if it is not listed."""
        return next((i for i, entry in enumerate(self._rows) if entry.joint == joint), -1)


def cell_text(entry: JointRow, column_: int) -> str:
    """Return what a cell says in words and figures."""
    if column_ == JOINT:
        return entry.name
    if column_ == SEEN:
        return tr(OUTLINE[entry.visibility])
    if column_ == SCORE:
        return "–" if entry.visibility == ABSENT or np.isnan(entry.score) else f"{entry.score:.2f}"
    return f"{entry.moved:.1f}" if entry.moved >= 0.05 else ""


def part_of(name: str) -> str:
    """Return the part of a whole-body set that a joint belongs to: body, face or hands."""
    words = name.split()
    return "face" if words[0] == "face" else "hands" if HAND_WORDS & set(words) else "body"


def short_finger(name: str) -> str:
    """Return the name of a numbered finger joint with a short word for the finger; others as they are."""
    if not name[-1:].isdigit():
        return name
    return " ".join(short for word in name.split() if (short := FINGERS.get(word, word)))


def elide_mode(name: str) -> Qt.TextElideMode:
    """Return where a name may be shortened: a number at its end tells it from its neighbours."""
    return Qt.TextElideMode.ElideMiddle if name[-1:].isdigit() else Qt.TextElideMode.ElideRight


def fitted(name: str, room: int, metrics: QFontMetrics) -> str:
    """Return a joint's name for ``room`` px; its side shrinks to a letter first, then a finger to a syllable."""
    first, _, rest = name.partition(" ")
    if rest and first in ("left", "right") and metrics.horizontalAdvance(name) > room:
        name = f"{first[0]} {rest}"
    if metrics.horizontalAdvance(name) > room:
        name = short_finger(name)
    return metrics.elidedText(name, elide_mode(name), room)


class JointDelegate(QStyledItemDelegate):
    """Draws the cells of the joint table."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return the height of a row."""
        return QSize(40, ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one cell."""
        entry: JointRow = index.data(ROW_ROLE)
        looks = theme.current()
        cell: QRect = option.rect
        state: QStyle.StateFlag = option.state
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if chosen:
            painter.fillRect(cell, looks.colour("selected"))
        area = QRectF(cell)
        painter.setFont(theme.font(12))
        paint = (self._joint, self._seen, self._score, self._moved)[index.column()]
        paint(painter, area, entry, "t2" if chosen else "t3")
        painter.restore()

    def _joint(self, painter: QPainter, area: QRectF, entry: JointRow, hint: str) -> None:
        looks = theme.current()
        absent = entry.visibility == ABSENT
        draw_side(painter, entry.side, QPointF(area.left() + 19, area.center().y()), 4.2)
        painter.setPen(looks.colour(hint if absent else "t1"))
        words = area.adjusted(30, 0, 0, 0)
        metrics = painter.fontMetrics()
        room = words.width() - (12 if entry.doubtful else 0)
        name = fitted(entry.name, int(room), metrics)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, name)
        if entry.doubtful:
            x = words.left() + metrics.horizontalAdvance(name) + 8
            draw_diamond(painter, QPointF(x, area.center().y()), 3.2, looks.colour("warn"))

    def _seen(self, painter: QPainter, area: QRectF, entry: JointRow, hint: str) -> None:
        token = hint if entry.visibility == ABSENT else "t1"
        draw_seen(painter, entry.visibility, area.center(), theme.current().colour(token))

    def _score(self, painter: QPainter, area: QRectF, entry: JointRow, hint: str) -> None:
        looks = theme.current()
        text = cell_text(entry, SCORE)
        if text == "–":
            painter.setPen(looks.colour(hint))
            painter.drawText(area.adjusted(4, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)
            return
        low = entry.doubtful and entry.score < LOW_SCORE
        if area.width() < scaled(50):
            painter.setPen(looks.colour("warn" if low else "t1"))
            painter.drawText(area.adjusted(4, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)
            return
        bar = QRectF(area.left() + 4, area.center().y() - 1.5, BAR, 3.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(looks.colour("edge", 0.35))
        painter.drawRoundedRect(bar, 1.5, 1.5)
        bar.setWidth(BAR * min(max(entry.score, 0.0), 1.0))
        painter.setBrush(looks.colour("warn" if low else "t2"))
        painter.drawRoundedRect(bar, 1.5, 1.5)
        painter.setPen(looks.colour("t1"))
        painter.drawText(area.adjusted(10 + BAR, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)

    def _moved(self, painter: QPainter, area: QRectF, entry: JointRow, hint: str) -> None:
        painter.setPen(theme.current().colour("ok"))
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        edge = -11 if area.width() > scaled(40) else -4
        painter.drawText(area.adjusted(0, 0, edge, 0), right, cell_text(entry, MOVED))


class JointsTable(RowsTable):
    """The table: rows of 21 px, no grid, whole rows selected."""

    def __init__(self) -> None:
        super().__init__(tr("Joints"), ROW)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setItemDelegate(JointDelegate(self))

    def lay_out_columns(self) -> None:
        """Give the name what the figures leave over."""
        header = self.horizontalHeader()
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(JOINT, QHeaderView.ResizeMode.Stretch)
        for section in (SEEN, SCORE, MOVED):
            header.setSectionResizeMode(section, QHeaderView.ResizeMode.Fixed)
        self._fit(NARROW)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the bars out where the table is narrow."""
        super().resizeEvent(event)
        self._fit(event.size().width())

    def _fit(self, width: int) -> None:
        wide = width >= scaled(NARROW)
        widths = (38, 62, 52) if wide else (32, 36, 40)
        padding = "" if wide else "QHeaderView::section { padding: 3px 1px; }"
        if self.horizontalHeader().styleSheet() != padding:
            self.horizontalHeader().setStyleSheet(padding)
        for section, size in zip((SEEN, SCORE, MOVED), widths, strict=True):
            self.horizontalHeader().resizeSection(section, scaled(size))
        self.verticalHeader().setDefaultSectionSize(scaled(ROW))


class JointsPanel(Panel):
    """Which joints are there, how sure was the network, and what did a hand change?"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.setAccessibleName(tr("Joints"))
        self.model = JointsModel()
        self.table = JointsTable()
        self.table.setModel(self.model)
        self.table.lay_out_columns()
        self.table.selectionModel().selectionChanged.connect(self._chosen)
        self.table.clicked.connect(self._clicked)
        self.whose = Label("", token="t2")
        self.filter = Segments(tr("Joints"), (("all", tr("All")), ("doubtful", tr("Doubtful"))))
        self.filter.choose("all")
        self.filter.chosen.connect(self._filter)
        self.part = Segments(
            tr("Part"),
            (("all", tr("Whole")), ("body", tr("Body")), ("face", tr("Face")), ("hands", tr("Hands"))),
        )
        self.part.choose("all")
        self.part.chosen.connect(self._choose_part)
        self.empty = EmptyState("skeleton")
        self._part = "all"
        self._hints: list[tuple[KeyCap, Label]] = []
        self._only_doubtful = False
        self._showing = False
        self._peaked: tuple[Array, Flags] | None = None
        self._lay_out()
        for signal in (desk.people_changed, desk.selection_changed, desk.evidence_changed, desk.project_opened):
            signal.connect(self.mark)
        self.refresh()

    def _lay_out(self) -> None:
        head = row(Heading(tr("Joints")), self.whose, None, self.filter, spacing=4)
        head.setContentsMargins(12, 2, 10, 2)
        hints = row(spacing=5)
        hints.setContentsMargins(12, 4, 4, 8)
        for name, words in HINTS:
            keys = action(name).keys
            if keys:
                part = (KeyCap(keys[0]), Label(tr(words), size=11, token="t2"))
                part[1].setMinimumWidth(0)
                hints.addLayout(row(*part, spacing=5))
                hints.addSpacing(4)
                self._hints.append(part)
        hints.addStretch(1)
        self.pages = QStackedLayout()
        self.pages.addWidget(self.table)
        self.pages.addWidget(self.empty)
        layout = column(self, margin=0, spacing=2)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(head)
        self.parts = row(self.part, None)
        self.parts.setContentsMargins(12, 0, 10, 2)
        layout.addLayout(self.parts)
        layout.addLayout(self.pages, 1)
        layout.addLayout(hints)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what matters least where the dock is narrow."""
        super().resizeEvent(event)
        wide = event.size().width() >= scaled(NARROW)
        self.whose.setVisible(wide)
        for part in self._hints[-1]:
            part.setVisible(wide)

    def sizeHint(self) -> QSize:
        """Return the size for 17 joints."""
        return QSize(theme.DOCK_LEFT, 90 + 17 * ROW)

    def refresh(self) -> None:
        """Show the joints of the selected person."""
        desk, person = self.desk, self.desk.person
        parts = tuple(part_of(name) for name in desk.skeleton.joints)
        self.part.setVisible(len(parts) > MANY and len(set(parts)) > 1)
        if self.part.isHidden() or (desk.joint is not None and parts[desk.joint : desk.joint + 1] != (self._part,)):
            # What is chosen elsewhere is shown here, so it may not be filtered out.
            self._part = "all"
            self.part.choose("all")
        if person is None:
            self._show_nobody()
            return
        rows = joint_rows(person, desk.skeleton, self._two_peaked(person))
        rows = [entry for entry in rows if self._part in ("all", parts[entry.joint])]
        doubtful = [entry for entry in rows if entry.doubtful]
        self.filter.set_text("doubtful", tr("Doubtful {count}", count=len(doubtful)) if doubtful else tr("Doubtful"))
        self.whose.setText(tr("person {number}", number=desk.person_number(person.key)))
        self._showing = True
        self.model.show_rows(doubtful if self._only_doubtful else rows)
        place = self.model.place_of(desk.joint)
        if place >= 0:
            self.table.setCurrentIndex(self.model.index(place, JOINT))
            add = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
            for more in desk.selection.more:
                if (place := self.model.place_of(more)) >= 0:
                    self.table.selectionModel().select(self.model.index(place, JOINT), add)
        else:
            self.table.setCurrentIndex(QModelIndex())
            self.table.clearSelection()
        self._showing = False
        self.pages.setCurrentIndex(0)
        if self._only_doubtful and not doubtful:
            self.empty.say(tr("No joint is doubtful"), icon="done")
            self.pages.setCurrentIndex(1)

    def _show_nobody(self) -> None:
        self.whose.setText("")
        self.filter.set_text("doubtful", tr("Doubtful"))
        self.model.show_rows([])
        hint = tr("Click one in the picture or in the list") if self.desk.people else ""
        self.empty.say(tr("No person is selected"), hint, "1" if self.desk.people else "", icon="skeleton")
        self.pages.setCurrentIndex(1)

    def _two_peaked(self, person: Person) -> Flags | None:
        result = self.desk.evidence
        candidate = self.desk.candidate_of(person.key)
        if result is None or result.evidence is None or candidate is None:
            return None
        heatmaps = result.evidence.crops[candidate].heatmaps
        if not heatmaps.size or result.evidence.grouping is not None:
            return None  # a map of everybody has a peak for everybody
        if self._peaked is None or self._peaked[0] is not heatmaps:
            self._peaked = (heatmaps, two_peaked(heatmaps))
        return self._peaked[1]

    def _filter(self, key: str) -> None:
        self._only_doubtful = key == "doubtful"
        self.refresh()

    def _choose_part(self, key: str) -> None:
        self._part = key
        if self.desk.joint is not None:
            self.desk.select(joint=None)
        self.refresh()

    def _chosen(self) -> None:
        if self._showing:
            return
        rows = [self.model.row_at(index.row()) for index in self.table.selectionModel().selectedRows()]
        joints = [entry.joint for entry in rows if entry is not None]
        now = self.model.row_at(self.table.currentIndex().row())
        if joints:
            joint = now.joint if now is not None and now.joint in joints else joints[0]
            self.desk.select(joint=joint, more=frozenset(joints))

    def _clicked(self, index: QModelIndex) -> None:
        entry, person = self.model.row_at(index.row()), self.desk.person
        if entry is None or person is None or index.column() != SEEN:
            return
        from poseviewer.project import edits

        media, frame = self.desk.place()
        self.desk.apply(edits.SetVisibility(media, frame, person.key, (entry.joint,), CYCLE[entry.visibility]))
