"""Decoding front to back: what comes out, in which order, is the definition of the frame numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import av.error
import numpy as np

from poseviewer.core.errors import MediaError
from poseviewer.media.decoder import Ordinal, close_stream, decode, open_stream, read_packets
from poseviewer.media.index import FrameTable, PacketIndex, display_times

REPORT_S = 0.1


class FrontToBack:
    """Decodes a video packet by packet from the first on, keeping which packet each frame came from.

    Attributes:
        ordinals: of the packets, one per delivered frame, in display order.
        stamps: pts of the frames, None where missing.
        bad: ordinals of packets that the decoder refused or whose frame it called damaged.
        errors: how many packets it refused.
        done: how many packets were fed.
    """

    def __init__(self, path: Path, index: PacketIndex, threads: int) -> None:
        """Open the file.

        Args:
            path: the video.
            index: its packets; what was appended to the file since is left alone.
            threads: of the decoder.

        Raises:
            MediaError: if it cannot be opened any more.
        """
        try:
            self._container, self._stream = open_stream(path, threads)
        except av.error.FFmpegError as error:
            raise MediaError(f"{path} cannot be read any more: {reason(error)}.", file=path) from error
        self._packets = read_packets(self._container, self._stream)
        self._path, self._index = path, index
        self._ended = False
        self._turns: dict[int, int] = {}
        self._identities: list[tuple[int, int]] = []
        self.ordinals: list[int] = []
        self.stamps: list[int | None] = []
        self.bad: set[int] = set()
        self.errors = 0
        self.done = 0

    def identity(self, index: int) -> tuple[int, int]:
        """Return (packet ordinal, turn) of a delivered frame."""
        return self._identities[index]

    def step(self) -> bool:
        """Feed one packet; return False once all is decoded.

        Raises:
            MediaError: if the file is not the one that the index was made of.
        """
        if self._ended:
            return False
        packet = next(self._packets, None) if self.done < len(self._index) else None
        if packet is not None:
            if packet.size != int(self._index.size[self.done]):
                raise changed(self._path)
            packet.opaque = Ordinal(self.done)
        frames, failed = decode(self._stream.codec_context, packet)
        if failed:
            self.errors += 1
            self.bad.add(max(self.done - (packet is None), 0))
        for frame in frames:
            tag = frame.opaque
            if not isinstance(tag, Ordinal):
                continue
            turn = self._turns.get(tag.value, 0)
            self._turns[tag.value] = turn + 1
            self._identities.append((tag.value, turn))
            self.ordinals.append(tag.value)
            self.stamps.append(frame.pts)
            if frame.is_corrupt:
                self.bad.add(tag.value)
        if packet is None:
            self._ended = True
            return False
        self.done += 1
        return True

    def table(self, rate: float) -> FrameTable:
        """Return the confirmed table of what came out."""
        index = self._index
        bad = self.bad | set(np.flatnonzero(index.broken).tolist())
        ordinals = np.array(self.ordinals, dtype=np.int64)
        stamps: list[int | None] = self.stamps if index.has_stamps else [None] * len(ordinals)
        return FrameTable(
            ordinals=ordinals,
            timestamps=display_times(stamps, index.time_base, rate),
            corrupt=index.spread_damage(ordinals, sorted(bad)),
            confirmed=True,
            errors=self.errors,
        )

    def close(self) -> None:
        """Release the file."""
        close_stream(self._container, self._stream)


def decode_all(
    path: Path,
    index: PacketIndex,
    threads: int,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> FrontToBack | None:
    """Decode a whole video; return what came out, or None if cancelled.

    Args:
        path: the video.
        index: its packets.
        threads: of the decoder.
        progress: called with (packets done, packets in all), at most ten times a second and at the end.
        cancelled: asked once a packet.

    Raises:
        MediaError: if it cannot be opened any more or was changed.
    """
    packets = len(index)
    whole = FrontToBack(path, index, threads)
    last = 0.0
    try:
        while whole.step():
            if cancelled is not None and cancelled():
                return None
            now = time.monotonic()
            if progress is not None and now - last >= REPORT_S:
                progress(min(whole.done, packets), packets)
                last = now
    finally:
        whole.close()
    if progress is not None:
        progress(packets, packets)
    return whole


def changed(path: Path) -> MediaError:
    """Return the error that the file is another one than was opened."""
    return MediaError(f"{path} was changed while it was open.", file=path, remedy="Open it again.")


def reason(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's reason in lower case, without a full stop."""
    text = (error.strerror or type(error).__name__).rstrip(".")
    return text[:1].lower() + text[1:]
