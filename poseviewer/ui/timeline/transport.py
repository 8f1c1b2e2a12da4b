"""The transport row: stepping and playing, frame and time, the worth-a-look queue, range and zoom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QIntValidator, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from poseviewer.session.actions import action
from poseviewer.ui import icons, settings, theme
from poseviewer.ui.panels.glyphs import draw_diamond
from poseviewer.ui.panels.widgets import Choice, IconButton, KeyCap, Label, scaled
from poseviewer.ui.text import language, tr
from poseviewer.ui.timeline.data import LaneSource, place_of
from poseviewer.ui.timeline.view import timecode
from poseviewer.ui.timeline.words import doubt_words, frames_words

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

SPEEDS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
PICTURE_RATES = (1.0, 2.0, 5.0, 10.0, 15.0, 25.0, 30.0, 50.0, 60.0)
HEIGHT = 38


def tip(action_id: str) -> str:
    """Return an action's tooltip: what it does and its key."""
    entry = action(action_id)
    text = tr(entry.help)
    return f"{text} ({entry.keys[0]})" if entry.keys else text


class PlayButton(QToolButton):
    """A round button that plays or pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.playing = False
        self.setFixedSize(30, 30)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.set_playing(playing=False)
        theme.notifier().changed.connect(self.update)

    def set_playing(self, *, playing: bool) -> None:
        """Show what a click does now."""
        self.playing = playing
        name = tr("Pause") if playing else tr("Play")
        self.setAccessibleName(name)
        self.setToolTip(tip("play"))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the disc and the icon."""
        looks = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ring = "accent" if self.hasFocus() else "line"
        painter.setPen(QPen(looks.colour(ring), 2 if self.hasFocus() else 1))
        painter.setBrush(looks.colour("hover" if self.underMouse() else "raised"))
        painter.drawEllipse(self.rect().toRectF().adjusted(1.5, 1.5, -1.5, -1.5))
        name = "pause" if self.playing else "play"
        token = "t1" if self.isEnabled() else "t3"
        painter.drawPixmap(7, 7, icons.pixmap(name, looks.text(token), 16, self.devicePixelRatioF()))
        painter.end()


class FrameField(QLineEdit):
    """The frame number; typing another one and Enter goes there.

    ``typed`` carries the number.
    """

    typed = Signal(int)

    def __init__(self) -> None:
        super().__init__("0")
        self.setAccessibleName(tr("Frame number"))
        self.setToolTip(tip("go_to"))
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setValidator(QIntValidator(0, 2**31 - 1, self))
        self.setMaxLength(10)
        self.returnPressed.connect(self._enter)
        theme.notifier().changed.connect(self._dress)
        self._frame = 0
        self._dress()

    def _dress(self) -> None:
        self.setFont(theme.font(12, 600))
        self.setFixedWidth(scaled(58))

    def show_frame(self, frame: int) -> None:
        """Show ``frame`` unless a person is typing."""
        self._frame = frame
        if not (self.hasFocus() and self.isModified()):
            self.setText(str(frame))

    def _enter(self) -> None:
        text = self.text()
        self.setModified(False)
        if text:
            self.typed.emit(int(text))
        self.show_frame(self._frame)
        self.selectAll()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape drops what was typed."""
        if event.key() == Qt.Key.Key_Escape:
            self.setModified(False)
            self.setText(str(self._frame))
            self.clearFocus()
            return
        super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """A number that was not entered is dropped."""
        self.setModified(False)
        self.setText(str(self._frame))
        super().focusOutEvent(event)


class WorthBar(QFrame):
    """The worth-a-look queue: where we are in it, what is doubtful here, and the way to the next."""

    asked_next = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Worth a look"))
        self._mark = QLabel()
        self._mark.setFixedWidth(14)
        self._title = Label(tr("Worth a look"), weight=600)
        self.place = Label("", token="t2")
        self.words = Label("", token="t2")
        self.next = QToolButton()
        self.next.setText(tr("Next"))
        self.next.setToolTip(tip("next_doubt"))
        self.next.setAccessibleName(tr("Next worth a look"))
        self.next.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.next.clicked.connect(self.asked_next)
        keys = action("next_doubt").keys
        line = QHBoxLayout(self)
        line.setContentsMargins(12, 0, 8, 0)
        line.setSpacing(8)
        for widget in (self._mark, self._title, self.place, self.words, self.next):
            line.addWidget(widget)
        for label in (self._title, self.place, self.words):
            label.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
            label.setMinimumWidth(0)
        self._key = KeyCap(keys[0] if keys else "")
        line.addWidget(self._key)
        self.setFixedHeight(28)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        font = theme.font(12, 600)
        self.next.setFont(font)
        self.update()

    def say(self, place: str, words: str) -> None:
        """Show the place in the queue and what is doubtful."""
        self.place.setText(place)
        self.words.setText(words)
        self.words.setVisible(bool(words))

    def set_narrow(self, *, narrow: bool) -> None:
        """Leave the words out where there is no room."""
        self.words.setMaximumWidth(0 if narrow else 16777215)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the warm card and its diamond."""
        looks = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(looks.colour("warn_soft"))
        painter.drawRoundedRect(self.rect().toRectF(), 6, 6)
        centre = self._mark.geometry().center().toPointF()
        draw_diamond(painter, centre, 4.5, looks.colour("warn"))
        painter.end()


