"""Makes the pictures of the estimator's model card: twelve people as it sees them, good and bad.

    .venv/bin/python packaging/card_pictures.py docs/models

All are made of the two photographs in the ultralytics package: as they are, mirrored, small, turned, covered, blurred
and overlapping. Each is titled with what was done to it and the mean score of its joints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.core.values import Frame, Pixels, Pose
from poseviewer.jobs.demo_clip import source_picture
from poseviewer.jobs.draw import draw_people

TILE = (240, 320)
"""Width and height of one picture."""
COLUMNS = 6
TITLE = 28
"""Height of the dark strip under the title."""
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """A part of a photograph and what is done to it.

    Attributes:
        title: what is done.
        photograph: file name in the ultralytics package.
        box: of the person, xyxy.
        change: takes the photograph and the box and returns them changed.
    """

    title: str
    photograph: str
    box: Box
    change: Callable[[Pixels, Box], tuple[Pixels, Box]] = lambda pixels, box: (pixels, box)


def mirrored(pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """Left and right exchanged."""
    width = pixels.shape[1]
    return np.ascontiguousarray(pixels[:, ::-1]), (width - box[2], box[1], width - box[0], box[3])


def small(pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """The person 40 pixels high."""
    scale = 40 / (box[3] - box[1])
    shrunk = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x0, y0, x1, y1 = (round(side * scale) for side in box)
    return np.asarray(shrunk, dtype=np.uint8), (x0, y0, x1, y1)


def quarter(pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """Turned to the right by 90 degrees."""
    height = pixels.shape[0]
    return np.ascontiguousarray(np.rot90(pixels, -1)), (height - box[3], box[0], height - box[1], box[2])


def upside_down(pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """Turned by 180 degrees."""
    return quarter(*quarter(pixels, box))


def covered(pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """The lower half of the person behind a grey wall."""
    picture = pixels.copy()
    picture[(box[1] + box[3]) // 2 : box[3], box[0] : box[2]] = 120
    return picture, box


def blurred(pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """Moved while the shutter was open."""
    length = max((box[2] - box[0]) // 4, 3)
    return np.asarray(cv2.blur(pixels, (length, 1)), dtype=np.uint8), box


def overlapped(pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """The same person once more, a third of a width to the right and in front."""
    picture, shift = pixels.copy(), (box[2] - box[0]) // 3
    right = min(box[2] + shift, picture.shape[1])
    picture[box[1] : box[3], box[0] + shift : right] = pixels[box[1] : box[3], box[0] : right - shift]
    return picture, box


SCENES = (
    Scene("as it is", "bus.jpg", (222, 405, 346, 860)),
    Scene("as it is", "bus.jpg", (50, 398, 247, 905)),
    Scene("as it is, cut off", "bus.jpg", (670, 390, 810, 878)),
    Scene("as it is, upper body", "zidane.jpg", (748, 40, 1148, 714)),
    Scene("as it is, upper body", "zidane.jpg", (145, 200, 1110, 714)),
    Scene("mirrored", "bus.jpg", (222, 405, 346, 860), mirrored),
    Scene("40 pixels high", "bus.jpg", (222, 405, 346, 860), small),
    Scene("legs covered", "bus.jpg", (222, 405, 346, 860), covered),
    Scene("moved", "bus.jpg", (50, 398, 247, 905), blurred),
    Scene("overlapped", "bus.jpg", (222, 405, 346, 860), overlapped),
    Scene("turned by 90 degrees", "bus.jpg", (222, 405, 346, 860), quarter),
    Scene("upside down", "bus.jpg", (222, 405, 346, 860), upside_down),
)


def tiles() -> list[Pixels]:
    """Estimate every scene, given its box, and draw it."""
    from poseviewer.pipeline.config import NmsConfig, PipelineConfig
    from poseviewer.pipeline.devices import pick_device
    from poseviewer.pipeline.loading import load_networks
    from poseviewer.pipeline.topdown import TopDown

    config = PipelineConfig(nms=NmsConfig(enabled=False), device="cpu")
    worker = TopDown(load_networks(config, pick_device("cpu")), config)
    made = []
    for scene in SCENES:
        picture = cv2.cvtColor(cv2.imread(str(source_picture(scene.photograph))), cv2.COLOR_BGR2RGB)
        pixels, box = scene.change(np.asarray(picture, dtype=np.uint8), scene.box)
        given: dict[int, npt.NDArray[np.floating]] = {0: np.array([box], dtype=np.float32)}
        pose = worker.process([Frame(0, 0.0, pixels)], boxes=given)[0].poses[0]
        made.append(tile(pixels, box, pose, f"{scene.title}: {pose.scores.mean():.2f}", skeleton("coco_17")))
    return made


def tile(pixels: Pixels, box: Box, pose: Pose, title: str, kit: Skeleton) -> Pixels:
    """The person's surroundings at the tile's size, with skeleton and title."""
    side = max((box[3] - box[1]) * 1.2, (box[2] - box[0]) * 1.2 * TILE[1] / TILE[0])
    scale = TILE[1] / side
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    shift = np.array([TILE[0] / 2, TILE[1] / 2]) - scale * centre
    view = cv2.warpAffine(pixels, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), TILE)
    moved = Pose(pose.keypoints * scale + shift, pose.scores, pose.box * scale + np.tile(shift, 2), pose.score)
    drawn = draw_people(np.asarray(view, dtype=np.uint8), [moved], kit, least_score=0.3)
    drawn[:TITLE] //= 3
    cv2.putText(drawn, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def main(folder: Path) -> None:
    """Write estimator.jpg."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tiles()
    rows = [np.hstack(made[start : start + COLUMNS]) for start in range(0, len(made), COLUMNS)]
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "estimator.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
