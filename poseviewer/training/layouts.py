"""People of data sets that have files of their own: Leeds Sports Poses (LSP) and MPII, beside COCO's and its relatives.

LSP is `joints.mat` with `images/im0001.jpg`, ...: 3 x 14 x N (x, y, whether the joint is hidden), in the extended set
14 x 3 x N (x, y, whether it is labelled). MPII is read as the JSON list that pose networks are trained on, one entry a
person: `image`, `joints` 16 x 2, `joints_vis`. Both count pixels from 1. Neither has boxes: a person's is around the
labelled joints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import FormatError
from poseviewer.core.files import inside
from poseviewer.core.geometry import keypoints_box
from poseviewer.core.joint_conversion import conversion, converted
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.training.datasets import Annotation, read_annotations
from poseviewer.training.matlab import read_matlab

Array = npt.NDArray[np.float64]
LSP, MPII = "lsp_14", "mpii_16"
LSP_FILE = "joints.mat"
LSP_NAMES = ("im{:04d}.jpg", "im{:05d}.jpg")
"""Pictures of LSP and of the extended set."""


def read_layout(file: Path, images: Path, target: Skeleton) -> list[Annotation]:
    """Read the people of a file of any known layout, joints mapped to `target` by name.

    Args:
        file: COCO keypoints or a relative (`datasets.read_annotations`), MPII's list, or LSP's `joints.mat`.
        images: folder of the pictures.
        target: joint set.

    Raises:
        FormatError: it is none of these, or a picture's name leaves `images`.
    """
    if file.suffix == ".mat":
        return _read_lsp(file, images, target)
    try:
        with file.open("rb") as stream:
            first = stream.read(64).lstrip()[:1]
    except OSError as error:
        raise FormatError(f"{file} cannot be read: {error.strerror}.", file=file) from error
    return _read_mpii(file, images, target) if first == b"[" else read_annotations(file, images, target)


def _read_lsp(file: Path, images: Path, target: Skeleton) -> list[Annotation]:
    count = skeleton(LSP).count
    try:
        joints = read_matlab(file, "joints")
        if joints.ndim != 3 or joints.shape[:2] not in ((3, count), (count, 3)):
            raise ValueError(f"joints has the shape {joints.shape}")
    except OSError as error:
        raise FormatError(f"{file} cannot be read: {error.strerror or error}.", file=file) from error
    except ValueError as error:
        raise FormatError(f"{file.name} does not hold the joints of Leeds Sports Poses: {error}.", file=file) from error
    extended = joints.shape[0] == count
    people = joints.transpose(2, 0, 1) if extended else joints.transpose(2, 1, 0)
    # In the first set all joints are labelled, hidden ones too.
    flagged, others = (2.0, 0.0) if extended else (1.0, 2.0)
    seen = np.where(people[..., 2] > 0, flagged, others)
    names = LSP_NAMES[extended], LSP_NAMES[not extended]
    name = next((name for name in names if (images / name.format(1)).exists()), names[0])
    places = [inside(images, name.format(number), file=file) for number in range(1, len(people) + 1)]
    rows = zip(places, people, seen, strict=True)
    return _annotations([(image, np.column_stack([xy[:, :2] - 1, v])) for image, xy, v in rows], LSP, target)


def _read_mpii(file: Path, images: Path, target: Skeleton) -> list[Annotation]:
    try:
        entries: list[dict[str, Any]] = msgspec.json.decode(file.read_bytes(), type=list[dict[str, Any]])
        people = [(inside(images, str(e["image"]), file=file), _mpii_joints(e)) for e in entries]
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file.name} is not MPII's list of people: {error!r}.", file=file) from error
    return _annotations(people, MPII, target)


def _mpii_joints(entry: dict[str, Any]) -> Array:
    joints = np.asarray(entry["joints"], dtype=np.float64)
    seen = np.asarray(entry["joints_vis"], dtype=np.float64)
    count = skeleton(MPII).count
    if joints.shape != (count, 2) or seen.shape != (count,):
        raise ValueError(f"a person has joints of the shape {joints.shape}")
    return np.column_stack([joints - 1, np.where(seen > 0, 2.0, 0.0)])


def _annotations(people: list[tuple[Path, Array]], source: str, target: Skeleton) -> list[Annotation]:
    """People with a labelled joint, as a COCO file would give them; a joint that is no number is not labelled."""
    order = conversion(skeleton(source), target)
    numbers: dict[Path, int] = {}
    found: list[Annotation] = []
    for image, joints in people:
        image_id = numbers.setdefault(image, len(numbers) + 1)
        there = np.isfinite(joints).all(axis=1) & (joints[:, 2] > 0)
        listed = np.where(there[:, None], joints, 0.0)
        if there.any():
            box = keypoints_box(listed[:, :2], there).astype(np.float32)
            mapped = converted(listed, order).astype(np.float32)
            found.append(Annotation(image, image_id, len(found) + 1, box, mapped, {}))
    return found
