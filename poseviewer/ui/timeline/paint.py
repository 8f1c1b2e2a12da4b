"""Painting of the lanes that change only with window, size, data and theme."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

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
SWAP = 5.5
"""Radius of the mark of swapped tracks."""
_FULL = (16.0, 16.0, 3.0, 15.0, 18.0, 36.0)
_LOW = (10.0, 13.0, 2.0, 12.0, 12.0, 22.0)
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
        sizes, gap = (_LOW, 1.0) if height < 150 else (_FULL, 3.0)
        tops: list[tuple[float, float]] = []
        y = 2.0 if height < 150 else 5.0
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
        edges = column_edges(lanes, whole).tolist()
        found, flat = looks.colour("ok"), looks.colour("predicted", 0.45)
        for start, stop, state in runs_of(lanes.state):
            if state == CORRECTED:
                wide = max(edges[stop] - edges[start], 2.0)
                painter.fillRect(QRectF(edges[start], top + 4, wide, height - 8), found)
            elif state == PREDICTED:
                painter.fillRect(QRectF(edges[start], top + height / 2 - 1, edges[stop] - edges[start], 2), flat)
    tick = looks.colour("warn")
    for x in sorted({round(whole.centre(doubt.frame)) for doubt in doubts}):
        painter.fillRect(QRectF(x - 0.75, top + 3, 1.5, height - 6), tick)


def paint_ruler(painter: QPainter, view: View, row: tuple[float, float]) -> None:
    """Paint frame numbers and ticks."""
    looks = theme.current()
    top, height = row
    step = tick_step(view.pixels)
    minor = max(step // 10, 1) if step // 10 * view.pixels >= 4 else max(step // 5, 1)
    painter.setFont(theme.font(10))
    first, last = view.frames
    ticks, words = QPen(looks.colour("edge", 0.7), 1), QPen(looks.colour("t2"))
    right = view.left + view.width
    for frame in range(first - first % minor, last + 1, minor):
        x = view.x(frame)
        if not view.left <= x <= right:
            continue
        numbered = frame % step == 0
        painter.setPen(ticks)
        painter.drawLine(QLineF(x, top + height - (6 if numbered else 2), x, top + height))
        if numbered and x + 8 < right:
            painter.setPen(words)
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
    warm, quiet = looks.colour("warn"), looks.colour("t2")
    kinds = {kind: short_kind(kind) for kind in {doubt.kind for doubt in shown}}
    widths = {kind: metrics.horizontalAdvance(words) for kind, words in kinds.items()}
    for index, (doubt, x) in enumerate(zip(shown, places, strict=True)):
        if x < view.left or x > view.left + view.width:
            continue
        if x - free < 2 * DIAMOND:
            painter.fillRect(QRectF(x - 0.75, middle - 4, 1.5, 8), warm)
            continue
        draw_diamond(painter, QPointF(x, middle), DIAMOND, warm, filled=False)
        free = x
        end = places[index + 1] if index + 1 < len(places) else view.left + view.width
        if x + 10 + widths[doubt.kind] < end - 2 * DIAMOND:
            painter.setPen(quiet)
            painter.drawText(QPointF(x + 10, middle + metrics.ascent() / 2 - 1), kinds[doubt.kind])


def paint_state(painter: QPainter, lanes: Lanes, view: View, row: tuple[float, float]) -> None:
    """Paint the states: corrected full height, predicted half height, empty only the line."""
    looks = theme.current()
    top, height = row
    middle = top + height / 2
    edges = column_edges(lanes, view).tolist()
    line, flat, full = looks.colour("edge"), looks.colour("predicted"), looks.colour("ok")
    runs = list(runs_of(lanes.state))
    for start, stop, state in runs:
        if state == EMPTY:
            painter.fillRect(QRectF(edges[start], middle - 0.5, edges[stop] - edges[start], 1), line)
        elif state in (PREDICTED, CORRECTED):
            wide = max(edges[stop] - edges[start], 0.5)
            painter.fillRect(QRectF(edges[start], middle - height / 4, wide, height / 2), flat)
    # Corrected ones last and at least 2 px wide: a single corrected frame must be seen among thousands.
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(full)
    for start, stop, state in runs:
        if state == CORRECTED:
            wide = max(edges[stop] - edges[start], 2.0)
            box = QRectF(edges[start], top + 1, wide, height - 2)
            if wide > 4:
                painter.drawRoundedRect(box, 2, 2)
            else:
                painter.fillRect(box, full)


def _heights(values: Array, height: float) -> npt.NDArray[np.float64]:
    span = CONFIDENCE_HIGH - CONFIDENCE_LOW
    part = (np.clip(values.astype(np.float64), CONFIDENCE_LOW, CONFIDENCE_HIGH) - CONFIDENCE_LOW) / span
    return height - part * height


def per_pixel(values: Array, edges: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ``(C,)`` columns' values at ``(n,)`` pixels, straight between columns' middles.

    NaN where the pixel's own column has none; next to such a column the curve stays level.
    """
    if not len(values):
        return np.full(len(x), np.nan)
    own = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(values) - 1)
    middles = (edges[:-1] + edges[1:]) / 2
    right = x >= middles[own]
    other = np.clip(np.where(right, own + 1, own - 1), 0, len(values) - 1)
    gap = np.abs(middles[other] - middles[own])
    part = np.where(gap > 1e-9, np.abs(x - middles[own]) / np.maximum(gap, 1e-9), 0.0)
    near, far = values.astype(np.float64)[own], values.astype(np.float64)[other]
    return np.where(np.isnan(far), near, near + part * (far - near))


