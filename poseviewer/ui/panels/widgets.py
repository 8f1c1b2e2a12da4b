"""Small parts that the panels share: labels in tokens, segments, notes, empty states, and the panel itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPalette, QPen, QPixmap, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from poseviewer.ui import icons, theme

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

MARGIN = 12
"""Distance of a panel's content from its edge, logical pixels."""


def scaled(pixels: float) -> int:
    """Return a width or height that holds text, at the text size in use."""
    return round(pixels * theme.font(12).pixelSize() / 12)


class Label(QLabel):
    """A label with a size, weight and colour token of look.md, whose text can be selected."""

    def __init__(
        self, text: str = "", *, size: float = 12, weight: int = 400, token: str = "t1", wrap: bool = False
    ) -> None:
        super().__init__(text)
        self._size, self._weight, self._token = size, weight, token
        self.setWordWrap(wrap)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        # Without this an unwrapped text would keep its dock from getting narrower.
        self.setMinimumWidth(1)
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def set_token(self, token: str) -> None:
        """Use another colour token."""
        if token != self._token:
            self._token = token
            self._dress()

    def _dress(self) -> None:
        self.setFont(theme.font(self._size, self._weight))
        colours = self.palette()
        colours.setColor(QPalette.ColorRole.WindowText, theme.current().colour(self._token))
        self.setPalette(colours)


class Heading(Label):
    """A section's title, 12 px semibold."""

    def __init__(self, text: str) -> None:
        super().__init__(text, weight=600)
        # A title keeps its room; what stands beside it gives way.
        self.setMinimumWidth(0)


class Question(Label):
    """The one question that a panel answers."""

    def __init__(self, text: str) -> None:
        super().__init__(text, token="t2", wrap=True)
        self.setAccessibleName(text)


class Figure(QWidget):
    """A figure with its name above and a remark below; all of it can be selected."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = Label(name, size=11, token="t2")
        self.value = Label("–", size=15, weight=600)
        self.unit = Label("", size=11, token="t2")
        self.remark = Label("", size=11, token="t2", wrap=True)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.value, 0, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(self.unit, 1, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        column.addWidget(self.name)
        column.addLayout(row)
        column.addWidget(self.remark)

    def show_value(self, value: str, *, unit: str = "", remark: str = "", token: str = "t1") -> None:
        """Show a value with its unit and remark."""
        self.value.setText(value)
        self.value.set_token(token)
        self.unit.setText(unit)
        self.remark.setText(remark)
        self.remark.setVisible(bool(remark))
        self.setAccessibleName(" ".join(part for part in (self.name.text(), value, unit, remark) if part))


class IconButton(QToolButton):
    """A flat button with an icon, a name for screen readers and a tooltip."""

    def __init__(self, icon: str, name: str, *, tip: str = "", size: int = 28, checkable: bool = False) -> None:
        super().__init__()
        self._icon = icon
        self.setAccessibleName(name)
        self.setToolTip(tip or name)
        self.setCheckable(checkable)
        self.setFixedSize(size, size)
        self.setIconSize(QSize(16, 16))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def set_icon(self, icon: str) -> None:
        """Show another icon."""
        if icon != self._icon:
            self._icon = icon
            self._dress()

    def _dress(self) -> None:
        self.setIcon(icons.icon(self._icon))


class SmallButton(QPushButton):
    """A 28 px button with an icon before its text."""

    def __init__(self, text: str, icon: str = "", *, flat: bool = False) -> None:
        super().__init__(text)
        self._icon = icon
        self.setProperty("flat", "true" if flat else "false")
        self.setAccessibleName(text)
        self.setIconSize(QSize(16, 16))
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        if self._icon:
            self.setIcon(icons.icon(self._icon, theme.current().text("t1")))


class Segments(QFrame):
    """A few choices side by side, one of them on.

    ``chosen`` carries the key of the choice that a person made.
    """

    chosen = Signal(str)

    def __init__(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._buttons: dict[str, QToolButton] = {}
        group = QButtonGroup(self)
        group.setExclusive(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(1, 1, 1, 1)
        row.setSpacing(0)
        for key, text in choices:
            button = QToolButton()
            button.setText(text)
            button.setCheckable(True)
            button.setProperty("segment", "true")
            button.setAccessibleName(f"{name}: {text}")
            button.setMinimumHeight(22)
            button.clicked.connect(lambda _checked=False, key=key: self.chosen.emit(key))
            group.addButton(button)
            row.addWidget(button)
            self._buttons[key] = button
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def choose(self, key: str) -> None:
        """Show ``key`` as on, without a signal."""
        self._buttons[key].setChecked(True)

    def set_text(self, key: str, text: str) -> None:
        """Change a choice's text."""
        self._buttons[key].setText(text)

    def button(self, key: str) -> QToolButton:
        """Return the button of a choice."""
        return self._buttons[key]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame around the choices."""
        looks = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(looks.colour("line"), 1))
        painter.setBrush(looks.colour("sunken"))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        painter.end()


class NumberField(QLineEdit):
    """A figure that can be typed, or stepped by the up and down keys. ``changed`` carries a value somebody entered.

    (A spin box without buttons loses its text under a stylesheet in Qt 6.11.)
    """

    changed = Signal(float)

    def __init__(self, name: str, *, decimals: int, step: float) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._decimals, self._step = decimals, step
        self._value, self._top = 0.0, 1.0
        theme.notifier().changed.connect(self._dress)
        self._dress()
        self.editingFinished.connect(self._entered)
        self.show_value(0.0)

    def _dress(self) -> None:
        self.setFixedWidth(scaled(60))

    @property
    def value(self) -> float:
        """The value, with all its digits."""
        return self._value

    def set_top(self, top: float) -> None:
        """Let values go from 0 to ``top``."""
        self._top = top

    def show_value(self, value: float) -> None:
        """Show a value, without a signal."""
        self._value = min(max(value, 0.0), self._top)
        self.setText(f"{self._value:.{self._decimals}f}")

    def _entered(self) -> None:
        try:
            typed = float(self.text().replace(",", "."))
        except ValueError:
            self.show_value(self._value)
            return
        if self.text() != f"{self._value:.{self._decimals}f}":
            self.show_value(typed)
            self.changed.emit(self._value)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Step by the up and down keys."""
        way = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(Qt.Key(event.key()), 0)
        if way:
            self.show_value(self._value + way * self._step)
            self.changed.emit(self._value)
        else:
            super().keyPressEvent(event)


