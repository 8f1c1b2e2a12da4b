"""A pipeline without networks: it reads every frame and answers with poses that depend on the frame alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from poseviewer.core.errors import MediaError
from poseviewer.core.values import FrameResult, Pose
from poseviewer.jobs.video_out import video_writer
from poseviewer.media import frame_fingerprint
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.pipeline.backends import Backend


class FakeNetworks:
    """What jobs ask of networks."""

    skeleton = "coco_17"
    joints = 17
    detector = None
    backend = Backend()
    estimator = SimpleNamespace(open_facts=())
    estimator_name = "fake.pth"
    spec = EstimatorSpec("fake", "coco_17", 17, (192, 256), (48, 64), (0.0,) * 3, (1.0,) * 3, "master")

    def describe(self) -> dict[str, Any]:
        return {"device": "cpu", "precision": "float32", "detector": {"name": "fake"}, "estimator": {"name": "fake"}}


def pose_at(box: np.ndarray, score: float = 0.8) -> Pose:
    """A pose whose joints lie on the diagonal of a box."""
    share = np.linspace(0.05, 0.95, 17)[:, None]
    points = (box[:2] + share * (box[2:4] - box[:2])).astype(np.float32)
    return Pose(points, np.full(17, score, np.float32), box[:4].astype(np.float32), score)


def fake_run(
    media: Any, frames: Any, config: Any, *, networks: Any, boxes: Any = None, on_note: Any = None, **_: Any
) -> Iterator[FrameResult]:
    """Two people in even frames, one in odd ones; given boxes are taken as they are."""
    for frame in media.frames(list(frames)):
        if boxes is None:
            height, width = frame.pixels.shape[:2]
            wanted = [
                np.array([2.0, 2.0, width / 3, height - 2.0]),
                np.array([width / 2, 2.0, width - 2.0, height - 2.0]),
            ]
            wanted = wanted[: 2 - frame.index % 2]
        else:
            wanted = list(boxes[frame.index])
        poses = tuple(pose_at(np.asarray(box), 0.9 - 0.1 * rank) for rank, box in enumerate(wanted))
        yield FrameResult(frame.index, frame.timestamp_s, poses, frame_fingerprint(frame.pixels))


@pytest.fixture
def fake_pipeline(monkeypatch: pytest.MonkeyPatch) -> FakeNetworks:
    """Put the fake in the place of networks and pipeline."""
    networks = FakeNetworks()
    monkeypatch.setattr("poseviewer.pipeline.run.run", fake_run)
    monkeypatch.setattr("poseviewer.pipeline.loading.load_networks", lambda config: networks)
    return networks


class Unreadable:
    """A media whose frames cannot be read, some of them."""

    def __init__(self, media: Any, bad: set[int]) -> None:
        self._media = media
        self._bad = bad

    @property
    def info(self) -> Any:
        return self._media.info

    def frame(self, index: int) -> Any:
        if index in self._bad:
            raise MediaError(f"Frame {index} cannot be read.")
        return self._media.frame(index)

    def frames(self, indices: Any) -> Any:
        for index in indices:
            yield self.frame(index)


def write_clip(path: Path, count: int = 12, size_wh: tuple[int, int] = (96, 64)) -> Path:
    """A small clip whose frames are all different."""
    with video_writer(path, size_wh, 25) as writer:
        for number in range(count):
            pixels = np.full((size_wh[1], size_wh[0], 3), 40, np.uint8)
            cv2.rectangle(pixels, (4 + 5 * number, 10), (24 + 5 * number, 50), (220, 20 * number % 255, 90), -1)
            cv2.putText(pixels, str(number), (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
            writer.add(pixels)
    return path
