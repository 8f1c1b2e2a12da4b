"""Evidence of the frame under the cursor: asked for after a rest, cached in bytes, matched to people."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QTimer, Signal

from poseviewer.core.geometry import box_iou
from poseviewer.core.values import (
    KEPT,
    Candidates,
    Evidence,
    FrameResult,
    Grouping,
    Person,
    Pose,
    Suppression,
)
from poseviewer.ui.parts import DeskParts, Peak, State

if TYPE_CHECKING:
    from poseviewer.ops.nms_config import NmsConfig
    from poseviewer.pipeline.config import PipelineConfig
    from poseviewer.pipeline.regrouping import Regrouped

REST_MS = 120
CACHE_BYTES = 256 << 20
SAME_POSE = 0.02
"""Mean joint distance, as a part of the box's size, below which a candidate is the person's own."""
LEAST_IOU = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    kind: Literal["frame", "box", "person", "nms", "grouping"]
    media: int | None
    frame: int
    person: str | None = None
    config: str = ""


def append(result: FrameResult, extra: FrameResult) -> FrameResult:
    """Return ``result`` with the candidates of ``extra`` added behind its own, as kept ones."""
    if result.evidence is None or extra.evidence is None:
        return result
    a, b = result.evidence, extra.evidence
    first, count = len(a.crops), len(b.crops)
    candidates = Candidates(
        np.concatenate([a.candidates.keypoints, b.candidates.keypoints]),
        np.concatenate([a.candidates.scores, b.candidates.scores]),
        np.concatenate([a.candidates.boxes, b.candidates.boxes]),
        np.concatenate([a.candidates.box_scores, b.candidates.box_scores]),
    )
    new = np.arange(first, first + count, dtype=np.int64)
    none = np.full(count, -1, dtype=np.int64)
    old = a.suppression
    suppression = Suppression(
        np.concatenate([old.outcome, np.full(count, KEPT, dtype=np.int64)]),
        np.concatenate([old.by, none]),
        np.concatenate([old.similarity, np.zeros(count, dtype=np.float32)]),
        np.concatenate([old.nearest, none]),
        np.concatenate([old.matches, np.zeros(count, dtype=np.int64)]),
        np.concatenate([old.kept, new]),
    )
    grouping = _joined(a.grouping, b.grouping)
    evidence = Evidence((*a.crops, *b.crops), candidates, suppression, a.seconds, grouping)
    return replace(result, poses=(*result.poses, *_poses(b.candidates)), evidence=evidence)


def _joined(first: Grouping | None, second: Grouping | None) -> Grouping | None:
    """Why all of these people were grouped; both looked at one picture, so that the maps are the first one's."""
    if first is None or second is None:
        return first
    names = ("joint_tags", "person_tags", "distance", "how")
    joined: dict[str, Any] = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    return replace(first, **joined)


def _poses(candidates: Candidates) -> tuple[Pose, ...]:
    return tuple(
        Pose(keypoints, scores, box, float(score))
        for keypoints, scores, box, score in zip(
            candidates.keypoints, candidates.scores, candidates.boxes, candidates.box_scores, strict=True
        )
    )


def match(person: Person, result: FrameResult) -> int | None:
    """Return the candidate that ``person`` came from, or None.

    The nearest pose decides when it is the same but for rounding; otherwise the best overlap of boxes, kept
    candidates first.
    """
    evidence = result.evidence
    if evidence is None or not len(evidence.crops):
        return None
    base = person.prediction or person.pose
    size = max(float(np.sqrt(max(np.prod(base.box[2:] - base.box[:2]), 1.0))), 1.0)
    kept = evidence.suppression.kept
    if len(result.poses) and len(kept) == len(result.poses):
        finals = np.stack([pose.keypoints for pose in result.poses])
        distance = np.linalg.norm(finals - base.keypoints, axis=-1).mean(axis=-1) / size
        best = int(distance.argmin())
        if distance[best] < SAME_POSE:
            return int(kept[best])
    distance = np.linalg.norm(evidence.candidates.keypoints - base.keypoints, axis=-1).mean(axis=-1) / size
    best = int(distance.argmin())
    if distance[best] < SAME_POSE:
        return best
    overlap = box_iou(base.box, evidence.candidates.boxes)[0]
    overlap = overlap + 0.1 * np.isin(np.arange(len(overlap)), kept)
    best = int(overlap.argmax())
    return best if overlap[best] >= LEAST_IOU else None


