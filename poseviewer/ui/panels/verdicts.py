"""What suppression decided, in words: outcomes, warnings, and what other thresholds would change. No Qt in here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from poseviewer.core.geometry import box_iou, oks
from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import (
    BELOW_FLOOR,
    BY_BOTH,
    BY_MATCHES,
    BY_SIMILARITY,
    KEPT,
    TOO_SMALL,
    Candidates,
    Suppression,
)
from poseviewer.ops.nms_config import WHOLE_BODY
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ops.nms_config import NmsConfig

SAME_OKS = 0.5
"""Two kept poses at least this similar are probably one person."""
OTHER_IOU = 0.3
"""A removed candidate whose box overlaps its remover's less is probably another person."""
MIXED_SHARE = 0.25
"""A pose that shares at least this part of its joints with each of two others mixes them."""


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """What the table shows of one candidate.

    Attributes:
        index: 0-based; ``number`` is shown and counts from 1.
        score: mean joint score, which decides who is looked at first; the box's where boxes decide.
        best: best joint score, which the floor is compared with; the box's where boxes decide.
        outcome: code of :mod:`poseviewer.core.values`.
        other: candidate that similarity and matches refer to, -1 where none.
        similarity, matches: figures against ``other``.
        changed: other thresholds than the run's decided differently here.
    """

    index: int
    score: float
    best: float
    outcome: int
    other: int
    similarity: float
    matches: float
    changed: bool = False

    @property
    def number(self) -> int:
        """The number shown."""
        return self.index + 1

    @property
    def removed(self) -> bool:
        """Whether another candidate removed it."""
        return self.outcome in (BY_SIMILARITY, BY_MATCHES, BY_BOTH)


def candidate_rows(
    candidates: Candidates, shown: Suppression, original: Suppression | None = None, *, by_joints: bool = True
) -> list[CandidateRow]:
    """Return a row for each candidate, by number; ``by_joints`` is False where boxes or scores alone decided."""
    rows = []
    scores = candidates.scores if by_joints else candidates.box_scores[:, None]
    for i in range(min(len(candidates.scores), len(shown.outcome))):
        outcome, by = int(shown.outcome[i]), int(shown.by[i])
        before = int(original.outcome[i]) if original is not None and i < len(original.outcome) else outcome
        rows.append(
            CandidateRow(
                i, float(scores[i].mean()), float(scores[i].max(initial=0.0)), outcome,
                by if by >= 0 else int(shown.nearest[i]), float(shown.similarity[i]), float(shown.matches[i]),
                (outcome == KEPT) != (before == KEPT),
            )
        )  # fmt: skip
    return rows


def outcome_words(row: CandidateRow) -> str:
    """Return an outcome as the table shows it."""
    if row.outcome == KEPT:
        return tr("kept")
    if row.outcome == BELOW_FLOOR:
        return tr("below the floor")
    if row.outcome == TOO_SMALL:
        return tr("too small")
    return tr("removed by {number}", number=row.other + 1)


NMS_VERSIONS = (
    ("master", "AlphaPose, current"),
    ("old", "AlphaPose, 2018"),
    ("train", "AlphaPose, training branch"),
    ("2017", "RMPE release, 2017"),
    ("paper", "RMPE paper"),
    ("corrected", "Corrected form"),
)
"""The forms of pose NMS and whose they are."""


def form_words(nms: NmsConfig, joints: int) -> str:
    """Return which form of pose NMS decided and the numbers that no slider shows; "" where boxes or scores did."""
    if nms.version in ("box", "none"):
        return ""
    name = tr(dict(NMS_VERSIONS).get(nms.version, nms.version))
    if nms.version == "master" and joints in WHOLE_BODY:
        name = tr("{name}, whole body", name=name)
    numbers = f"δ₁ {nms.delta1:g}, δ₂ {nms.delta2:g}, μ {nms.mu:g}, α {nms.alpha:g}"
    return tr("Of the run: {name}; {numbers}", name=name, numbers=numbers)


