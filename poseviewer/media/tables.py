"""The cache of indexes and confirmed frame tables, keyed by size, time of change and a hash of the content."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import xxhash

from poseviewer.core.files import write_bytes
from poseviewer.core.resources import cache_folder
from poseviewer.media.fingerprint import file_fingerprint
from poseviewer.media.index import NO_STAMP, FrameTable, PacketIndex

log = logging.getLogger("poseviewer.media")

FORMAT = 2
"""Part of the key: grows when the meaning of the arrays changes."""
KEEP = 400
"""Tables that stay in the cache folder; the oldest go first."""

Row = tuple[int | None, int | None, int | None, int, int | None, bool, bool, bool]


def index_from_rows(rows: Sequence[Row], time_base: Fraction | None, *, guessed: bool = False) -> PacketIndex:
    """Make an index of (pts, dts, pos, size, duration, key, discard, broken) rows."""
    columns = list(zip(*rows, strict=True)) or [()] * 8

    def ints(column: Sequence[int | None], missing: int) -> np.ndarray:
        return np.array([missing if value is None else value for value in column], dtype=np.int64)

    return PacketIndex(
        pts=ints(columns[0], NO_STAMP),
        dts=ints(columns[1], NO_STAMP),
        pos=ints(columns[2], -1),
        size=ints(columns[3], 0),
        duration=ints(columns[4], 0),
        key=np.array(columns[5], dtype=bool),
        discard=np.array(columns[6], dtype=bool),
        broken=np.array(columns[7], dtype=bool),
        time_base=time_base or Fraction(1, 1000),
        guessed=guessed,
    )


def key_of(path: Path) -> tuple[str, str]:
    """Return the cache key of a file and its fingerprint.

    Raises:
        OSError: if the file cannot be read.
    """
    fingerprint = file_fingerprint(path)
    status = path.stat()
    libraries = ".".join(map(str, av.library_versions["libavformat"] + av.library_versions["libavcodec"]))
    parts = f"{FORMAT} {libraries} {status.st_size} {status.st_mtime_ns} {fingerprint}"
    return xxhash.xxh3_128(parts.encode()).hexdigest(), fingerprint


def _file(key: str) -> Path:
    folder = cache_folder() / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{key}.npz"


def store(key: str, index: PacketIndex, table: FrameTable) -> None:
    """Write a confirmed table; a full or read-only disk only costs the next opening its time."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        stamps=np.stack([index.pts, index.dts, index.pos, index.size, index.duration]),
        flags=np.stack([index.key, index.discard, index.broken]),
        base=np.array([index.time_base.numerator, index.time_base.denominator], dtype=np.int64),
        ordinals=table.ordinals,
        timestamps=table.timestamps,
        corrupt=table.corrupt,
        facts=np.array([table.errors, index.guessed], dtype=np.int64),
    )
    try:
        path = _file(key)
        write_bytes(path, buffer.getvalue())
        _thin(path.parent)
    except OSError as error:
        log.warning("the frame table could not be cached: %s", error)


def load(key: str) -> tuple[PacketIndex, FrameTable] | None:
    """Return a cached index and confirmed table, or None if there is none that can be read."""
    try:
        with np.load(_file(key), allow_pickle=False) as held:
            pts, dts, pos, size, duration = held["stamps"]
            shown, discard, broken = held["flags"]
            base = Fraction(int(held["base"][0]), int(held["base"][1]))
            errors, guessed = map(int, held["facts"])
            index = PacketIndex(pts, dts, pos, size, duration, shown, discard, broken, base, bool(guessed))
            table = FrameTable(held["ordinals"], held["timestamps"], held["corrupt"], True, errors)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, TypeError, ZeroDivisionError, zipfile.BadZipFile) as error:
        log.warning("a cached frame table is unreadable and made anew: %s", error)
        return None
    if not len(table) or int(table.ordinals.max()) >= len(index) or len(table.timestamps) != len(table):
        return None
    return index, table


def _thin(folder: Path) -> None:
    files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime)
    for file in files[:-KEEP]:
        file.unlink(missing_ok=True)