def paint_confidence(painter: QPainter, lanes: Lanes, view: View, row: tuple[float, float], threshold: float) -> None:
    """Paint the band from least to most, the mean, the chosen joint's curve, and the threshold dashed.

    Curves break where nothing was found. They are drawn as one picture: long antialiased polylines would take a tenth
    of a second in Qt.
    """
    looks = theme.current()
    top, height = row
    ratio = painter.device().devicePixelRatioF()
    rows, columns = max(round(height * ratio), 2), max(round(view.width * ratio), 2)
    x = np.asarray(view.left + (np.arange(columns) + 0.5) / ratio, dtype=np.float64)
    edges = column_edges(lanes, view)

    def curve(values: Array) -> npt.NDArray[np.float64]:
        return _heights(np.asarray(per_pixel(values, edges, x), dtype=np.float32), rows)

    canvas = np.zeros((rows, columns, 4), dtype=np.float32)
    _lay(canvas, _band(curve(lanes.conf_max), curve(lanes.conf_min), rows), looks.colour("t2", 0.2))
    _lay(canvas, _stroke(curve(lanes.conf_mean), rows, 1.1 * ratio), looks.colour("t2"))
    if lanes.joint is not None:
        _lay(canvas, _stroke(curve(lanes.joint), rows, 1.5 * ratio), looks.colour("accent"))
    pixels = np.rint(canvas * 255).astype(np.uint8)
    image = QImage(pixels.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888_Premultiplied)
    painter.drawImage(QRectF(view.left, top, columns / ratio, rows / ratio), image)
    y = top + float(_heights(np.array([threshold], dtype=np.float32), height)[0])
    pen = QPen(looks.colour("warn"), 1)
    pen.setDashPattern([4, 4])
    painter.setPen(pen)
    painter.drawLine(QLineF(view.left, y, view.left + view.width, y))


def _band(upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.float64]:
    """Return the ``(rows, n)`` share of each pixel that lies between two curves; 0 where one is NaN."""
    y = np.arange(rows)[:, None]
    share: npt.NDArray[np.float64] = np.clip(np.minimum(y + 1, lower[None]) - np.maximum(y, upper[None]), 0, 1)
    return np.nan_to_num(share)


def _stroke(curve: npt.NDArray[np.float64], rows: int, width: float) -> npt.NDArray[np.float64]:
    """Return the ``(rows, n)`` share of each pixel under a line of ``width`` along a curve, broken at NaN."""
    before, after = np.roll(curve, 1), np.roll(curve, -1)
    before[0], after[-1] = np.nan, np.nan
    ends = np.stack([curve, (before + curve) / 2, (curve + after) / 2])
    ends = np.where(np.isnan(ends), curve, ends)
    inset = np.clip(ends, width / 2, rows - width / 2)
    return _band(inset.min(axis=0) - width / 2, inset.max(axis=0) + width / 2, rows)


def _lay(canvas: npt.NDArray[np.float32], share: npt.NDArray[np.float64], colour: QColor) -> None:
    """Lay a colour over a premultiplied ``(h, w, 4)`` canvas by ``(h, w)`` coverage."""
    alpha = (share * colour.alphaF()).astype(np.float32)[..., None]
    tone = np.array([colour.redF(), colour.greenF(), colour.blueF(), 1.0], dtype=np.float32)
    canvas *= 1 - alpha
    canvas += alpha * tone


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
            if theme.track_repeats(track):
                stripe = QRectF(left + 2, y + TRACK / 2 - 0.75, max(wide - 4, 0), 1.5)
                painter.fillRect(stripe, theme.data_colour("mark"))
    for place, track in enumerate(order[scroll : scroll + fits]):
        for change in data.changes:
            if track in change.tracks:
                _paint_swap(painter, view.x(change.frame), top + place * (TRACK + TRACK_GAP) + TRACK / 2)


def _paint_swap(painter: QPainter, x: float, y: float) -> None:
    """Paint the disc with two arrows that says that a person changed who is who from here on."""
    looks = theme.current()
    painter.setPen(QPen(looks.colour("warn"), 1.2))
    painter.setBrush(looks.colour("panel"))
    painter.drawEllipse(QPointF(x, y), SWAP, SWAP)
    painter.setPen(QPen(looks.colour("warn"), 1.1))
    for way, height in ((1, -1.5), (-1, 1.5)):
        tip = QPointF(x + way * 3, y + height)
        painter.drawLine(QLineF(QPointF(x - way * 3, y + height), tip))
        painter.drawLine(QLineF(tip, tip + QPointF(-way * 1.6, -way * 1.6)))
