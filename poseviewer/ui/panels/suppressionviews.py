"""Pictures of the suppression panel: candidates on the frame with arrows, their table, and the similarity strip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import (
    QLineF,
    QModelIndex,
    QPointF,
    QRectF,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPen,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from poseviewer.core.values import BY_BOTH, BY_MATCHES, BY_SIMILARITY, KEPT, Candidates, Frame, Suppression
from poseviewer.ops.nms_config import NmsConfig
from poseviewer.ui import icons, theme
from poseviewer.ui.canvas.place import half_pixel
from poseviewer.ui.panels.framepicture import FramePicture
from poseviewer.ui.panels.plot import Plot, axis_values
from poseviewer.ui.panels.rows_model import LEFT, RIGHT, ROW_ROLE, Index, RowsModel
from poseviewer.ui.panels.rows_table import RowsTable
from poseviewer.ui.panels.verdicts import CandidateRow, outcome_words, owner_ranks, reason_words
from poseviewer.ui.panels.widgets import scaled
from poseviewer.ui.text import tr

NUMBER, SCORE, OUTCOME, SIMILARITY, MATCHES = range(5)
ROW = 22
WIDE, VERY_NARROW = 310, 230
"""From the first width on the table words outcomes in full; below the second it leaves the matches out."""
LEAST_ROWS = 4
BADGE = 9.0
GAP = 3.6 * BADGE
"""Between the centres of two numbers."""
ROOM = 2 * GAP**2
"""Square pixels of picture for one number, half of them so that boxes can still be seen."""


def candidate_colour(suppression: Suppression, index: int) -> QColor:
    """Return the colour of the kept candidate that ``index`` belongs to, grey for one below the floor."""
    rank = owner_ranks(suppression)[index] if index < len(suppression.outcome) else 0
    return theme.track_colour(rank) if rank else theme.current().colour("edge")


def spread_out(places: npt.NDArray[np.float64], least: float, box: QRectF, *, rounds: int = 60) -> None:
    """Push ``(n, 2)`` places apart in place until they are ``least`` apart, inside ``box``."""
    for _ in range(rounds):
        moved = False
        for i in range(len(places)):
            for j in range(i):
                gap = places[i] - places[j]
                distance = float(np.hypot(*gap))
                if distance < least:
                    # Exactly equal places are pushed in a direction that depends on the index.
                    way = gap / distance if distance > 1e-6 else np.array([np.cos(2.4 * i), np.sin(2.4 * i)])
                    places[i] += way * (least - distance) * 0.55
                    places[j] -= way * (least - distance) * 0.45
                    moved = True
        low = [box.left() + BADGE + 2, box.top() + BADGE + 2]
        np.clip(places, low, [box.right() - BADGE - 2, box.bottom() - BADGE - 2], out=places)
        if not moved:
            break


class CandidatePicture(FramePicture):
    """Boxes of the candidates, numbered; an arrow points from who was removed to who removed it.

    ``chosen`` carries the candidate that a person clicked, by its number or in its box.
    """

    chosen = Signal(int)
    MOST = 40

    def __init__(self) -> None:
        super().__init__(tr("Candidates on the picture"), tallest=0.62, dim=0.4)
        self._candidates: Candidates | None = None
        self._suppression: Suppression | None = None
        self._selected: int | None = None
        self._badges: dict[int, QPointF] = {}

    def show_candidates(
        self, frame: Frame | None, candidates: Candidates, suppression: Suppression, selected: int | None
    ) -> None:
        """Show candidates and what was decided."""
        self._candidates, self._suppression, self._selected = candidates, suppression, selected
        self._badges = {}
        self.show_frame(frame)

    def paint_over(self, painter: QPainter, box: QRectF, scale: float) -> None:
        """Draw boxes, arrows and numbers."""
        candidates, suppression = self._candidates, self._suppression
        if candidates is None or suppression is None:
            return
        count = min(len(candidates.boxes), len(suppression.outcome), self.MOST)
        kept = [i for i in range(count) if suppression.outcome[i] == KEPT]
        removed = [i for i in range(count) if suppression.by[i] >= 0 and suppression.outcome[i] != KEPT]
        for i in (*[i for i in range(count) if i not in kept], *kept):
            self._paint_box(painter, i, box, scale)
        numbered = self._numbered(suppression, removed, kept, int(box.width() * box.height() / ROOM))
        leaders = self._leaders(candidates, sorted(numbered), box, scale)
        self._badges = {i: leaders[i].p2() for i in numbered}
        for i, place in self._badges.items():
            if int(suppression.by[i]) in self._badges:
                self._paint_arrow(painter, place, self._badges[int(suppression.by[i])], i)
            if leaders[i].length() > BADGE:
                painter.setPen(QPen(candidate_colour(suppression, i), 1.0))
                painter.drawLine(leaders[i])
        for i, place in self._badges.items():
            self._paint_badge(painter, place, i)

    def _numbered(self, suppression: Suppression, removed: list[int], kept: list[int], most: int) -> list[int]:
        """Return who gets a number: all, or around the selected one, then where somebody was removed, then the best."""
        ranks = owner_ranks(suppression)
        mine = ranks[self._selected] if self._selected is not None and self._selected < len(ranks) else 0
        crowded = {ranks[i] for i in removed}

        def late(i: int) -> tuple[bool, bool, bool, int]:
            return i != self._selected, not mine or ranks[i] != mine, ranks[i] not in crowded, i

        first = set(sorted((*removed, *kept), key=late)[: max(most, 1)])
        return [i for i in (*removed, *kept) if i in first]  # the kept ones over the others

    def _leaders(self, candidates: Candidates, shown: list[int], box: QRectF, scale: float) -> dict[int, QLineF]:
        """Return lines from the middle of each candidate's box to where its number is written."""
        corner = np.array([box.left(), box.top()])
        boxes = candidates.boxes[shown].astype(np.float64)
        middles: npt.NDArray[np.float64] = half_pixel((boxes[:, :2] + boxes[:, 2:]) / 2, to_scene=True) * scale + corner
        places = middles.copy()
        spread_out(places, GAP, box)
        ends = zip(middles.tolist(), places.tolist(), strict=True)
        return {i: QLineF(*middle, *place) for i, (middle, place) in zip(shown, ends, strict=True)}

    def _paint_box(self, painter: QPainter, index: int, box: QRectF, scale: float) -> None:
        candidates, suppression = self._candidates, self._suppression
        if candidates is None or suppression is None:
            return
        x1, y1, x2, y2 = (float(v) * scale for v in half_pixel(candidates.boxes[index], to_scene=True))
        area = QRectF(x1 + box.left(), y1 + box.top(), x2 - x1, y2 - y1)
        kept = suppression.outcome[index] == KEPT
        colour = candidate_colour(suppression, index)
        chosen = index == self._selected
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if kept or chosen:
            painter.setPen(QPen(theme.data_colour("halo", 0.72), 3.6 if chosen else 3))
            painter.drawRect(area)
        pen = QPen(theme.data_colour("mark") if chosen else colour, 1.8 if kept or chosen else 1.0)
        if not kept:
            pen.setDashPattern([2, 2])
        painter.setPen(pen)
        painter.drawRect(area)

    def _paint_arrow(self, painter: QPainter, start: QPointF, end: QPointF, index: int) -> None:
        if self._suppression is None:
            return
        line = QLineF(start, end)
        if line.length() < 2 * BADGE + 4:
            return
        line = QLineF(line.pointAt(BADGE / line.length()), line.pointAt(1 - (BADGE + 2) / line.length()))
        colour = candidate_colour(self._suppression, index)
        for tone, width in ((theme.data_colour("halo", 0.72), 3.2), (colour, 1.4)):
            painter.setPen(QPen(tone, width))
            painter.drawLine(line)
        unit = line.unitVector()
        along = QPointF(unit.dx(), unit.dy())
        across = QPointF(-along.y(), along.x())
        tip = line.p2()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([tip, tip - along * 7 + across * 3.5, tip - along * 7 - across * 3.5]))

    def _paint_badge(self, painter: QPainter, place: QPointF, index: int) -> None:
        if self._suppression is None:
            return
        kept = self._suppression.outcome[index] == KEPT
        colour = candidate_colour(self._suppression, index)
        pen = QPen(colour, 1.8 if kept else 1.2)
        if not kept:
            pen.setDashPattern([1.5, 1.5])
        painter.setPen(pen)
        painter.setBrush(theme.data_colour("inside"))
        radius = BADGE + (1 if kept else 0)
        painter.drawEllipse(place, radius, radius)
        if index == self._selected:
            painter.setPen(QPen(theme.data_colour("mark"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(place, radius + 3, radius + 3)
        painter.setFont(theme.font(10, 600))
        painter.setPen(theme.data_colour("ink"))
        words = QRectF(place.x() - 12, place.y() - 9, 24, 18)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, str(index + 1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the candidate whose number was clicked, or else whose box."""
        at = event.position()
        for index, place in self._badges.items():
            if QLineF(at, place).length() <= BADGE + 4:
                self.chosen.emit(index)
                return
        inside = self._box_at(at)
        if inside is not None:
            self.chosen.emit(inside)

    def _box_at(self, at: QPointF) -> int | None:
        """Return the candidate with the smallest box around a place: the hardest to hit otherwise."""
        candidates, suppression = self._candidates, self._suppression
        if candidates is None or suppression is None:
            return None
        box, scale = self.placement()
        x, y = (at.x() - box.left()) / scale, (at.y() - box.top()) / scale
        boxes = half_pixel(candidates.boxes[: min(len(suppression.outcome), self.MOST)], to_scene=True)
        inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
        areas = np.where(inside, (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.inf)
        return int(areas.argmin()) if inside.any() else None


class CandidatesModel(RowsModel[CandidateRow]):
    """The candidates as a table model."""

    def __init__(self) -> None:
        heads = (tr("No."), tr("Score"), tr("Outcome"), tr("Similarity"), tr("Matches"))
        super().__init__(heads, (LEFT, RIGHT, LEFT, RIGHT, RIGHT))
        self.suppression: Suppression | None = None
        self.nms = NmsConfig()
        self.narrow = False

    def show_candidates(self, rows: list[CandidateRow], suppression: Suppression, nms: NmsConfig) -> None:
        """Show other candidates with what decided about them."""
        self.suppression, self.nms = suppression, nms
        self.show_rows(rows)

    def words(self, row: CandidateRow, column: int) -> str:
        """Return what a cell says."""
        return cell_text(row, column)

    def tip(self, row: CandidateRow, column: int) -> str | None:
        """Return the reason."""
        return reason_words(row, self.nms)


def cell_text(entry: CandidateRow, column: int) -> str:
    """Return what a cell says."""
    if column == NUMBER:
        return str(entry.number)
    if column == SCORE:
        return f"{entry.score:.2f}"
    if column == OUTCOME:
        return outcome_words(entry)
    if entry.other < 0:
        return "–"
    if column == SIMILARITY:
        figure = f"{entry.similarity:.2f}"
        kept = tr("{figure} to {number}", figure=figure, number=entry.other + 1)
        return kept if entry.outcome == KEPT else figure
    return f"{entry.matches:g}"


class CandidateDelegate(QStyledItemDelegate):
    """Draws the cells of the candidate table; the figure that decided is bright, the other one dim."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one cell."""
        entry: CandidateRow = index.data(ROW_ROLE)
        model = index.model()
        looks = theme.current()
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if chosen:
            painter.fillRect(option.rect, looks.colour("selected"))
        area = QRectF(option.rect)
        painter.setFont(theme.font(12))
        dim = "t2" if chosen else "t3"
        text = str(index.data())
        if index.column() == SIMILARITY and entry.other >= 0 and isinstance(model, CandidatesModel) and model.narrow:
            text = f"{entry.similarity:.2f}"
        suppression = model.suppression if isinstance(model, CandidatesModel) else None
        colour = candidate_colour(suppression, entry.index) if suppression is not None else looks.colour("t2")
        if index.column() == NUMBER:
            self._number(painter, area, entry, colour, text)
        elif index.column() == OUTCOME:
            self._outcome(painter, area, entry, dim, narrow=isinstance(model, CandidatesModel) and model.narrow)
        else:
            decided = {SIMILARITY: (BY_SIMILARITY, BY_BOTH), MATCHES: (BY_MATCHES, BY_BOTH)}.get(index.column(), ())
            bright = index.column() == SCORE and (entry.outcome == KEPT or entry.removed)
            if entry.outcome in decided:
                painter.setFont(theme.font(12, 600))
            painter.setPen(looks.colour("t1" if bright or entry.outcome in decided else dim))
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(area.adjusted(0, 0, -6, 0), right, text)
        painter.restore()

    def _number(self, painter: QPainter, area: QRectF, entry: CandidateRow, colour: QColor, text: str) -> None:
        looks = theme.current()
        centre = QPointF(area.left() + 10, area.center().y())
        if entry.outcome == KEPT or entry.removed:
            painter.setPen(QPen(colour, 1.6))
            painter.setBrush(colour if entry.outcome == KEPT else Qt.BrushStyle.NoBrush)
            painter.drawEllipse(centre, 3.4, 3.4)
        painter.setPen(looks.colour("t1" if entry.outcome == KEPT or entry.removed else "t3"))
        painter.drawText(area.adjusted(20, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)

    def _outcome(self, painter: QPainter, area: QRectF, entry: CandidateRow, dim: str, *, narrow: bool) -> None:
        looks = theme.current()
        words = area.adjusted(6, 0, -2, 0)
        token = "ok" if entry.outcome == KEPT else "t2" if entry.removed else dim
        if entry.outcome == KEPT or narrow:
            name = "done" if entry.outcome == KEPT else "close"
            pixmap = icons.pixmap(name, looks.text(token), 13, painter.device().devicePixelRatioF())
            painter.drawPixmap(QPointF(words.left(), words.center().y() - 6.5), pixmap)
            words.setLeft(words.left() + 17)
        painter.setPen(looks.colour(token))
        if entry.changed:
            painter.setFont(theme.font(12, 600))
            painter.setPen(looks.colour("accent"))
        said = outcome_words(entry)
        cramped = narrow or painter.fontMetrics().horizontalAdvance(said) > words.width()
        if cramped and entry.outcome != KEPT:
            said = tr("by {number}", number=entry.other + 1) if entry.removed else tr("floor")
        text = painter.fontMetrics().elidedText(said, Qt.TextElideMode.ElideRight, int(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, text)


class CandidatesTable(RowsTable):
    """The table of candidates. ``chosen`` carries the one that a person selected."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__(tr("Candidates"), ROW)
        self.candidates = CandidatesModel()
        self.setModel(self.candidates)
        self.setItemDelegate(CandidateDelegate(self))
        header = self.horizontalHeader()
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(OUTCOME, QHeaderView.ResizeMode.Stretch)
        for section in (NUMBER, SCORE, SIMILARITY, MATCHES):
            header.setSectionResizeMode(section, QHeaderView.ResizeMode.Fixed)
        self._matches = True
        self._fit(WIDE)
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        self._quiet = False
        self._most = 10

    def show_matches(self, *, shown: bool) -> None:
        """Show or hide the column of matched joints."""
        self._matches = shown
        self._fit(self.width())

    def show_rows(
        self, rows: list[CandidateRow], suppression: Suppression, nms: NmsConfig, selected: int | None
    ) -> None:
        """Show candidates with one selected, without a signal."""
        self._quiet = True
        self.candidates.show_candidates(rows, suppression, nms)
        self._fit_height()
        if selected is not None and selected < len(rows):
            self.setCurrentIndex(self.candidates.index(selected, 0))
        else:
            self.setCurrentIndex(QModelIndex())
            self.clearSelection()
        self._quiet = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Word the table more briefly where it is narrow."""
        super().resizeEvent(event)
        self._fit(event.size().width())

    def _fit(self, width: int) -> None:
        narrow = width < scaled(WIDE)
        self.candidates.narrow = narrow
        self.setColumnHidden(MATCHES, not self._matches or width < scaled(VERY_NARROW))
        widths = (32, 40, 62, 54) if narrow else (38, 44, 72, 60)
        for section, size in zip((NUMBER, SCORE, SIMILARITY, MATCHES), widths, strict=True):
            self.horizontalHeader().resizeSection(section, scaled(size))
        self.verticalHeader().setDefaultSectionSize(scaled(ROW))

    def set_most(self, most: int) -> None:
        """Show at most so many rows at once, LEAST_ROWS at least; the others scroll."""
        self._most = min(max(most, LEAST_ROWS), 10)
        self._fit_height()

    def _fit_height(self) -> None:
        rows = min(max(self.candidates.rowCount(), 1), self._most)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + scaled(ROW) * rows + 2)

    def _row_changed(self, index: QModelIndex) -> None:
        if not self._quiet and index.isValid():
            self.chosen.emit(index.row())


class SimilarityStrip(Plot):
    """All similarities on one axis with the threshold, which can be dragged. ``dragged`` carries its new value."""

    dragged = Signal(float)

    def __init__(self) -> None:
        super().__init__(46)
        self._rows: list[CandidateRow] = []
        self._suppression: Suppression | None = None
        self._gamma = 0.0
        self._top = 1.0
        self._selected: int | None = None
        self.setMouseTracking(True)
        self.setAccessibleName(tr("Pose similarities and their threshold"))

    def show_rows(
        self, rows: list[CandidateRow], suppression: Suppression, gamma: float, top: float, selected: int | None
    ) -> None:
        """Show candidates' similarities on an axis from 0 to ``top``."""
        self._rows = [row for row in rows if row.other >= 0]
        self._suppression, self._gamma, self._top, self._selected = suppression, gamma, max(top, 1e-6), selected
        self.update()

    def _x(self, value: float) -> float:
        return 8 + (self.width() - 16) * min(max(value / self._top, 0.0), 1.0)

    def paint_plot(self, painter: QPainter, box: QRectF) -> None:
        """Draw axis, points and threshold."""
        looks = theme.current()
        limit = self._x(self._gamma)
        beyond = QRectF(limit, box.top() + 1, box.right() - limit - 0.5, box.height() - 2)
        painter.fillRect(beyond, looks.colour("err", 0.12))
        painter.setFont(theme.font(10))
        painter.setPen(looks.colour("t2"))
        if box.right() - limit > 60:
            painter.drawText(QPointF(limit + 6, box.top() + 12), tr("removed"))
        painter.setPen(looks.colour("t3"))
        for value in axis_values(0.0, self._top, most=7):
            words = QRectF(self._x(value) - 20, box.bottom() + 2, 40, self.AXIS - 2)
            words.moveLeft(min(max(words.left(), 2 - 12), self.width() - 2 - 28))
            painter.drawText(words, Qt.AlignmentFlag.AlignCenter, f"{value:g}")
        self._paint_points(painter, box)
        painter.setPen(QPen(looks.colour("accent"), 1.8))
        painter.drawLine(QLineF(limit, box.top(), limit, box.bottom()))
        painter.setBrush(looks.colour("accent"))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(QRectF(limit - 4, box.top() - 0.5, 8, 8), 2, 2)

    def _paint_points(self, painter: QPainter, box: QRectF) -> None:
        looks = theme.current()
        if self._suppression is None:
            return
        for row in self._rows:
            # Spread in height by number, so that equal similarities stay countable.
            y = box.top() + 18 + (row.index * 7) % 18
            spot = QPointF(self._x(row.similarity), y)
            colour = candidate_colour(self._suppression, row.index)
            painter.setPen(QPen(colour, 1.6))
            painter.setBrush(colour if row.outcome == KEPT else Qt.BrushStyle.NoBrush)
            painter.drawEllipse(spot, 3.8, 3.8)
            if row.index == self._selected:
                painter.setPen(QPen(looks.colour("t1"), 1.5))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawEllipse(spot, 7, 7)
                words = tr("{number} against {other}", number=row.number, other=row.other + 1)
                painter.setPen(looks.colour("t1"))
                width = painter.fontMetrics().horizontalAdvance(words)
                on_left = spot.x() - 14 - width > 2 and spot.x() <= self._x(self._gamma)
                left = spot.x() - 12 - width if on_left else spot.x() + 12
                left = left if left + width < box.right() - 4 else spot.x() - 12 - width
                painter.drawText(QPointF(left, spot.y() + 4), words)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Put the threshold where the pointer is."""
        self._drag(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the threshold; show that it can be."""
        near = abs(event.position().x() - self._x(self._gamma)) < 6
        self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag(event)

    def _drag(self, event: QMouseEvent) -> None:
        part = (event.position().x() - 8) / max(self.width() - 16, 1)
        self.dragged.emit(min(max(part, 0.0), 1.0) * self._top)
