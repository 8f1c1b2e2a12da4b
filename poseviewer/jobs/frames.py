"""Which frames: reading "0-99,120", names of pictures, and writing exact frames as PNG."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from poseviewer.core.errors import CallError, FormatError
from poseviewer.core.files import write_bytes
from poseviewer.core.progress import JobEvent, ProgressMeter
from poseviewer.core.values import Pixels
from poseviewer.media import Media, open_media


def parse_frames(text: str, count: int | None = None) -> list[int]:
    """Return the frame numbers of "0-99,120": 0-based, both ends included, ascending, each once.

    Args:
        text: numbers and ranges with commas between.
        count: how many frames there are; None skips that check.

    Raises:
        CallError: if the text is wrong or names a frame that is not there.
    """
    frames: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not found:
            raise CallError(
                f'"{text}" is not a list of frames.', remedy="Write it like 0-99,120 (0 is the first frame)."
            )
        first = int(found[1])
        last = int(found[2]) if found[2] else first
        if last < first:
            raise CallError(f'"{part.strip()}" ends before it begins.')
        if count is not None and last >= count:
            raise CallError(f"There is no frame {last}: the last one is {count - 1}.")
        if last - first > 100_000_000:
            raise CallError(f'"{part.strip()}" names too many frames.')
        frames.update(range(first, last + 1))
    return sorted(frames)


def picture_names(media: Media) -> tuple[str, ...]:
    """Return the file name of each frame for pictures, () for a video."""
    files = getattr(media, "files", ())
    return tuple(Path(file).name for file in files)


def extract_frames(
    path: str | Path, frames: Sequence[int], folder: str | Path
) -> Generator[JobEvent, None, list[Path]]:
    """Write exact frames of a media as ``000057.png`` into ``folder`` and return the paths.

    Raises:
        MediaError: if the media cannot be read.
        CallError: if a frame is not there.
        FormatError: if a picture cannot be written.
    """
    target = Path(folder)
    with open_media(path) as media:
        count = media.confirm().frame_count
        missing = [frame for frame in frames if not 0 <= frame < count]
        if missing:
            raise CallError(f"There is no frame {missing[0]} in {path}: the last one is {count - 1}.")
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