class Transport(QWidget):
    """The row above the lanes. ``zoomed`` carries the place of the zoom slider, 0..1."""

    zoomed = Signal(float)

    def __init__(self, desk: Desk, source: LaneSource, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._source = desk, source
        self.setFixedHeight(HEIGHT)
        self._make()
        self._lay_out()
        desk.selection_changed.connect(self.refresh)
        desk.playhead_changed.connect(self.refresh)
        desk.people_changed.connect(self.refresh)
        desk.project_opened.connect(self.refresh)
        desk.media_changed.connect(self.refresh)
        self.refresh()

    def _make(self) -> None:
        desk = self._desk
        self.buttons: dict[str, QToolButton] = {}
        for name, icon in (
            ("previous_corrected", "previous-corrected"), ("frame_previous", "frame-back"),
            ("frame_next", "frame-forward"), ("next_corrected", "next-corrected"), ("loop", "loop"),
        ):  # fmt: skip
            button = IconButton(icon, tr(action(name).text), tip=tip(name), checkable=name == "loop")
            button.clicked.connect(lambda _checked=False, name=name: desk.do(name))
            button.setAutoRepeat(name.startswith("frame_"))
            self.buttons[name] = button
        self.play = PlayButton()
        self.play.clicked.connect(lambda: desk.do("play"))
        self.field = FrameField()
        self.field.typed.connect(lambda frame: desk.select(frame=frame))
        self.count = Label("", token="t2")
        self.time = Label("", token="t2")
        self.rate = Label("", size=11, token="t3")
        self.speed = Choice()
        self.speed.setAccessibleName(tr("Speed"))
        self.speed.setToolTip(tr("Speed of playing"))
        for speed in SPEEDS:
            self.speed.addItem(f"{speed:g}×", speed)
        self.speed.setCurrentIndex(SPEEDS.index(1.0))
        self.speed.activated.connect(lambda index: desk.play(speed=float(self.speed.itemData(index))))
        self.pictures = Choice()
        self.pictures.setAccessibleName(tr("Pictures in a second"))
        self.pictures.setToolTip(tr("How many pictures are shown in a second; they have no time of their own"))
        for rate in PICTURE_RATES:
            self.pictures.addItem(tr("{rate} fps", rate=f"{rate:g}"), rate)
        self.pictures.activated.connect(lambda index: self._choose_rate(float(self.pictures.itemData(index))))
        self.worth = WorthBar()
        self.worth.asked_next.connect(lambda: desk.do("next_doubt"))
        self.range_name = Label(tr("Range"), size=11, token="t2")
        self.range = Label("", size=11, token="t1")
        self.zoom = QSlider(Qt.Orientation.Horizontal)
        self.zoom.setRange(0, 1000)
        self.zoom.setFixedWidth(108)
        self.zoom.setAccessibleName(tr("Zoom of the timeline"))
        self.zoom.setToolTip(tr("Zoom of the timeline; Ctrl and the wheel zoom at the pointer"))
        self.zoom.valueChanged.connect(lambda value: self.zoomed.emit(value / 1000.0))
        self.zoom_name = Label(tr("Zoom"), size=11, token="t2")

    def _lay_out(self) -> None:
        line = QHBoxLayout(self)
        line.setContentsMargins(8, 0, 12, 0)
        line.setSpacing(2)
        order = ("previous_corrected", "frame_previous", "", "frame_next", "next_corrected", "loop")
        for name in order:
            line.addWidget(self.buttons[name] if name else self.play)
        line.addSpacing(6)
        line.addWidget(Rule())
        line.addSpacing(6)
        line.addWidget(self.field)
        _append(line, ((self.count, 4), (self.time, 12), (self.rate, 12), (self.pictures, 10), (self.speed, 10)))
        line.addStretch(1)
        line.addWidget(self.worth)
        line.addStretch(1)
        _append(line, ((self.range_name, 8), (self.range, 4), (self.zoom_name, 18), (self.zoom, 6)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what matters least when the window is narrow."""
        width = self.width() * 100 / scaled(100)
        self.worth.set_narrow(narrow=width < 1320)
        self.rate.setVisible(width >= 1160)
        self.zoom_name.setVisible(width >= 1240)
        self.range_name.setVisible(width >= 1060)

    def _choose_rate(self, rate: float) -> None:
        settings.set_value("picture_rate", rate)
        self._desk.play(picture_rate=rate)

    def show_zoom(self, zoom: float) -> None:
        """Put the zoom slider to ``zoom``, without a signal."""
        self.zoom.blockSignals(True)
        self.zoom.setValue(round(zoom * 1000))
        self.zoom.blockSignals(False)

    def refresh(self) -> None:
        """Show the desk as it is now."""
        if not self.isVisible():
            return
        desk, info = self._desk, self._desk.info
        frame = desk.selection.frame
        for widget in (*self.buttons.values(), self.play, self.field, self.speed, self.zoom):
            widget.setEnabled(info is not None)
        self.field.show_frame(frame)
        self.count.setText(f"/ {info.frame_count}" if info is not None else "")
        stamps = desk.timestamps
        shown = info is not None and info.kind == "video" and frame < len(stamps)
        self.time.setText(timecode(float(stamps[frame])) if shown else "")
        self.rate.setText(tr("{rate} fps", rate=f"{info.fps:.5g}") if info is not None and info.fps > 0 else "")
        playhead = desk.playhead
        self.pictures.setVisible(info is not None and info.kind == "folder")
        if self.pictures.currentData() != playhead.picture_rate and playhead.picture_rate in PICTURE_RATES:
            self.pictures.setCurrentIndex(PICTURE_RATES.index(playhead.picture_rate))
        self.play.set_playing(playing=playhead.playing)
        self.buttons["loop"].setChecked(playhead.loop)
        if self.speed.currentData() != playhead.speed and playhead.speed in SPEEDS:
            self.speed.setCurrentIndex(SPEEDS.index(playhead.speed))
        chosen = playhead.first is not None or playhead.last is not None
        first, last = playhead.span(info.frame_count if info is not None else 1)
        self.range.setText(frames_words(first, last) if chosen else tr("all frames"))
        self.range.setVisible(info is not None)
        self._refresh_worth(frame)

    def _refresh_worth(self, frame: int) -> None:
        doubts = self._source.doubts()
        self.worth.setVisible(bool(doubts))
        if not doubts:
            return
        place, here = place_of(doubts, frame)
        if here:
            doubt = doubts[place - 1]
            words = doubt_words(doubt, self._desk.skeleton, self._desk.people)
            self.worth.say(tr("{place} of {count}", place=place, count=len(doubts)), words)
            # The project words doubts in English only.
            self.worth.setToolTip(doubt.text_en if language() == "en" else words)
            return
        following = doubts[place] if place < len(doubts) else None
        words = tr("next at {frame}", frame=following.frame) if following is not None else ""
        self.worth.say(str(len(doubts)), words)
        self.worth.setToolTip("")

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what changed while hidden."""
        super().showEvent(event)
        self.refresh()


def _append(line: QHBoxLayout, widgets: Iterable[tuple[QWidget, int]]) -> None:
    """Add widgets, each after a gap; labels keep the width of their text."""
    for widget, before in widgets:
        line.addSpacing(before)
        line.addWidget(widget)
        if isinstance(widget, Label):
            widget.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)


class Rule(QWidget):
    """A short vertical line between groups."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(1, 16)
        theme.notifier().changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().colour("line"))
        painter.end()
