"""The drag in progress: started, moved, finished. Only *finished* makes an edit; cancelling leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF
from PySide6.QtGui import QTransform
from PySide6.QtWidgets import QScrollBar

from poseviewer.core.values import ABSENT, VISIBLE, Person
from poseviewer.ui.canvas.paint import Part
from poseviewer.ui.canvas.place import screen_points, to_picture
from poseviewer.ui.hand import moved_joints
from poseviewer.ui.parts import Peak
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

START_PX = 3.0
SNAP_PX = 8.0
LEAST_PEAK = 0.15
LEAST_BOX = 8.0
"""Sides of a drawn box in picture pixels, at least."""


class DragCanvas(Protocol):
    """The canvas, as a drag sees it.

    Attributes:
        desk: whose hand makes the edit.
        waiting_box: the box that the estimator runs on, shown until it answers, xyxy picture pixels.
    """

    desk: Desk
    waiting_box: npt.NDArray[np.float64] | None

    def viewportTransform(self) -> QTransform: ...
    def horizontalScrollBar(self) -> QScrollBar: ...
    def verticalScrollBar(self) -> QScrollBar: ...


class Drag:
    """What a pressed button does while the pointer moves.

    Attributes:
        shown: the person as the drag would leave it, painted instead of the stored one, or None.
        box: box being drawn or changed, xyxy picture pixels, or None.
        precise: the pointer is hidden and the loupe shows the place.
    """

    precise = False

    def __init__(self, canvas: DragCanvas, press: QPointF) -> None:
        self.canvas = canvas
        self.press = press
        self.shown: Person | None = None
        self.box: npt.NDArray[np.float64] | None = None

    def move(self, scene: QPointF, *, free: bool) -> None:
        """Follow the pointer to a scene point; ``free`` ignores peaks."""

    def finish(self) -> None:
        """Make the edit."""

    def words(self) -> list[Part]:
        """Return what the label at the pointer says, empty for none."""
        return []

    def place(self) -> tuple[float, float] | None:
        """Return the picture place that the loupe shows, or None."""
        return None

    def _way(self, scene: QPointF) -> npt.NDArray[np.float64]:
        return np.array([scene.x() - self.press.x(), scene.y() - self.press.y()])


class JointDrag(Drag):
    """Moves one joint 1:1 in sub-pixels; near a heatmap peak it holds there."""

    precise = True

    def __init__(self, canvas: DragCanvas, press: QPointF, person: Person, joint: int) -> None:
        super().__init__(canvas, press)
        self.person, self.joint = person, joint
        self.origin = np.asarray(person.pose.keypoints[joint], dtype=np.float64)
        self.now = self.origin.copy()
        self.held: Peak | None = None
        self.peaks = [peak for peak in canvas.desk.peaks(person.key, joint) if peak.value >= LEAST_PEAK]

    def move(self, scene: QPointF, *, free: bool) -> None:
        """Follow the pointer."""
        self.now = self.origin + self._way(scene)
        self.held = None
        if self.canvas.desk.display.snap and not free:
            self.held = self._near_peak()
            if self.held is not None:
                self.now = np.array([self.held.x, self.held.y])
        keypoints = np.array(self.person.pose.keypoints, dtype=np.float32)
        keypoints[self.joint] = self.now
        visibility = np.array(self.person.visibility)
        if visibility[self.joint] == ABSENT:
            visibility[self.joint] = VISIBLE
        self.shown = replace(self.person, pose=replace(self.person.pose, keypoints=keypoints), visibility=visibility)

    def _near_peak(self) -> Peak | None:
        if not self.peaks:
            return None
        view = self.canvas.viewportTransform()
        places = screen_points([[peak.x, peak.y] for peak in self.peaks], view)
        distance = np.linalg.norm(places - screen_points(self.now, view), axis=-1)
        best = int(distance.argmin())
        return self.peaks[best] if distance[best] <= SNAP_PX else None

    def finish(self) -> None:
        """Move the joint."""
        self.canvas.desk.hand.move_joint(self.person, self.joint, float(self.now[0]), float(self.now[1]))

    def words(self) -> list[Part]:
        """Return the way gone, or which peak holds the joint."""
        if self.held is not None:
            order = sorted(self.peaks, key=lambda peak: -peak.value).index(self.held) + 1
            return [Part(tr("peak {n}", n=order), strong=True), Part(f"{self.held.value:.2f}", dim=True)]
        dx, dy = self.now - self.origin
        return [Part(f"{signed(dx)}, {signed(dy)}", strong=True)]

    def place(self) -> tuple[float, float] | None:
        """Return where the joint is now."""
        return float(self.now[0]), float(self.now[1])


class BodyDrag(Drag):
    """Moves all joints and the box of a person."""

    precise = True

    def __init__(self, canvas: DragCanvas, press: QPointF, person: Person) -> None:
        super().__init__(canvas, press)
        self.person = person
        self.way = np.zeros(2)

    def move(self, scene: QPointF, *, free: bool) -> None:
        """Follow the pointer."""
        self.way = self._way(scene)
        pose = self.person.pose
        self.shown = replace(
            self.person,
            pose=replace(
                pose,
                keypoints=(pose.keypoints + self.way).astype(np.float32),
                box=(pose.box + np.tile(self.way, 2)).astype(np.float32),
            ),
        )

    def finish(self) -> None:
        """Move the body."""
        self.canvas.desk.hand.move_body(self.person, float(self.way[0]), float(self.way[1]))

    def words(self) -> list[Part]:
        """Return the way gone."""
        return [Part(f"{signed(self.way[0])}, {signed(self.way[1])}", strong=True)]


class JointsDrag(Drag):
    """Moves the selected joints of a person together.

    Args:
        canvas, press: as for every drag.
        person: whose.
        joints: which.
        joint: the one that was pressed, whose place the loupe shows.
    """

    precise = True

    def __init__(self, canvas: DragCanvas, press: QPointF, person: Person, joints: tuple[int, ...], joint: int) -> None:
        super().__init__(canvas, press)
        self.person, self.joints, self.joint = person, joints, joint
        self.way = np.zeros(2)

    def move(self, scene: QPointF, *, free: bool) -> None:
        """Follow the pointer."""
        self.way = self._way(scene)
        pose = replace(self.person.pose, keypoints=moved_joints(self.person, self.joints, self.way))
        self.shown = replace(self.person, pose=pose)

    def finish(self) -> None:
        """Move the joints."""
        self.canvas.desk.hand.move_joints(self.person, self.joints, float(self.way[0]), float(self.way[1]))

    def words(self) -> list[Part]:
        """Return the way gone."""
        return [Part(f"{signed(self.way[0])}, {signed(self.way[1])}", strong=True)]

    def place(self) -> tuple[float, float] | None:
        """Return where the pressed joint is now."""
        x, y = (self.person.pose.keypoints[self.joint] + self.way).tolist()
        return x, y


class BandDrag(Drag):
    """Draws a rectangle; the joints in it are selected: the selected person's, else of who has most of them inside.

    Attributes:
        person: key of whose joints are inside, or None for nobody's.
        members: the joints inside.
    """

    def __init__(self, canvas: DragCanvas, press: QPointF) -> None:
        super().__init__(canvas, press)
        self.person: str | None = None
        self.members: frozenset[int] = frozenset()

    def move(self, scene: QPointF, *, free: bool) -> None:
        """Follow the pointer with one corner."""
        corners = np.array([to_picture(self.press), to_picture(scene)])
        self.box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        desk = self.canvas.desk
        people = [desk.person] if desk.person is not None else list(desk.people)
        inside = {person.key: self._inside(person) for person in people if person is not None}
        self.person = max(inside, key=lambda key: len(inside[key]), default=None)
        self.members = inside.get(self.person, frozenset()) if self.person is not None else frozenset()

    def _inside(self, person: Person) -> frozenset[int]:
        if self.box is None:
            return frozenset()
        points = person.pose.keypoints
        inside = ((points >= self.box[:2]) & (points <= self.box[2:])).all(axis=-1) & (person.visibility != ABSENT)
        return frozenset(np.flatnonzero(inside).tolist())

    def finish(self) -> None:
        """Select the joints; an empty rectangle leaves them."""
        desk = self.canvas.desk
        if self.person is None or not self.members:
            desk.select(joint=None)
            return
        joint = desk.joint if desk.joint in self.members else min(self.members)
        desk.select(person=self.person, joint=joint, more=self.members)

    def words(self) -> list[Part]:
        """Return how many joints are inside."""
        count = len(self.members)
        return [Part(tr("1 joint") if count == 1 else tr("{n} joints", n=count), strong=True)] if count else []


class BoxDrag(Drag):
    """Draws a new box, or drags a corner of a person's box; the estimator then runs on it."""

    def __init__(
        self, canvas: DragCanvas, press: QPointF, person: Person | None = None, corner: int | None = None
    ) -> None:
        super().__init__(canvas, press)
        self.person = person
        start = np.array(to_picture(press))
        self.anchor = start
        self.corner = start
        if person is not None and corner is not None:
            x1, y1, x2, y2 = person.pose.box.astype(np.float64)
            places = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
            self.corner, self.anchor = places[corner], places[(corner + 2) % 4]

    def move(self, scene: QPointF, *, free: bool) -> None:
        """Follow the pointer with one corner."""
        now = self.corner + self._way(scene)
        self.box = np.concatenate([np.minimum(self.anchor, now), np.maximum(self.anchor, now)])

    def finish(self) -> None:
        """Run the estimator on the box."""
        if self.box is None or (self.box[2:] - self.box[:2]).min() < LEAST_BOX:
            return
        self.canvas.waiting_box = self.box
        self.canvas.desk.run_on_box(self.box, self.person.key if self.person is not None else None)

    def words(self) -> list[Part]:
        """Return the size."""
        if self.box is None:
            return []
        width, height = self.box[2:] - self.box[:2]
        return [Part(f"{width:.0f} × {height:.0f}", strong=True)]


class PanDrag(Drag):
    """Moves the picture."""

    def __init__(self, canvas: DragCanvas, press: QPointF, pointer: QPointF) -> None:
        super().__init__(canvas, press)
        self.pointer = pointer
        self.scroll = (canvas.horizontalScrollBar().value(), canvas.verticalScrollBar().value())

    def pan(self, pointer: QPointF) -> None:
        """Follow the pointer on the screen; the scene moves beneath it."""
        self.canvas.horizontalScrollBar().setValue(round(self.scroll[0] - pointer.x() + self.pointer.x()))
        self.canvas.verticalScrollBar().setValue(round(self.scroll[1] - pointer.y() + self.pointer.y()))


def signed(value: float) -> str:
    """Return a figure with one decimal and its sign, with a true minus."""
    return f"{value:+.1f}".replace("-", "−")
