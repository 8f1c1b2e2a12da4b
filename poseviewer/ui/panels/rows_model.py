"""What the tables of the panels share: rows of frozen values as a model, which keeps the view's place."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

Index = QModelIndex | QPersistentModelIndex
Row = TypeVar("Row")
ROW_ROLE = Qt.ItemDataRole.UserRole + 1
"""The role under which a cell gives its whole row."""

LEFT, MIDDLE, RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight


class RowsModel(QAbstractTableModel, Generic[Row]):
    """Rows of one kind.

    Args:
        heads: titles of the columns, in the window's language.
        sides: horizontal alignment of each column's title.
    """

    def __init__(self, heads: tuple[str, ...] = ("",), sides: tuple[Qt.AlignmentFlag, ...] = (LEFT,)) -> None:
        super().__init__()
        self._heads, self._sides = heads, sides
        self._rows: list[Row] = []

    def show_rows(self, rows: list[Row]) -> None:
        """Show other rows; those that stand for the same things keep the view's scroll place and selection."""
        if self.same_things(self._rows, rows):
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(self._heads) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def same_things(self, before: list[Row], after: list[Row]) -> bool:
        """Return whether rows stand for the same things as before: here, whether there are as many."""
        return len(before) == len(after)

    def words(self, row: Row, column: int) -> str:
        """Return what a cell says."""
        raise TypeError("a model of rows says what its cells say")

    def tip(self, row: Row, column: int) -> str | None:
        """Return a cell's tooltip, or None."""
        return None

    def index(self, row: int, column: int = 0, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        """Return a cell; the first column unless told otherwise, for lists."""
        return super().index(row, column, parent)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Return how many rows there are."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(self._heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heads."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._heads):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._heads[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._sides[section] | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell's words, its tooltip, or its row."""
        row = self.row_at(index.row()) if index.isValid() else None
        if row is None:
            return None
        if role == ROW_ROLE:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.words(row, index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.tip(row, index.column())
        return None

    def row_at(self, place: int) -> Row | None:
        """Return what a row shows, or None if there is no such row."""
        return self._rows[place] if 0 <= place < len(self._rows) else None
