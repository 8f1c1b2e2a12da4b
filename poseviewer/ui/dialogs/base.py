"""What the dialogs share: a titled page with a row of buttons, and rows of labelled fields."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from poseviewer.ui.panels.widgets import Label

EDGE = 16
"""Distance of a dialog's content from its edge, logical pixels."""


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
        room = screen.availableSize()
        # A width that is set takes the place of the layout's own, so the larger one is set.
        self.setMinimumWidth(min(max(self._least_width, layout.totalMinimumSize().width()), room.width()))
        needed = layout.totalMinimumHeightForWidth(max(self.width(), self.minimumWidth()))
        self.setMinimumHeight(max(min(needed, room.height() - 40), 0))

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
