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
from poseviewer.core.values import Pixels

ENCODERS = (("libx264", {"crf": "18", "preset": "veryfast"}), ("mpeg4", {"qscale": "3"}))


class VideoWriter:
    """Takes frames of one size in display order. Made by :func:`video_writer`."""

    def __init__(self, container: Any, stream: Any, size_wh: tuple[int, int]) -> None:
        self._container = container
        self._stream = stream
        self._size_wh = size_wh

    def add(self, pixels: Pixels) -> None:
        """Encode ``(H, W, 3)`` uint8 RGB pixels; odd sizes lose their last row or column, others are fitted."""
        import av
        import cv2

        width, height = self._size_wh
        if pixels.shape[0] - height not in (0, 1) or pixels.shape[1] - width not in (0, 1):
            pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            self._container.mux(packet)


@contextlib.contextmanager
def video_writer(path: str | Path, size_wh: tuple[int, int], fps: float) -> Iterator[VideoWriter]:
    """Open a video file that appears under ``path`` when the block ends without an error.

    Args:
        path: .mp4; its folder must exist.
        size_wh: of the frames in pixels; made even, as 4:2:0 needs.
        fps: frames per second; 25 where it is 0 (pictures).

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
            writer = VideoWriter(container, _stream(container, even, fps), even)
            yield writer
            writer.finish()
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except OSError as error:
        raise FormatError(f"{target} cannot be written: {error.strerror or error}.", file=target) from error
    finally:
        Path(name).unlink(missing_ok=True)


def _stream(container: Any, size_wh: tuple[int, int], fps: float) -> Any:
    import av

    rate = Fraction(fps or 25.0).limit_denominator(1001)
    for codec, options in ENCODERS:
        if codec in av.codecs_available:
            stream = container.add_stream(codec, rate=rate, options=options)
            stream.width, stream.height = size_wh
            stream.pix_fmt = "yuv420p"
            return stream
    raise MissingPartError("PyAV was built without an encoder for MP4 video.")
