"""From decoded planes to upright RGB, by the matrix, range and rotation that the file states."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame

from poseviewer.core.values import Pixels

UNTAGGED = 2
"""H.273's code for "unspecified", for matrices as for range 0."""
BT709 = 1
HIGH = 720
"""Rows from which an untagged video counts as BT.709, as players have it; below it BT.601."""
MATRICES = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020",
    10: "bt2020",
}


def needs_709(frame: VideoFrame) -> bool:
    """Return whether the frame states no matrix and is large enough to be taken for BT.709."""
    return has_matrix(frame) and frame.colorspace == UNTAGGED and frame.height >= HIGH


def has_matrix(frame: VideoFrame) -> bool:
    """Return whether the pixel format stores luma and chroma, so that a matrix matters."""
    return not frame.format.is_rgb and len(frame.format.components) >= 3 and not frame.format.has_palette


def describe(frame: VideoFrame) -> str:
    """Return the matrix and range in use, e.g. "bt709 limited (assumed)"."""
    if not has_matrix(frame):
        return "rgb full" if frame.format.is_rgb or frame.format.has_palette else "grey"
    assumed = frame.colorspace == UNTAGGED
    matrix = ("bt709" if needs_709(frame) else "bt601") if assumed else MATRICES.get(frame.colorspace, "bt601")
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    return f"{matrix} {'full' if full else 'limited'}{' (assumed)' if assumed else ''}"


def to_rgb(frame: VideoFrame, size_wh: tuple[int, int] | None = None) -> Pixels:
    """Convert a decoded frame to upright RGB.

    Args:
        frame: as the decoder gave it; an untagged large one is tagged BT.709 in passing.
        size_wh: displayed size to scale to if the frame's differs (a video that changes its size midway).

    Returns:
        ``(H, W, 3)`` uint8 RGB, C-contiguous.
    """
    if needs_709(frame):
        frame.colorspace = BT709
    quarter_turns = turns(frame)
    if size_wh is not None:
        width, height = size_wh if quarter_turns % 2 == 0 else size_wh[::-1]
    else:
        width, height = frame.width, frame.height
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns), dtype=np.uint8)


def turns(frame: VideoFrame) -> int:
    """Return by how many counter-clockwise quarter turns the frame must be turned to stand upright (0..3)."""
    return round(frame.rotation / 90) % 4


def displayed_size(frame: VideoFrame) -> tuple[int, int]:
    """Return width and height after rotation."""
    return (frame.height, frame.width) if turns(frame) % 2 else (frame.width, frame.height)
