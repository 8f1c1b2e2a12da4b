"""The journal: what every edit changed, kept as images of rows before and after, and undo and redo by replaying them.

A step is what a hand calls one change; it may consist of several entries. Undone steps stay in the journal until a
new edit discards them. Everything is in the file, so undo reaches back beyond a restart and a crash.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from poseviewer.core.changes import Kind
from poseviewer.core.errors import ProjectError
from poseviewer.project.edits import AnyEdit, MoveJoint, ReplacePose, encode_edit
from poseviewer.project.rows import SelectionImage
from poseviewer.project.schema import JOURNALED

Row = dict[str, Any]
PAUSE_S = 1.0


class Image(msgspec.Struct, frozen=True, array_like=True):
    """One row before and after an edit; None where there was or is none."""

    table: str
    id: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Touched:
    """What a set of images changed.

    Attributes:
        kinds: for ``Changes``.
        frames: media -> frames whose corrections changed.
        many: whether rows of many frames changed (a track was renamed), so that ``frames`` does not say all.
    """

    kinds: frozenset[Kind]
    frames: dict[int, set[int]]
    many: bool


def touched(images: Sequence[Image]) -> Touched:
    """Return what ``images`` changed."""
    kinds: set[Kind] = set()
    frames: dict[int, set[int]] = {}
    for image in images:
        kinds.add("tracks" if image.table == "track" else "corrections")
        for row in (image.before, image.after):
            if row is None:
                continue
            inner = frames.setdefault(int(row["media"] or 0), set())
            if image.table == "correction":
                inner.add(int(row["frame"] or 0))
        if image.before and image.after and image.before.get("track") != image.after.get("track"):
            kinds.add("tracks")
    return Touched(frozenset(kinds), frames, any(image.table == "track" for image in images))


class RowWriter:
    """Writes rows of the journaled tables and keeps their images.

    Attributes:
        images: in the order of writing.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.images: list[Image] = []

    def insert(self, table: str, values: Row) -> int:
        """Insert a row and return its id."""
        row = put_new(self._db, table, values)
        self.images.append(Image(table, row, None, read_row(self._db, table, row)))
        return row

    def update(self, table: str, row: int, values: Row) -> None:
        """Change some columns of a row."""
        before = read_row(self._db, table, row)
        columns = ", ".join(f"{column} = ?" for column in values)
        self._db.execute(f"UPDATE {table} SET {columns} WHERE id = ?", (*values.values(), row))
        after = read_row(self._db, table, row)
        if before != after:
            self.images.append(Image(table, row, before, after))

    def delete(self, table: str, row: int) -> None:
        """Delete a row."""
        before = read_row(self._db, table, row)
        self._db.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
        self.images.append(Image(table, row, before, None))


def put_new(db: sqlite3.Connection, table: str, values: Row) -> int:
    """Insert a row of a journaled table and return its id."""
    marks = ", ".join("?" * len(values))
    cursor = db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
    return int(cursor.lastrowid or 0)


def read_row(db: sqlite3.Connection, table: str, row: int) -> Row | None:
    """Return a row by column name, or None."""
    cursor = db.execute(f"SELECT * FROM {table} WHERE id = ?", (row,))
    found = cursor.fetchone()
    return dict(zip((column[0] for column in cursor.description), found, strict=True)) if found else None


class Grouping:
    """Decides when a new undo step begins.

    A new step begins with the first edit, after ``break_group``, after undo or redo, after a pause of more than a
    second, with another kind, frame, person or joint, and with anything that is not a nudge by an arrow key: two
    drags are two steps.

    Args:
        clock: seconds, monotonic; given in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[object, ...] | None = None
        self._at = 0.0
        self._step = 0

    def joins(self, edit: AnyEdit, step: int) -> bool:
        """Return whether ``edit`` continues ``step``, the newest one in the journal."""
        mark = self._mark(edit)
        same = mark is not None and mark == self._last and step == self._step
        return same and self._clock() - self._at <= PAUSE_S

    def done(self, edit: AnyEdit, step: int) -> None:
        """Remember an edit that was committed as part of ``step``."""
        self._step = step
        self._last = self._mark(edit)
        self._at = self._clock()

    def reset(self) -> None:
        """Let the next edit begin a new step."""
        self._last = None

    @staticmethod
    def _mark(edit: AnyEdit) -> tuple[object, ...] | None:
        if isinstance(edit, MoveJoint) and edit.nudge:
            return (edit.media, edit.frame, edit.person, edit.joint)
        if isinstance(edit, ReplacePose) and edit.nudge:
            return (edit.media, edit.frame, edit.person, None)
        return None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What undo or redo of one step did: name, selection to show, and the images that were put back or forth."""

    name: str
    selection: SelectionImage
    images: tuple[Image, ...]


