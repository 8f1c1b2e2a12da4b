"""A desk without threads, files or networks: generated people, evidence and lanes for testing views."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from poseviewer.core.geometry import compose, invert, transform
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.core.values import (
    BELOW_FLOOR,
    BY_BOTH,
    BY_MATCHES,
    BY_SIMILARITY,
    KEPT,
    Candidates,
    CropEvidence,
    Evidence,
    Frame,
    FrameResult,
    MediaInfo,
    Person,
    Pose,
    Suppression,
)
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.project.rows import CORRECTED, EMPTY, NONE, PREDICTED, Doubt, Lanes, Span, TrackChange
from poseviewer.session.state import Display, Playhead, Selection, Session
from poseviewer.ui.panels.peaks import find_peaks
from poseviewer.ui.parts import Peak

WIDTH, HEIGHT = 640, 480
BODY = np.array(
    [
        [0.50, 0.06], [0.54, 0.04], [0.46, 0.04], [0.58, 0.06], [0.42, 0.06], [0.66, 0.20], [0.34, 0.20], [0.74, 0.36],
        [0.26, 0.36], [0.78, 0.50], [0.22, 0.50], [0.60, 0.52], [0.40, 0.52], [0.62, 0.74], [0.38, 0.74], [0.63, 0.95],
        [0.37, 0.95],
    ]
)  # fmt: skip


def picture() -> np.ndarray:
    """A smooth ``(480, 640, 3)`` picture with some structure."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 90 + 60 * np.sin(x / 37.0) + 30 * np.sin(y / 23.0)
    green = 100 + 50 * np.cos((x + y) / 41.0)
    blue = 120 + 70 * np.sin((x - 2 * y) / 67.0)
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 255).astype(np.uint8)


def body(count: int) -> np.ndarray:
    """``(count, 2)`` joints inside the unit square: a person for 17, a spiral for anything else."""
    if count == len(BODY):
        return BODY
    turn = np.linspace(0, 12 * np.pi, count)
    radius = np.linspace(0.05, 0.45, count)
    return np.stack([0.5 + radius * np.cos(turn), 0.5 + radius * np.sin(turn)], axis=-1)


def gaussians(places: np.ndarray, peaks: np.ndarray, sigma: float, shape: tuple[int, int]) -> np.ndarray:
    """``(K, h, w)`` maps with one Gaussian each at ``(K, 2)`` cells."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    squared = (x[None] - places[:, 0, None, None]) ** 2 + (y[None] - places[:, 1, None, None]) ** 2
    return (peaks[:, None, None] * np.exp(-squared / (2 * sigma**2))).astype(np.float32)


def crop_of(pixels: np.ndarray, matrix: np.ndarray, size: tuple[int, int] = (192, 256)) -> np.ndarray:
    """Sample ``pixels`` at the nearest places of a crop; black outside."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    places = np.rint(transform(matrix, np.stack([x, y], axis=-1))).astype(int)
    inside = ((places >= 0) & (places < [WIDTH, HEIGHT])).all(axis=-1)
    clipped = np.clip(places, 0, [WIDTH - 1, HEIGHT - 1])
    return np.where(inside[..., None], pixels[clipped[..., 1], clipped[..., 0]], 0).astype(np.uint8)


def box_matrix(box: np.ndarray, grow: float = 1.0) -> np.ndarray:
    """The map from 192x256 input pixels to the enlarged box's window."""
    centre, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    scale = max(side[0] / 192, side[1] / 256) * grow
    return np.array([[scale, 0, centre[0] - scale * 95.5], [0, scale, centre[1] - scale * 127.5]])


