"""One item paints everything over the picture, in screen px: people, boxes, ghost, trails, peaks, names, loupe."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPixmap, QTransform
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from poseviewer.core.drawing import strengths
from poseviewer.core.values import ABSENT, LOW_SCORE, Person
from poseviewer.ui import theme
from poseviewer.ui.canvas import hit, labels, paint
from poseviewer.ui.canvas.drags import LEAST_PEAK, BandDrag, BoxDrag, Drag, DragCanvas, JointDrag
from poseviewer.ui.canvas.loupe import loupe_rect, paint_loupe
from poseviewer.ui.canvas.paint import Figure, Part
from poseviewer.ui.canvas.picture import PictureItem
from poseviewer.ui.canvas.place import grid_polygon, screen_box, screen_points, to_scene
from poseviewer.ui.text import tr

GHOST_FROM = 2.0
"""Picture pixels between correction and prediction from which the ghost shows."""


class PaintedCanvas(DragCanvas, Protocol):
    """The canvas, as the overlay sees it; ``poseviewer.ui.canvas.view.Canvas`` explains each member."""

    hover: hit.Hit | None
    drag: Drag | None
    pointer: QPointF | None
    focus_shown: bool
    picture: PictureItem

    def viewport(self) -> QWidget: ...
    def devicePixelRatioF(self) -> float: ...
    def bar_rects(self) -> list[QRectF]: ...
    def shown_people(self) -> tuple[Person, ...]: ...
    def trail(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
    def loupe_place(self) -> QPointF | None: ...


class Overlay(QGraphicsItem):
    """Paints the desk's people over the picture; keeps nothing but a reference to the canvas."""

    def __init__(self, canvas: PaintedCanvas) -> None:
        super().__init__()
        self._canvas = canvas
        self._scene_area = QRectF()
        self._view = QTransform()
        self._area = QRectF()
        self._bars: list[QRectF] = []
        self._kept: tuple[tuple[object, ...], list[Person], QPixmap] | None = None

    def boundingRect(self) -> QRectF:
        """All of the scene."""
        return self._scene_area

    def cover(self, area: QRectF) -> None:
        """Paint over ``area`` of the scene."""
        self.prepareGeometryChange()
        self._scene_area = area

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Paint in screen px."""
        self._view = self._canvas.viewportTransform()
        self._area = QRectF(self._canvas.viewport().rect())
        self._bars = self._canvas.bar_rects()
        painter.save()
        try:
            painter.setWorldTransform(QTransform())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            self._paint_all(painter)
        finally:
            painter.restore()

    def _paint_all(self, painter: QPainter) -> None:
        desk, canvas = self._canvas.desk, self._canvas
        people = canvas.shown_people()
        chosen = next((person for person in people if person.key == desk.selection.person), None)
        others = [person for person in people if person is not chosen]
        if chosen is not None and desk.display.crop:
            self._paint_crop(painter, chosen)
        self._paint_others(painter, others)
        if chosen is not None:
            self._paint_chosen(painter, chosen)
        self._paint_pills(painter, people, chosen)
        self._paint_boxes(painter)
        self._paint_names(painter, people, chosen)
        self._paint_loupe(painter)
        if canvas.focus_shown:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.current().colour("accent"), 2))
            painter.drawRect(self._area.adjusted(1, 1, -1, -1))
        if desk.frame is not None and not desk.frame_exact:
            self._paint_badge(painter, tr("frame {n}, not yet exact", n=desk.selection.frame))
        elif desk.frame is not None and desk.frame.corrupt:
            self._paint_badge(painter, tr("this frame is damaged in the file"))

    # --- people ---

    def _paint_others(self, painter: QPainter, others: list[Person]) -> None:
        """Paint who is not selected, from a picture kept until somebody, the view or the display changes."""
        desk, hover = self._canvas.desk, self._canvas.hover
        display, view = desk.display, self._view
        ratio = self._canvas.devicePixelRatioF()
        size = self._canvas.viewport().size() * ratio
        lit = hover if hover is not None and hover.kind == "joint" and hover.person != desk.selection.person else None
        look = (display.boxes, display.skeleton, display.colour_by, display.fade, lit, theme.current().name)
        place = (view.m11(), view.m12(), view.dx(), view.dy(), size.width(), size.height(), ratio)
        # The people are compared by identity: they are frozen, and read anew whenever they change.
        if self._kept is None or self._kept[0] != (look, place) or not _same(self._kept[1], others):
            kept = QPixmap(size)
            kept.setDevicePixelRatio(ratio)
            kept.fill(Qt.GlobalColor.transparent)
            inner = QPainter(kept)
            try:
                if display.boxes:
                    paint.paint_boxes(inner, [screen_box(person.pose.box, view) for person in others])
                for person in others if display.skeleton else ():
                    self._paint_person(inner, person, selected=False)
            finally:
                inner.end()
            self._kept = ((look, place), list(others), kept)
        painter.drawPixmap(0, 0, self._kept[2])

    def figure(self, person: Person, *, selected: bool) -> Figure:
        """Return ``person`` as it is painted under the present view."""
        desk, hover = self._canvas.desk, self._canvas.hover
        ghost = moved = None
        if selected and person.prediction is not None:
            ghost = screen_points(person.prediction.keypoints, self._view)
            moved = np.linalg.norm(person.pose.keypoints - person.prediction.keypoints, axis=-1) > GHOST_FROM
        elif selected and self._canvas.drag is not None and self._canvas.drag.shown is person:
            stored = desk.person_by_key(person.key)
            if stored is not None:
                ghost = screen_points(stored.pose.keypoints, self._view)
                moved = np.linalg.norm(person.pose.keypoints - stored.pose.keypoints, axis=-1) > GHOST_FROM
        return Figure(
            screen_points(person.pose.keypoints, self._view),
            person.visibility,
            person.pose.track,
            selected,
            hover.joint if hover is not None and hover.kind == "joint" and hover.person == person.key else None,
            desk.joint if selected else None,
            ghost,
            moved,
            self._strengths(person),
            self._members(person) if selected else frozenset(),
        )

    def _strengths(self, person: Person) -> list[float] | None:
        """Return how strongly the joints are painted; None where all are, as where a hand confirmed them."""
        scores = person.pose.scores
        if person.state != "predicted" or not self._canvas.desk.display.fade or (scores >= LOW_SCORE).all():
            return None
        every: list[float] = strengths(scores).tolist()
        return every

    def _members(self, person: Person) -> frozenset[int]:
        """Return the joints that are selected beside the first: those in the rectangle while one is drawn."""
        drag = self._canvas.drag
        if isinstance(drag, BandDrag):
            return drag.members if drag.person == person.key else frozenset()
        return self._canvas.desk.selection.more

    def _joint_parts(self, person: Person, joint: int) -> list[Part]:
        """Return the name of a joint; of the selected one also how many more there are."""
        desk = self._canvas.desk
        parts = labels.joint_parts(person, joint, desk.skeleton)
        if desk.selection.more and joint == desk.joint and person.key == desk.selection.person:
            parts.append(Part(f"+{len(desk.selection.more)}", strong=True))
        return parts

    def _paint_person(self, painter: QPainter, person: Person, *, selected: bool) -> None:
        desk = self._canvas.desk
        figure = self.figure(person, selected=selected)
        paint.paint_figure(painter, figure, desk.skeleton, desk.display.colour_by, layer=not selected)

    def _paint_chosen(self, painter: QPainter, person: Person) -> None:
        desk = self._canvas.desk
        drag = self._canvas.drag
        box = drag.box if isinstance(drag, BoxDrag) and drag.box is not None else person.pose.box
        if desk.display.boxes:
            paint.paint_corners(painter, screen_box(box, self._view))
        if not desk.display.skeleton:
            return
        if desk.display.trails and desk.joint is not None:
            before, after = self._canvas.trail()
            colour = paint.joint_colour(desk.skeleton, desk.joint, person.pose.track, desk.display.colour_by)
            paint.paint_trail(painter, screen_points(before, self._view), screen_points(after, self._view), colour)
        self._paint_peaks(painter, person)
        self._paint_person(painter, person, selected=True)

    def _paint_peaks(self, painter: QPainter, person: Person) -> None:
        """Paint rings at all peaks while a joint is dragged, otherwise at the second-best one."""
        desk, drag = self._canvas.desk, self._canvas.drag
        if isinstance(drag, JointDrag) and desk.display.snap:
            for peak in drag.peaks:
                paint.paint_peak(painter, self._at(peak.x, peak.y), held=peak is drag.held)
            return
        if drag is not None or desk.joint is None or not desk.display.heat:
            return
        peaks = desk.peaks(person.key, desk.joint)
        if len(peaks) < 2 or peaks[1].value < LEAST_PEAK:
            return
        second = self._at(peaks[1].x, peaks[1].y)
        paint.paint_peak(painter, second, held=False)
        if desk.display.labels:
            parts = [Part(tr("2nd peak")), Part(f"{peaks[1].value:.2f}", strong=True)]
            size = paint.pill_size(parts)
            joints = [self._at(*place) for place in person.pose.keypoints.tolist()]
            name = self._name_rect(person, desk.joint)
            avoid = [*self._bars, self._pill_rect(person, selected=True)]
            avoid += [name] if name is not None else []
            paint.paint_pill(painter, labels.place_beside(second, size, self._area, avoid, joints), parts)

    # --- names ---

    def _paint_pills(self, painter: QPainter, people: tuple[Person, ...], chosen: Person | None) -> None:
        desk = self._canvas.desk
        if not desk.display.labels:
            return
        taken: list[QRectF] = list(self._bars)
        # The selected person's pill comes first: it never hides.
        for person in sorted(people, key=lambda one: one is not chosen):
            selected = person is chosen
            rect = self._pill_rect(person, selected=selected)
            hidden = not selected and any(rect.intersects(other) for other in taken)
            if hidden or not rect.intersects(self._area):
                continue
            taken.append(rect)
            parts = labels.person_parts(person, desk.person_number(person.key), selected=selected)
            paint.paint_pill(painter, rect, parts, outlined=selected)

    def _pill_rect(self, person: Person, *, selected: bool) -> QRectF:
        """Return where a person's pill goes; outside the view for somebody who is out of sight."""
        number = self._canvas.desk.person_number(person.key)
        width, height = paint.pill_size(labels.person_parts(person, number, selected=selected))
        box = screen_box(person.pose.box, self._view)
        rect = QRectF(box.center().x() - width / 2, box.top() - height - 5, width, height)
        if selected:
            rect.moveLeft(box.left())
        if not rect.intersects(self._area):
            return rect
        rect = self._inside(rect)
        return self._off_bars(rect) if selected else rect

    def _inside(self, rect: QRectF) -> QRectF:
        x = min(max(rect.x(), self._area.left() + 4), self._area.right() - rect.width() - 4)
        y = min(max(rect.y(), self._area.top() + 4), self._area.bottom() - rect.height() - 4)
        return QRectF(x, y, rect.width(), rect.height())

    def _off_bars(self, rect: QRectF) -> QRectF:
        """Return ``rect`` moved below a bar at the top, or above one at the bottom, that would hide it."""
        for bar in self._bars:
            if rect.intersects(bar):
                top = bar.bottom() + 4 if bar.center().y() < self._area.center().y() else bar.top() - 4 - rect.height()
                rect = QRectF(rect.x(), top, rect.width(), rect.height())
        return rect

    def _paint_names(self, painter: QPainter, people: tuple[Person, ...], chosen: Person | None) -> None:
        """Name the joint under the pointer or the selected one; while dragging, say how far."""
        desk, hover, drag = self._canvas.desk, self._canvas.hover, self._canvas.drag
        if drag is not None:
            parts, place = drag.words(), drag.place()
            if parts:
                at = self._at(*place) if place is not None else self._canvas.pointer or QPointF()
                size = paint.pill_size(parts)
                paint.paint_pill(painter, labels.place_beside(at, size, self._area, self._bars, ()), parts)
            return
        person, joint = chosen, desk.joint
        if hover is not None and hover.kind == "joint":
            person = next((one for one in people if one.key == hover.person), None)
            joint = hover.joint
        if person is None or joint is None or not desk.display.skeleton or not desk.display.labels:
            return
        rect = self._name_rect(person, joint)
        if rect is not None:
            paint.paint_pill(painter, rect, self._joint_parts(person, joint))

    def _name_rect(self, person: Person, joint: int) -> QRectF | None:
        """Return where the name of a joint goes, or None while the joint is out of sight."""
        at = self._at(*person.pose.keypoints[joint].tolist())
        if not self._area.contains(at):
            return None
        joints = [
            self._at(*place)
            for index, place in enumerate(person.pose.keypoints.tolist())
            if person.visibility[index] != ABSENT
        ]
        size = paint.pill_size(self._joint_parts(person, joint))
        return labels.place_beside(at, size, self._area, self._bars, joints)

    # --- boxes, crop, loupe, badge ---

    def _paint_crop(self, painter: QPainter, person: Person) -> None:
        desk = self._canvas.desk
        candidate = desk.candidate_of(person.key)
        if candidate is None or desk.evidence is None or desk.evidence.evidence is None:
            return
        crop = desk.evidence.evidence.crops[candidate]
        height, width = crop.picture.shape[:2]
        outline = self._view.map(grid_polygon(crop.crop, width, height))
        paint.paint_outline(painter, outline, dashed=True, alpha=0.55)
        if not desk.display.labels:
            return
        pixels = float(np.sqrt(abs(np.linalg.det(np.asarray(crop.crop)[:, :2]))))
        words = tr("crop {w} × {h}, {n} px per input px", w=width, h=height, n=f"{pixels:.1f}")
        parts = [Part(words, dim=True)]
        size = paint.pill_size(parts)
        bounds = outline.boundingRect()
        rect = QRectF(bounds.right() - size[0] - 6, bounds.bottom() - size[1] - 6, *size)
        free = self._area.contains(rect) and not any(rect.intersects(bar) for bar in self._bars)
        if free and bounds.width() > size[0] + 12:
            paint.paint_pill(painter, rect, parts)

    def _paint_boxes(self, painter: QPainter) -> None:
        drag = self._canvas.drag
        box: npt.NDArray[np.float64] | None = drag.box if drag is not None else self._canvas.waiting_box
        if box is None:
            return
        rect = screen_box(box, self._view)
        painter.setBrush(theme.data_colour("accent", 0.12))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRect(rect)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.data_colour("halo", 0.6), 3))
        painter.drawRect(rect)
        pen = QPen(theme.data_colour("accent"), 1.5)
        if drag is None:
            pen.setDashPattern((4.0, 3.0))
        painter.setPen(pen)
        painter.drawRect(rect)

    def _paint_loupe(self, painter: QPainter) -> None:
        canvas = self._canvas
        image = canvas.picture.image
        scene = canvas.loupe_place()
        if image is None or scene is None:
            return
        pointer = self._view.map(scene)
        paint_loupe(painter, image, loupe_rect(self._area, pointer), scene)

    def _paint_badge(self, painter: QPainter, text: str) -> None:
        parts = [Part(text)]
        width, height = paint.pill_size(parts)
        rect = QRectF(self._area.center().x() - width / 2, self._area.top() + 56, width, height)
        paint.paint_pill(painter, rect, parts)

    def _at(self, x: float, y: float) -> QPointF:
        return self._view.map(to_scene(x, y))


def _same(first: list[Person], second: list[Person]) -> bool:
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))
