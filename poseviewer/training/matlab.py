"""One array of numbers out of a MATLAB 5 file (`.mat`, versions 5 to 7.2), without anything else that it may hold.

The format is a header of 128 bytes and a row of elements: a tag (kind, bytes), data, padding to 8 bytes; small data lie
within the tag. A variable is an element of elements (flags, sizes, name, numbers by columns), mostly packed by zlib.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 128
LARGEST = 2**28
"""Bytes that a variable may have unpacked."""
MATRIX, PACKED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
ORDERS = {b"IM": "<", b"MI": ">"}


def read_matlab(file: Path, name: str) -> npt.NDArray[np.float64]:
    """The array called `name`, in the sizes that MATLAB gives it.

    Raises:
        ValueError: it is no such file, is damaged, or has no such array of real numbers.
        OSError: it cannot be read.
    """
    data = file.read_bytes()
    order = ORDERS.get(data[HEADER_BYTES - 2 : HEADER_BYTES], "")
    if not order:
        raise ValueError("it is not a MATLAB 5 file")
    try:
        for kind, part in _elements(data[HEADER_BYTES:], order):
            unpacked = next(_elements(_unpacked(part), order)) if kind == PACKED else (kind, part)
            found = _matrix(unpacked[1], order, name) if unpacked[0] == MATRIX else None
            if found is not None:
                return found
    except (struct.error, zlib.error, StopIteration, KeyError) as error:
        raise ValueError("it is damaged") from error
    raise ValueError(f"it holds no array {name}")


def _unpacked(part: bytes) -> bytes:
    reader = zlib.decompressobj()
    found = reader.decompress(part, LARGEST)
    if reader.unconsumed_tail:
        raise ValueError("it holds more than a list of joints")
    return found


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and content of one element after the other."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:
            # Small data: both numbers in the first four bytes, the data in the others.
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = at + 4, at + 8
        else:
            start = at + 8
            # Packed elements alone are not padded.
            end = start + size + (0 if kind == PACKED else -size % 8)
        if start + size > len(data):
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]
        at = end


def _matrix(data: bytes, order: str, name: str) -> npt.NDArray[np.float64] | None:
    """The numbers of a variable; None if it has another name."""
    parts = _elements(data, order)
    next(parts)
    sizes = np.frombuffer(next(parts)[1], f"{order}i4")
    if next(parts)[1].decode("ascii", "replace") != name:
        return None
    kind, numbers = next(parts)
    values = np.frombuffer(numbers, order + NUMBERS[kind])
    if (sizes < 0).any() or values.size != int(np.prod(sizes.astype(object))):
        raise ValueError("an array has other numbers than it says")
    return values.reshape(tuple(sizes.tolist()), order="F").astype(np.float64)
