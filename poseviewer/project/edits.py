"""The edits: small frozen values, each one undoable change to one frame.

Every edit names its media and frame and may carry the frame's content fingerprint and timestamp, which are stored
with the correction. Persons are named by ``Person.key``. Coordinates are displayed pixels; the centre of the
top-left pixel is (0, 0). Array-like arguments become tuples of floats, so that an edit compares, hashes and travels
as JSON.

Symbols: K joints.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import ABSENT, OCCLUDED, VISIBLE

Points = tuple[tuple[float, float], ...]
Corners = tuple[float, float, float, float]
Scope = Literal["frame", "forward", "all"]


class _Place(msgspec.Struct, frozen=True):
    media: int
    frame: int


class Edit(_Place, frozen=True, kw_only=True):
    """What all edits share.

    Attributes:
        media, frame: which frame; of ``CopyPeople`` the one that is copied to.
        fingerprint: of the frame's content, hexadecimal; "" where the pixels are not at hand.
        timestamp_s: of the frame in seconds, or None where it is not at hand.
    """

    fingerprint: str = ""
    timestamp_s: float | None = None


class MoveJoint(Edit, frozen=True, tag=True):
    """Put one joint somewhere; an absent one becomes visible.

    Attributes:
        person: key.
        joint: index.
        x, y: pixels.
        visibility: new visibility, or None to keep it.
        nudge: by an arrow key: nudges of one joint within a second make one undo step.
    """

    person: str
    joint: int
    x: float
    y: float
    visibility: int | None = None
    nudge: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise ValueError("x and y of MoveJoint must be finite")
        if self.visibility is not None:
            _visibility((self.visibility,))


class SetVisibility(Edit, frozen=True, tag=True):
    """Set the visibility of joints to ABSENT, OCCLUDED or VISIBLE."""

    person: str
    joints: tuple[int, ...]
    visibility: int

    def __post_init__(self) -> None:
        _keep(self, "joints", tuple(int(joint) for joint in self.joints))
        _visibility((self.visibility,))


class AddPerson(Edit, frozen=True, tag=True):
    """Add a person by hand.

    Attributes:
        keypoints: ``(K, 2)`` pixels.
        visibility: ``(K,)`` of 0, 1, 2; ``None`` means all visible.
        box: ``(4,)`` xyxy, or None for one around the present keypoints.
        track: identity, or None.
        scores: ``(K,)``, or None for zeros.
        score: of the person.
        extra: JSON text that an importer wants back at export, or "".
    """

    keypoints: Points
    visibility: tuple[int, ...] | None = None
    box: Corners | None = None
    track: int | None = None
    scores: tuple[float, ...] | None = None
    score: float = 0.0
    extra: str = ""

    def __post_init__(self) -> None:
        _pose(self)


class ReplacePose(Edit, frozen=True, tag=True):
    """Give a person another pose, as after the estimator ran on a dragged box. Fields as in :class:`AddPerson`.

    With ``nudge``, as when arrow keys move the whole body, those within a second make one undo step.
    """

    person: str
    keypoints: Points
    visibility: tuple[int, ...] | None = None
    box: Corners | None = None
    scores: tuple[float, ...] | None = None
    score: float | None = None
    nudge: bool = False

    def __post_init__(self) -> None:
        _pose(self)


class SetBox(Edit, frozen=True, tag=True):
    """Set a person's box, xyxy pixels; the keypoints stay."""

    person: str
    box: Corners

    def __post_init__(self) -> None:
        _keep(self, "box", _corners(self.box))


class DeletePerson(Edit, frozen=True, tag=True):
    """State that this person is not there; no run brings it back."""

    person: str


class SwapSides(Edit, frozen=True, tag=True):
    """Exchange joints with their left or right counterparts; ``joints`` empty means all of them."""

    person: str
    joints: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _keep(self, "joints", tuple(int(joint) for joint in self.joints))


class AcceptPrediction(Edit, frozen=True, tag=True):
    """State that the prediction is right as it is."""

    person: str


class RevertToPrediction(Edit, frozen=True, tag=True):
    """Drop the correction (a deletion too) and show the prediction beneath it again."""

    person: str


class SetTrack(Edit, frozen=True, tag=True):
    """Give a person another identity; whoever has it in this frame takes the person's old one.

    Attributes:
        person: key.
        track: number, or None for no identity.
        scope: frame (only here), forward (from here to the end) or all (the whole media).
    """

    person: str
    track: int | None
    scope: Scope = "frame"


class SwapTracks(Edit, frozen=True, tag=True):
    """Exchange the identities of two people from this frame on to the end, in all runs and corrections.

    Attributes:
        person, other: keys.
    """

    person: str
    other: str