@cache
def made_result(K: int) -> FrameResult:
    """Three people, one doubled candidate and one below the floor, with all their evidence."""
    pixels = picture()
    shapes = [(60, 60, 220, 400), (240, 80, 400, 420), (66, 64, 226, 404), (420, 100, 560, 440), (10, 10, 40, 60)]
    boxes = np.array(shapes, dtype=np.float32)
    points = np.stack([box[:2] + body(K) * (box[2:] - box[:2]) for box in boxes]).astype(np.float32)
    rng = np.random.default_rng(2)
    scores = rng.uniform(0.62, 0.95, (5, K)).astype(np.float32)
    scores[4] = 0.2
    scores[0, 9 % K], scores[0, 11 % K] = 0.72, 0.31
    crops = tuple(made_crop(pixels, boxes[i], points[i], scores[i]) for i in range(5))
    candidates = Candidates(points, scores, boxes, np.array([0.9, 0.85, 0.8, 0.6, 0.3], np.float32))
    suppression = Suppression(
        np.array([KEPT, KEPT, BY_BOTH, KEPT, BELOW_FLOOR]), np.array([-1, -1, 0, -1, -1]),
        np.array([0.0, 1.2, 31.5, 20.4, 0.0], np.float32), np.array([-1, 0, 0, 1, -1]), np.array([0, 0, 12, 3, 0]),
        np.array([0, 1, 3]),
    )  # fmt: skip
    poses = tuple(Pose(points[i], scores[i], boxes[i], float(scores[i].mean()), i + 1) for i in (0, 1, 3))
    return FrameResult(812, 812 / 25.0, poses, "ff", Evidence(crops, candidates, suppression, {"estimator": 0.02}))


def made_crop(pixels: np.ndarray, box: np.ndarray, points: np.ndarray, scores: np.ndarray) -> CropEvidence:
    """A crop that the STN zoomed by 1.25, with one Gaussian per joint and a second one for the left wrist."""
    proposal = box_matrix(box, 1.3)
    theta = np.array([[0.8, 0, -0.05], [0, 0.8, 0.03]])
    half = np.array([[95.5, 0, 95.5], [0, 127.5, 127.5]])
    crop = compose(compose(proposal, compose(half, theta)), invert(half))
    to_frame = compose(crop, np.array([[4.0, 0, 1.5], [0, 4.0, 1.5]]))
    cells = transform(invert(to_frame), points)
    maps = gaussians(cells, scores, 2.0, (64, 48))
    second = gaussians(cells[10 % len(cells)][None], np.array([0.44]), 2.0, (64, 48))[0]
    maps[9 % len(maps)] = np.maximum(maps[9 % len(maps)], second)
    return CropEvidence(
        box, proposal, crop, theta, invert(theta), crop_of(pixels, proposal), crop_of(pixels, crop), maps, to_frame
    )


class FakeProject:
    """Lanes, doubts and tracks of a long clip."""

    def __init__(self, frames: int = 4210) -> None:
        self.frames = frames
        self.path = "demo.poseproj"
        self.revision = 1
        rng = np.random.default_rng(4)
        index = np.arange(frames)
        self.state = np.full(frames, PREDICTED, np.uint8)
        self.state[660:664] = EMPTY
        for start in range(90, frames, 400):
            self.state[start : start + 9] = CORRECTED
        self.state[frames - 60 :] = NONE
        self.mean = (0.86 + 0.05 * np.sin(index / 9.0) + rng.normal(0, 0.01, frames)).astype(np.float32)
        self.dips = tuple(range(120, frames - 70, 107))
        for at in self.dips:
            self.mean[max(at - 12, 0) : at + 12] -= 0.2
        self.mean[(self.state == EMPTY) | (self.state == NONE)] = np.nan
        self.calls = 0

    def lanes(self, media: int, first: int, last: int, columns: int, joint: int | None = None) -> Lanes:
        """Aggregate by column."""
        self.calls += 1
        starts = np.unique(np.linspace(first, last + 1, columns + 1).astype(np.int64))[:-1]
        rank = np.array([0, 2, 1, 3])[self.state]
        state = np.array([0, 2, 1, 3], np.uint8)[np.maximum.reduceat(rank[first : last + 1], starts - first)]
        mean = self.mean[starts]
        return Lanes(
            first, last, starts, state, np.full(len(starts), 2, np.uint8), mean - 0.12, mean, mean + 0.05,
            None if joint is None else mean - 0.04,
        )  # fmt: skip

    def tracks(self, media: int, first: int, last: int) -> tuple[Span, ...]:
        """Five tracks, one with a gap."""
        spans = (Span(1, 0, 4100), Span(3, 0, 838), Span(3, 842, 3000), Span(5, 700, 903), Span(9, 786, 833))
        return tuple(span for span in spans if span.last >= first and span.first <= last)

    def track_changes(self, media: int, first: int, last: int) -> tuple[TrackChange, ...]:
        """One swap."""
        return (TrackChange(842, (3,)),) if first <= 842 <= last else ()

    def worth_a_look(self, media: int, limit: int = 500) -> tuple[Doubt, ...]:
        """One doubt per dip."""
        kinds = ("low_score", "jump", "doubled", "sides", "lost")
        return tuple(
            Doubt(frame, "p1", 9, kinds[i % 5], 0.4, "Doubtful.") for i, frame in enumerate(self.dips)
        )[:limit]  # fmt: skip

    def has_doubts(self, media: int, frames: Any) -> bool:
        """Whether a dip is among some frames."""
        return bool(set(frames) & set(self.dips))

    def next_of(self, media: int, frame: int, kind: str, step: int = 1) -> int | None:
        """The next frame of a kind."""
        frames = np.array(self.dips) if kind == "doubt" else np.nonzero(self.state == CORRECTED)[0]
        after = frames[frames > frame] if step > 0 else frames[frames < frame][::-1]
        return int(after[0]) if len(after) else None


