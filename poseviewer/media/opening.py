"""Opening: from a path to a Media, or to one sentence that says why not."""

from __future__ import annotations

import os
from pathlib import Path

import av.error

from poseviewer.core.errors import MediaError
from poseviewer.core.values import MediaInfo
from poseviewer.media.base import Media
from poseviewer.media.pictures import Pictures, check_name, is_picture, pictures_in, pictures_of_glob
from poseviewer.media.sequence import reason
from poseviewer.media.video import open_video

BOX_HEADER = 8
HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"})
PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""How JPEG and PNG files begin."""


def open_media(path: str | Path) -> Media:
    """Open a video, a picture, a folder of pictures or a glob.

    A video gets a provisional frame table at once (its packets are read, not decoded) unless the cache holds a
    confirmed one; :meth:`Media.confirm` settles it.

    Raises:
        MediaError: one sentence naming the file and the cause.
    """
    text = os.fspath(path)
    if not text:
        raise MediaError("The name of the media is empty.", file=text)
    place = Path(text).expanduser()
    check_name(place)
    try:
        if place.is_dir():
            return Pictures(text, pictures_in(place), "folder")
        if not place.exists():
            if any(mark in text for mark in "*?["):
                return Pictures(text, pictures_of_glob(os.path.expanduser(text)), "folder")
            raise MediaError(f"There is no file {place}.", file=place)
        if not place.is_file():
            raise MediaError(f"{place} is not a file.", file=place)
        if not place.stat().st_size:
            raise MediaError(f"The file {place} is empty (0 bytes).", file=place)
        if is_picture(place) or _is_misnamed_picture(place):
            return Pictures(text, [place], "picture")
        return open_video(place, text)
    except av.error.FFmpegError as error:
        if not os.access(place, os.R_OK):
            raise MediaError(f"You may not read {place}.", file=place) from error
        raise MediaError(f"{place} cannot be opened: {_cause(place, error)}.", file=place) from error
    except PermissionError as error:
        raise MediaError(f"You may not read {place}.", file=place) from error
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise MediaError(f"{place} cannot be opened: {what}.", file=place) from error


def probe(path: str | Path, *, confirm: bool = True) -> MediaInfo:
    """Return what is known about a media, with findings.

    Args:
        path: as for :func:`open_media`.
        confirm: decode all of it, so that the frame count is certain and damage is found.

    Raises:
        MediaError: one sentence naming the file and the cause.
    """
    with open_media(path) as media:
        return media.confirm() if confirm else media.info


def _cause(path: Path, error: av.error.FFmpegError) -> str:
    """Return why FFmpeg refused a file, as far as its first bytes tell."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        head = b""
    if head[8:12] in HEIC:
        return "it is a HEIC picture; convert it to JPEG first"
    if head[4:8] == b"ftyp":
        return "it is cut off, the index at its end is missing" if not _has_moov(path) else "its index is damaged"
    if looks_like_text(head):
        return "it is a text file, not a video"
    if isinstance(error, av.error.DecoderNotFoundError):
        return "there is no decoder for its codec"
    if isinstance(error, av.error.InvalidDataError):
        return "it is not a video, or its beginning is damaged"
    return reason(error)


def _is_misnamed_picture(path: Path) -> bool:
    """Return whether a file without the ending of a picture is one; a raw stream of JPEGs is a video."""
    if path.suffix.lower() in (".mjpeg", ".mjpg"):
        return False
    with path.open("rb") as stream:
        return stream.read(8).startswith(PICTURE_HEADS)


def looks_like_text(head: bytes) -> bool:
    """Return whether the first bytes of a file are plain text."""
    if b"\0" in head:
        return False
    try:
        text = head.decode("utf-8", "strict") if len(head) < 4096 else head[:-4].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return False
    printable = sum(character.isprintable() or character in "\r\n\t\f" for character in text)
    return bool(text) and printable >= 0.97 * len(text)


def _has_moov(path: Path) -> bool:
    """Return whether an MP4 file holds its index, by walking its top-level boxes."""
    size = path.stat().st_size
    offset = 0
    with path.open("rb") as stream:
        while offset + BOX_HEADER <= size:
            stream.seek(offset)
            header = stream.read(16)
            length = int.from_bytes(header[:4], "big")
            if header[4:8] == b"moov":
                return True
            if length == 1 and len(header) == 16:
                length = int.from_bytes(header[8:16], "big")
            if length < BOX_HEADER:
                return False
            offset += length
    return False
