"""Videos: exact frames through our own index."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import av
import av.error
import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Frame, MediaInfo
from poseviewer.media import tables
from poseviewer.media.base import Media
from poseviewer.media.colour import to_rgb
from poseviewer.media.decoder import Decoder, Ordinal, close_stream, decode, open_stream, read_packets
from poseviewer.media.findings import StreamFacts, describe_video, facts_of
from poseviewer.media.index import FrameTable, PacketIndex, display_times


@dataclass
class Shared:
    """What all decoders of one opened video share. Table and info are replaced together, under the lock."""

    path: Path
    index: PacketIndex
    facts: StreamFacts
    fingerprint: str
    table: FrameTable
    info: MediaInfo
    key: str
    version: int = 0
    lock: Lock = field(default_factory=Lock)

    def settle(self, table: FrameTable) -> MediaInfo:
        """Put a confirmed table in force."""
        with self.lock:
            if not np.array_equal(table.ordinals, self.table.ordinals):
                self.version += 1
            self.table = table
            self.info = describe_video(self.path, self.info.path, self.index, table, self.facts, self.fingerprint)
            return self.info


class Video(Media):
    """A video file."""

    def __init__(self, shared: Shared) -> None:
        """Take an opened video's shared index; use :func:`open_video` or :meth:`reopen`."""
        self._shared = shared
        self._decoder = Decoder(shared.path, shared.index)

    @property
    def info(self) -> MediaInfo:
        return self._shared.info

    @property
    def timestamps(self) -> npt.NDArray[np.float64]:
        return self._shared.table.timestamps

    @property
    def table_version(self) -> int:
        return self._shared.version

    @property
    def decoder(self) -> Decoder:
        """The decoder, for figures about its work."""
        return self._decoder

    def frame(self, index: int) -> Frame:
        shared = self._shared
        if not shared.table.confirmed and not shared.index.has_stamps:
            # Without stamps only a decoder knows the order in which frames are shown.
            self.confirm()
        table = shared.table
        if not 0 <= index < len(table):
            self._check(index)
        ordinal, turn = table.identity(index)
        try:
            picture = self._decoder.get((ordinal, turn), thorough=table.confirmed)
        except av.error.FFmpegError as error:
            raise MediaError(f"{shared.path} cannot be read any more: {reason(error)}.", file=shared.path) from error
        if picture is None:
            raise MediaError(
                f"Frame {index} of {shared.path.name} cannot be decoded: the file is damaged.", file=shared.path
            )
        corrupt = bool(table.corrupt[index])
        if not corrupt and self._decoder.bad:
            corrupt = bool(shared.index.spread_damage(np.array([ordinal]), sorted(self._decoder.bad))[0])
        pixels = to_rgb(picture, shared.info.size_wh)
        return Frame(index=index, timestamp_s=float(table.timestamps[index]), pixels=pixels, corrupt=corrupt)

    def confirm(
        self,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> MediaInfo:
        shared = self._shared
        if shared.table.confirmed:
            return shared.info
        threads = max(min(os.cpu_count() or 1, 4), 1)
        table = decode_all(shared.path, shared.index, shared.facts.rate, threads, progress, cancelled)
        if table is not None and table.errors and threads > 1:
            # Several threads report an error some packets late; where it matters, ask one.
            table = decode_all(shared.path, shared.index, shared.facts.rate, 1, progress, cancelled)
        if table is None:
            return shared.info
        if not len(table):
            raise MediaError(f"Not one frame of {shared.path.name} can be decoded: it is damaged.", file=shared.path)
        tables.store(shared.key, shared.index, table)
        return shared.settle(table)

    def reopen(self) -> Media:
        return Video(self._shared)

    def close(self) -> None:
        self._decoder.close()


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's reason in lower case, without a full stop."""
    text = (error.strerror or type(error).__name__).rstrip(".")
    return text[:1].lower() + text[1:]


def open_video(path: Path, shown: str) -> Video:
    """Open a video and make its index; a confirmed table from the cache is used where there is one.

    Args:
        path: the file.
        shown: the path as the person gave it.

    Raises:
        av.error.FFmpegError: if FFmpeg cannot open it.
        MediaError: if it holds no frames.
        OSError: if it cannot be read.
    """
    key, fingerprint = tables.key_of(path)
    facts = facts_of(path)
    held = tables.load(key)
    if held is not None:
        index, table = held
    else:
        index = build_index(path)
        if not len(index):
            raise MediaError(f"{path.name} holds no frames: it is cut off or damaged.", file=path)
        table = index.provisional_table(facts.rate)
    info = describe_video(path, shown, index, table, facts, fingerprint)
    return Video(Shared(path, index, facts, fingerprint, table, info, key))


def build_index(path: Path) -> PacketIndex:
    """Read every packet of the video once, without decoding.

    Raises:
        av.error.FFmpegError: if the file cannot be opened.
    """
    container, stream = open_stream(path, threads=1)
    try:
        rows = [
            (
                packet.pts,
                packet.dts,
                packet.pos,
                packet.size,
                packet.duration,
                packet.is_keyframe,
                packet.is_discard,
                packet.is_corrupt,
            )
            for packet in read_packets(container, stream)
        ]
        base = stream.time_base
    finally:
        close_stream(container, stream)
    return tables.index_from_rows(rows, base)


def decode_all(
    path: Path,
    index: PacketIndex,
    rate: float,
    threads: int,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> FrameTable | None:
    """Decode front to back and return the table of what came out, or None if cancelled.

    Raises:
        MediaError: if the file cannot be opened any more.
    """
    try:
        container, stream = open_stream(path, threads)
    except av.error.FFmpegError as error:
        raise MediaError(f"{path} cannot be read any more: {reason(error)}.", file=path) from error
    delivered: list[int] = []
    stamps: list[int | None] = []
    bad: set[int] = set()
    errors = 0
    last = 0.0
    context = stream.codec_context
    try:
        packets = read_packets(container, stream)
        ordinal = -1
        while True:
            packet = next(packets, None)
            if packet is not None:
                ordinal += 1
                packet.opaque = Ordinal(ordinal)
            frames, failed = decode(context, packet)
            if failed:
                errors += 1
                bad.add(max(ordinal, 0))
            for frame in frames:
                tag = frame.opaque
                if isinstance(tag, Ordinal):
                    delivered.append(tag.value)
                    stamps.append(frame.pts)
                    if frame.is_corrupt:
                        bad.add(tag.value)
            if packet is None:
                break
            if cancelled is not None and cancelled():
                return None
            now = time.monotonic()
            if progress is not None and now - last >= 0.1:
                progress(ordinal + 1, len(index))
                last = now
    finally:
        close_stream(container, stream)
    if progress is not None:
        progress(len(index), len(index))
    return _table(index, rate, delivered, stamps, bad, errors)


def _table(
    index: PacketIndex, rate: float, delivered: list[int], stamps: list[int | None], bad: set[int], errors: int
) -> FrameTable:
    bad |= set(np.flatnonzero(index.broken).tolist())
    ordinals = np.array(delivered, dtype=np.int64)
    trusted: list[int | None] = stamps if index.has_stamps else [None] * len(stamps)
    return FrameTable(
        ordinals=ordinals,
        timestamps=display_times(trusted, index.time_base, rate),
        corrupt=index.spread_damage(ordinals, sorted(bad)),
        confirmed=True,
        errors=errors,
    )
