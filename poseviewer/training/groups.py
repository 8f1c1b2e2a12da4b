"""Whole pictures of many people for bottom-up training: turned, scaled and cut to a square, with a mask of what counts.

Symbols: P people, K joints, S side of the square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.errors import FormatError
from poseviewer.core.geometry import transform
from poseviewer.core.skeleton import Skeleton
from poseviewer.training.augment import Window, cut, window_matrix
from poseviewer.training.datasets import Annotation, read_annotations
from poseviewer.training.pixels import PixelStore

Float = npt.NDArray[np.floating]
SMALLEST = 4
"""People of fewer labelled joints than this have their place masked: their other joints may be anywhere in it."""


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


def read_groups(file: Path, images: Path, target: Skeleton) -> list[Group]:
    """The pictures of a COCO keypoint file that show somebody with joints; raises FormatError."""
    people: dict[Path, list[Annotation]] = {}
    names: dict[int, Path] = {}
    for person in read_annotations(file, images, target):
        people.setdefault(person.image, []).append(person)
        names[person.image_id] = person.image
    crowds: dict[Path, list[Float]] = {}
    for entry in msgspec.json.decode(file.read_bytes())["annotations"]:
        if entry.get("iscrowd") and entry.get("image_id") in names:
            x, y, width, height = (float(value) for value in entry["bbox"])
            crowds.setdefault(names[entry["image_id"]], []).append(np.array([x, y, x + width, y + height]))
    groups = []
    for image, those in people.items():
        sure = [person for person in those if (person.joints[:, 2] > 0).sum() >= SMALLEST]
        unsure = [np.asarray(p.box, float) for p in those if (p.joints[:, 2] > 0).sum() < SMALLEST]
        if sure:
            boxes = np.array([*unsure, *crowds.get(image, [])], dtype=np.float64).reshape(-1, 4)
            groups.append(Group(image, np.array([person.joints for person in sure], dtype=np.float64), boxes))
    return groups


class GroupMixture:
    """Makes batch number n of a bottom-up training; the same number gives the same batch.

    Args:
        groups: pictures with their people.
        cache: folder for the decoded pictures.
        skeleton: names the flip pairs.
        scale, rotation: the square shows the picture's longer side times 1 +- scale, turned by up to so many degrees.
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
        scale: float = 0.25,
        rotation: float = 30.0,
        seed: int = 0,
    ) -> None:
        if not groups:
            raise FormatError("The data sets show nobody with labelled joints.", remedy="Check the data folder.")
        self.groups = groups
        self.store = PixelStore([group.image for group in groups], cache)
        self.flip = np.array(skeleton.flip)
        self.scale, self.rotation, self.seed = scale, rotation, seed

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
        height, width = picture.shape[:2]
        wide = max(height, width) * (1 + rng.uniform(-self.scale, self.scale))
        centre = np.array([width, height]) / 2 + rng.uniform(-0.1, 0.1, 2) * wide
        turned = float(rng.uniform(-self.rotation, self.rotation))
        window = Window((float(centre[0]), float(centre[1])), (wide, wide), turned, bool(rng.random() < 0.5))
        matrix = window_matrix(window, (side, side))
        joints = group.joints.copy()
        joints[..., :2] = transform(matrix, joints[..., :2])
        if window.mirrored:
            joints = joints[:, self.flip]
        inside = ((joints[..., :2] >= 0) & (joints[..., :2] < side)).all(axis=2)
        joints[..., 2] *= inside
        claimed = np.full((height, width), 255, np.uint8)
        for x1, y1, x2, y2 in group.unsure.round().astype(int).clip(0):
            claimed[y1:y2, x1:x2] = 0
        mask = cut(np.dstack([claimed] * 3), matrix, (side, side))[2::4, 2::4, 0] > 127
        # What the turned picture does not cover is black, and truly nobody is there.
        covered = cut(np.full((height, width, 3), 255, np.uint8), matrix, (side, side))[2::4, 2::4, 0] > 127
        seen: Float = joints[np.any(inside, axis=1)]
        return cut(picture, matrix, (side, side)), seen, (mask | ~covered).astype(np.float32)
