"""Parametric pose NMS (RMPE section 3.3) in all its published versions, vectorised, with a report of who removed whom.

Pick the pose with the highest mean joint score, remove the poses that are too similar to it or match it in too many
joints, merge what was removed into it, repeat. Similarity and matches of all pairs are computed at once; the greedy
choice is then a walk over rows of a boolean matrix, so the report falls out of it at no extra cost.

The default is "as the reference computes it" (reference/alphapose.md section 6). Its oddities, kept in the named
reference versions and put right in version "corrected":

* The radius within which scores count is one pixel, whatever the person's size (0.1 of the box in the 2017 scripts).
* The whole-body form divides the match count by the number of candidates still alive, counts the score term only for
  joints *below* the floor, and its similarity cannot reach gamma with the heatmap constants (at most 5.95 + a little
  against 22.48): near-duplicates survive in crowded frames, and a pick may fail to remove itself and be picked again.

"corrected" measures distances in units of 0.1 of the picked person's box (as 2017), averages over joints instead of
summing (scaled to 17 joints, so that gamma means the same for any joint set), asks for ``match_threshold`` of 17 joints
in proportion, and always removes the pick with its group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.values import (
    BELOW_FLOOR,
    BY_BOTH,
    BY_MATCHES,
    BY_SIMILARITY,
    KEPT,
    TOO_SMALL,
    Array,
    Suppression,
)
from poseviewer.ops.nms_config import WHOLE_BODY, NmsConfig

MATCH_CAP = 7.0
"""Pixels: the reference distance of the match count is at most this."""
MERGE_CAP = 15.0
"""Pixels: the merge radius is at most this."""
PAIR_BLOCK = 1 << 16
"""Numbers per temporary array: keeps them in the cache."""
LEAST_EXPONENT = -25.0
"""exp() of less is nothing beside float32 sums: poses that are further apart everywhere need not be compared."""
HANDS, FACE = 42, 110
BODY_END, FACE_END = 26, 94
EXACT_VERSIONS = ("2017", "2017_mpii")
"""Versions that compute in float64, as the scripts they come from."""


@dataclass(frozen=True, slots=True, eq=False)
class Suppressed:
    """The survivors and the report.

    Attributes:
        keypoints: ``(M, K, 2)`` float32 merged poses, pixels.
        scores: ``(M, K)`` float32 merged joint scores.
        boxes: ``(M, 4)``, box_scores: ``(M,)``: of the picks.
        person_scores: ``(M,)`` the score the reference writes: mean + box score + 1.25 max of the joint scores.
        groups: for each survivor the candidates that were merged into it, ascending; normally includes itself.
        report: over all N candidates; ``report.kept`` has M entries.
    """

    keypoints: Array
    scores: Array
    boxes: Array
    box_scores: Array
    person_scores: Array
    groups: tuple[npt.NDArray[np.int64], ...]
    report: Suppression


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Figures of all pairs, rows and columns in order of falling human score; row i, column j >= i are valid.

    ``valid`` is None, or for the whole-body form the number of joints of each row that count.
    """

    similarity: npt.NDArray[np.floating]
    matches: npt.NDArray[np.floating]
    valid: npt.NDArray[np.float64] | None
    joints: int


