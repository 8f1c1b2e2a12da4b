"""Which joint set a file's people have."""

from __future__ import annotations

from pathlib import Path

from poseviewer.core.errors import FormatError
from poseviewer.core.joint_conversion import plain, skeleton_of_count, skeleton_of_joints
from poseviewer.core.skeleton import Side, Skeleton, skeleton
from poseviewer.formats.alphapose_json import body_entries, is_bodies
from poseviewer.formats.coco_model import CategoryEntry, read_annotations, read_json, read_results

SIDES: tuple[Side, Side] = ("left", "right")


def skeleton_of_file(path: str | Path) -> Skeleton:
    """Return the joint set of an annotation file, a results list or AlphaPose's results.

    Annotation files name their joints: a known set is taken, and an unknown one is made from the names, with limbs of
    the file and flips of names that say left and right. Results lists have a number of joints only.

    Raises:
        FormatError: if the file is wrong, or its number of joints fits several sets or none.
    """
    path = Path(path)
    raw = read_json(path)
    if is_bodies(raw):
        return body_entries(raw, path)[1]
    if not isinstance(raw, list):
        category = read_annotations(path).category()
        return skeleton_of_category(category, path) if category.keypoints else skeleton()
    counts = sorted({len(entry.keypoints) // 3 for entry in read_results(path) if entry.keypoints is not None})
    if not counts:
        return skeleton()
    kit = skeleton_of_count(counts[0]) if len(counts) == 1 else None
    if kit is None:
        raise FormatError(
            f"{path.name} has people of {' and '.join(map(str, counts))} joints, which are of no one known joint set.",
            file=path,
            remedy="Name the joint set with --skeleton.",
        )
    return kit


def skeleton_of_category(category: CategoryEntry, path: Path) -> Skeleton:
    """Return the known joint set with the joints of a category, or a new one made from their names.

    Raises:
        FormatError: if the names cannot be a joint set (one is there twice, say).
    """
    known = skeleton_of_joints(category.keypoints)
    if known is not None:
        return known
    names = tuple(plain(name) for name in category.keypoints)
    count = len(names)
    place = {name: joint for joint, name in enumerate(names)}
    flip = [place.get(_mirrored(name), joint) for joint, name in enumerate(names)]
    flip = [other if flip[other] == joint else joint for joint, other in enumerate(flip)]
    sides = tuple(_side(name) if flip[joint] != joint else "centre" for joint, name in enumerate(names))
    limbs = tuple((a - 1, b - 1) for a, b in category.skeleton if 0 < a <= count and 0 < b <= count)
    try:
        # Nothing is known about the spread of annotations; the evaluation takes 1 / K for unknown sets too.
        return Skeleton(f"{path.stem}_{count}", path.stem, names, limbs, tuple(flip), sides, (1 / count,) * count)
    except ValueError as error:
        raise FormatError(f"{path.name}: its joints cannot be used: {error}.", file=path) from error


def _mirrored(name: str) -> str:
    words = name.split()
    other = {SIDES[0]: SIDES[1], SIDES[1]: SIDES[0], "l": "r", "r": "l"}
    return " ".join(other.get(word, word) for word in words)


def _side(name: str) -> Side:
    words = set(name.split())
    return "left" if words & {"left", "l"} else "right" if words & {"right", "r"} else "centre"
