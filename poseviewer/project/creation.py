"""Making a new project file, whole or not at all."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

import msgspec

from poseviewer.core.errors import ProjectError
from poseviewer.core.files import make_readable
from poseviewer.core.skeleton import Skeleton
from poseviewer.project.connection import known_errors
from poseviewer.project.schema import create_tables

SKELETON_KEY = "skeleton"


def make_file(target: Path, skeleton: Skeleton) -> None:
    """Make an empty project at ``target``: beside it first, then put in place.

    Raises:
        ProjectError: if the folder cannot be written to or something appears at ``target`` meanwhile.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise ProjectError(
            f"{target.name} cannot be made in {target.parent}: {error.strerror}.", file=target
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        with known_errors(target):
            _fill(temporary, skeleton)
        make_readable(temporary)
        if target.exists():
            raise ProjectError(f"{target.name} exists already.", file=target)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(path: Path, skeleton: Skeleton) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        create_tables(connection)
        text = msgspec.json.encode(skeleton).decode()
        connection.execute("INSERT INTO setting (key, value) VALUES (?, ?)", (SKELETON_KEY, text))
    finally:
        connection.close()


def replace_skeleton(db: sqlite3.Connection, skeleton: Skeleton) -> bool:
    """Write another joint set into a project in which nobody is or was; return whether it was written."""
    for table in ("prediction", "correction", "journal"):
        if db.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]:
            return False
    text = msgspec.json.encode(skeleton).decode()
    db.execute("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", (SKELETON_KEY, text))
    return True


def read_project_skeleton(db: sqlite3.Connection, path: Path) -> Skeleton:
    """Return the skeleton that the project was made with; it is kept whole, so that no installation can change it.

    Raises:
        ProjectError: if it is absent or damaged.
    """
    row = db.execute("SELECT value FROM setting WHERE key = ?", (SKELETON_KEY,)).fetchone()
    try:
        return msgspec.json.decode(row[0] if row else b"", type=Skeleton)
    except (msgspec.DecodeError, ValueError) as error:
        raise ProjectError(f"{path.name} is damaged: its skeleton cannot be read.", file=path) from error
