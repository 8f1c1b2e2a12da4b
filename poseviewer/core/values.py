"""Frozen values that cross rooms.

Symbols: K joints, H, W picture height and width, h, w heatmap height and width, N candidates.
Coordinates are displayed pixels (after rotation metadata); the centre of the top-left pixel is (0, 0).
Arrays inside frozen values are never written to after they are handed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

ABSENT, OCCLUDED, VISIBLE = 0, 1, 2
"""The three visibilities, as COCO has them."""

LOW_SCORE = 0.35
"""A predicted joint below this score is doubtful, and so is a person whose joints score less on average."""

MediaKind = Literal["video", "picture", "folder"]

PICTURE_RATE = 10.0
"""Pictures of a folder in a second where they become a video or play, unless a person chooses another rate."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth knowing about a media file.

    Attributes:
        code: one of vfr, edit_list, damaged, truncated, rotated, duplicate_pts, start_offset, untagged_colour, ...
        text: one sentence.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is known about a Media without decoding all of it.

    Attributes:
        path: the file, the folder, or the glob as given.
        kind: video, picture or folder.
        frame_count: number of frames in display order.
        size_wh: width and height in displayed pixels (of the first picture of a folder).
        fps: average rate in frames per second; 0 for pictures.
        duration_s: seconds; 0 for pictures.
        codec: name, e.g. "h264"; "" for pictures.
        rotation: degrees that were applied to show it upright.
        fingerprint: of the file's content; hexadecimal.
        findings: VFR, edit lists, damage and so on.
        confirmed: whether the frame table was confirmed by decoding; edits are bound to frames only then.
        colour: the matrix and range that are used, e.g. "bt709 limited (assumed)".
    """

    path: str
    kind: MediaKind
    frame_count: int
    size_wh: tuple[int, int]
    fps: float
    duration_s: float
    codec: str
    rotation: int
    fingerprint: str
    findings: tuple[Finding, ...] = ()
    confirmed: bool = True
    colour: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One displayed picture.

    Attributes:
        index: 0-based, display order.
        timestamp_s: seconds from the first frame.
        pixels: ``(H, W, 3)`` uint8 RGB, C-contiguous, read-only by agreement.
        name: file name for pictures, "" for video frames.
        corrupt: decoded from damaged data (or depends on such a frame).
    """

    index: int
    timestamp_s: float
    pixels: Pixels
    name: str = ""
    corrupt: bool = False


class FrameSource(Protocol):
    """Anything that delivers exact frames; ``poseviewer.media.Media`` does."""

    @property
    def info(self) -> MediaInfo:
        """What is known about it."""
        ...

    def frame(self, index: int) -> Frame:
        """Return frame ``index``; raises MediaError if it cannot be read."""
        ...

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames of ``indices`` in that order, decoding ahead where it helps."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Keypoints, box and score of one person in one frame.

    Attributes:
        keypoints: ``(K, 2)`` float32 pixels.
        scores: ``(K,)`` float32, 0..1 for heatmap peaks.
        box: ``(4,)`` float32 xyxy.
        score: of the person.
        track: identity over frames, or None.
    """

    keypoints: Array
    scores: Array
    box: Array
    score: float
    track: int | None = None


PersonState = Literal["predicted", "corrected"]


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of one frame as the desk shows it: the correction where there is one, else the prediction.

    Attributes:
        key: stable name in this frame: "p<prediction id>" for a person that a run found (also after it was
            corrected), "c<correction id>" for one that was added by hand.
        state: predicted or corrected.
        pose: what is drawn; scores are the prediction's (zeros for a person added by hand).
        visibility: ``(K,)`` uint8 of 0, 1, 2.
        prediction: the untouched prediction beneath a correction, or None.
        correction_id: row id of the correction, or None.
    """

    key: str
    state: PersonState
    pose: Pose
    visibility: npt.NDArray[np.uint8]
    prediction: Pose | None = None
    correction_id: int | None = None


# --- Evidence ---

KEPT, BY_SIMILARITY, BY_MATCHES, BY_BOTH, BELOW_FLOOR, TOO_SMALL = range(6)
"""Outcome codes of a candidate in a :class:`Suppression`."""


