"""Fingerprints: of a frame's content, robust to re-encoding, and of a file's bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xxhash

from poseviewer.core.values import Pixels
from poseviewer.media.opencv import cv2

CHUNK = 256 << 10
SAMPLES = 8


def frame_fingerprint(pixels: Pixels) -> str:
    """Return a 64-bit perceptual hash of a frame as 16 hexadecimal digits.

    The lowest frequencies of the luma's cosine transform, each compared with their median: re-encoding, scaling and
    small changes of brightness move few bits. Frames of different scenes differ in about 32.

    Args:
        pixels: ``(H, W, 3)`` uint8 RGB.
    """
    height, width = pixels.shape[:2]
    # Thinning first keeps it under a millisecond at 1080p; what is left still averages many pixels a cell.
    step = max(min(height, width) // 128, 1)
    small = cv2.resize(np.ascontiguousarray(pixels[::step, ::step]), (32, 32), interpolation=cv2.INTER_AREA)
    luma = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    low = cv2.dct(luma)[:9, :9]
    # 64 of the lowest 81 by zigzag order, without the mean.
    values = low[_ROWS, _COLUMNS]
    bits = values > np.median(values)
    return np.packbits(bits).tobytes().hex()


def _zigzag() -> tuple[np.ndarray, np.ndarray]:
    cells = sorted(((r, c) for r in range(9) for c in range(9)), key=lambda cell: (sum(cell), cell))[1:65]
    return np.array([r for r, _ in cells]), np.array([c for _, c in cells])


_ROWS, _COLUMNS = _zigzag()


def fingerprint_distance(first: str, second: str) -> int:
    """Return in how many of the 64 bits two frame fingerprints differ.

    Raises:
        ValueError: if one is not hexadecimal.
    """
    return (int(first, 16) ^ int(second, 16)).bit_count()


def file_fingerprint(path: Path) -> str:
    """Return a hash of a file's size, head, tail and some samples between, as 32 hexadecimal digits.

    Reads at most a few megabytes, so it is fast for a file of any size; the file's name and place do not enter.

    Raises:
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    digest = xxhash.xxh3_128(str(size).encode())
    with path.open("rb") as stream:
        last = max(size - CHUNK, 0)
        for offset in sorted({last * step // (SAMPLES + 1) for step in range(SAMPLES + 2)}):
            stream.seek(offset)
            digest.update(stream.read(CHUNK))
    return digest.hexdigest()


def folder_fingerprint(paths: list[Path]) -> str:
    """Return a hash of the names and sizes of pictures and of the heads of some of them, 32 hexadecimal digits.

    Raises:
        OSError: if a picture cannot be read.
    """
    digest = xxhash.xxh3_128()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
    for path in paths[:: max(len(paths) // 16, 1)]:
        with path.open("rb") as stream:
            digest.update(stream.read(64 << 10))
    return digest.hexdigest()