class Tick(QCheckBox):
    """A check box with the look's frame; the style's own is black on a dark panel."""

    SIDE = 15

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        theme.notifier().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """Return the room that box and words need."""
        words = self.fontMetrics().size(0, self.text())
        return QSize(self.SIDE + 8 + words.width() + 4, max(words.height() + 6, 24))

    def minimumSizeHint(self) -> QSize:
        """Return the same: words that are cut say nothing."""
        return self.sizeHint()

    def hitButton(self, place: QPoint) -> bool:
        """Return whether a click there counts: box and words."""
        return self.rect().contains(place)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the box, its tick, the words and the focus ring."""
        looks = theme.current()
        side = self.SIDE
        box = QRectF(1.5, (self.height() - side) / 2 + 0.5, side - 1, side - 1)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on, can = self.isChecked(), self.isEnabled()
        painter.setPen(QPen(looks.colour("fill" if on and can else "edge"), 1))
        painter.setBrush(looks.colour("fill" if on and can else "hover" if self.underMouse() and can else "sunken"))
        painter.drawRoundedRect(box, 3, 3)
        if on:
            pen = QPen(looks.colour("on_fill" if can else "t3"), 1.8)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
            painter.setPen(pen)
            x, y = box.x(), box.y()
            painter.drawPolyline([QPointF(x + 3.2, y + 7.4), QPointF(x + 6, y + 10.2), QPointF(x + 10.9, y + 4.2)])
        painter.setPen(looks.colour("t1" if can else "t3"))
        words = QRectF(side + 8, 0, self.width() - side - 8, self.height())
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextShowMnemonic, self.text())
        if self.hasFocus():
            painter.setPen(QPen(looks.colour("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0, 1, -1, -1), 4, 4)
        painter.end()


class Choice(QComboBox):
    """A combo box with the look's chevron."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the box, then the chevron."""
        super().paintEvent(event)
        token = "t2" if self.isEnabled() else "t3"
        pixmap = icons.pixmap("chevron-down", theme.current().text(token), 14, self.devicePixelRatioF())
        painter = QPainter(self)
        painter.drawPixmap(self.width() - 21, (self.height() - 14) // 2, pixmap)
        painter.end()


class Card(QFrame):
    """A rounded card: raised for words, warm for warnings."""

    def __init__(self, *, warning: bool = False) -> None:
        super().__init__()
        self._warning = warning
        self._picture = QLabel()
        self.text = Label("", wrap=True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        row = QHBoxLayout(self)
        row.setContentsMargins(MARGIN, 8, MARGIN, 9)
        row.setSpacing(10)
        if warning:
            row.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.text, 1)
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        self._picture.setPixmap(icons.pixmap("warning", theme.current().text("warn"), 16, self.devicePixelRatioF()))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the card."""
        looks = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(looks.colour("line"), 1) if not looks.dark and not self._warning else Qt.PenStyle.NoPen)
        painter.setBrush(looks.colour("warn_soft" if self._warning else "raised"))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.end()


class EmptyState(QWidget):
    """What a panel shows instead of its content: icon, one sentence, one hint with its key."""

    def __init__(self, icon: str) -> None:
        super().__init__()
        self._icon = icon
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.sentence = Label("", token="t2", wrap=True)
        self.hint = Label("", size=11, token="t3", wrap=True)
        self._key = KeyCap("")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(6)
        column.addStretch(2)
        column.addWidget(self._picture)
        for label in (self.sentence, self.hint):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(label)
        column.addWidget(self._key, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def say(self, sentence: str, hint: str = "", key: str = "", icon: str = "") -> None:
        """Show another sentence, hint and key."""
        self.sentence.setText(sentence)
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
        self._key.setText(key)
        self._key.setVisible(bool(key))
        self._icon = icon or self._icon
        self._dress()

    def _dress(self) -> None:
        looks = theme.current()
        self._picture.setPixmap(icons.pixmap(self._icon, looks.text("t3"), 26, self.devicePixelRatioF()))


class KeyCap(QLabel):
    """A key as a small cap."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.setProperty("key", "true")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Maximum)


class Veil(QWidget):
    """Dims the old content to 45 % while new evidence is computed, with a thin bar on top.

    It appears only after 150 ms, so quick answers never flicker.
    """

    DELAY_MS = 150

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._timer = QTimer(self, singleShot=True, interval=self.DELAY_MS)
        self._timer.timeout.connect(self._appear)
        over.installEventFilter(self)
        self.hide()

    def set_loading(self, *, loading: bool) -> None:
        """Appear after the delay, or vanish at once."""
        if not loading:
            self._timer.stop()
            self.hide()
        elif not self._timer.isActive() and not self.isVisible():
            self._timer.start()

    def _appear(self) -> None:
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(parent.rect())
        self.raise_()
        self.show()

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Follow the size of what is veiled."""
        parent = self.parentWidget()
        if event.type() == QEvent.Type.Resize and parent is not None:
            self.setGeometry(parent.rect())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the veil and the bar."""
        looks = theme.current()
        painter = QPainter(self)
        painter.fillRect(self.rect(), looks.colour("panel", 0.55))
        painter.fillRect(0, 0, self.width(), 2, looks.colour("accent"))
        painter.end()


class Panel(QWidget):
    """A view of the desk that works only while it is seen.

    Subclasses connect signals to :meth:`mark` and override :meth:`refresh`. Several signals of one step are answered
    by one refresh; a hidden panel only remembers that it is stale.
    """

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.setProperty("panel", "true")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._stale = True
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self.flush)
        theme.notifier().changed.connect(self.mark)

    def mark(self, *_ignored: object) -> None:
        """Remember that the content is out of date; refresh soon if anybody looks."""
        self._stale = True
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def flush(self) -> None:
        """Refresh now if the content is out of date."""
        if self._stale:
            self._stale = False
            self.refresh()

    @property
    def stale(self) -> bool:
        """Whether the content is out of date."""
        return self._stale

    def refresh(self) -> None:
        """Show the desk as it is now."""
        raise RuntimeError(f"{type(self).__name__} has no refresh")

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what changed while hidden."""
        super().showEvent(event)
        self.flush()


def paint_focus(view: QAbstractItemView) -> None:
    """Draw the focus ring of a list or table that has the focus; call after its own painting."""
    if view.hasFocus():
        painter = QPainter(view.viewport())
        painter.setPen(QPen(theme.current().colour("accent"), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(view.viewport().rect().adjusted(1, 1, -1, -1))
        painter.end()


def column(parent: QWidget, *, margin: int = MARGIN, spacing: int = 8) -> QVBoxLayout:
    """Return a vertical layout on ``parent``."""
    layout = QVBoxLayout(parent)
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(spacing)
    return layout


def row(*items: QWidget | None, spacing: int = 6) -> QHBoxLayout:
    """Return a horizontal layout of widgets; None is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for item in items:
        if item is None:
            layout.addStretch(1)
        else:
            layout.addWidget(item)
    return layout


def pixmap_painter(pixmap: QPixmap, paint: Callable[[QPainter], None]) -> QPixmap:
    """Paint on ``pixmap`` and return it; the painter is closed even where ``paint`` raises."""
    painter = QPainter(pixmap)
    try:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        paint(painter)
    finally:
        painter.end()
    return pixmap
