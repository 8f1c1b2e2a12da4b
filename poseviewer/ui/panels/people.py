"""Who is in this frame: one row per person, shared selection, and what can be done with a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import (
    QModelIndex,
    QPoint,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QMenu,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from poseviewer.core.values import ABSENT, LOW_SCORE, Frame, Person
from poseviewer.session.actions import action
from poseviewer.ui import icons, theme
from poseviewer.ui.panels.heat import colour_image
from poseviewer.ui.panels.rows_model import ROW_ROLE, Index, RowsModel
from poseviewer.ui.panels.widgets import EmptyState, Heading, IconButton, Label, Panel, column, paint_focus, row
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

ROW = 46
THUMB = QSize(30, 38)
MENU = (
    "accept",
    "revert",
    "",
    "swap_sides",
    "swap_tracks",
    "copy_previous",
    "copy_next",
    "interpolate",
    "",
    "delete_person",
)


@dataclass(frozen=True, slots=True, eq=False)
class PersonRow:
    """What one row shows.

    Attributes:
        key: of the person. number: as listed, from 1.
        score: text; low: whether it is marked.
        corrected: whether a person confirmed or changed it.
        track: number or None.
        seen, joints: how many of K joints are present.
        thumb: the head and shoulders, or None while no picture is there.
    """

    key: str
    number: int
    score: str
    low: bool
    corrected: bool
    track: int | None
    seen: int
    joints: int
    thumb: QPixmap | None

    def words(self) -> str:
        """Return the row as one sentence for screen readers."""
        state = tr("corrected") if self.corrected else tr("predicted")
        of = tr("{seen} of {joints}", seen=self.seen, joints=self.joints)
        parts = [tr("Person {number}", number=self.number), self.score, state, of]
        if self.track is not None:
            parts.insert(2, tr("track {number}", number=self.track))
        return ", ".join(parts)


class PeopleModel(RowsModel[PersonRow]):
    """The rows as a model of one column."""

    def words(self, row: PersonRow, column: int) -> str:
        """Return a row's words."""
        return row.words()

    def place_of(self, key: str | None) -> int:
        """Return the row of a person, -1 if there is none."""
        return next((i for i, entry in enumerate(self._rows) if entry.key == key), -1)

    def key_at(self, place: int) -> str | None:
        """Return the person of a row."""
        return self._rows[place].key if 0 <= place < len(self._rows) else None


