"""The size of a picture from the head of its file, so that thousands of them need not be decoded."""

from __future__ import annotations

import struct
from pathlib import Path

from poseviewer.core.errors import MediaError
from poseviewer.media.pictures import read_picture

PNG = b"\x89PNG\r\n\x1a\n"
HEAD_BYTES = 1 << 18
"""Where a head is longer (a large preview inside, say), the picture is decoded."""
FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG segments that say the size."""
LYING = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
ORIENTATION = 0x0112


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture in displayed pixels, turned upright by its EXIF orientation.

    Raises:
        MediaError: naming the file and the cause.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise MediaError(f"The picture {path} cannot be read: {error.strerror}.", file=path) from error
    found = None
    if head.startswith(PNG) and head[12:16] == b"IHDR" and b"eXIf" not in head:
        found = struct.unpack(">II", head[16:24])
    elif head.startswith(b"\xff\xd8"):
        found = _jpeg_size(head)
    if found is None or 0 in found:
        height, width = read_picture(path).shape[:2]
        return width, height
    return int(found[0]), int(found[1])


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Return the size of a JPEG, or None where its head does not say it plainly."""
    place, turned = 2, False
    while place + 9 < len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], int.from_bytes(head[place + 2 : place + 4])
        if marker in FRAME_MARKERS:
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return (height, width) if turned else (width, height)
        if marker == 0xE1 and head[place + 4 : place + 10] == b"Exif\0\0":
            turned = _orientation(head[place + 10 : place + 2 + length]) in LYING
        place += 2 + length
    return None


def _orientation(tiff: bytes) -> int:
    """Return the orientation that an EXIF block says, 1 where it says none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return 1
    first = struct.unpack(order + "I", tiff[4:8])[0]
    count = struct.unpack(order + "H", tiff[first : first + 2])[0] if first + 2 <= len(tiff) else 0
    for number in range(count):
        entry = tiff[first + 2 + 12 * number : first + 14 + 12 * number]
        if len(entry) == 12 and struct.unpack(order + "H", entry[:2])[0] == ORIENTATION:
            return int(struct.unpack(order + "H", entry[8:10])[0])
    return 1
