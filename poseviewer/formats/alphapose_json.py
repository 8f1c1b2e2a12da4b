"""AlphaPose's result files: the plain list, and the "cmu" and "open" forms with 18 points a person.

Symbols: J joints of the network. Facts: reference/alphapose.md section 7. The published "cmu" and "open" forms of
networks with more than 17 joints call joint 17 the neck, whatever it is (Halpe: the top of the head); so does this
one unless a true neck is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.formats.coco_model import ResultEntry

Json = dict[str, Any]
Form = Literal["default", "cmu", "open"]
FORMS: tuple[Form, ...] = ("default", "cmu", "open")
NECK = 17
OPENPOSE_ORDER = (0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Joints of the 18 points; 17 is the neck, halfway between joints 5 and 6."""
MPII_ORDER = (9, 8, 12, 11, 10, 13, 14, 15, 2, 1, 0, 3, 4, 5, 7)
"""Joints of the 15 points that the 2017 release writes for MPII; the pelvis is not among them."""
SHOULDERS = (5, 6)
MASTER, OLD, FIRST = "AlphaPose v0.3", "AlphaPose v0.2", 0.1
"""What the three releases call their files' version."""
LIST_OF = {"cmu": ("bodies", "joints"), "open": ("people", "pose_keypoints_2d")}


@dataclass(frozen=True, slots=True, eq=False)
class AlphaPerson:
    """One person.

    Attributes:
        joints: ``(J, 3)`` x, y in pixels and score.
        score: of the person.
        box: x, y, width, height, or None (the old release writes none).
        idx: the tracker's identity as AlphaPose has it (a number or nested lists), or None.
    """

    joints: npt.NDArray[np.floating]
    score: float = 0.0
    box: Sequence[float] | None = None
    idx: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class AlphaImage:
    """One picture by its file name, with or without folders, and its people."""

    name: str
    people: tuple[AlphaPerson, ...]

    @property
    def key(self) -> str:
        """The bare file name."""
        return Path(self.name).name


def result_list(images: Iterable[AlphaImage], *, numbers: bool = False) -> list[Json]:
    """Return the plain list: one entry for each person with image_id, category_id, keypoints and score.

    Args:
        images: pictures; those without people leave no trace.
        numbers: image_id is the whole number after the last underscore of the file's name, as for the evaluation on
            COCO, instead of the name.

    Raises:
        CallError: if a name has no such number.
    """
    rows: list[Json] = []
    for image in images:
        for person in image.people:
            row: Json = {
                "image_id": _number(image.key) if numbers else image.key,
                "category_id": 1,
                "keypoints": np.asarray(person.joints, dtype=np.float64).ravel().tolist(),
                "score": float(person.score),
            }
            if person.box is not None:
                row["box"] = [float(value) for value in person.box]
            if person.idx is not None:
                row["idx"] = person.idx
            rows.append(row)
    return rows


def bodies(
    images: Iterable[AlphaImage],
    form: Literal["cmu", "open"],
    *,
    version: str | float = MASTER,
    true_neck: bool = False,
) -> dict[str, Json]:
    """Return the "cmu" or the "open" form, keyed by file name; AlphaPose also writes each value as a file of its own.

    Args:
        images: pictures; those without people are left out. 16 joints are taken for MPII's and give the 15 points of
            the 2017 release; others begin with COCO's 17.
        form: which.
        version: as the file says it.
        true_neck: put the point between the shoulders at the neck's place for networks of more than 17 joints too.

    Raises:
        CallError: for joints that cannot be written so.
    """
    outer, inner = LIST_OF[form]
    found: dict[str, Json] = {}
    for image in images:
        for person in image.people:
            there = found.setdefault(image.key, {"version": version, outer: []})
            there[outer].append({inner: _points(person.joints, true_neck=true_neck)})
    return found


def separate_name(image: str) -> str:
    """The name of a picture's own file: what stands before the first dot."""
    return f"{image.split('.')[0]}.json"


