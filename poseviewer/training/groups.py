"""Whole pictures of many people for bottom-up training: turned, scaled and cut to a square, with a mask of what counts.

Symbols: P people, K joints, S side of the square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.errors import FormatError
from poseviewer.core.files import inside
from poseviewer.core.geometry import box_iou, transform
from poseviewer.core.skeleton import Skeleton
from poseviewer.training.augment import AugmentConfig, Window, cut, disturb, window_matrix
from poseviewer.training.datasets import (
    SAME_PERSON_IOU,
    Annotation,
    confident_joints,
    labelled_joints,
    read_annotations,
)
from poseviewer.training.pixels import PixelStore

Float = npt.NDArray[np.floating]
SMALLEST = 4
"""People of fewer labelled joints than this have their place masked: their other joints may be anywhere in it."""
SAME_PERSON_PART = 0.7
COLOURS = AugmentConfig(low_resolution=0.25, erase=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class GroupBatch:
    """Whole pictures of many people for a bottom-up network.

    Attributes:
        pictures: ``(B, S, S, 3)`` uint8 RGB.
        people: for each picture ``(P, K, 3)`` joints in picture pixels and visibility.
        mask: ``(B, S / 4, S / 4)``, 0 where nothing is claimed (crowds, people without joints).
    """

    pictures: Tensor
    people: tuple[Tensor, ...]
    mask: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    def to(self, device: torch.device) -> GroupBatch:
        """The batch on a device."""
        people = tuple(joints.to(device) for joints in self.people)
        return GroupBatch(self.pictures.to(device, non_blocking=True), people, self.mask.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The people of one picture: ``(P, K, 3)`` joints of those who count, and ``(R, 4)`` xyxy boxes of regions that do
    not."""

    image: Path
    joints: Float
    unsure: Float


class GroupSource(msgspec.Struct, frozen=True):
    """A COCO keypoint file of whole pictures.

    Attributes:
        file: annotations; images: folder of its pictures.
        teacher: people that a teacher found in the same pictures: those of whom it is sure count where no human label
            is, and where it is not sure nothing is claimed.
    """

    file: Path
    images: Path
    teacher: Path | None = None


def standard_groups(data: Path) -> list[GroupSource]:
    """The sources of a data folder that holds any of coco, coco2 and photos."""
    folders = [data / name for name in ("coco", "coco2", "photos")]
    return [
        GroupSource(f / "train.json", f / "images", f / "teacher_train.json")
        for f in folders
        if (f / "train.json").exists()
    ]


def read_groups(source: GroupSource, target: Skeleton) -> list[Group]:
    """The pictures of a source that show somebody with joints, or are known to show nobody; raises FormatError."""
    human = _by_picture(read_annotations(source.file, source.images, target))
    taught = {}
    if source.teacher is not None:
        taught = _by_picture(read_annotations(source.teacher, source.images, target))
    data = msgspec.json.decode(source.file.read_bytes())
    crowds: dict[int, list[Float]] = {}
    for entry in data["annotations"]:
        if entry.get("iscrowd"):
            x, y, width, height = (float(value) for value in entry["bbox"])
            crowds.setdefault(entry["image_id"], []).append(np.array([x, y, x + width, y + height]))
    groups = []
    for picture in data["images"]:
        number = picture["id"]
        people = human.get(number, [])
        sure, unsure = _add_taught(people, taught.get(number, []), target)
        if sure or picture.get("no_person"):
            boxes = np.array([*unsure, *crowds.get(number, [])], dtype=np.float64).reshape(-1, 4)
            joints = np.array(sure, dtype=np.float64).reshape(-1, target.count, 3)
            groups.append(Group(inside(source.images, picture["file_name"], file=source.file), joints, boxes))
    return groups


def _by_picture(people: Sequence[Annotation]) -> dict[int, list[Annotation]]:
    found: dict[int, list[Annotation]] = {}
    for person in people:
        found.setdefault(person.image_id, []).append(person)
    return found


def _add_taught(
    people: Sequence[Annotation], taught: Sequence[Annotation], target: Skeleton
) -> tuple[list[Float], list[Float]]:
    """Joints ``(K, 3)`` of the people who count, and boxes ``(4,)`` of those of whom not enough is known."""
    sure: list[Float] = []
    unsure: list[Float] = []
    known = np.array([person.box for person in people]).reshape(-1, 4)
    for person in people:
        if labelled_joints(person) >= SMALLEST:
            sure.append(person.joints)
        else:
            unsure.append(person.box)
    for person in taught:
        if len(known) and box_iou(person.box[None], known).max() >= SAME_PERSON_IOU:
            continue
        joints = confident_joints(person, target).joints
        if person.extra.get("confident") and (joints[:, 2] > 0).sum() >= SMALLEST:
            sure.append(joints)
        elif not _mostly_inside(person.box, known):
            unsure.append(person.box)
    return sure, unsure