@dataclass(frozen=True, slots=True, eq=False)
class CropEvidence:
    """What the estimator saw of one candidate and what it answered.

    Attributes:
        box: ``(4,)`` the detector's (or the person's) box, xyxy pixels, before enlargement.
        proposal: ``(2, 3)`` float64, network input pixels -> frame pixels before the STN.
        crop: ``(2, 3)`` float64, network input pixels -> frame pixels after the STN (equal without STN).
        theta: ``(2, 3)`` STN parameters relative to the proposal, normalised [-1, 1] coordinates with corners on
            pixel centres; identity without STN.
        gamma: ``(2, 3)`` SDTN parameters, the inverse of ``theta``.
        proposal_picture: ``(H, W, 3)`` uint8 RGB, network input size, before the STN.
        picture: ``(H, W, 3)`` uint8 RGB, exactly what the network was fed.
        heatmaps: ``(K, h, w)`` float32, before decoding.
        heatmap_to_frame: ``(2, 3)`` float64, heatmap cells -> frame pixels.
    """

    box: Array
    proposal: npt.NDArray[np.float64]
    crop: npt.NDArray[np.float64]
    theta: npt.NDArray[np.float64]
    gamma: npt.NDArray[np.float64]
    proposal_picture: Pixels
    picture: Pixels
    heatmaps: Array
    heatmap_to_frame: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Decoded poses before suppression, N of them.

    Attributes:
        keypoints: ``(N, K, 2)`` float32 pixels.
        scores: ``(N, K)`` float32.
        boxes: ``(N, 4)`` float32 xyxy.
        box_scores: ``(N,)`` float32.
    """

    keypoints: Array
    scores: Array
    boxes: Array
    box_scores: Array


@dataclass(frozen=True, slots=True, eq=False)
class Suppression:
    """Who was removed by whom, with the figures that decided it, for N candidates.

    Attributes:
        outcome: ``(N,)`` int, one of KEPT, BY_SIMILARITY, BY_MATCHES, BY_BOTH, BELOW_FLOOR, TOO_SMALL.
        by: ``(N,)`` int, index of the candidate that removed it; -1 where none did.
        similarity: ``(N,)`` float32 pose similarity to ``by`` (for kept ones: the highest to an earlier kept one).
        nearest: ``(N,)`` int, the candidate that ``similarity`` and ``matches`` refer to; -1 where none.
        matches: ``(N,)`` int matched joints with ``nearest``.
        kept: ``(M,)`` int, candidate indices of the survivors in output order.
    """

    outcome: npt.NDArray[np.int64]
    by: npt.NDArray[np.int64]
    similarity: Array
    nearest: npt.NDArray[np.int64]
    matches: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int64]


NO_JOINT, STARTED, BY_TAG, REFINED = range(4)
"""How a keypoint came to its person in a :class:`Grouping`."""


@dataclass(frozen=True, slots=True)
class GroupingRules:
    """How candidates become people.

    Attributes:
        form: whose code; decides the tag distance and, in :func:`poseviewer.ops.grouping.fill_missing`, two oddities.
        order: joints in the order of grouping; None is COCO's for 17 joints, else as they come.
        most: candidates per joint and people that take part in matching. No cap on people: joints that match nobody
            open new people, also beyond it.
        detection_threshold: a candidate's value must exceed it.
        tag_threshold: a joint belongs to a person whose mean tag is nearer.
        use_value: prefer higher values: the cost is round(distance) * 100 - value instead of the distance.
        ignore_too_much: skip a joint type once ``most`` people exist.
        kernel: side of the window in which a candidate must be the maximum, odd.
    """

    form: Literal["ae", "higher"] = "higher"
    order: tuple[int, ...] | None = None
    most: int = 30
    detection_threshold: float = 0.1
    tag_threshold: float = 1.0
    use_value: bool = True
    ignore_too_much: bool = False
    kernel: int = 5


@dataclass(frozen=True, slots=True, eq=False)
class GroupingPeaks:
    """What grouping began with: the best M peaks of each of K joints, and its rules.

    Attributes:
        values: ``(K, M)`` float32 of the heatmaps.
        cells: ``(K, M, 2)`` int64 x, y on the maps that were decoded.
        tags: ``(K, M, T)`` float32.
        rules: by which they became people.
    """

    values: Array
    cells: npt.NDArray[np.int64]
    tags: Array
    rules: GroupingRules


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Why keypoints of a whole picture became these people (bottom-up), for N candidates.

    Attributes:
        tags: ``(K, h, w, T)`` float32 tag maps; T is 2 with the flip test, else 1.
        map_to_frame: ``(2, 3)`` float64, cells of the tag maps -> frame pixels.
        joint_tags: ``(N, K, T)`` float32, the tag at each keypoint; NaN where there is none.
        person_tags: ``(N, T)`` float32, the mean tag that the candidate ended with.
        distance: ``(N, K)`` float32, tag distance to the person's mean when the keypoint joined; NaN where it did not
            join by its tag.
        how: ``(N, K)`` uint8, NO_JOINT, STARTED (began a new person), BY_TAG, REFINED (found afterwards at the place
            whose tag fits best).
        order: joints in the order in which they were grouped.
        limit: largest tag distance that lets a keypoint join.
        peaks: what it began with, so that other limits can be tried without a network.
    """

    tags: Array
    map_to_frame: npt.NDArray[np.float64]
    joint_tags: Array
    person_tags: Array
    distance: Array
    how: npt.NDArray[np.uint8]
    order: tuple[int, ...]
    limit: float
    peaks: GroupingPeaks | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Everything a frame's run computed on the way. ``crops[i]`` belongs to candidate i.

    Attributes:
        crops: N crops. Bottom-up and one-stage networks see the whole picture once: then all N share one picture and
            one set of heatmaps (none, ``(K, 0, 0)``, where the network makes no heatmaps).
        candidates: N candidates.
        suppression: the report.
        pose_candidates: for each final pose of the frame the candidate index it came from (equal to
            ``suppression.kept``).
        seconds: how long the computation took, by step: "detector", "crops", "estimator", "decode", "suppression".
        grouping: why joints became people; None unless the pipeline groups.
    """

    crops: tuple[CropEvidence, ...]
    candidates: Candidates
    suppression: Suppression
    seconds: dict[str, float] = field(default_factory=dict)
    grouping: Grouping | None = None

    @property
    def nbytes(self) -> int:
        """Size in memory, for caches with a limit in bytes; what candidates share counts once."""
        arrays = [array for c in self.crops for array in (c.heatmaps, c.picture, c.proposal_picture)]
        arrays += [self.candidates.keypoints, self.candidates.scores]
        if self.grouping is not None:
            arrays.append(self.grouping.tags)
        return sum({id(array): array.nbytes for array in arrays}.values())


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What a run found in one frame.

    Attributes:
        frame: index.
        timestamp_s: seconds.
        poses: the survivors, best first; ``poses[i]`` came from candidate ``evidence.suppression.kept[i]``.
        fingerprint: of the frame's content, hexadecimal.
        evidence: only where it was asked for.
    """

    frame: int
    timestamp_s: float
    poses: tuple[Pose, ...]
    fingerprint: str = ""
    evidence: Evidence | None = None
