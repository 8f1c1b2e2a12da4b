"""MMPose's associative embedding decoded person by person and joint by joint, as reference/hrnet_ae_mmpose.md section
13 words it: what the fast form is compared with, in results and in time."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from loop_grouping import loop_match

from poseviewer.ops.codec_ae_mmpose import AeCodec


def loop_decode(maps: torch.Tensor, tag_maps: torch.Tensor, codec: AeCodec) -> tuple[np.ndarray, np.ndarray]:
    """Joints ``(P, K, 2)`` in input pixels and scores ``(P, K)``, from ``(K, h, w)`` maps and ``(T K, h, w)`` tags."""
    joints, height, width = maps.shape
    tags = tag_maps.reshape(-1, joints, height, width).permute(1, 2, 3, 0).contiguous()
    rows = loop_match(maps, tags, codec.matching_rules(), codec.most)[: codec.most_people]
    heat, own = maps.numpy(), tags.numpy()
    known = np.stack([_logarithm(plane, codec.blur) for plane in heat]) if codec.udp else heat
    edged = np.pad(known, ((0, 0), (1, 1), (1, 1)), mode="edge")
    less = 1 if codec.udp else 0
    pairs = zip(codec.input_wh, codec.heatmap_wh, strict=True)
    factors = np.array([(a - less) / (b - less) for a, b in pairs], dtype=np.float32).astype(float)
    points, scores = np.zeros((len(rows), joints, 2)), rows[..., 2].copy()
    for place, person in enumerate(rows):
        found = [joint for joint in range(joints) if person[joint, 2] > 0]
        for joint in range(joints):
            x, y = int(person[joint, 0]), int(person[joint, 1])
            step = _newton(edged[joint], x, y) if codec.udp else -_quarter(heat[joint], x, y)
            points[place, joint] = np.float32([x, y]) - step + (codec.shift if joint in found else 0)
        at = [np.clip(points[place, joint].astype(int), 0, [width - 1, height - 1]) for joint in found]
        mean = np.mean([own[joint, y, x] for joint, (x, y) in zip(found, at, strict=True)], axis=0)
        for joint in set(range(joints)) - set(found):
            away = np.sqrt(((own[joint] - mean) ** 2).sum(axis=2))
            y, x = np.unravel_index(int((np.round(away) * 100 - known[joint]).argmin()), (height, width))
            points[place, joint], scores[place, joint] = (x, y), known[joint, y, x]
    return points * factors, scores


def _logarithm(plane: np.ndarray, blur: int) -> np.ndarray:
    wide = np.pad(plane, blur // 2)
    soft = cv2.GaussianBlur(wide, (blur, blur), 0)[blur // 2 : -(blur // 2), blur // 2 : -(blur // 2)]
    return np.log(np.clip(soft * (plane.max() / soft.max()), 1e-3, 50))


def _newton(edged: np.ndarray, x: int, y: int) -> np.ndarray:

    def at(dx: int, dy: int) -> float:
        return float(edged[y + 1 + dy, x + 1 + dx])

    gradient = np.array([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)]) / 2
    across = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * at(0, 0) - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    xx, yy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    return np.linalg.solve(np.array([[xx, across], [across, yy]]) + np.finfo(np.float32).eps * np.eye(2), gradient)


def _quarter(plane: np.ndarray, x: int, y: int) -> np.ndarray:
    height, width = plane.shape
    moved = np.zeros(2)
    if 1 < x < width - 1 and 0 < y < height:
        moved[0] = 0.25 * np.sign(plane[y, x + 1] - plane[y, x - 1])
    if 1 < y < height - 1 and 0 < x < width:
        moved[1] = 0.25 * np.sign(plane[y + 1, x] - plane[y - 1, x])
    return moved
