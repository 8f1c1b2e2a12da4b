"""Makes the pictures of the model cards: twelve people as the estimator sees them, twelve pictures as detector and
bottom-up network see them, good and bad.

    .venv/bin/python packaging/card_pictures.py docs/models

All are made of the two photographs in the ultralytics package: as they are, mirrored, small, turned, covered, blurred
and overlapping. Each is titled with what was done to it, and with the mean score of its joints or the number of people.
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


@dataclass(frozen=True)
class View:
    """A whole picture for detector and bottom-up network.

    Attributes:
        title: what it is.
        make: takes the photographs of the bus and of the two men and returns the picture.
    """

    title: str
    make: Callable[[Pixels, Pixels], Pixels]


def resized(pixels: Pixels, scale: float) -> Pixels:
    """The picture reduced with averaging."""
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def dark(pixels: Pixels) -> Pixels:
    """A fifth of the light, with the noise of a fast film."""
    noise = np.random.default_rng(0).normal(0, 8, pixels.shape)
    return np.asarray(np.clip(pixels * 0.2 + noise, 0, 255), dtype=np.uint8)


def far(pixels: Pixels) -> Pixels:
    """The picture at a quarter of its size on a grey ground."""
    wide = np.full_like(resized(pixels, 0.75), 128)
    small = resized(pixels, 0.25)
    top, left = small.shape[:2]
    wide[top : top + small.shape[0], left : left + small.shape[1]] = small
    return wide


def crowd(pixels: Pixels) -> Pixels:
    """The people in front of the bus, and the same people once more, moved over them."""
    joined = pixels[380:920].copy()
    joined[:, 120:] = np.where((np.arange(690) < 280)[None, :, None], pixels[380:920, :-120], joined[:, 120:])
    return joined


VIEWS = (
    View("as it is", lambda bus, men: bus),
    View("as it is", lambda bus, men: men),
    View("mirrored", lambda bus, men: np.ascontiguousarray(bus[:, ::-1])),
    View("mirrored", lambda bus, men: np.ascontiguousarray(men[:, ::-1])),
    View("a part", lambda bus, men: np.ascontiguousarray(bus[380:920, 20:480])),
    View("a part", lambda bus, men: np.ascontiguousarray(men[:, 640:])),
    View("far away", lambda bus, men: far(bus)),
    View("dark and noisy", lambda bus, men: dark(bus)),
    View("moved", lambda bus, men: np.asarray(cv2.blur(bus, (40, 1)), dtype=np.uint8)),
    View("pasted over each other", lambda bus, men: crowd(bus)),
    View("turned by 90 degrees", lambda bus, men: np.ascontiguousarray(np.rot90(bus, -1))),
    View("upside down", lambda bus, men: np.ascontiguousarray(men[::-1, ::-1])),
)


def photograph(name: str) -> Pixels:
    """A photograph of the ultralytics package, RGB."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(source_picture(name))), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def boxed() -> list[Pixels]:
    """Every view with the boxes that the bundled detector shows by itself."""
    import torch

    from poseviewer.pipeline.detector import Detector

    detector = Detector.load(None, "cpu")
    made = []
    for view in VIEWS:
        pixels = view.make(photograph("bus.jpg"), photograph("zidane.jpg"))
        found = detector([torch.from_numpy(pixels).permute(2, 0, 1)])[0]
        drawn = pixels.copy()
        for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
            start, end = (tuple(int(v) for v in corner) for corner in (box[:2], box[2:]))
            thick = max(pixels.shape[1] // 200, 2)
            cv2.rectangle(drawn, start, end, (255, 176, 32), thick)
            place = (start[0] + 4, max(start[1], 0) + 14 * thick)
            cv2.putText(drawn, f"{score:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, thick / 4, (255, 176, 32), thick)
        made.append(fitted(drawn, f"{view.title}: {len(found.boxes)} people"))
    return made


def grouped() -> list[Pixels]:
    """Every view with the people that the bundled bottom-up network finds."""
    from poseviewer.pipeline.config import PipelineConfig
    from poseviewer.pipeline.loading import load_networks
    from poseviewer.pipeline.workers import make_worker

    config = PipelineConfig(pipeline="bottomup", device="cpu")
    worker = make_worker(load_networks(config), config)
    made = []
    for view in VIEWS:
        pixels = view.make(photograph("bus.jpg"), photograph("zidane.jpg"))
        poses = worker.process([Frame(0, 0.0, pixels)])[0].poses
        drawn = draw_people(pixels, list(poses), skeleton("coco_17"), least_score=0.3)
        made.append(fitted(drawn, f"{view.title}: {len(poses)} people"))
    return made


def fitted(picture: Pixels, title: str) -> Pixels:
    """A whole picture in the middle of a tile."""
    scale = min(TILE[0] / picture.shape[1], TILE[1] / picture.shape[0])
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    drawn = np.zeros((TILE[1], TILE[0], 3), dtype=np.uint8)
    top, left = (TILE[1] - small.shape[0]) // 2, (TILE[0] - small.shape[1]) // 2
    drawn[top : top + small.shape[0], left : left + small.shape[1]] = small
    return titled(drawn, title)


def titled(drawn: Pixels, title: str) -> Pixels:
    """Write the title into a dark strip at the top."""
    drawn[:TITLE] //= 3
    cv2.putText(drawn, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def estimated() -> list[Pixels]:
    """Estimate every scene, given its box, and draw it."""
    from poseviewer.pipeline.config import NmsConfig, PipelineConfig
    from poseviewer.pipeline.devices import pick_device
    from poseviewer.pipeline.loading import load_networks
    from poseviewer.pipeline.topdown import TopDown

    config = PipelineConfig(nms=NmsConfig(enabled=False), device="cpu")
    worker = TopDown(load_networks(config, pick_device("cpu")), config)
    made = []
    for scene in SCENES:
        pixels, box = scene.change(photograph(scene.photograph), scene.box)
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
    moved = Pose(
        (pose.keypoints * scale + shift).astype(np.float32),
        pose.scores,
        pose.box * scale + np.tile(shift, 2),
        pose.score,
    )
    return titled(draw_people(np.asarray(view, dtype=np.uint8), [moved], kit, least_score=0.3), title)


def main(folder: Path) -> None:
    """Write estimator.jpg, detector.jpg and, where the network is bundled, bottomup.jpg."""
    from poseviewer.core.resources import resource_folder
    from poseviewer.pipeline.config import BUNDLED_BOTTOM_UP

    folder.mkdir(parents=True, exist_ok=True)
    sheets = {"estimator": estimated, "detector": boxed}
    if (resource_folder() / BUNDLED_BOTTOM_UP).exists():
        sheets["bottomup"] = grouped
    for name, make in sheets.items():
        made = make()
        rows = [np.hstack(made[start : start + COLUMNS]) for start in range(0, len(made), COLUMNS)]
        sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{name}.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
