"""One prediction on several processes that `torchrun` started: each computes a range of every media's frames.

The first process opens projects and files, speaks, stores and draws as a single one does; it only takes the results of
its own frames from its pipeline, and those of the others from them, in order. The others do nothing but compute. Who is
who from frame to frame is decided by the first process, which alone sees all frames in order.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from poseviewer.core.errors import KnownError, MissingPartError
from poseviewer.core.progress import Note
from poseviewer.core.values import Array, FrameResult, FrameSource
from poseviewer.pipeline.config import PipelineConfig

if TYPE_CHECKING:
    from poseviewer.pipeline.networks import Networks
    from poseviewer.pipeline.tracking import Tracker

CHUNK = 64
"""Frames whose results travel together."""
PATIENCE = datetime.timedelta(days=7)
"""A process that is done waits for the first one's range, however long that takes."""


def among_several() -> bool:
    """Whether `torchrun` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def is_first() -> bool:
    """Whether this process speaks and writes."""
    return os.environ.get("RANK", "0") == "0"


def own_device(device: str) -> str:
    """The device of this process: each process of a node takes a card of its own."""
    import torch

    if among_several() and device in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return device


def part_of(frames: Sequence[int], rank: int, world: int) -> list[int]:
    """The range of ``frames`` that is a process's share; all shares together, in order, are all frames."""
    return list(frames[rank * len(frames) // world : (rank + 1) * len(frames) // world])


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What the others are told to compute: frames of a media, with a pipeline and perhaps with given boxes."""

    path: str
    frames: tuple[int, ...]
    config: PipelineConfig
    boxes: Mapping[int, Array] | None


@contextlib.contextmanager
def sharing() -> Iterator[bool]:
    """Join the other processes for a prediction; yields whether there are any. At the end the first lets them go."""
    if not among_several():
        yield False
        return
    from torch import distributed

    from poseviewer.nets.ultralytics_parts import ultralytics_parts

    with contextlib.suppress(MissingPartError):
        # Its import waits for all processes once they have joined, and not all import it at the same moment.
        ultralytics_parts()
    distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield True
        if is_first():
            _tell(None)
    finally:
        distributed.destroy_process_group()


def compute_shared(
    media: FrameSource,
    frames: Sequence[int],
    config: PipelineConfig,
    networks: Networks,
    boxes: Mapping[int, Array] | None,
    notes: deque[Note],
    tracker: Tracker | None,
) -> Iterator[FrameResult]:
    """The first process's part: like `predict.readable`, with the results of all processes in the frames' order."""
    from torch import distributed

    _tell(Work(media.info.path, tuple(frames), config, boxes))
    merged = _merged(media, frames, config, networks, boxes, notes, distributed.get_world_size())
    return merged if tracker is None else _tracked(media.info.path, merged, tracker)


def _merged(
    media: FrameSource,
    frames: Sequence[int],
    config: PipelineConfig,
    networks: Networks,
    boxes: Mapping[int, Array] | None,
    notes: deque[Note],
    world: int,
) -> Iterator[FrameResult]:
    from torch import distributed

    from poseviewer.jobs.predict import readable

    alone = msgspec.structs.replace(config, tracker="")
    if own := part_of(frames, 0, world):
        yield from readable(media, own, alone, networks, boxes, notes, None)
    for rank in range(1, world):
        while True:
            chunk: list[Any] = [None]
            distributed.recv_object_list(chunk, src=rank)
            if chunk[0] is None:
                break
            if isinstance(chunk[0], KnownError):
                raise chunk[0]
            told, results = chunk[0]
            notes.extend(told)
            for result in results:
                if media.info.kind != "video":
                    # Each picture has its own size, which whoever reads the media here wants to know.
                    media.frame(result.frame)
                yield result


def _tracked(path: str, results: Iterator[FrameResult], tracker: Tracker) -> Iterator[FrameResult]:
    """Number the people of all frames; the frames are decoded again, because the others' never were here."""
    from poseviewer.media import open_media
    from poseviewer.pipeline.tracking import numbered

    with open_media(path) as media:
        media.confirm()
        for result in results:
            yield replace(result, poses=numbered(tracker, media.frame(result.frame), result.poses))


def serve(device: str) -> int:
    """Another process's part: compute what the first one says until it lets go; returns how many frames."""
    from torch import distributed

    computer = _Computer(device)
    done = 0
    while (work := _heard()) is not None:
        notes: deque[Note] = deque()
        try:
            found = computer.compute(work, notes)
        except KnownError as error:
            # The first process says it; this one waits for what comes.
            distributed.send_object_list([error], dst=0)
            continue
        done += len(found)
        for start in range(0, len(found), CHUNK):
            distributed.send_object_list([(list(notes), found[start : start + CHUNK])], dst=0)
            notes.clear()
        distributed.send_object_list([None], dst=0)
    return done


class _Computer:
    """Computes this process's share of one work after the other with the networks that are loaded."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._loaded: dict[str, Networks] = {}

    def compute(self, work: Work, notes: deque[Note]) -> list[FrameResult]:
        """The results of this process's range."""
        from torch import distributed

        from poseviewer.jobs.predict import readable
        from poseviewer.media import open_media
        from poseviewer.pipeline.loading import load_networks, networks_key

        own = part_of(work.frames, distributed.get_rank(), distributed.get_world_size())
        if not own:
            return []
        config = msgspec.structs.replace(work.config, device=self._device, tracker="")
        key = networks_key(config)
        if key not in self._loaded:
            self._loaded = {key: load_networks(config)}
        with open_media(work.path) as media:
            media.confirm()
            return list(readable(media, own, config, self._loaded[key], work.boxes, notes, None))


def _tell(work: Work | None) -> None:
    from torch import distributed

    distributed.broadcast_object_list([work], src=0)


def _heard() -> Work | None:
    from torch import distributed

    told: list[Any] = [None]
    distributed.broadcast_object_list(told, src=0)
    work: Work | None = told[0]
    return work