def reason_words(row: CandidateRow, nms: NmsConfig) -> str:
    """Return why, with the figures that decided it."""
    similarity, gamma = f"{row.similarity:.2f}", f"{nms.gamma:.2f}"
    matches, least = f"{row.matches:g}", f"{nms.match_threshold:g}"
    if nms.version in ("box", "none"):
        return _box_reason(row, nms)
    if row.outcome == BELOW_FLOOR:
        return tr("best joint {best}, below {floor}", best=f"{row.best:.2f}", floor=f"{nms.score_floor:.2f}")
    if row.outcome == TOO_SMALL:
        return tr("its extent is below {area} square px", area=f"{nms.min_box_area:g}")
    if row.outcome == BY_SIMILARITY:
        return tr("similarity {value} above {limit}", value=similarity, limit=gamma)
    if row.outcome == BY_MATCHES:
        return tr("{value} matched joints, {limit} suffice", value=matches, limit=least)
    if row.outcome == BY_BOTH:
        return tr(
            "similarity {value} above {limit}, and {matches} matched joints, {least} suffice",
            value=similarity, limit=gamma, matches=matches, least=least,
        )  # fmt: skip
    if row.other < 0:
        return tr("nobody before it is near")
    return tr(
        "similarity to {number} is {value}, not above {limit}; {matches} matched joints, {least} needed",
        number=row.other + 1, value=similarity, limit=gamma, matches=matches, least=least,
    )  # fmt: skip


def _box_reason(row: CandidateRow, nms: NmsConfig) -> str:
    """Return why where poses are not compared: one-stage networks by boxes, bottom-up ones by the score alone."""
    overlap, limit = f"{row.similarity:.2f}", f"{nms.gamma:.2f}"
    if row.outcome == BELOW_FLOOR:
        return tr("score {score}, not above {floor}", score=f"{row.best:.2f}", floor=f"{nms.score_floor:.2f}")
    if row.outcome != KEPT:
        return tr("its box overlaps {number}'s by {value}, above {limit}", number=row.other + 1, value=overlap,
                  limit=limit)  # fmt: skip
    if nms.version == "none":
        return tr("grouping suppresses nobody whose score is above {floor}", floor=f"{nms.score_floor:.2f}")
    if row.other < 0:
        return tr("no better box overlaps its own")
    return tr("its box overlaps {number}'s by {value}, not above {limit}", number=row.other + 1, value=overlap,
              limit=limit)  # fmt: skip


def summary_words(suppression: Suppression) -> str:
    """Return how many were kept, removed and below the floor."""
    outcome = suppression.outcome
    kept = int((outcome == KEPT).sum())
    floor = int(np.isin(outcome, (BELOW_FLOOR, TOO_SMALL)).sum())
    removed = len(outcome) - kept - floor
    parts = [tr("{n} kept", n=kept), tr("{n} removed", n=removed)]
    if floor:
        parts.append(tr("{n} below the floor", n=floor))
    return ", ".join(parts)


def what_if_words(before: Suppression, after: Suppression, nms: NmsConfig, run: NmsConfig) -> str:
    """Return what ``nms`` would change against the run's own thresholds."""
    count = min(len(before.outcome), len(after.outcome))
    was, now = (set(np.flatnonzero(s.outcome[:count] == KEPT).tolist()) for s in (before, after))
    parts = []
    gone, back = sorted(was - now), sorted(now - was)
    if gone:
        numbers = _numbers(gone)
        one = tr("candidate {numbers} goes", numbers=numbers)
        parts.append(one if len(gone) == 1 else tr("candidates {numbers} go", numbers=numbers))
    if back:
        numbers = _numbers(back)
        one = tr("candidate {numbers} stays too", numbers=numbers)
        parts.append(one if len(back) == 1 else tr("candidates {numbers} stay too", numbers=numbers))
    if not parts:
        parts.append(tr("nothing changes"))
    people = len(now) + int((after.outcome[count:] == KEPT).sum())
    parts.append(tr("1 person stays") if people == 1 else tr("{n} people stay", n=people))
    return tr("At {limits}: {words}", limits=_limits(nms, run), words=", ".join(parts))


def _numbers(indices: list[int]) -> str:
    words = [str(i + 1) for i in indices]
    return words[0] if len(words) == 1 else tr("{first} and {last}", first=", ".join(words[:-1]), last=words[-1])


def _limits(nms: NmsConfig, run: NmsConfig) -> str:
    """Return the thresholds that differ from the run's, or the similarity alone."""
    parts = []
    if nms.match_threshold != run.match_threshold:
        least = f"{nms.match_threshold:g}"
        parts.append(tr("1 joint") if least == "1" else tr("{n} joints", n=least))
    if nms.score_floor != run.score_floor:
        parts.append(tr("floor {n}", n=f"{nms.score_floor:.2f}"))
    if nms.gamma != run.gamma or not parts:
        parts.insert(0, f"{nms.gamma:.2f}")
    return ", ".join(parts)


