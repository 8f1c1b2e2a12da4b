"""The inspector: panels side by side, whose names are wholly readable wherever there is room for them."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QTabBar, QTabWidget

from poseviewer.ui import theme

AROUND, AROUND_TIGHT = 14, 8
"""Width that a tab takes beside its name: paddings and margins of ``QTabBar::tab`` in window.qss."""
EDGE = 6
"""Width that the bar keeps free."""


class TabNames(QTabBar):
    """The names of panels; where they are many for the width they are smaller and closer together.

    A tab is as wide as its name in the weight of the tab in front. (Qt measures a font that a stylesheet gives to a
    tab, but cuts the name by the font of the bar, so the font is the bar's own here.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.setDrawBase(False)
        # A name that is cut is found sooner than a tab that is out of sight.
        self.setUsesScrollButtons(False)
        self.setElideMode(Qt.TextElideMode.ElideRight)
        self._tight = False
        theme.notifier().changed.connect(self._dress)
        self._dress()

    @property
    def tight(self) -> bool:
        """Whether the names are closer together."""
        return self._tight

    def set_room(self, width: int) -> None:
        """Move the names closer together, or apart again, as ``width`` px need it."""
        tight = self.needed(tight=False) > width
        if tight != self._tight:
            self._tight = tight
            self.setProperty("tight", tight)
            self.style().unpolish(self)
            self.style().polish(self)
            self._dress()

    def needed(self, *, tight: bool) -> int:
        """Return the width in px that all names take."""
        around = AROUND_TIGHT if tight else AROUND
        metrics = QFontMetrics(_font(tight=tight, weight=600))
        return sum(metrics.horizontalAdvance(self.tabText(i)) + around for i in range(self.count())) + EDGE

    def tabSizeHint(self, index: int) -> QSize:
        """Return the room of a name, so that it keeps its place when its panel comes to the front."""
        metrics = QFontMetrics(_font(tight=self._tight, weight=600))
        width = metrics.horizontalAdvance(self.tabText(index)) + (AROUND_TIGHT if self._tight else AROUND)
        return QSize(width, super().tabSizeHint(index).height())

    def _dress(self) -> None:
        # A new font makes the bar measure its tabs anew.
        self.setFont(_font(tight=self._tight))


def _font(*, tight: bool, weight: int = 400) -> QFont:
    return theme.font(11 if tight else 12, weight)


class Inspector(QTabWidget):
    """Panels side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.names = TabNames()
        self.setTabBar(self.names)
        self.setDocumentMode(True)
        self.names.setDrawBase(False)
        theme.notifier().changed.connect(self._fit)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Let the names use the new width."""
        self.names.set_room(event.size().width())
        super().resizeEvent(event)

    def _fit(self) -> None:
        self.names.set_room(self.width())
