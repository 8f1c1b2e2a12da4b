"""The side file ``NAME.poseproj.lock``: one opener at a time, and who that is since when.

The operating system drops the lock when its process ends, so a file that a crash left behind blocks nobody. SQLite's
exclusive mode guards the project as well; this lock also holds against a second opener in the same process, which
must not even read the file: closing any descriptor of a file drops that process's POSIX locks on it.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sys
import time
from pathlib import Path

import msgspec

from poseviewer.core.errors import ProjectError


class Holder(msgspec.Struct, frozen=True):
    """Who has a project open: user, machine, process number and seconds since 1970."""

    user: str = ""
    host: str = ""
    pid: int = 0
    since: float = 0.0

    def words(self) -> str:
        """Return "anna on ward7, process 812, since 2026-03-01 14:05"."""
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"{self.user or 'somebody'} on {self.host or 'an unknown machine'}, process {self.pid}, since {when}"


def lock_path(project: Path) -> Path:
    """Return the path of the side file."""
    return project.with_name(project.name + ".lock")


def read_holder(project: Path) -> Holder | None:
    """Return who holds the project according to the side file, or None if it does not say."""
    try:
        return msgspec.json.decode(lock_path(project).read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError, ValueError):
        return None


def busy(project: Path) -> ProjectError:
    """Return the sentence for a project that somebody else has open."""
    holder = read_holder(project)
    who = f" by {holder.words()}" if holder is not None else " by another program"
    return ProjectError(
        f"{project.name} is already open{who}.", file=project, remedy="Close it there before opening it here."
    )


class LockFile:
    """Holds the side file of ``project`` from construction to :meth:`release`.

    Raises:
        ProjectError: if somebody else has it, or the folder cannot be written to.
    """

    def __init__(self, project: Path) -> None:
        self._path = lock_path(project)
        self._handle, self._mine = _acquire(project, self._path)

    def announce(self) -> None:
        """Write who has the project; called once SQLite's own lock is held too."""
        self._mine = True
        holder = Holder(_user(), socket.gethostname(), os.getpid(), time.time())
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, msgspec.json.encode(holder))

    def release(self) -> None:
        """Give the lock back and remove the file; does nothing the second time."""
        if self._handle < 0:
            return
        if self._mine:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._handle)
        self._handle = -1


def _acquire(project: Path, path: Path) -> tuple[int, bool]:
    """Return the open file and whether the operating system locked it for us."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise ProjectError(
                f"{project.name} cannot be opened for writing: {path.parent} does not let files be made"
                f" ({error.strerror}).",
                file=project,
            ) from error
        try:
            _lock(handle)
        except BlockingIOError:
            os.close(handle)
            raise busy(project) from None
        except OSError:
            return handle, False  # A network drive without such locks: SQLite's own lock still guards the project.
        # The former holder may have removed the file between our open and our lock.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle, True
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the text, which must stay readable for others
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
