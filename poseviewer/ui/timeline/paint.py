"""Painting of the lanes that change only with window, size, data and theme."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen, QPolygonF

from poseviewer.core.values import Array
from poseviewer.ui import theme
from poseviewer.ui.panels.glyphs import draw_diamond
from poseviewer.ui.timeline.data import LaneData
from poseviewer.ui.timeline.view import View, tick_step
from poseviewer.ui.timeline.words import short_kind

if TYPE_CHECKING:
    from poseviewer.project.rows import Doubt, Lanes

NONE, EMPTY, PREDICTED, CORRECTED = 0, 1, 2, 3
"""States of a frame as the project's lanes have them."""

CONFIDENCE_LOW, CONFIDENCE_HIGH = 0.15, 1.0
TRACK, TRACK_GAP = 9, 3
DIAMOND = 5.0
_FULL = (16.0, 16.0, 3.0, 15.0, 18.0, 36.0)
_LOW = (7.0, 13.0, 2.0, 11.0, 9.0, 24.0)
"""Heights of strip, ruler, cached line, worth a look, state and confidence."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Where each lane lies: top and height in logical pixels."""

    strip: tuple[float, float]
    ruler: tuple[float, float]
    cached: tuple[float, float]
    worth: tuple[float, float]
    state: tuple[float, float]
    confidence: tuple[float, float]
    tracks: tuple[float, float]

    @classmethod
    def of(cls, height: float) -> Rows:
        """Lay the lanes out (look.md section 5); a low timeline gets a lower confidence lane and tighter gaps."""
        sizes, gap = (_LOW, 0.5) if height < 150 else (_FULL, 3.0)
        tops: list[tuple[float, float]] = []
        y = 1.0 if height < 150 else 5.0
        for index, size in enumerate(sizes):
            tops.append((y, size))
            y += size + (0.0 if index == 1 else gap)
        tops.append((y, max(height - y - 2, 0.0)))
        return cls(*tops)


def runs_of(values: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int, int]]:
    """Yield ``(start, stop, value)`` of equal neighbours."""
    if not len(values):
        return
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = np.concatenate([[0], edges])
    stops = np.concatenate([edges, [len(values)]])
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield start, stop, int(values[start])


def column_edges(lanes: Lanes, view: View) -> npt.NDArray[np.float64]:
    """Return ``(C + 1,)`` pixels of the columns' edges, clipped to the window."""
    frames = np.concatenate([lanes.starts, [lanes.last + 1]]).astype(np.float64)
    x = view.left + (frames - view.first) * view.pixels
    return np.clip(x, view.left, view.left + view.width)


def paint_strip(
    painter: QPainter, lanes: Lanes | None, doubts: tuple[Doubt, ...], view: View, row: tuple[float, float]
) -> None:
    """Paint all frames of the media in one strip: corrected spans and ticks where something is worth a look."""
    looks = theme.current()
    top, height = row
    box = QRectF(view.left, top + 2, view.width, height - 4)
    painter.setPen(QPen(looks.colour("line"), 1))
    painter.setBrush(looks.colour("plot"))
    painter.drawRoundedRect(box, 3, 3)
    whole = View.whole(view.count, view.left, view.width)
    if lanes is not None:
        edges = column_edges(lanes, whole)
        for start, stop, state in runs_of(lanes.state):
            if state == CORRECTED:
                wide = max(edges[stop] - edges[start], 2.0)
                painter.fillRect(QRectF(edges[start], top + 4, wide, height - 8), looks.colour("ok"))
            elif state == PREDICTED:
                flat = QRectF(edges[start], top + height / 2 - 1, edges[stop] - edges[start], 2)
                painter.fillRect(flat, looks.colour("predicted", 0.45))
    for x in sorted({round(whole.centre(doubt.frame)) for doubt in doubts}):
        painter.fillRect(QRectF(x - 0.75, top + 3, 1.5, height - 6), looks.colour("warn"))


