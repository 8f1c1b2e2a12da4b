"""A folder that an export becomes: made beside its place, and put there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from poseviewer.core.errors import CallError, FormatError


def check_target(target: Path, ours: Collection[str], *, overwrite: bool) -> None:
    """Refuse a folder that holds something, unless it is an export of ours and may be replaced.

    Args:
        target: made-to-be folder; its parent is made if need be.
        ours: names that an earlier export may have left in it.
        overwrite: an earlier export may be replaced.

    Raises:
        CallError: if the folder is taken.
        FormatError: if its parent cannot be made.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"The folder {target.parent} cannot be made: {error.strerror}.", file=target) from error
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise CallError(
            f"{target} exists already and is not replaced.", file=target, remedy="Choose another, or allow overwriting."
        )
    if not target.is_dir() or {entry.name for entry in target.iterdir()} - set(ours):
        raise CallError(
            f"{target} holds more than an earlier export, so it is not replaced.",
            file=target,
            remedy="Choose an empty folder.",
        )


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside ``target`` that is gone afterwards, unless it was renamed."""
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    umask = os.umask(0)
    os.umask(umask)
    work.chmod(0o777 & ~umask)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def replace_folder(work: Path, target: Path) -> None:
    """Put ``work`` in the place of ``target``; an earlier export goes only after the new one is there."""
    if not target.exists():
        work.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    old.rmdir()
    target.rename(old)
    try:
        work.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn the operating system's errors into one sentence."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "the disk is full" if full else (error.strerror or str(error))
        raise FormatError(
            f"The export to {target} stopped: {why}. Nothing there was changed.",
            file=target,
            remedy="Make room and export again." if full else "",
        ) from error
