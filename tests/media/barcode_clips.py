"""Small clips of every nasty kind; each frame shows its own number as a bar code.

Everything is encoded with the libraries inside PyAV. The truth about a clip is what a plain front-to-back decode
delivers (:func:`front_to_back`), which shares no code with the package.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import pytest

os.environ.setdefault("SVT_LOG", "-1")  # else the AV1 encoder writes its settings to the terminal

WIDTH, HEIGHT, BITS, RATE = 160, 96, 10, 25
X264 = {"preset": "superfast", "crf": "26", "bf": "3", "b-adapt": "0", "sc_threshold": "0", "threads": "1"}
X265 = "log-level=none:pools=1:frame-threads=1:bframes=3:b-adapt=0:scenecut=0"
UNREADABLE = -1


def draw(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return ``(H, W, 3)`` uint8 RGB: a moving gradient, the number in bars, and the same bars inverted."""
    third = height // 3
    x = np.arange(width)
    picture = np.empty((height, width), dtype=np.uint8)
    picture[:third] = (128 + 90 * np.sin((x + 3 * number) / 9.0)).astype(np.uint8)
    bars = np.array([(number >> (BITS - 1 - x * BITS // width)) & 1 for x in range(width)], dtype=bool)
    picture[third : 2 * third] = np.where(bars, 230, 25)
    picture[2 * third :] = np.where(bars, 25, 230)
    return np.repeat(picture[:, :, None], 3, axis=2)


def read(pixels: np.ndarray) -> int:
    """Return the number that a frame shows, or UNREADABLE where bars and inverted bars disagree."""
    height, width = pixels.shape[:2]
    third, bar = height // 3, width // BITS
    number = 0
    for bit in range(BITS):
        columns = slice(bit * bar + bar // 4, (bit + 1) * bar - bar // 4)
        upper = float(pixels[third + 6 : 2 * third - 6, columns].mean())
        lower = float(pixels[2 * third + 6 : -6, columns].mean())
        if abs(upper - lower) < 100 or abs(upper + lower - 255) > 60:
            return UNREADABLE
        number = number * 2 + (upper > lower)
    return number


def front_to_back(path: Path) -> list[tuple[int, int]]:
    """Return (number shown, hash of the upright pixels) of each frame of a plain decode from the first packet on."""
    shown: list[tuple[int, int]] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        turn = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.error.FFmpegError:
                packets = container.demux(stream)
                turn += 1
                if turn > 64:
                    break
                continue
            try:
                frames = stream.codec_context.decode(packet if packet.size else None)
            except av.error.FFmpegError:
                continue
            for frame in frames:
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                shown.append((read(upright), hash(upright.tobytes())))
    return shown


@dataclass(frozen=True)
class Recipe:
    """How a clip is encoded.

    Attributes:
        codec: encoder name.
        count: number of frames.
        gop: distance of key frames.
        options: encoder options.
        container: muxer options.
        pts: frame number -> pts in ticks of 1/1000 s; None for an even rate.
        rotation: degrees in the display matrix.
        pix_fmt: pixel format.
        repeat: every so many packets one carries the pts of the packet before; 0 for never.
        first_key: packets before this key packet are left out when muxing.
        format: muxer, None to follow the file's ending.
    """

    codec: str = "libx264"
    count: int = 200
    gop: int = 48
    options: tuple[tuple[str, str], ...] = tuple(X264.items())
    container: tuple[tuple[str, str], ...] = ()
    pts: Callable[[int], int] | None = None
    rotation: int = 0
    pix_fmt: str = "yuv420p"
    repeat: int = 0
    first_key: int = 0
    format: str | None = None
    size: tuple[int, int] = (WIDTH, HEIGHT)
    first_number: int = 0


def encode(path: Path, recipe: Recipe) -> None:
    """Write the clip of a recipe."""
    width, height = recipe.size
    with av.open(str(path), "w", format=recipe.format, options=dict(recipe.container)) as container:
        stream = container.add_stream(recipe.codec, rate=RATE, options=dict(recipe.options))
        stream.width, stream.height, stream.pix_fmt = width, height, recipe.pix_fmt
        stream.gop_size = recipe.gop
        if recipe.pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if recipe.rotation:
            stream.set_display_rotation(recipe.rotation)
        writer = _Writer(container, recipe)
        for number in range(recipe.count):
            # A turned clip is stored on its side and shows its bars upright once it is turned back.
            shape = (height, width) if recipe.rotation % 180 else (width, height)
            upright = draw(number + recipe.first_number, *shape)
            stored = np.ascontiguousarray(np.rot90(upright, -recipe.rotation // 90))
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24").reformat(format=recipe.pix_fmt)
            if recipe.pts is not None:
                frame.pts, frame.time_base = recipe.pts(number), Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = number, Fraction(1, RATE)
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))


class _Writer:
    """Muxes packets, leaving out and repeating stamps as the recipe has it."""

    def __init__(self, container: av.container.OutputContainer, recipe: Recipe) -> None:
        self.container, self.recipe = container, recipe
        self.keys = self.written = 0
        self.last: int | None = None

    def mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            self.keys += packet.is_keyframe
            if self.keys <= self.recipe.first_key:
                continue
            self.written += 1
            if self.recipe.repeat and self.written % self.recipe.repeat == 0 and self.last is not None:
                packet.pts = packet.dts = self.last
            self.last = packet.pts
            self.container.mux(packet)


def shift_edit_list(path: Path, frames: int) -> None:
    """Make an MP4's edit list start ``frames`` frames later, so that those before become pre-roll."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    version, count = data[at + 4], struct.unpack(">I", data[at + 8 : at + 12])[0]
    if version or count != 1:
        raise ValueError("the edit list of this clip is not of the simple kind")
    duration, start = struct.unpack(">Ii", data[at + 12 : at + 20])
    scale_at = data.index(b"mdhd") + 16
    scale = struct.unpack(">I", data[scale_at : scale_at + 4])[0]
    movie_at = data.index(b"mvhd") + 16
    movie = struct.unpack(">I", data[movie_at : movie_at + 4])[0]
    struct.pack_into(">Ii", data, at + 12, duration - frames * movie // RATE, start + frames * scale // RATE)
    path.write_bytes(bytes(data))


def zero(path: Path, at: float, length: int) -> None:
    """Overwrite ``length`` bytes from the fraction ``at`` of the file on with zeros."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + length] = bytes(length)
    path.write_bytes(bytes(data))


def cut(path: Path, first: float, last: float, block: int = 1) -> None:
    """Keep only the bytes between two fractions of the file, in whole blocks."""
    data = path.read_bytes()
    blocks = len(data) // block
    path.write_bytes(data[int(blocks * first) * block : int(blocks * last) * block])


def join(path: Path, recipe: Recipe) -> None:
    """Write two transport streams one after the other; the second starts its clock anew."""
    encode(path, recipe)
    first = path.read_bytes()
    encode(path, Recipe(**{**recipe.__dict__, "first_number": recipe.count}))
    path.write_bytes(first + path.read_bytes())


def _with(base: dict[str, str], **more: str) -> tuple[tuple[str, str], ...]:
    return tuple({**base, **more}.items())


OPEN_GOP = _with(X264, **{"x264-params": "open-gop=1:keyint=48:min-keyint=48:bframes=3:scenecut=0"})
HEVC_OPEN = (("preset", "ultrafast"), ("crf", "26"), ("x265-params", f"{X265}:open-gop=1:keyint=48:min-keyint=48"))
HEVC_CLOSED = (("preset", "ultrafast"), ("crf", "26"), ("x265-params", f"{X265}:open-gop=0:keyint=48:min-keyint=48"))
VP9 = (("deadline", "realtime"), ("cpu-used", "8"), ("b", "200k"), ("auto-alt-ref", "1"), ("lag-in-frames", "16"))
VP9_ALT_REF = (*VP9[1:], ("deadline", "good"))
AV1 = (("preset", "8"), ("crf", "22"), ("svtav1-params", "lp=1:scd=0"))
MPEG = (("bf", "2"), ("b", "800k"))


def ten_seconds(number: int) -> int:
    """Return even stamps that begin at 10 s."""
    return 10_000 + number * 40


def uneven(number: int) -> int:
    """Return stamps 20, 40 or 80 ms apart."""
    return sum((20, 40, 80, 40)[step % 4] for step in range(number % 4)) + number // 4 * 180


RECIPES: dict[str, Recipe] = {
    "gop12.mp4": Recipe(gop=12),
    "gop250.mp4": Recipe(gop=250, count=300),
    "gop250.mkv": Recipe(gop=250, count=300),
    "offset.mp4": Recipe(pts=ten_seconds),
    "offset.mkv": Recipe(pts=ten_seconds),
    "offset.ts": Recipe(pts=ten_seconds),
    "closed.ts": Recipe(),
    "open_gop.ts": Recipe(options=OPEN_GOP),
    "open_gop_cut.ts": Recipe(options=OPEN_GOP),
    "open_gop.mp4": Recipe(options=OPEN_GOP),
    "open_gop.mkv": Recipe(options=OPEN_GOP),
    "hevc_open_gop.mp4": Recipe(codec="libx265", options=HEVC_OPEN),
    "hevc_open_gop.mkv": Recipe(codec="libx265", options=HEVC_OPEN),
    "hevc_open_gop_cut.mkv": Recipe(codec="libx265", options=HEVC_OPEN, first_key=1),
    "hevc_closed.mp4": Recipe(codec="libx265", options=HEVC_CLOSED),
    "mpeg2.ts": Recipe(codec="mpeg2video", gop=15, options=MPEG),
    "mpeg2.mpg": Recipe(codec="mpeg2video", gop=15, options=MPEG),
    "av1.mp4": Recipe(codec="libsvtav1", options=AV1),
    "av1.mkv": Recipe(codec="libsvtav1", options=AV1),
    "vp9_alt_ref.webm": Recipe(codec="libvpx-vp9", options=VP9_ALT_REF, count=150),
    "vfr.mp4": Recipe(pts=uneven),
    "vfr.mkv": Recipe(pts=uneven),
    "duplicate_pts.mkv": Recipe(options=_with(X264, bf="0"), repeat=7),
    "edit_list.mp4": Recipe(),
    "rotated.mp4": Recipe(rotation=-90, size=(HEIGHT, WIDTH)),
    "upside_down.mp4": Recipe(rotation=180),
    "intra_only.mp4": Recipe(gop=1, options=_with(X264, bf="0")),
    "motion_jpeg.mov": Recipe(codec="mjpeg", pix_fmt="yuvj420p", options=()),
    "fragmented.mp4": Recipe(container=(("movflags", "frag_keyframe+empty_moov+default_base_moof"),)),
    "h264_b.avi": Recipe(),
    "mpeg4_b.avi": Recipe(codec="mpeg4", gop=30, options=MPEG),
    "motion_jpeg.avi": Recipe(codec="mjpeg", pix_fmt="yuvj420p", options=()),
    "raw.h264": Recipe(format="h264"),
    "raw_open_gop.h264": Recipe(options=OPEN_GOP, format="h264"),
    "raw.hevc": Recipe(codec="libx265", options=HEVC_OPEN, format="hevc"),
    "raw_mpeg4.m4v": Recipe(codec="mpeg4", gop=30, options=MPEG, format="m4v"),
    "ten_bit.mp4": Recipe(codec="libx265", options=HEVC_CLOSED, pix_fmt="yuv420p10le"),
    "vp8.webm": Recipe(codec="libvpx", options=(*VP9[:3],)),
    "lossless.mkv": Recipe(codec="ffv1", options=(), pix_fmt="bgr0", count=120),
    "animation.gif": Recipe(codec="gif", options=(), pix_fmt="rgb8", count=120),
    "joined.ts": Recipe(count=100),
    "truncated.mkv": Recipe(),
    "truncated.ts": Recipe(),
    "truncated.mp4": Recipe(container=(("movflags", "faststart"),)),
    "damaged.mp4": Recipe(),
    "damaged.ts": Recipe(),
    "damaged.mkv": Recipe(),
}

AFTERWARDS: dict[str, Callable[[Path], None]] = {
    "open_gop_cut.ts": lambda path: cut(path, 0.31, 1.0, 188),
    "edit_list.mp4": lambda path: shift_edit_list(path, 25),
    "truncated.mkv": lambda path: cut(path, 0.0, 0.59),
    "truncated.ts": lambda path: cut(path, 0.0, 0.59),
    "truncated.mp4": lambda path: cut(path, 0.0, 0.59),
    "damaged.mp4": lambda path: zero(path, 0.45, 700),
    "damaged.ts": lambda path: zero(path, 0.45, 900),
    "damaged.mkv": lambda path: zero(path, 0.45, 700),
}
DAMAGED = frozenset({"truncated.ts", "damaged.mp4", "damaged.ts", "damaged.mkv", "open_gop_cut.ts"})
"""Clips whose pictures may depend on how the decoder got there."""


def make(name: str, folder: Path) -> Path:
    """Write the clip ``name`` into ``folder`` and return its path."""
    path = folder / name
    recipe = RECIPES[name]
    if name == "joined.ts":
        join(path, recipe)
    else:
        encode(path, recipe)
    AFTERWARDS.get(name, lambda _: None)(path)
    return path


def has_encoder(codec: str) -> bool:
    """Return whether PyAV carries the encoder."""
    try:
        av.codec.Codec(codec, "w")
    except av.error.FFmpegError:
        return False
    return True


class Clips:
    """Makes clips on demand and keeps their truth."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._truth: dict[str, list[tuple[int, int]]] = {}

    def path(self, name: str) -> Path:
        """Return the clip's path; skips where its encoder is missing."""
        codec = RECIPES[name].codec
        if not has_encoder(codec):
            pytest.skip(f"PyAV has no encoder {codec}")
        path = self.folder / name
        return path if path.exists() else make(name, self.folder)

    def shown(self, name: str) -> list[tuple[int, int]]:
        """Return the numbers and pixel hashes that a plain front-to-back decode shows."""
        if name not in self._truth:
            self._truth[name] = front_to_back(self.path(name))
        return self._truth[name]

    def truth(self, name: str) -> list[int]:
        """Return the numbers that a plain front-to-back decode shows."""
        return [number for number, _ in self.shown(name)]