def _mostly_inside(box: Float, others: Float) -> bool:
    """Whether one of the other boxes holds most of this one: half a person, found once more."""
    if not len(others):
        return False
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = sides.clip(0).prod(axis=1)
    return bool(shared.max() >= SAME_PERSON_PART * (box[2:] - box[:2]).prod())


class GroupMixture:
    """Makes batch number n of a bottom-up training; the same number gives the same batch.

    Args:
        groups: pictures with their people.
        cache: folder for the decoded pictures.
        skeleton: names the flip pairs.
        scale: the square's side as a part of the picture's shorter side, drawn between these two, as the pipeline
            brings the shorter side to the input size.
        rotation: it is turned by up to so many degrees.
        strength: of the changes of colour and resolution, 0..1.
        seed: of all draws.

    Raises:
        FormatError: there is nobody to train on.
        MediaError: a picture is missing.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        cache: Path,
        skeleton: Skeleton,
        *,
        scale: tuple[float, float] = (0.7, 1.45),
        rotation: float = 30.0,
        strength: float = 0.6,
        seed: int = 0,
    ) -> None:
        if not any(len(group.joints) for group in groups):
            raise FormatError("The data sets show nobody with labelled joints.", remedy="Check the data folder.")
        self.groups = groups
        self.store = PixelStore([group.image for group in groups], cache)
        self.flip = np.array(skeleton.flip)
        self.scale, self.rotation, self.strength, self.seed = scale, rotation, strength, seed

    def batch(self, number: int, size: int, side: int, part: tuple[int, int] = (0, 1)) -> GroupBatch:
        """Batch `number` of `size` squares of `side` pixels; `part` as in `batches.Mixture.batch`."""
        rows = [
            self._one(np.random.default_rng((self.seed, number, entry)), side)
            for entry in range(part[0], size, part[1])
        ]
        pictures, people, masks = zip(*rows, strict=True)
        return GroupBatch(
            torch.from_numpy(np.stack(pictures)),
            tuple(torch.from_numpy(joints.astype(np.float32)) for joints in people),
            torch.from_numpy(np.stack(masks)),
        )

    def _one(self, rng: np.random.Generator, side: int) -> tuple[npt.NDArray[np.uint8], Float, npt.NDArray[np.float32]]:
        place = int(rng.integers(len(self.groups)))
        group, picture = self.groups[place], self.store[place]
        size = np.array([picture.shape[1], picture.shape[0]])
        matrix, mirrored = self._window(rng, size, side)
        joints = group.joints.copy()
        joints[..., :2] = transform(matrix, joints[..., :2])
        if mirrored:
            joints = joints[:, self.flip]
        within = ((joints[..., :2] >= 0) & (joints[..., :2] < side)).all(axis=2)
        joints[..., 2] *= within
        claimed = np.full((size[1], size[0]), 255, np.uint8)
        for x1, y1, x2, y2 in group.unsure.round().astype(int).clip(0):
            claimed[y1:y2, x1:x2] = 0
        # Cell (i, j) stands for pixel (4 i + 2, 4 j + 2). Outside the picture it is black, and truly nobody is there.
        cells = matrix / 4 - [[0, 0, 0.5], [0, 0, 0.5]]
        mask = cv2.warpAffine(claimed, cells, (side // 4, side // 4), flags=cv2.INTER_NEAREST, borderValue=255) > 127
        seen: Float = joints[np.any(within, axis=1)]
        square = disturb(cut(picture, matrix, (side, side)), COLOURS, self.strength, rng)
        return square, seen, mask.astype(np.float32)

    def _window(
        self, rng: np.random.Generator, size: npt.NDArray[np.int64], side: int
    ) -> tuple[npt.NDArray[np.float64], bool]:
        """A random square of a picture of this size (w, h): ``(2, 3)`` to its pixels, and whether it is mirrored."""
        wide = float(size.min()) * rng.uniform(*self.scale)
        # Anywhere in the picture where it is larger than the square, and a little beyond.
        slack = np.maximum(size - wide, 0) / 2 + 0.06 * wide
        centre = size / 2 + rng.uniform(-1, 1, 2) * slack
        turned = float(rng.uniform(-self.rotation, self.rotation)) if rng.random() < 0.6 else 0.0
        window = Window((float(centre[0]), float(centre[1])), (wide, wide), turned, bool(rng.random() < 0.5))
        return window_matrix(window, (side, side)), window.mirrored