def paint_ruler(painter: QPainter, view: View, row: tuple[float, float]) -> None:
    """Paint frame numbers and ticks."""
    looks = theme.current()
    top, height = row
    step = tick_step(view.pixels)
    minor = max(step // 10, 1) if step // 10 * view.pixels >= 4 else max(step // 5, 1)
    painter.setFont(theme.font(10))
    first, last = view.frames
    ticks = QPen(looks.colour("edge", 0.7), 1)
    right = view.left + view.width
    for frame in range(first - first % minor, last + 1, minor):
        x = view.x(frame)
        if not view.left <= x <= right:
            continue
        numbered = frame % step == 0
        painter.setPen(ticks)
        painter.drawLine(QLineF(x, top + height - (6 if numbered else 2), x, top + height))
        if numbered and x + 8 < right:
            painter.setPen(looks.colour("t2"))
            painter.drawText(QPointF(x + 4, top + height - 5), str(frame))


def paint_worth(painter: QPainter, doubts: tuple[Doubt, ...], view: View, row: tuple[float, float]) -> None:
    """Paint a diamond for each doubt, its kind beside it where there is room; crowded ones become ticks."""
    looks = theme.current()
    top, height = row
    middle = top + height / 2
    painter.setFont(theme.font(11))
    metrics = painter.fontMetrics()
    shown = [d for d in doubts if view.first - 1 <= d.frame <= view.last]
    places = [view.centre(doubt.frame) for doubt in shown]
    free = -1e9
    for index, (doubt, x) in enumerate(zip(shown, places, strict=True)):
        if x < view.left or x > view.left + view.width:
            continue
        if x - free < 2 * DIAMOND:
            painter.fillRect(QRectF(x - 0.75, middle - 4, 1.5, 8), looks.colour("warn"))
            continue
        draw_diamond(painter, QPointF(x, middle), DIAMOND, looks.colour("warn"), filled=False)
        free = x
        words = short_kind(doubt.kind)
        end = places[index + 1] if index + 1 < len(places) else view.left + view.width
        if x + 10 + metrics.horizontalAdvance(words) < end - 2 * DIAMOND:
            painter.setPen(looks.colour("t2"))
            painter.drawText(QPointF(x + 10, middle + metrics.ascent() / 2 - 1), words)


def paint_state(painter: QPainter, lanes: Lanes, view: View, row: tuple[float, float]) -> None:
    """Paint the states: corrected full height, predicted half height, empty only the line."""
    looks = theme.current()
    top, height = row
    middle = top + height / 2
    edges = column_edges(lanes, view)
    painter.setPen(Qt.PenStyle.NoPen)
    runs = list(runs_of(lanes.state))
    for start, stop, state in runs:
        if state == EMPTY:
            painter.fillRect(QRectF(edges[start], middle - 0.5, edges[stop] - edges[start], 1), looks.colour("edge"))
        elif state in (PREDICTED, CORRECTED):
            wide = max(edges[stop] - edges[start], 0.5)
            painter.fillRect(QRectF(edges[start], middle - height / 4, wide, height / 2), looks.colour("predicted"))
    # Corrected ones last and at least 2 px wide: a single corrected frame must be seen among thousands.
    painter.setBrush(looks.colour("ok"))
    for start, stop, state in runs:
        if state == CORRECTED:
            wide = max(edges[stop] - edges[start], 2.0)
            painter.drawRoundedRect(QRectF(edges[start], top + 1, wide, height - 2), min(2.0, wide / 2), 2)


def _heights(values: Array, row: tuple[float, float]) -> npt.NDArray[np.float64]:
    top, height = row
    part = (np.clip(values.astype(np.float64), CONFIDENCE_LOW, CONFIDENCE_HIGH) - CONFIDENCE_LOW) / (
        CONFIDENCE_HIGH - CONFIDENCE_LOW
    )
    return top + height - part * height


def _polyline(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> QPolygonF:
    return QPolygonF([QPointF(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)])


def paint_confidence(painter: QPainter, lanes: Lanes, view: View, row: tuple[float, float], threshold: float) -> None:
    """Paint the band from least to most, the mean, the chosen joint's curve, and the threshold dashed.

    Curves break where nothing was found.
    """
    looks = theme.current()
    edges = column_edges(lanes, view)
    x = (edges[:-1] + edges[1:]) / 2
    found = ~np.isnan(lanes.conf_mean)
    low, high, mean = (_heights(v, row) for v in (lanes.conf_min, lanes.conf_max, lanes.conf_mean))
    for start, stop, here in runs_of(found.astype(np.uint8)):
        if here:
            part = slice(start, stop)
            band_x = np.concatenate([x[part], x[part][::-1]])
            band_y = np.concatenate([high[part], low[part][::-1]])
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(looks.colour("t2", 0.2))
            painter.drawPolygon(_polyline(band_x, band_y))
    _curve(painter, x, mean, found, looks.colour("t2"))
    if lanes.joint is not None:
        _curve(painter, x, _heights(lanes.joint, row), ~np.isnan(lanes.joint), looks.colour("accent"), 1.5)
    y = float(_heights(np.array([threshold], dtype=np.float32), row)[0])
    pen = QPen(looks.colour("warn"), 1)
    pen.setDashPattern([4, 4])
    painter.setPen(pen)
    painter.drawLine(QLineF(view.left, y, view.left + view.width, y))


def _curve(
    painter: QPainter,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    found: npt.NDArray[np.bool_],
    colour: QColor,
    width: float = 1.0,
) -> None:
    painter.setPen(QPen(colour, width))
    painter.setBrush(QBrush(Qt.BrushStyle.NoBrush))
    for start, stop, here in runs_of(found.astype(np.uint8)):
        if here and stop - start > 1:
            painter.drawPolyline(_polyline(x[start:stop], y[start:stop]))
        elif here:
            painter.drawPoint(QPointF(float(x[start]), float(y[start])))


def paint_hint(painter: QPainter, text: str, view: View, row: tuple[float, float]) -> None:
    """Write a hint where a lane has nothing to show."""
    painter.setFont(theme.font(11))
    painter.setPen(theme.current().colour("t3"))
    painter.drawText(QRectF(view.left, row[0], view.width, min(row[1], 16)), Qt.AlignmentFlag.AlignCenter, text)


def paint_tracks(
    painter: QPainter,
    data: LaneData,
    order: tuple[int, ...],
    view: View,
    row: tuple[float, float],
    selected: int | None,
    scroll: int,
) -> None:
    """Paint the spans of the tracks that fit, the selected one outlined."""
    looks = theme.current()
    top, height = row
    fits = int((height + TRACK_GAP) // (TRACK + TRACK_GAP))
    right = view.left + view.width
    for place, track in enumerate(order[scroll : scroll + fits]):
        y = top + place * (TRACK + TRACK_GAP)
        chosen = track == selected
        for span in (data.spans or {}).get(track, ()):
            left = max(view.x(span.first), view.left)
            wide = max(min(view.x(span.last + 1), right) - left, 1.0)
            box = QRectF(left, y, wide, TRACK)
            edge = looks.colour("t1") if chosen else theme.data_colour("edge_light", 0.5)
            painter.setPen(QPen(edge, 1.4) if chosen or not looks.dark else QPen(Qt.PenStyle.NoPen))
            painter.setBrush(theme.track_colour(track))
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)
            if track > 12:
                stripe = QRectF(left + 2, y + TRACK / 2 - 0.75, max(wide - 4, 0), 1.5)
                painter.fillRect(stripe, theme.data_colour("mark"))
