"""A real desk on a small generated clip with stored predictions, for tests that need files but no networks."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from pytestqt.qtbot import QtBot

from poseviewer.core.values import FrameResult, Pose
from poseviewer.ui.desk import Desk

FRAMES, WIDTH, HEIGHT = 24, 320, 240


def write_clip(path: Path, frames: int = FRAMES) -> Path:
    """Write a clip of a bright square that moves right by 4 px a frame over a gradient."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 2_000_000
        for index in range(frames):
            pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            pixels[..., 1] = np.linspace(20, 160, HEIGHT, dtype=np.uint8)[:, None]
            pixels[80:160, 40 + 4 * index : 100 + 4 * index] = 230
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


def pose_at(index: int, score: float = 0.8) -> Pose:
    """A person of 17 joints on the moving square."""
    rng = np.random.default_rng(index)
    left = 40 + 4 * index
    corner = np.array([left, 80], np.float32)
    keypoints = (corner + rng.uniform(0, 60, (17, 2))).astype(np.float32)
    box = np.array([left, 80, left + 60, 160], np.float32)
    return Pose(keypoints, np.full(17, score, np.float32), box, score)


def open_desk(qtbot: QtBot, folder: Path, *, predicted: int = 10) -> Desk:
    """Return a desk with the clip open and confirmed, and the first ``predicted`` frames predicted."""
    clip = write_clip(folder / "square.mp4")
    desk = Desk()
    desk.open_paths([clip])
    qtbot.waitUntil(lambda: desk.editable and desk.frame is not None, timeout=20_000)
    if predicted:
        assert desk.project is not None
        assert desk.media_id is not None
        run = desk.project.start_run(desk.media_id, {}, {"estimator": {"name": "made up"}}, range(predicted))
        results = [FrameResult(i, i / 25, (pose_at(i),), f"{i:016x}") for i in range(predicted)]
        desk.project.store_results(run, results)
        desk.project.finish_run(run, "done")
        qtbot.waitUntil(lambda: len(desk.people) == 1, timeout=5_000)
    return desk
