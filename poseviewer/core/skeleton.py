"""Skeletons: joint sets with names, limbs, flip pairs, OKS sigmas and sides; bundled ones and the user's own."""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import FormatError
from poseviewer.core.files import write_bytes
from poseviewer.core.resources import config_folder, resource, resource_folder

Side = Literal["left", "right", "centre"]
MIRRORED: dict[Side, Side] = {"left": "right", "right": "left", "centre": "centre"}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_JOINTS = 1024
FINE_WORDS = frozenset({"thumb", "forefinger", "index", "finger", "middle", "ring", "pinky", "hand", "toe", "heel"})


class Skeleton(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A joint set of K joints, read from a JSON file in ``resources/skeletons`` or the user's folder.

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
        if not 0 < count <= MOST_JOINTS:
            raise ValueError(f"skeleton {self.name} has {count} joints, 1 to {MOST_JOINTS} are possible")
        if not len(self.flip) == len(self.sides) == len(self.sigmas) == count:
            raise ValueError(f"flip, sides and sigmas of skeleton {self.name} must have {count} entries each")
        if any(not 0 <= other < count or self.flip[other] != joint for joint, other in enumerate(self.flip)):
            raise ValueError(f"flip of skeleton {self.name} is not its own inverse")
        if any(not 0 <= joint < count for limb in self.limbs for joint in (*limb, *self.face)):
            raise ValueError(f"a limb or face of skeleton {self.name} names a joint that is not there")
        doubled = next((joint for joint in self.joints if not joint.strip() or self.joints.count(joint) > 1), None)
        if doubled is not None:
            raise ValueError(f"skeleton {self.name} has the joint name {doubled!r} twice or an empty one")
        if not all(math.isfinite(sigma) and sigma > 0 for sigma in self.sigmas):
            raise ValueError(f"a sigma of skeleton {self.name} is not above 0")

    @property
    def count(self) -> int:
        """K, the number of joints."""
        return len(self.joints)

    @property
    def sigma_array(self) -> npt.NDArray[np.float64]:
        """The sigmas as ``(K,)`` float64."""
        return np.asarray(self.sigmas, dtype=np.float64)

    @property
    def fine(self) -> frozenset[int]:
        """Joints that lie close together and are drawn smaller: the face, and hands and toes of a body."""
        return _fine(self.joints, self.face)

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


def skeleton(name: str = "coco_17") -> Skeleton:
    """Return the bundled skeleton called ``name``, or the user's own one.

    Raises:
        MissingPartError: if there is none of that name.
        FormatError: if its file is damaged.
    """
    own = _own_file(name) if name not in bundled_names() else None
    if own is None:
        return _bundled(name)
    return _read_again(own, own.stat().st_mtime_ns)


def skeleton_names() -> tuple[str, ...]:
    """Return the names of the bundled skeletons, sorted, and then those of the user's own that can be read."""
    own = [path.stem for path in own_skeleton_files() if path.stem not in bundled_names() and _readable(path)]
    return (*bundled_names(), *own)


@cache
def _fine(joints: tuple[str, ...], face: tuple[int, ...]) -> frozenset[int]:
    # A set of one hand or one face alone has all the room for it.
    body = any("hip" in joint.split() for joint in joints)
    close = {joint for joint, name in enumerate(joints) if body and set(name.split()) & FINE_WORDS}
    return frozenset(close | set(face))


@cache
def bundled_names() -> tuple[str, ...]:
    """Return the names of the bundled skeletons, sorted."""
    return tuple(sorted(path.stem for path in (resource_folder() / "skeletons").glob("*.json")))


def own_skeleton_files() -> tuple[Path, ...]:
    """Return the files in the user's folder of skeletons, readable or not, sorted; () where there is no folder."""
    try:
        return tuple(sorted(own_skeleton_folder().glob("*.json")))
    except OSError:
        return ()


def own_skeleton_folder() -> Path:
    """Return the folder for the user's own skeletons: ``skeletons`` in the folder of settings; it may not exist."""
    return config_folder() / "skeletons"


def check_own_skeleton(path: Path) -> Skeleton:
    """Read a skeleton that a user made and say in one sentence what is wrong with it.

    Raises:
        FormatError: if it is no skeleton, its name is not the file's, or a bundled one is called so.
    """
    found = read_skeleton(path)
    if found.name != path.stem or not NAME.fullmatch(found.name):
        raise FormatError(
            f"{path.name} calls its skeleton {found.name!r}; name and file must agree, in letters, digits, - and _.",
            file=path,
        )
    if found.name in bundled_names():
        raise FormatError(f"{path.name}: there is a bundled skeleton called {found.name} already.", file=path)
    for joint, other in enumerate(found.flip):
        if found.sides[other] != MIRRORED[found.sides[joint]]:
            raise FormatError(
                f"{path.name}: {found.joints[joint]} and {found.joints[other]} are mirrored, so one is left and the "
                "other right, or both are centre.",
                file=path,
            )
    return found


def add_own_skeleton(path: Path) -> Path:
    """Check a skeleton file and copy it into the user's folder; a file of that name there is replaced.

    Raises:
        FormatError: as :func:`check_own_skeleton`, or if the folder cannot be written.
    """
    found = check_own_skeleton(path)
    target = own_skeleton_folder() / f"{found.name}.json"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, path.read_bytes())
    except OSError as error:
        raise FormatError(f"{target} cannot be written: {error.strerror}.", file=target) from error
    return target


@cache
def _bundled(name: str) -> Skeleton:
    return read_skeleton(resource(f"skeletons/{name}.json"))


def _own_file(name: str) -> Path | None:
    if not NAME.fullmatch(name):
        return None
    try:
        path = own_skeleton_folder() / f"{name}.json"
    except OSError:
        return None
    return path if path.is_file() else None


@lru_cache(maxsize=64)
def _read_again(path: Path, changed_ns: int) -> Skeleton:
    """Read a file once for each time that it was changed."""
    return check_own_skeleton(path)


def _readable(path: Path) -> bool:
    try:
        _read_again(path, path.stat().st_mtime_ns)
    except (FormatError, OSError):
        return False
    return True
