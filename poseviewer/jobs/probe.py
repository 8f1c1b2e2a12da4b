"""What is known about a media, for people and for scripts."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from poseviewer.core.progress import JobEvent
from poseviewer.core.values import MediaInfo
from poseviewer.core.words import counted
from poseviewer.jobs.confirming import confirm
from poseviewer.media import open_media


def probe_media(path: str | Path) -> Generator[JobEvent, None, MediaInfo]:
    """Open a media and settle its frame table by decoding all of it.

    Raises:
        MediaError: one sentence naming the file and the cause.
    """
    with open_media(path) as media:
        return (yield from confirm(media))


def info_json(info: MediaInfo) -> dict[str, Any]:
    """Return the info as JSON: size after rotation; findings as code and text."""
    return {
        "path": info.path,
        "kind": info.kind,
        "frame_count": info.frame_count,
        "fps": info.fps,
        "width": info.size_wh[0],
        "height": info.size_wh[1],
        "size": list(info.size_wh),
        "duration": info.duration_s,
        "codec": info.codec,
        "rotation": info.rotation,
        "colour": info.colour,
        "fingerprint": info.fingerprint,
        "confirmed": info.confirmed,
        "findings": [{"code": finding.code, "text": finding.text} for finding in info.findings],
    }


def info_lines(info: MediaInfo) -> list[str]:
    """Return the info as lines for a terminal."""
    width, height = info.size_wh
    lines = [
        f"{info.path}: {info.kind}, {counted(info.frame_count, 'frame')}",
        f"  size      {width} x {height}" + (f" (turned by {info.rotation} degrees)" if info.rotation else ""),
    ]
    if info.kind == "video":
        lines.append(f"  rate      {info.fps:.3f} frames/s")
        lines += [f"  duration  {info.duration_s:.3f} s", f"  codec     {info.codec}"]
        lines += [f"  colour    {info.colour}"] if info.colour else []
    return lines + [f"  found     {finding.code}: {finding.text}" for finding in info.findings]
