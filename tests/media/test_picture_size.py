"""Sizes from the heads of pictures against decoding them."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseviewer.core.errors import MediaError
from poseviewer.media.picture_size import picture_size
from poseviewer.media.pictures import read_picture


def exif(orientation: int, order: str) -> bytes:
    """An APP1 segment that says an orientation."""
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    body = b"Exif\0\0" + mark + struct.pack(order + "HIH", 42, 8, 1) + entry + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp"])
def test_kinds_of_pictures(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), np.zeros((37, 61, 3), np.uint8))
    assert picture_size(path) == (61, 37)


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
@pytest.mark.parametrize("order", ["<", ">"])
def test_turned_photos_are_upright(tmp_path: Path, orientation: int, order: str) -> None:
    data = cv2.imencode(".jpg", np.zeros((37, 61, 3), np.uint8))[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + exif(orientation, order) + data[2:])
    height, width = read_picture(path).shape[:2]
    assert picture_size(path) == (width, height)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(8), b"\xff\xd8\xff\xe1\xff\xffExif\0\0II"]
)
def test_a_damaged_picture_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"a\.jpg"):
        picture_size(path)
    with pytest.raises(MediaError, match="read"):
        picture_size(tmp_path / "nowhere.png")
