"""Every key in one place, made from the table of actions, with a search field."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from poseviewer.session.actions import GROUPS, PERSONS, Action, shortcut_rows
from poseviewer.ui.dialogs.base import Dialog
from poseviewer.ui.panels.widgets import Heading, KeyCap, Label
from poseviewer.ui.text import tr

COLUMNS = 3


class ShortcutsDialog(Dialog):
    """The shortcut page: keys and gestures by group; typing narrows it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Shortcuts"), 1000, parent)
        self.prefer(1080, 900)
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Find a key or an action"))
        self.search.setAccessibleName(tr("Find a key or an action"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._narrow)
        self.body.addWidget(self.search)
        self._rows: list[tuple[QWidget, str]] = []
        self._groups: dict[str, tuple[QWidget, list[QWidget]]] = {}
        self.body.addWidget(self._page(), 1)
        self.add_button(tr("Close"), primary=True).clicked.connect(self.accept)
        self.search.setFocus()

    def _page(self) -> QScrollArea:
        columns = [QVBoxLayout() for _ in range(COLUMNS)]
        filled = [0] * COLUMNS
        by_group: dict[str, list[Action]] = {group: [] for group in GROUPS}
        for group, entry in shortcut_rows():
            if entry not in PERSONS[1:]:
                by_group[group].append(entry)
        for name, entries in sorted(by_group.items(), key=lambda pair: -len(pair[1])):
            if not entries:
                continue
            shortest = filled.index(min(filled))
            columns[shortest].addWidget(self._group(name, entries))
            filled[shortest] += len(entries) + 2
        inner = QWidget()
        row = QHBoxLayout(inner)
        row.setContentsMargins(0, 0, 8, 0)
        row.setSpacing(28)
        for column in columns:
            column.addStretch(1)
            row.addLayout(column, 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(inner)
        for part in (area.viewport(), inner):
            part.setAutoFillBackground(False)
        return area

    def _group(self, group: str, entries: list[Action]) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 14)
        column.setSpacing(2)
        column.setAlignment(Qt.AlignmentFlag.AlignTop)
        column.addWidget(Heading(tr(group)))
        rows = []
        for entry in entries:
            rows.append(self._row(entry))
            column.addWidget(rows[-1])
        self._groups[group] = (holder, rows)
        return holder

    def _row(self, entry: Action) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        shown = [key_text(key, gesture=entry.where == "mouse") for key in entry.keys]
        text = tr(entry.text)
        if entry == PERSONS[0]:
            # The nine keys in a row say no more than their first and last.
            text, shown = tr("Person 1 to 9"), [PERSONS[0].keys[0], "…", PERSONS[-1].keys[0]]
        row.addWidget(Label(text, token="t2"), 1)
        for key in shown:
            row.addWidget(KeyCap(key), 0, Qt.AlignmentFlag.AlignVCenter)
        holder.setToolTip(tr(entry.help))
        holder.setAccessibleName(f"{text}: {', '.join(shown)}")
        self._rows.append((holder, " ".join((text, tr(entry.help), entry.text, *shown)).casefold()))
        return holder

    def _narrow(self, text: str) -> None:
        words = text.casefold().split()
        for row, content in self._rows:
            row.setHidden(not all(word in content for word in words))
        for holder, rows in self._groups.values():
            holder.setHidden(all(row.isHidden() for row in rows))

    def shown_rows(self) -> list[str]:
        """Return what is listed now, as "action: keys"."""
        return [row.accessibleName() for row, _ in self._rows if not row.isHidden()]


def key_text(key: str, *, gesture: bool = False) -> str:
    """Return a key as the platform writes it; a mouse gesture in the window's language."""
    if gesture:
        return tr(key)
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
