"""One-stage pipelines: an ultralytics pose network answers with whole people, one candidate an anchor.

Letterbox, network and choice of candidates run batched on the device, as in :mod:`poseviewer.pipeline.detector`. Who
is suppressed is decided on the host with a report; the decision itself is that of ultralytics' NMS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from poseviewer.core.errors import WeightsError
from poseviewer.core.progress import Note
from poseviewer.core.values import Candidates
from poseviewer.nets.weights import EstimatorSpec, LoadedEstimator
from poseviewer.nets.yolo import DEFAULT_INPUT_SIZE, YoloWeights, load_yolo
from poseviewer.pipeline.batches import Clock
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.detector import Letterbox
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.whole import Matrix, Seen, WholePicture, picture_evidence

SHOWN_FROM = 0.05
"""Anchors below the least score are shown as candidates from here on, so that another least score can be tried."""
MOST = 3000
"""At most so many candidates a frame, the best."""
SKELETONS = {17: "coco_17", 26: "halpe_26", 133: "coco_wholebody_133", 136: "halpe_136"}


class OneStageNetworks(Networks):
    """A pose network of ultralytics on its device.

    Args:
        weights: as :func:`poseviewer.nets.yolo.load_yolo` read them.
        device: where the network goes.
    """

    def __init__(self, weights: YoloWeights, device: torch.device) -> None:
        joints, _ = weights.joint_shape or (0, 0)
        side = int(weights.settings.get("input_size") or DEFAULT_INPUT_SIZE)
        spec = EstimatorSpec(
            family="yolo_pose",
            skeleton=SKELETONS.get(joints, ""),
            joints=joints,
            input_wh=(side, side),
            heatmap_wh=(0, 0),
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            decode="regression",
            output="regression",
        )
        network = weights.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Coordinates of a whole picture need more digits than bf16 has.
        super().__init__(LoadedEstimator(network, spec, weights.sha256), device, estimator_name=weights.name)
        self.weights = weights


def load_one_stage(path: Path, device: torch.device) -> OneStageNetworks:
    """Load a pose network of ultralytics.

    Raises:
        WeightsError: the file is missing, refused, or no pose network.
        MissingPartError: ultralytics is missing.
    """
    weights = load_yolo(path)
    if weights.joint_shape is None:
        raise WeightsError(
            f"{weights.name} finds boxes but no joints, so it is a detector, not a one-stage pose network.",
            file=path,
            remedy="Use it as the top-down pipeline's detector.",
        )
    return OneStageNetworks(weights, device)


class OneStage(WholePicture):
    """Finds people and their joints in one pass; see :class:`WholePicture`."""

    def __init__(
        self, networks: OneStageNetworks, config: PipelineConfig, on_note: Callable[[Note], None] | None = None
    ) -> None:
        super().__init__(networks, config, on_note)
        self.weights = networks.weights
        if self.weights.end_to_end:  # such a network was trained to answer once for each person
            self.nms = msgspec.structs.replace(self.nms, version="none")
        stride = self.weights.stride
        side = max(config.input_size or networks.spec.input_wh[0], stride)
        self.input_size = -(-side // stride) * stride
        self._floor = min(config.confidence, SHOWN_FROM) if self.nms.enabled else config.confidence

    def look(self, pixels: Tensor, clock: Clock, *, keep_evidence: bool) -> list[Seen]:
        """Return every anchor that may be a person, best first, with the picture as it was fed."""
        fit = Letterbox.fit(pixels.shape[2], pixels.shape[3], self.input_size, self.weights.stride)
        images = fit.apply(pixels)
        clock.mark("crops")
        answer = self.networks.estimator.module(images.contiguous(memory_format=torch.channels_last))
        answer = answer[0] if isinstance(answer, list | tuple) else answer
        clock.mark("estimator")
        candidates = self._candidates(answer, fit)
        clock.mark("decode")
        if not keep_evidence:
            return [Seen(one) for one in candidates]
        matrix = letterbox_matrix(fit)
        none = np.zeros((self.networks.joints, 0, 0), dtype=np.float32)
        return [
            Seen(one, picture_evidence(255 * image, matrix, none, matrix))
            for one, image in zip(candidates, images, strict=True)
        ]

    def _candidates(self, answer: Tensor, fit: Letterbox) -> list[Candidates]:
        """Choose anchors on the device, bring them to the host in one copy and part them by picture."""
        rows, scores = self._people(answer.float())
        picture, anchor = (scores > self._floor).nonzero(as_tuple=True)
        found = torch.cat([picture[:, None], scores[picture, anchor, None], rows[picture, anchor]], dim=1)
        table = found.cpu().numpy()
        joints, numbers = self.weights.joint_shape or (0, 3)
        scale = np.array([fit.width / fit.inner_width, fit.height / fit.inner_height], dtype=np.float32)
        border = np.array([fit.left, fit.top], dtype=np.float32)
        result = []
        for index in range(len(answer)):
            mine = table[table[:, 0] == index]
            mine = mine[np.argsort(-mine[:, 1], kind="stable")[:MOST]]
            boxes = (mine[:, 2:6].reshape(-1, 2, 2) - border) * scale
            points = mine[:, 6 : 6 + joints * numbers].reshape(-1, joints, numbers)
            places = np.clip((points[:, :, :2] - border) * scale, 0, (fit.width, fit.height))
            certain = points[:, :, 2] if numbers > 2 else np.ones(points.shape[:2])
            arrays = (places, certain, boxes.reshape(-1, 4), mine[:, 1])
            result.append(Candidates(*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays)))
        return result

    def _people(self, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes xyxy and joints ``(B, A, 4 + J)`` in input pixels, and scores ``(B, A)``, 0 for other classes."""
        if self.weights.end_to_end:
            person = answer[..., 5] == self.weights.person_class
            return torch.cat([answer[..., :4], answer[..., 6:]], dim=2), answer[..., 4] * person
        classes = len(self.weights.classes)
        columns = answer.transpose(1, 2)
        score, number = columns[..., 4 : 4 + classes].max(dim=2)
        middle, half = columns[..., :2], columns[..., 2:4] / 2
        rows = torch.cat([middle - half, middle + half, columns[..., 4 + classes :]], dim=2)
        return rows, score * (number == self.weights.person_class)


def letterbox_matrix(fit: Letterbox) -> Matrix:
    """Return ``(2, 3)`` input pixels to frame pixels, centres to centres: where the picture that was fed belongs.

    Joints and boxes are mapped back without the half pixel, as ultralytics maps them.
    """
    sx, sy = fit.width / fit.inner_width, fit.height / fit.inner_height
    return np.array([[sx, 0.0, (0.5 - fit.left) * sx - 0.5], [0.0, sy, (0.5 - fit.top) * sy - 0.5]])
