"""Parametric pose NMS written as plainly as its description: one pair and one joint at a time.

The yardstick for poseviewer.ops.suppression in tests and in tests/benchmarks/bench_nms.py. Section numbers are those of
the reference document alphapose.md.
"""

from __future__ import annotations

import math

import numpy as np

F32 = np.float32


def loop_nms(boxes, box_scores, poses, scores, config):
    """AlphaPose's published versions (sections 6.2 to 6.4) for N candidates.

    Returns:
        picks, groups (lists of candidate indices, ascending), keypoints (M, K, 2), scores (M, K).
    """
    if config.version == "train":
        scores = np.where(scores <= 0.15, F32(1e-5), np.minimum(scores, 1))
    scores = np.where(scores == 0, F32(1e-5), scores).astype(F32)
    reference = [F32(config.alpha) * max(box[2] - box[0], box[3] - box[1]) for box in boxes]
    human = [float(row.mean()) for row in scores]
    alive = list(range(len(boxes)))
    picked, groups = [], []
    while alive:
        best = max(alive, key=lambda index: (human[index], -index))
        group = []
        for other in alive:
            similarity, matches = _figures(best, other, poses, scores, reference, len(alive), config)
            if similarity > config.gamma or matches >= config.match_threshold:
                group.append(other)
        group = group or [best]
        picked.append(best)
        groups.append(group)
        alive = [index for index in alive if index not in group]
    return _merged(picked, groups, poses, scores, reference, config)


def _figures(i, j, poses, scores, reference, alive, config):
    joints = len(scores[i])
    whole_body = config.version == "master" and joints in (133, 136)
    distances = [math.dist(poses[i][n].astype(float), poses[j][n].astype(float)) for n in range(joints)]
    limit = min(float(reference[i]), 7.0)
    if not whole_body:
        similarity = 0.0
        unit = float(reference[i]) if config.version in ("2017", "2017_mpii") else 1.0
        for n, distance in enumerate(distances):
            if distance / unit <= 1:
                similarity += math.tanh(scores[i][n] / config.delta1) * math.tanh(scores[j][n] / config.delta1)
            similarity += config.mu * math.exp(-distance / unit / config.delta2)
        if config.version == "2017_mpii":
            return similarity, -1.0
        return similarity, sum(limit > 0 and distance / limit <= 1 for distance in distances)
    parts = [(0, joints - 110), (joints - 110, joints - 42), (joints - 42, joints)]
    factors = (1.0, config.face_factor, config.hand_factor)
    score_weights = (1.0, config.face_score_weight, config.hand_score_weight)
    distance_weights = (1.0, config.face_distance_weight, config.hand_distance_weight)
    similarity = 0.0
    for (first, last), factor, score_weight, distance_weight in zip(
        parts, factors, score_weights, distance_weights, strict=True
    ):
        score_sum = distance_sum = 0.0
        for n in range(first, last):
            low = scores[j][n] < config.score_floor
            if distances[n] <= 1 and low:
                score_sum += math.tanh(scores[i][n] / config.delta1) * math.tanh(scores[j][n] / config.delta1)
            if not low:
                distance_sum += math.exp(-distances[n] / (config.delta2 * factor))
        similarity += score_weight * score_sum / (last - first)
        similarity += config.mu * distance_weight * distance_sum / (last - first)
    valid = sum(score > config.score_floor / 2 for score in scores[i])
    if 2 * alive * valid < 2:
        return similarity, 0.0
    total = 0
    for n, distance in enumerate(distances):
        factor = 1.0 if n < 26 else config.face_factor if n < 94 else config.hand_factor
        total += limit > 0 and distance / limit <= factor
    return similarity, total * joints / (4 * alive * valid)


def _merged(picked, groups, poses, scores, reference, config):
    kept, kept_groups, all_points, all_scores = [], [], [], []
    for best, group in zip(picked, groups, strict=True):
        mpii = config.version == "2017_mpii"
        if (scores[best] > 0.3).sum() < 3 if mpii else scores[best].max() < config.score_floor:
            continue
        radius = float(reference[best]) if mpii else min(float(reference[best]), 15.0)
        points, values = np.zeros((len(scores[best]), 2)), np.zeros(len(scores[best]))
        for n in range(len(values)):
            near = [j for j in group if math.dist(poses[best][n].astype(float), poses[j][n].astype(float)) <= radius]
            total = sum(float(scores[j][n]) for j in near)
            if not near or total == 0:
                points[n], values[n] = np.nan, np.nan
                continue
            points[n] = sum(float(scores[j][n]) * poses[j][n].astype(float) for j in near) / total
            values[n] = sum(float(scores[j][n]) ** 2 for j in near) / total
            if mpii:
                values[n] = max(scores[j][n] for j in near)
        extent = points.max(0) - points.min(0)
        weak = not mpii and values.max() < config.score_floor
        if weak or 2.25 * extent[0] * extent[1] < config.min_box_area:
            continue
        points = (
            np.trunc(points) if mpii else points - {"old": 0.3, "train": 0.3, "2017": 0.25}.get(config.version, 0.0)
        )
        kept.append(best)
        kept_groups.append(sorted(group))
        all_points.append(points)
        all_scores.append(values)
    return kept, kept_groups, np.array(all_points), np.array(all_scores)


def scene(rng, candidates, joints, people, size=(640.0, 480.0), jitter=2.0):
    """Random candidates: noisy copies of a few random people, some exact, with zero and low scores among them."""
    centres = rng.uniform((0, 0), size, (people, 1, 2))
    bodies = centres + rng.normal(0, 1, (people, joints, 2)) * (25, 60)
    owner = rng.integers(0, people, candidates)
    noise = rng.normal(0, jitter, (candidates, joints, 2)) * rng.choice([0.0, 0.2, 1.0], (candidates, 1, 1))
    poses = (bodies[owner] + noise).astype(F32)
    scores = rng.uniform(0, 1, (candidates, joints)).astype(F32) * rng.choice([0.2, 1.0], (candidates, 1)).astype(F32)
    scores[rng.random(scores.shape) < 0.05] = 0
    boxes = np.concatenate([poses.min(1), poses.max(1)], axis=1).astype(F32)
    return boxes, rng.uniform(0, 1, candidates).astype(F32), poses, scores
