"""What a file is, from its first 100 bytes, so that a foreign or newer file is refused without touching it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from poseviewer.core.errors import ProjectError
from poseviewer.project.schema import APPLICATION_ID, VERSION

MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Header:
    """The numbers that matter of an SQLite header (SQLite file format, section 1.3)."""

    page_size: int
    page_count: int
    version: int
    application_id: int


def read_header(path: Path) -> Header:
    """Check that ``path`` is a project that this program can open, reading only.

    Raises:
        ProjectError: if it is absent, unreadable, foreign, cut off or made by a newer PoseViewer.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(100)
        size = path.stat().st_size
    except FileNotFoundError:
        raise ProjectError(f"{path.name} is not there.", file=path) from None
    except OSError as error:
        raise ProjectError(f"{path.name} cannot be read: {error.strerror}.", file=path) from error
    if not data:
        raise ProjectError(f"{path.name} is empty, so it is not a PoseViewer project.", file=path)
    if len(data) < 100 or not data.startswith(MAGIC):
        raise ProjectError(f"{path.name} is not a PoseViewer project.", file=path)
    page_size = struct.unpack_from(">H", data, 16)[0]
    header = Header(
        page_size=65536 if page_size == 1 else page_size,
        page_count=struct.unpack_from(">I", data, 28)[0],
        version=struct.unpack_from(">I", data, 60)[0],
        application_id=struct.unpack_from(">I", data, 68)[0],
    )
    _check(path, header, size)
    return header


def _check(path: Path, header: Header, size: int) -> None:
    if header.application_id != APPLICATION_ID:
        raise ProjectError(f"{path.name} is a database of another program, not a PoseViewer project.", file=path)
    if header.version > VERSION:
        raise ProjectError(
            f"{path.name} was written by a newer PoseViewer (project version {header.version}, this one knows"
            f" {VERSION}).",
            file=path,
            remedy="Open it with that version; nothing was changed.",
        )
    wal = path.with_name(path.name + "-wal")
    waiting = wal.exists() and wal.stat().st_size > 0
    if not waiting and size < header.page_count * header.page_size:
        missing = header.page_count * header.page_size - size
        raise ProjectError(f"{path.name} is cut off: {missing} bytes are missing at its end.", file=path)