class FakeDesk(QObject):
    """What every view is given."""

    project_opened = Signal()
    changes = Signal(object)
    selection_changed = Signal()
    playhead_changed = Signal()
    display_changed = Signal()
    frame_changed = Signal()
    people_changed = Signal()
    evidence_changed = Signal()
    what_if_changed = Signal()
    cached_changed = Signal()
    config_changed = Signal()
    media_changed = Signal()
    running_changed = Signal()
    job_event = Signal(object)
    job_ended = Signal(object)
    saved = Signal(object)
    message = Signal(object)

    def __init__(self, names: str = "coco_17", *, frames: int = 4210, joints: int | None = None) -> None:
        super().__init__()
        self.session = Session()
        self.skeleton = skeleton(names) if joints is None else long_skeleton(joints)
        self.project: Any = FakeProject(frames)
        self.media_id: int | None = 1
        self.info: MediaInfo | None = MediaInfo(
            "/clips/crossing.mp4", "video", frames, (WIDTH, HEIGHT), 25.0, frames / 25.0, "h264", 0, "ab"
        )
        self.timestamps = np.arange(frames) / 25.0
        self.config = PipelineConfig()
        self.run_config = PipelineConfig()
        self.pixels = picture()
        self.frame_exact = True
        self.calls: list[tuple[Any, ...]] = []
        self.edits: list[Any] = []
        self.what_if: Any = None
        self.regrouped: Any = None
        self.evidence_state = "ready"
        self.predicted_here = False
        self.replaced: tuple[int, tuple[str, ...]] = (0, ())
        self.spans = [(760, 870)]
        self._make()
        self.session.select(media=1, frame=812, person="p1", joint=9)
        self.session.changed.connect(self._told)
        self.frame: Frame | None = Frame(812, 812 / 25.0, self.pixels)

    # --- what is on the desk ---

    def _make(self) -> None:
        self.evidence: FrameResult | None = made_result(self.skeleton.count)
        poses = self.evidence.poses
        points = self.evidence.evidence.candidates.keypoints  # type: ignore[union-attr]
        K = self.skeleton.count
        visible = np.full(K, 2, np.uint8)
        first = visible.copy()
        first[11 % K], first[3 % K] = 1, 0
        moved = points[0].copy()
        moved[7 % K] += [3.0, 4.0]
        self.people: tuple[Person, ...] = (
            Person("p1", "corrected", replace(poses[0], keypoints=moved, track=3), first, poses[0], 7),
            Person("p2", "predicted", poses[1], visible),
            Person("p4", "predicted", replace(poses[2], score=0.33, track=9, scores=poses[2].scores * 0.4), visible),
        )

    @property
    def selection(self) -> Selection:
        """What is looked at."""
        return self.session.selection

    @property
    def playhead(self) -> Playhead:
        """How time passes."""
        return self.session.playhead

    @property
    def display(self) -> Display:
        """How it is drawn."""
        return self.session.display

    def person_by_key(self, key: str) -> Person | None:
        """The person called ``key``."""
        return next((p for p in self.people if p.key == key), None)

    def person_number(self, key: str) -> int:
        """The 1-based number of a person."""
        return next((i + 1 for i, p in enumerate(self.people) if p.key == key), 0)

    def place(self) -> tuple[int, int]:
        """Media and frame."""
        return self.media_id or 0, self.selection.frame

    def peaks(self, key: str, joint: int) -> tuple[Any, ...]:
        """Peaks of a joint's heatmap in frame pixels, best first."""
        candidate = self.candidate_of(key)
        if candidate is None or self.evidence is None or self.evidence.evidence is None:
            return ()
        crop = self.evidence.evidence.crops[candidate]
        found = find_peaks(crop.heatmaps[joint], crop.heatmap_to_frame)
        return tuple(Peak(*peak.at, peak.value) for peak in found)

    @property
    def person(self) -> Person | None:
        """The selected person."""
        return next((p for p in self.people if p.key == self.session.selection.person), None)

    @property
    def joint(self) -> int | None:
        """The selected joint."""
        return self.session.selection.joint

    def candidate_of(self, key: str | None) -> int | None:
        """The candidate a person came from."""
        return {"p1": 0, "p2": 1, "p4": 3}.get(key or "")

    # --- what views call ---

    def select(self, **fields: Any) -> None:
        """Change the selection."""
        self.calls.append(("select", fields))
        self.session.select(**fields)

    def show(self, **fields: Any) -> None:
        """Change the display."""
        self.calls.append(("show", fields))
        self.session.show(**fields)

    def play(self, **fields: Any) -> None:
        """Change the playhead."""
        self.calls.append(("play", fields))
        self.session.play(**fields)

    def do(self, action: str) -> None:
        """Record an action."""
        self.calls.append(("do", action))

    def apply(self, edit: Any) -> None:
        """Record an edit."""
        self.edits.append(edit)

    def evidence_config(self) -> PipelineConfig:
        """What the evidence was computed with."""
        return self.run_config

    def has_prediction_here(self) -> bool:
        """Whether a run processed the selected frame."""
        return self.predicted_here

    def set_config(self, config: PipelineConfig) -> None:
        """Use another configuration."""
        self.calls.append(("set_config", config))
        self.config = config
        self.config_changed.emit()

    def what_if_grouping(self, limit: float) -> None:
        """Answer at once, as the engine does from kept peaks."""
        from poseviewer.pipeline.regrouping import regroup

        self.calls.append(("what_if_grouping", limit))
        self.regrouped = regroup(self.evidence.evidence.grouping, limit, 0.0)
        self.what_if_changed.emit()

    def other_weights(self) -> tuple[int, tuple[str, ...]]:
        """The run and the weights that were replaced since."""
        return self.replaced

    def what_if_nms(self, nms: NmsConfig) -> None:
        """Decide again: the threshold alone decides here."""
        self.calls.append(("what_if_nms", nms))
        assert self.evidence is not None
        assert self.evidence.evidence is not None
        old = self.evidence.evidence.suppression
        outcome, by = old.outcome.copy(), old.by.copy()
        for i in range(len(outcome)):
            if old.nearest[i] < 0:
                continue
            gone, matched = old.similarity[i] > nms.gamma, old.matches[i] >= nms.match_threshold
            outcome[i] = BY_BOTH if gone and matched else BY_SIMILARITY if gone else BY_MATCHES if matched else KEPT
            by[i] = old.nearest[i] if outcome[i] != KEPT else -1
        kept = np.nonzero(outcome == KEPT)[0]
        made = Suppression(outcome, by, old.similarity, old.nearest, old.matches, kept)
        self.what_if = (made, tuple(self.evidence.poses[:1]) * len(kept))
        self.what_if_changed.emit()

    def cached_spans(self) -> list[tuple[int, int]]:
        """Decoded frames."""
        return self.spans

    def _told(self, what: frozenset[str]) -> None:
        for name in ("selection", "playhead", "display"):
            if name in what:
                getattr(self, f"{name}_changed").emit()


def long_skeleton(count: int) -> Skeleton:
    """A skeleton of many joints, as whole-body sets have."""
    sides = tuple(("left", "right", "centre")[i % 3] for i in range(count))
    return Skeleton(
        f"many_{count}", f"{count} joints", tuple(f"joint {i}" for i in range(count)),
        tuple((i, i + 1) for i in range(count - 1)), tuple(range(count)), sides, (0.05,) * count,
    )  # fmt: skip
