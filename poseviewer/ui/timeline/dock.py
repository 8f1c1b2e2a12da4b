"""The timeline: transport row above the lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from poseviewer.ui import theme
from poseviewer.ui.text import tr
from poseviewer.ui.timeline.lanes import LanesWidget
from poseviewer.ui.timeline.transport import HEIGHT, Rule, Transport

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk


class TimelineDock(QWidget):
    """When does what happen, and what is worth a look?"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("panel", "true")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr("Timeline"))
        self._desk = desk
        self.lanes = LanesWidget(desk)
        self.transport = Transport(desk, self.lanes.source)
        line = Rule()
        line.setFixedSize(16777215, 1)
        line.setMinimumWidth(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.transport)
        layout.addWidget(line)
        layout.addWidget(self.lanes, 1)
        self.lanes.view_changed.connect(self._show_zoom)
        self.lanes.rows_changed.connect(self.transport.refresh)
        self.transport.zoomed.connect(self._zoom)
        self.setFocusProxy(self.lanes)

    def sizeHint(self) -> QSize:
        """Return the size of look.md."""
        return QSize(1200, theme.TIMELINE)

    def minimumSizeHint(self) -> QSize:
        """Return the height of two tracks."""
        return QSize(480, HEIGHT + 94)

    def _show_zoom(self) -> None:
        self.transport.show_zoom(self.lanes.view.zoom)

    def _zoom(self, zoom: float) -> None:
        self.lanes.set_view(self.lanes.view.with_zoom(zoom, self._desk.selection.frame))
