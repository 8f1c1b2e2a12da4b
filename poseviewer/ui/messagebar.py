"""The bar under the toolbar: what is, why, and what next; errors stay until closed, notices leave after 6 s."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QEnterEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from poseviewer.ui import theme
from poseviewer.ui.icons import icon, pixmap
from poseviewer.ui.messages import Message
from poseviewer.ui.text import tr

NOTICE_MS = 6000
MOST = 3
EDGE = 3
_LOOKS = {"info": ("info", "info"), "done": ("done", "ok"), "warning": ("warning", "warn"), "error": ("error", "err")}


class MessageCard(QFrame):
    """One message."""

    closed = Signal(object)
    asked = Signal(object)

    def __init__(self, message: Message, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = message
        self.setAutoFillBackground(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 9, 8, 9)
        row.setSpacing(12)
        self._icon = QLabel(self)
        row.addWidget(self._icon)
        words = QVBoxLayout()
        words.setSpacing(2)
        sentence = self._text(message.sentence)
        words.addWidget(sentence)
        if message.remedy:
            remedy = self._text(message.remedy)
            remedy.setProperty("level", "2")
            words.addWidget(remedy)
        row.addLayout(words, 1)
        for text, act in message.actions[:2]:
            button = QPushButton(text, self)
            button.clicked.connect(lambda _=False, chosen=act: self._act(chosen))
            row.addWidget(button)
        close = QToolButton(self)
        close.setIcon(icon("close"))
        close.setIconSize(QSize(16, 16))
        close.setFixedSize(28, 26)
        close.setAccessibleName(tr("Close"))
        close.setToolTip(tr("Close"))
        close.clicked.connect(lambda: self.closed.emit(self))
        row.addWidget(close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(NOTICE_MS)
        self._timer.timeout.connect(lambda: self.closed.emit(self))
        self.setAccessibleName(message.sentence)
        theme.notifier().changed.connect(self._new_theme)
        self._new_theme()
        if self.leaves:
            self._timer.start()

    def _text(self, text: str) -> QLabel:
        label = QLabel(text, self)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        return label

    @property
    def leaves(self) -> bool:
        """Whether it goes by itself."""
        return self.message.level in ("info", "done")

    def _act(self, act: str | Callable[[], object]) -> None:
        self.closed.emit(self)
        self.asked.emit(act)

    def _new_theme(self) -> None:
        name, token = _LOOKS[self.message.level]
        self._icon.setPixmap(pixmap(name, theme.current().text(token), 16, self.devicePixelRatioF()))
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Wait while somebody reads."""
        self._timer.stop()

    def leaveEvent(self, event: QEvent) -> None:
        """Count anew."""
        if self.leaves:
            self._timer.start()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the card with its coloured edge."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            looks = theme.current()
            painter.setPen(looks.colour("line"))
            painter.setBrush(looks.colour("panel"))
            painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 6, 6)
            painter.fillRect(0, 2, EDGE, self.height() - 4, looks.colour(_LOOKS[self.message.level][1]))
        finally:
            painter.end()


class MessageBar(QWidget):
    """Holds up to three messages; the newest is at the bottom, one of the same key replaces its forerunner.

    It lies over the top of its parent, so that the picture beneath never moves under a hand that is dragging.
    """

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(14, 12, 14, 0)
        self._column.setSpacing(6)
        self.cards: list[MessageCard] = []
        self.setVisible(False)
        if parent is not None:
            parent.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay as wide as the parent."""
        if event.type() == QEvent.Type.Resize and watched is self.parent():
            self._lie()
        return False

    def event(self, event: QEvent) -> bool:
        """Take the height that the cards ask for once they are laid out."""
        done = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest:
            self._lie()
        return done

    def _lie(self) -> None:
        """Lie over the top of the parent, no higher than the messages need."""
        parent = self.parentWidget()
        if parent is None or not self.cards:
            return
        self._column.activate()
        width = parent.width()
        height = (
            self._column.totalHeightForWidth(width) if self._column.hasHeightForWidth() else self.sizeHint().height()
        )
        self.setGeometry(0, 0, width, height)
        self.raise_()

    def show_message(self, message: Message) -> None:
        """Add a message."""
        same = [c for c in self.cards if (message.key and c.message.key == message.key) or c.message == message]
        for card in same:
            self.remove(card)
        while len(self.cards) >= MOST:
            self.remove(next((card for card in self.cards if card.leaves), self.cards[0]))
        card = MessageCard(message, self)
        card.closed.connect(self.remove)
        card.asked.connect(self.asked)
        self.cards.append(card)
        self._column.addWidget(card)
        self.setVisible(True)
        self._lie()

    def remove(self, card: MessageCard) -> None:
        """Take a message away."""
        if card in self.cards:
            self.cards.remove(card)
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.setVisible(bool(self.cards))
        self._lie()

    def withdraw(self, key: str) -> None:
        """Take the message called ``key`` away, if it is here: what it offers does not hold any more."""
        for card in [card for card in self.cards if card.message.key == key]:
            self.remove(card)

    def clear(self) -> None:
        """Take all messages away."""
        for card in list(self.cards):
            self.remove(card)
