"""Exact decoding: land on a key packet, prove where we landed, decode until the wanted packet's frame comes out."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from poseviewer.core.errors import MediaError
from poseviewer.media.index import NO_STAMP, PacketIndex

log = logging.getLogger("poseviewer.media")

VideoPacket: TypeAlias = "Packet[VideoStream]"
Identity = tuple[int, int]

TEXT = frozenset({"tty", "bin", "xbin", "adf", "idf"})
"""Formats of FFmpeg that draw text files as if they were videos."""
PLAYLISTS = frozenset({"hls", "dash", "concat", "imf", "sdp", "rtsp", "image2"})
"""Formats that make FFmpeg read other files than the one that was named."""
READ_ERRORS = 64
"""How many read errors in a row a stream may show before it counts as ended."""
REORDER = 96
"""Packets that may follow a frame's own before the frame must have come out (reorder depth plus threads)."""
RING_BYTES = 128 << 20
STRAYS = 8
"""Packets that may be unknown after a seek before it counts as lost."""
KEEP_ON = 12
"""Packets that are cheaper to decode through than to seek over."""


class Ordinal:
    """Names a packet and the frame that comes out of it.

    A fresh object per packet: PyAV finds opaque values by their ``id()``, so two decoders that both used the integer
    5 would take each other's away.
    """

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value


def open_stream(path: Path, threads: int = 2) -> tuple[InputContainer, VideoStream]:
    """Open ``path`` and return its container and first real video stream, ready for exact decoding.

    Raises:
        av.error.FFmpegError: if the file cannot be opened.
        MediaError: if it has no video stream.
    """
    # A file may be a playlist in disguise: it must not make us ask the network.
    container = av.open(str(path), metadata_errors="replace", options={"protocol_whitelist": "file"})
    kind = container.format.name
    if kind in TEXT or kind in PLAYLISTS:
        container.close()
        what = "a text file" if kind in TEXT else "a list of other files"
        raise MediaError(f"{path.name} is {what}, not a video.", file=path)
    # Cover art is a video stream of one picture: it is no video.
    streams = [s for s in container.streams.video if not int(s.disposition) & int(av.stream.Disposition.attached_pic)]
    if not streams:
        container.close()
        raise MediaError(f"{path.name} holds no pictures, only sound or other data.", file=path)
    stream = streams[0]
    context: Any = stream.codec_context
    if context is None:
        container.close()
        raise MediaError(f"There is no decoder for the pictures of {path.name}.", file=path)
    context.copy_opaque = True
    context.thread_type = "AUTO"
    context.thread_count = threads
    return container, stream


def close_stream(container: InputContainer, stream: VideoStream) -> None:
    """Close a container whose decoder may still have busy threads.

    Flushing waits for them without holding Python's lock; freeing a busy decoder with the lock held would wait for a
    thread that waits for the lock.
    """
    try:
        stream.codec_context.flush_buffers()
    except (av.error.FFmpegError, ValueError) as error:
        log.debug("flushing %s: %s", container.name, error)
    container.close()


def read_packets(container: InputContainer, stream: VideoStream) -> Iterator[VideoPacket]:
    """Yield the stream's packets that hold data; a damaged stretch is skipped, it does not end the stream."""
    errors = 0
    while errors < READ_ERRORS:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    errors = 0
                    yield packet
            return
        except av.error.FFmpegError as error:
            errors += 1
            log.debug("reading %s: %s", container.name, error)
        except IndexError:
            # At the end PyAV stumbles over streams that damage made FFmpeg see on the way; all packets are read.
            return


class LostError(Exception):
    """A packet is not the one that the index has in its place."""


class OvertakenError(Exception):
    """Nobody wants the frame any more."""