class EvidenceKeeper(QObject):
    """Asks the engine, keeps answers in a cache limited in bytes, and knows which candidate a person came from.

    Attributes:
        result: of the selected frame with evidence, or None.
        state: none, loading, ready, stale or error.
        what_if: suppression and poses with other thresholds, or None.
        regrouped: what another grouping limit would do, or None.
        weights: what computed ``result``, as the engine's answer says it.
    """

    changed = Signal()
    what_if_changed = Signal()

    def __init__(self, desk: DeskParts, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.result: FrameResult | None = None
        self.state: State = "none"
        self.seconds = 0.0
        self.what_if: tuple[Suppression, tuple[Pose, ...]] | None = None
        self.regrouped: Regrouped | None = None
        self.weights: dict[str, dict[str, Any]] = {}
        self._own: FrameResult | None = None
        self._shown: tuple[Any, ...] = ()
        self._asked: OrderedDict[int, _Asked] = OrderedDict()
        self._ids = 0
        self._cache: OrderedDict[tuple[Any, ...], FrameResult] = OrderedDict()
        self._weights_of: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
        self._matches: dict[str, int | None] = {}
        self._peaks: dict[tuple[str, int], tuple[Peak, ...]] = {}
        self._hopeless: set[tuple[int, str]] = set()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._rested)

    # --- asking ---

    def frame_changed(self) -> None:
        """Show cached evidence of the new frame at once, or ask after a rest."""
        self._shown = self._key()
        cached = self._cached()
        self.weights = self._weights_of.get(self._shown, {}) if cached is not None else {}
        self._set(cached, "ready" if cached is not None else "none")
        self._rest.start()

    def people_changed(self) -> None:
        """Match people anew; they may have come by a run."""
        self._matches.clear()
        self._peaks.clear()
        self._rest.start()

    def selection_changed(self) -> None:
        """A person who was chosen may lack evidence."""
        self._rest.start()

    def config_changed(self) -> None:
        """Evidence of another configuration than the one that is set now is stale; it stays on show."""
        if self.result is None or self.state not in ("ready", "stale"):
            return
        from poseviewer.pipeline.config import config_hash

        same = config_hash(self._desk.evidence_config()) == config_hash(self._desk.config)
        state: State = "ready" if same else "stale"
        if state != self.state:
            self.state = state
            self.changed.emit()

    def clear(self) -> None:
        """Forget everything: another media is open."""
        self._rest.stop()
        self._asked.clear()
        self._cache.clear()
        self._weights_of.clear()
        self._set(None, "none")

    def request(self, boxes: npt.NDArray[np.floating] | None = None) -> None:
        """Ask for the evidence of the selected frame now, of the detector's people or of ``(n, 4)`` boxes."""
        config = self._desk.evidence_config()
        if self._desk.frame is None or not self._desk.frame_exact:
            self._rest.start()
            return
        self._ask("frame" if boxes is None else "person", config, boxes)
        if boxes is None:
            self._set(self.result, "loading")

    def request_box(self, box: npt.NDArray[np.floating], person: str | None) -> bool:
        """Ask for a pose in ``box``; the answer becomes a new person, or replaces the pose of ``person``."""
        if self._desk.frame is None or not self._desk.frame_exact:
            return False
        self._ask("box", self._desk.evidence_config(), np.asarray(box, dtype=np.float32).reshape(1, 4), person)
        return True

    def request_nms(self, nms: NmsConfig) -> None:
        """Ask what the suppression would have done with ``nms``, from the kept candidates."""
        if self._own is None or self._own.evidence is None:
            return
        from poseviewer.pipeline.engine import SuppressionRequest

        number = self._note(_Asked("nms", self._desk.selection.media, self._desk.selection.frame))
        self._desk.engine.ask(SuppressionRequest(number, self._own.evidence.candidates, nms))

    def request_grouping(self, limit: float) -> None:
        """Ask what grouping would have done with another limit, from the kept peaks."""
        evidence = self._own.evidence if self._own is not None else None
        if evidence is None or evidence.grouping is None:
            return
        from poseviewer.pipeline.engine import GroupingRequest

        number = self._note(_Asked("grouping", self._desk.selection.media, self._desk.selection.frame))
        least = self._desk.evidence_config().confidence
        self._desk.engine.ask(GroupingRequest(number, evidence.grouping, limit, least))

    def _ask(
        self,
        kind: Literal["frame", "box", "person"],
        config: PipelineConfig,
        boxes: npt.NDArray[np.floating] | None = None,
        person: str | None = None,
    ) -> None:
        from poseviewer.pipeline.config import config_hash
        from poseviewer.pipeline.engine import EvidenceRequest

        frame, info = self._desk.frame, self._desk.info
        if frame is None or info is None:
            return
        asked = _Asked(kind, self._desk.selection.media, frame.index, person, config_hash(config))
        number = self._note(asked)
        array = None if boxes is None else np.asarray(boxes, dtype=np.float32)
        request = EvidenceRequest(
            number, info.path, frame.index, frame.pixels, config, array, media_fingerprint=info.fingerprint
        )
        self._desk.engine.ask(request)

    def _note(self, asked: _Asked) -> int:
        self._ids += 1
        if asked.kind in ("box", "person"):
            # The engine has one slot for boxes and the newest wins: what it replaces is never answered.
            for number in [n for n, old in self._asked.items() if old.kind in ("box", "person")]:
                del self._asked[number]
        self._asked[self._ids] = asked
        while len(self._asked) > 64:
            self._asked.popitem(last=False)
        return self._ids

    def _rested(self) -> None:
        """Ask for what is missing, unless a box drawn by hand is still being answered."""
        desk = self._desk
        if not desk.frame_exact or desk.playhead.playing or any(a.kind == "box" for a in self._asked.values()):
            return
        if self.result is not None and self._shown != self._key():
            # Another run found the people of this frame: what is on show is not what that one saw.
            self.frame_changed()
        if self.result is None and self.state in ("none", "error"):
            if desk.has_prediction_here() and self.state == "none":
                self.request()
            return
        person = desk.person
        if self.state != "ready" or person is None or self.candidate_of(person.key) is not None:
            return
        if (desk.selection.frame, person.key) not in self._hopeless:
            self._hopeless.add((desk.selection.frame, person.key))
            self._ask("person", desk.evidence_config(), person.pose.box.reshape(1, 4), person.key)

    # --- answers ---

    def answer(self, answer: Any) -> None:
        """Take an answer of the engine; a late one is only cached."""
        asked = self._asked.pop(answer.id, None)
        if asked is None or asked.media != self._desk.selection.media:
            return
        here = asked.frame == self._desk.selection.frame
        if answer.error is not None:
            if here and asked.kind == "frame":
                self._set(None, "error")
            self._desk.tell_error(answer.error)
        elif asked.kind == "nms":
            if here and answer.suppression is not None:
                self.what_if = (answer.suppression, answer.poses)
                self.what_if_changed.emit()
        elif asked.kind == "grouping":
            if here and answer.regrouped is not None:
                self.regrouped = answer.regrouped
                self.what_if_changed.emit()
        elif answer.result is not None and answer.result.evidence is not None:
            self._weights_of[asked.media, asked.frame, asked.config] = answer.weights
            if here:
                self.weights = answer.weights
            self._take(asked, answer.result, answer.seconds, here=here)

    def _take(self, asked: _Asked, result: FrameResult, seconds: float, *, here: bool) -> None:
        if asked.kind == "frame":
            self._put((asked.media, asked.frame, asked.config), result)
            if here:
                self._shown = (asked.media, asked.frame, asked.config)
                self.seconds = seconds
                self._set(result, "ready")
                self._rest.start()
            return
        if here:
            own = self._own
            joined = append(self.result, result) if self.result is not None else result
            self._shown = (asked.media, asked.frame, asked.config)
            self._put(self._shown, joined)
            self._set(joined, "ready")
            self._own = own or result
        if asked.kind == "box":
            self._desk.box_answered(asked.frame, asked.person, result)

    def _set(self, result: FrameResult | None, state: State) -> None:
        self.result, self.state = result, state
        self._own = result
        self._matches.clear()
        self._peaks.clear()
        if self.what_if is not None or self.regrouped is not None:
            self.what_if = self.regrouped = None
            self.what_if_changed.emit()
        self.changed.emit()

    def _key(self) -> tuple[Any, ...]:
        from poseviewer.pipeline.config import config_hash

        return self._desk.selection.media, self._desk.selection.frame, config_hash(self._desk.evidence_config())

    def _cached(self) -> FrameResult | None:
        if not self._cache:
            return None
        key = self._key()
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
        return found

    def _put(self, key: tuple[Any, ...], result: FrameResult) -> None:
        self._cache[key] = result
        self._cache.move_to_end(key)
        size = sum(entry.evidence.nbytes for entry in self._cache.values() if entry.evidence is not None)
        while size > CACHE_BYTES and len(self._cache) > 1:
            gone, dropped = self._cache.popitem(last=False)
            self._weights_of.pop(gone, None)
            size -= dropped.evidence.nbytes if dropped.evidence is not None else 0

    # --- questions ---

    def candidate_of(self, person_key: str) -> int | None:
        """Return the index of the candidate that a person of the selected frame came from, or None."""
        if self.result is None:
            return None
        if person_key not in self._matches:
            person = self._desk.person_by_key(person_key)
            self._matches[person_key] = match(person, self.result) if person is not None else None
        return self._matches[person_key]

    def peaks(self, person_key: str, joint: int) -> tuple[Peak, ...]:
        """Return the peaks of a joint's heatmap in frame pixels, best first; empty without evidence."""
        key = (person_key, joint)
        if key not in self._peaks:
            self._peaks[key] = self._find_peaks(person_key, joint)
        return self._peaks[key]

    def _find_peaks(self, person_key: str, joint: int) -> tuple[Peak, ...]:
        candidate = self.candidate_of(person_key)
        if candidate is None or self.result is None or self.result.evidence is None:
            return ()
        from poseviewer.core.geometry import transform
        from poseviewer.pipeline.peaks import around_box, heatmap_peaks

        evidence = self.result.evidence
        crop = evidence.crops[candidate]
        if not 0 <= joint < len(crop.heatmaps) or not crop.heatmaps.size:
            return ()
        heatmap = crop.heatmaps[joint]
        if evidence.grouping is not None:  # the map is everybody's
            heatmap = around_box(heatmap, crop.heatmap_to_frame, evidence.candidates.boxes[candidate])
        found = heatmap_peaks(heatmap)
        if not found:
            return ()
        places = transform(crop.heatmap_to_frame, np.array([[x, y] for x, y, _ in found]))
        return tuple(Peak(float(x), float(y), value) for (x, y), (_, _, value) in zip(places, found, strict=True))
