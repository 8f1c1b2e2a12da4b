"""``run()``: frames in, results out, with the next frames decoded while these are computed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from poseviewer.core.progress import Note
from poseviewer.core.values import Frame, FrameResult, FrameSource
from poseviewer.pipeline.appearance import appearance_for
from poseviewer.pipeline.config import PipelineConfig, check_config
from poseviewer.pipeline.devices import BatchSize
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.tracking import Tracker, make_tracker, numbered
from poseviewer.pipeline.workers import Boxes, make_worker

AHEAD = 2
"""Batches decoded ahead of the one being computed."""


def run(
    media: FrameSource,
    frames: Sequence[int],
    config: PipelineConfig,
    *,
    networks: Networks,
    keep_evidence: bool = False,
    boxes: Mapping[int, Boxes] | None = None,
    on_note: Callable[[Note], None] | None = None,
    tracker: Tracker | None = None,
) -> Iterator[FrameResult]:
    """Compute the poses of ``frames``, in that order.

    The media belongs to the run until it ends: it is read on a thread of its own. Closing the generator stops that
    thread and frees the media within one batch.

    Args:
        media: where the frames come from.
        frames: indices; ascending order decodes fastest.
        config: what to compute.
        networks: as :func:`poseviewer.pipeline.loading.load_networks` made them for ``config``.
        keep_evidence: keep all candidates' crops and heatmaps in the results (about 1 MB a person).
        boxes: by frame index, ``(n, 4)`` xyxy or ``(n, 5)`` with scores, instead of the detector.
        on_note: told what does not stop the run, such as a smaller batch after memory ran out.
        tracker: goes on numbering people; a new one, as ``config`` names it, unless given.

    Raises:
        MediaError: a frame cannot be read; the results of all frames before it have been yielded.
        DeviceError: not enough memory for one person of one frame.
        WeightsError: ``networks`` are not for the configured pipeline.
        CallError: ``config`` makes no sense.
    """
    check_config(config)
    worker = make_worker(networks, config, on_note)
    if tracker is None:
        look = appearance_for(config)
        tracker = make_tracker(config.tracker, networks.skeleton, kind=media.info.kind, appearance=look)
    reader = _Reader(media, frames, AHEAD * worker.frames_at_once.value)
    try:
        for batch in _batches(reader, worker.frames_at_once):
            pictures = [item.frame for item in batch]
            results = worker.process(pictures, boxes=boxes, keep_evidence=keep_evidence)
            for item, result in zip(batch, results, strict=True):
                poses = result.poses if tracker is None else numbered(tracker, item.frame, result.poses)
                yield replace(result, poses=poses, fingerprint=item.fingerprint)
    finally:
        reader.close()


@dataclass(frozen=True, slots=True)
class _Item:
    """A decoded frame with its fingerprint."""

    frame: Frame
    fingerprint: str


class _Reader:
    """Decodes on its own thread, at most ``ahead`` frames in advance.

    Args:
        media: read on that thread only.
        indices: which frames.
        ahead: how many decoded frames may wait.
    """

    def __init__(self, media: FrameSource, indices: Sequence[int], ahead: int) -> None:
        self._waiting: queue.Queue[_Item | BaseException | None] = queue.Queue(max(1, ahead))
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(media, list(indices)), name="poseviewer-run-decode", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[_Item]:
        """Yield the frames; raise what stopped the reading, after the frames before it."""
        while (item := self._waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop after the frame being decoded and wait for that."""
        self._closed.set()
        while self._thread.is_alive():
            try:  # a full queue would hold the thread
                self._waiting.get_nowait()
            except queue.Empty:
                self._thread.join(0.02)

    def _read(self, media: FrameSource, indices: list[int]) -> None:
        from poseviewer.media import frame_fingerprint

        try:
            for frame in media.frames(indices):
                if self._closed.is_set():
                    return
                self._waiting.put(_Item(frame, frame_fingerprint(frame.pixels)))
        except BaseException as error:
            self._waiting.put(error)
        else:
            self._waiting.put(None)


def _batches(reader: _Reader, size: BatchSize) -> Iterator[list[_Item]]:
    """Group frames of one size; what was read before an error still comes out first."""
    batch: list[_Item] = []
    items = iter(reader)
    while True:
        try:
            item = next(items)
        except StopIteration:
            break
        except Exception:
            if batch:
                yield batch
            raise
        if batch and item.frame.pixels.shape != batch[0].frame.pixels.shape:
            yield batch
            batch = []
        batch.append(item)
        if len(batch) >= size.value:
            yield batch
            batch = []
    if batch:
        yield batch
