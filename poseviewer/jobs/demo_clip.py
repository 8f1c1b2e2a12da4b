"""The demo's clip: panning and zooming over two photographs of people, whose joints were read off by hand.

The photographs (bus.jpg, zidane.jpg) travel inside the ultralytics package. Because every frame is a known affine map
of a photograph, the hand-read joints are known in every frame too: that is what the demo's corrections are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import MediaError, MissingPartError
from poseviewer.core.geometry import transform
from poseviewer.core.values import OCCLUDED, VISIBLE, Pixels
from poseviewer.jobs.video_out import video_writer

SIZE_WH = (640, 480)
FPS = 25.0

Window = tuple[float, float, float]
"""Left, top and width in pixels of the photograph; the height follows from the clip's shape."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Part of the clip: a photograph and the windows to travel through, each leg ``frames_each`` frames long."""

    picture: str
    windows: tuple[Window, ...]
    frames_each: int


SHOTS = (
    Shot("bus.jpg", ((0.0, 350.0, 800.0), (10.0, 380.0, 590.0), (100.0, 352.0, 700.0)), 42),
    Shot("zidane.jpg", ((0.0, 0.0, 960.0), (330.0, 20.0, 900.0)), 66),
)


@dataclass(frozen=True, slots=True)
class HandRead:
    """A person of a photograph: box in xyxy pixels, and joint name -> x, y, visibility. What is missing is absent."""

    box: tuple[float, float, float, float]
    joints: dict[str, tuple[float, float, int]]


# fmt: off
PEOPLE: dict[str, tuple[HandRead, ...]] = {
    "bus.jpg": (
        HandRead((50, 400, 245, 903), {
            "nose": (140, 448, VISIBLE), "left eye": (149, 435, VISIBLE), "right eye": (133, 435, VISIBLE),
            "right ear": (107, 443, VISIBLE), "left shoulder": (170, 503, VISIBLE),
            "right shoulder": (78, 500, VISIBLE), "left elbow": (190, 584, VISIBLE), "right elbow": (84, 576, VISIBLE),
            "left wrist": (130, 600, OCCLUDED), "right wrist": (176, 549, OCCLUDED), "left hip": (151, 668, VISIBLE),
            "right hip": (86, 668, VISIBLE), "left knee": (170, 770, VISIBLE), "right knee": (89, 771, VISIBLE),
            "left ankle": (190, 857, VISIBLE), "right ankle": (70, 855, VISIBLE)}),
        HandRead((222, 406, 345, 860), {
            "nose": (293, 450, VISIBLE), "left eye": (302, 442, VISIBLE), "right eye": (284, 442, VISIBLE),
            "right ear": (268, 448, VISIBLE), "left shoulder": (326, 501, VISIBLE),
            "right shoulder": (254, 497, VISIBLE), "left elbow": (334, 559, VISIBLE),
            "right elbow": (243, 576, VISIBLE), "left wrist": (282, 528, VISIBLE), "right wrist": (268, 645, VISIBLE),
            "left hip": (306, 668, OCCLUDED), "right hip": (256, 670, OCCLUDED), "left knee": (333, 716, VISIBLE),
            "right knee": (259, 757, VISIBLE), "left ankle": (287, 788, VISIBLE), "right ankle": (268, 828, VISIBLE)}),
    ),
    "zidane.jpg": (
        HandRead((122, 200, 1152, 719), {
            "nose": (657, 360, VISIBLE), "left eye": (652, 327, OCCLUDED), "right eye": (625, 324, VISIBLE),
            "right ear": (524, 324, VISIBLE), "left shoulder": (640, 442, VISIBLE),
            "right shoulder": (258, 362, VISIBLE), "left elbow": (733, 464, VISIBLE),
            "right elbow": (198, 638, VISIBLE), "left wrist": (952, 472, VISIBLE)}),
        HandRead((742, 42, 1136, 719), {
            "nose": (994, 192, VISIBLE), "left eye": (1022, 170, VISIBLE), "right eye": (967, 167, VISIBLE),
            "right ear": (903, 178, VISIBLE), "left shoulder": (1066, 364, VISIBLE),
            "right shoulder": (792, 331, VISIBLE), "right elbow": (764, 570, VISIBLE)}),
    ),
}
# fmt: on


