"""The table of candidates: score, outcome, and how near each is to who decided over it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from poseviewer.core.values import BY_BOTH, BY_MATCHES, BY_SIMILARITY, KEPT, Suppression
from poseviewer.ops.nms_config import NmsConfig
from poseviewer.ui import icons, theme
from poseviewer.ui.panels.candidatepicture import candidate_colour
from poseviewer.ui.panels.rows_model import LEFT, RIGHT, ROW_ROLE, Index, RowsModel
from poseviewer.ui.panels.rows_table import RowsTable
from poseviewer.ui.panels.verdicts import CandidateRow, outcome_words, reason_words
from poseviewer.ui.panels.widgets import scaled
from poseviewer.ui.text import tr

NUMBER, SCORE, OUTCOME, SIMILARITY, MATCHES = range(5)
ROW = 22
WIDE, VERY_NARROW = 310, 230
"""From the first width on the table words outcomes in full; below the second it leaves the matches out."""
LEAST_ROWS = 4


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