class CopyPeople(Edit, frozen=True, tag=True):
    """Copy poses from another frame of the media; who is already here takes the copied pose, others are added.

    Attributes:
        from_frame: where the poses are.
        person: key there, or None for everybody.
    """

    from_frame: int
    person: str | None = None


class Interpolate(Edit, frozen=True, tag=True):
    """Fill the frames between two corrections of the same person by poses on the straight way from one to the other.

    What is corrected or deleted in a frame between stays as it is.

    Attributes:
        person: key in ``frame``, which is corrected or lies between two corrections; None for everybody there.
        stamps: (frame, seconds, fingerprint or "") of the frames in question, as far as they are known; with them the
            way is divided by time, without by frame number.
    """

    person: str | None = None
    stamps: tuple[tuple[int, float, str], ...] = ()


AnyEdit = (
    MoveJoint
    | SetVisibility
    | AddPerson
    | ReplacePose
    | SetBox
    | DeletePerson
    | SwapSides
    | AcceptPrediction
    | RevertToPrediction
    | SetTrack
    | SwapTracks
    | CopyPeople
    | Interpolate
)

_VISIBILITY_WORDS = {ABSENT: "absent", OCCLUDED: "occluded", VISIBLE: "visible"}
_NAMES = {
    AddPerson: "Add person",
    ReplacePose: "Replace pose",
    SetBox: "Change box",
    DeletePerson: "Delete person",
    SwapSides: "Swap left and right",
    AcceptPrediction: "Accept prediction",
    RevertToPrediction: "Revert to prediction",
    SetTrack: "Change track",
    SwapTracks: "Swap tracks",
    CopyPeople: "Copy people",
    Interpolate: "Interpolate",
}


def edit_name(edit: AnyEdit, skeleton: Skeleton) -> str:
    """Return what the menu calls this edit, in English: "Move left wrist"."""
    if isinstance(edit, MoveJoint):
        return f"Move {_joint_word((edit.joint,), skeleton)}"
    if isinstance(edit, SetVisibility):
        return f"Mark {_joint_word(edit.joints, skeleton)} {_VISIBILITY_WORDS[edit.visibility]}"
    return _NAMES[type(edit)]


def edit_person(edit: AnyEdit) -> str | None:
    """Return the key of the person that an edit names, or None."""
    return None if isinstance(edit, CopyPeople) else getattr(edit, "person", None)


def edit_joint(edit: AnyEdit) -> int | None:
    """Return the joint that an edit is about, or None if it is not about exactly one."""
    if isinstance(edit, MoveJoint):
        return edit.joint
    if isinstance(edit, SetVisibility) and len(edit.joints) == 1:
        return edit.joints[0]
    return None


def encode_edit(edit: AnyEdit) -> str:
    """Return an edit as JSON text."""
    return msgspec.json.encode(edit).decode()


def decode_edit(text: str) -> AnyEdit:
    """Return the edit of a JSON text.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    edit: AnyEdit = msgspec.json.decode(text, type=AnyEdit)
    return edit


def _joint_word(joints: tuple[int, ...], skeleton: Skeleton) -> str:
    if len(joints) == 1 and 0 <= joints[0] < skeleton.count:
        return skeleton.joints[joints[0]]
    return f"{len(joints)} joints"


def _keep(edit: Edit, field: str, value: object) -> None:
    msgspec.structs.force_setattr(edit, field, value)


def _corners(box: npt.ArrayLike) -> Corners:
    values = np.asarray(box, dtype=np.float64).reshape(-1)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise ValueError("box must be four finite numbers")
    x1, y1, x2, y2 = values.tolist()
    return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _visibility(values: npt.ArrayLike) -> tuple[int, ...]:
    whole = tuple(int(value) for value in np.asarray(values).reshape(-1))
    if any(value not in (ABSENT, OCCLUDED, VISIBLE) for value in whole):
        raise ValueError("a visibility must be 0, 1 or 2")
    return whole


def _pose(edit: AddPerson | ReplacePose) -> None:
    """Turn the array-like fields of a pose into tuples, checking their shapes."""
    points = np.asarray(edit.keypoints, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("keypoints must be (K, 2) finite pixels")
    count = len(points)
    _keep(edit, "keypoints", tuple((x, y) for x, y in points.tolist()))
    if edit.visibility is not None:
        _keep(edit, "visibility", _visibility(edit.visibility))
    if edit.scores is not None:
        scores = np.asarray(edit.scores, dtype=np.float64).reshape(-1)
        if not np.isfinite(scores).all():
            raise ValueError("scores must be finite")
        _keep(edit, "scores", tuple(scores.tolist()))
    if edit.box is not None:
        _keep(edit, "box", _corners(edit.box))
    for name, values in (("visibility", edit.visibility), ("scores", edit.scores)):
        if values is not None and len(values) != count:
            raise ValueError(f"{name} must have {count} entries, one for each joint")
