"""Frame lists as people write them: "0-99,120", 0-based and inclusive, as the timeline shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from poseviewer.core.errors import CallError

_PART = re.compile(r"^([0-9]{1,18})(?:-([0-9]{1,18})?)?$")


def parse_frames(text: str, frame_count: int) -> tuple[int, ...]:
    """Return the frame indices that ``text`` names, in the order written, each once.

    Args:
        text: parts separated by commas: "7", "0-99", or "100-" (to the end).
        frame_count: of the media.

    Raises:
        CallError: if a part is no range, runs backwards or names a frame that the media does not have, or no frame is
            named at all.
    """
    found: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        if not part:
            continue
        match = _PART.match(part)
        if match is None:
            raise CallError(f'"{part}" is no frame or range of frames.', remedy='Write them like "0-99,120".')
        first = int(match[1])
        last = int(match[2]) if match[2] else frame_count - 1 if part.endswith("-") else first
        if first > last and not part.endswith("-"):
            raise CallError(f'The range "{part}" runs backwards.')
        if max(first, last) >= frame_count:
            raise CallError(f"Frame {max(first, last)} is not there: the frames are 0 to {frame_count - 1}.")
        found.update(dict.fromkeys(range(first, last + 1)))
    if not found:
        raise CallError(f'"{text}" names no frame.', remedy='Write them like "0-99,120".')
    return tuple(found)


def frame_range_text(frames: Iterable[int]) -> str:
    """Return the shortest text that :func:`parse_frames` reads as ``frames`` (sorted)."""
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in _spans(sorted(set(frames))))


def _spans(frames: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for index in range(1, len(frames) + 1):
        if index == len(frames) or frames[index] != frames[index - 1] + 1:
            yield frames[start], frames[index - 1]
            start = index
