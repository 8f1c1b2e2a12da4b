"""Writing a video: H.264 in MP4 through PyAV, temporary first, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from poseviewer.core.errors import FormatError, MissingPartError
from poseviewer.core.files import make_readable
from poseviewer.core.values import PICTURE_RATE, Pixels

ENCODERS = (("libx264", {"crf": "18", "preset": "veryfast"}), ("mpeg4", {"qscale": "3"}))


TICKS = 60_000
"""Units of a second in which frames of a varying rate are stamped; MPEG-4 cannot count finer than 65,535."""


class VideoWriter:
    """Takes frames of one size in display order. Made by :func:`video_writer`."""

    def __init__(self, container: Any, stream: Any, size_wh: tuple[int, int]) -> None:
        self._container = container
        self._stream = stream
        self._size_wh = size_wh
        self._tick = -1

    def add(self, pixels: Pixels, seconds: float | None = None) -> None:
        """Encode ``(H, W, 3)`` uint8 RGB pixels; odd sizes lose their last row or column, others are fitted.

        Args:
            pixels: the frame.
            seconds: when it is shown, for a writer that was opened ``timed``; one that is not later than the frame
                before follows it by a tick.
        """
        import av
        import cv2

        width, height = self._size_wh
        if pixels.shape[0] - height not in (0, 1) or pixels.shape[1] - width not in (0, 1):
            pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
        if seconds is not None:
            self._tick = max(round(seconds * TICKS), self._tick + 1)
            frame.pts, frame.time_base = self._tick, Fraction(1, TICKS)
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            self._container.mux(packet)


@contextlib.contextmanager
def video_writer(
    path: str | Path, size_wh: tuple[int, int], fps: float, *, timed: bool = False
) -> Iterator[VideoWriter]:
    """Open a video file that appears under ``path`` when the block ends without an error.

    Args:
        path: .mp4; its folder must exist.
        size_wh: of the frames in pixels; made even, as 4:2:0 needs.
        fps: frames per second; ``PICTURE_RATE`` where it is 0 (pictures).
        timed: every frame is added with the time at which it is shown, so the rate may vary.

    Raises:
        FormatError: if the file cannot be written.
        MissingPartError: if PyAV has no encoder for it.
    """
    import av

    target = Path(path)
    even = (max(size_wh[0] // 2 * 2, 2), max(size_wh[1] // 2 * 2, 2))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=".part.mp4", dir=target.parent)
    except OSError as error:
        raise FormatError(f"{target} cannot be written: {error.strerror}.", file=target) from error
    os.close(handle)
    try:
        with av.open(name, "w", format="mp4") as container:
            writer = VideoWriter(container, _stream(container, even, fps, timed=timed), even)
            yield writer
            writer.finish()
        make_readable(Path(name))
        Path(name).replace(target)
    except OSError as error:
        raise FormatError(f"{target} cannot be written: {error.strerror or error}.", file=target) from error
    finally:
        Path(name).unlink(missing_ok=True)


def _stream(container: Any, size_wh: tuple[int, int], fps: float, *, timed: bool) -> Any:
    import av

    rate = Fraction(fps or PICTURE_RATE).limit_denominator(1001)
    for codec, options in ENCODERS:
        if codec in av.codecs_available:
            stream = container.add_stream(codec, rate=rate, options=options)
            stream.width, stream.height = size_wh
            stream.pix_fmt = "yuv420p"
            if timed:
                stream.codec_context.time_base = Fraction(1, TICKS)
            return stream
    raise MissingPartError("PyAV was built without an encoder for MP4 video.")
