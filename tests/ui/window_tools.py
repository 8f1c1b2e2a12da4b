"""Known people, a stand-in for the engine that answers when told to, and a synthetic mouse, for tests of the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QPoint, QPointF, Qt, Signal
from PySide6.QtTest import QTest

from poseviewer.core.geometry import invert, transform
from poseviewer.core.values import KEPT, Candidates, CropEvidence, Evidence, FrameResult, Pose, Suppression
from poseviewer.ui.canvas.place import screen_points
from poseviewer.ui.window import Window

BODY = np.array(
    [
        [0.50, 0.06], [0.56, 0.03], [0.44, 0.03], [0.62, 0.07], [0.38, 0.07], [0.72, 0.22], [0.28, 0.22], [0.85, 0.38],
        [0.15, 0.38], [0.95, 0.53], [0.05, 0.53], [0.64, 0.54], [0.36, 0.54], [0.66, 0.76], [0.34, 0.76], [0.68, 0.97],
        [0.32, 0.97],
    ]
)  # fmt: skip
SECOND = np.array([14.0, -22.0])
"""Where, in picture pixels from the first, the second peak of every joint is."""


def person(left: float, top: float = 40.0, size: float = 150.0, score: float = 0.8, track: int | None = None) -> Pose:
    """A standing person whose box begins at (left, top) and is ``size`` high."""
    box = np.array([left, top, left + size * 0.45, top + size], np.float32)
    keypoints = (box[:2] + BODY * [size * 0.45, size]).astype(np.float32)
    return Pose(keypoints, np.full(17, score, np.float32), box, score, track)


def crop_evidence(pose: Pose) -> CropEvidence:
    """Evidence with heatmaps that peak (0.8) at the pose's joints and again (0.4) at SECOND beside them."""
    x1, y1, x2, y2 = pose.box.astype(float)
    scale = max((x2 - x1) / 0.7 / 48, (y2 - y1) / 0.8 / 64)
    corner = np.array([(x1 + x2) / 2 - 24 * scale, (y1 + y2) / 2 - 32 * scale])
    to_frame = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    y, x = np.mgrid[0:64, 0:48]
    heatmaps = np.zeros((17, 64, 48), np.float32)
    for joint, place in enumerate(pose.keypoints):
        for shift, value in ((np.zeros(2), 0.8), (SECOND, 0.4)):
            u, v = transform(invert(to_frame), place + shift)
            heatmaps[joint] = np.maximum(heatmaps[joint], value * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 4.0))
    network = np.array([[scale / 4, 0, corner[0]], [0, scale / 4, corner[1]]])
    identity = np.eye(3)[:2]
    picture = np.zeros((256, 192, 3), np.uint8)
    return CropEvidence(pose.box, network, network, identity, identity, picture, picture, heatmaps, to_frame)


def result_of(frame: int, poses: tuple[Pose, ...]) -> FrameResult:
    """A frame's result with evidence: every candidate kept."""
    count = len(poses)
    candidates = Candidates(
        np.stack([pose.keypoints for pose in poses]),
        np.stack([pose.scores for pose in poses]),
        np.stack([pose.box for pose in poses]),
        np.array([pose.score for pose in poses], np.float32),
    )
    none, order = np.full(count, -1), np.arange(count)
    report = Suppression(
        np.full(count, KEPT), none, np.zeros(count, np.float32), none, np.zeros(count, np.int64), order
    )
    evidence = Evidence(tuple(crop_evidence(pose) for pose in poses), candidates, report)
    return FrameResult(frame, frame / 25, poses, f"{frame:016x}", evidence)


class StandInEngine(QObject):
    """Takes requests and answers them when told to."""

    answer = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []
        self.jobs: list[Any] = []
        self.cancelled = 0

    def ask(self, request: object) -> None:
        """Keep the request."""
        self.asked.append(request)

    def submit(self, make: Callable[[Any], Any]) -> None:
        """Keep the job."""
        self.jobs.append(make)

    def cancel(self) -> None:
        """Count."""
        self.cancelled += 1

    def stop(self) -> None:
        """Nothing runs."""

    def reply(self, request: Any, poses: tuple[Pose, ...] | None = None, error: Exception | None = None) -> None:
        """Answer one request."""
        from poseviewer.pipeline.engine import Answer

        if error is not None:
            self.answer.emit(Answer(request.id, getattr(request, "frame", -1), error=error))
        elif poses is None:
            report = result_of(0, tuple(people_of(0))).evidence.suppression
            self.answer.emit(Answer(request.id, -1, suppression=report, poses=tuple(people_of(0))))
        else:
            result = result_of(request.frame, poses)
            report = result.evidence.suppression
            self.answer.emit(Answer(request.id, request.frame, result, report, poses, seconds=0.05))


def stand_in_for(desk: Any) -> StandInEngine:
    """Return a stand-in whose answers reach the desk."""
    made = StandInEngine()
    made.answer.connect(desk.runs.answer)
    return made


def people_of(frame: int) -> tuple[Pose, ...]:
    """The two people of frame ``frame``; they walk to the right by 2 px a frame."""
    return person(40 + 2 * frame, track=1), person(180 + 2 * frame, track=2, score=0.6)


def store_people(window: Window, frames: range) -> None:
    """Store predictions of a made-up run."""
    desk = window.desk
    run = desk.project.start_run(desk.media_id, {}, {"estimator": {"name": "made up"}}, frames)
    results = [FrameResult(i, i / 25, people_of(i), f"{i:016x}") for i in frames]
    desk.project.store_results(run, results)
    desk.project.finish_run(run, "done")


class Mouse:
    """Moves a synthetic mouse over the canvas, in picture pixels."""

    def __init__(self, window: Window) -> None:
        self.canvas = window.canvas

    def at(self, x: float, y: float) -> QPoint:
        """Return the viewport point of a picture place."""
        place = screen_points((x, y), self.canvas.viewportTransform())
        return QPointF(*place.tolist()).toPoint()

    def press(self, x: float, y: float, modifiers: Any = None, button: Any = None) -> None:
        """Press a button."""
        self._send("mousePress", x, y, modifiers, button)

    def move(self, x: float, y: float, modifiers: Any = None) -> None:
        """Move with the left button as it is."""
        from PySide6.QtCore import QEvent
        from PySide6.QtGui import QMouseEvent
        from PySide6.QtWidgets import QApplication

        point = QPointF(self.at(x, y))
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            point,
            self.canvas.viewport().mapToGlobal(point),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            modifiers or Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(self.canvas.viewport(), event)

    def release(self, x: float, y: float, modifiers: Any = None, button: Any = None) -> None:
        """Release a button."""
        self._send("mouseRelease", x, y, modifiers, button)

    def drag(self, start: Any, end: Any, modifiers: Any = None) -> None:
        """Press, move in two steps, release."""
        (x1, y1), (x2, y2) = start, end
        self.press(x1, y1, modifiers)
        self.move((x1 + x2) / 2, (y1 + y2) / 2, modifiers)
        self.move(x2, y2, modifiers)
        self.release(x2, y2, modifiers)

    def click(self, x: float, y: float, button: Any = None) -> None:
        """Press and release."""
        self.press(x, y, None, button)
        self.release(x, y, None, button)

    def _send(self, what: str, x: float, y: float, modifiers: Any, button: Any) -> None:
        getattr(QTest, what)(
            self.canvas.viewport(),
            button or Qt.MouseButton.LeftButton,
            modifiers or Qt.KeyboardModifier.NoModifier,
            self.at(x, y),
        )
