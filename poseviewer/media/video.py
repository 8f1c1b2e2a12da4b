"""Videos: exact frames through our own index."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from poseviewer.core.errors import MediaError
from poseviewer.core.values import Frame, MediaInfo
from poseviewer.media import tables
from poseviewer.media.base import Media
from poseviewer.media.colour import to_rgb
from poseviewer.media.decoder import Decoder, OvertakenError, close_stream, open_stream, read_packets
from poseviewer.media.findings import StreamFacts, describe_video, facts_of
from poseviewer.media.index import FrameTable, PacketIndex
from poseviewer.media.sequence import FrontToBack, changed, decode_all, reason

Stamp = tuple[int, int] | None


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
    stamp: Stamp
    version: int = 0
    lock: Lock = field(default_factory=Lock)

    def settle(self, table: FrameTable) -> MediaInfo:
        """Put a confirmed table in force."""
        with self.lock:
            moved = not np.array_equal(table.ordinals, self.table.ordinals)
            self.table = table
            self.info = describe_video(self.path, self.info.path, self.index, table, self.facts, self.fingerprint)
            # After the table: who reads the version first and the frame then can only throw away a good frame.
            self.version += moved
            return self.info


class Video(Media):
    """A video file."""

    def __init__(self, shared: Shared) -> None:
        """Take an opened video's shared index; use :func:`open_video` or :meth:`reopen`."""
        self._shared = shared
        self._decoder = Decoder(shared.path, shared.index)
        self._prefix: FrontToBack | None = None

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
        return self._frame(index, None)

    def frame_unless(self, index: int, overtaken: Callable[[], bool]) -> Frame | None:
        try:
            return self._frame(index, overtaken)
        except OvertakenError:
            return None

    def on_the_way(self) -> Frame | None:
        latest = self._decoder.latest
        table = self._shared.table
        if latest is None or not (table.confirmed or self._shared.index.ordered):
            return None
        (ordinal, turn), picture = latest
        rows = np.flatnonzero(table.ordinals == ordinal)
        return self._made(table, int(rows[turn]), picture) if turn < len(rows) else None

    def _frame(self, index: int, overtaken: Callable[[], bool] | None) -> Frame:
        shared = self._shared
        table = shared.table
        self._check(index, len(table))
        identity = self._identity(table, index, overtaken)
        if table.errors:
            self._decoder.threads = 1
        try:
            picture = self._decoder.get(identity, thorough=table.confirmed, overtaken=overtaken)
        except av.error.FFmpegError as error:
            raise MediaError(f"{shared.path} cannot be read any more: {reason(error)}.", file=shared.path) from error
        if picture is None:
            raise self._undecodable(index)
        return self._made(table, index, picture, identity[0])

    def _made(self, table: FrameTable, index: int, picture: VideoFrame, ordinal: int | None = None) -> Frame:
        """Return a decoded picture as the frame ``index``."""
        corrupt = bool(table.corrupt[index])
        if not corrupt and self._decoder.bad:
            source = np.array([table.ordinals[index] if ordinal is None else ordinal])
            corrupt = bool(self._shared.index.spread_damage(source, sorted(self._decoder.bad))[0])
        pixels = to_rgb(picture, self._shared.info.size_wh)
        return Frame(index=index, timestamp_s=float(table.timestamps[index]), pixels=pixels, corrupt=corrupt)

    def _undecodable(self, index: int) -> MediaError:
        path = self._shared.path
        if stamp_of(path) != self._shared.stamp:
            return changed(path)
        return MediaError(f"Frame {index} of {path.name} cannot be decoded: the file is damaged.", file=path)

    def _identity(self, table: FrameTable, index: int, overtaken: Callable[[], bool] | None) -> tuple[int, int]:
        """Return which packet gives frame ``index``."""
        if table.confirmed or self._shared.index.ordered:
            self._drop_prefix()
            return table.identity(index)
        # Only a decoder knows the order in which frames without usable stamps are shown: ask it, up to this frame.
        if self._prefix is None:
            self._prefix = FrontToBack(self._shared.path, self._shared.index, threads=1)
        while len(self._prefix.ordinals) <= index and self._prefix.step():
            if overtaken is not None and overtaken():
                raise OvertakenError
        if len(self._prefix.ordinals) <= index:
            raise self._undecodable(index)
        return self._prefix.identity(index)

    def confirm(
        self,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> MediaInfo:
        shared = self._shared
        if shared.table.confirmed:
            return shared.info
        threads = min(max((os.cpu_count() or 1) // 2, 1), 4)
        whole = decode_all(shared.path, shared.index, threads, progress, cancelled)
        if whole is not None and whole.errors and threads > 1:
            # Several threads report an error some packets late and may lose the last frames: ask one.
            whole = decode_all(shared.path, shared.index, 1, progress, cancelled)
        if whole is None:
            return shared.info
        table = whole.table(shared.facts.rate)
        if not len(table):
            raise MediaError(f"Not one frame of {shared.path.name} can be decoded: it is damaged.", file=shared.path)
        tables.store(shared.key, shared.index, table)
        return shared.settle(table)

    def reopen(self) -> Media:
        return Video(self._shared)

    def close(self) -> None:
        self._decoder.close()
        self._drop_prefix()

    def _drop_prefix(self) -> None:
        if self._prefix is not None:
            self._prefix.close()
            self._prefix = None


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
    stamp = stamp_of(path)
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
    return Video(Shared(path, index, facts, fingerprint, table, info, key, stamp))


def stamp_of(path: Path) -> Stamp:
    """Return (size, time of change) of a file, None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


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
        # AVI stores no pts; with B-frames FFmpeg's guesses may be in the order of decoding.
        guessed = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
    finally:
        close_stream(container, stream)
    return tables.index_from_rows(rows, base, guessed=guessed)