def _points(joints: npt.NDArray[np.floating], *, true_neck: bool) -> list[float]:
    joints = np.asarray(joints, dtype=np.float64)
    if len(joints) == len(skeleton("mpii_16").joints):
        flat = [value for joint in MPII_ORDER for value in joints[joint].tolist()]
        # The 2017 release writes whole pixels for MPII.
        whole = [index % 3 < 2 and float(value).is_integer() for index, value in enumerate(flat)]
        return [int(value) if is_whole else value for value, is_whole in zip(flat, whole, strict=True)]
    if len(joints) < NECK:
        raise CallError(f"AlphaPose's cmu and open forms need COCO's 17 joints first, and here are {len(joints)}.")
    neck = (joints[SHOULDERS[0]] + joints[SHOULDERS[1]]) / 2
    neck = neck if len(joints) == NECK or true_neck else joints[NECK]
    chosen = [neck if joint == NECK else joints[joint] for joint in OPENPOSE_ORDER]
    listed: list[float] = np.concatenate(chosen).tolist()
    return listed


def _number(name: str) -> int:
    stem = name.split(".")[0].split("_")[-1]
    if not (stem.isascii() and stem.isdigit()):
        raise CallError(f"{name} has no number after its last underscore, so it has no COCO id.")
    return int(stem)


def check_joints(kit: Skeleton, form: Form) -> None:
    """Check that a skeleton can be written in a form.

    Raises:
        CallError: if its joints do not begin with COCO's 17 and are not MPII's.
    """
    begins = kit.joints[:NECK] == skeleton("coco_17").joints
    if form != "default" and not begins and kit.joints != skeleton("mpii_16").joints:
        raise CallError(
            f"AlphaPose's {form} form has COCO's 17 joints or MPII's 16, and skeleton {kit.name} has others.",
            remedy="Use --format alphapose.",
        )


# --- reading ---


def is_bodies(raw: Any) -> bool:
    """Whether a JSON value is a "cmu" or "open" file: a dictionary of pictures with people."""
    return isinstance(raw, dict) and bool(raw) and all(_form_of(value) is not None for value in raw.values())


def _form_of(value: Any) -> Literal["cmu", "open"] | None:
    if not isinstance(value, dict) or "version" not in value:
        return None
    return "cmu" if isinstance(value.get("bodies"), list) else "open" if isinstance(value.get("people"), list) else None


def body_entries(raw: Mapping[str, Any], path: Path) -> tuple[list[ResultEntry], Skeleton]:
    """Return the people of a "cmu" or "open" file as results, and their joint set (COCO's 17 or MPII's 16).

    The neck of the 18 points is left out, MPII's pelvis has score 0. These forms have no scores of persons: the mean
    joint score is taken.

    Raises:
        FormatError: if a person has neither 18 nor 15 points, or not all of them have as many.
    """
    entries: list[ResultEntry] = []
    lengths: set[int] = set()
    for name, value in raw.items():
        outer, inner = LIST_OF[_form_of(value) or "cmu"]
        for place, person in enumerate(value[outer]):
            points = _triples(person, inner, f"{name}.{outer}[{place}]", path)
            lengths.add(len(points))
            order, count = (OPENPOSE_ORDER, NECK) if len(points) == len(OPENPOSE_ORDER) else (MPII_ORDER, 16)
            joints = np.zeros((max(count, max(order) + 1), 3))
            joints[list(order)] = points
            joints = joints[:count]
            score = float(joints[:, 2].mean())
            entries.append(ResultEntry(name, 1, score, joints.ravel().tolist()))
    if len(lengths) > 1:
        raise FormatError(f"{path.name} mixes people of 18 and of 15 points.", file=path)
    return entries, skeleton("mpii_16" if lengths == {len(MPII_ORDER)} else "coco_17")


def _triples(person: Any, inner: str, place: str, path: Path) -> npt.NDArray[np.float64]:
    try:
        points = np.asarray(person[inner], dtype=np.float64).reshape(-1, 3)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path.name}: {place}.{inner} is not a list of numbers in threes.", file=path) from error
    if len(points) not in (len(OPENPOSE_ORDER), len(MPII_ORDER)) or not np.isfinite(points).all():
        raise FormatError(f"{path.name}: {place}.{inner} has {len(points)} points, 18 or 15 are expected.", file=path)
    return points
