"""Settling a media's frame table, with progress: the one decode of everything that exact frame numbers need."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator

from poseviewer.core.progress import JobEvent, Progress
from poseviewer.core.values import MediaInfo
from poseviewer.media import Media

POLL_S = 0.1


def confirm(media: Media) -> Generator[JobEvent, None, MediaInfo]:
    """Confirm ``media`` and return its info; closing the generator stops it.

    A video that is confirmed already is not decoded again; pictures are looked at, so that damage is found.

    The decoding runs on a thread of its own, because a call that counts its progress cannot yield it.

    Raises:
        MediaError: if not a single frame can be decoded.
    """
    if media.info.confirmed and media.info.kind == "video":
        return media.info
    start = time.monotonic()
    told: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            media.confirm(lambda done, total: told.put((done, total)), stop.is_set)
        except BaseException as error:
            failed.append(error)

    worker = threading.Thread(target=work, name="confirm", daemon=True)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(POLL_S)
            latest: tuple[int, int] | None = None
            while not told.empty():
                latest = told.get()
            if latest is not None:
                yield _progress(*latest, time.monotonic() - start, video=media.info.kind == "video")
    finally:
        stop.set()
        worker.join()
    if failed:
        raise failed[0]
    return media.info


def _progress(done: int, total: int, seconds: float, *, video: bool) -> Progress:
    left = seconds / done * max(total - done, 0) if done and total else None
    if video:
        return Progress(done, total, "packets", seconds, left, "counting frames")
    return Progress(done, total, "pictures", seconds, left, "looking for damage")
