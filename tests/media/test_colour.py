"""Colours come out as the file's matrix and range have it, and as players show untagged files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from poseviewer.media import open_media

PATCHES = np.array([[200, 30, 40], [30, 180, 60], [40, 50, 210], [128, 128, 128], [230, 220, 40], [10, 10, 10]])
BT601, BT709 = 5, 1
LIMITED, FULL = 1, 2


def patches(width: int, height: int) -> np.ndarray:
    """Return ``(H, W, 3)`` uint8 RGB columns of flat colours."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for column, colour in enumerate(PATCHES):
        picture[:, column * width // len(PATCHES) : (column + 1) * width // len(PATCHES)] = colour
    return picture


def encode(path: Path, size: tuple[int, int], matrix: int, span: int, *, tagged: bool) -> None:
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, span
        for number in range(3):
            rgb = av.VideoFrame.from_ndarray(patches(width, height), format="rgb24")
            frame = rgb.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=span)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            if tagged:
                frame.colorspace, frame.color_range = matrix, span
            else:
                frame.colorspace, frame.color_range = 2, 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def shown(path: Path) -> tuple[np.ndarray, str]:
    """Return the ``(6, 3)`` colours in the middle of the patches and the stated colour."""
    with open_media(path) as media:
        pixels = media.frame(1).pixels
        info = media.info
    width = pixels.shape[1]
    centres = [(2 * column + 1) * width // (2 * len(PATCHES)) for column in range(len(PATCHES))]
    row = pixels.shape[0] // 2
    return np.array([pixels[row - 4 : row + 4, c - 4 : c + 4].mean(axis=(0, 1)) for c in centres]), info.colour


@pytest.mark.parametrize(
    ("size", "matrix", "span", "tagged", "stated"),
    [
        ((384, 216), BT601, LIMITED, True, "bt601 limited"),
        ((384, 216), BT709, LIMITED, True, "bt709 limited"),
        ((384, 216), BT709, FULL, True, "bt709 full"),
        ((384, 216), BT601, LIMITED, False, "bt601 limited (assumed)"),
        ((1280, 720), BT709, LIMITED, False, "bt709 limited (assumed)"),
        ((1280, 720), BT601, LIMITED, True, "bt601 limited"),
        ((1280, 720), BT709, FULL, True, "bt709 full"),
    ],
)
def test_colours(tmp_path: Path, size: tuple[int, int], matrix: int, span: int, tagged: bool, stated: str) -> None:
    path = tmp_path / "patches.mp4"
    encode(path, size, matrix, span, tagged=tagged)
    colours, colour = shown(path)
    assert colour == stated
    assert np.abs(colours - PATCHES).max() <= 5
    codes = {finding.code for finding in open_media(path).info.findings}
    assert ("untagged_colour" in codes) == (not tagged)


def test_the_wrong_matrix_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "patches.mp4"
    encode(path, (384, 216), BT709, LIMITED, tagged=False)
    colours, _ = shown(path)
    assert np.abs(colours - PATCHES).max() > 10


def test_size_that_changes_midway_is_scaled_to_the_first(tmp_path: Path) -> None:
    for name, size in (("a.ts", (384, 216)), ("b.ts", (192, 108))):
        encode(tmp_path / name, size, BT601, LIMITED, tagged=True)
    path = tmp_path / "both.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    with open_media(path) as media:
        info = media.confirm()
        assert info.frame_count == 6
        assert info.size_wh == (384, 216)
        for frame in media.frames(range(6)):
            assert frame.pixels.shape == (216, 384, 3)
            assert np.abs(frame.pixels[100, 32].astype(int) - PATCHES[0]).max() <= 8