class Decoder:
    """Delivers frames of one video by identity (packet ordinal, turn). For one thread.

    Recently decoded frames stay in a ring, so stepping back within a GOP decodes nothing.

    Attributes:
        bad: ordinals of packets that the decoder refused or whose frame it called damaged, as far as met.
        threads: decoder threads from the next opening or seek on. More than one report an error some packets late,
            and after one at the end of the file they keep what was still to come: damaged files want one.
        ring_bytes: what the recently decoded frames may take.
        landings, restarts: how many seeks and how many decodes from the first packet it took.
    """

    def __init__(self, path: Path, index: PacketIndex, *, threads: int = 2, ring_bytes: int = RING_BYTES) -> None:
        self.path = path
        self.index = index
        self.bad: set[int] = set()
        self.landings = 0
        self.restarts = 0
        self.threads = threads
        self.ring_bytes = ring_bytes
        self._overtaken: Callable[[], bool] | None = None
        self._opened_with = threads
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._reset()

    def _reset(self) -> None:
        self._packets: Iterator[VideoPacket] | None = None
        self._next = 0
        self._origin = 0
        self._ended = False
        self._furthest = -1
        self._turns: dict[int, int] = {}
        self._pending: deque[VideoFrame] = deque()
        self._ring: OrderedDict[Identity, VideoFrame] = OrderedDict()
        self._ring_bytes = 0

    def close(self) -> None:
        """Release the file and its decoder; the next call of :meth:`get` opens it again."""
        self._reset()
        if self._container is not None and self._stream is not None:
            close_stream(self._container, self._stream)
        self._container = self._stream = None

    @property
    def latest(self) -> tuple[Identity, VideoFrame] | None:
        """The frame that was decoded last, with its identity."""
        if not self._ring:
            return None
        identity = next(reversed(self._ring))
        return identity, self._ring[identity]

    def get(
        self, wanted: Identity, *, thorough: bool = True, overtaken: Callable[[], bool] | None = None
    ) -> VideoFrame | None:
        """Return the frame, or None if the decoder never delivers it.

        Args:
            wanted: packet ordinal and turn.
            thorough: whether to decode from the first packet as a last resort although landing on an earlier key packet
                went well.
            overtaken: asked after each packet; True ends the work where it stands.

        Raises:
            OvertakenError: if ``overtaken`` said so.
            av.error.FFmpegError: if the file cannot be opened any more.
        """
        self._overtaken = overtaken
        held = self._ring.get(wanted)
        if held is not None:
            return held
        key = self.index.start_key(wanted[0])
        if self._can_continue(wanted, key):
            try:
                frame = self._decode_until(wanted)
            except LostError:
                frame = None
            if frame is not None:
                return frame
        landed = False
        for landing in self._ladder(key):
            if landing < 0 and landed and not thorough:
                return None
            try:
                if not (self._land(landing) if landing >= 0 else self._restart()):
                    continue
                landed = True
                frame = self._decode_until(wanted)
            except LostError:
                continue
            if frame is not None:
                return frame
        return None

    def _can_continue(self, wanted: Identity, key: int) -> bool:
        if self._packets is None or not self._origin <= key <= self._next + KEEP_ON:
            return False
        return self._turns.get(wanted[0], 0) <= wanted[1]

    def _ladder(self, key: int) -> Iterator[int]:
        """Yield key ordinals to land on, earlier and earlier; -1 means the start of the file."""
        keys = self.index.keys
        at = int(keys.searchsorted(key, side="right")) - 1
        yield from (int(keys[step]) for step in range(at, max(at - 3, -1), -1))
        yield -1

    def _open(self) -> tuple[InputContainer, VideoStream]:
        if self._container is not None and self._opened_with != self.threads:
            self.close()
        if self._container is None or self._stream is None:
            self._opened_with = self.threads
            self._container, self._stream = open_stream(self.path, self.threads)
        return self._container, self._stream

    def _land(self, key: int) -> bool:
        """Seek to the key packet; return whether we provably stand on it or before it."""
        container, stream = self._open()
        for offset, in_bytes in self._targets(key, container.format.name):
            self._reset()
            self.landings += 1
            try:
                container.seek(offset, stream=stream, unsupported_byte_offset=in_bytes)
            except av.error.FFmpegError as error:
                log.debug("seeking %s: %s", self.path.name, error)
                continue
            packets = read_packets(container, stream)
            landed, held = self._locate(packets)
            if 0 <= landed <= key:
                self._begin(landed, held, packets)
                return True
        return False

    def _targets(self, key: int, container: str) -> list[tuple[int, bool]]:
        """Return where to seek for a key packet, best first: (stamp, False), or (position in bytes, True)."""
        pts, dts, pos = int(self.index.pts[key]), int(self.index.dts[key]), int(self.index.pos[key])
        # A transport stream searches by dts: asked for a pts it lands late. Others start a GOP early by dts.
        stamps = (dts, pts) if container in ("mpegts", "mpeg") else (pts, dts)
        known = [(stamp, False) for stamp in dict.fromkeys(stamps) if stamp != NO_STAMP]
        return known or ([(pos, True)] if pos >= 0 else [])

    def _locate(self, packets: Iterator[VideoPacket]) -> tuple[int, list[VideoPacket]]:
        """Read a few packets after a seek; return the ordinal of the first known one (-1: none) and those from it on.

        A program stream lands in the middle of a packet and stamps those after it wrongly; the run of their sizes
        still tells where they are.
        """
        strays: list[VideoPacket] = []
        for packet in islice(packets, STRAYS):
            ordinal = self.index.places.get(place(packet), -1)
            if ordinal >= 0:
                return ordinal, [packet]
            strays.append(packet)
        whole = strays[1:]
        return (self.index.find_sizes([packet.size for packet in whole]), whole) if len(strays) == STRAYS else (-1, [])

    def _restart(self) -> bool:
        """Open the file anew and stand on its first packet."""
        self.close()
        container, stream = self._open()
        self.restarts += 1
        packets = read_packets(container, stream)
        first = next(packets, None)
        if first is None:
            return False
        self._begin(0, [first], packets)
        return True

    def _begin(self, ordinal: int, held: list[VideoPacket], packets: Iterator[VideoPacket]) -> None:
        self._packets = chain(held, packets)
        self._next = ordinal
        at = int(self.index.keys.searchsorted(ordinal))
        # What precedes the first key packet would decode to garbage; at the very start it is all there is.
        self._origin = int(self.index.keys[at]) if ordinal and at < len(self.index.keys) else ordinal

    def _decode_until(self, wanted: Identity) -> VideoFrame | None:
        while True:
            while self._pending:
                if self._deliver(self._pending.popleft()) == wanted:
                    return self._ring[wanted]
            if self._ended or self._furthest > wanted[0] + REORDER:
                return None
            self._pump()
            if self._overtaken is not None and self._overtaken():
                raise OvertakenError

    def _pump(self) -> None:
        """Feed the decoder one packet, or flush it at the end."""
        if self._packets is None or self._stream is None:
            self._ended = True
            return
        packet = next(self._packets, None)
        context = self._stream.codec_context
        if packet is None:
            self._ended = True
            self._pending.extend(decode(context, None)[0])
            return
        ordinal = self._next
        self._next += 1
        if ordinal >= len(self.index) or packet.size != int(self.index.size[ordinal]):
            self._packets = None
            raise LostError
        if ordinal < self._origin:
            return
        packet.opaque = Ordinal(ordinal)
        frames, failed = decode(context, packet)
        if failed or packet.is_corrupt:
            self.bad.add(ordinal)
        self._pending.extend(frames)

    def _deliver(self, frame: VideoFrame) -> Identity | None:
        """Put a decoded frame into the ring under its identity; drop what this landing cannot decode right."""
        tag = frame.opaque
        if not isinstance(tag, Ordinal):
            return None
        ordinal = tag.value
        self._furthest = max(self._furthest, ordinal)
        if self.index.start_key(ordinal) < self._origin:
            return None
        if frame.is_corrupt:
            self.bad.add(ordinal)
        turn = self._turns.get(ordinal, 0)
        self._turns[ordinal] = turn + 1
        identity = (ordinal, turn)
        self._ring[identity] = frame
        self._ring_bytes += frame_bytes(frame)
        while self._ring_bytes > self.ring_bytes and len(self._ring) > 1:
            _, dropped = self._ring.popitem(last=False)
            self._ring_bytes -= frame_bytes(dropped)
        return identity


def decode(context: Any, packet: VideoPacket | None) -> tuple[list[VideoFrame], bool]:
    """Decode one packet (None flushes); return the frames that came out and whether the decoder complained."""
    try:
        return context.decode(packet), False
    except av.error.EOFError:
        return [], False
    except av.error.FFmpegError as error:
        log.debug("decoding: %s", error)
        return [], True


def place(packet: VideoPacket) -> tuple[int, int, int]:
    """Return what identifies a packet after a seek: (pts, byte position, size)."""
    return (
        packet.pts if packet.pts is not None else NO_STAMP,
        packet.pos if packet.pos is not None else -1,
        packet.size,
    )


def frame_bytes(frame: VideoFrame) -> int:
    """Return the size of a decoded frame in memory."""
    return sum(plane.buffer_size for plane in frame.planes)
