"""From one joint set to another where their joints coincide, by name and by the known other names of a joint.

Symbols: S joints of the source, T of the target. Facts: reference/alphapose.md section 10 and
reference/hrnet_ae_mmpose.md section 18; which neck and which head are the same follows the mixed training sets that
are published (MPII's upper neck and PoseTrack's lower head point are the neck of AIC, CrowdPose, LSP and Halpe).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import Skeleton, skeleton, skeleton_names

OTHER_NAMES = {
    "top head": "head top",
    "head": "head top",
    "upper neck": "neck",
    "head bottom": "neck",
    "bottom head": "neck",
    "hip": "pelvis",
    "mid hip": "pelvis",
    "root": "pelvis",
}
"""Another name -> the name, in every set that does not use that name for a joint of its own."""
NAMES_OF_A_SET = {
    "h36m_17": {"left foot": "left ankle", "right foot": "right ankle"},
    "interhand3d_42": {"left wrist": "left hand root", "right wrist": "right hand root"},
}
"""The same for one set only."""
FACE_SETS = frozenset({"300w_68", "300vw_68", "300wlp_68"})
"""Sets whose points are the 68 face points of the whole-body sets."""
OWN_NUMBERING = frozenset({"ubody3d_137"})
"""Sets whose "face 12" is another point than that of the whole-body sets."""
USUAL_SETS = {16: "mpii_16", 17: "coco_17", 26: "halpe_26", 133: "coco_wholebody_133", 136: "halpe_136"}
"""The sets that results of so many joints are taken to have."""
NUMBERED = re.compile(r"\D*\b(point|kpt|kpts|node|joint|keypoint)?\s*\d+$")
NUMBERED_BUT_KNOWN = re.compile(r"face|thumb|finger|toe")


def plain(name: str) -> str:
    """A joint's name as it is compared: lower case, words apart."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def known_names(joints: Sequence[str], set_name: str = "") -> tuple[str, ...]:
    """The names under which joints are compared; those that mean something only in their set begin with its name.

    Args:
        joints: names as a skeleton or a file has them.
        set_name: of the bundled skeleton, "" where it is not known.
    """
    names = [plain(joint) for joint in joints]
    own = NAMES_OF_A_SET.get(set_name, {})
    found: list[str] = []
    for name in names:
        if set_name in FACE_SETS:
            name = name.replace("point", "face")
        other = own.get(name) or OTHER_NAMES.get(name, name)
        if other in names:
            other = name
        numbered = NUMBERED.fullmatch(other) and not NUMBERED_BUT_KNOWN.search(other)
        if numbered or (set_name in OWN_NUMBERING and other.startswith("face ")):
            other = f"{set_name}: {other}"
        found.append(other)
    return tuple(found)


def conversion(source: Skeleton, target: Skeleton) -> npt.NDArray[np.int64]:
    """Return for each of the T target joints the source joint at the same place of the body, or -1."""
    return conversion_of_names(source.joints, target, source.name)


def conversion_of_names(joints: Sequence[str], target: Skeleton, set_name: str = "") -> npt.NDArray[np.int64]:
    """As :func:`conversion`, for joints that a file names; ``set_name`` is the bundled set they are, where known.

    The first of two joints with the same meaning is taken.
    """
    places: dict[str, int] = {}
    for place, name in enumerate(known_names(joints, set_name or name_of_set(joints))):
        places.setdefault(name, place)
    return np.array([places.get(name, -1) for name in known_names(target.joints, target.name)], dtype=np.int64)


def name_of_set(joints: Sequence[str]) -> str:
    """Return the name of the skeleton that has exactly these joints in this order, or ""."""
    kit = skeleton_of_joints(joints)
    return kit.name if kit is not None else ""


def skeleton_of_joints(joints: Sequence[str]) -> Skeleton | None:
    """Return the skeleton that has exactly these joints in this order, or None; ``coco_17`` before its twins."""
    names = tuple(plain(joint) for joint in joints)
    twins = [kit for kit in map(skeleton, skeleton_names()) if tuple(map(plain, kit.joints)) == names]
    return next((kit for kit in twins if kit.name.startswith("coco")), twins[0] if twins else None)


def skeleton_of_count(joints: int) -> Skeleton | None:
    """Return the skeleton that results of so many joints most likely have, or None where several are as likely.

    Results lists name no joints: 17 are COCO's, 133 COCO-WholeBody's, 26 and 136 Halpe's, 16 MPII's.
    """
    if joints in USUAL_SETS:
        return skeleton(USUAL_SETS[joints])
    found = [kit for kit in map(skeleton, skeleton_names()) if kit.count == joints]
    return found[0] if len(found) == 1 else None


def converted(values: npt.NDArray[np.floating], order: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
    """Return values ``(..., S, D)`` as ``(..., T, D)``; joints that the source has not are zeros, so not visible."""
    there = order >= 0
    found = np.zeros((*values.shape[:-2], len(order), values.shape[-1]), dtype=values.dtype)
    found[..., there, :] = values[..., order[there], :]
    return found
