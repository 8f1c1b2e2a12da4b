"""The status bar: media, frame, time, place, selection; on the right what goes on, the device, whether it is saved."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QStatusBar, QWidget

from poseviewer.core.progress import Progress
from poseviewer.core.values import MediaInfo
from poseviewer.session.actions import action
from poseviewer.ui import theme
from poseviewer.ui.durations import time_left
from poseviewer.ui.icons import pixmap
from poseviewer.ui.text import tr, tr_sentence

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

NOTE_MS = 8000
SavedState = Literal["none", "saving", "saved", "not_saved"]


def clock(seconds: float) -> str:
    """Return seconds as "00:33.867", with hours where there are any."""
    whole, milli = divmod(round(max(seconds, 0.0) * 1000), 1000)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    head = f"{hours}:" if hours else ""
    return f"{head}{minutes:02d}:{secs:02d}.{milli:03d}"


def media_words(info: MediaInfo) -> str:
    """Return where a media is and what is known about it, a line each."""
    lines = [info.path, f"{info.size_wh[0]} × {info.size_wh[1]}"]
    if info.kind == "video":
        lines[1] += f", {info.codec}, {info.fps:.5g} fps"
    return "\n".join([*lines, *(tr_sentence(finding.text) for finding in info.findings)])


class Light(QWidget):
    """Disc Saved, open ring Saving, crossed square Not saved."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.state: SavedState = "none"
        self.setFixedSize(14, 14)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the light of the state."""
        if self.state == "none":
            return
        looks = theme.current()
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            middle = QPointF(7, 7)
            if self.state == "saved":
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(looks.colour("ok"))
                painter.drawEllipse(middle, 4, 4)
            elif self.state == "saving":
                painter.setPen(QPen(looks.colour("warn"), 2))
                painter.drawArc(QRectF(3, 3, 8, 8), 30 * 16, 280 * 16)
            else:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(looks.colour("err"))
                painter.drawRoundedRect(QRectF(2.5, 2.5, 9, 9), 1.5, 1.5)
                painter.setPen(QPen(looks.colour("bg"), 1.4))
                painter.drawLine(QPointF(5, 5), QPointF(9, 9))
                painter.drawLine(QPointF(9, 5), QPointF(5, 9))
        finally:
            painter.end()


class StatusBar(QStatusBar):
    """Shows the desk's state in words and figures."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.setSizeGripEnabled(False)
        self._left = self._side()
        self._icon = QLabel(self._left)
        self._left_row().addWidget(self._icon)
        self._media = self._figure(self._left, level=1)
        self._frame = self._figure(self._left)
        self._time = self._figure(self._left)
        self._place = self._figure(self._left)
        self._chosen = self._figure(self._left)
        self._note = self._figure(self._left, level=1)
        self._note_timer = QTimer(self, singleShot=True, interval=NOTE_MS)
        self._note_timer.timeout.connect(lambda: self._set(self._note, ""))
        self._left_row().addStretch(1)
        self.addWidget(self._left, 1)
        self._right = self._side()
        self._build_right()
        self.addPermanentWidget(self._right)
        self._edits = 0
        self._connect()
        self.refresh()

    def _side(self) -> QWidget:
        side = QWidget(self)
        row = QHBoxLayout(side)
        row.setContentsMargins(10, 0, 10, 0)
        row.setSpacing(8)
        return side

    def _left_row(self) -> QHBoxLayout:
        row = self._left.layout()
        if not isinstance(row, QHBoxLayout):
            raise TypeError("the status bar's sides are rows")
        return row

    def _build_right(self) -> None:
        row = self._right.layout()
        if row is None:
            return
        self._going = QLabel(self._right)
        self._going.setProperty("level", "2")
        self._bar = QProgressBar(self._right)
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(140)
        self._bar.setRange(0, 1000)
        self._cancel = QPushButton(tr(action("cancel_run").text), self._right)
        self._cancel.setProperty("small", "true")
        self._cancel.setToolTip(tr(action("cancel_run").help))
        self._cancel.clicked.connect(lambda: self._desk.do("cancel_run"))
        for widget in (self._going, self._bar, self._cancel):
            row.addWidget(widget)
        self._evidence = self._figure(self._right)
        self._device_icon = QLabel(self._right)
        row.addWidget(self._line(self._right))
        row.addWidget(self._device_icon)
        self._device = self._figure(self._right, line=False)
        row.addWidget(self._line(self._right))
        self._light = Light(self._right)
        row.addWidget(self._light)
        self._saved = self._figure(self._right, line=False, level=1)
        self._saved_more = self._figure(self._right, line=False)

    def _figure(self, side: QWidget, *, level: int = 2, line: bool = True) -> QLabel:
        row = side.layout()
        label = QLabel(side)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        label.setProperty("level", str(level))
        if row is not None:
            if line and row.count() > 1:
                separator = self._line(side)
                row.addWidget(separator)
                label.setProperty("line", separator)
            row.addWidget(label)
        return label

    def _line(self, side: QWidget) -> QFrame:
        line = QFrame(side)
        line.setFixedSize(1, 14)
        line.setAutoFillBackground(True)
        line.setBackgroundRole(QPalette.ColorRole.Mid)
        return line

    def _connect(self) -> None:
        desk = self._desk
        desk.project_opened.connect(self._opened)
        for signal in (desk.media_changed, desk.selection_changed, desk.people_changed, desk.opening_changed):
            signal.connect(self.refresh)
        desk.evidence_changed.connect(self._show_evidence)
        desk.config_changed.connect(self._show_device)
        desk.confirming.connect(self._counting)
        desk.job_event.connect(self._job_event)
        desk.running_changed.connect(self._running)
        desk.saving.connect(lambda: self._show_saved("saving"))
        desk.saved.connect(self._on_saved)
        desk.not_saved.connect(lambda: self._show_saved("not_saved"))
        desk.noted.connect(self.show_note)
        theme.notifier().changed.connect(self._new_theme)
        self._show_progress(None)
        self._show_evidence()
        self._new_theme()

    # --- left ---

    def refresh(self) -> None:
        """Show media, frame, time and selection."""
        desk = self._desk
        info = desk.info
        opening = tr("Opening {name}…", name=desk.opening) if desk.opening else ""
        if info is None:
            missing = Path(desk.media_missing).name if desk.media_missing else ""
            self._set(self._media, opening or missing or tr("Nothing open"))
            self._media.setToolTip("")
            for label in (self._frame, self._time, self._chosen, self._place):
                self._set(label, "")
            self._icon.clear()
            return
        self._set(self._media, opening or Path(info.path).name or info.path)
        self._media.setToolTip(media_words(info))
        frame = desk.selection.frame
        self._set(self._frame, tr("frame {n} / {count}", n=frame, count=info.frame_count))
        stamps = desk.timestamps
        timed = info.kind == "video" and frame < len(stamps)
        name = desk.frame.name if desk.frame is not None and desk.frame_exact else ""
        self._set(self._time, clock(float(stamps[frame])) if timed else name)
        words = []
        if desk.person is not None:
            words.append(tr("person {n}", n=desk.person_number(desk.person.key)))
            if desk.joint is not None:
                more = f" +{len(desk.selection.more)}" if desk.selection.more else ""
                words.append(tr(desk.skeleton.joints[desk.joint]) + more)
        self._set(self._chosen, " · ".join(words))
        kind = "video" if info.kind == "video" else "picture"
        self._icon.setPixmap(pixmap(kind, theme.current().text("t2"), 16, self.devicePixelRatioF()))

    def show_place(self, place: tuple[float, float] | None) -> None:
        """Show the picture place under the pointer."""
        self._set(self._place, "" if place is None else f"x {place[0]:.1f}, y {place[1]:.1f}")

    def show_note(self, text: str) -> None:
        """Say for a while what was just done."""
        self._set(self._note, text)
        self._note_timer.start()

    def _set(self, label: QLabel, text: str) -> None:
        label.setText(text)
        label.setVisible(bool(text))
        line = label.property("line")
        if isinstance(line, QFrame):
            line.setVisible(bool(text))

    # --- right ---

    def _opened(self) -> None:
        self._edits = 0
        project = self._desk.project
        self._light.state = "saved" if project is not None else "none"
        self._light.update()
        self._set(self._saved, Path(project.path).name if project is not None else tr("No project"))
        self._set(self._saved_more, "")
        self._set(self._note, "")
        self._show_progress(None)
        self.refresh()

    def _on_saved(self, when: dt.datetime) -> None:
        self._edits += 1
        self._show_saved("saved")
        self._set(self._saved_more, tr("edit {n}, {time}", n=self._edits, time=f"{when:%H:%M:%S}"))

    def _show_saved(self, state: SavedState) -> None:
        words = {"saving": tr("Saving"), "saved": tr("Saved"), "not_saved": tr("Not saved"), "none": ""}
        self._light.state = state
        self._light.update()
        self._set(self._saved, words[state])
        if state != "saved":
            self._set(self._saved_more, "")

    def _show_evidence(self) -> None:
        desk = self._desk
        text = ""
        if desk.evidence_state == "ready" and desk.evidence_seconds:
            seconds = desk.evidence_seconds
            if seconds < 1:
                text = tr("evidence in {n} ms", n=round(seconds * 1000))
            else:
                text = tr("evidence in {n} s", n=f"{seconds:.1f}")
        elif desk.evidence_state == "loading":
            text = tr("computing evidence")
        self._set(self._evidence, text)

    def _show_device(self) -> None:
        self._set(self._device, self._desk.device_name or tr("auto"))

    def _counting(self, done: int, total: int) -> None:
        if not self._desk.running:
            share = done / max(total, 1)
            self._show_progress(tr("Counting frames, {n} %", n=round(share * 100)) if share < 1 else None, share)

    def _running(self) -> None:
        self._show_progress(tr("Loading the networks") if self._desk.running else None)

    def _job_event(self, event: object) -> None:
        if isinstance(event, Progress) and self._desk.running:
            share = event.done / event.total if event.total else 0.0
            words = [tr("frame {n} of {count}", n=event.done, count=event.total)]
            if event.seconds_left is not None and event.seconds > 1:
                words.append(time_left(event.seconds_left))
            self._show_progress(", ".join(words), share)

    def _show_progress(self, text: str | None, share: float = 0.0) -> None:
        self._going.setText(text or "")
        for widget in (self._going, self._bar):
            widget.setVisible(text is not None)
        self._cancel.setVisible(self._desk.running)
        self._bar.setValue(round(share * 1000))

    def _new_theme(self) -> None:
        self._device_icon.setPixmap(pixmap("device", theme.current().text("t2"), 16, self.devicePixelRatioF()))
        self._show_device()
        self.refresh()

    def sizeHint(self) -> QSize:
        """26 px high."""
        return QSize(super().sizeHint().width(), 26)
