"""Made-up people, results and media for the tests of the project room."""

from __future__ import annotations

import numpy as np

from poseviewer.core.values import FrameResult, MediaInfo, Pose
from poseviewer.project import Project
from poseviewer.project.schema import NAMES

JOINTS = 17


def media_info(
    path: str = "/videos/walk.mp4", *, fingerprint: str = "aa11", frames: int = 1000, **fields: object
) -> MediaInfo:
    """What is known about a made-up video."""
    known = {
        "path": path,
        "kind": "video",
        "frame_count": frames,
        "size_wh": (640, 480),
        "fps": 25.0,
        "duration_s": frames / 25,
        "codec": "h264",
        "rotation": 0,
        "fingerprint": fingerprint,
    }
    return MediaInfo(**{**known, **fields})  # type: ignore[arg-type]


def pose(
    x: float = 100, y: float = 100, *, size: float = 100, score: float = 0.8, track: int | None = None, noise: int = 0
) -> Pose:
    """A standing person of height ``size`` whose box begins at x, y; ``noise`` seeds a small difference."""
    shape = np.array(
        [
            [0.50, 0.05],
            [0.53, 0.03],
            [0.47, 0.03],
            [0.56, 0.05],
            [0.44, 0.05],
            [0.65, 0.20],
            [0.35, 0.20],
            [0.70, 0.38],
            [0.30, 0.38],
            [0.72, 0.52],
            [0.28, 0.52],
            [0.60, 0.52],
            [0.40, 0.52],
            [0.60, 0.75],
            [0.40, 0.75],
            [0.60, 0.96],
            [0.40, 0.96],
        ]
    )
    points = np.array([x, y]) + shape * np.array([size * 0.6, size])
    if noise:
        points = points + np.random.default_rng(noise).normal(0, size * 0.005, points.shape)
    return Pose(
        keypoints=points.astype(np.float32),
        scores=np.full(JOINTS, score, dtype=np.float32),
        box=np.array([x, y, x + size * 0.6, y + size], dtype=np.float32),
        score=score,
        track=track,
    )


def result(frame: int, *poses: Pose) -> FrameResult:
    """What a run found in a frame."""
    return FrameResult(frame, frame / 25, tuple(poses), f"{frame:016x}")


def contents(project: Project) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table but the journal."""
    with project._database.read() as db:
        return {
            table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in sorted(NAMES - {"journal"})
        }
