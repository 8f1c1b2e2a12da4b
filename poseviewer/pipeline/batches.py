"""What all pipelines share: frames go through in batches, which shrink when the memory does not suffice."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseviewer.core.progress import Note
from poseviewer.core.values import Frame, FrameResult
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.devices import BatchSize, is_out_of_memory, out_of_memory, release_memory
from poseviewer.pipeline.networks import Networks

Boxes = npt.NDArray[np.floating]
MOST_FRAMES_ON_CPU = 2
"""A CPU gains little from larger batches, and somebody who looks at a frame waits for the batch that runs."""


class Clock:
    """Seconds by step; waits for the device only where somebody looks at the figures."""

    def __init__(self, device: torch.device, *, exact: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._exact = exact and device.type == "cuda"
        self._last = time.perf_counter()

    def mark(self, step: str) -> None:
        """Count the time since the last mark as ``step``."""
        if self._exact:
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


class Batched(ABC):
    """Turns batches of frames into results.

    Args:
        networks: as :func:`poseviewer.pipeline.loading.load_networks` made them for the pipeline.
        config: thresholds and batch sizes; its weights and device are ``networks``' business.
        on_note: told when a batch had to be halved.
    """

    def __init__(
        self, networks: Networks, config: PipelineConfig, on_note: Callable[[Note], None] | None = None
    ) -> None:
        self.networks = networks
        self.config = config
        most = MOST_FRAMES_ON_CPU if networks.device.type == "cpu" else config.batch_frames
        self.frames_at_once = BatchSize(min(config.batch_frames, most), "frame", "frames")
        self._on_note = on_note or (lambda note: None)

    @torch.inference_mode()
    def process(
        self, frames: Sequence[Frame], *, boxes: Mapping[int, Boxes] | None = None, keep_evidence: bool = False
    ) -> list[FrameResult]:
        """Return the results of ``frames``, which have one size, in their order.

        Args:
            frames: any number; they go through in batches.
            boxes: by frame index, ``(n, 4)`` xyxy or ``(n, 5)`` with scores: the people that are wanted; frames that
                are not in it have none.
            keep_evidence: keep all candidates, crops and maps.

        Raises:
            DeviceError: if the memory does not suffice for the smallest batch.
        """
        results: list[FrameResult] = []
        while len(results) < len(frames):
            batch = frames[len(results) : len(results) + self.frames_at_once.value]
            try:
                results += self._batch(batch, boxes, keep_evidence)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(self.frames_at_once, error)
        return results

    @abstractmethod
    def _batch(
        self, frames: Sequence[Frame], boxes: Mapping[int, Boxes] | None, keep_evidence: bool
    ) -> list[FrameResult]:
        """Return the results of one batch."""

    def _shrink(self, size: BatchSize, error: BaseException) -> None:
        """Make the batch smaller and say so, or give up."""
        device = self.networks.device
        release_memory(device)
        if not size.halve():
            raise out_of_memory(device, "even for one frame and one person at a time") from error
        self._on_note(Note(f"The memory of {device} ran out: going on with {size}.", "warning"))


def upload(frames: Sequence[Frame], device: torch.device) -> Tensor:
    """Bring frames of one size to the device: ``(B, 3, H, W)`` uint8, channels last in memory, as decoded."""
    if len(frames) == 1:
        # from_numpy warns about read-only arrays; nothing here writes to frames.
        stacked = np.ascontiguousarray(frames[0].pixels)[None]
        if not stacked.flags.writeable:
            stacked = stacked.copy()
    else:
        stacked = np.stack([frame.pixels for frame in frames])
    batch = torch.from_numpy(stacked)
    if device.type == "cuda":
        batch = batch.pin_memory().to(device, non_blocking=True)
    return batch.permute(0, 3, 1, 2)
