"""Bringing an older project file forward, version by version, after a copy of it was made."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from poseviewer.core.errors import ProjectError
from poseviewer.core.files import atomic_write
from poseviewer.project.connection import known_errors
from poseviewer.project.schema import VERSION

Step = Callable[[sqlite3.Connection], None]

STEPS: dict[int, Step] = {}
"""Version -> what makes the next version of it. Version 1 is the first, so there is none yet."""


def migrate(path: Path, version: int, *, steps: Mapping[int, Step] | None = None, target: int = VERSION) -> Path | None:
    """Bring the file at ``path`` from ``version`` to ``target``; return the copy that was made, None if it was new.

    Each step and the number it leads to share a transaction, so a crash leaves a whole older file. The work is done
    while the file has a rollback journal: the version must stand in the header for those who only look there.

    Raises:
        ProjectError: if no step leads from that version, or the copy cannot be made.
    """
    if version == target:
        return None
    steps = STEPS if steps is None else steps
    missing = [number for number in range(version, target) if number not in steps]
    if missing:
        raise ProjectError(f"{path.name} has project version {version}, which this PoseViewer cannot read.", file=path)
    with known_errors(path):
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = DELETE")
            copy = _copied(connection, path, version)
            connection.execute("PRAGMA synchronous = FULL")
            for number in range(version, target):
                connection.execute("BEGIN EXCLUSIVE")
                try:
                    steps[number](connection)
                    connection.execute(f"PRAGMA user_version = {number + 1}")
                    connection.execute("COMMIT")
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
        finally:
            connection.close()
    return copy


def _copied(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the file beside itself, as NAME.v1.poseproj, through the connection that holds it."""
    copy = path.with_name(f"{path.stem}.v{version}{path.suffix}")
    counter = 1
    while copy.exists():
        counter += 1
        copy = path.with_name(f"{path.stem}.v{version}-{counter}{path.suffix}")
    try:
        with atomic_write(copy) as stream:
            stream.write(connection.serialize())
    except OSError as error:
        raise ProjectError(
            f"{path.name} is of an older version and no copy of it can be made: {error.strerror}.", file=path
        ) from error
    return copy
