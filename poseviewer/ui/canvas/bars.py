"""The floating bars of the canvas: what is shown, what the glyphs mean, how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRect, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QFrame, QGraphicsOpacityEffect, QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from poseviewer.core.values import ABSENT, OCCLUDED, VISIBLE
from poseviewer.session.actions import action
from poseviewer.ui import theme
from poseviewer.ui.canvas.paint import paint_glyph
from poseviewer.ui.icons import icon
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

HEIGHT = 34
FADED = 0.18


class Bar(QFrame):
    """A floating bar; clicks on it never reach the picture."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("floating", "true")
        self.setFixedHeight(HEIGHT)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(5, 3, 5, 3)
        self.row.setSpacing(2)
        self._fade = QGraphicsOpacityEffect(self)
        self._fade.setOpacity(0.93)
        self.setGraphicsEffect(self._fade)

    def set_faded(self, *, faded: bool) -> None:
        """Let the picture through while a drag passes beneath."""
        self._fade.setOpacity(FADED if faded else 0.93)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, faded)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Keep clicks off the picture."""
        event.accept()

    def separator(self) -> None:
        """Add a thin line."""
        line = QFrame(self)
        line.setFixedSize(1, 18)
        line.setAutoFillBackground(True)
        line.setBackgroundRole(QPalette.ColorRole.Mid)
        self.row.addSpacing(4)
        self.row.addWidget(line)
        self.row.addSpacing(4)


def icon_button(parent: QWidget, action_id: str, name: str = "") -> QToolButton:
    """Return a button with the icon, tooltip and accessible name of an action."""
    entry = action(action_id)
    button = QToolButton(parent)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setProperty("icon_name", name or entry.icon)
    button.setIcon(icon(name or entry.icon))
    button.setIconSize(QSize(16, 16))
    button.setFixedSize(28, 26)
    button.setCheckable(entry.checkable)
    keys = f" ({entry.keys[0]})" if entry.keys else ""
    button.setToolTip(f"{tr(entry.text)}{keys}\n{tr(entry.help)}")
    button.setAccessibleName(tr(entry.text))
    return button


class DisplayBar(Bar):
    """Top left: skeletons, boxes, labels, trails, heat and its opacity, colour by side or track."""

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self._desk = desk
        self._toggles: dict[str, QToolButton] = {}
        for name in ("skeleton", "boxes", "labels", "trails"):
            self._add_toggle(name)
        self.separator()
        self._add_toggle("heat")
        self._heat_label = QLabel(tr("Heat"), self)
        self._heat_label.setProperty("level", "2")
        self.row.addWidget(self._heat_label)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, 100)
        self._slider.setFixedWidth(84)
        self._slider.setAccessibleName(tr("Heat opacity"))
        self._slider.valueChanged.connect(lambda value: desk.show(heat_opacity=value / 100))
        self.row.addSpacing(4)
        self.row.addWidget(self._slider)
        self._percent = QLabel(self)
        self._percent.setProperty("level", "2")
        self._percent.setFixedWidth(38)
        self.row.addWidget(self._percent)
        self.separator()
        self._colour_label = QLabel(tr("Colour"), self)
        self._colour_label.setProperty("level", "2")
        self.row.addWidget(self._colour_label)
        self._colour: dict[str, QToolButton] = {}
        for key, text in (("side", tr("Side")), ("track", tr("Track"))):
            self._add_colour(key, text)
        desk.display_changed.connect(self.refresh)
        theme.notifier().changed.connect(self._new_theme)
        self.refresh()

    def fit(self, width: int) -> None:
        """Leave out what is least needed, words first, until the bar is no wider than ``width``."""
        parts = (self._colour_label, self._heat_label, self._percent, self._slider, *self._colour.values())
        for part in parts:
            part.show()
        for part in parts:
            if self.sizeHint().width() > width:
                part.hide()
        self.adjustSize()

    def _add_toggle(self, name: str) -> None:
        button = icon_button(self, f"show_{name}")
        button.clicked.connect(lambda: self._desk.do(f"show_{name}"))
        self._toggles[name] = button
        self.row.addWidget(button)

    def _add_colour(self, key: str, text: str) -> None:
        button = QToolButton(self)
        button.setText(text)
        button.setCheckable(True)
        button.setProperty("segment", "true")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: self._desk.show(colour_by=key))
        self._colour[key] = button
        self.row.addWidget(button)

    def refresh(self) -> None:
        """Show the display's state."""
        display = self._desk.display
        for name, button in self._toggles.items():
            button.setChecked(getattr(display, name))
        for key, button in self._colour.items():
            button.setChecked(display.colour_by == key)
        percent = round(display.heat_opacity * 100)
        self._slider.blockSignals(True)
        self._slider.setValue(percent)
        self._slider.blockSignals(False)
        self._slider.setEnabled(display.heat)
        self._percent.setText(f"{percent} %")

    def _new_theme(self) -> None:
        for button in self._toggles.values():
            button.setIcon(icon(str(button.property("icon_name"))))


