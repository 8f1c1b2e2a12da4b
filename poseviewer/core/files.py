"""Writing files so that a crash leaves either the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from poseviewer.core.errors import FormatError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` that replaces it when the block ends without an error.

    The data is flushed to the disk before the rename, so a power cut leaves the old or the new content.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        a binary stream.

    Raises:
        OSError: as the operating system reports it (a full disk, say); ``path`` is then untouched.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        make_readable(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_readable(temporary: Path) -> None:
    """Let a temporary file be as readable as any other file of this person; those that `tempfile` makes are private."""
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` through :func:`atomic_write`."""
    with atomic_write(path) as stream:
        stream.write(data)


def inside(folder: Path, name: str, *, file: Path | None = None) -> Path:
    """Return ``folder / name`` if it stays inside ``folder``.

    Args:
        folder: the folder that a foreign file may name things in.
        name: a relative path read from a file that a user offers.
        file: the file that holds ``name``, for the message.

    Raises:
        FormatError: if ``name`` is absolute or leads out of ``folder``.
    """
    base = folder.resolve()
    target = (base / name).resolve()
    if not target.is_relative_to(base):
        where = f"{file.name} names" if file is not None else "The name is"
        raise FormatError(f"{where} a file outside its folder: {name}.", file=file)
    return target
