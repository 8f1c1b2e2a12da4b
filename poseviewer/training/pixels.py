"""Decoded pictures in one flat file, mapped into memory.

Training draws each picture dozens of times; decoding WebP or JPEG every time would cost more than the
network's share of a core. The file is a cache: it is rebuilt when the list of pictures changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import MediaError
from poseviewer.core.files import atomic_write
from poseviewer.media.pictures import read_picture

Pixels = npt.NDArray[np.uint8]


class PixelStore:
    """Random access to decoded RGB pictures by their place in a list.

    The store is a raw file of pixels and an index (N, 3) int64 of offset, height, width.
    """

    def __init__(self, images: Sequence[Path], folder: Path) -> None:
        """Open the store of these pictures in `folder`, building it first if need be.

        Raises:
            MediaError: a picture is missing or cannot be decoded.
        """
        folder.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256("\n".join(_named(path) for path in images).encode()).hexdigest()[:16]
        raw, index = folder / f"{key}.rgb", folder / f"{key}.npy"
        if not (raw.exists() and index.exists()):
            _build(images, raw, index)
        self._files = (raw, index)
        self._open()

    def _open(self) -> None:
        raw, index = self._files
        self._index = np.load(index)
        self._pixels = np.memmap(raw, dtype=np.uint8, mode="r")

    def __getstate__(self) -> tuple[Path, Path]:
        """Only the names travel to another process, which maps the file itself."""
        return self._files

    def __setstate__(self, files: tuple[Path, Path]) -> None:
        self._files = files
        self._open()

    def __getitem__(self, place: int) -> Pixels:
        """(H, W, 3) uint8 RGB, read-only."""
        offset, height, width = (int(value) for value in self._index[place])
        return self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)


def _named(path: Path) -> str:
    """A picture's name with its time and size, so that another picture of the same name is another one."""
    try:
        about = path.stat()
    except OSError as error:
        raise MediaError(f"The picture {path} is missing or damaged.", file=path) from error
    return f"{path} {about.st_mtime_ns} {about.st_size}"


def check_pictures(images: Iterable[Path]) -> None:
    """Refuse pictures that are not there, before the others are decoded; raises MediaError."""
    missing = sorted(path for path in images if not path.is_file())
    if len(missing) > 1:
        raise MediaError(f"The picture {missing[0]} is missing, one of {len(missing)}.", file=missing[0])
    if missing:
        raise MediaError(f"The picture {missing[0]} is missing.", file=missing[0])


def _build(images: Sequence[Path], raw: Path, index: Path) -> None:
    rows, offset = [], 0
    with atomic_write(raw) as stream:
        for path in images:
            picture = read_picture(path)
            rows.append((offset, *picture.shape[:2]))
            stream.write(picture.tobytes())
            offset += picture.nbytes
    with atomic_write(index) as stream:
        np.save(stream, np.array(rows, dtype=np.int64).reshape(-1, 3))
