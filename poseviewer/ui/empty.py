"""What the window shows while nothing is open: drop something, recent files, the demo."""

from __future__ import annotations

import datetime as dt
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpacerItem,
    QVBoxLayout,
    QWidget,
)

from poseviewer.session.actions import action
from poseviewer.ui import settings, theme
from poseviewer.ui.icons import icon, pixmap
from poseviewer.ui.panels.widgets import scaled
from poseviewer.ui.text import tr

WIDTH = 700
SHOWN_RECENT = 5
LOW = 640
"""In a page that is less high everything stands closer together, so that nothing has to be scrolled to."""
PICTURE, PICTURE_LOW = 110, 84
"""Height of the demo's picture."""


class DropTarget(QWidget):
    """The dashed field that says what can be dropped."""

    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lit = False
        column = QVBoxLayout(self)
        column.setSpacing(6)
        self.set_low(low=False)
        self._icon = QLabel(self)
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._title = QLabel(tr("Drop a video, pictures, a folder or a project here"), self)
        self._title.setProperty("head", "true")
        self._title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        hint = QLabel(tr("or choose one"), self)
        hint.setProperty("level", "2")
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        for label in (self._icon, self._title, hint):
            column.addWidget(label)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        self._buttons: list[QPushButton] = []
        key = action("open").keys[0]
        for name, drawn, text in (
            ("open", "video", tr("Video or pictures…") + f"   {key}"),
            ("open_folder", "open", tr("Folder…")),
            ("open_project", "file", tr("Project…")),
        ):
            button = QPushButton(text, self)
            button.setProperty("drawn", drawn)
            button.setProperty("primary", "true" if name == "open" else "false")
            button.clicked.connect(lambda _=False, chosen=name: self.asked.emit(chosen))
            self._buttons.append(button)
            row.addWidget(button)
        row.addStretch(1)
        column.addSpacing(4)
        column.addLayout(row)
        theme.notifier().changed.connect(self._new_theme)
        self._new_theme()

    def set_low(self, *, low: bool) -> None:
        """Take less height, or as much as usual."""
        layout = self.layout()
        if layout is not None:
            layout.setContentsMargins(16, 12 if low else 22, 16, 14 if low else 26)

    def set_lit(self, *, lit: bool) -> None:
        """Show that what is dragged would be taken."""
        self.lit = lit
        self.update()

    def _new_theme(self) -> None:
        looks = theme.current()
        self._icon.setPixmap(pixmap("drop", looks.text("accent"), 26, self.devicePixelRatioF()))
        self._title.setFont(theme.font(13, 600))
        for index, button in enumerate(self._buttons):
            button.setIcon(icon(str(button.property("drawn")), looks.text("on_fill" if index == 0 else "t2")))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the field."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            looks = theme.current()
            pen = QPen(looks.colour("accent" if self.lit else "edge"), 2 if self.lit else 1)
            pen.setDashPattern((4, 3))
            painter.setPen(pen)
            painter.setBrush(looks.colour("drop"))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        finally:
            painter.end()