class PersonDelegate(QStyledItemDelegate):
    """Draws a person row of 46 px."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return the height of a row."""
        return QSize(120, max(ROW, 2 * QFontMetrics(theme.font(12)).height() + 12))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one row."""
        entry: PersonRow = index.data(ROW_ROLE)
        looks = theme.current()
        area: QRect = option.rect
        state: QStyle.StateFlag = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.fillRect(area, looks.colour("selected"))
            painter.fillRect(area.left(), area.top(), 3, area.height(), looks.colour("accent"))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(area, looks.colour("hover"))
        _paint_thumb(painter, entry, area)
        left = area.left() + 12 + THUMB.width() + 9
        _paint_words(painter, entry, QRectF(left, area.top(), area.right() - 11 - left, area.height()), chosen=chosen)
        painter.restore()


def _paint_thumb(painter: QPainter, entry: PersonRow, area: QRect) -> None:
    looks = theme.current()
    top = area.top() + (area.height() - THUMB.height()) / 2
    box = QRectF(area.left() + 12, top, THUMB.width(), THUMB.height())
    shape = QPainterPath()
    shape.addRoundedRect(box, 3, 3)
    painter.save()
    painter.setClipPath(shape)
    if entry.thumb is not None:
        painter.drawPixmap(box, entry.thumb, QRectF(entry.thumb.rect()))
    else:
        painter.fillRect(box, looks.colour("sunken"))
        icon = icons.pixmap("person", looks.text("t3"), 16)
        painter.drawPixmap(QPointF(box.center().x() - 8, box.center().y() - 8), icon)
    painter.restore()


def _paint_words(painter: QPainter, entry: PersonRow, area: QRectF, *, chosen: bool) -> None:
    looks = theme.current()
    hint = looks.colour("t2" if chosen else "t3")
    half = area.height() / 2
    upper = QRectF(area.left(), area.top() + 4, area.width(), half - 4)
    lower = QRectF(area.left(), area.top() + half - 1, area.width(), half - 4)
    middle = Qt.AlignmentFlag.AlignVCenter
    painter.setFont(theme.font(12, 600))
    painter.setPen(looks.colour("warn" if entry.low else "t1"))
    painter.drawText(upper, middle | Qt.AlignmentFlag.AlignRight, entry.score)
    painter.setPen(looks.colour("t1"))
    name = tr("Person {number}", number=entry.number)
    painter.drawText(upper, middle, name)
    if entry.number <= 9:
        _paint_cap(painter, str(entry.number), upper, area.left() + painter.fontMetrics().horizontalAdvance(name) + 8)
    painter.setFont(theme.font(11))
    metrics = painter.fontMetrics()
    right = tr("low score") if entry.low else tr("{seen} of {joints}", seen=entry.seen, joints=entry.joints)
    painter.setPen(hint)
    painter.drawText(lower, middle | Qt.AlignmentFlag.AlignRight, right)
    room = area.width() - metrics.horizontalAdvance(right) - 8
    x = area.left()
    if entry.track is not None:
        painter.setPen(Qt.PenStyle.NoPen if looks.dark else QPen(theme.data_colour("edge_light", 0.5), 1))
        painter.setBrush(theme.track_colour(entry.track))
        painter.drawRoundedRect(QRectF(x, lower.center().y() - 4, 9, 9), 2, 2)
        if theme.track_repeats(entry.track):
            painter.fillRect(QRectF(x, lower.center().y() - 0.5, 9, 2), theme.data_colour("mark"))
        words = tr("track {number}", number=entry.track) + " · "
        painter.setPen(looks.colour("t2"))
        painter.drawText(QRectF(x + 13, lower.top(), room, lower.height()), middle, words)
        x += 13 + metrics.horizontalAdvance(words)
    if entry.corrected:
        painter.drawPixmap(QPointF(x - 1, lower.center().y() - 6), icons.pixmap("corrected", looks.text("ok"), 12))
        x += 13
    painter.setPen(looks.colour("ok" if entry.corrected else "t2"))
    text = tr("corrected") if entry.corrected else tr("predicted")
    rest = area.left() + room - x
    text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(int(rest), 0))
    painter.drawText(QRectF(x, lower.top(), rest, lower.height()), middle, text)


def _paint_cap(painter: QPainter, text: str, line: QRectF, x: float) -> None:
    looks = theme.current()
    painter.setFont(theme.font(10))
    box = QRectF(x, line.center().y() - 8, 17, 16)
    painter.setPen(Qt.PenStyle.NoPen if looks.dark else QPen(looks.colour("line"), 1))
    painter.setBrush(looks.colour("raised"))
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(looks.colour("t2"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def thumbnail(frame: Frame, person: Person, ratio: float = 1.0) -> QPixmap | None:
    """Return the upper part of a person as a small picture, or None if it lies outside the frame."""
    x1, y1, x2, _ = (float(v) for v in person.pose.box)
    width = max(x2 - x1, 8.0) * 0.8
    height = width * THUMB.height() / THUMB.width()
    middle = (x1 + x2) / 2
    present = person.visibility[: len(person.pose.keypoints)] != ABSENT
    if present.any():
        # The first present joint is the topmost of the body in every bundled set: the face, else a shoulder.
        middle = (middle + float(person.pose.keypoints[int(np.argmax(present))][0])) / 2
    full_height, full_width = frame.pixels.shape[:2]
    left, top = int(max(middle - width / 2, 0)), int(max(y1 - 0.05 * height, 0))
    right, bottom = int(min(middle + width / 2, full_width)), int(min(y1 + 0.95 * height, full_height))
    if right - left < 2 or bottom - top < 2:
        return None
    image = colour_image(frame.pixels[top:bottom, left:right])
    size = THUMB * ratio
    made = QPixmap.fromImage(image).scaled(
        size, Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
    )
    made = made.copy((made.width() - size.width()) // 2, 0, size.width(), size.height())
    made.setDevicePixelRatio(ratio)
    return made


class PeopleList(QListView):
    """The list; digits choose a person."""

    def __init__(self, panel: PeoplePanel) -> None:
        super().__init__()
        self._panel = panel
        self.setAccessibleName(tr("People in this frame"))
        self.setItemDelegate(PersonDelegate(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint, with a ring while the keyboard is here."""
        super().paintEvent(event)
        paint_focus(self)

    def _menu(self, at: QPoint) -> None:
        if self.indexAt(at).isValid():
            self._panel.menu().popup(self.viewport().mapToGlobal(at))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose by digit; everything else as in any list."""
        digit = event.key() - int(Qt.Key.Key_1)
        if 0 <= digit <= 8 and not event.modifiers():
            self._panel.desk.do(f"person_{digit + 1}")
        else:
            super().keyPressEvent(event)


class PeoplePanel(Panel):
    """Who is here, how sure was the network, and who has been corrected?"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.setAccessibleName(tr("People"))
        self.model = PeopleModel()
        self.list = PeopleList(self)
        self.list.setModel(self.model)
        self.list.selectionModel().currentChanged.connect(self._chosen)
        self.count = Label("", token="t2")
        self.add = IconButton("add", tr("Add a person"), tip=tr("Draw a box around a missed person (B)"))
        self.add.clicked.connect(lambda: desk.do("draw_box"))
        self.more = IconButton("more", tr("Person"), tip=tr("Accept, swap sides, copy, delete"))
        self.more.clicked.connect(lambda: self.menu().popup(self.more.mapToGlobal(QPoint(0, self.more.height()))))
        self.empty = EmptyState("person")
        head = row(Heading(tr("People")), self.count, None, self.add, self.more, spacing=4)
        head.setContentsMargins(12, 0, 6, 0)
        self.pages = QStackedLayout()
        self.pages.addWidget(self.list)
        self.pages.addWidget(self.empty)
        layout = column(self, margin=0, spacing=2)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(head)
        layout.addLayout(self.pages, 1)
        self._showing = False
        for signal in (desk.people_changed, desk.frame_changed, desk.selection_changed, desk.project_opened):
            signal.connect(self.mark)
        self.refresh()

    def sizeHint(self) -> QSize:
        """Return the size for four people."""
        return QSize(theme.DOCK_LEFT, 34 + 4 * ROW)

    def refresh(self) -> None:
        """Show the people of the selected frame."""
        desk = self.desk
        self.model_rows = [self._row(number, person) for number, person in enumerate(desk.people, 1)]
        self._showing = True
        self.model.show_rows(self.model_rows)
        place = self.model.place_of(desk.selection.person)
        self.list.setCurrentIndex(self.model.index(place) if place >= 0 else QModelIndex())
        if place < 0:
            self.list.clearSelection()
        self._showing = False
        count = len(desk.people)
        self.count.setText(tr("{count} in this frame", count=count) if count else "")
        self.more.setEnabled(count > 0)
        self.add.setEnabled(desk.info is not None)
        if not count:
            self._say_empty()
        self.pages.setCurrentIndex(0 if count else 1)

    def _say_empty(self) -> None:
        if self.desk.info is None:
            self.empty.say(tr("Nothing is open"), tr("Open a video, pictures or a project"), "Ctrl+O")
        else:
            self.empty.say(tr("Nobody in this frame yet"), tr("Run this frame, or draw a box around a person"), "R")

    def _row(self, number: int, person: Person) -> PersonRow:
        frame = self.desk.frame
        by_hand = person.key.startswith("c") and not float(np.max(person.pose.scores, initial=0.0))
        # A run's person score may exceed 1, as it adds box and best joint; the mean over joints says how sure.
        score = float(np.mean(person.pose.scores))
        return PersonRow(
            key=person.key,
            number=number,
            score=tr("by hand") if by_hand else f"{score:.2f}",
            low=not by_hand and person.state == "predicted" and score < LOW_SCORE,
            corrected=person.state == "corrected",
            track=person.pose.track,
            seen=int((person.visibility != ABSENT).sum()),
            joints=len(person.visibility),
            thumb=thumbnail(frame, person, self.devicePixelRatioF()) if frame is not None else None,
        )

    def _chosen(self, index: QModelIndex) -> None:
        if not self._showing:
            key = self.model.key_at(index.row())
            if key is not None:
                self.desk.select(person=key)

    def menu(self) -> QMenu:
        """Return the menu of what can be done with the selected person."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        person = self.desk.person
        for name in MENU:
            if not name:
                menu.addSeparator()
                continue
            entry = action(name)
            keys = f"\t{entry.keys[0]}" if entry.keys else ""
            item = menu.addAction(tr(entry.text) + keys)
            if entry.icon:
                item.setIcon(icons.icon(entry.icon))
            item.setData(name)
            item.setEnabled(name == "copy_previous" or _allowed(name, person))
            item.triggered.connect(lambda _checked=False, name=name: self.desk.do(name))
        return menu


def _allowed(name: str, person: Person | None) -> bool:
    if person is None:
        return False
    if name == "accept":
        return person.state == "predicted"
    if name == "revert":
        return person.state == "corrected" and person.prediction is not None
    return True