def warnings(candidates: Candidates, suppression: Suppression, skeleton: Skeleton, nms: NmsConfig) -> list[str]:
    """Return what looks wrong, each in two sentences, the first bold; at most three."""
    if not nms.enabled and nms.version != "none":
        return [tr("<b>Suppression was off in this run.</b> Every candidate was kept.")]
    by_joints = nms.version not in ("box", "none")
    rows = candidate_rows(candidates, suppression, by_joints=by_joints)
    kept = [row.index for row in rows if row.outcome == KEPT]
    found: list[str] = []
    for row in rows:
        if row.outcome == KEPT:
            found.extend(_kept_warning(row, kept, candidates, skeleton, nms))
        elif row.removed and row.other >= 0 and by_joints:
            overlap = float(box_iou(candidates.boxes[row.index], candidates.boxes[row.other])[0, 0])
            if overlap < OTHER_IOU:
                text = tr("<b>Candidate {n} may be another person.</b> It was removed by {other}, "
                          "though their boxes overlap by only {share} %.",
                          n=row.number, other=row.other + 1, share=f"{100 * overlap:.0f}")  # fmt: skip
                found.append(text)
    return found[:3]


def _kept_warning(
    row: CandidateRow, kept: list[int], candidates: Candidates, skeleton: Skeleton, nms: NmsConfig
) -> list[str]:
    others = [index for index in kept if index < row.index]
    if row.other < 0 or not others:
        return []
    because = tr(
        "Its similarity to candidate {other} is {value}, below {limit}, and {matches} joints match, {least} needed, "
        "so it was kept as well.",
        other=row.other + 1, value=f"{row.similarity:.2f}", limit=f"{nms.gamma:.2f}", matches=f"{row.matches:g}",
        least=f"{nms.match_threshold:g}",
    )  # fmt: skip
    if nms.version in ("box", "none"):
        because = tr("Their boxes overlap by {value}, and nothing else is compared.", value=f"{row.similarity:.2f}")
    shared = [index for index in others if shared_joints(candidates, row.index, index) >= MIXED_SHARE]
    if len(shared) >= 2:
        return [tr("<b>Candidate {n} mixes two people.</b>", n=row.number) + " " + because]
    if pose_oks(candidates, row.other, row.index, skeleton) >= SAME_OKS:
        return [tr("<b>Candidate {n} may be candidate {other} again.</b>", n=row.number, other=row.other + 1)
                + " " + because]  # fmt: skip
    return []


def shared_joints(candidates: Candidates, index: int, other: int) -> float:
    """Return the share of joints of a candidate that lie within 5 % of its box's longer side of another's."""
    x1, y1, x2, y2 = (float(v) for v in candidates.boxes[index])
    distance = np.linalg.norm(candidates.keypoints[index] - candidates.keypoints[other], axis=-1)
    return float((distance <= 0.05 * max(x2 - x1, y2 - y1)).mean())


def pose_oks(candidates: Candidates, truth: int, other: int, skeleton: Skeleton) -> float:
    """Return the OKS of two candidates; the area is that of the first one's box."""
    x1, y1, x2, y2 = (float(v) for v in candidates.boxes[truth])
    present = np.ones(candidates.keypoints.shape[1], dtype=bool)
    area = max((x2 - x1) * (y2 - y1), 1.0)
    return float(
        oks(candidates.keypoints[truth], present, candidates.keypoints[other][None], area, skeleton.sigma_array)[0]
    )


def owners(suppression: Suppression) -> npt.NDArray[np.int64]:
    """Return ``(N,)`` the kept candidate each one belongs to: itself if kept, its remover's, -1 for none."""
    result: npt.NDArray[np.int64] = np.full(len(suppression.outcome), -1, dtype=np.int64)
    for index in range(len(result)):
        at, seen = index, set()
        while at >= 0 and at not in seen and suppression.outcome[at] != KEPT:
            seen.add(at)
            at = int(suppression.by[at])
        if at >= 0 and suppression.outcome[at] == KEPT:
            result[index] = at
    return result


@lru_cache(maxsize=8)
def owner_ranks(suppression: Suppression) -> tuple[int, ...]:
    """Return for each candidate the 1-based rank of the kept one it belongs to, 0 for none; it chooses the colour."""
    kept = np.flatnonzero(suppression.outcome == KEPT).tolist()
    rank = {index: place for place, index in enumerate(kept, 1)}
    return tuple(rank.get(int(owner), 0) for owner in owners(suppression))
