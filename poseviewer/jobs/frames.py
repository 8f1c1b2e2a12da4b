"""Names of pictures, and writing exact frames as PNG."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import numpy as np

from poseviewer.core.errors import FormatError
from poseviewer.core.files import write_bytes
from poseviewer.core.framerange import parse_frames
from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.core.values import Pixels
from poseviewer.jobs.confirming import confirm
from poseviewer.media import Media, open_media


def picture_names(media: Media) -> tuple[str, ...]:
    """Return the file name of each frame for pictures, () for a video.

    Where pictures of several folders (of a glob) share a name, all names begin below their common folder.
    """
    files = [Path(file) for file in getattr(media, "files", ())]
    bare = tuple(file.name for file in files)
    if len(set(bare)) == len(bare):
        return bare
    top = os.path.commonpath([file.parent for file in files])
    return tuple(file.relative_to(top).as_posix() for file in files)


def extract_frames(path: str | Path, wanted: str, folder: str | Path) -> Generator[JobEvent, None, list[Path]]:
    """Write exact frames of a media as ``000057.png`` into ``folder`` and return the paths.

    Args:
        path: of the media.
        wanted: frames such as "0,57,800-812", 0-based and inclusive.
        folder: made if need be.

    Raises:
        MediaError: if the media cannot be read.
        CallError: if the list is wrong or a frame is not there.
        FormatError: if a picture cannot be written.
    """
    target = Path(folder)
    with open_media(path) as media:
        info = yield from confirm(media)
        frames = parse_frames(wanted, info.frame_count)
        try:
            target.mkdir(parents=True, exist_ok=True)
            meter = ProgressMeter(len(frames), "frames")
            written: list[Path] = []
            for frame in media.frames(frames):
                file = target / f"{frame.index:06d}.png"
                write_picture(file, frame.pixels)
                written.append(file)
                if event := meter.step():
                    yield event
        except OSError as error:
            raise FormatError(f"{target} cannot be written: {error.strerror}.", file=target) from error
    return written


def write_picture(path: Path, pixels: Pixels) -> None:
    """Write ``(H, W, 3)`` uint8 RGB pixels as PNG or JPEG, by the ending of ``path``.

    Raises:
        OSError: as the operating system reports it.
        FormatError: if the pixels cannot be encoded.
    """
    import cv2

    done, data = cv2.imencode(path.suffix, cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR))
    if not done:
        raise FormatError(f"{path.name} could not be encoded.", file=path)
    write_bytes(path, data.tobytes())
