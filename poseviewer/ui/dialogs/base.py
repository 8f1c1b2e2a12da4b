"""What the dialogs share: a titled page with a row of buttons, and rows of labelled fields."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from poseviewer.ui.panels.widgets import Label

EDGE = 16
"""Distance of a dialog's content from its edge, logical pixels."""
TITLE = 40
"""Room that a screen keeps for a dialog's title bar, logical pixels."""


class Dialog(QDialog):
    """A dialog with a body and a row of buttons; the primary button is the last one.

    Args:
        title: shown in the title bar.
        width: of the dialog in logical pixels.
        parent: the window.
    """

    def __init__(self, title: str, width: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._least_width = width
        self.setMinimumWidth(width)
        self.setProperty("panel", "true")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.body = QVBoxLayout()
        self.body.setContentsMargins(EDGE, EDGE, EDGE, EDGE)
        self.body.setSpacing(12)
        column.addLayout(self.body, 1)
        column.addWidget(Rule())
        self.buttons = QHBoxLayout()
        self.buttons.setContentsMargins(EDGE, 12, EDGE, 12)
        self.buttons.setSpacing(8)
        self.buttons.addStretch(1)
        column.addLayout(self.buttons)

    def event(self, event: QEvent) -> bool:
        """Give wrapped words the height that they need at this width: a layout alone squeezes the rows beside them."""
        done = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize, QEvent.Type.Show):
            self._fit()
        return done

    def _fit(self) -> None:
        layout, screen = self.layout(), self.screen()
        if layout is None or screen is None:
            return
        room = screen.availableGeometry()
        # A width that is set takes the place of the layout's own, so the larger one is set.
        self.setMinimumWidth(min(max(self._least_width, layout.totalMinimumSize().width()), room.width()))
        needed = layout.totalMinimumSize().height()
        if layout.hasHeightForWidth():
            needed = layout.totalMinimumHeightForWidth(max(self.width(), self.minimumWidth()))
        most = max(room.height() - TITLE, 0)
        for part in self.findChildren(ScrolledPart):
            needed += part.take(most - needed)
        self.setMinimumHeight(min(needed, most))
        below = self.geometry().bottom() - room.bottom()
        if self.isVisible() and below > 0:
            # A dialog that grew keeps its buttons on the screen.
            self.move(self.x(), max(self.y() - below, room.top()))

    def prefer(self, width: int, height: int) -> None:
        """Take so many logical pixels, as far as the screen has them."""
        screen = self.screen()
        room = screen.availableGeometry() if screen is not None else QRect(0, 0, width, height + TITLE)
        self.resize(min(width, room.width()), min(height, max(room.height() - TITLE, 0)))

    def add_button(self, text: str, *, primary: bool = False) -> QPushButton:
        """Append a button to the row and return it."""
        button = QPushButton(text)
        button.setProperty("primary", "true" if primary else "false")
        button.setAutoDefault(primary)
        button.setDefault(primary)
        self.buttons.addWidget(button)
        return button

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Close on Escape; the other keys stay inside the dialog."""
        if event.key() == Qt.Key.Key_Escape:
            self.reject()
            return
        event.accept()


class ScrolledPart(QScrollArea):
    """The part of a dialog that scrolls where the screen is too low for all of it; elsewhere it is shown whole.

    Args:
        content: is laid out at its own height and at the width that there is.
    """

    LEAST = 160
    """Height below which it does not shrink, logical pixels."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setProperty("panel", "true")
        self.viewport().setAutoFillBackground(False)
        self._content = content
        self.setWidget(content)
        content.setAutoFillBackground(False)
        content.installEventFilter(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setMinimumHeight(self.LEAST)
        # A scroll bar keeps off the fields beside it.
        self.verticalScrollBar().rangeChanged.connect(
            lambda _low, high: self.setViewportMargins(0, 0, 8 if high > 0 else 0, 0)
        )

    def take(self, room: int) -> int:
        """Take as much of ``room`` more height as the content needs; less than 0 gives some back.

        Returns:
            by how much the least height changed, logical pixels.
        """
        before = self.minimumHeight()
        whole = self.sizeHint().height()
        self.setMinimumHeight(min(max(before + room, min(self.LEAST, whole)), whole))
        return self.minimumHeight() - before

    def minimumSizeHint(self) -> QSize:
        """As wide as the content with a scroll bar beside it."""
        return QSize(self.sizeHint().width(), self.LEAST)

    def sizeHint(self) -> QSize:
        """All of the content, with room for a scroll bar beside it."""
        content = self._content
        needed = content.minimumSizeHint()
        if content.hasHeightForWidth():
            needed.setHeight(max(content.heightForWidth(max(content.width(), needed.width())), needed.height()))
        return QSize(needed.width() + self.verticalScrollBar().sizeHint().width() + 8, needed.height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask for another height when the content does."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)


class Rule(QFrame):
    """A separating line of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFixedHeight(1)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(self.palette().ColorRole.Mid)


class Fields(QGridLayout):
    """Rows of a label on the left and a control on the right."""

    def __init__(self, label_width: int = 128) -> None:
        super().__init__()
        self.setContentsMargins(0, 0, 0, 0)
        self.setHorizontalSpacing(12)
        self.setVerticalSpacing(8)
        self.setColumnMinimumWidth(0, label_width)
        self.setColumnStretch(1, 1)

    def widest(self) -> int:
        """Return the width of the widest label in logical pixels, so that fields above one another can be aligned."""
        items = [self.itemAtPosition(row, 0) for row in range(self.rowCount())]
        return max([item.sizeHint().width() for item in items if item is not None], default=0)

    def add(self, name: str, control: QWidget, remark: str = "") -> QWidget:
        """Append a row and return ``control``; the label is the control's accessible name."""
        row = self.rowCount()
        label = Label(name, token="t2")
        label.setMinimumWidth(0)
        self.addWidget(label, row, 0)
        self.addWidget(control, row, 1)
        control.setAccessibleName(name)
        if remark:
            hint = Label(remark, size=11, token="t3", wrap=True)
            self.addWidget(hint, row + 1, 1)
        return control
