"""The person detector: letterbox, YOLO network, NMS and the way back, batched on the device.

Frames are uploaded once by the caller; everything here stays on that device. The letterbox has the geometry of
ultralytics' ``LetterBox(auto=True)``: one scale, a grey border that fills the sides up to multiples of the stride,
rounded as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.core.errors import CallError
from poseviewer.core.resources import resource
from poseviewer.nets.ultralytics_parts import ultralytics_parts
from poseviewer.nets.yolo import DEFAULT_INPUT_SIZE, YoloWeights, load_yolo

BUNDLED = "weights/detector.safetensors"
GREY = 114
LEAST_CONFIDENCE = 0.01
DEFAULT_CONFIDENCE = 0.25
DEFAULT_IOU = 0.6
DEFAULT_MOST = 100


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """What a detector is: enough to name it in a run and to repeat its work.

    Attributes:
        name: file name of the weights.
        sha256: of that file.
        input_size: long side of the network's input, pixels, a multiple of ``stride``.
        stride: the network's largest stride.
        person_classes: class numbers that are returned.
        confidence, iou: thresholds it uses when a call gives none.
        most: at most so many persons a frame.
    """

    name: str
    sha256: str
    input_size: int
    stride: int
    person_classes: tuple[int, ...]
    confidence: float
    iou: float
    most: int


@dataclass(frozen=True, slots=True)
class DetectedBoxes:
    """The persons of one frame, best first.

    Attributes:
        boxes: (n, 4) float32 xyxy in displayed pixels, on the frame's device, clipped to the frame.
        scores: (n,) float32 0..1.
    """

    boxes: Tensor
    scores: Tensor


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a frame was fitted into the network's input.

    Attributes:
        width, height: of the frame.
        inner_width, inner_height: of the scaled frame inside the input.
        left, top, right, bottom: grey border, pixels.
    """

    width: int
    height: int
    inner_width: int
    inner_height: int
    left: int
    top: int
    right: int
    bottom: int

    @staticmethod
    def fit(height: int, width: int, size: int, stride: int) -> Letterbox:
        """Return the letterbox of a frame for an input of at most ``size`` by ``size`` pixels."""
        scale = min(size / height, size / width)
        inner_width, inner_height = max(round(width * scale), 1), max(round(height * scale), 1)
        dw, dh = (size - inner_width) % stride / 2, (size - inner_height) % stride / 2
        return Letterbox(
            width,
            height,
            inner_width,
            inner_height,
            round(dw - 0.1),
            round(dh - 0.1),
            round(dw + 0.1),
            round(dh + 0.1),
        )

    def apply(self, frames: Tensor, *, smooth: bool = False) -> Tensor:
        """Scale and pad frames.

        Args:
            frames: (B, 3, H, W) uint8 or float, 0..255.
            smooth: average over the pixels that fall together when scaling down.

        Returns:
            (B, 3, h, w) float32 0..1.
        """
        if frames.device.type == "cpu":
            # One frame at a time, colours apart: it stays in the cache, and rows of one colour are scaled faster.
            images = torch.cat([self._scaled(_planes(frame)[None], smooth=smooth) for frame in frames])
        else:
            images = self._scaled(frames, smooth=smooth)
        border = (self.left, self.right, self.top, self.bottom)
        return F.pad(images, border, value=float(GREY)) / 255.0

    def _scaled(self, frames: Tensor, *, smooth: bool) -> Tensor:
        images = frames.float()
        inner = (self.inner_height, self.inner_width)
        if inner == images.shape[-2:]:
            return images
        return F.interpolate(images, inner, mode="bilinear", align_corners=False, antialias=smooth)

    def back(self, boxes: Tensor) -> Tensor:
        """Map (n, 4) xyxy boxes of the input to displayed pixels and clip them to the frame.

        The scaled frame's edges are the frame's edges, so the two sides have their own exact scale.
        """
        shift = boxes.new_tensor([self.left, self.top, self.left, self.top])
        sx, sy = self.width / self.inner_width, self.height / self.inner_height
        mapped = (boxes - shift) * boxes.new_tensor([sx, sy, sx, sy])
        limit = boxes.new_tensor([self.width, self.height, self.width, self.height])
        return torch.minimum(mapped.clamp(min=0), limit)


