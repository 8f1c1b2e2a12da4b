"""Walking people whose identity is known: 17 COCO joints, noise, missed detections, and pictures to match."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import Frame, Pose

SIZE = (640, 360)
HEIGHT = 150.0
STANDING = np.array(
    [
        *((0.0, -0.95), (0.02, -0.97), (-0.02, -0.97), (0.05, -0.95), (-0.05, -0.95)),
        *((0.12, -0.8), (-0.12, -0.8), (0.16, -0.63), (-0.16, -0.63), (0.17, -0.48), (-0.17, -0.48)),
        *((0.08, -0.5), (-0.08, -0.5), (0.08, -0.26), (-0.08, -0.26), (0.08, 0.0), (-0.08, 0.0)),
    ]
)
"""COCO's joints in shares of the height, from the feet."""
SWING = {7: -0.3, 9: -0.8, 8: 0.3, 10: 0.8, 13: 0.4, 15: 0.9, 14: -0.4, 16: -0.9}
COLOURS = ((200, 60, 60), (60, 90, 210), (220, 190, 60), (70, 170, 90), (180, 80, 190), (90, 200, 210))


@dataclasses.dataclass(frozen=True)
class Walker:
    """One person: feet at ``place`` in frame 0, ``step`` pixels a frame, turning round every ``turn`` frames.

    ``hidden`` are the frames in which nobody finds them.
    """

    place: tuple[float, float]
    step: tuple[float, float]
    turn: int = 10**9
    hidden: range = range(0)
    size: float = 1.0

    def joints(self, frame: int) -> np.ndarray:
        """True joints (17, 2) in pixels."""
        leg = frame % (2 * self.turn)
        walked = min(leg, 2 * self.turn - leg)
        joints = STANDING * HEIGHT * self.size + self.place + np.array(self.step) * walked
        for joint, share in SWING.items():
            joints[joint, 0] += share * 0.12 * HEIGHT * self.size * np.sin(frame / 3)
        return joints


def box_of(joints: np.ndarray) -> np.ndarray:
    """A box as a detector would draw it around joints."""
    low, high = joints.min(axis=0), joints.max(axis=0)
    margin = 0.08 * (high - low)
    return np.concatenate([low - margin, high + margin])


def pose_of(joints: np.ndarray, rng: np.random.Generator, noise: float) -> Pose:
    """A pose found with ``noise`` pixels of error in joints and box."""
    found = joints + rng.normal(0, noise, joints.shape)
    box = box_of(joints) + rng.normal(0, noise, 4)
    scores = rng.uniform(0.5, 1.0, len(joints))
    return Pose(found.astype(np.float32), scores.astype(np.float32), box.astype(np.float32), float(scores.mean()))


def scenes(
    walkers: Sequence[Walker], frames: int, *, noise: float = 1.5, missed: float = 0.03, seed: int = 0
) -> Iterator[tuple[Frame, list[Pose], list[int]]]:
    """Yield frames, the poses found in them in random order, and who each of them is.

    Somebody whose box is covered by more than half by somebody lower in the picture (nearer) is not found.
    """
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.integers(60, 160, (90, 160, 3), dtype=np.uint8), SIZE, interpolation=cv2.INTER_LINEAR)
    clothes = [rng.integers(-40, 40, (12, 6, 1)) for _ in walkers]
    for index in range(frames):
        places = [walker.joints(index) for walker in walkers]
        found = [
            who
            for who, walker in enumerate(walkers)
            if index not in walker.hidden and rng.random() >= missed and _inside(places[who])
        ]
        found = [who for who in found if not any(_covers(places[near], places[who]) for near in found if near != who)]
        order = rng.permutation(len(found))
        poses = [pose_of(places[found[at]], rng, noise) for at in order]
        yield Frame(index, index / 25, _draw(ground, places, clothes)), poses, [found[at] for at in order]


def _inside(joints: np.ndarray) -> bool:
    box = box_of(joints)
    shown = np.clip(box[2:], 0, SIZE) - np.clip(box[:2], 0, SIZE)
    return bool(shown.prod() > 0.5 * (box[2:] - box[:2]).prod())


def _covers(near: np.ndarray, far: np.ndarray) -> bool:
    if near[:, 1].max() <= far[:, 1].max():
        return False
    a, b = box_of(near), box_of(far)
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return bool(shared > 0.5 * (b[2:] - b[:2]).prod())


def _draw(ground: np.ndarray, places: Sequence[np.ndarray], clothes: Sequence[np.ndarray]) -> np.ndarray:
    picture = ground.copy()
    limbs = skeleton("coco_17").limbs
    for who in sorted(range(len(places)), key=lambda who: places[who][:, 1].max()):
        joints, colour = places[who], np.array(COLOURS[who % len(COLOURS)])
        for a, b in limbs:
            ends = [tuple(int(value) for value in np.rint(joints[joint])) for joint in (a, b)]
            cv2.line(picture, ends[0], ends[1], colour.tolist(), 9)
        low, high = joints[[5, 6, 11, 12]].min(axis=0), joints[[5, 6, 11, 12]].max(axis=0)
        x1, y1, x2, y2 = (int(value) for value in np.rint(np.concatenate([low, high])))
        cloth = np.clip(colour + clothes[who], 0, 255).astype(np.uint8)
        cloth = cv2.resize(np.broadcast_to(cloth, (12, 6, 3)).copy(), (max(x2 - x1, 1), max(y2 - y1, 1)))
        inside = picture[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
        inside[:] = (
            cloth[cloth.shape[0] - inside.shape[0] :, : inside.shape[1]]
            if x1 >= 0
            else cloth[cloth.shape[0] - inside.shape[0] :, cloth.shape[1] - inside.shape[1] :]
        )
    return picture


def switches(truth: Sequence[Sequence[int]], numbers: Sequence[Sequence[int | None]]) -> int:
    """How often a person's number is not the one it had when it was found before."""
    last: dict[int, int | None] = {}
    count = 0
    for people, given in zip(truth, numbers, strict=True):
        for who, number in zip(people, given, strict=True):
            count += who in last and last[who] != number
            last[who] = number
    return count