def suppress_poses(
    boxes: Tensor, box_scores: Tensor, keypoints: Tensor, scores: Tensor, config: NmsConfig | None = None
) -> Suppressed:
    """Suppress and merge the candidates of one frame.

    The figures are computed on the CPU whatever the tensors' device: they are small, and the same figures come out
    everywhere.

    Args:
        boxes: ``(N, 4)`` xyxy pixels.
        box_scores: ``(N,)``.
        keypoints: ``(N, K, 2)`` pixels.
        scores: ``(N, K)`` joint scores.
        config: version and numbers; None is AlphaPose master.
    """
    config = config or NmsConfig()
    dtype = torch.float64 if config.version in EXACT_VERSIONS else torch.float32
    boxes, box_scores, keypoints, scores = (t.detach().to("cpu", dtype) for t in (boxes, box_scores, keypoints, scores))
    scores = _clean_scores(scores, config)
    human = scores.mean(dim=1)
    order = torch.sort(human, descending=True, stable=True).indices
    if not config.enabled or not len(order):
        return _everything(boxes, box_scores, keypoints, scores, order)
    sides = boxes[:, 2:] - boxes[:, :2]
    reference = (config.alpha * sides.amax(dim=1))[order]
    pairs = _pair_figures(keypoints[order], scores[order], reference, sides[order], config)
    groups = _choose(pairs, config)
    points, merged_scores = _merge(keypoints[order], scores[order], reference, groups, order, config)
    outcome = _pick_outcomes(scores[order], groups, points, merged_scores, config)
    report = _report(pairs, groups, outcome, order.numpy())
    stay, kept = torch.from_numpy(outcome == KEPT), torch.from_numpy(report.kept)
    points, merged_scores = _as_written(points[stay], merged_scores[stay], config)
    return Suppressed(
        keypoints=points.float().numpy(),
        scores=merged_scores.float().numpy(),
        boxes=boxes[kept].float().numpy(),
        box_scores=box_scores[kept].float().numpy(),
        person_scores=person_scores(merged_scores, box_scores[kept], config).float().numpy(),
        groups=tuple(np.sort(order.numpy()[g.members]) for g, o in zip(groups, outcome, strict=True) if o == KEPT),
        report=report,
    )


def person_scores(scores: Tensor, box_scores: Tensor, config: NmsConfig) -> Tensor:
    """Return the ``(M,)`` scores the reference writes for ``(M, K)`` joint scores and ``(M,)`` box scores."""
    if not len(scores):
        return scores.new_zeros(0)
    mean, best = scores.mean(dim=1), scores.amax(dim=1)
    if config.version == "train":
        return mean + 1.25 * best
    if config.version in EXACT_VERSIONS:
        sure = scores > config.score_floor
        sure_mean = (scores * sure).sum(dim=1) / sure.sum(dim=1).clamp(min=1)
        bonus = torch.where(sure.any(dim=1), sure_mean, torch.full_like(mean, config.score_floor))
        return mean + 0.5 * box_scores + 1.25 * best + bonus
    return mean + box_scores + 1.25 * best


def _clean_scores(scores: Tensor, config: NmsConfig) -> Tensor:
    """Replace the joint scores that would break the merging, as each version does."""
    tiny = scores.new_tensor(1e-5)
    if config.version == "train":
        return torch.where(scores <= 0.15, tiny, scores.clamp(max=1.0))
    if config.version == "corrected":
        return scores.clamp(min=1e-5)
    return torch.where(scores == 0, tiny, scores)


def _everything(boxes: Tensor, box_scores: Tensor, keypoints: Tensor, scores: Tensor, order: Tensor) -> Suppressed:
    """Keep all candidates, best first."""
    count = len(order)
    none = np.full(count, -1, dtype=np.int64)
    kept = order.numpy().astype(np.int64)
    report = Suppression(
        outcome=np.full(count, KEPT, dtype=np.int64),
        by=none,
        similarity=np.zeros(count, dtype=np.float32),
        nearest=none.copy(),
        matches=np.zeros(count, dtype=np.int64),
        kept=kept,
    )
    return Suppressed(
        keypoints=keypoints[order].float().numpy(),
        scores=scores[order].float().numpy(),
        boxes=boxes[order].float().numpy(),
        box_scores=box_scores[order].float().numpy(),
        person_scores=person_scores(scores[order], box_scores[order], NmsConfig()).float().numpy(),
        groups=tuple(np.array([index]) for index in kept),
        report=report,
    )


# --- figures of all pairs ---