class Detector:
    """Finds persons in frames; see :meth:`load`."""

    def __init__(
        self,
        weights: YoloWeights,
        device: torch.device | str = "cpu",
        *,
        input_size: int | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        most: int = DEFAULT_MOST,
    ) -> None:
        settings = weights.settings
        stride = weights.stride
        size = int(input_size or settings.get("input_size") or DEFAULT_INPUT_SIZE)
        if size < stride:
            raise CallError(f"The detector's input size must be at least {stride} pixels, not {size}.")
        self.spec = DetectorSpec(
            name=weights.name,
            sha256=weights.sha256,
            input_size=-(-size // stride) * stride,
            stride=stride,
            person_classes=(weights.person_class,),
            confidence=_confidence(confidence, float(settings.get("confidence", DEFAULT_CONFIDENCE))),
            iou=float(settings.get("iou", DEFAULT_IOU)) if iou is None else iou,
            most=most,
        )
        self._smooth = bool(settings.get("smooth", False))
        self._classes = len(weights.classes)
        self._end_to_end = weights.end_to_end
        self.device = torch.device(device)
        self._network = weights.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        device: torch.device | str = "cpu",
        *,
        input_size: int | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        most: int = DEFAULT_MOST,
    ) -> Detector:
        """Load a detector.

        Args:
            path: YOLO detection weights (our safetensors, or ``.pt`` through the allow-list); None = the bundled one.
            device: where the network lives; frames must be there too.
            input_size: long side of the input in pixels; None = what the weights recommend, else 640.
            confidence: least score, 0.01 to 1; None = what the weights recommend, else 0.25.
            iou: two boxes that overlap more are one person; None = as recommended, else 0.6.
            most: at most so many persons a frame.

        Raises:
            WeightsError: the weights are missing or refused.
            MissingPartError: ultralytics or the bundled weights are missing.
            CallError: a size or threshold makes no sense.
        """
        file = resource(BUNDLED) if path is None else Path(path)
        return cls(load_yolo(file), device, input_size=input_size, confidence=confidence, iou=iou, most=most)

    @torch.inference_mode()
    def __call__(
        self,
        frames: Tensor | Sequence[Tensor],
        *,
        confidence: float | None = None,
        iou: float | None = None,
    ) -> list[DetectedBoxes]:
        """Find the persons of frames of one size.

        Args:
            frames: (B, 3, H, W) uint8 RGB on the detector's device, or a list of (3, H, W).
            confidence, iou: instead of the detector's own thresholds.

        Returns:
            one :class:`DetectedBoxes` a frame.

        Raises:
            CallError: the frames differ in size or are no RGB pictures, or a threshold makes no sense.
        """
        batch = _stacked(frames)
        if batch.shape[0] == 0:
            return []
        fit = Letterbox.fit(batch.shape[2], batch.shape[3], self.spec.input_size, self.spec.stride)
        images = fit.apply(batch, smooth=self._smooth)
        answer = self._network(images.contiguous(memory_format=torch.channels_last))
        answer = answer[0] if isinstance(answer, list | tuple) else answer
        rows = ultralytics_parts().nms(
            answer,
            _confidence(confidence, self.spec.confidence),
            self.spec.iou if iou is None else iou,
            classes=list(self.spec.person_classes),
            max_det=self.spec.most,
            nc=self._classes,
            max_time_img=10.0,  # its time limit would drop persons on a busy machine
            end2end=self._end_to_end,
        )
        rows = [row[row[:, 4].argsort(descending=True, stable=True)].float() for row in rows]
        return [DetectedBoxes(fit.back(row[:, :4]), row[:, 4]) for row in rows]


def _planes(frame: Tensor) -> Tensor:
    """A frame (3, H, W) on the CPU with each colour in one piece; decoded frames have a pixel's colours together."""
    pixels = frame.permute(1, 2, 0)
    if not pixels.is_contiguous() or frame.dtype != torch.uint8:
        return frame.contiguous()
    planes = torch.empty(frame.shape, dtype=torch.uint8)
    cv2.split(pixels.numpy(), [plane.numpy() for plane in planes])
    return planes


def _stacked(frames: Tensor | Sequence[Tensor]) -> Tensor:
    if not isinstance(frames, Tensor):
        if not frames:
            return torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
        if len({tuple(frame.shape) for frame in frames}) > 1:
            raise CallError("The detector takes frames of one size at a time.")
        frames = torch.stack(list(frames))
    if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape[2:]:
        raise CallError(f"The detector takes RGB frames (B, 3, H, W), not {tuple(frames.shape)}.")
    return frames


def _confidence(asked: float | None, default: float) -> float:
    value = default if asked is None else asked
    if not LEAST_CONFIDENCE <= value <= 1.0:
        raise CallError(f"The detector's least confidence must lie between {LEAST_CONFIDENCE} and 1, not {value}.")
    return value