class LegendBar(Bar):
    """Bottom left: the three visibilities and the shapes of the sides, which have no colour of their own where
    people are coloured by track."""

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self._desk = desk
        desk.display_changed.connect(self.refresh)
        self._items = (
            ("", VISIBLE, tr("visible")),
            ("", OCCLUDED, tr("occluded")),
            ("", ABSENT, tr("absent")),
            ("left", VISIBLE, tr("left")),
            ("right", VISIBLE, tr("right")),
            ("centre", VISIBLE, tr("centre")),
        )
        self.setFixedWidth(self._width())
        self.setAccessibleName(tr("Legend"))
        theme.notifier().changed.connect(self._new_theme)

    def refresh(self) -> None:
        """Show the display's state."""
        self.update()

    def _width(self) -> int:
        from PySide6.QtGui import QFontMetrics

        metrics = QFontMetrics(theme.font(12))
        return 26 + sum(metrics.horizontalAdvance(text) + 30 for _, _, text in self._items)

    def _new_theme(self) -> None:
        self.setFixedWidth(self._width())
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint glyphs and words."""
        super().paintEvent(event)
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            painter.setFont(theme.font(12))
            x, middle = 18.0, self.height() / 2
            for index, (side, seen, text) in enumerate(self._items):
                if index == 3:
                    painter.fillRect(QRect(round(x - 8), 8, 1, self.height() - 16), theme.current().colour("line"))
                    x += 8
                by_side = side and self._desk.display.colour_by == "side"
                colour = theme.data_colour(side) if by_side else theme.current().colour("t1")
                if not side and seen == OCCLUDED:
                    painter.setBrush(Qt.BrushStyle.NoBrush)
                    pen = painter.pen()
                    pen.setColor(colour)
                    pen.setWidthF(2.0)
                    painter.setPen(pen)
                    painter.drawEllipse(QPointF(x, middle), 4, 4)
                elif not side and seen == ABSENT:
                    pen = painter.pen()
                    pen.setColor(colour)
                    pen.setWidthF(1.6)
                    painter.setPen(pen)
                    painter.drawLine(QPointF(x - 3.5, middle - 3.5), QPointF(x + 3.5, middle + 3.5))
                    painter.drawLine(QPointF(x - 3.5, middle + 3.5), QPointF(x + 3.5, middle - 3.5))
                elif not side:
                    painter.setPen(Qt.PenStyle.NoPen)
                    painter.setBrush(colour)
                    painter.drawEllipse(QPointF(x, middle), 4, 4)
                else:
                    paint_glyph(painter, QPointF(x, middle), 4.4, side, colour, seen)
                painter.setPen(theme.current().colour("t2"))
                width = painter.fontMetrics().horizontalAdvance(text)
                painter.drawText(
                    QRect(round(x + 9), 0, width + 4, self.height()), int(Qt.AlignmentFlag.AlignVCenter), text
                )
                x += width + 30
        finally:
            painter.end()


class ZoomBar(Bar):
    """Bottom right: smaller, per cent, larger, fit."""

    asked = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._buttons: dict[str, QToolButton] = {}
        for action_id, text in (("zoom_out", "−"), ("", ""), ("zoom_in", "+"), ("fit", "")):
            if not action_id:
                self._percent = QToolButton(self)
                self._percent.setFixedSize(58, 26)
                self._percent.setToolTip(tr(action("zoom_100").help))
                self._percent.clicked.connect(lambda: self.asked.emit("zoom_100"))
                self.row.addWidget(self._percent)
                continue
            button = icon_button(self, action_id, "fit" if action_id == "fit" else "add")
            if text:
                button.setIcon(icon("add") if text == "+" else button.icon())
                if text != "+":
                    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
                    button.setText(text)
            button.clicked.connect(lambda _=False, name=action_id: self.asked.emit(name))
            self._buttons[action_id] = button
            self.row.addWidget(button)
        theme.notifier().changed.connect(self._new_theme)
        self.set_scale(1.0)

    def set_scale(self, scale: float) -> None:
        """Show the zoom."""
        self._percent.setText(f"{scale * 100:.0f} %")

    def _new_theme(self) -> None:
        self._buttons["fit"].setIcon(icon("fit"))
        self._buttons["zoom_in"].setIcon(icon("add"))