def source_picture(name: str) -> Path:
    """Return the path of a photograph inside the ultralytics package.

    Raises:
        MissingPartError: if the package or the photograph is not there.
    """
    try:
        for entry in files("ultralytics") or []:
            if entry.name == name:
                return Path(str(entry.locate()))
    except PackageNotFoundError:
        pass
    raise MissingPartError(f"The demo needs {name} of the ultralytics package, which is not installed.")


def frame_count() -> int:
    """Return how many frames the clip has."""
    return sum((len(shot.windows) - 1) * shot.frames_each for shot in SHOTS)


def frame_maps() -> list[tuple[str, npt.NDArray[np.float64]]]:
    """Return for each frame the photograph and the ``(2, 3)`` map from its pixels to the frame's."""
    maps: list[tuple[str, npt.NDArray[np.float64]]] = []
    for shot in SHOTS:
        for start, end in zip(shot.windows, shot.windows[1:], strict=False):
            for step in range(shot.frames_each):
                share = step / shot.frames_each
                # Slow at both ends of a leg, as a hand moves a camera.
                eased = share * share * (3 - 2 * share)
                left, top, width = (1 - eased) * np.asarray(start) + eased * np.asarray(end)
                scale = SIZE_WH[0] / width
                maps.append((shot.picture, np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])))
    return maps


def clip_frames() -> Iterator[Pixels]:
    """Yield the frames, ``(480, 640, 3)`` uint8 RGB.

    Raises:
        MediaError: if a photograph cannot be read.
    """
    import cv2

    pictures: dict[str, Pixels] = {}
    for name, matrix in frame_maps():
        if name not in pictures:
            read = cv2.imread(str(source_picture(name)), cv2.IMREAD_COLOR)
            if read is None:
                raise MediaError(f"{source_picture(name)} cannot be decoded.", file=source_picture(name))
            pictures[name] = np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        frame = cv2.warpAffine(pictures[name], matrix, SIZE_WH, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(frame, dtype=np.uint8)


def write_clip(path: Path) -> None:
    """Encode the clip.

    Raises:
        FormatError, MediaError, MissingPartError: as the writer and the photographs raise them.
    """
    with video_writer(path, SIZE_WH, FPS) as writer:
        for pixels in clip_frames():
            writer.add(pixels)


@dataclass(frozen=True, slots=True, eq=False)
class TruePerson:
    """A hand-read person in one frame: ``(K, 2)`` pixels, ``(K,)`` visibility, ``(4,)`` xyxy box within the frame."""

    keypoints: npt.NDArray[np.float64]
    visibility: npt.NDArray[np.uint8]
    box: npt.NDArray[np.float64]


def true_people(frame: int, joints: tuple[str, ...]) -> list[TruePerson]:
    """Return the hand-read people of a frame; joints outside the picture are absent.

    Args:
        frame: index.
        joints: K names in the order of the skeleton.
    """
    name, matrix = frame_maps()[frame]
    limit = np.asarray(SIZE_WH, dtype=np.float64) - 1
    found: list[TruePerson] = []
    for person in PEOPLE[name]:
        keypoints, visibility = np.zeros((len(joints), 2)), np.zeros(len(joints), np.uint8)
        for index, joint in enumerate(joints):
            if joint not in person.joints:
                continue
            x, y, seen = person.joints[joint]
            place = transform(matrix, np.array([x, y], dtype=np.float64))
            if ((place >= 0) & (place <= limit)).all():
                keypoints[index], visibility[index] = place, seen
        corners = transform(matrix, np.asarray(person.box, dtype=np.float64).reshape(2, 2))
        found.append(TruePerson(keypoints, visibility, np.clip(corners, 0, limit).ravel()))
    return found