def _pair_figures(keypoints: Tensor, scores: Tensor, reference: Tensor, sides: Tensor, config: NmsConfig) -> _Pairs:
    """Compute similarity and matches of pairs i <= j of candidates in picking order, block by block.

    Pairs that are too far apart to have either are left at zero.
    """
    count, joints = scores.shape
    similarity = torch.zeros(count, count, dtype=scores.dtype)
    matches = torch.zeros(count, count, dtype=scores.dtype)
    x, y = keypoints[..., 0].T.contiguous(), keypoints[..., 1].T.contiguous()
    soft = torch.tanh(scores / config.delta1).T.contiguous()
    whole_body = config.version == "master" and joints in WHOLE_BODY
    low = (scores < config.score_floor).T.contiguous()
    first, second = _near_pairs(keypoints, _reach(reference, sides, config))
    block = max(1, PAIR_BLOCK // joints)
    for start in range(0, len(first), block):
        i, j = first[start : start + block], second[start : start + block]
        # index_select: several times as fast as x[:, i].
        dx = x.index_select(1, i).sub_(x.index_select(1, j))
        dy = y.index_select(1, i).sub_(y.index_select(1, j))
        both = soft.index_select(1, i).mul_(soft.index_select(1, j))
        if config.version == "paper":
            figures = _paper_block(dx, dy, both, sides[i], config)
        else:
            distance = dx.square_().add_(dy.square_()).sqrt_()
            if whole_body:
                figures = _whole_body_block(distance, both, low.index_select(1, j), reference[i], config)
            else:
                figures = _body_block(distance, both, reference[i], config)
        similarity[i, j], matches[i, j] = figures
    valid = (scores > config.score_floor / 2).sum(dim=1).double().numpy() if whole_body else None
    return _Pairs(similarity.numpy(), matches.numpy(), valid, joints)


def _reach(reference: Tensor, sides: Tensor, config: NmsConfig) -> Tensor:
    """How far apart joints may be and still add to a figure of each pick, ``(N,)`` pixels."""
    scale = config.delta2 * max(1.0, config.face_factor, config.hand_factor)
    reach = torch.full_like(reference, -LEAST_EXPONENT * scale)
    if config.version == "paper":
        reach = torch.maximum(reach.sqrt(), sides.amax(dim=1) / 20)
    elif config.version in (*EXACT_VERSIONS, "corrected"):
        reach = reach * reference
    # A box turned inside out has a negative reference distance: as in the reference, everything matches it.
    reach = torch.where(reference < 0, torch.inf, reach)
    return reach.clamp(min=MATCH_CAP * max(1.0, config.face_factor, config.hand_factor))


def _near_pairs(keypoints: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pairs i <= j, ``(P,)`` each, whose extents are not further apart than ``reach`` of i."""
    low, high = keypoints.amin(dim=1), keypoints.amax(dim=1)
    near = torch.ones(len(reach), len(reach), dtype=torch.bool)
    for axis in (0, 1):
        near &= low[:, None, axis] - high[None, :, axis] <= reach[:, None]
        near &= low[None, :, axis] - high[:, None, axis] <= reach[:, None]
    near.triu_()
    near.fill_diagonal_(True)
    first, second = near.nonzero(as_tuple=True)
    return first, second


def _body_block(distance: Tensor, both: Tensor, reference: Tensor, config: NmsConfig) -> tuple[Tensor, Tensor]:
    """Similarity and match count of section 6.2 (and 6.4, "corrected") for ``(K, P)`` distances."""
    matched = (distance / reference.clamp(max=MATCH_CAP) <= 1).sum(dim=0).to(distance.dtype)
    if config.version in (*EXACT_VERSIONS, "corrected"):
        distance = distance / reference
    similarity = torch.where(distance <= 1, both, both.new_zeros(())).sum(dim=0)
    similarity = similarity + config.mu * _decay(distance, config.delta2).sum(dim=0)
    if config.version == "corrected":
        scale = 17 / len(distance)
        return similarity * scale, matched * scale
    return similarity, matched


def _decay(distance: Tensor, scale: float | Tensor) -> Tensor:
    """exp(-distance / scale); the floor avoids denormal results, which cost ten times the time."""
    return (distance / -scale).clamp_(min=2 * LEAST_EXPONENT).exp_()


def _paper_block(dx: Tensor, dy: Tensor, both: Tensor, sides: Tensor, config: NmsConfig) -> tuple[Tensor, Tensor]:
    """RMPE equations 8 to 10: joints count inside a box with sides 1/10 of the person box; distances are squared."""
    near = (dx.abs() <= sides[:, 0] / 20) & (dy.abs() <= sides[:, 1] / 20)
    soft = torch.where(near, both, both.new_zeros(())).sum(dim=0)
    spatial = _decay(dx * dx + dy * dy, config.delta2).sum(dim=0)
    return soft + config.mu * spatial, near.sum(dim=0).to(dx.dtype)


def _whole_body_block(
    distance: Tensor, both: Tensor, low: Tensor, reference: Tensor, config: NmsConfig
) -> tuple[Tensor, Tensor]:
    """Similarity and raw match count of section 6.3; similarity uses slices from the end, the count from the start."""
    joints = len(distance)
    term = torch.where((distance <= 1) & low, both, both.new_zeros(()))
    factor = distance.new_ones(joints)
    factor[-FACE:-HANDS], factor[-HANDS:] = config.face_factor, config.hand_factor
    decay = _decay(distance, (config.delta2 * factor)[:, None])
    decay = torch.where(low, decay.new_zeros(()), decay)
    body, face, hands = slice(0, joints - FACE), slice(joints - FACE, joints - HANDS), slice(joints - HANDS, joints)
    score_part = (
        term[body].mean(0)
        + config.face_score_weight * term[face].mean(0)
        + config.hand_score_weight * term[hands].mean(0)
    )
    distance_part = (
        decay[body].mean(0)
        + config.face_distance_weight * decay[face].mean(0)
        + config.hand_distance_weight * decay[hands].mean(0)
    )
    ratio = distance / reference.clamp(max=MATCH_CAP)
    matched = (
        (ratio[:BODY_END] <= 1).sum(0)
        + (ratio[BODY_END:FACE_END] <= config.face_factor).sum(0)
        + (ratio[FACE_END:] <= config.hand_factor).sum(0)
    )
    return score_part + config.mu * distance_part, matched.to(distance.dtype)


# --- the greedy choice ---


@dataclass(frozen=True, slots=True)
class _Group:
    """One pick and what it removed; positions in picking order. ``similar`` and ``matched`` belong to ``members``."""

    pick: int
    members: npt.NDArray[np.int64]
    similar: npt.NDArray[np.bool_]
    matched: npt.NDArray[np.bool_]


def _eliminates(
    pairs: _Pairs, row: int, columns: npt.NDArray[np.int64], config: NmsConfig
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which of ``columns`` pick ``row`` removes by similarity, and which by matches."""
    similarity = pairs.similarity[row, columns]
    if config.version in ("paper", "2017_mpii"):
        similar = similarity >= config.gamma if config.version == "paper" else similarity > config.gamma
        return similar, np.zeros(len(columns), dtype=bool)
    count = pairs.matches[row, columns]
    if pairs.valid is not None:
        # Section 6.3: divided by the candidates that are still alive; in float32 like all that follows the network
        # (section 15), as a count may be the threshold to the last digit.
        product = np.float32(2 * len(columns) * pairs.valid[row])
        share = count / product / np.float32(2) if product >= 2 else np.zeros_like(count)
        count = share * np.float32(pairs.joints)
    return similarity > config.gamma, count >= config.match_threshold


def _choose(pairs: _Pairs, config: NmsConfig) -> list[_Group]:
    """Pick and eliminate until nobody is left.

    A pick that its own group leaves out stays alive and is picked again (whole-body form), as in the reference.
    """
    alive = np.arange(len(pairs.similarity))
    groups: list[_Group] = []
    takes_itself = config.version in ("paper", "corrected")
    while len(alive):
        row = int(alive[0])
        similar, matched = _eliminates(pairs, row, alive, config)
        gone = similar | matched
        if takes_itself or not gone.any():
            gone[0] = True
        groups.append(_Group(row, alive[gone], similar[gone], matched[gone]))
        alive = alive[~gone]
    return groups


# --- merging ---


def _merge(
    keypoints: Tensor, scores: Tensor, reference: Tensor, groups: list[_Group], order: Tensor, config: NmsConfig
) -> tuple[Tensor, Tensor]:
    """Merge every group into its pick: score-weighted mean of the joints near the pick's (section 6.2 step 4).

    A joint to which nobody of the group comes near (possible only if the group leaves out its pick) becomes NaN, as
    in the reference.

    Returns:
        ``(P, K, 2)`` keypoints and ``(P, K)`` scores, one row a pick.
    """
    picks = torch.tensor([group.pick for group in groups])
    if config.version == "paper":
        return keypoints[picks], scores[picks]
    owner = torch.from_numpy(np.repeat(np.arange(len(groups)), [len(group.members) for group in groups]))
    # Added in the order of the candidates, as the reference: where a merged score equals the floor or a coordinate a
    # whole number, the rounding of the sums decides.
    candidate = order.numpy()
    member = torch.from_numpy(np.concatenate([g.members[np.argsort(candidate[g.members])] for g in groups]))
    own = picks[owner]
    distance = (keypoints[member] - keypoints[own]).square().sum(dim=2).sqrt()
    radius = reference[own] if config.version == "2017_mpii" else reference[own].clamp(max=MERGE_CAP)
    weight = scores[member] * (distance <= radius[:, None])
    zeros = scores.new_zeros(len(groups), scores.shape[1])
    # Normalised before summing, as the reference: the quotient of two sums rounds differently.
    share = weight / zeros.index_add(0, owner, weight)[owner]
    points = keypoints.new_zeros(len(groups), *keypoints.shape[1:])
    points = points.index_add(0, owner, keypoints[member] * share[..., None])
    if config.version == "2017_mpii":
        rows = owner[:, None].expand_as(weight)
        return points, torch.full_like(zeros, -torch.inf).scatter_reduce(0, rows, weight, "amax")
    return points, zeros.index_add(0, owner, share * weight)


def _pick_outcomes(
    scores: Tensor, groups: list[_Group], points: Tensor, merged_scores: Tensor, config: NmsConfig
) -> npt.NDArray[np.int64]:
    """Apply the score floor before and after merging and the least area; one outcome a pick."""
    own = scores[torch.tensor([group.pick for group in groups])]
    if config.version == "2017_mpii":
        weak = (own > config.score_floor).sum(dim=1) < 3
    else:
        weak = (own.amax(dim=1) < config.score_floor) | (merged_scores.amax(dim=1) < config.score_floor)
    extent = points.amax(dim=1) - points.amin(dim=1)
    small = 2.25 * extent[:, 0] * extent[:, 1] < config.min_box_area
    return np.where(weak.numpy(), BELOW_FLOOR, np.where(small.numpy(), TOO_SMALL, KEPT)).astype(np.int64)


def _as_written(points: Tensor, scores: Tensor, config: NmsConfig) -> tuple[Tensor, Tensor]:
    """Apply what each version does to the coordinates it writes."""
    if config.version in ("old", "train"):
        return points - 0.3, scores
    if config.version == "2017":
        shifted = points - 0.25
        return torch.where(shifted.isnan(), shifted.new_tensor([0.0, 1.0]).expand_as(shifted), shifted), scores
    if config.version == "2017_mpii":
        return points.trunc(), scores
    return points, scores


# --- the report ---


def _report(
    pairs: _Pairs, groups: list[_Group], pick_outcome: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
) -> Suppression:
    """Say for every candidate what became of it; positions become candidate indices at the end."""
    count = len(order)
    outcome = np.full(count, KEPT, dtype=np.int64)
    by = np.full(count, -1, dtype=np.int64)
    nearest = np.full(count, -1, dtype=np.int64)
    reasons = np.array([[BY_MATCHES, BY_MATCHES], [BY_SIMILARITY, BY_BOTH]])
    for group in groups:
        by[group.members] = nearest[group.members] = group.pick
        outcome[group.members] = reasons[group.similar.astype(int), group.matched.astype(int)]
    picks = np.array([group.pick for group in groups], dtype=np.int64)
    outcome[picks], by[picks] = pick_outcome, -1
    survivors = picks[pick_outcome == KEPT]
    nearest[picks] = _nearest_survivor(pairs, picks, np.unique(survivors))
    everyone = np.arange(count)
    rows = np.maximum(nearest, 0)
    similarity = np.where(nearest >= 0, pairs.similarity[rows, everyone], 0.0)
    matches = np.where(nearest >= 0, pairs.matches[rows, everyone], 0.0)
    place = np.empty(count, dtype=np.int64)
    place[order] = everyone
    index = np.append(order, -1)  # position -1 stays -1
    return Suppression(
        outcome=outcome[place],
        by=index[by][place],
        similarity=similarity[place].astype(np.float32),
        nearest=index[nearest][place],
        matches=np.rint(matches[place]).astype(np.int64),
        kept=order[survivors].astype(np.int64),
    )


def _nearest_survivor(
    pairs: _Pairs, picks: npt.NDArray[np.int64], survivors: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return for each pick the earlier survivor it is most similar to, or -1."""
    if not len(survivors):
        return np.full(len(picks), -1, dtype=np.int64)
    similarity = np.where(survivors[:, None] < picks[None, :], pairs.similarity[np.ix_(survivors, picks)], -np.inf)
    best = similarity.argmax(axis=0)
    return np.where(survivors[0] < picks, survivors[best], -1)
