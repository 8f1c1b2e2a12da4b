"""Candidates on the frame: boxes, numbers, and arrows from who was removed to who removed it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen, QPolygonF

from poseviewer.core.values import KEPT, Candidates, Frame, Suppression
from poseviewer.ui import theme
from poseviewer.ui.canvas.place import half_pixel
from poseviewer.ui.panels.framepicture import FramePicture
from poseviewer.ui.panels.verdicts import owner_ranks
from poseviewer.ui.text import tr

BADGE = 9.0
GAP = 3.6 * BADGE
"""Between the centres of two numbers."""
ROOM = 2 * GAP**2
"""Square pixels of picture for one number, half of them so that boxes can still be seen."""


def candidate_colour(suppression: Suppression, index: int) -> QColor:
    """Return the colour of the kept candidate that ``index`` belongs to, grey for one below the floor."""
    rank = owner_ranks(suppression)[index] if index < len(suppression.outcome) else 0
    return theme.track_colour(rank) if rank else theme.current().colour("edge")


def spread_out(places: npt.NDArray[np.float64], least: float, box: QRectF, *, rounds: int = 60) -> None:
    """Push ``(n, 2)`` places apart in place until they are ``least`` apart, inside ``box``."""
    for _ in range(rounds):
        moved = False
        for i in range(len(places)):
            for j in range(i):
                gap = places[i] - places[j]
                distance = float(np.hypot(*gap))
                if distance < least:
                    # Exactly equal places are pushed in a direction that depends on the index.
                    way = gap / distance if distance > 1e-6 else np.array([np.cos(2.4 * i), np.sin(2.4 * i)])
                    places[i] += way * (least - distance) * 0.55
                    places[j] -= way * (least - distance) * 0.45
                    moved = True
        low = [box.left() + BADGE + 2, box.top() + BADGE + 2]
        np.clip(places, low, [box.right() - BADGE - 2, box.bottom() - BADGE - 2], out=places)
        if not moved:
            break


class CandidatePicture(FramePicture):
    """Boxes of the candidates, numbered; an arrow points from who was removed to who removed it.

    ``chosen`` carries the candidate that a person clicked, by its number or in its box.
    """

    chosen = Signal(int)
    MOST = 40

    def __init__(self) -> None:
        super().__init__(tr("Candidates on the picture"), tallest=0.62, dim=0.4)
        self._candidates: Candidates | None = None
        self._suppression: Suppression | None = None
        self._selected: int | None = None
        self._badges: dict[int, QPointF] = {}

    def show_candidates(
        self, frame: Frame | None, candidates: Candidates, suppression: Suppression, selected: int | None
    ) -> None:
        """Show candidates and what was decided."""
        self._candidates, self._suppression, self._selected = candidates, suppression, selected
        self._badges = {}
        self.show_frame(frame)

    def paint_over(self, painter: QPainter, box: QRectF, scale: float) -> None:
        """Draw boxes, arrows and numbers."""
        candidates, suppression = self._candidates, self._suppression
        if candidates is None or suppression is None:
            return
        count = min(len(candidates.boxes), len(suppression.outcome), self.MOST)
        kept = [i for i in range(count) if suppression.outcome[i] == KEPT]
        removed = [i for i in range(count) if suppression.by[i] >= 0 and suppression.outcome[i] != KEPT]
        for i in (*[i for i in range(count) if i not in kept], *kept):
            self._paint_box(painter, i, box, scale)
        numbered = self._numbered(suppression, removed, kept, int(box.width() * box.height() / ROOM))
        leaders = self._leaders(candidates, sorted(numbered), box, scale)
        self._badges = {i: leaders[i].p2() for i in numbered}
        for i, place in self._badges.items():
            if int(suppression.by[i]) in self._badges:
                self._paint_arrow(painter, place, self._badges[int(suppression.by[i])], i)
            if leaders[i].length() > BADGE:
                painter.setPen(QPen(candidate_colour(suppression, i), 1.0))
                painter.drawLine(leaders[i])
        for i, place in self._badges.items():
            self._paint_badge(painter, place, i)

    def _numbered(self, suppression: Suppression, removed: list[int], kept: list[int], most: int) -> list[int]:
        """Return who gets a number: all, or around the selected one, then where somebody was removed, then the best."""
        ranks = owner_ranks(suppression)
        mine = ranks[self._selected] if self._selected is not None and self._selected < len(ranks) else 0
        crowded = {ranks[i] for i in removed}

        def late(i: int) -> tuple[bool, bool, bool, int]:
            return i != self._selected, not mine or ranks[i] != mine, ranks[i] not in crowded, i

        first = set(sorted((*removed, *kept), key=late)[: max(most, 1)])
        return [i for i in (*removed, *kept) if i in first]  # the kept ones over the others

    def _leaders(self, candidates: Candidates, shown: list[int], box: QRectF, scale: float) -> dict[int, QLineF]:
        """Return lines from the middle of each candidate's box to where its number is written."""
        corner = np.array([box.left(), box.top()])
        boxes = candidates.boxes[shown].astype(np.float64)
        middles: npt.NDArray[np.float64] = half_pixel((boxes[:, :2] + boxes[:, 2:]) / 2, to_scene=True) * scale + corner
        places = middles.copy()
        spread_out(places, GAP, box)
        ends = zip(middles.tolist(), places.tolist(), strict=True)
        return {i: QLineF(*middle, *place) for i, (middle, place) in zip(shown, ends, strict=True)}

    def _paint_box(self, painter: QPainter, index: int, box: QRectF, scale: float) -> None:
        candidates, suppression = self._candidates, self._suppression
        if candidates is None or suppression is None:
            return
        x1, y1, x2, y2 = (float(v) * scale for v in half_pixel(candidates.boxes[index], to_scene=True))
        area = QRectF(x1 + box.left(), y1 + box.top(), x2 - x1, y2 - y1)
        kept = suppression.outcome[index] == KEPT
        colour = candidate_colour(suppression, index)
        chosen = index == self._selected
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if kept or chosen:
            painter.setPen(QPen(theme.data_colour("halo", 0.72), 3.6 if chosen else 3))
            painter.drawRect(area)
        pen = QPen(theme.data_colour("mark") if chosen else colour, 1.8 if kept or chosen else 1.0)
        if not kept:
            pen.setDashPattern([2, 2])
        painter.setPen(pen)
        painter.drawRect(area)

    def _paint_arrow(self, painter: QPainter, start: QPointF, end: QPointF, index: int) -> None:
        if self._suppression is None:
            return
        line = QLineF(start, end)
        if line.length() < 2 * BADGE + 4:
            return
        line = QLineF(line.pointAt(BADGE / line.length()), line.pointAt(1 - (BADGE + 2) / line.length()))
        colour = candidate_colour(self._suppression, index)
        for tone, width in ((theme.data_colour("halo", 0.72), 3.2), (colour, 1.4)):
            painter.setPen(QPen(tone, width))
            painter.drawLine(line)
        unit = line.unitVector()
        along = QPointF(unit.dx(), unit.dy())
        across = QPointF(-along.y(), along.x())
        tip = line.p2()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(QPolygonF([tip, tip - along * 7 + across * 3.5, tip - along * 7 - across * 3.5]))

    def _paint_badge(self, painter: QPainter, place: QPointF, index: int) -> None:
        if self._suppression is None:
            return
        kept = self._suppression.outcome[index] == KEPT
        colour = candidate_colour(self._suppression, index)
        pen = QPen(colour, 1.8 if kept else 1.2)
        if not kept:
            pen.setDashPattern([1.5, 1.5])
        painter.setPen(pen)
        painter.setBrush(theme.data_colour("inside"))
        radius = BADGE + (1 if kept else 0)
        painter.drawEllipse(place, radius, radius)
        if index == self._selected:
            painter.setPen(QPen(theme.data_colour("mark"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(place, radius + 3, radius + 3)
        painter.setFont(theme.font(10, 600))
        painter.setPen(theme.data_colour("ink"))
        words = QRectF(place.x() - 12, place.y() - 9, 24, 18)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, str(index + 1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the candidate whose number was clicked, or else whose box."""
        at = event.position()
        for index, place in self._badges.items():
            if QLineF(at, place).length() <= BADGE + 4:
                self.chosen.emit(index)
                return
        inside = self._box_at(at)
        if inside is not None:
            self.chosen.emit(inside)

    def _box_at(self, at: QPointF) -> int | None:
        """Return the candidate with the smallest box around a place: the hardest to hit otherwise."""
        candidates, suppression = self._candidates, self._suppression
        if candidates is None or suppression is None:
            return None
        box, scale = self.placement()
        x, y = (at.x() - box.left()) / scale, (at.y() - box.top()) / scale
        boxes = half_pixel(candidates.boxes[: min(len(suppression.outcome), self.MOST)], to_scene=True)
        inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
        areas = np.where(inside, (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.inf)
        return int(areas.argmin()) if inside.any() else None