class RecentRow(QFrame):
    """One recent file; says so when it is not at its place any more."""

    opened = Signal(str)
    missing = Signal(str)

    def __init__(self, row: settings.Recent, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = row.path
        self._there = Path(row.path).exists() or "*" in row.path
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setAccessibleName(Path(row.path).name)
        self.setToolTip(row.path)
        line = QHBoxLayout(self)
        line.setContentsMargins(8, 6, 8, 6)
        line.setSpacing(12)
        self._thumb = QLabel(self)
        self._thumb.setFixedSize(56, 34)
        self._thumb.setAlignment(Qt.AlignmentFlag.AlignCenter)
        line.addWidget(self._thumb)
        words = QVBoxLayout()
        words.setSpacing(1)
        name = QLabel(Path(row.path).name, self)
        name.setProperty("head", "true")
        self._note = QLabel(self)
        self._note.setProperty("level", "2")
        words.addWidget(name)
        words.addWidget(self._note)
        line.addLayout(words, 1)
        self._say(row)
        if not self._there:
            find = QPushButton(tr("Find…"), self)
            find.setProperty("small", "true")
            find.clicked.connect(lambda: self.missing.emit(self._path))
            line.addWidget(find)
        theme.notifier().changed.connect(self._new_theme)
        self._new_theme()

    def _say(self, row: settings.Recent) -> None:
        when = dt.datetime.fromtimestamp(row.when)
        today = dt.date.today()
        if when.date() == today:
            day = tr("today {time}", time=f"{when:%H:%M}")
        elif when.date() == today - dt.timedelta(days=1):
            day = tr("yesterday")
        else:
            day = f"{when:%Y-%m-%d}"
        words = tr("Not at its place any more") if not self._there else ", ".join(w for w in (row.note, day) if w)
        self._note.setText(words)

    def _new_theme(self) -> None:
        looks = theme.current()
        path = Path(self._path)
        drawn = "open" if path.is_dir() else "file" if path.suffix == ".poseproj" else "video"
        self._thumb.setPixmap(pixmap(drawn, looks.text("t3"), 16, self.devicePixelRatioF()))
        if not self._there:
            self._note.setStyleSheet(f"color: {looks.text('warn')}")

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the row, lit under the pointer."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            looks = theme.current()
            painter.setPen(QPen(looks.colour("accent"), 2) if self.hasFocus() else Qt.PenStyle.NoPen)
            lit = self.underMouse() or self.hasFocus()
            painter.setBrush(looks.colour("hover") if lit else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 5, 5)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(looks.colour("raised"))
            painter.drawRoundedRect(QRectF(self._thumb.geometry()), 3, 3)
        finally:
            painter.end()

    def mouseReleaseEvent(self, event: object) -> None:
        """Open it."""
        if self._there:
            self.opened.emit(self._path)

    def keyPressEvent(self, event: object) -> None:
        """Open it with Return or Space."""
        from PySide6.QtGui import QKeyEvent

        keys = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
        if isinstance(event, QKeyEvent) and event.key() in keys and self._there:
            self.opened.emit(self._path)


class DemoCard(QFrame):
    """Offers the demo, with a picture where one is at hand."""

    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = QPixmap()
        self._high = PICTURE
        column = QVBoxLayout(self)
        column.setSpacing(10)
        self.set_low(low=False)
        words = QLabel(
            tr("A street scene with predictions, corrected frames and one doubled person to find. Works offline."),
            self,
        )
        words.setWordWrap(True)
        words.setProperty("level", "2")
        column.addWidget(words)
        self._button = QPushButton(tr("Open the demo"), self)
        self._button.clicked.connect(lambda: self.asked.emit("open_demo"))
        column.addWidget(self._button)
        theme.notifier().changed.connect(self._new_theme)
        self._new_theme()
        # The picture is decoration: the window is up before it is read.
        QTimer.singleShot(400, self._read)

    def set_low(self, *, low: bool) -> None:
        """Show a lower picture, or as high a one as usual."""
        self._high = PICTURE_LOW if low else PICTURE
        layout = self.layout()
        if layout is not None:
            layout.setContentsMargins(12, self._high + 12, 12, 12)

    def _read(self) -> None:
        spec = find_spec("ultralytics")
        for folder in (spec.submodule_search_locations or []) if spec is not None else []:
            picture = QPixmap(str(Path(folder) / "assets" / "bus.jpg"))
            if not picture.isNull():
                self._picture = picture.scaledToWidth(
                    round(360 * self.devicePixelRatioF()), Qt.TransformationMode.SmoothTransformation
                )
                self.update()

    def _new_theme(self) -> None:
        self._button.setIcon(icon("play", theme.current().text("t1")))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the card."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
            looks = theme.current()
            painter.setPen(QPen(looks.colour("line"), 1))
            painter.setBrush(looks.colour("raised"))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
            area = QRectF(1, 1, self.width() - 2, self._high)
            if self._picture.isNull():
                painter.fillRect(area, QColor(looks.colour("panel")))
            else:
                height = self._picture.width() * area.height() / area.width()
                source = QRectF(0, self._picture.height() * 0.30, self._picture.width(), height)
                painter.drawPixmap(area, self._picture, source)
        finally:
            painter.end()


class EmptyPage(QScrollArea):
    """Open something to look at."""

    asked = Signal(str)
    opened = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        page = QWidget(self)
        self.setWidget(page)
        outer = QHBoxLayout(page)
        outer.addStretch(1)
        middle = QWidget(page)
        middle.setMaximumWidth(WIDTH)
        middle.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        outer.addWidget(middle, 30)
        outer.addStretch(1)
        self._column = QVBoxLayout(middle)
        self._column.setSpacing(0)
        self._title = QLabel(tr("Open something to look at"), middle)
        under = QLabel(tr("PoseViewer plays it exactly, frame by frame, and shows what the network saw."), middle)
        under.setProperty("level", "2")
        under.setWordWrap(True)
        self._column.addWidget(self._title)
        self._column.addSpacing(2)
        self._column.addWidget(under)
        self._column.addSpacing(16)
        self.target = DropTarget(middle)
        self.target.asked.connect(self.asked)
        self._column.addWidget(self.target)
        gap = self._gap()
        self._build_lists(middle)
        self._gaps = (gap, self._gap())
        self._build_keys(middle)
        self._column.addStretch(1)
        self._low: bool | None = None
        self._set_low(low=False)
        theme.notifier().changed.connect(self._new_theme)
        self._new_theme()

    def _gap(self) -> QSpacerItem:
        gap = QSpacerItem(0, 0)
        self._column.addSpacerItem(gap)
        return gap

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Stand closer together in a low window."""
        super().resizeEvent(event)
        self._set_low(low=event.size().height() < scaled(LOW))

    def _set_low(self, *, low: bool) -> None:
        if low == self._low:
            return
        self._low = low
        self._column.setContentsMargins(8, 14 if low else 40, 8, 8 if low else 12)
        for gap in self._gaps:
            gap.changeSize(0, 12 if low else 22)
        self.target.set_low(low=low)
        self._demo.set_low(low=low)
        self._column.invalidate()

    def _build_lists(self, parent: QWidget) -> None:
        row = QHBoxLayout()
        row.setSpacing(16)
        left, right = QVBoxLayout(), QVBoxLayout()
        for column, text in ((left, tr("Recent")), (right, tr("No data at hand?"))):
            head = QLabel(text, parent)
            head.setProperty("head", "true")
            column.addWidget(head)
            column.setSpacing(6)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        left.addLayout(self._recent)
        left.addStretch(1)
        self._demo = DemoCard(parent)
        self._demo.asked.connect(self.asked)
        right.addWidget(self._demo)
        right.addStretch(1)
        row.addLayout(left, 6)
        row.addLayout(right, 5)
        self._column.addLayout(row)

    def _build_keys(self, parent: QWidget) -> None:
        line = QFrame(parent)
        line.setFixedHeight(1)
        line.setAutoFillBackground(True)
        line.setBackgroundRole(self.palette().ColorRole.Mid)
        self._column.addWidget(line)
        self._column.addSpacing(12)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(3)
        for column, (text, name, note) in enumerate(
            (
                (tr("Open"), "open", tr("a video or pictures")),
                (tr("Run"), "run_frame", tr("find people and joints")),
                (tr("Look"), "next_doubt", tr("jump to doubtful frames")),
                (tr("Correct"), "joint_next_tab", tr("drag or nudge joints")),
                (tr("Export"), "export", tr("as COCO")),
            )
        ):
            top = QHBoxLayout()
            top.setSpacing(6)
            head = QLabel(text, parent)
            head.setProperty("head", "true")
            key = QLabel(action(name).keys[0], parent)
            key.setProperty("key", "true")
            top.addWidget(head)
            top.addWidget(key)
            top.addStretch(1)
            grid.addLayout(top, 0, column)
            under = QLabel(note, parent)
            under.setProperty("level", "2")
            under.setWordWrap(True)
            grid.addWidget(under, 1, column)
            grid.setColumnStretch(column, 1)
        self._column.addLayout(grid)

    def refresh(self) -> None:
        """Read the recent files anew."""
        while self._recent.count():
            item = self._recent.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                # It is destroyed later, and would lie under its successors until then.
                widget.hide()
                widget.deleteLater()
        rows = settings.recent()[:SHOWN_RECENT]
        for row in rows:
            made = RecentRow(row)
            made.opened.connect(self.opened)
            made.missing.connect(lambda path: self.asked.emit("open"))
            self._recent.addWidget(made)
        if not rows:
            nothing = QLabel(tr("What you open is listed here."))
            nothing.setProperty("level", "3")
            self._recent.addWidget(nothing)

    def _new_theme(self) -> None:
        self._title.setFont(theme.font(22, 600))
        colour = theme.current().text("canvas")
        self.setStyleSheet(f"EmptyPage, EmptyPage > QWidget > QWidget {{ background: {colour}; }}")

    def sizeHint(self) -> QSize:
        """As large as the canvas."""
        return QSize(900, 640)
