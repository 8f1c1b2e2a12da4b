"""The lanes: all frames, ruler, worth a look, state, confidence and tracks, with playhead and range on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from poseviewer.core.changes import Changes, Kind
from poseviewer.ui import theme
from poseviewer.ui.panels.glyphs import draw_diamond
from poseviewer.ui.panels.widgets import pixmap_painter
from poseviewer.ui.text import tr
from poseviewer.ui.timeline import paint
from poseviewer.ui.timeline.data import TRACK_FRAMES, LaneSource, track_order
from poseviewer.ui.timeline.paint import TRACK, TRACK_GAP, Rows
from poseviewer.ui.timeline.view import View
from poseviewer.ui.timeline.words import doubt_words

if TYPE_CHECKING:
    from poseviewer.project.rows import Doubt
    from poseviewer.ui.desk import Desk

LABELS, LABELS_NARROW = 184, 96
TWO_LINES = 30
"""A lane of this height has room for its name and a legend below it, logical pixels."""
RIGHT = 8
REFRESH_MS = 120
"""While a run stores frames, lanes are fetched at most this often."""

SHOWN: frozenset[Kind] = frozenset({"media", "predictions", "corrections", "tracks"})
"""Changes of other kinds are not in the lanes."""

Grip = Literal["scrub", "strip", "first", "last"]


@dataclass(frozen=True, slots=True)
class _Place:
    rows: Rows
    labels: float
    left: float
    width: float


class LanesWidget(QWidget):
    """Paints the lanes and turns the pointer into frames.

    ``view_changed`` tells that the visible window moved or was zoomed, ``rows_changed`` that aggregates are read anew.
    """

    view_changed = Signal()
    rows_changed = Signal()

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.source = LaneSource(desk)
        self._view = View.whole(1, LABELS, 100)
        self._cache: QPixmap | None = None
        self._cache_key: tuple[object, ...] = ()
        self._grip: Grip | None = None
        self._strip_offset = 0.0
        self._scroll = 0
        self._order: tuple[int, ...] = ()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumHeight(94)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._refresh = QTimer(self, singleShot=True, interval=REFRESH_MS)
        self._refresh.timeout.connect(self._fetch_anew)
        self._doubts_later = QTimer(self, singleShot=True, interval=0)
        self._doubts_later.timeout.connect(self._fetch_doubts)
        self._frames: frozenset[int] | None = frozenset()
        self._kinds: frozenset[Kind] = frozenset()
        for signal in (desk.selection_changed, desk.playhead_changed, desk.frame_changed):
            signal.connect(self._moved)
        for signal in (desk.people_changed, desk.cached_changed, desk.config_changed):
            signal.connect(self.update)
        desk.project_opened.connect(self.reset)
        desk.media_changed.connect(self._media_changed)
        desk.changes.connect(self._rows_changed)
        theme.notifier().changed.connect(self.update)
        self.reset()

    def sizeHint(self) -> QSize:
        """Return the height that four tracks need."""
        return QSize(900, 174)

    # --- what is shown ---

    @property
    def view(self) -> View:
        """The visible window."""
        return self._view

    def set_view(self, view: View) -> None:
        """Show another window."""
        if view != self._view:
            self._view = view
            self.update()
            self.view_changed.emit()

    def reset(self) -> None:
        """Show the whole of what is open now."""
        self.source.forget()
        self.source.forget_doubts()
        place = self._place()
        self._scroll = 0
        self.set_view(View.whole(self._count(), place.left, place.width))
        self._moved()

    def _media_changed(self) -> None:
        """Take up what is known now; who has zoomed in already stays there if the frames are as many as before."""
        if self._count() != self._view.count:
            self.reset()
            return
        self.source.forget()
        self.source.forget_doubts()
        self.update()

    def _count(self) -> int:
        info = self._desk.info
        return max(info.frame_count, 1) if info is not None else 1

    def _place(self) -> _Place:
        labels = LABELS if self.width() >= 900 else LABELS_NARROW
        return _Place(Rows.of(self.height()), labels, labels + 4, max(self.width() - labels - 4 - RIGHT, 1))

    def _moved(self) -> None:
        frame = self._desk.selection.frame
        if self._count() != self._view.count:
            place = self._place()
            self.set_view(View.whole(self._count(), place.left, place.width))
        if self._grip is None:
            self.set_view(self._view.showing(frame))
        self.setAccessibleName(tr("Timeline, frame {frame} of {count}", frame=frame, count=self._count()))
        self.update()

    def _rows_changed(self, changes: Changes) -> None:
        """Note what changed; it is fetched a little later, once for all that comes until then."""
        if not changes.kinds & SHOWN or changes.media not in (None, self._desk.media_id):
            return
        self._kinds |= changes.kinds
        self._frames = None if self._frames is None or changes.frames is None else self._frames | changes.frames
        if not self._refresh.isActive():
            self._refresh.start()

    def _fetch_anew(self) -> None:
        frames, kinds, self._frames, self._kinds = self._frames, self._kinds, frozenset[int](), frozenset[Kind]()
        if frames is None:
            self.source.forget()
        else:
            self.source.patch(frames)
        self.update()
        # A run may find doubts about frames before those that it stored.
        if frames is None or "predictions" in kinds or self.source.doubts_touched(frames):
            # In a turn of its own: with thousands of doubts it takes as long as all the rest.
            self._doubts_later.start()
        else:
            self.rows_changed.emit()

    def _fetch_doubts(self) -> None:
        self.source.forget_doubts()
        self.update()
        self.rows_changed.emit()

    # --- painting ---

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the window of frames for the new size."""
        place = self._place()
        self.set_view(self._view.resized(self._count(), place.left, place.width))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the cached lanes and what moves on top of them."""
        place = self._place()
        still = self._still(place)
        painter = QPainter(self)
        try:
            painter.drawPixmap(0, 0, still)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if self._desk.info is not None:
                self._paint_live(painter, place)
            if self.hasFocus():
                painter.setPen(QPen(theme.current().colour("accent"), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        finally:
            painter.end()

    def _still(self, place: _Place) -> QPixmap:
        joint = self._desk.selection.joint
        data = self.source.data(self._view, joint)
        doubts = self.source.doubts()
        order = track_order(data.spans, self._desk.selection.frame)
        self._order = order
        self._scroll = min(self._scroll, max(len(order) - self._fits(place), 0))
        person = self._desk.person
        selected = person.pose.track if person is not None else None
        ratio = self.devicePixelRatioF()
        numbers = tuple(p.pose.track for p in self._desk.people)
        key = (
            self._view, self.size().toTuple(), ratio, self.source.turn, theme.current().name, self.font().pixelSize(),
            joint, order[self._scroll : self._scroll + 16], self._scroll, selected, numbers, self._threshold(),
        )  # fmt: skip
        if self._cache is not None and key == self._cache_key:
            return self._cache
        pixmap = QPixmap(self.size() * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(theme.current().colour("panel"))

        def everything(painter: QPainter) -> None:
            paint.paint_strip(painter, data.whole, doubts, self._view, place.rows.strip)
            if self._desk.info is None:
                return
            paint.paint_ruler(painter, self._view, place.rows.ruler)
            painter.save()
            painter.setClipRect(QRectF(place.left - 1, 0, place.width + 2, self.height()))
            paint.paint_worth(painter, doubts, self._view, place.rows.worth)
            if data.window is not None:
                paint.paint_state(painter, data.window, self._view, place.rows.state)
                paint.paint_confidence(painter, data.window, self._view, place.rows.confidence, self._threshold())
                paint.paint_tracks(painter, data, order, self._view, place.rows.tracks, selected, self._scroll)
            if not order and data.window is not None and place.rows.tracks[1] >= 16:
                far = self._view.span > TRACK_FRAMES
                hint = tr("Zoom in to see tracks") if far else tr("No tracks in these frames")
                paint.paint_hint(painter, hint, self._view, place.rows.tracks)
            painter.restore()

        pixmap_painter(pixmap, everything)
        pixmap_painter(pixmap, lambda painter: self._paint_labels(painter, place, order, selected))
        self._cache, self._cache_key = pixmap, key
        return pixmap

    def _threshold(self) -> float:
        return float(self._desk.config.nms.score_floor)

    def _fits(self, place: _Place) -> int:
        return int((place.rows.tracks[1] + TRACK_GAP) // (TRACK + TRACK_GAP))

    def _paint_labels(self, painter: QPainter, place: _Place, order: tuple[int, ...], selected: int | None) -> None:
        looks, rows = theme.current(), place.rows
        painter.setPen(QPen(looks.colour("line"), 1))
        painter.drawLine(QLineF(place.labels - 0.5, 0, place.labels - 0.5, self.height()))
        right = place.labels - 8
        wide = place.labels >= LABELS
        legend = Legend(painter, right)
        legend.name(tr("All frames"), rows.strip)
        legend.right([("line", "info", tr("cached"))], (rows.ruler[0], rows.ruler[1] + rows.cached[1]))
        legend.name(tr("Worth a look"), rows.worth)
        after = legend.name(tr("State"), rows.state)
        upper = (rows.confidence[0], rows.confidence[1] / 2)
        lower = (rows.confidence[0] + rows.confidence[1] / 2, rows.confidence[1] / 2)
        # Two lines of letters do not fit into the low lane: there the legend is beside the name.
        below = wide and rows.confidence[1] >= TWO_LINES
        beside = legend.name(tr("Confidence"), upper if below else rows.confidence)
        if wide:
            legend.right([("bar", "ok", tr("corrected")), ("half", "predicted", tr("predicted"))], rows.state, after)
            joint = self._desk.selection.joint
            entries = [("line", "t2", tr("mean"))]
            if joint is not None and joint < self._desk.skeleton.count:
                entries.append(("line", "accent", tr(self._desk.skeleton.joints[joint])))
            if below:
                legend.left(entries, lower)
            else:
                legend.right(entries, rows.confidence, beside)
        numbers = {p.pose.track: self._desk.person_number(p.key) for p in self._desk.people}
        for index, track in enumerate(order[self._scroll : self._scroll + self._fits(place)]):
            lane = (rows.tracks[0] + index * (TRACK + TRACK_GAP), float(TRACK))
            after = legend.name(tr("Track {number}", number=track), lane, weight=600 if track == selected else 400)
            if wide and track in numbers:
                legend.right([("", "t3", tr("person {number}", number=numbers[track]))], lane, after)

    def _paint_live(self, painter: QPainter, place: _Place) -> None:
        looks, view, rows = theme.current(), self._view, place.rows
        whole = View.whole(view.count, place.left, place.width)
        if view.span < view.count:
            box = QRectF(whole.x(view.first), rows.strip[0], max(view.span * whole.pixels, 6), rows.strip[1])
            painter.setPen(QPen(looks.colour("accent"), 1.5))
            painter.setBrush(looks.colour("accent", 0.2))
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        for first, last in self._desk.cached_spans():
            left, right = max(view.x(first), place.left), min(view.x(last + 1), place.left + place.width)
            if right > left:
                painter.fillRect(QRectF(left, rows.cached[0] + 0.5, right - left, 2), looks.colour("info"))
        frame = self._desk.selection.frame
        self._paint_range(painter, place)
        x = view.centre(frame)
        if place.left - 1 <= x <= place.left + place.width + 1:
            if any(doubt.frame == frame for doubt in self.source.doubts()):
                middle = rows.worth[0] + rows.worth[1] / 2
                draw_diamond(painter, QPointF(x, middle), paint.DIAMOND, looks.colour("warn"))
            self._paint_playhead(painter, place, x, frame)

    def _paint_range(self, painter: QPainter, place: _Place) -> None:
        playhead = self._desk.playhead
        top, height = place.rows.state
        painter.setPen(QPen(theme.current().colour("t1"), 1.6))
        for frame, turn in ((playhead.first, 1), (None if playhead.last is None else playhead.last + 1, -1)):
            if frame is None:
                continue
            x = self._view.x(frame)
            if place.left - 4 <= x <= place.left + place.width + 4:
                painter.drawPolyline(
                    [QPointF(x + 5 * turn, top - 2), QPointF(x, top - 2), QPointF(x, top + height + 2),
                     QPointF(x + 5 * turn, top + height + 2)]
                )  # fmt: skip

    def _paint_playhead(self, painter: QPainter, place: _Place, x: float, frame: int) -> None:
        looks = theme.current()
        top, height = place.rows.ruler
        painter.setPen(QPen(looks.colour("t1"), 1.5))
        painter.drawLine(QLineF(x, top + height - 1, x, self.height()))
        painter.setFont(theme.font(11, 600))
        text = str(frame)
        half = max(painter.fontMetrics().horizontalAdvance(text) / 2 + 6, 14)
        # The flag stays whole at both ends of the window; its tip stays at the frame.
        middle = min(max(x, place.left + half), place.left + place.width - half)
        flag = QPainterPath()
        flag.addRoundedRect(QRectF(middle - half, top - 1, 2 * half, height), 3, 3)
        tip = QPainterPath(QPointF(x - 4, top + height - 2))
        tip.lineTo(x + 4, top + height - 2)
        tip.lineTo(x, top + height + 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(looks.colour("t1"))
        painter.drawPath(flag.united(tip))
        painter.setPen(looks.colour("panel"))
        painter.drawText(QRectF(middle - half, top - 1, 2 * half, height), Qt.AlignmentFlag.AlignCenter, text)

    # --- pointer ---

    def doubt_at(self, x: float, y: float) -> Doubt | None:
        """Return the doubt whose diamond lies under a place of the widget."""
        top, height = self._place().rows.worth
        if not top - 2 <= y <= top + height + 2:
            return None
        near = min(self.source.doubts(), key=lambda d: abs(self._view.centre(d.frame) - x), default=None)
        return near if near is not None and abs(self._view.centre(near.frame) - x) <= 8 else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin scrubbing, moving the window, or moving a bracket."""
        if event.button() != Qt.MouseButton.LeftButton or self._desk.info is None:
            return
        x, y = event.position().x(), event.position().y()
        place = self._place()
        if x < place.left - 6:
            self._press_label(y, place)
            return
        doubt = self.doubt_at(x, y)
        if doubt is not None:
            self._desk.select(frame=doubt.frame, person=doubt.person_key or None, joint=doubt.joint)
            return
        if place.rows.strip[0] <= y < place.rows.ruler[0]:
            self._grip = "strip"
            whole = View.whole(self._view.count, place.left, place.width)
            at = (x - place.left) / whole.pixels
            inside = self._view.first <= at <= self._view.last
            self._strip_offset = at - self._view.first if inside else self._view.span / 2
        else:
            self._grip = self._bracket_at(x, y, place) or "scrub"
        self._drag(x)

    def _press_label(self, y: float, place: _Place) -> None:
        index = int((y - place.rows.tracks[0]) // (TRACK + TRACK_GAP)) if y >= place.rows.tracks[0] else -1
        shown = self._order[self._scroll : self._scroll + self._fits(place)]
        if 0 <= index < len(shown):
            person = next((p for p in self._desk.people if p.pose.track == shown[index]), None)
            if person is not None:
                self._desk.select(person=person.key)

    def _bracket_at(self, x: float, y: float, place: _Place) -> Grip | None:
        top, height = place.rows.state
        playhead = self._desk.playhead
        if not top - 4 <= y <= top + height + 4:
            return None
        if playhead.first is not None and abs(self._view.x(playhead.first) - x) <= 5:
            return "first"
        if playhead.last is not None and abs(self._view.x(playhead.last + 1) - x) <= 5:
            return "last"
        return None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with what the press began; show what may be gripped."""
        x, y = event.position().x(), event.position().y()
        if self._grip is not None:
            self._drag(x)
            return
        place = self._place()
        if x >= place.left - 6 and self._bracket_at(x, y, place) is not None:
            self.setCursor(Qt.CursorShape.SizeHorCursor)
        elif self.doubt_at(x, y) is not None:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
        else:
            self.unsetCursor()

    def _drag(self, x: float) -> None:
        playhead = self._desk.playhead
        frame = self._view.frame_at(x)
        if self._grip == "strip":
            place = self._place()
            whole = View.whole(self._view.count, place.left, place.width)
            self.set_view(self._view.limited(first=(x - place.left) / whole.pixels - self._strip_offset))
            if self._view.span >= self._view.count:
                self._desk.select(frame=frame)
        elif self._grip == "first":
            self._desk.play(first=min(frame, self._view.count - 1 if playhead.last is None else playhead.last))
        elif self._grip == "last":
            self._desk.play(last=max(frame, playhead.first or 0))
        elif frame != self._desk.selection.frame:
            self._desk.select(frame=frame)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End the drag."""
        self._grip = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """In the strip: go to that frame."""
        place = self._place()
        x, y = event.position().x(), event.position().y()
        if x >= place.left and place.rows.strip[0] <= y < place.rows.ruler[0]:
            self._desk.select(frame=View.whole(self._view.count, place.left, place.width).frame_at(x))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Ctrl: zoom at the pointer. Over the tracks: scroll them. Else: move along the time."""
        delta = event.angleDelta().y() or event.angleDelta().x()
        place = self._place()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.set_view(self._view.zoomed(1.15 ** (delta / 60.0), event.position().x()))
        elif event.position().y() >= place.rows.tracks[0] and len(self._order) > self._fits(place):
            self._scroll = min(max(self._scroll - (1 if delta > 0 else -1), 0), len(self._order) - self._fits(place))
            self.update()
        else:
            self.set_view(self._view.panned(-delta / 120.0 * self._view.span * 0.08))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Plus and minus zoom around the playhead."""
        x = self._view.centre(self._desk.selection.frame)
        if event.key() in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.set_view(self._view.zoomed(1.5, x))
        elif event.key() == Qt.Key.Key_Minus:
            self.set_view(self._view.zoomed(1 / 1.5, x))
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Tell about the doubt or the frame under the pointer."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            x, y = event.pos().x(), event.pos().y()
            doubt = self.doubt_at(x, y)
            if doubt is not None:
                words = doubt_words(doubt, self._desk.skeleton, ())
                QToolTip.showText(event.globalPos(), tr("Frame {frame}: {words}", frame=doubt.frame, words=words), self)
            elif x >= self._place().left:
                QToolTip.showText(event.globalPos(), tr("Frame {frame}", frame=self._view.frame_at(x)), self)
            return True
        return super().event(event)


class Legend:
    """Writes the names of lanes and small legends into the label column."""

    def __init__(self, painter: QPainter, right: float) -> None:
        self._painter, self._right = painter, right

    def name(self, text: str, row: tuple[float, float], weight: int = 400) -> float:
        """Write a lane's name at the left; return where it ends."""
        font = theme.font(11, weight)
        # Track rows are 12 px apart at any text size.
        font.setPixelSize(min(font.pixelSize(), round(max(row[1], TRACK) + TRACK_GAP)))
        self._painter.setFont(font)
        self._painter.setPen(theme.current().colour("t1" if weight > 400 else "t2"))
        box = QRectF(12, row[0] - 4, self._right - 12, row[1] + 8)
        words = self._painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(box.width()))
        self._painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)
        return 12 + self._painter.fontMetrics().horizontalAdvance(words)

    def _width(self, entries: list[tuple[str, str, str]]) -> float:
        font = theme.font(10)
        font.setPixelSize(min(font.pixelSize(), TRACK + TRACK_GAP))
        self._painter.setFont(font)
        metrics = self._painter.fontMetrics()
        marks = {"line": 16, "bar": 9, "half": 10, "": 0}
        return sum(marks[mark] + metrics.horizontalAdvance(text) + 6 for mark, _, text in entries) - 6

    def right(self, entries: list[tuple[str, str, str]], row: tuple[float, float], after: float = 0) -> None:
        """Write legend entries of (mark, token, text) at the column's right end, as fit behind ``after``."""
        while entries and self._right - self._width(entries) < after + 6:
            entries = entries[1:]
        if not entries:
            return
        self._draw(entries, max(self._right - self._width(entries), 12), row)

    def left(self, entries: list[tuple[str, str, str]], row: tuple[float, float]) -> None:
        """Write legend entries from the left."""
        self._width(entries)
        self._draw(entries, 12, row)

    def _draw(self, entries: list[tuple[str, str, str]], x: float, row: tuple[float, float]) -> None:
        looks, painter = theme.current(), self._painter
        middle = row[0] + row[1] / 2
        for mark, token, text in entries:
            if mark == "line":
                painter.fillRect(QRectF(x, middle - 1, 11, 2), looks.colour(token))
                x += 16
            elif mark == "bar":
                painter.fillRect(QRectF(x, middle - 5, 5, 10), looks.colour(token))
                x += 9
            elif mark == "half":
                painter.fillRect(QRectF(x, middle - 3, 6, 6), looks.colour(token))
                x += 10
            painter.setPen(looks.colour("t3"))
            width = painter.fontMetrics().horizontalAdvance(text)
            box = QRectF(x, row[0] - 4, min(width + 2, self._right - x + 2), row[1] + 8)
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
            x += width + 6