def discard_undone(db: sqlite3.Connection) -> None:
    """Forget the undone steps: a new edit leads elsewhere."""
    db.execute("DELETE FROM journal WHERE undone = 1")


def next_step(db: sqlite3.Connection) -> int:
    """Discard the undone steps and return the number of a new one."""
    discard_undone(db)
    row = db.execute("SELECT step FROM journal ORDER BY id DESC LIMIT 1").fetchone()
    return int(row[0]) + 1 if row else 1


def last_step(db: sqlite3.Connection) -> int | None:
    """Return the newest step that is not undone, or None."""
    row = db.execute("SELECT step FROM journal WHERE undone = 0 ORDER BY id DESC LIMIT 1").fetchone()
    return int(row[0]) if row else None


def record(
    db: sqlite3.Connection,
    step: int,
    name: str,
    edit: AnyEdit,
    selection: tuple[SelectionImage, SelectionImage],
    images: Sequence[Image],
) -> None:
    """Write one entry: the edit, the selection before and after it, and the row images."""
    db.execute(
        "INSERT INTO journal (step, at, name, edit, before, after, images) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            step,
            time.time(),
            name,
            encode_edit(edit),
            msgspec.json.encode(selection[0]).decode(),
            msgspec.json.encode(selection[1]).decode(),
            msgspec.msgpack.encode(list(images)),
        ),
    )


def names(db: sqlite3.Connection) -> tuple[str | None, str | None]:
    """Return the names of the steps that undo and redo would take, None where there is none."""
    undo = db.execute("SELECT name FROM journal WHERE undone = 0 ORDER BY id DESC LIMIT 1").fetchone()
    redo = db.execute("SELECT name FROM journal WHERE undone = 1 ORDER BY id LIMIT 1").fetchone()
    return (undo[0] if undo else None, redo[0] if redo else None)


def undo(db: sqlite3.Connection) -> Replayed | None:
    """Put back the rows of the newest step; return None if there is none."""
    return _replay(db, back=True)


def redo(db: sqlite3.Connection) -> Replayed | None:
    """Put forth the rows of the oldest undone step; return None if there is none."""
    return _replay(db, back=False)


def _replay(db: sqlite3.Connection, *, back: bool) -> Replayed | None:
    order = "DESC" if back else "ASC"
    found = db.execute(
        f"SELECT step FROM journal WHERE undone = ? ORDER BY id {order} LIMIT 1", (0 if back else 1,)
    ).fetchone()
    if found is None:
        return None
    entries = db.execute(
        f"SELECT name, before, after, images FROM journal WHERE step = ? ORDER BY id {order}", found
    ).fetchall()
    done: list[Image] = []
    for _, _, _, data in entries:
        images = _decoded(data)
        for image in reversed(images) if back else images:
            put_image(db, image.table, image.id, image.before if back else image.after)
            done.append(image)
    db.execute("UPDATE journal SET undone = ? WHERE step = ?", (1 if back else 0, found[0]))
    name, before, after, _ = entries[-1]
    return Replayed(name, msgspec.json.decode(before if back else after, type=SelectionImage), tuple(done))


def _decoded(data: bytes) -> list[Image]:
    try:
        images = msgspec.msgpack.decode(data, type=list[Image])
    except msgspec.DecodeError as error:
        raise ProjectError("The project file is damaged: an undo step cannot be read.") from error
    for image in images:
        columns = JOURNALED.get(image.table)
        rows = [row for row in (image.before, image.after) if row is not None]
        if columns is None or any(set(row) != columns or not _plain(row, image.id) for row in rows):
            raise ProjectError("The project file is damaged: an undo step names what no edit changes.")
    return images


def _plain(row: Row, own: int) -> bool:
    kinds = (int, float, str, bytes, type(None))
    return row["id"] == own and all(isinstance(value, kinds) for value in row.values())


def put_image(db: sqlite3.Connection, table: str, row: int, values: Row | None) -> None:
    """Make a row what its image says: absent, or exactly these columns."""
    db.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
    if values is not None:
        put_new(db, table, values)
