"""Associative embedding step by step in plain loops, as reference/hrnet_ae_mmpose.md section 13 words it: what the fast
form is compared with, in results and in time."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from poseviewer.ops.grouping import GroupingRules, joint_order


def loop_assign(cost: np.ndarray) -> list[tuple[int, int]]:
    """The assignment with its published order among ties, cell by cell."""
    rows, columns = cost.shape
    size = max(rows, columns)
    table = [[float(cost[i, j]) if i < rows and j < columns else 0.0 for j in range(size)] for i in range(size)]
    table = [[value - min(row) for value in row] for row in table]
    mark = [[0] * size for _ in range(size)]  # 1 star, 2 prime
    for i in range(size):
        for j in range(size):
            free = all(mark[i][q] != 1 for q in range(size)) and all(mark[p][j] != 1 for p in range(size))
            if table[i][j] == 0 and free:
                mark[i][j] = 1
                break
    row_cover, column_cover = [False] * size, [any(mark[p][j] == 1 for p in range(size)) for j in range(size)]
    while not all(column_cover):
        start = (0, 0)
        while True:
            found = _uncovered_zero(table, row_cover, column_cover, start)
            if found is None:
                least = min(
                    table[i][j] for i in range(size) if not row_cover[i] for j in range(size) if not column_cover[j]
                )
                for i in range(size):
                    for j in range(size):
                        if row_cover[i]:
                            table[i][j] += least
                        if not column_cover[j]:
                            table[i][j] -= least
                start = (0, 0)
                continue
            i, j = found
            mark[i][j] = 2
            star = next((q for q in range(size) if mark[i][q] == 1), None)
            if star is None:
                _augment(mark, i, j)
                break
            row_cover[i], column_cover[star] = True, False
            start = (i, star)
        row_cover = [False] * size
        column_cover = [any(mark[p][j] == 1 for p in range(size)) for j in range(size)]
    return [(i, j) for i in range(rows) for j in range(columns) if mark[i][j] == 1]


def _uncovered_zero(table, row_cover, column_cover, start) -> tuple[int, int] | None:
    size = len(table)
    for step in range(size):
        i = (start[0] + step) % size
        found = None
        for across in range(size):
            j = (start[1] + across) % size
            if table[i][j] == 0 and not row_cover[i] and not column_cover[j]:
                found = (i, j)
        if found is not None:
            return found
    return None


def _augment(mark, i: int, j: int) -> None:
    size = len(mark)
    path = [(i, j)]
    while True:
        star = next((p for p in range(size) if mark[p][path[-1][1]] == 1), None)
        if star is None:
            break
        path.append((star, path[-1][1]))
        path.append((star, next(q for q in range(size) if mark[star][q] == 2)))
    for p, q in path:
        mark[p][q] = 0 if mark[p][q] == 1 else 1
    for row in mark:
        for q in range(size):
            if row[q] == 2:
                row[q] = 0


def loop_group(heat: torch.Tensor, tags: torch.Tensor, rules: GroupingRules) -> tuple[np.ndarray, np.ndarray]:
    """People ``(P, K, 3 + T)`` float32 in cells and their scores, from ``(K, h, w)`` maps and ``(K, h, w, T)`` tags."""
    return _finished(loop_match(heat, tags, rules, rules.most), heat.numpy(), tags.numpy(), rules)


def loop_match(heat: torch.Tensor, tags: torch.Tensor, rules: GroupingRules, most: int) -> np.ndarray:
    """People ``(P, K, 3 + T)`` float32 in whole cells, of at most ``most`` candidates per joint."""
    joints, _, width = heat.shape
    peaks = F.max_pool2d(heat[None], rules.kernel, 1, rules.kernel // 2)[0]
    values, places = (heat * (peaks == heat)).flatten(1).topk(most, dim=1)
    own = tags.numpy()
    people: dict[float, np.ndarray] = {}
    held: dict[float, list[np.ndarray]] = {}
    for joint in joint_order(rules, joints):
        candidates = []
        for value, place in zip(values[joint].numpy(), places[joint].numpy(), strict=True):
            if value > rules.detection_threshold:
                x, y = place % width, place // width
                candidates.append((np.array([x, y, value, *own[joint, y, x]], dtype=np.float64), own[joint, y, x]))
        if not candidates:
            continue
        keys = list(people)[: rules.most]
        if keys and rules.ignore_too_much and len(keys) == rules.most:
            continue
        pairs = _pairs(candidates, [np.mean(held[key], axis=0) for key in keys], rules) if keys else {}
        for place, (row, tag) in enumerate(candidates):
            column = pairs.get(place)
            if column is not None:
                people[keys[column]][joint] = row
                held[keys[column]].append(tag)
            else:
                key = float(tag[0])
                people.setdefault(key, np.zeros((joints, 3 + own.shape[3])))[joint] = row
                held[key] = [tag]
    return np.array(list(people.values()), dtype=np.float32).reshape(-1, joints, 3 + own.shape[3])


def _pairs(candidates, means, rules: GroupingRules) -> dict[int, int]:
    away = np.array([[np.linalg.norm(row[3:] - mean) for mean in means] for row, _ in candidates])
    if rules.form == "ae":
        away = away / np.sqrt(len(means[0]))
    cost = away.copy()
    if rules.use_value:
        cost = np.round(away) * 100 - np.array([[row[2]] for row, _ in candidates])
    if cost.shape[0] > cost.shape[1]:
        cost = np.concatenate([cost, np.full((len(cost), cost.shape[0] - cost.shape[1]), 1e10)], axis=1)
    found = loop_assign(cost)
    return {i: j for i, j in found if j < len(means) and away[i, j] < rules.tag_threshold}


def _quarter(heat: np.ndarray, x: int, y: int, low_row: int, low_column: int) -> tuple[float, float]:
    height, width = heat.shape
    right, left = heat[y, min(x + 1, low_column, width - 1)], heat[y, max(x - 1, 0)]
    down, up = heat[min(y + 1, low_row, height - 1), x], heat[max(y - 1, 0), x]
    return (0.25 if right > left else -0.25), (0.25 if down > up else -0.25)


def _finished(
    people: np.ndarray, heat: np.ndarray, tags: np.ndarray, rules: GroupingRules
) -> tuple[np.ndarray, np.ndarray]:
    joints, height, width = heat.shape
    for person in people:
        for joint in range(joints):
            if person[joint, 2] > 0:
                dx, dy = _quarter(heat[joint], int(person[joint, 0]), int(person[joint, 1]), height - 1, width - 1)
                person[joint, :2] += (dx + 0.5, dy + 0.5)
    scores = people[:, :, 2].mean(axis=1)
    ae = rules.form == "ae"
    for person in people:
        found = [joint for joint in range(joints) if person[joint, 2] > 0]
        mean = np.mean([tags[j, int(person[j, 1]), int(person[j, 0])] for j in found], axis=0)
        for joint in range(joints):
            if person[joint, 2] > 0:
                continue
            away = np.sqrt(((tags[joint] - mean) ** 2).sum(axis=2))
            y, x = np.unravel_index(int((heat[joint] - np.round(away)).argmax()), (height, width))
            if heat[joint, y, x] > 0:
                rows, columns = (joints - 1, height - 1) if ae else (height - 1, width - 1)
                dx, dy = _quarter(heat[joint], int(x), int(y), rows, columns)
                person[joint, :3] = (x + 0.5 + dx, y + 0.5 + dy, 1.0 if ae else heat[joint, y, x])
    return people, scores


def crowd(people: int, seed: int, *, size: int = 128, dimensions: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy maps ``(17, size, size)`` and tags of people who overlap and lack a tenth of their joints."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    heat = rng.normal(0, 0.01, (17, size, size)).astype(np.float32)
    tags = rng.normal(0, 0.05, (17, size, size, dimensions)).astype(np.float32)
    for person in range(people):
        middle = rng.uniform(8, size - 8, 2)
        for joint in range(17):
            place = np.clip(middle + rng.normal(0, 0.07 * size, 2), 1, size - 2)
            if rng.random() < 0.1:
                continue
            away = (x - place[0]) ** 2 + (y - place[1]) ** 2
            heat[joint] = np.maximum(heat[joint], rng.uniform(0.4, 0.95) * np.exp(-away / 8))
            tags[joint][away < 16] = 1.5 * person + rng.normal(0, 0.08, dimensions)
    return torch.from_numpy(heat.astype(np.float32)), torch.from_numpy(tags)
