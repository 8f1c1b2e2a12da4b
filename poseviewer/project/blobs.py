"""Arrays to bytes and back: little-endian float32 and uint8, with a length check on the way in.

Symbols: K joints.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import ProjectError
from poseviewer.core.values import Array

FLOAT = np.dtype("<f4")


def pack(values: npt.ArrayLike) -> bytes:
    """Return ``values`` as little-endian float32 bytes."""
    return np.ascontiguousarray(values, dtype=FLOAT).tobytes()


def pack_bytes(values: npt.ArrayLike) -> bytes:
    """Return small whole numbers (visibilities) as one byte each."""
    return np.ascontiguousarray(values, dtype=np.uint8).tobytes()


def unpack(data: object, shape: tuple[int, ...]) -> Array:
    """Return a read-only float32 array of ``shape``.

    Raises:
        ProjectError: if the bytes do not hold exactly that many numbers.
    """
    return np.frombuffer(_checked(data, shape, 4), dtype=FLOAT).reshape(shape)


def unpack_bytes(data: object, count: int) -> npt.NDArray[np.uint8]:
    """Return a read-only ``(count,)`` uint8 array.

    Raises:
        ProjectError: if there are more or fewer bytes.
    """
    return np.frombuffer(_checked(data, (count,), 1), dtype=np.uint8)


def _checked(data: object, shape: tuple[int, ...], width: int) -> bytes:
    wanted = width
    for size in shape:
        wanted *= size
    if not isinstance(data, bytes) or len(data) != wanted:
        held = len(data) if isinstance(data, bytes) else 0
        raise ProjectError(f"The project file is damaged: a pose holds {held} bytes where {wanted} belong.")
    return data
