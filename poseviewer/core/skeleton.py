"""Skeletons: joint sets with names, limbs, flip pairs, OKS sigmas and colours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import FormatError
from poseviewer.core.resources import resource, resource_folder

Side = Literal["left", "right", "centre"]


class Skeleton(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A joint set of K joints, read from a JSON file in ``resources/skeletons``.

    Attributes:
        name: file name without ending, e.g. "coco_17".
        title: as shown.
        joints: K names in network order, e.g. "left wrist".
        limbs: pairs of joint indices, 0-based.
        flip: K indices; ``flip[k]`` is the joint that k becomes in a mirrored picture.
        sides: K of left, right, centre (the person's own left and right).
        sigmas: K OKS sigmas (COCO's ``sigma``; the variance is (2 sigma)^2).
        source: where the set comes from.
        face: indices of face joints, drawn smaller.
    """

    name: str
    title: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flip: tuple[int, ...]
    sides: tuple[Side, ...]
    sigmas: tuple[float, ...]
    source: str = ""
    face: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.joints)
        if not len(self.flip) == len(self.sides) == len(self.sigmas) == count:
            raise ValueError(f"flip, sides and sigmas of skeleton {self.name} must have {count} entries each")
        if any(self.flip[other] != joint for joint, other in enumerate(self.flip)):
            raise ValueError(f"flip of skeleton {self.name} is not its own inverse")
        if any(not 0 <= joint < count for limb in self.limbs for joint in limb):
            raise ValueError(f"a limb of skeleton {self.name} names a joint that is not there")

    @property
    def count(self) -> int:
        """K, the number of joints."""
        return len(self.joints)

    @property
    def sigma_array(self) -> npt.NDArray[np.float64]:
        """The sigmas as ``(K,)`` float64."""
        return np.asarray(self.sigmas, dtype=np.float64)

    def torso(self) -> tuple[tuple[int, int], ...]:
        """Return the two (shoulder, opposite hip) index pairs that define torso size, or ()."""
        names = {name: index for index, name in enumerate(self.joints)}
        try:
            return (
                (names["left shoulder"], names["right hip"]),
                (names["right shoulder"], names["left hip"]),
            )
        except KeyError:
            return ()


def read_skeleton(path: Path) -> Skeleton:
    """Read a skeleton file.

    Raises:
        FormatError: if the file is not a valid skeleton.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Skeleton)
    except (msgspec.DecodeError, ValueError, OSError) as error:
        raise FormatError(f"{path.name} is not a skeleton file: {error}.", file=path) from error


@cache
def skeleton(name: str = "coco_17") -> Skeleton:
    """Return the bundled skeleton called ``name``.

    Raises:
        MissingPartError: if there is none of that name.
        FormatError: if its file is damaged.
    """
    return read_skeleton(resource(f"skeletons/{name}.json"))


def skeleton_names() -> tuple[str, ...]:
    """Return the names of the bundled skeletons, sorted."""
    return tuple(sorted(path.stem for path in (resource_folder() / "skeletons").glob("*.json")))
