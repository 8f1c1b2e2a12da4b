"""The one connection to the project file: how it is opened, shared between threads and closed.

Order matters (ecosystem notes on SQLite): application_id and user_version are set while the file still has a rollback
journal, because in WAL the header bytes read 0 until a checkpoint; ``locking_mode=EXCLUSIVE`` comes before WAL, so
that a second opener cannot even read and no shared-memory file is made.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poseviewer.core.errors import KnownError, ProjectError
from poseviewer.project.lockfile import LockFile, busy


class Turn:
    """A lock that a thread may take again, in which edits and reads go before waiting jobs."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._owner = 0
        self._depth = 0
        self._edits_waiting = 0

    @contextlib.contextmanager
    def take(self, *, job: bool = False) -> Iterator[None]:
        """Hold the lock; a job waits while an edit or a read waits."""
        me = threading.get_ident()
        with self._condition:
            if self._owner != me:
                self._wait(job=job)
                self._owner = me
            self._depth += 1
        try:
            yield
        finally:
            with self._condition:
                self._depth -= 1
                if self._depth == 0:
                    self._owner = 0
                    self._condition.notify_all()

    def _wait(self, *, job: bool) -> None:
        if job:
            self._condition.wait_for(lambda: self._owner == 0 and self._edits_waiting == 0)
            return
        self._edits_waiting += 1
        try:
            self._condition.wait_for(lambda: self._owner == 0)
        finally:
            self._edits_waiting -= 1


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction: the connection, and the revision that the project has once it is committed."""

    db: sqlite3.Connection
    revision: int


class Database:
    """An open project file.

    Attributes:
        path: of the file.
        revision: how many transactions were committed.

    Raises:
        ProjectError: from every method, when the disk, the file or another program stands in the way.
    """

    def __init__(self, path: Path, lock: LockFile) -> None:
        self.path = path
        self._lock = lock
        self._turn = Turn()
        self._connection = connect(path)
        lock.announce()
        self._writing = False
        self._closed = False
        self.revision = 0

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for a short read."""
        with self._turn.take(), known_errors(self.path):
            self._check_open()
            yield self._connection

    @contextlib.contextmanager
    def write(self, *, job: bool = False) -> Iterator[Transaction]:
        """Hold the connection for one transaction: committed when the block ends, rolled back if it raises."""
        with self._turn.take(job=job), known_errors(self.path):
            self._check_open()
            if self._writing:
                raise RuntimeError("a transaction was begun inside another one")
            self._connection.execute("BEGIN IMMEDIATE")
            self._writing = True
            try:
                yield Transaction(self._connection, self.revision + 1)
                self._connection.execute("COMMIT")
                self.revision += 1
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._writing = False

    def close(self) -> None:
        """Write everything into the one file, close it and give the lock back; does nothing the second time."""
        with self._turn.take():
            if self._closed:
                return
            self._closed = True
            try:
                with contextlib.suppress(sqlite3.Error):  # A full disk keeps the -wal file; nothing is lost by that.
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.close()
            finally:
                self._lock.release()

    def _check_open(self) -> None:
        if self._closed:  # A job may outlive the window of its project; it then ends with a sentence.
            raise ProjectError(f"{self.path.name} has been closed.", file=self.path)


def connect(path: Path) -> sqlite3.Connection:
    """Open ``path`` exclusively in WAL with full synchronisation.

    Raises:
        ProjectError: if it cannot be opened that way.
    """
    with known_errors(path):
        connection = sqlite3.connect(
            path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.text_factory = _text
        try:
            for pragma in (
                "trusted_schema = OFF",
                "locking_mode = EXCLUSIVE",
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "temp_store = MEMORY",
                "cache_size = -16384",
            ):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
    return connection


@contextlib.contextmanager
def known_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite may meet in daily life into a ProjectError; mistakes of ours pass as they are."""
    try:
        yield
    except KnownError:
        raise
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            raise ProjectError(
                f"{path.name} is damaged: a row names something that is not there.", file=path
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise busy(path) from error
        sentence = _SENTENCES.get(code)
        if sentence is None:
            raise
        raise ProjectError(sentence.format(name=path.name), file=path, remedy=_REMEDIES.get(code, "")) from error


def _text(data: bytes) -> str:
    """Damaged text reads as question marks, so that it ends in a sentence about the file and not in a traceback."""
    return data.decode(errors="replace")


_SENTENCES = {
    sqlite3.SQLITE_FULL: "The disk that holds {name} is full, so the last change was not saved.",
    sqlite3.SQLITE_IOERR: "The disk that holds {name} reported an error, so the last change was not saved.",
    sqlite3.SQLITE_READONLY: "{name} or its folder cannot be written to.",
    sqlite3.SQLITE_CANTOPEN: "{name} cannot be opened.",
    sqlite3.SQLITE_PERM: "{name} cannot be opened: permission denied.",
    sqlite3.SQLITE_CORRUPT: "{name} is damaged.",
    sqlite3.SQLITE_NOTADB: "{name} is damaged or not a PoseViewer project.",
}
_REMEDIES = {
    sqlite3.SQLITE_FULL: "Free some space and repeat it.",
    sqlite3.SQLITE_CORRUPT: "Use a copy; the file was left as it is.",
}
